"""A session of live polling on `/polling`: a presenter, guests and users with stock clients, and what each heard.

Facts must be heard exactly, in their order, by those they are meant for and by nobody else. The counts of a poll are a
view, so of them the last one counts. Heartbeats come by the clock, to everybody.

Absence is shown without waiting for luck. Whatever waits to be told leaves in one flush: whoever hears a message that
came last hears it after all of that was sent. A heartbeat that is asked then is acked behind it. What somebody has not
heard by then, they will not hear.

Of every event that anybody is told, `eventId`, `sessionId` and `timestamp` are looked at here, so that tests compare
what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import trio

from tests.endtoend.likeness import A_TIME, same
from tests.endtoend.node import Client, Node
from tests.harness import Server

PATIENCE_S = 30.0
"""How long a test waits for what comes at once, or with the next view."""
EVENT_ID = re.compile(r"[0-9a-z]+-(\d+)")
HEARTBEAT = "connection:heartbeat"
COUNTS = "vote:accepted"
GREETINGS = ("connection:established", "connection:reconnected", "session:state")
UNICAST = (*GREETINGS, "vote:rejected", "error:general")


@dataclass(frozen=True, slots=True)
class Event:
    """An event as a client was told it; `payload` is without what every event carries."""

    name: str
    payload: dict[str, Any]
    event_id: str
    offset: str  # the last argument of a fact, else ""

    @property
    def seq(self) -> int:
        """Where in the log its hearer stands."""
        found = EVENT_ID.fullmatch(self.event_id)
        assert found is not None, self.event_id
        return int(found[1])

    @property
    def counts(self) -> bool:
        """Whether this is the view of a poll's counts."""
        return self.name == COUNTS and "voteId" not in self.payload


@dataclass(eq=False, slots=True)
class Attendee:
    """Somebody with a client on `/polling`."""

    name: str
    token: str
    participant_id: str
    client: Client
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """Something that these people hear, and nobody else."""

    whom: tuple[Attendee, ...]
    event: str
    payload: dict[str, Any]


class Assembly:
    """One session, and everybody whom its events could reach."""

    def __init__(self, server: Server, node: Node, proof: frozenset[str] = frozenset()) -> None:
        self.server = server
        self.node = node
        self.proof = proof  # events that the test is there for
        self.proven: set[str] = set()
        self.suffix = uuid4().hex[:8]
        self.presenter_id = f"presenter-{self.suffix}"
        self.presenter_token = server.token(self.presenter_id, role="ADMIN", name="Prim Senter")
        self.session = self.slug = ""
        self.people: list[Attendee] = []
        self._listener: Client | None = None  # in a session of its own

    async def create(self, title: str = "Assembly", *, started: bool = False) -> dict[str, Any]:
        """Create the session: as REST shows it."""
        shown = await self.api("POST", "/api/sessions", {"title": title}, status=201)
        self.session, self.slug = shown["id"], shown["slug"]
        if started:
            await self.present("/start")
        return shown

    async def api(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, status: int = 200
    ) -> dict[str, Any]:
        """A REST request, of the presenter unless another token is given: the body of the answer."""
        token = self.presenter_token if token is None else token
        answer = await self.server.request(method, path, token, body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    async def present(self, path: str, body: Any = None, *, method: str = "POST", status: int = 200) -> dict[str, Any]:
        """The presenter does something with the session."""
        return await self.api(method, f"/api/sessions/{self.session}{path}", body, status=status)

    async def poll(self, *, active: bool = True, **written: Any) -> dict[str, Any]:
        """Write a poll of two options, or as `written`; open it if `active`: the poll as the presenter sees it."""
        asked = {"question": "Tea or coffee?", **written}
        if "options" not in asked and asked.get("pollType", "multiple_choice") != "rating_scale":
            asked["options"] = [{"text": "Tea"}, {"text": "Coffee"}]
        poll: dict[str, Any] = (await self.present("/polls", asked, status=201))["poll"]
        if active:
            await self.poll_is(poll["id"], "activate")
        return poll

    async def poll_is(self, poll_id: str, verb: str, body: Any = None) -> dict[str, Any]:
        """The presenter does something with a poll: activate, close, reopen, reset."""
        return await self.present(f"/polls/{poll_id}/{verb}", body)

    async def join(self, name: str = "", token: str = "") -> dict[str, Any]:
        """Join by the session's code, as a guest where no token comes with it."""
        body = {"displayName": name} if name else {}
        return await self.api("POST", f"/api/sessions/{self.slug}/join", body, token=token)

    async def guest(self, name: str, **auth: str) -> Attendee:
        """A new guest, who is connected and knows the state; that much is heard."""
        joined = await self.join(name)
        return await self.enter(name, joined["token"], joined["participantId"], **auth)

    async def enter(self, name: str, token: str, participant_id: str, **auth: str) -> Attendee:
        """Open a client, and wait until it knows the state."""
        attendee = self.open(name, token, participant_id, **auth)
        await attendee.client.heard("session:state")
        await self.overlook(attendee)
        return attendee

    async def presenter(self) -> Attendee:
        """The presenter's own client."""
        return await self.enter("presenter", self.presenter_token, "", sessionId=self.session)

    def open(self, name: str, token: str, participant_id: str = "", **auth: str) -> Attendee:
        """Open a client, which may not be let in. It stays away after a cut until told to come back."""
        client = self.node.open(
            f"{name}-{len(self.people)}",
            f"{self.server.url}/polling",
            auth={"token": token, **auth},
            transports=["websocket"],
            reconnection=False,
        )
        attendee = Attendee(name, token, participant_id, client)
        self.people.append(attendee)
        return attendee

    async def hears(self, *lines: Line, within_s: float = PATIENCE_S) -> None:
        """Wait until everybody heard their lines; since the last look, nobody may have heard anything else."""
        with trio.move_on_after(within_s):
            for line in lines:
                for attendee in line.whom:
                    await attendee.client.until(partial(_among, line, attendee))
        await self.hush()
        faults = [fault for attendee in self.people for fault in _faults(attendee, lines)]
        assert not faults, "\n".join(faults)
        for attendee in self.people:
            self._check(attendee)
            attendee.looked = len(attendee.client.told)
        self.proven.update(line.event for line in lines if line.whom)

    async def overlook(self, *people: Attendee) -> None:
        """Let pass what these people, or all, have heard: it is proven elsewhere."""
        await self.hush()
        for attendee in people or self.people:
            attendee.looked = len(attendee.client.told)

    async def votes(self, who: Attendee, poll_id: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Vote: the ack."""
        asked = {"pollId": poll_id, "voteData": data, "participantId": who.participant_id, **more}
        answer: dict[str, Any] = await who.client.ask("vote:submitted", asked)
        return answer

    async def hush(self) -> None:
        """Wait until everybody has been told all that there was to tell."""
        if self._listener is None:
            self._listener = await self._listen()
        message = await self._listener.ask("chat.message.send", {"text": "hush", "idempotencyKey": str(uuid4())})
        said, heard = self._listener, message["messageId"]
        await said.until(lambda: heard in [shown["id"] for shown in said.payloads("chat.message.new")])
        for answer in [one.client.start_ask(HEARTBEAT, {}) for one in self.people if is_connected(one.client)]:
            assert (await answer())[0] == {"success": True}

    def close(self) -> None:
        """At the end: the test has seen what it is there for."""
        assert self.proof <= self.proven, f"never seen: {', '.join(sorted(self.proof - self.proven))}"

    async def _listen(self) -> Client:
        token = self.server.token(f"listener-{self.suffix}", role="ADMIN")
        quiet = await self.api("POST", "/api/sessions", {"title": "Quiet"}, token=token, status=201)
        client = self.node.open(f"listener-{self.suffix}", f"{self.server.url}/events", auth={"token": token})
        assert (await client.ask("session.join", {"sessionId": quiet["id"]}))["success"] is True
        return client

    def _check(self, attendee: Attendee) -> None:
        """What an offset says is what the payload says, and facts come in the order of the log, each once."""
        before = -1
        for event in events(attendee.client):
            if event.name == "connection:established":
                before = -1
            if event.offset:
                assert event.offset == event.event_id, event
                assert event.seq > before, f"{attendee.name}: {event} after {before}"
                before = event.seq


def is_connected(client: Client) -> bool:
    """Whether a client is connected, as far as it reports."""
    kinds = [told.kind for told in client.told if told.kind in ("connect", "disconnect")]
    return kinds[-1:] == ["connect"]


def events(client: Client, start: int = 0) -> list[Event]:
    """What a client was told on `/polling`, with what every event carries taken off."""
    found = []
    for told in client.told[start:]:
        if told.kind != "event":
            continue
        name, payload, *rest = told.args
        payload = dict(payload)
        event_id, session, at = (payload.pop(field, None) for field in ("eventId", "sessionId", "timestamp"))
        assert isinstance(event_id, str), (name, payload)
        assert EVENT_ID.fullmatch(event_id), (name, event_id)
        assert same(A_TIME, at), (name, at)
        assert isinstance(session, str), (name, session)
        found.append(Event(name, payload, event_id, rest[0] if rest else ""))
    return found


def news(attendee: Attendee) -> list[Event]:
    """What somebody heard since the last look, but for heartbeats."""
    return [event for event in events(attendee.client, attendee.looked) if event.name != HEARTBEAT]


def _among(line: Line, attendee: Attendee) -> bool:
    return any(event.name == line.event and same(line.payload, event.payload) for event in news(attendee))


def _faults(attendee: Attendee, lines: tuple[Line, ...]) -> Iterator[str]:
    mine = [(line.event, line.payload) for line in lines if attendee in line.whom]
    heard = news(attendee)
    counts, meant_counts = [event.payload for event in heard if event.counts], None
    facts = [(event.name, event.payload) for event in heard if not event.counts]
    meant = []
    for name, payload in mine:
        if name == COUNTS and "voteId" not in payload:
            meant_counts = payload
        else:
            meant.append((name, payload))
    if len(meant) != len(facts) or not all(
        a[0] == b[0] and same(a[1], b[1]) for a, b in zip(meant, facts, strict=True)
    ):
        yield f"{attendee.name} heard\n    {facts}\n  not\n    {meant}"
    if (meant_counts is None) != (not counts) or (counts and not same(meant_counts, counts[-1])):
        yield f"{attendee.name} was shown the counts\n    {counts[-1:]}\n  not\n    {meant_counts}"
