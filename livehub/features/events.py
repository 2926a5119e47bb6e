"""Events: what sessions belong to. Who joins an event hears what concerns all of it, whichever session they sit in.

As in a session, a *participant* is a person the event knows, which survives restarts, and a *seat* is one connection's
place. An event also comes to be when a session says that it belongs to it: the order in which a backend makes the two
does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NotRequired, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    OutsideId,
    Refused,
    Seating,
    Tell,
    Text,
    applies,
    changing,
    command,
    internal,
    on,
    payload,
    reading,
    setting,
)

TITLE_CHARS_MAX = 200
SESSIONS_PER_EVENT_MAX = 1_000


@payload
class EventSettings:
    """`[events]`"""

    auto_create: bool = setting(False, help="create an unknown event when the first person joins it")


@payload
class CreateEvent:
    """What `POST /api/events` takes."""

    title: Annotated[str, Text(TITLE_CHARS_MAX)] | None = None
    org_id: OutsideId | None = None


class EventJoined(TypedDict):
    """Which event it was."""

    eventId: str


class SessionOfEvent(TypedDict):
    """A session that belongs to the event."""

    id: str
    title: str


class EventInfo(TypedDict):
    """An event as `GET /api/events/{eventId}` shows it; `orgId` is "" while it is nobody's."""

    eventId: str
    id: str
    title: str
    orgId: str
    createdAt: str
    participantCount: int
    sessions: list[SessionOfEvent]


class SessionAdded(TypedDict):
    """A session has come to belong to the event. `orgId` is of whoever brought that about: an event that comes to be

    by it is theirs. `byManager` says that they may make events.
    """

    sessionId: str
    title: str
    orgId: NotRequired[str]
    byManager: NotRequired[bool]


@dataclass
class Events(Feature):
    """`event.join`, `event.leave`, and what REST knows of an event."""

    name: ClassVar[str] = "events"
    room: ClassVar[str] = "event"
    Settings = EventSettings
    audiences: ClassVar[Mapping[str, str]] = {EVERYONE: ""}

    settings: EventSettings = field(default_factory=EventSettings)
    title: str = ""
    org_id: str = ""
    created_at: str = ""
    participants: set[str] = field(default_factory=set)
    sessions: dict[str, str] = field(default_factory=dict)  # id → title, in the order they came to belong

    @command("event.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, rate="60/10s", returns=EventJoined)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Take a seat in an event, to hear its alerts and agenda. Joining twice is no error."""
        facts = []
        if not self.created_at:
            if not self.settings.auto_create:
                raise Refused("Event not found", 404, code="not_found")
            facts.append(_created("", ask.who.org, ask.who.id, ask.now))
        if ask.who.id not in self.participants:
            facts.append(Fact("event.joined", {"userId": ask.who.id}))
        return Outcome(facts, {"eventId": self.room_id})

    @command("event.leave", key=Key.OPTIONAL, seat=Seating.LEAVES, rate="60/10s", returns=EventJoined)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Give up the seat. The person stays a participant: reminders still reach them."""
        return Outcome(reply={"eventId": self.room_id})

    @changing(
        "event.create",
        needs=("sessions:manage", "backend:publish"),
        creates=True,
        returns=EventInfo,
        rest="POST /events 201",
    )
    def create(self, ask: Ask[CreateEvent]) -> Outcome:
        """Create an event, of the asker's organisation unless `orgId` names another."""
        if self.created_at:
            raise Refused("Event already exists", 409, code="conflict")
        title, org_id = ask.payload.title or "", ask.payload.org_id or ask.who.org
        info = self._info(title, org_id, ask.now)
        return Outcome([_created(title, org_id, ask.who.id, ask.now)], {**info})

    @reading(
        "event.read",
        rate="100/10s",
        returns=EventInfo,
        rest="GET /events/{eventId}",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show an event and the sessions that belong to it."""
        return Outcome(reply={**self._info(self.title, self.org_id, self.created_at)})

    @internal("event.session.added")
    def session_added(self, ask: Ask[SessionAdded]) -> Outcome:
        """A session says that it belongs here; said again, it is no news. Its event may be made later."""
        told = ask.payload
        if told["sessionId"] in self.sessions:
            return Outcome()
        if len(self.sessions) >= SESSIONS_PER_EVENT_MAX:
            raise Refused(f"An event has at most {SESSIONS_PER_EVENT_MAX} sessions", 409, code="too_many")
        facts = [Fact("event.session.added", {"sessionId": told["sessionId"], "title": told["title"]})]
        if not self.created_at and (told.get("byManager") or self.settings.auto_create):
            facts.insert(0, _created("", told.get("orgId", ""), ask.who.id, ask.now))
        return Outcome(facts)

    @on("event.created")
    def enrol(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Tell the organisation of its new event."""
        if not data["orgId"]:
            return Outcome()
        return Outcome(effects=[Tell(f"org:{data['orgId']}", "org.event.added", {"eventId": self.room_id})])

    @applies("event.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.title, self.org_id, self.created_at = data["title"], data["orgId"], data["at"]

    @applies("event.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants.add(data["userId"])

    @applies("event.session.added")
    def _on_session_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sessions[data["sessionId"]] = data["title"]

    def admits(self, user_id: str) -> bool:
        """Participants belong to the event."""
        return user_id in self.participants

    def _info(self, title: str, org_id: str, created_at: str) -> EventInfo:
        return EventInfo(
            eventId=self.room_id,
            id=self.room_id,
            title=title,
            orgId=org_id,
            createdAt=created_at,
            participantCount=len(self.participants),
            sessions=[SessionOfEvent(id=id_, title=title_) for id_, title_ in self.sessions.items()],
        )


def _created(title: str, org_id: str, by: str, at: str) -> Fact:
    return Fact("event.created", {"title": title, "orgId": org_id, "by": by, "at": at})
