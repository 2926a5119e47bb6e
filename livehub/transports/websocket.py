"""WebSocket on a byte stream: `websockets`' sans-I/O protocol for the handshake, our own loop, our own writer.

Nothing here writes by itself: the 101, pongs and close frames go through the outbox, in order with everything else.
No task, nursery or cancel scope is made per message, and an idle WebSocket holds no coroutine but the one that waits.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

import trio
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from livehub.transports.connection import Engine
from livehub.transports.handshake import Handshake, client_address, read_headers, read_query, refuse_handshake
from livehub.transports.outbox import Outbox
from livehub.transports.reader import Message, Reader
from livehub.wire.frames import WireBytes
from livehub.wire.packets import BAD_REQUEST, FORBIDDEN, UNKNOWN_SID, EngineError

RECEIVE_BYTES = 8_192
"""At most this much is parsed before other tasks run: 1,300 of the smallest frames, 4 ms."""

Wait: TypeAlias = Callable[[], Awaitable[None]]

_quiet = logging.getLogger("livehub.websockets")


class Incoming(Protocol):
    """Where the bytes of a WebSocket come from."""

    wait: Wait
    """Wait until there may be something to take."""

    def take(self) -> bytes | None:
        """What has come; b"" at the end of the stream, None when nothing is there yet."""


class SocketIncoming:
    """Reads a TCP socket directly: a `trio.socket` costs 800 bytes more for each that waits, and 10 µs more a read.

    Only the task that closes the socket may take: its file descriptor is another connection's soon after.
    """

    __slots__ = ("_dry", "_fd", "wait")

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._fd = sock.fileno()
        self._dry = False
        self.wait: Wait = partial(trio.lowlevel.wait_readable, self._fd)

    def take(self) -> bytes | None:
        """See `Incoming`. After a short read there is nothing more: it is not asked for."""
        if self._dry:
            self._dry = False
            return None
        try:
            data = os.read(self._fd, RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self._dry = 0 < len(data) < RECEIVE_BYTES
        return data


class StreamIncoming:
    """Reads what can only be awaited, such as TLS."""

    def __init__(self, receive: Callable[[int], Awaitable[bytes]]) -> None:
        self._receive = receive
        self._data: bytes | None = None
        self.wait: Wait = self._wait

    def take(self) -> bytes | None:
        """See `Incoming`."""
        data, self._data = self._data, None
        return data

    async def _wait(self) -> None:
        try:
            self._data = await self._receive(RECEIVE_BYTES)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._data = b""


class BadHandshake(Exception):
    """Not a request for a WebSocket; `response` says why."""

    def __init__(self, response: bytes) -> None:
        super().__init__("bad handshake")
        self.response = response


class WebSocket:
    """The reading side of one WebSocket. Whoever serves it takes what is there, and waits when nothing is."""

    __slots__ = ("_incoming", "_last_words", "_outbox", "_reader", "wait")

    def __init__(self, incoming: Incoming, message_bytes_max: int, outbox: Outbox) -> None:
        self._incoming = incoming
        self._reader = Reader(message_bytes_max)
        self._outbox = outbox
        self._last_words: list[bytes] | None = None
        self.wait: Wait = incoming.wait
        """Wait until there may be something to take. Raises OSError or ClosedResourceError at the latest at the end."""

    @property
    def over(self) -> bool:
        """Whether nothing can come any more."""
        return self._reader.ended and not self._reader.messages

    def take(self) -> Message | None:
        """The next message, if it is here.

        Pongs go out at once; a close waits until the messages that came before it are handled.
        """
        reader = self._reader
        if not reader.messages and not reader.ended:
            data = self._incoming.take()
            if data is None:
                return None
            self._hear(data)
        if reader.messages:
            return reader.messages.pop()
        if reader.ended:
            self._say_last_words()
        return None

    async def next(self) -> Message | None:
        """The next message, or None when the WebSocket is over."""
        while (message := self.take()) is None and not self.over:
            await self.wait()
        return message

    async def linger(self) -> None:
        """Read until the client ends its side: a close with bytes unread is a reset, which can outrun what was sent."""
        while (data := self._incoming.take()) != b"":
            if data is None:
                await self.wait()

    def _hear(self, data: bytes) -> None:
        if not data:
            self._reader.ended = True
            return
        replies = self._reader.receive(data)
        if self._reader.ended:
            self._last_words = replies
            return
        for reply in replies:
            self._outbox.write(WireBytes(reply))

    def _say_last_words(self) -> None:
        words, self._last_words = self._last_words, None
        for data in words or ():
            if data:
                self._outbox.write(WireBytes(data))
            else:
                self._outbox.finish()


def read_request(head: bytes) -> tuple[ServerProtocol, Request]:
    """An opening request, and who can answer it. Raises `BadHandshake`."""
    protocol = ServerProtocol(logger=_quiet)
    protocol.receive_data(head)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        raise BadHandshake(http_response(400, BAD_REQUEST.body))
    return protocol, events[0]


def accept(protocol: ServerProtocol, request: Request) -> bytes:
    """The answer with which a WebSocket begins. Raises `BadHandshake`."""
    response: Response = protocol.accept(request)
    if response.status_code != 101:
        body = bytes(response.body or b"")
        raise BadHandshake(http_response(response.status_code, body, "text/plain; charset=utf-8"))
    return response.serialize()


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
