"""A server on 127.0.0.1 whose every byte a test decides, and a client that notes what it hears."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from loadtest.client import Connection, Hub
from loadtest.client.socketio import TransportName

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OPEN = b'0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
WELCOME = b'40/events,{"sid":"s","pid":"p"}'
PATIENCE_S = 10


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A server's frame: unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


class Peer:
    """The server's side of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._pending = b""

    async def send(self, *pieces: bytes) -> None:
        """Bytes."""
        await self.stream.send_all(b"".join(pieces))

    async def _fill(self, size: int) -> None:
        while len(self._pending) < size:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self._pending += bytes(data)

    async def take(self, size: int) -> bytes:
        """Exactly so many."""
        await self._fill(size)
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    async def head(self) -> bytes:
        """An HTTP request's head."""
        while b"\r\n\r\n" not in self._pending:
            await self._fill(len(self._pending) + 1)
        return await self.take(self._pending.index(b"\r\n\r\n") + 4)

    async def upgrade(self) -> bytes:
        """Accept a WebSocket: the head of the request."""
        head = await self.head()
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        await self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        return head

    async def frame(self) -> tuple[int, bytes]:
        """A client's frame, unmasked: first byte and payload."""
        first, second = await self.take(2)
        assert second & 0x80, "a client masks"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self.take(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.take(8), "big")
        key = await self.take(4)
        payload = await self.take(size)
        return first, bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))

    async def admit(self) -> bytes:
        """Upgrade, open packet, and CONNECT answered: the CONNECT."""
        await self.upgrade()
        await self.send(frame(OPEN))
        _, connect = await self.frame()
        await self.send(frame(WELCOME))
        return connect


class Client:
    """A connection with what it heard."""

    def __init__(self, hub: Hub, port: int, transport: TransportName = "websocket", scheme: str = "http") -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.reasons: list[str] = []
        self._more = trio.Event()
        self.connection = Connection(
            hub,
            host=f"{scheme}://127.0.0.1:{port}",
            transport=transport,
            heard=self._hear,
            closed=self._closed,
        )

    def _hear(self, event: str, packet: bytes) -> None:
        self.heard.append((event, packet))
        self._more.set()

    def _closed(self, reason: str) -> None:
        self.reasons.append(reason)
        self._more.set()

    @property
    def names(self) -> list[str]:
        """Events in the order they came."""
        return [name for name, _ in self.heard]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until enough was heard."""
        with trio.fail_after(PATIENCE_S):
            while not holds():
                self._more = trio.Event()
                await self._more.wait()


@asynccontextmanager
async def hub_running() -> AsyncIterator[Hub]:
    """A hub for the length of the block."""
    hub = Hub()
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        yield hub
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[tuple[Hub, int]]:
    """A hub, and the port of a server that treats every connection as the script says, and then closes it."""

    async def serve(stream: trio.SocketStream) -> None:
        await script(Peer(stream))

    async with hub_running() as hub, trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        with trio.fail_after(PATIENCE_S):
            yield hub, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
