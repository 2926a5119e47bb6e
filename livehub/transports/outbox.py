"""Outboxes: ordered, bounded, and never waited for. A slow reader leaves here, and nowhere else.

A write tries one non-blocking `send`; only what the kernel refuses is kept. While anything is kept the reader is
*pressed*: bursts are dropped, a view takes the place of its older self, facts and acks queue up to the bound.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

import trio

from livehub.transports.backlog import Backlog, Outgoing
from livehub.wire.frames import Frame, Kind, WireBytes

SEND_BYTES = 256 * 1024
"""Joined into one `send` when a pressed socket takes data again."""

SEPARATOR = b"\x1e"

Spawn: TypeAlias = Callable[[Callable[[], Awaitable[None]]], None]


class Outbox(Protocol):
    """Where a connection's frames go."""

    on_full: Callable[[], None]  # called when more waits than may; ends the connection

    def write(self, frame: Outgoing) -> None:
        """Send a frame, without waiting."""

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames, `joined` being all of them framed for a WebSocket, without waiting."""

    def finish(self) -> None:
        """Send what is left and a goodbye; take no more."""

    def kill(self) -> None:
        """Send nothing more, and end what carries this."""

    async def drained(self) -> None:
        """Wait until nothing is kept, or the connection is over."""


class SocketOutbox:
    """Writes straight to a TCP socket. Whoever reads the socket closes it; here it is only shut down."""

    __slots__ = (
        "_backlog",
        "_closed",
        "_drained",
        "_fd",
        "_finishing",
        "_holding",
        "_limit",
        "_over",
        "_socket",
        "_spawn",
        "on_full",
    )

    def __init__(self, sock: trio.socket.SocketType, limit: int, spawn: Spawn) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._limit = limit
        self._spawn = spawn
        self.on_full: Callable[[], None] = self.kill
        self._backlog: Backlog | None = None
        self._drained: trio.Event | None = None
        self._closed = False
        self._finishing = False
        self._over = False  # closed or finishing
        self._holding = False

    def write(self, frame: Outgoing) -> None:
        """Send a frame, without waiting."""
        self.write_joined((frame,), frame.framed)

    def write_joined(self, frames: Sequence[Outgoing], joined: bytes) -> None:
        """Send frames, without waiting. This is the hot path of all: no call more than it needs."""
        if self._backlog is not None:
            self._keep(frames)
            return
        if self._over:
            return
        try:
            sent = os.write(self._fd, joined)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.kill()
            return
        if sent != len(joined):
            self._backlog = Backlog(self._limit)
            self._spawn(self._drain)
            self._keep((WireBytes(joined[sent:]),) if sent else frames)

    def hold(self) -> bool:
        """Gather what is written until `release`, for one `send` of 15 µs. False when it is gathered already."""
        if self._backlog is not None or self._closed:
            return False
        self._backlog = Backlog(self._limit)
        self._holding = True
        return True

    def release(self) -> None:
        """Send what was gathered."""
        self._holding = False
        self._send_some()
        if self._backlog:
            self._spawn(self._drain)
        elif self._backlog is not None:
            self._emptied()

    def finish(self) -> None:
        """Send what is left, then the end of the stream; take no more."""
        self._finishing = self._over = True
        if self._backlog is None:
            self._shut(socket.SHUT_WR)

    def kill(self) -> None:
        """Send nothing more and wake whoever reads."""
        self._closed = self._over = True
        if self._backlog is not None:
            self._backlog.clear()
            self._backlog = None
        if self._drained is not None:
            self._drained.set()
        self._shut(socket.SHUT_RDWR)

    async def drained(self) -> None:
        """Wait until nothing is kept, or the connection is over."""
        while self._backlog is not None and not self._closed:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    def _offer(self, data: bytes) -> int:
        """How much of it the kernel took; all, as far as anybody cares, when the socket is broken."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.kill()
            return len(data)

    def _keep(self, frames: Sequence[Outgoing]) -> None:
        for frame in frames:
            if self._backlog is None or self._finishing:
                return
            if (frame.kind is not Kind.BURST or self._holding) and not self._backlog.add(frame):
                self.on_full()
                return

    async def _drain(self) -> None:
        while self._backlog:
            try:
                await trio.lowlevel.wait_writable(self._socket)
            except (trio.ClosedResourceError, OSError):
                self.kill()
                return
            self._send_some()
        self._emptied()

    def _emptied(self) -> None:
        self._backlog = None
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if self._finishing:
            self._shut(socket.SHUT_WR)

    def _send_some(self) -> None:
        backlog = self._backlog
        if not backlog:
            return
        pieces, size = [], 0
        while backlog and size < SEND_BYTES:
            framed = backlog.take().framed
            pieces.append(framed)
            size += len(framed)
        joined = b"".join(pieces)
        sent = self._offer(joined)
        if sent != len(joined):
            backlog.put_back(WireBytes(joined[sent:]))

    def _shut(self, how: int) -> None:
        with suppress(OSError):  # the other side may have been faster
            self._socket.shutdown(how)


class PumpedOutbox:
    """For carriers that can only be awaited (TLS, a WebSocket inside Hypercorn): queues, and a task pumps."""

    __slots__ = ("_backlog", "_closed", "_drained", "_finishing", "_kill", "_send", "_wake", "on_full")

    def __init__(
        self,
        limit: int,
        send: Callable[[Sequence[Outgoing]], Awaitable[None]],
        kill: Callable[[], None],
    ) -> None:
        self._backlog = Backlog(limit)
        self._send = send
        self.on_full: Callable[[], None] = self.kill
        self._kill = kill
        self._wake = trio.Event()
        self._drained = trio.Event()
        self._drained.set()
        self._closed = False
        self._finishing = False

    async def pump(self) -> None:
        """Send what comes, until finished or killed."""
        while not self._closed:
            batch = self._batch()
            if batch:
                try:
                    await self._send(batch)
                except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    self.kill()
                continue
            self._drained.set()
            if self._finishing:
                return
            self._wake = trio.Event()
            await self._wake.wait()

    def _batch(self) -> list[Outgoing]:
        batch, size = [], 0
        while self._backlog and size < SEND_BYTES:
            frame = self._backlog.take()
            batch.append(frame)
            size += frame.size
        return batch

    def write(self, frame: Outgoing) -> None:
        """Send a frame, without waiting."""
        if self._closed or self._finishing or (frame.kind is Kind.BURST and self._backlog):
            return
        if self._drained.is_set():
            self._drained = trio.Event()
        fits = self._backlog.add(frame)
        self._wake.set()
        if not fits:
            self.on_full()

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames, without waiting."""
        for frame in frames:
            self.write(frame)

    def finish(self) -> None:
        """Send what is left; take no more."""
        self._finishing = True
        self._wake.set()

    def kill(self) -> None:
        """Send nothing more, and end what carries this."""
        self._closed = True
        self._backlog.clear()
        self._drained.set()
        self._wake.set()
        self._kill()

    async def drained(self) -> None:
        """Wait until nothing is kept, or the connection is over."""
        await self._drained.wait()


class PollOutbox:
    """Queues packets until a GET takes them. Nobody waits here: a parked GET leaves word in `arrived`."""

    __slots__ = ("_backlog", "_drained", "arrived", "closed", "on_full")

    def __init__(self, limit: int) -> None:
        self._backlog = Backlog(limit)
        self._drained: trio.Event | None = None
        self.on_full: Callable[[], None] = self.kill
        self.arrived: Callable[[], None] = nobody_waits
        self.closed = False

    def __bool__(self) -> bool:
        """Whether anything waits to be taken."""
        return bool(self._backlog)

    def write(self, frame: Outgoing) -> None:
        """Queue a frame."""
        if self.closed or (frame.kind is Kind.BURST and self._backlog):
            return
        fits = self._backlog.add(frame)
        self.arrived()
        if not fits:
            self.on_full()

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Queue frames."""
        for frame in frames:
            self.write(frame)

    def take(self, bytes_max: int) -> bytes:
        """A payload of as many packets as fit, at least one frame's; empty when nothing waits."""
        packets: list[bytes] = []
        size = -1  # separators stand between packets only
        while self._backlog:
            more = self._backlog.peek().packets
            size += sum(map(len, more)) + len(more)
            if packets and size > bytes_max:
                break
            packets += more
            self._backlog.take()
        if not self._backlog and self._drained is not None:
            self._drained.set()
            self._drained = None
        return SEPARATOR.join(packets)

    def move_to(self, outbox: Outbox) -> None:
        """Hand everything that waits to another outbox, in order."""
        while self._backlog:
            outbox.write(self._backlog.take())
        self.kill()

    def finish(self) -> None:
        """Take no more; what waits may still be taken."""
        self.closed = True
        self.arrived()

    def kill(self) -> None:
        """Drop everything and let go of a parked GET."""
        self._backlog.clear()
        self.finish()
        if self._drained is not None:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until nothing is kept, or the connection is over."""
        while self._backlog and not self.closed:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()


def nobody_waits() -> None:
    """What `arrived` calls while no GET is parked."""
