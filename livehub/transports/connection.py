"""A connection: one Engine.IO session, whatever carries it, and the endpoint's table of all of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from livehub.ports import Meter
from livehub.transports.deadlines import Deadlines, Timer
from livehub.transports.handshake import EngineSettings, Handshake
from livehub.transports.outbox import Outbox, PollOutbox, Spawn
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
NOOP = b"6"
GOODBYE = b"1"

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
        """A client has come."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A handshake that is turned away for now: HTTP 503 with `Retry-After`."""

    reason: str
    retry_after_s: int = 5


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

    def start(self, outbox: Outbox, endpoint: Endpoint) -> None:
        """Send the open packet and hand the connection to its handler."""
        self.outbox = outbox
        outbox.on_full = self.slow
        settings = self._engine.settings
        upgrades = ("websocket",) if self.transport == "polling" else ()
        told = open_packet(
            self.sid, upgrades, settings.ping_interval_s, settings.ping_timeout_s, settings.max_payload_bytes
        )
        outbox.write(ControlFrame(told))
        self._handler = endpoint.open(self)

    def write(self, frame: Frame | BinaryFrame) -> None:
        """Send a frame, without waiting."""
        if self._base64 and (frame.attachments or isinstance(frame, BinaryFrame)):
            for packet in frame.packets:
                self.outbox.write(ControlFrame(packet))
            return
        self.outbox.write(frame)

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames that were joined once for all who hear them, without waiting."""
        self.outbox.write_joined(frames, joined)

    async def drained(self) -> None:
        """Wait until everything written is out, or the connection is over."""
        await self.outbox.drained()

    async def receive(self, packet: Packet) -> None:
        """A packet came, in order. Whatever the handler does wrong ends this connection and no other."""
        if self.closed:
            return
        try:
            message = receive(packet, self._heartbeat, trio.current_time())
        except SessionOver as over:
            self.close(over.reason)
            return
        if message is None:
            return
        try:
            await self._handler.message(message)
        except Exception:
            log.exception("connection closed: its handler failed")
            self.close("internal_error")

    def close(self, reason: str) -> None:
        """Say goodbye and end: what was written before still goes out."""
        if self.closed:
            return
        outbox = self.outbox
        if isinstance(outbox, PollOutbox):
            # A GET that the client itself made needless is let go with a noop, else it is told the end.
            outbox.write(ControlFrame(NOOP if reason == "client_close" else GOODBYE))
            if reason not in CLIENT_FAULTS:
                self._engine.linger(self)
        else:
            outbox.write(WireBytes(CLOSE_FRAME))
            self._engine.deadlines.at(trio.current_time() + CLOSE_WAIT_S, outbox.kill)
        outbox.finish()
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

    def release_get(self) -> None:
        """Let a parked GET go: while an upgrade is under way it is answered with a noop."""
        if isinstance(self.outbox, PollOutbox):
            self.outbox.arrived.set()

    def upgrade(self, outbox: Outbox) -> None:
        """From now on a WebSocket carries this session; what waited for a GET goes out first, in order."""
        before, self.outbox = self.outbox, outbox
        outbox.on_full = self.slow
        self._engine.meter.connection_moved(self.transport, "websocket")
        self.transport = "websocket"
        self.upgrading = False
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
        self._timer = self._engine.deadlines.at(self._heartbeat.due_s, self._tick)


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
        self.admit = admit
        self.sessions: dict[str, Connection] = {}
        self.closing = False
        self._endpoint = endpoint
        self._lingering: dict[str, tuple[PollOutbox, Timer]] = {}

    def open(self, handshake: Handshake, transport: str, make_outbox: Callable[[Connection], Outbox]) -> Connection:
        """A new session."""
        connection = Connection(self, handshake, transport)
        self.sessions[connection.sid] = connection
        self.meter.connection_opened(transport)
        connection.start(make_outbox(connection), self._endpoint)
        return connection

    def open_polling(self, handshake: Handshake, spawn: Spawn) -> tuple[Connection, PollOutbox]:
        """A new session over long polling, with its own task."""
        outbox: PollOutbox | None = None

        def make(connection: Connection) -> Outbox:
            nonlocal outbox
            connection.polled = Polled(connection, self.settings.packets_per_turn)
            outbox = PollOutbox(self.settings.outbox_bytes_max)
            return outbox

        connection = self.open(handshake, "polling", make)
        assert outbox is not None
        if connection.polled is not None:
            spawn(connection.polled.run)
        return connection, outbox

    def forget(self, connection: Connection) -> None:
        """The session is over."""
        self.sessions.pop(connection.sid, None)

    def linger(self, connection: Connection) -> None:
        """A closed polling session's goodbye waits for the next GET, but not for ever."""
        if isinstance(connection.outbox, PollOutbox) and not connection.parked:
            sid = connection.sid
            timer = self.deadlines.at(
                trio.current_time() + self.settings.goodbye_s, lambda: self._lingering.pop(sid, None) and None
            )
            self._lingering[sid] = (connection.outbox, timer)

    def last_words(self, sid: str) -> bytes | None:
        """What a closed polling session still has to say; it is said once."""
        found = self._lingering.pop(sid, None)
        if found is None:
            return None
        outbox, timer = found
        timer.cancel()
        return outbox.take(self.settings.max_payload_bytes)
