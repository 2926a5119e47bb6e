"""WebSocket on a byte stream, once it is open: our own loop, our own writer.

Nothing here writes by itself: pongs and close frames go through the outbox, in order with everything else. No task,
nursery or cancel scope is made per message, and an idle WebSocket holds no coroutine but the one that waits.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import trio

from livehub.transports.outbox import Outbox
from livehub.transports.reader import Message, Reader
from livehub.transports.readiness import Readiness
from livehub.wire.frames import WireBytes

RECEIVE_BYTES = 8_192
"""At most this much is parsed before other tasks run: 1,300 of the smallest frames, 4 ms."""

Wait: TypeAlias = Callable[[], Awaitable[None]]


class Incoming(Protocol):
    """Where the bytes of a WebSocket come from."""

    wait: Wait
    """Wait until there may be something to take."""

    def take(self) -> bytes | None:
        """What has come; b"" at the end of the stream, None when nothing is there yet."""

    def forget(self) -> None:
        """Nothing more is taken."""


class SocketIncoming:
    """Reads a TCP socket directly: a `trio.socket` costs 800 bytes more for each that waits, and 10 µs more a read.

    Only the task that closes the socket may take, and has to `forget` it first.
    """

    __slots__ = ("_fd", "_readiness", "_ready", "wait")

    def __init__(self, fd: int, readiness: Readiness) -> None:
        self._fd = fd
        self._readiness = readiness
        self._ready = readiness.add(fd)
        self.wait: Wait = self._ready.wait

    def take(self) -> bytes | None:
        """See `Incoming`. After a short read there is nothing more until news of it: it is not asked for."""
        ready = self._ready
        if ready.dry:
            return None
        try:
            data = os.read(self._fd, RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        if not data:
            return data
        if len(data) < RECEIVE_BYTES and not ready.over:
            ready.dry = True
        else:
            ready.news = True  # there may be more, of which no edge tells
        return data

    def forget(self) -> None:
        """The socket is about to be closed."""
        self._readiness.forget(self._fd)


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

    def forget(self) -> None:
        """See `Incoming`."""

    async def _wait(self) -> None:
        try:
            self._data = await self._receive(RECEIVE_BYTES)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._data = b""


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

    def forget(self) -> None:
        """Nothing more is taken: the socket is about to be closed."""
        self._incoming.forget()

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
