"""The peer does what livehub does, as far as it goes: a comparison with a server that does less would mean nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import jwt
import orjson
import pytest
import trio

from loadtest.client import ConnectFailed, Connection, ConnectRefused, Hub, decode
from loadtest.targets import Target, target
from tests.harness import SECRET, Server
from tests.loadtest.peer import hub_running
from tests.loadtest.socketiopeer import SocketIoPeer

PATIENCE_S = 10
OFFSET_DIGITS = 6  # by so many bytes the number of an event may be longer or shorter


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    with SocketIoPeer() as running:
        yield running.url


@pytest.fixture(scope="module")
def livehub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Server(Path(tmp_path_factory.mktemp("livehub"))) as server:
        yield server.url


class Person:
    """A connection that keeps what it hears."""

    def __init__(self, hub: Hub, url: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._more = trio.Event()
        self.connection = Connection(hub, host=url, heard=self._hear, closed=lambda reason: None)

    def _hear(self, event: str, packet: bytes) -> None:
        self.heard.append((event, packet))
        self._more.set()

    async def ask(self, event: str, payload: object) -> Any:
        """The ack."""
        return (await self.connection.ask(event, payload))[0]

    async def told(self, event: str) -> Any:
        """The payload of the next push of this name."""
        return decode(await self.next(event))[1]

    async def next(self, *events: str) -> bytes:
        """The next push of these names; those before it are forgotten."""
        with trio.fail_after(PATIENCE_S):
            while True:
                while self.heard:
                    name, packet = self.heard.pop(0)
                    if name in events:
                        return packet
                self._more = trio.Event()
                await self._more.wait()


@asynccontextmanager
async def person(url: str, number: int = 1) -> AsyncIterator[Person]:
    async with hub_running() as hub:
        somebody = Person(hub, url)
        await somebody.connection.open(target("livehub", SECRET).auth(number))
        yield somebody
        await somebody.connection.close()


def say(text: object = "hello", **more: object) -> dict[str, object]:
    return {"text": text, "idempotencyKey": str(uuid4()), **more}


ASKS: list[tuple[str, str, object]] = [
    ("a message", "chat.message.send", say()),
    ("the longest message", "chat.message.send", say("x" * 1_000)),
    ("the longest message of large characters", "chat.message.send", say("🎉" * 1_000)),
    ("too long a message", "chat.message.send", say("x" * 1_001)),
    ("no message", "chat.message.send", say("")),
    ("white space", "chat.message.send", say("  ")),
    ("no text", "chat.message.send", say(7)),
    ("a key that is none", "chat.message.send", say(idempotencyKey="7")),
    ("no key", "chat.message.send", {"text": "hello"}),
    ("an unknown field", "chat.message.send", say(colour="red")),
    ("a session not joined", "chat.message.send", say(sessionId="elsewhere")),
    ("a session that cannot be", "session.join", {"sessionId": "else where"}),
    ("no object", "chat.message.send", [1]),
    ("a reaction", "reaction.send", {"emoji": "🔥"}),
    ("a reaction that is none", "reaction.send", {"emoji": "x"}),
    ("a reaction not on the list", "reaction.send", {"emoji": "🐌"}),
]


@pytest.mark.parametrize(("what", "event", "payload"), ASKS, ids=[what for what, _, _ in ASKS])
async def test_both_answer_alike(peer: str, livehub: str, what: str, event: str, payload: object) -> None:
    answers = []
    for url in (peer, livehub):
        async with person(url) as somebody:
            assert (await somebody.ask("session.join", {"sessionId": "alike"})) == {
                "success": True,
                "sessionId": "alike",
            }
            answers.append(await somebody.ask(event, payload))
    ours, theirs = answers
    assert ours["success"] == theirs["success"], what
    assert sorted(ours) == sorted(theirs)
    if not ours["success"]:
        assert ours["error"]["statusCode"] == theirs["error"]["statusCode"]


async def test_both_tell_the_room_events_of_one_size(peer: str, livehub: str) -> None:
    packets, events = [], []
    for url in (peer, livehub):
        async with person(url) as somebody:
            await somebody.ask("session.join", {"sessionId": "size"})
            await somebody.ask("chat.message.send", say("." * 50))
            packets.append(await somebody.next("chat.message.new"))
            events.append(cast(dict[str, Any], decode(packets[-1])[1]))
    assert sorted(events[0]) == sorted(events[1])
    assert abs(len(packets[0]) - len(packets[1])) <= OFFSET_DIGITS


async def test_a_filled_text_makes_a_frame_of_that_size_on_both(peer: str, livehub: str) -> None:
    for url in (peer, livehub):
        async with person(url) as somebody:
            await somebody.ask("session.join", {"sessionId": "filled"})
            text = target("livehub", SECRET).fill("[trace] ", "filled", 365)
            await somebody.ask("chat.message.send", say(text))
            packet = await somebody.next("chat.message.new")
            assert abs(len(packet) - 365) <= OFFSET_DIGITS


async def test_a_newcomer_gets_the_last_fifty_messages_from_both(peer: str, livehub: str) -> None:
    for url in (peer, livehub):
        session = f"history-{uuid4().hex}"
        async with person(url, 1) as first:
            await first.ask("session.join", {"sessionId": session})
            for number in range(51):
                await first.ask("chat.message.send", say(str(number)))
        async with person(url, 2) as second:
            await second.ask("session.join", {"sessionId": session})
            snapshot = await second.told("session.snapshot")
        assert [message["text"] for message in snapshot["messages"]] == [str(number) for number in range(1, 51)]
        assert set(snapshot) == {
            "sessionId", "alerts", "messages", "slide", "leaderboard", "activePoll", "questions", "teams",
        }  # fmt: skip


def tokens() -> Iterator[tuple[str, str]]:
    """Made anew for each test: they end soon."""
    now_s = int(time.time())
    good = {"sub": "ada", "email": "ada@example.org", "orgId": "org", "exp": now_s + 60}
    yield "a good one", jwt.encode(good, SECRET, "HS256")
    yield "just expired, within the leeway", jwt.encode({**good, "exp": now_s - 10}, SECRET, "HS256")
    yield "expired", jwt.encode({**good, "exp": now_s - 60}, SECRET, "HS256")
    yield "without an end", jwt.encode({"sub": "ada"}, SECRET, "HS256")
    yield "of another secret", jwt.encode(good, SECRET * 2, "HS256")
    yield "of another algorithm", jwt.encode(good, SECRET, "HS512")
    yield "without a person", jwt.encode({"exp": now_s + 60}, SECRET, "HS256")
    yield "with an odd person", jwt.encode({**good, "sub": "a b"}, SECRET, "HS256")
    yield "with an odd e-mail", jwt.encode({**good, "email": 7}, SECRET, "HS256")
    yield "with an odd organisation", jwt.encode({**good, "orgId": "x" * 129}, SECRET, "HS256")
    yield "none at all", ""


async def let_in(url: str, token: str) -> bool:
    """livehub says no after the CONNECT, as contract 1 has it; the peer instead of it, as Socket.IO does."""
    async with hub_running() as hub:
        somebody = Person(hub, url)
        try:
            await somebody.connection.open({"token": token})
        except (ConnectRefused, ConnectFailed):
            return False
        packet = await somebody.next("connectionAcknowledged", "systemError")
        await somebody.connection.close()
        return b"connectionAcknowledged" in packet


@pytest.mark.parametrize("what", [what for what, _ in tokens()])
async def test_both_let_the_same_people_in(peer: str, livehub: str, what: str) -> None:
    token = dict(tokens())[what]
    assert await let_in(peer, token) == await let_in(livehub, token) == ("good" in what or "leeway" in what)


async def test_reactions_come_as_one_burst(peer: str) -> None:
    async with person(peer) as somebody:
        await somebody.ask("session.join", {"sessionId": "burst"})
        for _ in range(11):
            assert (await somebody.ask("reaction.send", {"emoji": "🎉"}))["success"]
        counts = [(await somebody.told("reaction.burst"))["🎉"]]
        if counts[0] < 10:  # the tick came between them
            counts.append((await somebody.told("reaction.burst"))["🎉"])
    assert sum(counts) in (10, 11)
    assert max(counts) <= 10


async def test_it_recovers_connections_only_when_it_is_told_to() -> None:
    for options, recovers in (((), False), (("--recovery",), True)):
        with SocketIoPeer(*options) as running:
            async with hub_running() as hub:
                first, auth = Person(hub, running.url), target("socketio", SECRET).auth(1)
                await first.connection.open(auth)
                await first.ask("session.join", {"sessionId": "again"})
                await first.next("session.snapshot")
                recovery = first.connection.recovery
                assert (recovery is not None) == recovers
                first.connection.cut()
                back = Person(hub, running.url)
                opened = await back.connection.open({**auth, **(recovery.auth() if recovery else {})})
                assert opened.recovered == recovers
                await back.connection.close()


def test_it_tells_what_it_counted(peer: str) -> None:
    text = httpx.get(f"{peer}/metrics").text
    assert "peer_connections " in text
    assert "peer_messages_total " in text
    assert httpx.get(f"{peer}/elsewhere").status_code == 404


def test_the_length_that_targets_reckon_with_is_what_json_says() -> None:
    aim: Target = target("livehub")
    plain = aim.chat_frame_bytes("hall", "x")
    assert aim.chat_frame_bytes("hall", 'x"') == plain + len(orjson.dumps('x"')) - len(orjson.dumps("x"))
