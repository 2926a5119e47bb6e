"""A connection: one Engine.IO session, whatever carries it, and the endpoint's table of all of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from livehub.ports import Meter
from livehub.transports.deadlines import Deadlines, Timer
from livehub.transports.handshake import EngineSettings, Handshake
from livehub.transports.outbox import Outbox, PollOutbox, SocketOutbox, Spawn
from livehub.wire.engine import Beat, Heartbeat, SessionOver, receive
from livehub.wire.frames import BinaryFrame, ControlFrame, Frame, WireBytes
from livehub.wire.packets import Packet, open_packet

SID_BYTES = 15  # 20 base64url characters, 120 random bits: whoever knows it is the client
CLOSE_WAIT_S = 2.0
"""How long a client may take to end its side after a goodbye."""
CLOSE_FRAME = b"\x88\x02\x03\xe8"  # 1000: normal closure

CLIENT_FAULTS = frozenset({"parse_error", "overlapping_poll", "overlapping_post"})
"""Who breaks the protocol finds the session gone; only a goodbye waits for a GET that comes later."""

PING = ControlFrame(b"2")
NOOP = ControlFrame(b"6")
GOODBYE = ControlFrame(b"1")

log = logging.getLogger(__name__)


class Handler(Protocol):
    """What is above one connection."""

    async def message(self, data: str | bytes) -> None:
        """A message came. Called in order, one at a time, in the connection's own task."""

    def closed(self, reason: str) -> None:
        """The connection is over. Called exactly once; must not wait."""


class Endpoint(Protocol):
    """What is served at a path."""

    def open(self, connection: Connection) -> Handler:
        """A client has come. May write; must not close yet."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A handshake that is turned away for now: HTTP 503 with `Retry-After`."""

    reason: str
    retry_after_s: int = 5


CLOSING = Rejected("closing")


class Connection:
    """One Engine.IO session."""

    __slots__ = (
        "_base64",
        "_engine",
        "_handler",
        "_heartbeat",
        "_timer",
        "closed",
        "handshake",
        "outbox",
        "parked",
        "polled",
        "posting",
        "sid",
        "transport",
        "upgrading",
    )

    def __init__(self, engine: Engine, handshake: Handshake, transport: str) -> None:
        self.sid = secrets.token_urlsafe(SID_BYTES)
        self.handshake = handshake
        self.transport = transport
        self.closed = False
        self.upgrading = False
        self.parked = False  # a GET waits
        self.posting = False  # a POST is being read
        self.polled: Polled | None = None
        self._engine = engine
        self._base64 = handshake.query.get("b64") == "1"
        self._heartbeat = Heartbeat(
            engine.settings.ping_interval_s, engine.settings.ping_timeout_s, trio.current_time()
        )
        self._timer = engine.deadlines.at(self._heartbeat.due_s, self._tick)
        self.outbox: Outbox
        self._handler: Handler

    def start(self, outbox: Outbox, endpoint: Endpoint, before: bytes = b"") -> None:
        """Send the open packet, right behind what goes `before` it, and hand the connection to its handler."""
        self.outbox = outbox
        outbox.on_full = self.slow
        settings = self._engine.settings
        upgrades = ("websocket",) if self.transport == "polling" else ()
        told = open_packet(
            self.sid, upgrades, settings.ping_interval_s, settings.ping_timeout_s, settings.max_payload_bytes
        )
        frame = ControlFrame(told)
        outbox.write(WireBytes(before + frame.framed) if before else frame)
        self._handler = endpoint.open(self)

    def write(self, frame: Frame | BinaryFrame) -> None:
        """Send a frame, without waiting."""
        if self._base64 and (frame.attachments or isinstance(frame, BinaryFrame)):
            for packet in frame.packets:
                self.outbox.write(ControlFrame(packet))
            return
        self.outbox.write(frame)

    def at_once(self, say: Callable[[], None]) -> None:
        """Send all that is written by `say` together, where that saves something."""
        outbox = self.outbox
        if isinstance(outbox, SocketOutbox) and outbox.hold():
            try:
                say()
            finally:
                outbox.release()
        else:
            say()

    async def drained(self) -> None:
        """Wait until everything written is out, or the connection is over."""
        outbox: Outbox | None = None
        while outbox is not self.outbox:  # an upgrade moves what waits
            outbox = self.outbox
            await outbox.drained()

    async def receive(self, packet: Packet) -> None:
        """A packet came, in order. Whatever the handler does wrong ends this connection and no other."""
        if self.closed:
            return
        due_s = self._heartbeat.due_s
        try:
            message = receive(packet, self._heartbeat, trio.current_time())
        except SessionOver as over:
            self.hang_up(over.reason)
            return
        if message is None:
            if self._heartbeat.due_s != due_s:
                self._set_timer()
            return
        await self.message(message)

    async def message(self, data: str | bytes) -> None:
        """A message came, while this is not closed. Otherwise as `receive`."""
        try:
            await self._handler.message(data)
        except Exception:
            log.exception("connection closed: its handler failed")
            self.close("internal_error")

    def close(self, reason: str) -> None:
        """Say goodbye and end: what was written before still goes out, over polling with the GETs of the next 30 s."""
        self._say_goodbye(reason, GOODBYE, keeps=True)

    def hang_up(self, reason: str) -> None:
        """End for what the client did. It hears of it where it listens now; a later GET finds no session.

        A GET that the client itself made needless is let go with a noop.
        """
        self._say_goodbye(reason, NOOP if reason == "client_close" else GOODBYE, keeps=False)

    def _say_goodbye(self, reason: str, word: ControlFrame, *, keeps: bool) -> None:
        if self.closed:
            return
        outbox = self.outbox
        outbox.on_full = outbox.kill
        if not isinstance(outbox, PollOutbox):
            outbox.write(WireBytes(CLOSE_FRAME))
            outbox.finish()
            self._engine.deadlines.at(trio.current_time() + CLOSE_WAIT_S, outbox.kill)
        elif keeps or self.parked:
            outbox.write(word)
            outbox.finish()
            if outbox and not self.parked:
                self._engine.keep(self.sid, outbox)
        else:
            outbox.kill()
        self.ended(reason)

    def abort(self, reason: str) -> None:
        """End without a word: clients then come back by themselves."""
        if not self.closed:
            self.outbox.kill()
            self.ended(reason)

    def ended(self, reason: str) -> None:
        """The transport is gone."""
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        if self.polled is not None:
            self.polled.close()
        self._engine.forget(self)
        self._engine.meter.connection_closed(self.transport, reason)
        try:
            self._handler.closed(reason)
        except Exception:
            log.exception("a handler failed at the end of its connection")
        del self._handler  # with the next line: nothing of an ended connection waits for the garbage collector
        self.outbox.on_full = _over

    def release_get(self) -> None:
        """Let a parked GET go: while an upgrade is under way it is answered with a noop."""
        if isinstance(self.outbox, PollOutbox):
            self.outbox.arrived()

    def upgrade(self, outbox: Outbox) -> None:
        """From now on a WebSocket carries this session; what waited for a GET goes out first, in order."""
        before, self.outbox = self.outbox, outbox
        outbox.on_full = self.slow
        self._engine.meter.connection_moved(self.transport, "websocket")
        self.transport = "websocket"
        if isinstance(before, PollOutbox):
            before.move_to(outbox)

    def slow(self) -> None:
        """The client reads too slowly: show it out."""
        if not self.closed:
            self._engine.meter.slow_closed()
            self.abort("slow")

    def _tick(self) -> None:
        if self.closed:
            return
        beat = self._heartbeat.tick(trio.current_time())
        if beat is Beat.GONE:
            self.abort("ping_timeout")
            return
        if beat is Beat.PING:
            self.outbox.write(PING)
        if not self.closed:  # a ping may be what no longer fits
            self._set_timer()

    def _set_timer(self) -> None:
        self._timer.cancel()
        self._timer = self._engine.deadlines.at(self._heartbeat.due_s, self._tick)


def _over() -> None:
    """What a full outbox calls once its connection has ended."""


class Polled:
    """The task of a polling session: what POSTs bring is handled here, in order, until a WebSocket takes over."""

    def __init__(self, connection: Connection, packets_per_turn: int) -> None:
        self._connection = connection
        self._per_turn = packets_per_turn
        self._send, self._receive = trio.open_memory_channel[list[Packet]](0)
        self._over = trio.Event()

    async def run(self) -> None:
        """Handle packets until the channel is closed."""
        try:
            async for packets in self._receive:
                for number, packet in enumerate(packets, 1):
                    await self._connection.receive(packet)
                    if number % self._per_turn == 0:
                        await trio.lowlevel.checkpoint()
        finally:
            self._over.set()

    async def put(self, packets: list[Packet]) -> bool:
        """Give packets to the task, waiting until it has handled those before. False when it is over."""
        try:
            await self._send.send(packets)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return False
        return True

    def close(self) -> None:
        """No more packets."""
        self._send.close()

    async def over(self) -> None:
        """Wait until the last packet is handled."""
        await self._over.wait()


class Engine:
    """One endpoint at one path: its sessions, and what they share."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: Endpoint,
        deadlines: Deadlines,
        meter: Meter,
        admit: Callable[[Handshake], Rejected | None],
    ) -> None:
        self.settings = settings
        self.deadlines = deadlines
        self.meter = meter
        self._admit = admit
        self.sessions: dict[str, Connection] = {}
        self.closing = False
        self._endpoint = endpoint
        self._kept: dict[str, tuple[PollOutbox, Timer]] = {}

    def open(self, handshake: Handshake, outbox: Outbox, answer: bytes = b"") -> Connection:
        """A new session over a WebSocket, whose 101 is sent with its first packet."""
        connection = Connection(self, handshake, "websocket")
        self._start(connection, outbox, answer)
        return connection

    def open_polling(self, handshake: Handshake, spawn: Spawn) -> PollOutbox:
        """A new session over long polling, with its own task."""
        connection = Connection(self, handshake, "polling")
        connection.polled = Polled(connection, self.settings.packets_per_turn)
        outbox = PollOutbox(self.settings.outbox_bytes_max)
        self._start(connection, outbox)
        spawn(connection.polled.run)
        return outbox

    def _start(self, connection: Connection, outbox: Outbox, before: bytes = b"") -> None:
        self.sessions[connection.sid] = connection
        self.meter.connection_opened(connection.transport)
        connection.start(outbox, self._endpoint, before)

    def forget(self, connection: Connection) -> None:
        """The session is over."""
        self.sessions.pop(connection.sid, None)

    def refuses(self, handshake: Handshake) -> Rejected | None:
        """Why no new session may open for now, or None."""
        return CLOSING if self.closing else self._admit(handshake)

    def keep(self, sid: str, outbox: PollOutbox) -> None:
        """What a closed polling session still has to say waits for its next GETs, but not for ever."""

        def forget() -> None:
            del self._kept[sid]
            outbox.kill()

        timer = self.deadlines.at(trio.current_time() + self.settings.goodbye_s, forget)
        self._kept[sid] = (outbox, timer)

    def last_words(self, sid: str) -> bytes | None:
        """What a closed polling session still has to say; each of it is said once."""
        found = self._kept.get(sid)
        if found is None:
            return None
        outbox, timer = found
        words = outbox.take(self.settings.max_payload_bytes)
        if not outbox:
            timer.cancel()
            del self._kept[sid]
        return words
