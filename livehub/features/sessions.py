"""Sessions: a session exists once it was created, and whoever joins it takes part. It may belong to an event.

Being there is two things. A *participant* is a person the session knows, which is a fact and survives restarts. A
*seat* is one connection's place, which the room keeps. Several devices of one person are one participant.

Each session has a *slug*, the code that people type to get in: drawn by dice, so that one tells nothing of the next.
The registry knows them all; it has the last word on who keeps one that was drawn twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    UUID_V4,
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
    applies,
    changing,
    command,
    internal,
    on,
    payload,
    reading,
    setting,
    user,
)

MODERATION = ":moderation"
TITLE_CHARS_MAX = 200
SLUG_LETTERS = "BCDFGHJKMNPQRSTVWXYZ"
"""Without vowels (no words), without what looks like a digit or another letter: I, L, O."""
SLUG_CHARS = 6
"""20 letters, 6 places: 64 million codes."""
REGISTRY = "registry:sessions"
PARTICIPANT_ID = 2_000
"""Ids of one ask are numbered; those below are other features'."""
PRESENTS = ("sessions:manage", "poll:manage")
"""Whoever holds one of these presents: they are not counted among the participants."""


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
    """A session as `GET /api/sessions/{id}` shows it; `eventId` is "" while it belongs to none.

    `participantCount` counts everybody who has joined, but for presenters.
    """

    sessionId: str
    id: str
    title: str
    slug: str
    status: str
    eventId: str
    presenterId: str
    createdAt: str
    participantCount: int


class SessionState(TypedDict):
    """The whole of a session, as one person may see it. `participants` are shown to presenters."""

    sessionId: str
    participantId: str | None
    session: SessionInfo
    participantCount: NotRequired[int]
    participants: NotRequired[list[dict[str, JSON]]]
    activePollId: NotRequired[str | None]
    polls: NotRequired[list[dict[str, JSON]]]


class Admitted(TypedDict):
    """Who takes part, by the id that others know them by."""

    participantId: str
    sessionId: str


class Admit(TypedDict):
    """Somebody brought the session's code."""

    userId: str
    firstName: str
    lastName: str
    guest: bool


class CodeTaken(TypedDict):
    """Another session had this code first."""

    slug: str


class Planned(TypedDict):
    """What an event's agenda tells the session that it plans."""

    eventId: str
    title: str


class RosterWanted(TypedDict):
    """An event asks who has joined. `purpose` goes back with the answer, as it came."""

    eventId: str
    purpose: dict[str, JSON]


@payload
class UpdateSession:
    """What `PATCH /api/sessions/{id}` takes."""

    title: Annotated[str, Text(TITLE_CHARS_MAX)]


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
    slug: str = ""
    status: str = ""
    presenter_id: str = ""
    participants: dict[str, str] = field(default_factory=dict)  # person → their participant id
    presenters: set[str] = field(default_factory=set)  # of the participants: those who present

    @command("session.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, rate="60/10s", returns=Joined)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Take a seat in a session. Needed before anything else in it; joining twice is no error."""
        facts = []
        if not self.created_at:
            if not self.settings.auto_create:
                raise Refused("Session not found", 404, code="not_found")
            facts.append(self._created("", ask, "active"))
        belongs, tells = self._belongs(ask.event_id, self.title, ask.who)
        facts += belongs
        if ask.who.id not in self.participants:
            facts.append(self._joined(ask.who.id, ask, presents=self._presents(ask.who.id, ask.who)))
        return Outcome(facts, {"sessionId": self.room_id}, tells)

    @command("session.leave", key=Key.OPTIONAL, seat=Seating.LEAVES, rate="60/10s", returns=Joined)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Give up the seat. What the person did stays, and so does their right to read it."""
        return Outcome(reply={"sessionId": self.room_id})

    @changing(
        "session.create",
        needs="sessions:manage",
        creates=True,
        returns=SessionInfo,
        rest="POST /sessions 201",
    )
    def create(self, ask: Ask[CreateSession]) -> Outcome:
        """Create a session, in an event if `eventId` names one."""
        if self.created_at:
            raise Refused("Session already exists", 409, code="conflict")
        title = ask.payload.title or ""
        belongs, tells = self._belongs(ask.event_id, title, ask.who)
        created = self._created(title, ask, "draft")
        info = self._info({**created.data, "eventId": ask.event_id or self.event_id})
        return Outcome([created, *belongs], {**info}, tells)

    @changing(
        "session.update",
        needs="sessions:manage",
        returns=SessionInfo,
        rest="PATCH /sessions/{sessionId}",
    )
    def update(self, ask: Ask[UpdateSession]) -> Outcome:
        """Change the title."""
        self.must_exist()
        facts = [] if ask.payload.title == self.title else [Fact("session.retitled", {"title": ask.payload.title})]
        return Outcome(facts, {**self._info({**self._data(), "title": ask.payload.title})})

    @reading(
        "session.read",
        returns=SessionInfo,
        rest="GET /sessions/{sessionId}",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show a session."""
        self.must_exist()
        return Outcome(reply={**self._info(self._data())})

    @reading(
        "session.state",
        overview=True,
        returns=SessionState,
        rest="GET /sessions/{sessionId}/state",
    )
    def state(self, ask: Ask[Empty]) -> Outcome:
        """Show the whole of a session: itself, its polls with results, who is there."""
        self.must_exist()
        return Outcome(reply={"sessionId": self.room_id, "participantId": self.participants.get(ask.who.id)})

    def overview(self, who: Person) -> dict[str, JSON]:
        """The session itself."""
        return {"session": {**self._info(self._data())}}

    @internal("session.admit")
    def admit(self, ask: Ask[Admit]) -> Outcome:
        """Let somebody take part who brought the code. A guest is known by their own id, others by one made here."""
        self.must_exist()
        told = ask.payload
        known = self.participants.get(told["userId"])
        if known is not None:
            return Outcome(reply={"participantId": known, "sessionId": self.room_id})
        presents = self._presents(told["userId"], ask.who)
        joined = self._joined(told["userId"], ask, presents=presents, guest=told["guest"])
        return Outcome([joined], {"participantId": joined.data["participantId"], "sessionId": self.room_id})

    @internal("session.code.taken")
    def code_taken(self, ask: Ask[CodeTaken]) -> Outcome:
        """Take another code."""
        if ask.payload["slug"] != self.slug:
            return Outcome()
        return Outcome([Fact("session.recoded", {"slug": slug_of(ask.seed)})])

    @on("session.created", "session.retitled", "session.recoded", "session.started", "session.ended", "session.belongs")
    def register(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Let the registry know."""
        told: dict[str, JSON] = {**self._info(self._data())}
        del told["id"], told["participantCount"]
        return Outcome(effects=[Tell(REGISTRY, "session.registered", told)])

    @internal("session.planned")
    def planned(self, ask: Ask[Planned]) -> Outcome:
        """An event has this session on its agenda: it is there from now on, and belongs to it unless to another."""
        facts = [] if self.created_at else [self._created(ask.payload["title"], ask, "active")]
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
        self.slug, self.status = data.get("slug", ""), data.get("status", "active")
        self.presenter_id = data["by"]

    @applies("session.retitled")
    def _on_retitled(self, data: dict[str, JSON], at_ms: int) -> None:
        self.title = data["title"]

    @applies("session.recoded")
    def _on_recoded(self, data: dict[str, JSON], at_ms: int) -> None:
        self.slug = data["slug"]

    @applies("session.started")
    def _on_started(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status = "active"

    @applies("session.ended")
    def _on_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status = "ended"

    @applies("session.belongs")
    def _on_belongs(self, data: dict[str, JSON], at_ms: int) -> None:
        self.event_id = data["eventId"]

    @applies("session.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants[data["userId"]] = str(data.get("participantId", data["userId"]))
        if data.get("presents"):
            self.presenters.add(data["userId"])

    def part_of(self) -> str:
        """The session's event."""
        return f"event:{self.event_id}" if self.event_id else ""

    def admits(self, user_id: str) -> bool:
        """Participants belong to the session."""
        return user_id in self.participants

    def must_exist(self) -> None:
        """Refuse where other facts came before the session's own."""
        if not self.created_at:
            raise Refused("Session not found", 404, code="not_found")

    def _presents(self, user_id: str, who: Person) -> bool:
        return user_id == self.presenter_id or any(map(who.can, PRESENTS))

    def _joined(self, user_id: str, ask: Ask[Any], *, presents: bool = False, guest: bool = False) -> Fact:
        participant_id = user_id if guest or UUID_V4.match(user_id) else ask.new_id(PARTICIPANT_ID)
        data = {"userId": user_id, "participantId": participant_id, "presents": presents, "at": ask.now}
        return Fact("session.joined", data)

    def _data(self) -> dict[str, JSON]:
        return {
            "title": self.title,
            "slug": self.slug,
            "status": self.status,
            "by": self.presenter_id,
            "at": self.created_at,
            "eventId": self.event_id,
        }

    def _info(self, data: dict[str, JSON]) -> SessionInfo:
        return SessionInfo(
            sessionId=self.room_id,
            id=self.room_id,
            title=data["title"],
            slug=data["slug"],
            status=data["status"],
            eventId=data["eventId"],
            presenterId=data["by"],
            createdAt=data["at"],
            participantCount=len(self.participants) - len(self.presenters),
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

    def _created(self, title: str, ask: Ask[Any], status: str) -> Fact:
        data = {"title": title, "slug": slug_of(ask.seed), "status": status, "by": ask.who.id, "at": ask.now}
        return Fact("session.created", data, (user(ask.who.id), EVERYONE))


def slug_of(seed: int) -> str:
    """The code that a session gets whose creation came with this seed."""
    letters = []
    for _ in range(SLUG_CHARS):
        seed, place = divmod(seed, len(SLUG_LETTERS))
        letters.append(SLUG_LETTERS[place])
    return "".join(letters)
