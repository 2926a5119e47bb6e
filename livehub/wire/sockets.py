"""The Socket.IO side of one Engine.IO session, sans-I/O: which namespaces are joined, and what may come when.

Whatever breaks the rules raises `MalformedPacket`, and the whole connection is closed: a peer that cannot speak the
protocol has no state worth saving.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from livehub.wire.frames import Frame, Kind
from livehub.wire.messages import ACKS, EVENTS, JSON, Assembler, MalformedPacket, Packet, PacketType, decode, encode

NAMESPACES_MAX = 16
"""Joined or asked for at once, per connection."""


@dataclass(frozen=True, slots=True)
class ConnectAsked:
    """The client wants to join a namespace."""

    namespace: str
    auth: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class EventReceived:
    """An event for a joined namespace."""

    namespace: str
    name: JSON
    args: list[JSON]
    ack_id: int | None


@dataclass(frozen=True, slots=True)
class AckReceived:
    """The answer to an event that the server sent."""

    namespace: str
    ack_id: int
    args: list[JSON]


@dataclass(frozen=True, slots=True)
class Left:
    """The client said goodbye to a namespace."""

    namespace: str


Event: TypeAlias = ConnectAsked | EventReceived | AckReceived | Left


class _State(Enum):
    ASKED = "asked"
    JOINED = "joined"


class SocketProtocol:
    """What the client may send now, and how the server's answers look."""

    __slots__ = ("_assembler", "_namespaces", "ever_joined")

    def __init__(self) -> None:
        self._namespaces: dict[str, _State] = {}
        self._assembler: Assembler | None = None
        self.ever_joined = False

    def receive(self, data: str | bytes) -> Event | None:
        """What an Engine.IO message means; None while attachments are missing. Raises `MalformedPacket`."""
        if isinstance(data, bytes):
            if self._assembler is None:
                raise MalformedPacket("binary frame without a header")
            whole = self._assembler.add(data)
            if whole is None:
                return None
            self._assembler = None
            return self._event(whole)
        if self._assembler is not None:
            raise MalformedPacket("text frame where an attachment was announced")
        packet = decode(data)
        if packet.attachments:
            self._check_joined(packet)
            self._assembler = Assembler(packet)
            return None
        return self._event(packet)

    def accept(self, namespace: str, sid: str, pid: str | None = None) -> Frame:
        """Answer a CONNECT: joined."""
        self._namespaces[namespace] = _State.JOINED
        self.ever_joined = True
        told = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
        return encode(Packet(PacketType.CONNECT, namespace, told), Kind.CONTROL)

    def refuse(self, namespace: str, message: str, data: JSON = None) -> Frame:
        """Answer a CONNECT: not joined."""
        self._namespaces.pop(namespace, None)
        told = {"message": message} if data is None else {"message": message, "data": data}
        return encode(Packet(PacketType.CONNECT_ERROR, namespace, told), Kind.CONTROL)

    def leave(self, namespace: str) -> Frame:
        """Show the client out of a namespace."""
        self._namespaces.pop(namespace, None)
        return encode(Packet(PacketType.DISCONNECT, namespace), Kind.CONTROL)

    def _event(self, packet: Packet) -> Event:
        namespace = packet.namespace
        if packet.type is PacketType.CONNECT:
            return self._connect(namespace, packet.data or {})
        self._check_joined(packet)
        if packet.type in EVENTS:
            return EventReceived(namespace, packet.data[0], packet.data[1:], packet.ack_id)
        if packet.type in ACKS and packet.ack_id is not None:
            return AckReceived(namespace, packet.ack_id, packet.data)
        if packet.type is PacketType.DISCONNECT:
            del self._namespaces[namespace]
            return Left(namespace)
        raise MalformedPacket("a client sends no CONNECT_ERROR")

    def _connect(self, namespace: str, auth: dict[str, JSON]) -> Event:
        if namespace in self._namespaces:
            raise MalformedPacket("second CONNECT")
        if len(self._namespaces) >= NAMESPACES_MAX:
            raise MalformedPacket(f"more than {NAMESPACES_MAX} namespaces")
        self._namespaces[namespace] = _State.ASKED
        return ConnectAsked(namespace, auth)

    def _check_joined(self, packet: Packet) -> None:
        if self._namespaces.get(packet.namespace) is not _State.JOINED:
            raise MalformedPacket("not joined")
