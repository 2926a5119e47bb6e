"""The people of a contract test, and what each of them heard: exactly what they should, and nobody anything else.

Absence is shown without waiting for luck. What a connection is sent comes in order, and leaving a room comes after all
that was told before; so after an act everybody joins and leaves a room of no concern, and what they have not heard by
the ack they will not hear.

Facts must be heard exactly, and in their order. Views are conflated, so of them the last one counts, and that only
those heard it who should. Both leaderboards follow nearly every act, the mood every reaction, and a dashboard ticks:
these may come at any time, to those in the session and to who watches. At the end everybody there must have been shown
the sum of all points of the test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from tests.endtoend.forms import FORMS
from tests.endtoend.likeness import same
from tests.endtoend.node import Client, Told
from tests.endtoend.stage import Stage, key

PATIENCE_S = 30.0
"""How long a test waits for what should come at once, or with the next view."""

SHOWN_CHARS = 500
"""Of each event in the text of a fault."""

MOOD = "mood.analytics.updated"
BOARDS = ("leaderboard.updated", "team.leaderboard.updated")
VIEWS = (
    *BOARDS, "poll.results.updated", "slide.update", "notification.ack.updated", "dashboard.metrics.updated",
    "dashboard.update", "reaction.burst", MOOD,
)  # fmt: skip
TROUBLE = ("disconnect", "connect_error")


@dataclass(frozen=True, slots=True)
class Line:
    """Something that these clients hear, and nobody else."""

    whom: tuple[Client, ...]
    event: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Heard:
    """What one client heard since the last look."""

    facts: list[tuple[str, Any]]
    views: dict[str, Any]  # the last of each
    trouble: list[Told]

    def about(self, events: Collection[str]) -> Heard:
        """What of it concerns these events; all of it, if none are named."""
        if not events:
            return self
        facts = [fact for fact in self.facts if fact[0] in events]
        return Heard(facts, {event: view for event, view in self.views.items() if event in events}, self.trouble)


class Cast:
    """Everybody whom a contract speaks of, in one session and around it."""

    def __init__(self, stage: Stage, proof: set[str]) -> None:
        self.stage = stage
        self.proof = proof  # events that the test is there for
        self.session, self.event, self.org = (f"{kind}-{stage.suffix}" for kind in ("session", "event", "org"))
        self.other_session, self.other_event = f"other-{self.session}", f"other-{self.event}"
        self.proven: set[str] = set()
        self.scores: dict[str, int] = {}  # in the session, by person
        self.seated: tuple[Client, ...] = ()
        self.watching: tuple[Client, ...] = ()  # a dashboard
        self._persons: dict[Client, str] = {}
        self._claims: dict[Client, dict[str, Any]] = {}
        self._looked: dict[Client, int] = {}
        self._quiet = f"quiet-{stage.suffix}"

    async def enter(self) -> None:
        """Let everybody in."""
        with trio.fail_after(PATIENCE_S):
            await self._enter()

    async def _enter(self) -> None:
        here = {"sessionId": self.session, "eventId": self.event}
        there = {"sessionId": self.other_session, "eventId": self.other_event}
        self.ada = self.connect("ada", role="MEMBER", query=here)
        self.bob = self.connect("bob", query=here)  # without a role: nothing is allowed that takes a permission
        self.moderator = self.connect("moderator", role="MODERATOR", query=here)
        self.speaker = self.connect("speaker", role="SPEAKER", query=here)
        self.owner = self.connect("owner", role="OWNER", query=here)
        self.elsewhere = self.connect("elsewhere", role="OWNER", query=there, orgId=f"other-{self.org}")
        self.nowhere = self.connect("nowhere", role="OWNER")
        self.tablet = self.connect("ada", device="-tablet", role="MEMBER")  # which joined nothing
        for client in self.everybody:
            await client.acknowledged()
        await self.joins(self.ada, self.bob, self.moderator, self.speaker, self.owner)
        await self.elsewhere.ask("session.join", {})
        await self._hush()
        self._look_away()

    def connect(self, person: str, *, device: str = "", query: dict[str, str] | None = None, **claims: Any) -> Client:
        """Open a client, whom the comparison includes from now on."""
        claims = {"orgId": self.org, **claims}
        client = self.stage.connect(person, device=device, query=query, **claims)
        self._persons[client] = person
        self._claims[client] = claims
        self._looked[client] = 0
        return client

    async def joins(self, *clients: Client) -> None:
        """Have clients join the session; what they are told then counts as heard."""
        for client in clients:
            answer = await client.ask("session.join", {"sessionId": self.session, "eventId": self.event})
            assert answer == {"success": True, "sessionId": self.session}
            await client.heard("session.snapshot")
            self._looked[client] = len(client.told)
        self.seated += clients

    @property
    def everybody(self) -> list[Client]:
        """All clients."""
        return list(self._persons)

    @property
    def moderators(self) -> tuple[Client, ...]:
        """Who hears what moderators hear."""
        return (self.moderator, self.owner)

    @property
    def public(self) -> tuple[Client, ...]:
        """The others in the session."""
        return tuple(client for client in self.seated if client not in self.moderators)

    def devices(self, client: Client) -> tuple[Client, ...]:
        """All clients of the same person."""
        return tuple(other for other in self._persons if self._persons[other] == self._persons[client])

    def id(self, client: Client) -> str:
        """The user id of whoever a client belongs to."""
        return self.stage.id_of(self._persons[client])

    def person(self, client: Client) -> dict[str, str]:
        """A person as everybody sees them."""
        return {"id": self.id(client), "firstName": self._persons[client].capitalize(), "lastName": "Stage"}

    def earns(self, client: Client, points: int, reason: str) -> Line:
        """The award for an act, which all devices of the person hear. Keeps the score."""
        user_id = self.id(client)
        self.scores[user_id] = self.scores.get(user_id, 0) + points
        award = {"points": points, "reason": reason, "newTotalScore": self.scores[user_id]}
        return Line(self.devices(client), "gamification.points.awarded", award)

    async def asks(self, who: Client, event: str, payload: Any = None, /, **ack: Any) -> dict[str, Any]:
        """Ask for something as it is written here: the ack must be exactly this, beside its success."""
        answer = await who.ask(event, payload)
        assert same({"success": True, **ack}, answer), f"{event} {payload}: {answer}, not {ack}"
        self.proven.add(event)
        return dict(answer)

    async def does(self, who: Client, event: str, payload: Any = None, /, **ack: Any) -> dict[str, Any]:
        """Ask with a key. Asked again it is replayed and happens once; for anything else the key is used up."""
        asked = {**(payload or {}), "idempotencyKey": key()}
        answer = await self.asks(who, event, asked, **ack)
        again = await who.ask(event, asked)
        assert again == {**answer, "replayed": True}, f"{event} again: {again}"
        used = {"idempotencyKey": asked["idempotencyKey"]}
        other_event = "dm.block" if event == "dm.unblock" else "dm.unblock"
        await self.refuses(who, other_event, {"userId": "nobody", **used}, 409, "Duplicate request")
        if (other := FORMS[event].unlike(payload or {})) is not None:
            await self.refuses(who, event, {**other, **used}, 409, "Duplicate request")
        return answer

    async def refuses(self, who: Client, event: str, payload: Any, status: int, message: str) -> None:
        """Ask for something that is refused, in exactly these words."""
        if FORMS[event].keyed and isinstance(payload, dict):
            payload = {"idempotencyKey": key(), **payload}
        answer = await who.ask(event, payload)
        refused = {"success": False, "error": {"message": message, "statusCode": status}}
        assert answer == refused, f"{event} {payload}: {answer}, not {refused}"

    async def rest(
        self, method: str, path: str, body: Any = None, *, who: Client | None = None, status: int = 200
    ) -> dict[str, Any]:
        """A request to REST, of a backend unless somebody of the cast makes it: the body of the answer."""
        backend = self.stage.token("backend", permissions=["backend:publish"], orgId=self.org)
        token = backend if who is None else self.stage.token(self._persons[who], **self._claims[who])
        answer = await self.stage.server.request(method, f"/api{path}", token, body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    async def rest_refuses(
        self, method: str, path: str, body: Any, status: int, message: str, *, who: Client | None = None
    ) -> None:
        """A request to REST that is refused, in exactly these words."""
        refused = await self.rest(method, path, body, who=who, status=status)
        assert refused == {"success": False, "error": {"message": message, "statusCode": status}}, refused

    async def hears(self, *lines: Line, within_s: float = PATIENCE_S, only: Collection[str] = ()) -> None:
        """Wait until everybody heard their lines. Since the last look, nobody may have heard anything else.

        With `only`, other events than these do not matter: a test of what follows from an act leaves the act itself to
        the test that proves it.
        """
        with trio.move_on_after(within_s):
            for line in lines:
                for client in line.whom:
                    await self._waits(client, line)
        await self._hush()
        faults = [fault for client in self.everybody for fault in self._faults(client, lines, only)]
        assert not faults, "\n".join(faults)
        self._look_away()
        self.proven.update(line.event for line in lines if line.whom)

    async def overlooks(self) -> None:
        """Let pass what has been said so far: it is proven elsewhere."""
        await self._hush()
        self._look_away()

    def dismiss(self, client: Client, *lines: Line) -> None:
        """A client was shown out: it must have heard these lines and no more, and is part of the cast no longer."""
        heard, lines_ = self._news(client).facts, [(line.event, line.payload) for line in lines]
        assert len(heard) == len(lines_), _told(heard)
        assert all(map(_same_event, lines_, heard)), _told(heard)
        self.proven.update(line.event for line in lines)
        del self._persons[client]

    async def close(self, *, within_s: float = PATIENCE_S) -> None:
        """At the end: nobody has heard more, all know the score, and the test has seen what it is there for."""
        assert self.proof <= self.proven, f"never seen: {', '.join(sorted(self.proof - self.proven))}"
        await self.hears()
        with trio.move_on_after(within_s):
            for client in self.seated:
                await client.until(partial(self._knows_the_score, client))
        for client in self.seated:
            assert self._knows_the_score(client), f"{client.name}: {client.payloads(BOARDS[0])[-1:]}, not {self.scores}"

    def board(self) -> list[tuple[int, str, int]]:
        """The leaderboard as rank, person and score; equal scores share a rank."""
        scores = {person: score for person, score in self.scores.items() if score > 0}
        ranks = {score: 1 + sum(other > score for other in scores.values()) for score in scores.values()}
        return sorted((ranks[score], person, score) for person, score in scores.items())

    def _knows_the_score(self, client: Client) -> bool:
        boards = client.payloads(BOARDS[0])
        if not boards:
            return not self.scores
        entries = [(entry["rank"], entry["user"]["id"], entry["score"]) for entry in boards[-1]["topEntries"]]
        return sorted(entries) == self.board()

    async def _waits(self, client: Client, line: Line) -> None:
        def heard() -> bool:
            news = self._news(client)
            if line.event in VIEWS:
                return line.event in news.views and same(line.payload, news.views[line.event])
            return any(event == line.event and same(line.payload, payload) for event, payload in news.facts)

        await client.until(heard)

    async def _hush(self) -> None:
        """Wait until everybody has been told all that has been said."""
        leaving = []
        for client in self.everybody:
            client.emit("event.join", {"eventId": self._quiet})
            leaving.append(client.start_ask("event.leave", {"eventId": self._quiet}))
        for left in leaving:
            assert (await left())[0] == {"success": True, "eventId": self._quiet}

    def _look_away(self) -> None:
        self._looked = {client: len(client.told) for client in self.everybody}

    def _news(self, client: Client) -> Heard:
        heard = Heard([], {}, [])
        for told in client.told[self._looked[client] :]:
            if told.kind in TROUBLE:
                heard.trouble.append(told)
            elif told.kind == "event":
                event, payload = told.args[0], told.args[1]
                if event == "event.snapshot" and payload["eventId"] == self._quiet:
                    continue
                if event in VIEWS:
                    heard.views[event] = payload
                else:
                    heard.facts.append((event, payload))
        return heard

    def _faults(self, client: Client, lines: tuple[Line, ...], only: Collection[str]) -> Iterator[str]:
        mine = [line for line in lines if client in line.whom]
        news = self._news(client).about(only)
        facts = [(line.event, line.payload) for line in mine if line.event not in VIEWS]
        if not (len(facts) == len(news.facts) and all(map(_same_event, facts, news.facts))):
            yield f"{client.name} heard\n    {_told(news.facts)}\n  not\n    {_told(facts)}"
        views = {line.event: line.payload for line in mine if line.event in VIEWS}
        for event in views.keys() | news.views.keys():
            if event not in views:
                if not self._may_come(client, event, news.views[event]):
                    yield f"{client.name} heard {_told([(event, news.views[event])])}, which is not for them"
            elif event not in news.views or not same(views[event], news.views[event]):
                yield f"{client.name} heard {event} {news.views.get(event)}\n  not\n    {views[event]}"
        for told in news.trouble:
            yield f"{client.name}: {told.kind} {told.args}"

    def _may_come(self, client: Client, event: str, payload: Any) -> bool:
        """Whether a view may come that no line tells of: it follows from what happened before."""
        if event in BOARDS:
            return client in self.seated
        if event == "dashboard.update":
            return client in self.watching
        here, there = (client in self.seated, self.session), (client is self.elsewhere, self.other_session)
        return event == MOOD and any(sits and payload["sessionId"] == session for sits, session in (here, there))


def _same_event(meant: tuple[str, Any], got: tuple[str, Any]) -> bool:
    return meant[0] == got[0] and same(meant[1], got[1])


def _told(events: list[tuple[str, Any]]) -> str:
    return "\n    ".join(f"{event} {payload}"[:SHOWN_CHARS] for event, payload in events) or "nothing"
