"""A client by hand, for load and for what no stock client would do: bytes on a socket, WebSocket frames, packets.

It does no more than it is told to: no reconnecting, no buffering. Pings are answered while it is being read. Frames are
masked with zeros, as RFC 6455 allows, so that load costs the server its share and the tests little.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.harness import Server

RECEIVE_BYTES = 1 << 18
TEXT, CLOSE = 1, 8
UPGRADE = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


class Gone(Exception):
    """The server ended the connection; `code` is that of its close frame, if there was one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(f"gone, close code {code}")
        self.code = code


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


class Bytes:
    """A TCP connection to a server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.pending = b""

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises `Gone`."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            raise Gone from None

    async def fill(self, size: int) -> None:
        """Read until at least this much is pending. Raises `Gone`."""
        while len(self.pending) < size:
            try:
                data = await self.stream.receive_some(RECEIVE_BYTES)
            except trio.BrokenResourceError:
                raise Gone from None
            if not data:
                raise Gone
            self.pending += data

    async def take(self, size: int) -> bytes:
        """Exactly this many bytes. Raises `Gone`."""
        await self.fill(size)
        piece, self.pending = self.pending[:size], self.pending[size:]
        return piece

    async def response(self) -> tuple[int, bytes]:
        """One HTTP response: status and body. Raises `Gone`."""
        while b"\r\n\r\n" not in self.pending:
            await self.fill(len(self.pending) + 1)
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), await self.take(int(fields.get("content-length", "0")))

    async def frame(self) -> tuple[int, bytes]:
        """One WebSocket frame: opcode and payload. Raises `Gone`, with its code for a close frame."""
        opcode, size = await self.take(2)
        if size == 126:
            size = int.from_bytes(await self.take(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.take(8), "big")
        payload = await self.take(size)
        if opcode & 0x0F == CLOSE:
            raise Gone(int.from_bytes(payload[:2], "big") if payload else None)
        return opcode & 0x0F, payload

    async def ended(self) -> int | None:
        """Read until the server ends the connection: its close code, if it gave one."""
        try:
            while True:
                await self.frame()
        except Gone as gone:
            return gone.code


class Wire(Bytes):
    """One WebSocket of Engine.IO, in the namespace `/events` if it likes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.offset = ""
        self._acks = 0

    async def send(self, packet: str) -> None:
        """One Socket.IO packet."""
        await self.write(masked(f"4{packet}".encode()))

    async def ask(self, event: str, payload: Any) -> int:
        """Emit with an ack id, which is returned; the ack itself comes out of `next`."""
        self._acks += 1
        await self.send(f"2/events,{self._acks}{json.dumps([event, payload])}")
        return self._acks

    async def answer(self, event: str, payload: Any) -> Any:
        """Emit and wait for the ack."""
        number = await self.ask(event, payload)
        return (await self.until(lambda kind, content: kind == "ack" and content[0] == number))[1]

    async def next(self) -> tuple[str, Any]:
        """What comes next: ("event", [name, …]), ("ack", [id, …]) or (the packet's digits, its text)."""
        while True:
            message = (await self.frame())[1].decode()
            if message == "2":
                await self.write(masked(b"3"))
            elif message.startswith("42/events,"):
                args = json.loads(message[10:])
                if len(args) > 1 and isinstance(args[-1], str):
                    self.offset = args[-1]
                return "event", args
            elif message.startswith("43/events,"):
                number, _, answer = message[10:].partition("[")
                return "ack", [int(number), *json.loads("[" + answer)]
            else:
                return message[:2], message[2:]

    async def until(self, holds: Callable[[str, Any], bool]) -> Any:
        """Read until something comes for which this holds: its content."""
        while True:
            kind, content = await self.next()
            if holds(kind, content):
                return content

    async def enter(self, token: str, **auth: str) -> dict[str, Any]:
        """CONNECT, and read to the acknowledgement: the CONNECT's answer."""
        await self.send("0/events," + json.dumps({"token": token, **auth}))
        answer: dict[str, Any] = json.loads((await self.until(lambda kind, _: kind == "40")).partition(",")[2])
        await self.until(lambda kind, content: kind == "event" and content[0] == "connectionAcknowledged")
        return answer

    async def join(self, session: str) -> None:
        """Join a session."""
        answer = await self.answer("session.join", {"sessionId": session})
        assert answer["success"] is True, answer


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Bytes]:
    """A TCP connection."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    except OSError:
        raise Gone from None
    async with stream:
        yield Bytes(stream)


@asynccontextmanager
async def raw_wire(server: Server, target: str = WEBSOCKET) -> AsyncIterator[Wire]:
    """An open Engine.IO session that has said nothing yet."""
    async with connected(server) as plain:
        wire = Wire(plain.stream)
        await wire.write(UPGRADE.format(target=target, host=f"127.0.0.1:{server.port}").encode())
        assert (await wire.response())[0] == 101
        assert (await wire.frame())[1].startswith(b"0{")
        yield wire


@asynccontextmanager
async def wire_in(server: Server, token: str, session: str, **auth: str) -> AsyncIterator[Wire]:
    """A client that has joined a session."""
    async with raw_wire(server) as wire:
        await wire.enter(token, **auth)
        await wire.join(session)
        yield wire
