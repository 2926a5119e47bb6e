"""Socket.IO over connections: namespaces, each with what an application wants to happen there.

Whatever a client or an application does wrong ends that client's connection and no other. A client that cannot speak
the protocol has no state worth saving: it is logged once, told goodbye, and nothing more of it is served.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import trio

from livehub.ports import Meter
from livehub.wire.frames import Kind
from livehub.wire.jsontext import JSON
from livehub.wire.messages import RESERVED, ROOT, EventName, MalformedPacket, Packet, PacketType, encode
from livehub.wire.sockets import (
    CONNECT_TIMEOUT_S,
    ConnectAsked,
    Disconnected,
    EventReceived,
    ProtocolViolation,
    SocketProtocol,
)

if TYPE_CHECKING:
    from livehub.transports.connection import Connection, Handler
    from livehub.transports.deadlines import Deadlines

SID_BYTES = 15  # 20 base64url characters
CLIENT_LEFT = "client_disconnect"
SERVER_LEFT = "server_disconnect"
CONNECT_TIMEOUT = "connect_timeout"

UNKNOWN_NAMESPACE = "Invalid namespace"
TOO_MANY_NAMESPACES = "Too many namespaces"
UNANSWERED = "Internal error"

log = logging.getLogger(__name__)


class Namespace(Protocol):
    """What an application does in one namespace. Calls for one connection come one at a time, in order."""

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        """Call `socket.accept` or `socket.refuse`. May emit before accepting: recovery tells the past first."""

    async def event(self, socket: Socket, name: EventName, args: list[JSON], ack_id: int | None) -> None:
        """An event came; every `ack_id` is to be answered once."""

    def gone(self, socket: Socket, reason: str) -> None:
        """An accepted socket is gone. Called exactly once; must not wait."""


class Socket:
    """One client in one namespace. Whatever is asked of it once it is gone does nothing."""

    __slots__ = ("_accepted", "_client", "_gone", "connection", "data", "namespace", "sid")

    def __init__(self, client: _Client, connection: Connection, namespace: str) -> None:
        self.connection = connection
        self.namespace = namespace
        self.sid = ""  # until it is accepted
        self.data: object = None
        self._client = client
        self._accepted = False
        self._gone = False

    @property
    def connected(self) -> bool:
        """Accepted, and not gone."""
        return self._accepted and not self._gone

    @property
    def answered(self) -> bool:
        """The CONNECT was accepted or refused, or needs no answer any more."""
        return self._accepted or self._gone

    def accept(self, sid: str | None = None, pid: str | None = None) -> None:
        """Let the client in."""
        if not self.answered:
            self.sid = sid or secrets.token_urlsafe(SID_BYTES)
            self._accepted = True
            self._client.accepted(self, pid)

    def refuse(self, message: str, data: JSON = None) -> None:
        """Turn the client away from this namespace; its connection stays."""
        if not self.answered:
            self._gone = True
            self._client.refused(self, message, data)

    def emit(self, name: str, *args: JSON, kind: Kind = Kind.FACT, key: str | None = None) -> None:
        """Send an event; bytes in it travel as attachments. Also before `accept`: the client keeps it until then."""
        if name in RESERVED:
            raise ValueError(f"{name} is a reserved event name")  # clients would close the connection
        if not self._gone:
            packet = Packet(PacketType.EVENT, self.namespace, [name, *args])
            self.connection.write(encode(packet, kind, key))

    def acknowledge(self, ack_id: int, *args: JSON) -> None:
        """Answer an event. An ack never travels on another connection than its event."""
        if self.connected:
            packet = Packet(PacketType.ACK, self.namespace, list(args), ack_id)
            self.connection.write(encode(packet, Kind.ACK))

    def disconnect(self) -> None:
        """Show the client out of the namespace; its connection stays. Before it is accepted, refuse it instead."""
        if self.connected:
            self._client.show_out(self)

    def lost(self) -> bool:
        """Note that the client is gone. True if the application has to be told."""
        was_in, self._gone = self.connected, True
        return was_in


class SocketEndpoint:
    """Serves Socket.IO at a path."""

    def __init__(
        self,
        namespaces: Mapping[str, Namespace],
        deadlines: Deadlines,
        meter: Meter | None = None,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        for path in namespaces:
            if not path.startswith(ROOT) or "," in path or "?" in path:
                raise ValueError(f"a namespace is a path without comma and query, not {path!r}")
        self.namespaces = namespaces
        self.deadlines = deadlines
        self.meter = meter
        self.connect_timeout_s = connect_timeout_s

    def open(self, connection: Connection) -> Handler:
        """A client has come."""
        return _Client(self, connection)


class _Client:
    """The Socket.IO side of one connection."""

    __slots__ = ("_connection", "_endpoint", "_over", "_protocol", "_sockets", "_timer")

    def __init__(self, endpoint: SocketEndpoint, connection: Connection) -> None:
        self._endpoint = endpoint
        self._connection = connection
        deadline_s = trio.current_time() + endpoint.connect_timeout_s
        self._protocol = SocketProtocol(deadline_s)
        self._sockets: dict[str, Socket] = {}
        self._over = False
        self._timer = endpoint.deadlines.at(deadline_s, self._too_late)

    async def message(self, data: str | bytes) -> None:
        """Serve one message; whatever goes wrong ends the connection and raises nothing."""
        if self._over:
            return
        try:
            event = self._protocol.receive(data)
        except (MalformedPacket, ProtocolViolation) as error:
            log.warning("malformed packet: %s", error)
            self._end("parse_error")
            return
        try:
            if isinstance(event, EventReceived):
                namespace = self._endpoint.namespaces[event.namespace]
                await namespace.event(self._sockets[event.namespace], event.name, event.args, event.ack_id)
            elif isinstance(event, ConnectAsked):
                await self._connect(event)
            elif isinstance(event, Disconnected):
                self._drop(self._sockets.pop(event.namespace), CLIENT_LEFT)
        except Exception:
            log.exception("connection closed: its namespace failed")
            self._end("internal_error")

    def closed(self, reason: str) -> None:
        """The connection is over, and every socket on it."""
        self._over = True
        self._timer.cancel()
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            self._drop(socket, reason)

    def accepted(self, socket: Socket, pid: str | None) -> None:
        """Answer for a socket that was let in. Counted first: writing may find the reader too slow, and end it all."""
        self._timer.cancel()
        if self._endpoint.meter is not None:
            self._endpoint.meter.namespace_joined(socket.namespace)
        self._connection.write(self._protocol.accept(socket.namespace, socket.sid, pid))

    def refused(self, socket: Socket, message: str, data: JSON) -> None:
        """Answer for a socket that was turned away."""
        del self._sockets[socket.namespace]
        self._connection.write(self._protocol.refuse(socket.namespace, message, data))

    def show_out(self, socket: Socket) -> None:
        """Tell a client that it is out of a namespace, then the application."""
        del self._sockets[socket.namespace]
        self._connection.write(self._protocol.leave(socket.namespace))
        self._drop(socket, SERVER_LEFT)

    async def _connect(self, asked: ConnectAsked) -> None:
        path = asked.namespace
        namespace = self._endpoint.namespaces.get(path)
        if self._protocol.crowded or namespace is None:
            why = UNKNOWN_NAMESPACE if namespace is None else TOO_MANY_NAMESPACES
            self._connection.write(self._protocol.refuse(path, why))
            return
        socket = self._sockets[path] = Socket(self, self._connection, path)
        await namespace.connect(socket, {} if asked.auth is None else asked.auth)
        if not socket.answered:
            log.error("a namespace neither accepted nor refused: %s", path)
            socket.refuse(UNANSWERED)

    def _drop(self, socket: Socket, reason: str) -> None:
        if not socket.lost():
            return
        if self._endpoint.meter is not None:
            self._endpoint.meter.namespace_left(socket.namespace)
        try:
            self._endpoint.namespaces[socket.namespace].gone(socket, reason)
        except Exception:
            log.exception("a namespace failed at the end of a socket")

    def _end(self, reason: str) -> None:
        self._over = True
        self._connection.close(reason)

    def _too_late(self) -> None:
        self._end(CONNECT_TIMEOUT)
