"""Sessions: a session exists once it was created, and whoever joins it takes part.

Being there is two things. A *participant* is a person the session knows, which is a fact and survives restarts. A
*seat* is one connection's place, which the room keeps. Several devices of one person are one participant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Refused,
    Seating,
    Text,
    Via,
    applies,
    command,
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


class SessionInfo(TypedDict):
    """A session as `GET /api/sessions/{id}` shows it."""

    id: str
    title: str
    createdAt: str
    participantCount: int


@dataclass
class Sessions(Feature):
    """`session.join`, `session.leave`, and what REST knows of a session."""

    name: ClassVar[str] = "sessions"
    Settings = SessionSettings
    audiences: ClassVar[Mapping[str, str]] = {MODERATION: "qna:moderate", EVERYONE: ""}

    settings: SessionSettings = field(default_factory=SessionSettings)
    title: str = ""
    created_at: str = ""
    participants: dict[str, str] = field(default_factory=dict)  # person → when they first joined

    @command("session.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, rate="60/10s")
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Take a seat in a session. Needed before anything else in it; joining twice is no error."""
        facts = []
        if not self.created_at:
            if not self.settings.auto_create:
                raise Refused("Session not found", 404)
            facts.append(self._created("", ask))
        if ask.who.id not in self.participants:
            facts.append(Fact("session.joined", {"userId": ask.who.id, "at": ask.now}))
        return Outcome(facts, {"sessionId": self.room_id})

    @command("session.leave", key=Key.OPTIONAL, seat=Seating.LEAVES, rate="60/10s")
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
    )
    def create(self, ask: Ask[CreateSession]) -> Outcome:
        """Create a session."""
        if self.created_at:
            raise Refused("Session already exists", 409, code="conflict")
        created = self._created(ask.payload.title or "", ask)
        info = SessionInfo(id=self.room_id, title=created.data["title"], createdAt=ask.now, participantCount=0)
        return Outcome([created], {"session": info})

    @command(
        "session.read",
        key=Key.OPTIONAL,
        seat=Seating.MEMBER,
        instead="sessions:manage",
        via=Via.REST,
        reads=True,
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show a session."""
        info = SessionInfo(
            id=self.room_id,
            title=self.title,
            createdAt=self.created_at,
            participantCount=len(self.participants),
        )
        return Outcome(reply={"session": info})

    @applies("session.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.title = data["title"]
        self.created_at = data["at"]

    @applies("session.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants[data["userId"]] = data["at"]

    def admits(self, user_id: str) -> bool:
        """Participants belong to the session."""
        return user_id in self.participants

    def _created(self, title: str, ask: Ask[Empty] | Ask[CreateSession]) -> Fact:
        return Fact("session.created", {"title": title, "by": ask.who.id, "at": ask.now})
