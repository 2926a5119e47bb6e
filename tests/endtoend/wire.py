"""A client by hand, for load and for what no stock client would do: Socket.IO text over a bare WebSocket.

It does no more than it is told to: no reconnecting, no buffering. Pings are answered while it is being read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.trio.client import ClientConnection, connect

from tests.harness import Server

Gone = (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError, trio.BrokenResourceError)
"""What tells that the server is not there any more."""

MESSAGE_BYTES_MAX = 16 << 20


class Wire:
    """One WebSocket on `/events`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.sid = ""
        self.pid = ""
        self.offset = ""
        self._acks = 0

    async def send(self, packet: str) -> None:
        """One Socket.IO packet."""
        await self.socket.send(f"4{packet}")

    async def ask(self, event: str, payload: Any) -> int:
        """Emit with an ack id, which is returned; the ack itself comes out of `next`."""
        self._acks += 1
        await self.send(f"2/events,{self._acks}{json.dumps([event, payload])}")
        return self._acks

    async def next(self) -> tuple[str, Any]:
        """What comes next: ("event", [name, …]), ("ack", [id, …]) or (the packet's digits, its text)."""
        while True:
            message = await self.socket.recv()
            assert isinstance(message, str)
            if message == "2":
                await self.socket.send("3")
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

    async def enter(self, token: str, **auth: str) -> None:
        """CONNECT, and read to the acknowledgement."""
        await self.send("0/events," + json.dumps({"token": token, **auth}))
        answer = json.loads((await self.until(lambda kind, _: kind == "40")).partition(",")[2])
        self.sid, self.pid = answer["sid"], answer.get("pid", "")
        await self.until(lambda kind, content: kind == "event" and content[0] == "connectionAcknowledged")

    async def join(self, session: str) -> None:
        """Join a session."""
        number = await self.ask("session.join", {"sessionId": session})
        answer = await self.until(lambda kind, content: kind == "ack" and content[0] == number)
        assert answer[1]["success"] is True, answer


@asynccontextmanager
async def raw_wire(server: Server) -> AsyncIterator[Wire]:
    """An open Engine.IO session that has said nothing yet."""
    url = f"{server.url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
    async with connect(url, max_size=MESSAGE_BYTES_MAX, compression=None, ping_interval=None) as socket:
        wire = Wire(socket)
        assert str(await socket.recv()).startswith("0{")
        yield wire


@asynccontextmanager
async def wire_in(server: Server, token: str, session: str, **auth: str) -> AsyncIterator[Wire]:
    """A client that has joined a session."""
    async with raw_wire(server) as wire:
        await wire.enter(token, **auth)
        await wire.join(session)
        yield wire
