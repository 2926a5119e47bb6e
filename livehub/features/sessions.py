"""Sessions: a session exists once it was created, and whoever joins it takes part. It may belong to an event.

Being there is two things. A *participant* is a person the session knows, which is a fact and survives restarts. A
*seat* is one connection's place, which the room keeps. Several devices of one person are one participant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Person,
    Refused,
    Seating,
    Tell,
    Text,
    Via,
    applies,
    command,
    internal,
    payload,
    setting,
)

MODERATION = ":moderation"
TITLE_CHARS_MAX = 200


@payload
class SessionSettings:
    """`[sessions]`"""

    auto_create: bool = setting(False, help="create an unknown session when the first person joins it")


@payload
class CreateSession:
    """What `POST /api/sessions` takes."""

    title: Annotated[str, Text(TITLE_CHARS_MAX)] | None = None


class Joined(TypedDict):
    """Which session it was."""

    sessionId: str


class SessionInfo(TypedDict):
    """A session as `GET /api/sessions/{id}` shows it; `eventId` is "" while it belongs to none."""

    sessionId: str
    id: str
    title: str
    eventId: str
    createdAt: str
    participantCount: int


class Planned(TypedDict):
    """What an event's agenda tells the session that it plans."""

    eventId: str
    title: str


class RosterWanted(TypedDict):
    """An event asks who has joined. `purpose` goes back with the answer, as it came."""

    eventId: str
    purpose: dict[str, JSON]


@dataclass
class Sessions(Feature):
    """`session.join`, `session.leave`, and what REST knows of a session."""

    name: ClassVar[str] = "sessions"
    Settings = SessionSettings
    audiences: ClassVar[Mapping[str, str]] = {MODERATION: "qna:moderate", EVERYONE: ""}

    settings: SessionSettings = field(default_factory=SessionSettings)
    title: str = ""
    event_id: str = ""
    created_at: str = ""
    participants: dict[str, str] = field(default_factory=dict)  # person → when they first joined

    @command("session.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, rate="60/10s", returns=Joined)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Take a seat in a session. Needed before anything else in it; joining twice is no error."""
        facts = []
        if not self.created_at:
            if not self.settings.auto_create:
                raise Refused("Session not found", 404)
            facts.append(self._created("", ask))
        belongs, tells = self._belongs(ask.event_id, self.title, ask.who)
        facts += belongs
        if ask.who.id not in self.participants:
            facts.append(Fact("session.joined", {"userId": ask.who.id, "at": ask.now}))
        return Outcome(facts, {"sessionId": self.room_id}, tells)

    @command("session.leave", key=Key.OPTIONAL, seat=Seating.LEAVES, rate="60/10s", returns=Joined)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Give up the seat. What the person did stays, and so does their right to read it."""
        return Outcome(reply={"sessionId": self.room_id})

    @command(
        "session.create",
        needs="sessions:manage",
        key=Key.OPTIONAL,
        seat=Seating.FREE,
        via=Via.REST,
        creates=True,
        rate="100/10s",
        returns=SessionInfo,
        rest="POST /sessions 201",
    )
    def create(self, ask: Ask[CreateSession]) -> Outcome:
        """Create a session, in an event if `eventId` names one."""
        if self.created_at:
            raise Refused("Session already exists", 409, code="conflict")
        title = ask.payload.title or ""
        belongs, tells = self._belongs(ask.event_id, title, ask.who)
        info = self._info(title, ask.event_id or self.event_id, ask.now)
        return Outcome([self._created(title, ask), *belongs], {**info}, tells)

    @command(
        "session.read",
        key=Key.OPTIONAL,
        seat=Seating.MEMBER,
        instead="sessions:manage",
        via=Via.REST,
        reads=True,
        returns=SessionInfo,
        rest="GET /sessions/{sessionId}",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show a session."""
        return Outcome(reply={**self._info(self.title, self.event_id, self.created_at)})

    @internal("session.planned")
    def planned(self, ask: Ask[Planned]) -> Outcome:
        """An event has this session on its agenda: it is there from now on, and belongs to it unless to another."""
        facts = [] if self.created_at else [self._created(ask.payload["title"], ask)]
        belongs, tells = self._belongs(ask.payload["eventId"], ask.payload["title"], ask.who)
        return Outcome([*facts, *belongs], effects=tells)

    @internal("session.roster.wanted")
    def roster_wanted(self, ask: Ask[RosterWanted]) -> Outcome:
        """Tell the event who has joined."""
        answer = {"sessionId": self.room_id, "userIds": list(self.participants), "purpose": ask.payload["purpose"]}
        return Outcome(effects=[Tell(f"event:{ask.payload['eventId']}", "event.roster", answer)])

    @applies("session.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.title = data["title"]
        self.created_at = data["at"]

    @applies("session.belongs")
    def _on_belongs(self, data: dict[str, JSON], at_ms: int) -> None:
        self.event_id = data["eventId"]

    @applies("session.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants[data["userId"]] = data["at"]

    def admits(self, user_id: str) -> bool:
        """Participants belong to the session."""
        return user_id in self.participants

    def _info(self, title: str, event_id: str, created_at: str) -> SessionInfo:
        return SessionInfo(
            sessionId=self.room_id,
            id=self.room_id,
            title=title,
            eventId=event_id,
            createdAt=created_at,
            participantCount=len(self.participants),
        )

    def _belongs(self, event_id: str, title: str, who: Person) -> tuple[list[Fact], list[Tell]]:
        """Come to belong to an event, if there is one and the session belongs to none (contracts, point 26)."""
        if not event_id or self.event_id:
            return [], []
        added = {
            "sessionId": self.room_id,
            "title": title,
            "orgId": who.org,
            "byManager": who.can("sessions:manage"),
        }
        tells = [
            Tell(f"event:{event_id}", "event.session.added", added),
            Tell(f"dashboard:{event_id}", "dashboard.session.added", {"sessionId": self.room_id}),
        ]
        return [Fact("session.belongs", {"eventId": event_id})], tells

    def _created(self, title: str, ask: Ask[Any]) -> Fact:
        return Fact("session.created", {"title": title, "by": ask.who.id, "at": ask.now})
