"""One session on its own: its heartbeat to the millisecond, its ends, and what its handler may do to others."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.backlog import Outgoing
from livehub.transports.connection import CLOSE_WAIT_S, CLOSING, Connection, Engine, Handler, Polled, Rejected
from livehub.transports.deadlines import Deadlines
from livehub.transports.handshake import EngineSettings, Handshake
from livehub.transports.outbox import PollOutbox, SocketOutbox
from livehub.wire.frames import BinaryFrame, Frame
from livehub.wire.packets import Packet, PacketType
from tests.raw import Application, Heard, Meter

SETTINGS = EngineSettings(goodbye_s=30)
CLIENT = Handshake({}, {}, "1.2.3.4")
BASE64 = Handshake({"b64": "1"}, {}, "1.2.3.4")


class Carrier:
    """An outbox that notes what goes out, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.finished = False
        self.killed_at: float | None = None
        self.on_full = self.kill

    @property
    def payloads(self) -> list[bytes]:
        return [data for _, data in self.sent]

    def write(self, frame: Outgoing) -> None:
        if not self.finished and self.killed_at is None:
            self.sent.append((trio.current_time(), frame.framed))

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        self.sent.append((trio.current_time(), joined))

    def finish(self) -> None:
        self.finished = True

    def kill(self) -> None:
        self.killed_at = trio.current_time() if self.killed_at is None else self.killed_at

    async def drained(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class Desk:
    """An engine without a port."""

    engine: Engine
    application: Application
    meter: Meter
    nursery: trio.Nursery

    def websocket(self, handshake: Handshake = CLIENT) -> tuple[Connection, Carrier, Heard]:
        carrier = Carrier()
        connection = self.engine.open(handshake, carrier)
        carrier.sent.clear()
        return connection, carrier, self.application.clients[-1]

    def polling(self) -> tuple[Connection, PollOutbox, Heard]:
        outbox = self.engine.open_polling(CLIENT, self.nursery.start_soon)
        outbox.take(1_000)
        heard = self.application.clients[-1]
        return heard.connection, outbox, heard


@pytest.fixture
async def desk(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    deadlines, application, meter = Deadlines(), Application(), Meter()
    await nursery.start(deadlines.run)
    engine = Engine(SETTINGS, application, deadlines, meter, lambda _: None)
    yield Desk(engine, application, meter, nursery)
    for session in list(engine.sessions.values()):
        session.abort("shutdown")


def message(data: str | bytes) -> Packet:
    return Packet(PacketType.MESSAGE, data)


PONG = Packet(PacketType.PONG, "")
PING_FRAME, CLOSE_FRAME = b"\x81\x012", b"\x88\x02\x03\xe8"


async def test_ids_are_secrets_of_twenty_characters(desk: Desk, autojump_clock: MockClock) -> None:
    sids = {desk.websocket()[0].sid for _ in range(100)}
    assert len(sids) == 100
    assert {len(sid) for sid in sids} == {20}


async def test_the_open_packet_goes_out_before_the_application_writes(desk: Desk, autojump_clock: MockClock) -> None:
    class Eager:
        def open(self, connection: Connection) -> Handler:
            connection.write(Frame(b"first"))
            return Heard(connection, desk.application)

    engine = Engine(SETTINGS, Eager(), desk.engine.deadlines, desk.meter, lambda _: None)
    carrier = Carrier()
    connection = engine.open(CLIENT, carrier)
    assert b'"sid":"%s"' % connection.sid.encode() in carrier.payloads[0]
    assert carrier.payloads[1] == b"\x81\x064first"
    connection.abort("shutdown")


async def test_pings_come_one_interval_after_the_open_and_after_each_pong(
    desk: Desk, autojump_clock: MockClock
) -> None:
    connection, carrier, heard = desk.websocket()
    start = trio.current_time()
    await trio.sleep(26)
    await connection.receive(PONG)
    await trio.sleep(27)
    await connection.receive(PONG)
    await trio.sleep(24)
    assert [(at - start, data) for at, data in carrier.sent] == [(25, PING_FRAME), (51, PING_FRAME)]
    assert heard.reasons == []


async def test_a_session_that_never_answers_is_gone_at_interval_and_timeout(
    desk: Desk, autojump_clock: MockClock
) -> None:
    _, carrier, heard = desk.websocket()
    start = trio.current_time()
    with trio.fail_after(60):
        await heard.over.wait()
    assert trio.current_time() - start == 45
    assert carrier.killed_at == start + 45
    assert heard.reasons == ["ping_timeout"]
    assert carrier.payloads == [PING_FRAME]


async def test_a_timeout_longer_than_the_interval_delays_no_ping(desk: Desk, autojump_clock: MockClock) -> None:
    settings = EngineSettings(ping_interval_s=10, ping_timeout_s=100)
    engine = Engine(settings, desk.application, desk.engine.deadlines, desk.meter, lambda _: None)
    carrier = Carrier()
    connection = engine.open(CLIENT, carrier)
    start = trio.current_time()
    await trio.sleep(11)
    await connection.receive(PONG)
    await trio.sleep(11)
    assert [at - start for at, _ in carrier.sent[1:]] == [10, 21]
    connection.abort("shutdown")


async def test_pongs_that_nobody_asked_for_cost_nothing(desk: Desk, autojump_clock: MockClock) -> None:
    connection, carrier, _ = desk.websocket()
    timers = len(desk.engine.deadlines._heap)
    for _ in range(100):
        await connection.receive(PONG)
    assert len(desk.engine.deadlines._heap) == timers
    await trio.sleep(25.5)
    assert carrier.payloads == [PING_FRAME]


async def test_close_is_a_goodbye_with_a_deadline(desk: Desk, autojump_clock: MockClock) -> None:
    connection, carrier, heard = desk.websocket()
    connection.write(Frame(b"last"))
    connection.close("superseded")
    start = trio.current_time()
    assert carrier.payloads == [b"\x81\x054last", CLOSE_FRAME]
    assert carrier.finished
    assert carrier.killed_at is None
    await trio.sleep(10)
    assert carrier.killed_at == start + CLOSE_WAIT_S
    assert heard.reasons == ["superseded"]
    assert desk.meter.closes == ["superseded"]


async def test_the_end_is_told_exactly_once_whatever_comes_after(desk: Desk, autojump_clock: MockClock) -> None:
    connection, _, heard = desk.websocket()
    connection.abort("shutdown")
    connection.abort("again")
    connection.close("again")
    connection.hang_up("again")
    connection.slow()
    connection.ended("transport_close")
    await connection.receive(message("too late"))
    await trio.sleep(100)
    assert heard.reasons == ["shutdown"]
    assert heard.messages == []
    assert desk.meter.closes == ["shutdown"]
    assert desk.meter.open == {"websocket": 0, "polling": 0}
    assert desk.engine.sessions == {}


async def test_a_handler_may_end_its_own_connection(desk: Desk, autojump_clock: MockClock) -> None:
    async def leave(heard: Heard, data: str | bytes) -> None:
        heard.connection.close("superseded")

    desk.application.answer = leave
    connection, carrier, heard = desk.websocket()
    await connection.receive(message("a"))
    await connection.receive(message("b"))
    assert heard.messages == ["a"]
    assert carrier.payloads == [CLOSE_FRAME]


async def test_a_handler_that_fails_at_the_end_fails_alone(
    desk: Desk, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Sour:
        async def message(self, data: str | bytes) -> None:
            raise RuntimeError("on purpose")

        def closed(self, reason: str) -> None:
            raise RuntimeError("on purpose")

        def open(self, connection: Connection) -> Handler:
            return self

    engine = Engine(SETTINGS, Sour(), desk.engine.deadlines, desk.meter, lambda _: None)
    connection = engine.open(CLIENT, Carrier())
    with caplog.at_level(logging.ERROR):
        await connection.receive(message("a"))
    assert connection.closed
    assert len(caplog.records) == 2
    assert desk.meter.closes == ["internal_error"]


async def test_a_full_outbox_shows_the_client_out(desk: Desk, autojump_clock: MockClock) -> None:
    connection, carrier, heard = desk.websocket()
    carrier.on_full()
    assert connection.closed
    assert heard.reasons == ["slow"]
    assert desk.meter.slow == 1


async def test_with_b64_every_binary_is_text(desk: Desk, autojump_clock: MockClock) -> None:
    connection, carrier, _ = desk.websocket(BASE64)
    frame = Frame(b"51-x", [b"\x01"])
    connection.write(frame)
    connection.write(BinaryFrame(b"\x02"))
    assert carrier.payloads == [b"\x81\x05451-x", b"\x81\x05bAQ==", b"\x81\x05bAg=="]


async def test_an_upgrade_moves_everything_and_the_heartbeat_goes_on(desk: Desk, autojump_clock: MockClock) -> None:
    connection, outbox, heard = desk.polling()
    carrier = Carrier()
    connection.write(Frame(b"one"))
    connection.upgrade(carrier)
    connection.write(Frame(b"two"))
    assert carrier.payloads == [b"\x81\x044one", b"\x81\x044two"]
    assert not outbox
    assert (connection.transport, desk.meter.open) == ("websocket", {"websocket": 1, "polling": 0})
    await trio.sleep(100)
    assert carrier.payloads[2:] == [PING_FRAME]
    assert heard.reasons == ["ping_timeout"]


async def test_drained_follows_an_upgrade(desk: Desk, autojump_clock: MockClock) -> None:
    connection, _, _ = desk.polling()
    connection.write(Frame(b"one"))
    waited: list[str] = []

    async def wait() -> None:
        await connection.drained()
        waited.append("drained")

    class Slow(Carrier):
        let = trio.Event()

        async def drained(self) -> None:
            await self.let.wait()

    desk.nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    carrier = Slow()
    connection.upgrade(carrier)
    await wait_all_tasks_blocked()
    assert waited == []
    carrier.let.set()
    await wait_all_tasks_blocked()
    assert waited == ["drained"]


async def test_a_polling_session_keeps_its_last_words_for_a_while(desk: Desk, autojump_clock: MockClock) -> None:
    connection, _, _ = desk.polling()
    connection.write(Frame(b"last"))
    connection.close("superseded")
    await trio.sleep(29.9)
    assert desk.engine.last_words(connection.sid) == b"4last\x1e1"
    assert desk.engine.last_words(connection.sid) is None
    other, _, _ = desk.polling()
    other.close("superseded")
    await trio.sleep(30.1)
    assert desk.engine.last_words(other.sid) is None


async def test_last_words_do_not_overflow(desk: Desk, autojump_clock: MockClock) -> None:
    settings = EngineSettings(outbox_bytes_max=200)
    engine = Engine(settings, desk.application, desk.engine.deadlines, desk.meter, lambda _: None)
    outbox = engine.open_polling(CLIENT, desk.nursery.start_soon)
    outbox.take(1_000)
    connection = desk.application.clients[-1].connection
    connection.write(Frame(b"x" * 200))
    connection.close("superseded")
    assert engine.last_words(connection.sid) is None
    assert desk.application.clients[-1].reasons == ["superseded"]
    assert desk.meter.slow == 0


async def test_a_client_that_hangs_up_leaves_nothing_behind(desk: Desk, autojump_clock: MockClock) -> None:
    connection, outbox, _ = desk.polling()
    connection.write(Frame(b"last"))
    connection.hang_up("client_close")
    assert desk.engine.last_words(connection.sid) is None
    assert not outbox


async def test_posts_are_handled_one_after_another_while_few_wait(desk: Desk, autojump_clock: MockClock) -> None:
    let = trio.Event()

    async def slow(heard: Heard, data: str | bytes) -> None:
        await let.wait()

    desk.application.answer = slow
    connection, _, heard = desk.polling()
    polled = connection.polled
    assert polled is not None
    answers: list[bool] = []

    async def put(text: str) -> None:
        assert polled is not None
        answers.append(await polled.put([message(text)]))

    for text in ("a", "b"):
        desk.nursery.start_soon(put, text)
        await wait_all_tasks_blocked()
    assert (heard.messages, answers) == (["a"], [True])
    let.set()
    await wait_all_tasks_blocked()
    assert (heard.messages, answers) == (["a", "b"], [True, True])
    connection.abort("shutdown")
    assert not await polled.put([message("c")])
    await polled.over()


async def test_packets_after_the_end_are_not_handled(desk: Desk, autojump_clock: MockClock) -> None:
    connection, _, heard = desk.polling()
    polled = Polled(connection, 2)
    desk.nursery.start_soon(polled.run)
    await polled.put([message("a"), Packet(PacketType.CLOSE, ""), message("b")])
    await wait_all_tasks_blocked()
    polled.close()
    await polled.over()
    assert heard.messages == ["a"]
    assert heard.reasons == ["client_close"]


async def test_who_may_come_is_asked_for_each_new_session(desk: Desk, autojump_clock: MockClock) -> None:
    rejected = Rejected("connections_full")
    engine = Engine(SETTINGS, desk.application, desk.engine.deadlines, desk.meter, lambda _: rejected)
    assert engine.refuses(CLIENT) is rejected
    assert desk.engine.refuses(CLIENT) is None
    desk.engine.closing = True
    assert desk.engine.refuses(CLIENT) is CLOSING


@asynccontextmanager
async def on_a_socket(desk: Desk) -> AsyncIterator[tuple[Connection, socket.socket]]:
    """A connection whose client holds the other end of a socket; its open packet is read already."""
    near, far = trio.socket.socketpair()
    with near, far:
        outbox = SocketOutbox(near, SETTINGS.outbox_bytes_max, desk.nursery.start_soon)
        connection = desk.engine.open(CLIENT, outbox)
        await far.recv(1_000)
        with socket.socket(fileno=os.dup(far.fileno())) as client:
            yield connection, client
        connection.abort("shutdown")


def here(client: socket.socket) -> bytes:
    """What has come so far; nothing is waited for."""
    try:
        return client.recv(1_000)
    except BlockingIOError:
        return b"nothing"


async def test_what_is_said_at_once_goes_out_together(desk: Desk, autojump_clock: MockClock) -> None:
    async with on_a_socket(desk) as (connection, client):

        def say() -> None:
            connection.write(Frame(b"one"))
            connection.at_once(partial(connection.write, Frame(b"two")))
            connection.write(BinaryFrame(b"\x03"))
            assert here(client) == b"nothing"

        connection.at_once(say)
        assert here(client) == b"\x81\x044one\x81\x044two\x82\x01\x03"
        connection.write(Frame(b"alone"))
        assert here(client) == b"\x81\x064alone"


async def test_whoever_fails_in_the_middle_has_said_the_first_half(desk: Desk, autojump_clock: MockClock) -> None:
    async with on_a_socket(desk) as (connection, client):

        def say() -> None:
            connection.write(Frame(b"one"))
            raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            connection.at_once(say)
        connection.write(Frame(b"two"))
        assert here(client) == b"\x81\x044one\x81\x044two"


async def test_a_connection_may_be_closed_by_what_is_said_at_once(desk: Desk, autojump_clock: MockClock) -> None:
    async with on_a_socket(desk) as (connection, client):

        def say() -> None:
            connection.write(Frame(b"one"))
            connection.close("superseded")
            connection.write(Frame(b"too late"))

        connection.at_once(say)
        assert here(client) == b"\x81\x044one" + CLOSE_FRAME
        assert here(client) == b"", "and the end"
    async with on_a_socket(desk) as (connection, client):
        connection.at_once(partial(connection.abort, "shutdown"))
        connection.at_once(partial(connection.write, Frame(b"too late")))
        assert here(client) == b""


async def test_other_outboxes_are_told_one_by_one(desk: Desk, autojump_clock: MockClock) -> None:
    polling, outbox, _ = desk.polling()
    arrivals: list[str] = []
    outbox.arrived = lambda: arrivals.append("arrived")

    def say(connection: Connection) -> None:
        connection.write(Frame(b"one"))
        connection.write(Frame(b"two"))

    polling.at_once(partial(say, polling))
    assert arrivals == ["arrived", "arrived"], "a parked GET is let go by the first"
    assert outbox.take(1_000) == b"4one\x1e4two"
    other, carrier, _ = desk.websocket()
    other.at_once(partial(say, other))
    assert carrier.payloads == [b"\x81\x044one", b"\x81\x044two"]
