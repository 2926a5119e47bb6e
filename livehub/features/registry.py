"""The registry: which sessions there are, and which access code opens which.

One room, `registry:sessions`, opened at the start and never idle: a code must be looked up before anybody knows which
session it belongs to. Sessions tell it of themselves when they are made and at every change. Two that drew the same
code are settled here, because only here are all codes known: the first keeps it, the other is told to draw again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, ClassVar, Literal, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Fact,
    Feature,
    Outcome,
    OutsideId,
    Refused,
    Seating,
    Tell,
    Whole,
    applies,
    internal,
    payload,
    reading,
)

MANAGE = "sessions:manage"
PAGE_SESSIONS_MAX = 200
PAGE_SESSIONS = 50
SESSIONS_MAX = 100_000
"""Some 60 MB. Beyond it the session that was created first is forgotten: it is long over."""


@payload
class ListSessions:
    """Query of `GET /api/sessions`: older than `before` (a session's id), and in one status only."""

    status: Literal["draft", "active", "ended"] | None = None
    before: OutsideId | None = None
    limit: Annotated[int, Whole(1, PAGE_SESSIONS_MAX)] = PAGE_SESSIONS


class Registered(TypedDict):
    """What a session tells of itself."""

    sessionId: str
    slug: str
    title: str
    status: str
    presenterId: str
    createdAt: str
    eventId: str


class SessionListed(Registered):
    """A session in the list; `eventId` is "" while it belongs to none."""

    id: str


class SessionPage(TypedDict):
    """A page of the list, newest first."""

    sessions: list[SessionListed]
    hasMore: bool


@dataclass
class Registry(Feature):
    """The sessions of this hub."""

    name: ClassVar[str] = "registry"
    room: ClassVar[str] = "registry"

    sessions: dict[str, dict[str, JSON]] = field(default_factory=dict)
    slugs: dict[str, str] = field(default_factory=dict)  # folded slug → session
    order: list[str] = field(default_factory=list)  # sessions, oldest first
    own: dict[str, list[str]] = field(default_factory=dict)  # presenter → their sessions, oldest first

    def find(self, slug: str) -> str | None:
        """The session that a code opens, however it is capitalised."""
        return self.slugs.get(slug.casefold())

    def taken(self, slug: str) -> bool:
        """Whether a session has this code."""
        return slug.casefold() in self.slugs

    @internal("session.registered")
    def registered(self, ask: Ask[Registered]) -> Outcome:
        """A session tells how it stands; the same again is no news."""
        told = ask.payload
        session_id, slug = told["sessionId"], told["slug"]
        if self.slugs.get(slug.casefold(), session_id) != session_id:
            return Outcome(effects=[Tell(f"session:{session_id}", "session.code.taken", {"slug": slug})])
        return Outcome() if self.sessions.get(session_id) == told else Outcome([Fact("registry.put", {**told})])

    @reading(
        "session.list",
        seat=Seating.FREE,
        creates=True,
        rate="60/10s",
        returns=SessionPage,
        rest="GET /sessions",
    )
    def page(self, ask: Ask[ListSessions]) -> Outcome:
        """List the sessions that you made, newest first; all sessions to those who may manage them."""
        asked, who = ask.payload, ask.who
        order = self.order if who.can(MANAGE) else self.own.get(who.id, [])
        end = len(order)
        if asked.before is not None:
            known = self.sessions.get(asked.before)
            if known is None or not (who.can(MANAGE) or known["presenterId"] == who.id):
                raise Refused("Session not found", 404, code="not_found")
            end = self._place(order, asked.before)
        found = [*islice(self._older(order, end, asked.status), asked.limit + 1)]
        shown = [{**one, "id": one["sessionId"]} for one in found[: asked.limit]]
        return Outcome(reply={"sessions": shown, "hasMore": len(found) > asked.limit})

    @applies("registry.put")
    def _on_put(self, data: dict[str, JSON], at_ms: int) -> None:
        session_id = data["sessionId"]
        self._forget(session_id)
        self.sessions[session_id] = data
        for order in (self.order, self.own.setdefault(data["presenterId"], [])):
            insort(order, session_id, key=self._age)
        if data["slug"]:
            self.slugs[data["slug"].casefold()] = session_id
        if len(self.order) > SESSIONS_MAX:
            self._forget(self.order[0])

    def _forget(self, session_id: str) -> None:
        if (known := self.sessions.get(session_id)) is None:
            return
        own = self.own[known["presenterId"]]
        for order in (self.order, own):
            del order[self._place(order, session_id)]
        if not own:
            del self.own[known["presenterId"]]
        self.slugs.pop(known["slug"].casefold(), None)
        del self.sessions[session_id]

    def _older(self, order: list[str], end: int, status: str | None) -> Iterator[dict[str, JSON]]:
        for place in range(end - 1, -1, -1):
            known = self.sessions[order[place]]
            if status in (None, known["status"]):
                yield known

    def _age(self, session_id: str) -> tuple[str, str]:
        return self.sessions[session_id]["createdAt"], session_id

    def _place(self, order: list[str], session_id: str) -> int:
        return bisect_left(order, self._age(session_id), key=self._age)
