"""One port for everything: each connection's request head is looked at before anyone reads it.

A WebSocket for an endpoint goes to our own loop; the rest goes to Hypercorn as a guest. An exception in one connection
ends that connection. Whatever is half open (no request, a head or a TLS handshake that never ends) has a deadline.
"""

from __future__ import annotations

import logging
import socket as stdlib_socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from livehub.transports.accepting import accept
from livehub.transports.asgi import App, Dispatch, mount_path
from livehub.transports.backlog import Outgoing
from livehub.transports.connection import CLOSE_WAIT_S, Connection, Engine
from livehub.transports.opening import (
    HEAD_END,
    BadHandshake,
    handshake_of,
    http_response,
    read_opening,
    refuse_websocket,
)
from livehub.transports.outbox import Outbox, PumpedOutbox, SocketOutbox
from livehub.transports.readiness import Readiness
from livehub.transports.serving import serve_session
from livehub.transports.tls import PrefixedStream
from livehub.transports.websocket import Incoming, SocketIncoming, StreamIncoming, WebSocket
from livehub.wire.frames import WireBytes
from livehub.wire.packets import BAD_REQUEST

HEAD_BYTES_MAX = 16 * 1024
BACKLOG_CONNECTIONS = 4_096
KEEP_ALIVE_S = 65.0
FRAME_HEAD_BYTES_MAX = 14
PEEK_PAUSE_S = 0.005
PEEK_PAUSE_MAX_S = 0.1
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Spawnable: TypeAlias = Callable[[], Awaitable[None]]
RawHandler: TypeAlias = Callable[[WebSocket, Outbox], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RawEndpoint:
    """A plain WebSocket at a path, without Engine.IO."""

    handler: RawHandler
    message_bytes_max: int


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """How connections are taken. Times are seconds."""

    handshake_timeout_s: float = 10.0
    body_bytes_max: int = 65_536
    outbox_bytes_max: int = 1 << 20


class Carried:
    """A WebSocket that was answered, and what serves it."""

    __slots__ = ("_outbox", "_websocket", "serve")

    def __init__(self, serve: Spawnable, websocket: WebSocket, outbox: Outbox) -> None:
        self.serve = serve
        self._websocket = websocket
        self._outbox = outbox

    async def end(self) -> None:
        """Send what is left, then wait a moment for the client's end."""
        try:
            self._outbox.finish()
            with trio.move_on_after(CLOSE_WAIT_S), suppress(OSError, trio.ClosedResourceError):
                await self._outbox.drained()
                await self._websocket.linger()
        finally:
            self._websocket.forget()
            self._outbox.kill()  # its file descriptor will soon be another connection's


class Listener:
    """Takes connections and gives each to whoever serves it."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        app: App | None,
        settings: ListenerSettings,
        *,
        raw: Mapping[str, RawEndpoint] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._engines = {mount_path(path): engine for path, engine in engines.items()}
        self._raw = dict(raw or {})
        self._app = app
        self._settings = settings
        self._tls = tls
        self._readiness = Readiness()
        self._streams: set[trio.SocketStream] = set()
        self._accepting = trio.CancelScope()
        self._context = WorkerContext(None)
        self._config = _hypercorn_config(settings)
        self._wrapped: ASGIWrapper | None = None
        self._nursery: trio.Nursery | None = None

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled. `drain` first if clients are to notice nothing worse than a reconnection."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._readiness.run)
            dispatch = Dispatch(self._engines, self._app, self._spawn)
            self._wrapped = ASGIWrapper(dispatch)  # type: ignore[arg-type]  # Hypercorn types ASGI by TypedDicts
            lifespan = Lifespan(self._wrapped, self._config, {})
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            task_status.started()
            try:
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for listener in listeners:
                            accepting.start_soon(accept, listener, self._connection, nursery)
                await trio.sleep_forever()
            finally:
                for session in self._sessions():
                    session.abort("shutdown")
                self.close()

    async def drain(self, jitter_s: float) -> None:
        """Take no more connections and end the sessions without a word, over a span of time: clients come back."""
        self._accepting.cancel()
        for engine in self._engines.values():
            engine.closing = True
        await self._context.terminated.set()
        sessions = self._sessions()
        for session in sessions:
            session.abort("shutdown")
            await trio.sleep(jitter_s / len(sessions))

    def _sessions(self) -> list[Connection]:
        return [session for engine in self._engines.values() for session in engine.sessions.values()]

    def close(self) -> None:
        """End every connection now: a reader that stalls holds up nothing."""
        for stream in list(self._streams):
            with suppress(OSError):
                stream.socket.shutdown(stdlib_socket.SHUT_RDWR)

    def _spawn(self, task: Spawnable) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task)

    async def _connection(self, stream: trio.SocketStream) -> None:
        self._streams.add(stream)
        try:
            carried = await self._open(stream)
            if carried is not None:  # served from here: a coroutine that is not needed any more is memory kept
                try:
                    await carried.serve()
                finally:
                    await carried.end()
        except Exception as error:
            if not _is_departure(error):
                log.exception("connection failed")
        finally:
            self._streams.discard(stream)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _open(self, stream: trio.SocketStream) -> Carried | None:
        """The WebSocket that a client asked for; whatever else it wanted is done with."""
        if self._tls is not None:
            await self._serve_tls(stream, self._tls)
            return None
        sock = stream.socket
        head = b""
        with trio.move_on_after(self._settings.handshake_timeout_s):
            head = await _peek(sock)
        path = self._websocket_path(head)
        if path is not None:
            size = head.index(HEAD_END) + len(HEAD_END)
            outbox = SocketOutbox(sock, self._outbox_bytes_max(path), self._spawn)
            return self._accept(
                path, await sock.recv(size), SocketIncoming(sock.fileno(), self._readiness), outbox, sock
            )
        if await _complete(head, stream):
            await self._http(stream)
        return None

    async def _serve_tls(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        head = b""
        with trio.move_on_after(self._settings.handshake_timeout_s):
            await secure.do_handshake()
            head = await _read_head(secure)
        path = self._websocket_path(head)
        if path is None:
            prefixed = PrefixedStream(secure, head)
            if await _complete(head, prefixed):
                await self._http(prefixed)
            return
        size = head.index(HEAD_END) + len(HEAD_END)
        rest = PrefixedStream(secure, head[size:])

        async def send(frames: Sequence[Outgoing]) -> None:
            await secure.send_all(b"".join([frame.framed for frame in frames]))

        async def pump() -> None:
            await outbox.pump()
            with suppress(OSError):  # TLS cannot end one side only, TCP can
                stream.socket.shutdown(stdlib_socket.SHUT_WR)

        async with trio.open_nursery() as nursery:
            outbox = PumpedOutbox(self._outbox_bytes_max(path), send, nursery.cancel_scope.cancel)
            nursery.start_soon(pump)
            incoming = StreamIncoming(rest.receive_some)
            carried = self._accept(path, head[:size], incoming, outbox, stream.socket)
            try:
                await carried.serve()
            finally:
                await carried.end()

    def _accept(
        self, path: str, head: bytes, incoming: Incoming, outbox: Outbox, sock: trio.socket.SocketType
    ) -> Carried:
        """Answer the opening request."""
        websocket = WebSocket(incoming, self._message_bytes_max(path), outbox)
        try:
            return Carried(self._answer(path, head, websocket, outbox, sock), websocket, outbox)
        except BadHandshake as bad:
            outbox.write(WireBytes(bad.response))
            return Carried(trio.lowlevel.checkpoint, websocket, outbox)

    def _answer(
        self, path: str, head: bytes, websocket: WebSocket, outbox: Outbox, sock: trio.socket.SocketType
    ) -> Spawnable:
        """What serves the WebSocket. Raises `BadHandshake`."""
        opening = read_opening(head)
        raw = self._raw.get(path)
        if raw is not None:
            outbox.write(WireBytes(opening.answer()))
            return partial(raw.handler, websocket, outbox)
        engine = self._engines[mount_path(path)]
        peer = str(sock.getpeername()[0])
        try:
            handshake = handshake_of(
                opening, peer, secure=self._tls is not None, trust_proxy=engine.settings.trust_proxy
            )
        except ValueError:
            raise BadHandshake(http_response(400, BAD_REQUEST.body)) from None
        error, retry_s = refuse_websocket(engine, handshake)
        if error is not None:
            raise BadHandshake(http_response(error.status, error.body))
        if retry_s is not None:
            raise BadHandshake(http_response(503, b"{}", extra=f"Retry-After: {retry_s}\r\n"))
        return partial(serve_session, engine, handshake, websocket, outbox, opening.answer())

    async def _http(self, stream: trio.SocketStream | PrefixedStream) -> None:
        if self._wrapped is None:
            return
        server = TCPServer(self._wrapped, self._config, self._context, ConnectionState({}), stream)  # type: ignore[arg-type]  # any stream with `.socket` will do
        try:
            await server
        finally:
            vars(server).pop("protocol", None)  # it sends through the server: of every connection a cycle of 36 objects

    def _websocket_path(self, head: bytes) -> str | None:
        """The path of a complete request for a WebSocket that is served here, else None."""
        if not _is_upgrade(head):
            return None
        target = head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
        return target if target in self._raw or mount_path(target) in self._engines else None

    def _message_bytes_max(self, path: str) -> int:
        raw = self._raw.get(path)
        return raw.message_bytes_max if raw is not None else self._engines[mount_path(path)].settings.max_payload_bytes

    def _outbox_bytes_max(self, path: str) -> int:
        """What an echo keeps is one message and its frame."""
        raw = self._raw.get(path)
        if raw is None:
            return self._engines[mount_path(path)].settings.outbox_bytes_max
        return max(self._settings.outbox_bytes_max, raw.message_bytes_max + FRAME_HEAD_BYTES_MAX)


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Sockets that listen, for `Listener.run`; the system's limit on waiting connections applies too."""
    return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG_CONNECTIONS)


def _is_departure(error: Exception) -> bool:
    """Whether this only says that the client went away. Nurseries put that into groups."""
    if isinstance(error, ExceptionGroup):
        return all(_is_departure(inner) for inner in error.exceptions)
    return isinstance(error, OSError | trio.BrokenResourceError | trio.ClosedResourceError)


async def _peek(sock: trio.socket.SocketType) -> bytes:
    """The request head, left unread; shorter when the client ended first, longer than allowed when it never ends.

    A partial head makes every peek return at once, so the pauses grow; whoever calls sets the deadline.
    """
    pause_s = PEEK_PAUSE_S
    while True:
        head = await sock.recv(HEAD_BYTES_MAX, stdlib_socket.MSG_PEEK)
        if not head or HEAD_END in head or len(head) >= HEAD_BYTES_MAX:
            return head
        await trio.sleep(pause_s)
        pause_s = min(pause_s * 2, PEEK_PAUSE_MAX_S)


async def _read_head(stream: trio.abc.ReceiveStream) -> bytes:
    head = bytearray()
    while HEAD_END not in head and len(head) < HEAD_BYTES_MAX:
        data = await stream.receive_some(HEAD_BYTES_MAX)
        if not data:
            break
        head += data
    return bytes(head)


async def _complete(head: bytes, stream: trio.abc.SendStream) -> bool:
    """Whether this is a whole request head; the client of one without an end is told."""
    if HEAD_END in head:
        return True
    if len(head) >= HEAD_BYTES_MAX:
        await stream.send_all(TOO_LONG)
    return False


def _is_upgrade(head: bytes) -> bool:
    lines = head.partition(HEAD_END)
    if not lines[1] or head[:4] != b"GET ":
        return False
    return any(
        name.strip().lower() == b"upgrade" and b"websocket" in value.lower()
        for name, _, value in (line.partition(b":") for line in lines[0].split(b"\r\n")[1:])
    )


def _hypercorn_config(settings: ListenerSettings) -> Config:
    config = Config()
    config.errorlog = logging.getLogger("livehub.http.server")
    config.accesslog = None
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = 1_000_000_000
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.websocket_max_message_size = settings.body_bytes_max
    config.include_server_header = False
    return config
