"""Clients that speak HTTP and WebSocket byte by byte, so that tests can be as right or wrong as they wish.

Beside them: an application that notes what it hears, and a listener that serves it on a free port.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from livehub.transports.asgi import App
from livehub.transports.connection import Connection, Engine, Handler, Rejected
from livehub.transports.deadlines import Deadlines
from livehub.transports.handshake import EngineSettings, Handshake
from livehub.transports.listener import Listener, ListenerSettings, RawEndpoint
from livehub.wire.frames import BinaryFrame, Frame

PATIENCE_S = 20
"""A test that waits longer has failed."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Ended(Exception):
    """The server closed the connection."""


@dataclass(frozen=True)
class Response:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection and what was read of it too early."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Raw bytes."""
        await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes. Raises `Ended`."""
        while len(self._buffer) < size:
            await self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and with a mark. Raises `Ended`."""
        while mark not in self._buffer:
            await self._more()
        return await self.read(self._buffer.index(mark) + len(mark))

    async def rest(self) -> bytes:
        """Everything until the server ends."""
        try:
            while True:
                await self._more()
        except Ended:
            return bytes(self._buffer)

    async def _more(self) -> None:
        with trio.fail_after(PATIENCE_S):
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                data = b""
        if not data:
            raise Ended
        self._buffer += data

    async def aclose(self) -> None:
        """Go away."""
        await self.stream.aclose()

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Ask and hear the answer, on a kept-alive connection."""
        await self.ask(method, target, body, headers)
        return await self.response()

    async def ask(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a request."""
        told = {"Host": "test"} | ({"Content-Length": str(len(body))} if method == "POST" else {}) | dict(headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        await self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)

    async def response(self) -> Response:
        """The next HTTP answer."""
        head = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(head[0].split()[1])
        size = 0 if status in (101, 204) else int(headers.get("content-length", "0"))
        return Response(status, headers, await self.read(size))


class WebSocketClient(Wire):
    """A client's side of a WebSocket."""

    async def open(self, target: str, headers: Mapping[str, str] | None = None) -> Response:
        """Ask for an upgrade; tells the answer, whatever it is."""
        key = base64.b64encode(os.urandom(16)).decode()
        asked = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
        }
        return await self.request("GET", target, headers=asked | dict(headers or {}))

    async def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> None:
        """One masked frame."""
        await self.send(frame_bytes(opcode, payload, fin=fin, reserved=reserved))

    async def say(self, text: str) -> None:
        """A text message."""
        await self.send_frame(TEXT, text.encode())

    async def frame(self) -> tuple[int, bytes]:
        """The next frame, whose FIN bit is set and whose mask is not, as a server's must be."""
        first, second = await self.read(2)
        assert first & 0xF0 == 0x80, f"FIN and no reserved bit, not {first:#x}"
        assert second < 0x80, "a server masks nothing"
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", await self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.read(8))
        return first & 0x0F, await self.read(size)

    async def hear(self) -> str:
        """The next frame, a text."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    async def close_code(self) -> int:
        """The code of the next frame, a close frame; then the server must end its side."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        assert await self.rest() == b""
        return int(struct.unpack("!H", payload[:2])[0])


def frame_bytes(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """One masked frame; the mask is fixed, so that tests repeat."""
    first = (0x80 if fin else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0xFE)) + struct.pack("!H", size)
    else:
        head = bytes((first, 0xFF)) + struct.pack("!Q", size)
    mask = b"\x11\x22\x33\x44"
    stretched = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")
    return head + mask + masked


class Meter:
    """Notes what is counted. The rooms' share of `ports.Meter` is not asked for here."""

    def __init__(self) -> None:
        self.open = {"websocket": 0, "polling": 0}
        self.closes: list[str] = []
        self.refusals: list[str] = []
        self.slow = 0
        self.joined: list[str] = []

    def connection_opened(self, transport: str) -> None:
        self.open[transport] += 1

    def connection_moved(self, before: str, after: str) -> None:
        self.open[before] -= 1
        self.open[after] += 1

    def connection_closed(self, transport: str, reason: str) -> None:
        self.open[transport] -= 1
        self.closes.append(reason)

    def namespace_joined(self, namespace: str) -> None:
        self.joined.append(namespace)

    def namespace_left(self, namespace: str) -> None:
        self.joined.remove(namespace)

    def slow_closed(self) -> None:
        self.slow += 1

    def fanned_out(self, frames: int, size: int) -> None:
        pass

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def committed(self, facts: int, seconds: float) -> None:
        pass

    def rooms_open(self, count: int) -> None:
        pass


class Heard:
    """What one connection heard, and how it ended."""

    def __init__(self, connection: Connection, app: Application) -> None:
        self.connection = connection
        self.messages: list[str | bytes] = []
        self.reasons: list[str] = []
        self.over = trio.Event()
        self._app = app

    async def message(self, data: str | bytes) -> None:
        self.messages.append(data)
        await self._app.answer(self, data)

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)
        self.over.set()

    def write(self, text: str) -> None:
        """Send a message."""
        self.connection.write(Frame(text.encode()))


async def echo(heard: Heard, data: str | bytes) -> None:
    """Send back what was heard."""
    heard.connection.write(BinaryFrame(data) if isinstance(data, bytes) else Frame(data.encode()))


class Application:
    """Engine.IO on its own; `clients` is everyone who ever came."""

    def __init__(self, answer: Callable[[Heard, str | bytes], Awaitable[None]] = echo) -> None:
        self.clients: list[Heard] = []
        self.answer = answer

    def open(self, connection: Connection) -> Handler:
        self.clients.append(Heard(connection, self))
        return self.clients[-1]


class Server:
    """A listener on a free port, and everything that it was given."""

    def __init__(self, listener: Listener, engine: Engine, application: Application, meter: Meter, port: int) -> None:
        self.listener = listener
        self.engine = engine
        self.application = application
        self.meter = meter
        self.port = port
        self._wires: list[Wire] = []

    async def connect(self, context: ssl.SSLContext | None = None) -> WebSocketClient:
        """A new connection, closed at the end of the test."""
        stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        if context is not None:
            stream = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        wire = WebSocketClient(stream)
        self._wires.append(wire)
        return wire

    async def websocket(self, more: str = "") -> WebSocketClient:
        """A WebSocket session; its open packet is heard already."""
        client = await self.connect()
        assert (await client.open(f"/engine.io/?EIO=4&transport=websocket{more}")).status == 101
        assert (await client.hear()).startswith("0{")
        return client

    async def polling(self, more: str = "") -> tuple[WebSocketClient, str]:
        """A polling session: a kept-alive connection and the target of its requests."""
        client = await self.connect()
        answer = await client.request("GET", f"/engine.io/?EIO=4&transport=polling{more}")
        assert answer.status == 200, answer
        sid = json.loads(answer.body.partition(b"\x1e")[0][1:])["sid"]
        return client, f"/engine.io/?EIO=4&transport=polling&sid={sid}"

    async def aclose(self) -> None:
        """All clients go away."""
        for wire in self._wires:
            await trio.aclose_forcefully(wire.stream)


@asynccontextmanager
async def serving(
    settings: EngineSettings = EngineSettings(path="/engine.io/"),  # noqa: B008 - frozen
    application: Application | None = None,
    *,
    admit: Callable[[Handshake], Rejected | None] = lambda _: None,
    app: App | None = None,
    raw: Mapping[str, RawEndpoint] | None = None,
    tls: ssl.SSLContext | None = None,
    handshake_timeout_s: float = 10.0,
) -> AsyncIterator[Server]:
    """A server for one test."""
    application, meter, deadlines = application or Application(), Meter(), Deadlines()
    engine = Engine(settings, application, deadlines, meter, admit)
    listener = Listener({settings.path: engine}, app, ListenerSettings(handshake_timeout_s), raw=raw, tls=tls)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(deadlines.run)
        await nursery.start(listener.run, listeners)
        server = Server(listener, engine, application, meter, listeners[0].socket.getsockname()[1])
        try:
            yield server
        finally:
            await server.aclose()
            nursery.cancel_scope.cancel()
