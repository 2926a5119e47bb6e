"""Bytes in and out of one connection, as callbacks: over a socket in the hub's epoll, or over any Trio stream (TLS).

A wire has one ordered outbox. What the kernel does not take at once is kept, up to a bound, and follows when it can.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import trio

if TYPE_CHECKING:
    from loadtest.client.hub import Hub

RECEIVE_BYTES = 1 << 16
READS_PER_TURN = 4
"""Reads of one socket in a row: none of the others may wait for one that is flooded."""
OUTBOX_MAX_BYTES = 4 << 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close sends RST, and the port is free again at once."""

Fed: TypeAlias = Callable[[bytes], None]
Gone: TypeAlias = Callable[[str], None]

LOST = "connection lost"
ENDED = "connection ended by the server"
OUTBOX_FULL = "the server does not read what is sent"


class Wire(Protocol):
    """A connection. `fed(bytes)` for all that comes in, `gone(reason)` once when it ends by itself."""

    bytes_in: int
    bytes_out: int

    def start(self, fed: Fed, gone: Gone) -> None:
        """Begin to read."""

    def write(self, data: bytes) -> None:
        """Send without waiting. After the end, nothing happens."""

    async def drained(self) -> None:
        """Wait until the outbox is empty, or the wire at its end."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def cut(self, *, silent: bool = False) -> None:
        """Reset the connection. Silent: neither read nor write, but keep the socket, until cut again without."""

    def close(self) -> None:
        """Close as a socket is closed: FIN."""


class SocketWire:
    """A wire over a socket in the hub's epoll."""

    __slots__ = (
        "_drained", "_fed", "_gone", "_hub", "_number", "_outbox", "_paused", "_recv", "_silent", "_sock", "bytes_in",
        "bytes_out",
    )  # fmt: skip

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        self._hub = hub
        self._sock: socket.socket | None = sock
        self._recv = sock.recv
        self._number = sock.fileno()
        self._outbox = bytearray()
        self._drained: trio.Event | None = None
        self._paused = False
        self._silent = False
        self._fed: Fed
        self._gone: Gone
        self.bytes_in = 0
        self.bytes_out = 0

    def start(self, fed: Fed, gone: Gone) -> None:
        """Begin to read."""
        self._fed = fed
        self._gone = gone
        self._hub.watch(self._number, select.EPOLLIN, self)

    def ready(self, events: int) -> None:
        """The epoll found this."""
        if events & select.EPOLLOUT:
            self._flush()
        if events == select.EPOLLOUT or self._silent:
            return
        for _ in range(READS_PER_TURN):
            try:
                data = self._recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self._lost(LOST)
                return
            if not data:
                self._lost(ENDED)
                return
            size = len(data)
            self.bytes_in += size
            self._fed(data)
            if size < RECEIVE_BYTES or self._sock is None or self._paused:
                return

    def write(self, data: bytes) -> None:
        """Send without waiting."""
        if self._sock is None or self._silent:
            return
        if self._outbox:
            self._keep(data)
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the epoll tells of it, and then everything is told in one place
        self.bytes_out += sent
        if sent < len(data):
            self._keep(data[sent:])
            self._watch_for()

    def _keep(self, data: bytes) -> None:
        self._outbox += data
        if len(self._outbox) > OUTBOX_MAX_BYTES:
            self._lost(OUTBOX_FULL)

    def _flush(self) -> None:
        if self._sock is None or not self._outbox:
            return
        try:
            sent = self._sock.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            self._lost(LOST)
            return
        self.bytes_out += sent
        del self._outbox[:sent]
        if not self._outbox:
            self._watch_for()
            self._tell_drained()

    async def drained(self) -> None:
        """Wait until the outbox is empty, or the wire at its end."""
        if self._outbox and self._sock is not None:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()
        else:
            await trio.lowlevel.checkpoint()

    def _tell_drained(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def pause(self) -> None:
        """Stop reading."""
        self._paused = True
        self._watch_for()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._watch_for()

    def _watch_for(self) -> None:
        if self._sock is not None and not self._silent:
            reading = 0 if self._paused else select.EPOLLIN
            self._hub.change(self._number, reading | (select.EPOLLOUT if self._outbox else 0))

    def _lost(self, reason: str) -> None:
        if self._sock is not None:
            self._shut()
            self._gone(reason)

    def cut(self, *, silent: bool = False) -> None:
        """Reset the connection, or fall silent."""
        if self._sock is None:
            return
        if silent:
            self._silent = True
            self._hub.unwatch(self._number)
            return
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._shut()

    def close(self) -> None:
        """Close as a socket is closed."""
        self._shut()

    def _shut(self) -> None:
        if self._sock is not None:
            self._hub.unwatch(self._number)
            self._sock.close()
            self._sock = None
            self._outbox.clear()
            self._tell_drained()


class StreamWire:
    """A wire over a Trio stream: one task reads, another writes."""

    def __init__(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        self._nursery = nursery
        self._stream = stream
        self._scope = trio.CancelScope()
        self._outbox = bytearray()
        self._to_send = trio.Event()
        self._drained = trio.Event()
        self._may_read = trio.Event()
        self._may_read.set()
        self._over = False
        self._silent = trio.Event()
        self._fed: Fed
        self._gone: Gone
        self.bytes_in = 0
        self.bytes_out = 0

    def start(self, fed: Fed, gone: Gone) -> None:
        """Begin to read."""
        self._fed = fed
        self._gone = gone
        self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        reason = LOST
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_on)
                    reason = await self._read_on()
                    if self._silent.is_set():
                        await trio.sleep_forever()
                    nursery.cancel_scope.cancel()
        finally:
            self._drained.set()
            await trio.aclose_forcefully(self._stream)
        if not self._over:
            self._over = True
            self._gone(reason)

    async def _read_on(self) -> str:
        while not self._silent.is_set():
            await self._may_read.wait()
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return LOST
            if not data:
                return ENDED
            if not self._silent.is_set():
                self.bytes_in += len(data)
                self._fed(bytes(data))
        return LOST

    async def _write_on(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send = trio.Event()
            while self._outbox:
                data = bytes(self._outbox)
                self._outbox.clear()
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # the reader hears of it too
                self.bytes_out += len(data)
            self._drained.set()
            self._drained = trio.Event()

    def write(self, data: bytes) -> None:
        """Send without waiting."""
        if self._over or self._silent.is_set():
            return
        self._outbox += data
        self._to_send.set()
        if len(self._outbox) > OUTBOX_MAX_BYTES:
            self._end()
            self._gone(OUTBOX_FULL)

    async def drained(self) -> None:
        """Wait until the outbox is empty, or the wire at its end."""
        if self._outbox and not self._over:
            await self._drained.wait()
        else:
            await trio.lowlevel.checkpoint()

    def pause(self) -> None:
        """Stop reading."""
        if self._may_read.is_set():
            self._may_read = trio.Event()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    def cut(self, *, silent: bool = False) -> None:
        """End it. Under TLS the connection is closed without its alert, by FIN: the reset is the kernel's to give."""
        if silent:
            self._silent.set()
        else:
            self._end()

    def close(self) -> None:
        """Close it."""
        self._end()

    def _end(self) -> None:
        self._over = True
        self._scope.cancel()
