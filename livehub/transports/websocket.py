"""WebSocket on a stream: `websockets`' sans-I/O protocol for handshake and input, our own loop, our own writer.

The protocol object never writes: what it wants to say (the 101, pongs, close frames) goes through the outbox, in order
with everything else. No task, nursery or cancel scope is made per message.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol, TypeAlias

import trio
from websockets.frames import CloseCode, Opcode
from websockets.frames import Frame as WireFrame
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.server import ServerProtocol

from livehub.transports.connection import Connection, Engine
from livehub.transports.handshake import Handshake, client_address, read_headers, read_query, refuse_handshake
from livehub.transports.outbox import Outbox
from livehub.wire.frames import ControlFrame, WireBytes
from livehub.wire.packets import (
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    EngineError,
    MalformedPayload,
    Packet,
    PacketType,
    decode_packet,
)

RECEIVE_BYTES = 8_192
"""At most this much is parsed before other tasks run: 1,300 of the smallest frames, 4 ms."""

Read: TypeAlias = Callable[[int], Awaitable[bytes]]
Message: TypeAlias = str | bytes

_quiet = logging.getLogger("livehub.websockets")
_quiet.setLevel(logging.ERROR)  # who came and went is not news


class Source(Protocol):
    """Messages of one WebSocket, in order."""

    async def next(self) -> Message | None:
        """The next message, or None at the end."""


class BadHandshake(Exception):
    """Not a request for a WebSocket; `response` says why."""

    def __init__(self, response: bytes) -> None:
        super().__init__("bad handshake")
        self.response = response


class _Lenient(ServerProtocol):
    """A client may close in the middle of a fragmented message: RFC 6455, section 5.4, lets control frames in there."""

    def recv_frame(self, frame: WireFrame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class WebSocket:
    """The reading side of one WebSocket."""

    __slots__ = ("_ended", "_last_words", "_messages", "_pieces", "_read", "_text", "outbox", "protocol")

    def __init__(self, read: Read, message_bytes_max: int) -> None:
        self.protocol = _Lenient(max_size=message_bytes_max, logger=_quiet)
        self._last_words: list[bytes] = []
        self.outbox: Outbox | None = None
        self._read = read
        self._messages: list[Message] = []  # the next one last; a deque takes 760 bytes also when it is empty
        self._pieces: bytearray | None = None  # of a fragmented message; not a list, as pieces may be empty
        self._text = False
        self._ended = False

    async def request(self) -> Request:
        """The opening request. Raises `BadHandshake`."""
        while True:
            data = await self._read(RECEIVE_BYTES)
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            events = self.protocol.events_received()
            if events and isinstance(events[0], Request):
                self._collect(events[1:])  # a client in a hurry: frames right behind its request
                return events[0]
            if not data or self.protocol.handshake_exc is not None:
                raise BadHandshake(http_response(400, BAD_REQUEST.body))

    def accept(self, request: Request, outbox: Outbox) -> None:
        """Answer 101; from now on the outbox is this WebSocket's only writer. Raises `BadHandshake`."""
        response: Response = self.protocol.accept(request)
        if response.status_code != 101:
            body = response.body or b""
            raise BadHandshake(http_response(response.status_code, bytes(body), "text/plain; charset=utf-8"))
        self.protocol.send_response(response)
        request.headers.clear()  # the protocol's parser holds on to the request: 4 kB as long as it lives
        self.outbox = outbox
        self._flush()

    async def next(self) -> Message | None:
        """The next message, or None when the WebSocket is over.

        Pongs go out at once; a close waits until the messages that came before it are handled.
        """
        while not self._messages:
            self._say_last_words()
            if self._ended:
                return None
            try:
                data = await self._read(RECEIVE_BYTES)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
                self._ended = True
            self._collect(self.protocol.events_received())
            self._flush()
        return self._messages.pop()

    async def linger(self) -> None:
        """Read until the client ends its side: a close with bytes unread is a reset, which can outrun what was sent."""
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._read(RECEIVE_BYTES):
                pass

    def _collect(self, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, WireFrame):
                continue
            if event.opcode is Opcode.CLOSE:
                self._ended = True
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._take(event)
            if self._ended:  # what came behind a close, or behind a text that was none, is not heard
                break
        self._messages.reverse()

    def _take(self, frame: WireFrame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        if not frame.fin or self._pieces is not None:
            if self._pieces is None:
                self._pieces = bytearray()
            self._pieces += frame.data
            if not frame.fin:
                return
            data, self._pieces = bytes(self._pieces), None
        else:
            data = bytes(frame.data)
        if not self._text:
            self._messages.append(data)
            return
        try:
            self._messages.append(data.decode())
        except UnicodeDecodeError:
            self.protocol.fail(CloseCode.INVALID_DATA)
            self._ended = True

    def _flush(self) -> None:
        if self.outbox is None:
            return
        for data in self.protocol.data_to_send():
            if self._ended or self.protocol.close_sent is not None:
                self._last_words.append(data)
            else:
                self.outbox.write(WireBytes(data))

    def _say_last_words(self) -> None:
        if self.outbox is None or not self._last_words:
            return
        words, self._last_words = self._last_words, []
        for data in words:
            if data:
                self.outbox.write(WireBytes(data))
            else:
                self.outbox.finish()


def http_response(status: int, body: bytes, content_type: str = "application/json", extra: str = "") -> bytes:
    """A whole HTTP answer, after which the connection closes."""
    reason = {400: "Bad Request", 403: "Forbidden", 426: "Upgrade Required", 503: "Service Unavailable"}
    head = (
        f"HTTP/1.1 {status} {reason.get(status, 'Error')}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


def handshake_of(request: Request, peer: str, *, secure: bool, trust_proxy: bool) -> Handshake:
    """What the opening request says. Raises ValueError for an absurd query."""
    headers = read_headers(request.headers.raw_items())
    query = read_query(request.path.partition("?")[2])
    return Handshake(query, headers, client_address(peer, headers, trust_proxy), secure)


def refuse_websocket(engine: Engine, handshake: Handshake) -> tuple[EngineError | None, int | None]:
    """Why a WebSocket may not open here: an error, or the seconds after which to try again; (None, None) if it may."""
    error = refuse_handshake(handshake, engine.settings.origins)
    sid = handshake.query.get("sid")
    if error is None and handshake.query.get("transport") != "websocket":
        error = BAD_REQUEST
    if error is None and sid is not None and sid not in engine.sessions:
        error = UNKNOWN_SID
    if error is not None:
        engine.meter.refused("origin" if error is FORBIDDEN else "handshake")
        return error, None
    if sid is None and (rejected := engine.refuses(handshake)) is not None:
        engine.meter.refused(rejected.reason)
        return None, rejected.retry_after_s
    return None, None


async def serve_session(engine: Engine, handshake: Handshake, source: Source, outbox: Outbox) -> None:
    """Run an accepted WebSocket: as a session of its own, or as the new carrier of a polling session."""
    sid = handshake.query.get("sid")
    if sid is None:
        connection = engine.open(handshake, outbox)
    else:
        existing = engine.sessions.get(sid)
        if existing is None or not await _probe(engine, existing, source, outbox):
            _hang_up(outbox)
            return
        connection = existing
    try:
        if sid is not None:
            await _take_over(connection, outbox)
        await _serve(engine, connection, source)
    finally:
        connection.ended("transport_close")


async def _serve(engine: Engine, connection: Connection, source: Source) -> None:
    per_turn = engine.settings.packets_per_turn
    served = 0
    while not connection.closed and (message := await source.next()) is not None:
        try:
            packet = _packet(message)
        except MalformedPayload:
            connection.hang_up("parse_error")
            return
        await connection.receive(packet)
        served += 1
        if served % per_turn == 0:
            await trio.lowlevel.checkpoint()


async def _probe(engine: Engine, connection: Connection, source: Source, outbox: Outbox) -> bool:
    """The first half of an upgrade: `2probe` → `3probe`, every GET is let go, `5`. A failure changes nothing."""
    if not _upgradable(connection):
        return False
    with trio.move_on_after(engine.settings.upgrade_timeout_s):
        if await source.next() != "2probe" or not _upgradable(connection):
            return False
        connection.upgrading = True
        try:
            outbox.write(ControlFrame(b"3probe"))
            connection.release_get()
            return await source.next() == "5" and not connection.closed
        finally:
            connection.upgrading = False
    return False


def _upgradable(connection: Connection) -> bool:
    return connection.transport == "polling" and not connection.upgrading and not connection.closed


async def _take_over(connection: Connection, outbox: Outbox) -> None:
    """The second half: the WebSocket carries the session, once what POSTs brought is handled."""
    connection.upgrade(outbox)
    if connection.polled is not None:
        connection.polled.close()
        await connection.polled.over()
        connection.polled = None


def _packet(message: Message) -> Packet:
    if isinstance(message, bytes):
        return Packet(PacketType.MESSAGE, message)
    return decode_packet(message)


def _hang_up(outbox: Outbox) -> None:
    outbox.write(WireBytes(b"\x88\x02\x03\xe8"))
    outbox.finish()
