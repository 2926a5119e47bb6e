"""Socket.IO over a connection: what an application hears and says, and what ends one connection and no other."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.contracts.socket import Socket as ContractSocket
from livehub.metrics import Metrics
from livehub.transports.connection import Connection, Endpoint, Handler
from livehub.transports.deadlines import Deadlines
from livehub.transports.sockets import Socket, SocketEndpoint
from livehub.wire.frames import Frame, Kind
from livehub.wire.jsontext import JSON
from livehub.wire.messages import EventName
from livehub.wire.sockets import NAMESPACES_MAX


class Wire:
    """Stands in for a connection: keeps what is written until it is closed, then tells its handler, once."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ends: list[tuple[str, str]] = []
        self.handler: Handler | None = None
        self.full = False

    def write(self, frame: Frame) -> None:
        if self.full:
            self._over("abort", "slow")
        if not self.ends:
            self.frames.append(frame)

    @property
    def outbox(self) -> Wire:
        return self

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        assert joined == b"".join(frame.framed for frame in frames)
        for frame in frames:
            self.write(frame)

    def close(self, reason: str) -> None:
        self._over("close", reason)

    def abort(self, reason: str) -> None:
        self._over("abort", reason)

    def _over(self, how: str, reason: str) -> None:
        if not self.ends:
            self.ends.append((how, reason))
            assert self.handler is not None
            self.handler.closed(reason)

    def taken(self) -> list[str]:
        """What was written since the last look."""
        frames, self.frames = self.frames, []
        return [frame.text.decode() for frame in frames]


async def let_in(socket: Socket, auth: dict[str, JSON]) -> None:
    socket.accept("sid")


class App:
    """A namespace that notes what happens; a test may decide how it connects and what an event does."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.auths: list[dict[str, JSON]] = []
        self.events: list[tuple[EventName, list[JSON], int | None]] = []
        self.goodbyes: list[tuple[Socket, str]] = []
        self.on_connect: Callable[[Socket, dict[str, JSON]], Awaitable[None]] = let_in
        self.on_event: Callable[[Socket], Awaitable[None]] = self.nothing

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        self.sockets.append(socket)
        self.auths.append(auth)
        await self.on_connect(socket, auth)

    async def event(self, socket: Socket, name: EventName, args: list[JSON], ack_id: int | None) -> None:
        self.events.append((name, args, ack_id))
        await self.on_event(socket)

    def gone(self, socket: Socket, reason: str) -> None:
        assert not socket.connected
        self.goodbyes.append((socket, reason))

    async def nothing(self, socket: Socket) -> None:
        pass


class Client:
    """One connection to an endpoint."""

    def __init__(self, endpoint: SocketEndpoint) -> None:
        self.wire = Wire()
        self.handler = self.wire.handler = endpoint.open(cast(Connection, self.wire))

    async def send(self, *messages: str | bytes) -> list[str]:
        """What is written in answer."""
        for message in messages:
            await self.handler.message(message)
        return self.wire.taken()


class Hall:
    """An endpoint with two namespaces."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.root, self.chat, self.metrics = App(), App(), Metrics()
        self.endpoint = SocketEndpoint(
            {"/": self.root, "/chat": self.chat}, deadlines=deadlines, meter=self.metrics, connect_timeout_s=45.0
        )

    def client(self) -> Client:
        return Client(self.endpoint)

    async def inside(self) -> tuple[Client, Socket]:
        """A client that has joined `/`."""
        client = self.client()
        await client.send("0")
        return client, self.root.sockets[-1]

    def counted(self, namespace: str) -> int:
        found = re.search(rf'livehub_sockets{{namespace="{namespace}"}} (\d+)', self.metrics.render()[0].decode())
        return int(found[1]) if found else 0


@pytest.fixture
async def hall() -> Hall:
    return Hall(Deadlines())


def test_the_shapes_fit_their_seams() -> None:
    """Checked by the type checker; what is asserted is only that the names are there."""
    contract: type[ContractSocket] = Socket
    endpoint: type[Endpoint] = SocketEndpoint
    assert all((contract, endpoint))


async def test_a_client_is_let_in_with_its_auth_and_ids(hall: Hall) -> None:
    async def connect(socket: Socket, auth: dict[str, JSON]) -> None:
        socket.accept("public", "private")

    hall.root.on_connect = connect
    client = hall.client()
    assert await client.send('0{"token":"t"}') == ['0{"sid":"public","pid":"private"}']
    socket = hall.root.sockets[0]
    assert hall.root.auths == [{"token": "t"}]
    assert (socket.sid, socket.namespace, socket.connected) == ("public", "/", True)
    assert socket.connection is cast(Any, client.wire)


async def test_ids_are_made_and_missing_auth_is_empty(hall: Hall) -> None:
    async def connect(socket: Socket, auth: dict[str, JSON]) -> None:
        socket.accept()

    hall.chat.on_connect = connect
    answers = [*await hall.client().send("0/chat"), *await hall.client().send("0/chat,")]
    ids = [re.fullmatch(r'0/chat,{"sid":"([A-Za-z0-9_-]{20})"}', answer) for answer in answers]
    assert len({found[1] for found in ids if found}) == 2
    assert hall.chat.auths == [{}, {}]


async def test_a_client_is_refused_and_may_ask_again(hall: Hall) -> None:
    async def refuse(socket: Socket, auth: dict[str, JSON]) -> None:
        socket.refuse("No", {"code": 1} if auth else None)

    hall.root.on_connect = refuse
    client = hall.client()
    assert await client.send("0", '0{"a":1}') == ['4{"message":"No"}', '4{"message":"No","data":{"code":1}}']
    hall.root.sockets[0].emit("late")
    hall.root.on_connect = let_in
    assert await client.send("0") == ['0{"sid":"sid"}']
    assert hall.root.goodbyes == []


async def test_only_the_first_answer_counts(hall: Hall) -> None:
    client, socket = await hall.inside()
    socket.accept("other")
    socket.refuse("No")
    assert client.wire.taken() == []
    assert socket.sid == "sid"


async def test_a_connect_that_nobody_answers_is_refused(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    async def forget(socket: Socket, auth: dict[str, JSON]) -> None:
        pass

    hall.root.on_connect = forget
    client = hall.client()
    assert await client.send("0") == ['4{"message":"Internal error"}']
    assert "neither accepted nor refused" in caplog.text
    assert client.wire.ends == []


async def test_unknown_and_too_many_namespaces_are_refused(hall: Hall) -> None:
    client = hall.client()
    assert await client.send("0/no") == ['4/no,{"message":"Invalid namespace"}']
    endpoint = SocketEndpoint({f"/{number}": App() for number in range(NAMESPACES_MAX + 1)}, Deadlines())
    client = Client(endpoint)
    for number in range(NAMESPACES_MAX):
        assert await client.send(f"0/{number}") == [f'0/{number},{{"sid":"sid"}}']
    assert await client.send(f"0/{NAMESPACES_MAX}") == [f'4/{NAMESPACES_MAX},{{"message":"Too many namespaces"}}']
    assert await client.send("1/0", f"0/{NAMESPACES_MAX}") == [f'0/{NAMESPACES_MAX},{{"sid":"sid"}}']


def test_a_namespace_is_a_path_that_can_be_told_on_the_wire() -> None:
    for path in ("chat", "/a,b", "/a?b", ""):
        with pytest.raises(ValueError, match="a namespace is a path"):
            SocketEndpoint({path: App()}, Deadlines())


async def test_events_arrive_in_order_and_are_answered(hall: Hall) -> None:
    client, socket = await hall.inside()
    await client.send('2["a",1,{"x":null}]', '27["b"]', "2[5]", '51-["up",{"_placeholder":true,"num":0}]', b"blob")
    assert hall.root.events == [("a", [1, {"x": None}], None), ("b", [], 7), (5, [], None), ("up", [b"blob"], None)]
    socket.acknowledge(7, {"success": True}, 2)
    socket.acknowledge(8)
    assert [frame.kind for frame in client.wire.frames] == [Kind.ACK, Kind.ACK]
    assert client.wire.taken() == ['37[{"success":true},2]', "38[]"]


async def test_acks_of_the_client_are_nobodys_business(hall: Hall) -> None:
    client, _ = await hall.inside()
    assert await client.send("3999[]") == []
    assert hall.root.events == []
    assert client.wire.ends == []


async def test_a_socket_emits_with_binaries_kinds_and_keys(hall: Hall) -> None:
    client, socket = await hall.inside()
    client.wire.taken()
    socket.emit("fact", 1, None)
    socket.emit("poll", {"votes": 2}, kind=Kind.VIEW, key="poll:1")
    socket.emit("picture", b"blob")
    assert [(frame.kind, frame.key) for frame in client.wire.frames] == [
        (Kind.FACT, None), (Kind.VIEW, "poll:1"), (Kind.FACT, None),
    ]  # fmt: skip
    assert client.wire.frames[2].attachments == [b"blob"]
    assert client.wire.taken() == [
        '2["fact",1,null]',
        '2["poll",{"votes":2}]',
        '51-["picture",{"_placeholder":true,"num":0}]',
    ]


async def test_a_reserved_name_is_not_emitted(hall: Hall) -> None:
    _, socket = await hall.inside()
    with pytest.raises(ValueError, match="reserved"):
        socket.emit("disconnect")


async def test_the_past_is_told_before_the_connect_is_answered(hall: Hall) -> None:
    async def recover(socket: Socket, auth: dict[str, JSON]) -> None:
        missed = Frame(b'2/chat,["missed","e-1"]')
        socket.connection.outbox.write_joined([missed, missed], missed.framed * 2)
        socket.emit("also")
        socket.accept("old", "pid")
        socket.emit("now")

    hall.chat.on_connect = recover
    assert await hall.client().send("0/chat,") == [
        '2/chat,["missed","e-1"]', '2/chat,["missed","e-1"]', '2/chat,["also"]', '0/chat,{"sid":"old","pid":"pid"}',
        '2/chat,["now"]',
    ]  # fmt: skip


async def test_a_client_leaves_one_namespace_and_stays_in_the_other(hall: Hall) -> None:
    client, socket = await hall.inside()
    assert await client.send("0/chat", "1/chat") == ['0/chat,{"sid":"sid"}']
    chat = hall.chat.sockets[0]
    assert hall.chat.goodbyes == [(chat, "client_disconnect")]
    chat.emit("late")
    chat.acknowledge(1)
    chat.disconnect()
    assert await client.send('2["a"]', "1") == []
    assert hall.root.goodbyes == [(socket, "client_disconnect")]
    assert client.wire.ends == []  # and the connection stays open without any
    assert await client.send("0") == ['0{"sid":"sid"}']
    assert hall.root.sockets[-1] is not socket


async def test_a_client_is_shown_out_and_its_connection_stays(hall: Hall) -> None:
    client, socket = await hall.inside()
    client.wire.taken()
    socket.disconnect()
    socket.disconnect()
    socket.emit("late")
    assert client.wire.taken() == ["1"]
    assert hall.root.goodbyes == [(socket, "server_disconnect")]
    assert client.wire.ends == []
    assert await client.send("1", "0") == ['0{"sid":"sid"}']  # its own goodbye crossed ours


async def test_a_socket_that_was_not_let_in_is_not_shown_out(hall: Hall) -> None:
    async def connect(socket: Socket, auth: dict[str, JSON]) -> None:
        socket.disconnect()
        socket.refuse("No")

    hall.root.on_connect = connect
    assert await hall.client().send("0") == ['4{"message":"No"}']


async def test_an_ack_is_not_sent_to_whoever_comes_after(hall: Hall) -> None:
    client, before = await hall.inside()
    assert await client.send('21["slow"]', "1", "0") == ['0{"sid":"sid"}']
    before.acknowledge(1, "late")
    assert client.wire.taken() == []


async def test_every_socket_is_told_once_that_its_connection_is_over(hall: Hall) -> None:
    client, socket = await hall.inside()
    await client.send("0/chat")
    client.wire.abort("ping_timeout")
    assert hall.root.goodbyes == [(socket, "ping_timeout")]
    assert hall.chat.goodbyes == [(hall.chat.sockets[0], "ping_timeout")]
    client.wire.taken()
    socket.disconnect()
    socket.accept()
    socket.acknowledge(1)
    assert await client.send('2["a"]', "0/chat") == []
    assert hall.root.events == []
    assert len(hall.root.goodbyes) == 1


@pytest.mark.parametrize(
    "bad",
    ["hello", "2[]", '2["connect"]', "0", '4{"message":"x"}', '2/chat,["a"]', b"blob", '511-["a"]', '2["a"',
     '51-["a",{"_placeholder":true,"num":3}]'],
)  # fmt: skip
async def test_what_breaks_the_protocol_closes_the_connection(
    hall: Hall, caplog: pytest.LogCaptureFixture, bad: str | bytes
) -> None:
    client, socket = await hall.inside()
    other, _ = await hall.inside()
    client.wire.taken()
    await client.send(bad, '2["after"]', "0/chat", bad)
    assert client.wire.ends == [("close", "parse_error")]
    assert hall.root.goodbyes == [(socket, "parse_error")]
    assert hall.root.events == []
    assert hall.chat.sockets == []
    assert [(record.levelno, record.msg) for record in caplog.records] == [(logging.WARNING, "malformed packet: %s")]
    await other.send('2["still here"]')
    assert hall.root.events == [("still here", [], None)]


@pytest.mark.parametrize("accepts_first", [False, True])
async def test_a_failing_connect_closes_this_connection_only(
    hall: Hall, caplog: pytest.LogCaptureFixture, accepts_first: bool
) -> None:
    async def fail(socket: Socket, auth: dict[str, JSON]) -> None:
        if accepts_first:
            socket.accept("sid")
        raise RuntimeError("the application is wrong")

    other, _ = await hall.inside()
    hall.root.on_connect = fail
    client = hall.client()
    assert await client.send("0", '2["a"]') == (['0{"sid":"sid"}'] if accepts_first else [])
    assert client.wire.ends == [("close", "internal_error")]
    assert hall.root.goodbyes == ([(hall.root.sockets[-1], "internal_error")] if accepts_first else [])
    assert "the application is wrong" in caplog.text
    assert other.wire.ends == []


async def test_a_failing_event_closes_this_connection_only(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(socket: Socket) -> None:
        raise RuntimeError("the application is wrong")

    client, socket = await hall.inside()
    other, _ = await hall.inside()
    client.wire.taken()
    hall.root.on_event = fail
    assert await client.send('21["a"]', '22["b"]') == []
    assert hall.root.events == [("a", [], 1)]
    assert client.wire.ends == [("close", "internal_error")]
    assert hall.root.goodbyes == [(socket, "internal_error")]
    assert "Traceback" in caplog.text
    assert other.wire.ends == []


async def test_a_failing_goodbye_does_not_keep_the_others_from_theirs(
    hall: Hall, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(socket: Socket, reason: str) -> None:
        raise RuntimeError("the application is wrong")

    client, _ = await hall.inside()
    await client.send("0/chat")
    monkeypatch.setattr(hall.root, "gone", fail)
    client.wire.abort("ping_timeout")
    assert len(hall.chat.goodbyes) == 1
    assert "the application is wrong" in caplog.text


async def test_a_connection_that_ends_while_connecting_leaves_nothing_behind(
    hall: Hall, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    proceed, connected = trio.Event(), []

    async def slow(socket: Socket, auth: dict[str, JSON]) -> None:
        await proceed.wait()
        socket.emit("past")
        socket.accept("sid")
        socket.refuse("No")
        connected.append(socket.connected)

    hall.root.on_connect = slow
    client = hall.client()
    nursery.start_soon(client.send, "0")
    await wait_all_tasks_blocked()
    client.wire.abort("transport_close")
    proceed.set()
    await wait_all_tasks_blocked()
    assert connected == [False]
    assert client.wire.taken() == []
    assert hall.root.goodbyes == []
    assert hall.counted("/") == 0


async def test_a_client_shown_out_while_its_event_is_served_gets_no_ack(hall: Hall) -> None:
    async def show_out(socket: Socket) -> None:
        socket.disconnect()
        socket.acknowledge(1)

    client, socket = await hall.inside()
    client.wire.taken()
    hall.root.on_event = show_out
    assert await client.send('21["a"]') == ["1"]
    assert hall.root.goodbyes == [(socket, "server_disconnect")]


@pytest.mark.parametrize("moment", ["accept", "disconnect", "emit"])
async def test_a_reader_too_slow_for_an_answer_is_told_gone_once(hall: Hall, moment: str) -> None:
    client = hall.client()
    client.wire.full = moment == "accept"
    await client.send("0")
    client.wire.full = True
    socket = hall.root.sockets[0]
    if moment == "disconnect":
        socket.disconnect()
    socket.emit("late")
    assert client.wire.ends == [("abort", "slow")]
    assert hall.root.goodbyes == [(socket, "server_disconnect" if moment == "disconnect" else "slow")]
    assert hall.counted("/") == 0


async def test_sockets_are_counted_by_namespace(hall: Hall) -> None:
    client, _ = await hall.inside()
    await hall.inside()
    await client.send("0/chat")
    assert (hall.counted("/"), hall.counted("/chat")) == (2, 1)
    await client.send("1")
    assert (hall.counted("/"), hall.counted("/chat")) == (1, 1)
    client.wire.abort("ping_timeout")
    assert (hall.counted("/"), hall.counted("/chat")) == (1, 0)


@asynccontextmanager
async def running_deadlines() -> AsyncIterator[Deadlines]:
    deadlines = Deadlines()
    async with trio.open_nursery() as nursery:
        await nursery.start(deadlines.run)
        yield deadlines
        nursery.cancel_scope.cancel()


async def test_who_joins_nothing_is_closed_at_the_deadline(autojump_clock: MockClock) -> None:
    async with running_deadlines() as deadlines:
        hall = Hall(deadlines)
        silent, unknown, late = hall.client(), hall.client(), hall.client()
        await unknown.send("0/no")
        await trio.sleep(44.9)
        assert silent.wire.ends == unknown.wire.ends == []
        await late.send("0")
        await trio.sleep(0.2)
        assert silent.wire.ends == unknown.wire.ends == [("close", "connect_timeout")]
        assert await unknown.send("0") == []
        assert late.wire.ends == []


async def test_the_deadline_is_off_once_a_namespace_was_joined(autojump_clock: MockClock) -> None:
    async with running_deadlines() as deadlines:
        hall = Hall(deadlines)
        client, _ = await hall.inside()
        await client.send("1")
        await trio.sleep(100)
        assert client.wire.ends == []


async def test_who_is_still_connecting_at_the_deadline_is_closed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with running_deadlines() as deadlines:
        hall = Hall(deadlines)

        async def slow(socket: Socket, auth: dict[str, JSON]) -> None:
            await trio.sleep(60)
            socket.accept()

        hall.root.on_connect = slow
        client = hall.client()
        nursery.start_soon(client.send, "0")
        await trio.sleep(61)
        assert client.wire.ends == [("close", "connect_timeout")]
        assert hall.root.goodbyes == []


MESSAGES = st.lists(
    st.sampled_from(
        [
            '0{"a":1}',
            "0/chat",
            "1",
            "1/chat",
            '21["a"]',
            '2/chat,["b"]',
            b"x",
            "31[]",
            '51-["a",{"_placeholder":true,"num":0}]',
        ]
    )
    | st.text()
    | st.binary(),
    max_size=20,
)


@given(MESSAGES)
def test_whatever_a_client_sends_its_sockets_come_and_go_in_pairs(messages: list[str | bytes]) -> None:
    async def play() -> None:
        hall = Hall(Deadlines())
        client = hall.client()
        for message in messages:
            await client.send(message)
        client.wire.abort("over")
        for app in (hall.root, hall.chat):
            assert [socket for socket, _ in app.goodbyes] == app.sockets
        assert hall.counted("/") == hall.counted("/chat") == 0

    trio.run(play)
