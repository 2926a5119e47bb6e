"""Socket.IO over connections: namespaces, each with what an application wants to happen there."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from livehub.ports import Meter
from livehub.transports.connection import Connection, Handler
from livehub.transports.deadlines import Deadlines
from livehub.wire.frames import Frame, Kind
from livehub.wire.messages import JSON, MalformedPacket, Packet, PacketType, encode
from livehub.wire.sockets import ConnectAsked, EventReceived, Left, SocketProtocol

SID_BYTES = 15
CLIENT_LEFT = "client_disconnect"
SERVER_LEFT = "server_disconnect"

log = logging.getLogger(__name__)


class Namespace(Protocol):
    """What an application does in one namespace. Calls for one connection come one at a time, in order."""

    async def connect(self, socket: Socket, auth: dict[str, JSON]) -> None:
        """Call `socket.accept` or `socket.refuse`. May emit before accepting: recovery tells the past first."""

    async def event(self, socket: Socket, name: JSON, args: list[JSON], ack_id: int | None) -> None:
        """An event came; every `ack_id` must be answered once."""

    def gone(self, socket: Socket, reason: str) -> None:
        """An accepted socket is gone. Called exactly once; must not wait."""


class Socket:
    """One client in one namespace."""

    __slots__ = ("_accepted", "_client", "_gone", "connection", "data", "namespace", "sid")

    def __init__(self, client: _Client, connection: Connection, namespace: str) -> None:
        self.connection = connection
        self.namespace = namespace
        self.sid = ""
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
        """The CONNECT was accepted or refused."""
        return self._accepted or self._gone

    def accept(self, sid: str | None = None, pid: str | None = None) -> None:
        """Let the client in. Harmless when it is gone already."""
        if self.answered:
            return
        self.sid = sid or secrets.token_urlsafe(SID_BYTES)
        self._accepted = True
        self._client.accepted(self, pid)

    def refuse(self, message: str, data: JSON = None) -> None:
        """Turn the client away from this namespace."""
        if not self.answered:
            self._gone = True
            self._client.refused(self, message, data)

    def emit(self, name: str, *args: JSON, kind: Kind = Kind.FACT, key: str | None = None) -> None:
        """Send an event; bytes in it travel as attachments."""
        if not self._gone:
            packet = Packet(PacketType.EVENT, self.namespace, [name, *args])
            self.connection.write(encode(packet, kind, key))

    def acknowledge(self, ack_id: int, *args: JSON) -> None:
        """Answer an event. An ack never travels on another connection than its event."""
        if self.connected:
            packet = Packet(PacketType.ACK, self.namespace, list(args), ack_id)
            self.connection.write(encode(packet, Kind.ACK))

    def disconnect(self) -> None:
        """Show the client out of the namespace; its connection stays."""
        if self.connected:
            self._client.show_out(self)

    def write(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames that were encoded elsewhere."""
        if not self._gone:
            self.connection.write_joined(frames, joined)

    def lost(self, reason: str, namespace: Namespace) -> None:
        """The client is gone; tell the application if it was let in."""
        was_in, self._gone = self.connected, True
        if not was_in:
            return
        try:
            namespace.gone(self, reason)
        except Exception:
            log.exception("a namespace failed at the end of a socket")


class SocketEndpoint:
    """Serves Socket.IO at a path."""

    def __init__(
        self,
        namespaces: Mapping[str, Namespace],
        deadlines: Deadlines,
        meter: Meter,
        *,
        connect_timeout_s: float = 45.0,
    ) -> None:
        self.namespaces = namespaces
        self.deadlines = deadlines
        self.meter = meter
        self.connect_timeout_s = connect_timeout_s

    def open(self, connection: Connection) -> Handler:
        """A client has come."""
        return _Client(self, connection)


class _Client:
    """The Socket.IO side of one connection."""

    __slots__ = ("_connection", "_endpoint", "_protocol", "_sockets", "_timer")

    def __init__(self, endpoint: SocketEndpoint, connection: Connection) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._protocol = SocketProtocol()
        self._sockets: dict[str, Socket] = {}
        deadline_s = trio.current_time() + endpoint.connect_timeout_s
        self._timer = endpoint.deadlines.at(deadline_s, self._too_late)

    async def message(self, data: str | bytes) -> None:
        try:
            event = self._protocol.receive(data)
        except MalformedPacket as error:
            log.info("connection closed, malformed packet: %s", error)
            self._connection.close("parse_error")
            return
        if isinstance(event, EventReceived):
            socket = self._sockets[event.namespace]
            namespace = self._endpoint.namespaces[event.namespace]
            await namespace.event(socket, event.name, event.args, event.ack_id)
        elif isinstance(event, ConnectAsked):
            await self._connect(event)
        elif isinstance(event, Left):
            self._drop(self._sockets.pop(event.namespace), CLIENT_LEFT)

    def closed(self, reason: str) -> None:
        self._timer.cancel()
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            self._drop(socket, reason)

    def accepted(self, socket: Socket, pid: str | None) -> None:
        self._timer.cancel()
        self._connection.write(self._protocol.accept(socket.namespace, socket.sid, pid))
        self._endpoint.meter.namespace_joined(socket.namespace)

    def refused(self, socket: Socket, message: str, data: JSON) -> None:
        self._sockets.pop(socket.namespace, None)
        self._connection.write(self._protocol.refuse(socket.namespace, message, data))

    def show_out(self, socket: Socket) -> None:
        if self._sockets.pop(socket.namespace, None) is socket:
            self._connection.write(self._protocol.leave(socket.namespace))
            self._drop(socket, SERVER_LEFT)

    async def _connect(self, asked: ConnectAsked) -> None:
        namespace = self._endpoint.namespaces.get(asked.namespace)
        if namespace is None:
            self._connection.write(self._protocol.refuse(asked.namespace, "Invalid namespace"))
            return
        socket = self._sockets[asked.namespace] = Socket(self, self._connection, asked.namespace)
        try:
            await namespace.connect(socket, asked.auth)
        finally:
            if not socket.answered:
                socket.refuse("Internal error")

    def _drop(self, socket: Socket, reason: str) -> None:
        if socket.connected:
            self._endpoint.meter.namespace_left(socket.namespace)
        socket.lost(reason, self._endpoint.namespaces[socket.namespace])

    def _too_late(self) -> None:
        if not self._protocol.ever_joined:
            self._connection.close("connect_timeout")
