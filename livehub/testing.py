"""A server for anyone's conformance suite, on livehub's own transports and wire code.

`python -m livehub.testing conformance --port N` serves an Engine.IO echo at `/engine.io/`, a Socket.IO app at
`/socket.io/` (namespaces `/` and `/custom`) and a raw WebSocket echo at `/echo`.
"""

from __future__ import annotations

import secrets
import signal
from functools import partial

import click
import trio

from livehub.feature import JSON
from livehub.metrics import Metrics
from livehub.transports.connection import Connection, Endpoint, Engine, Handler
from livehub.transports.deadlines import Deadlines
from livehub.transports.handshake import EngineSettings
from livehub.transports.listener import Listener, ListenerSettings, RawEndpoint, open_listeners
from livehub.transports.outbox import Outbox
from livehub.transports.sockets import Socket, SocketEndpoint
from livehub.transports.websocket import WebSocket
from livehub.wire.frames import BinaryFrame, Frame, WireBytes, binary_frame, text_frame

RAW_MESSAGE_BYTES_MAX = 32 << 20
OUTBOX_BYTES_MAX = 128 << 20
TICKETS_MAX = 10_000


class EngineEcho:
    """Every message comes back unchanged."""

    def open(self, connection: Connection) -> Handler:
        """A client has come."""
        return _Echo(connection)


class _Echo:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def message(self, data: str | bytes) -> None:
        self._connection.write(Frame(data.encode()) if isinstance(data, str) else BinaryFrame(data))

    def closed(self, reason: str) -> None:
        """Nothing was kept."""


class SocketEcho:
    """One namespace. With `recovery`, a client that brings its `pid` back gets its old `sid`: nothing was missed."""

    def __init__(self, *, answers: bool, recovery: bool) -> None:
        self._answers = answers
        self._recovery = recovery
        self._tickets: dict[str, Socket] = {}

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        """Let the client in and tell it what it brought."""
        pid = auth.get("pid")
        before = self._tickets.get(pid) if isinstance(pid, str) else None
        if not self._recovery:
            socket.accept()
        elif before is not None and isinstance(pid, str):
            before.connection.abort("superseded")
            self._accept(socket, before.sid, pid)
        else:
            self._accept(socket, None, secrets.token_urlsafe(15))
        socket.emit("auth", auth)

    async def event(self, socket: Socket, name: JSON, args: list[JSON], ack_id: int | None) -> None:
        """`message` → `message-back`; whoever asks for an ack gets the same arguments."""
        if self._answers and name == "message":
            socket.emit("message-back", *args)
        if ack_id is not None:
            socket.acknowledge(ack_id, *(args if self._answers else ()))

    def gone(self, socket: Socket, reason: str) -> None:
        """Tickets outlive connections; nothing else was kept."""

    def _accept(self, socket: Socket, sid: str | None, pid: str) -> None:
        while len(self._tickets) >= TICKETS_MAX:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[pid] = socket
        socket.accept(sid, pid)


async def echo(websocket: WebSocket, outbox: Outbox) -> None:
    """Send every message of a raw WebSocket back."""
    while (message := await websocket.next()) is not None:
        framed = text_frame(message.encode()) if isinstance(message, str) else binary_frame(message)
        outbox.write(WireBytes(framed))
        await outbox.drained()


async def conformance(settings: EngineSettings, host: str, port: int, connect_timeout_s: float, recovery: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    deadlines, metrics = Deadlines(), Metrics()
    namespaces = {
        "/": SocketEcho(answers=True, recovery=recovery),
        "/custom": SocketEcho(answers=False, recovery=recovery),
    }
    sockets = SocketEndpoint(namespaces, deadlines, metrics, connect_timeout_s=connect_timeout_s)

    def engine(endpoint: Endpoint) -> Engine:
        return Engine(settings, endpoint, deadlines, metrics, lambda _: None)

    listener = Listener(
        {"/engine.io/": engine(EngineEcho()), "/socket.io/": engine(sockets)},
        None,
        ListenerSettings(body_bytes_max=settings.max_payload_bytes, outbox_bytes_max=OUTBOX_BYTES_MAX),
        raw={"/echo": RawEndpoint(echo, RAW_MESSAGE_BYTES_MAX)},
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            listeners = await open_listeners(host, port)
            await nursery.start(deadlines.run)
            await nursery.start(partial(listener.run, listeners))
            click.echo(f"conformance server on http://{host}:{listeners[0].socket.getsockname()[1]}")
            await anext(aiter(signals))
            listener.close()
            nursery.cancel_scope.cancel()


@click.group()
def cli() -> None:
    """Servers for tests."""


@cli.command("conformance")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=3000, show_default=True)
@click.option("--ping-interval", type=click.IntRange(1), default=25_000, show_default=True, help="Milliseconds.")
@click.option("--ping-timeout", type=click.IntRange(1), default=20_000, show_default=True, help="Milliseconds.")
@click.option("--max-payload", type=click.IntRange(1), default=1_000_000, show_default=True, help="Bytes.")
@click.option("--connect-timeout", type=click.IntRange(1), default=45_000, show_default=True, help="Milliseconds.")
@click.option(
    "--recovery",
    type=click.Choice(["on", "off"]),
    is_flag=False,
    flag_value="on",
    default="off",
    show_default=True,
    help="Whether CONNECT replies carry a pid, with which a client comes back to its sid.",
)
@click.option("--no-recovery", is_flag=True, help="The same as --recovery off.")
def conformance_command(
    host: str,
    port: int,
    ping_interval: int,
    ping_timeout: int,
    max_payload: int,
    connect_timeout: int,
    recovery: str,
    no_recovery: bool,
) -> None:
    """Echoes for Engine.IO, Socket.IO and WebSocket suites."""
    settings = EngineSettings(
        ping_interval_s=ping_interval / 1000,
        ping_timeout_s=ping_timeout / 1000,
        max_payload_bytes=max_payload,
        outbox_bytes_max=OUTBOX_BYTES_MAX,
        origins=("*",),
    )
    trio.run(conformance, settings, host, port, connect_timeout / 1000, recovery == "on" and not no_recovery)


if __name__ == "__main__":
    cli()
