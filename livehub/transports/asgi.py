"""What Hypercorn serves: polling endpoints, WebSockets that arrive on a kept-alive connection, and the web app.

A proxy with kept-alive upstream connections sends an upgrade down a connection on which requests came before; only
Hypercorn can see it then, so the same sessions are carried through ASGI.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import trio

from livehub.transports.backlog import Outgoing
from livehub.transports.connection import Engine
from livehub.transports.opening import refuse_websocket
from livehub.transports.outbox import PumpedOutbox, Spawn
from livehub.transports.polling import Polling, Receive, Scope, Send, read_handshake
from livehub.transports.reader import Message
from livehub.transports.serving import serve_session
from livehub.transports.websocket import Wait
from livehub.wire.frames import BinaryFrame, Frame, WireBytes
from livehub.wire.packets import BAD_REQUEST

log = logging.getLogger(__name__)

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]

NOT_FOUND = b'{"success":false,"error":{"message":"Not Found","statusCode":404}}'


class Dispatch:
    """One ASGI app for everything that is not a fresh WebSocket."""

    def __init__(self, engines: Mapping[str, Engine], app: App | None, spawn: Spawn) -> None:
        self._engines = engines
        self._polling = {path: Polling(engine, spawn) for path, engine in engines.items()}
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        try:
            await self._serve(scope, receive, send)
        except* trio.BusyResourceError:  # Hypercorn was closing the connection while it was answered
            log.debug("answered a connection that was being closed")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        path = mount_path(scope["path"]) if kind != "lifespan" else ""
        if kind == "http" and path in self._polling:
            await self._polling[path](scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, path, receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        else:
            await _respond(send, "http.response", 404, NOT_FOUND)

    async def _websocket(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        engine = self._engines.get(path)
        await receive()  # websocket.connect
        if engine is None:
            await _respond(send, "websocket.http.response", 404, NOT_FOUND)
            return
        try:
            handshake = read_handshake(scope, engine.settings.trust_proxy)
        except ValueError:
            await _respond(send, "websocket.http.response", 400, BAD_REQUEST.body)
            return
        error, retry_s = refuse_websocket(engine, handshake)
        if error is not None:
            await _respond(send, "websocket.http.response", error.status, error.body)
            return
        if retry_s is not None:
            retry = (b"retry-after", str(retry_s).encode())
            await _respond(send, "websocket.http.response", 503, b"{}", retry)
            return
        await send({"type": "websocket.accept"})
        async with trio.open_nursery() as nursery:
            outbox = PumpedOutbox(engine.settings.outbox_bytes_max, _Sender(send), nursery.cancel_scope.cancel)
            nursery.start_soon(outbox.pump)
            try:
                await serve_session(engine, handshake, _Source(receive), outbox)
            finally:
                outbox.finish()


class _Source:
    """Messages of an ASGI WebSocket."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._message: Message | None = None
        self.over = False
        self.wait: Wait = self._wait

    def take(self) -> Message | None:
        message, self._message = self._message, None
        return message

    async def _wait(self) -> None:
        heard = await self._receive()
        if heard["type"] != "websocket.receive":
            self.over = True
            return
        text: str | None = heard.get("text")
        self._message = text if text is not None else bytes(heard["bytes"])


class _Sender:
    """Frames to ASGI messages."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, frames: Sequence[Outgoing]) -> None:
        for frame in frames:
            if isinstance(frame, WireBytes):
                await self._send({"type": "websocket.close", "code": 1000})
            elif isinstance(frame, BinaryFrame):
                await self._send({"type": "websocket.send", "bytes": frame.data})
            elif isinstance(frame, Frame):
                await self._send({"type": "websocket.send", "text": "4" + frame.text.decode()})
                for blob in frame.attachments:
                    await self._send({"type": "websocket.send", "bytes": bytes(blob)})
            else:
                await self._send({"type": "websocket.send", "text": frame.data.decode()})


def mount_path(path: str) -> str:
    """Paths of endpoints end with a slash; clients may leave it out."""
    return path if path.endswith("/") else f"{path}/"


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _respond(send: Send, kind: str, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
