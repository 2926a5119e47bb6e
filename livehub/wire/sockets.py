"""The Socket.IO side of one Engine.IO session: which namespaces it has joined, and what it may do there.

A namespace of a connection is nothing → joining (CONNECT came) → joined (accepted), and back to nothing when it is
refused, left by the server or left by the client; then it may be asked for again.

    packet             nothing     joining     joined
    CONNECT            joining     violation   violation
    EVENT, ACK         violation   violation   served
    DISCONNECT         violation*  violation   nothing
    CONNECT_ERROR      violation   violation   violation

    * ignored where the server left first: the two crossed on the way
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from livehub.wire.frames import Frame, Kind
from livehub.wire.jsontext import JSON
from livehub.wire.messages import Assembler, EventName, Packet, PacketType, decode, encode

CONNECT_TIMEOUT_S = 45.0
NAMESPACES_MAX = 16
"""Per connection; a stock client has one socket per namespace and needs two or three."""
_EVENT = PacketType.EVENT  # to look a member up in its enum takes 50 ns each time


class ProtocolViolation(ValueError):
    """A packet that is well-formed and not allowed now: the whole connection is closed."""


@dataclass(slots=True)
class ConnectAsked:
    """The client wants to join; answer with `accept` or `refuse`."""

    namespace: str
    auth: dict[str, JSON] | None


@dataclass(slots=True)
class EventReceived:
    """An event on a joined namespace; one with an `ack_id` wants an ack."""

    namespace: str
    name: EventName
    args: list[JSON]
    ack_id: int | None


@dataclass(slots=True)
class AckReceived:
    """An ack on a joined namespace. Whoever knows the id takes it; an unknown one is nobody's business."""

    namespace: str
    ack_id: int
    args: list[JSON]


@dataclass(slots=True)
class Disconnected:
    """The client left a namespace; the connection stays."""

    namespace: str


Event: TypeAlias = ConnectAsked | EventReceived | AckReceived | Disconnected


class SocketProtocol:
    """What comes in becomes events; what is decided becomes frames to write."""

    __slots__ = ("_assembler", "_joined", "_left", "connect_deadline")

    def __init__(self, connect_deadline: float) -> None:
        self._joined: dict[str, bool] = {}  # False while joining
        self._left: set[str] | None = None  # left by the server, and not asked for again
        self._assembler: Assembler | None = None
        self.connect_deadline: float | None = connect_deadline
        """When to close a connection that has joined nothing; None from the first namespace on, for good."""

    @property
    def crowded(self) -> bool:
        """Whether the namespace last asked for is one too many."""
        return len(self._joined) > NAMESPACES_MAX

    def receive(self, data: str | bytes) -> Event | None:
        """What a message means. Raises `MalformedPacket` or `ProtocolViolation`: then close, and ask nothing more."""
        assembler = self._assembler
        if isinstance(data, str):
            if assembler is not None:
                raise ProtocolViolation("text while attachments are pending")
            packet = decode(data)
            if packet.attachments:
                self._must_be_joined(packet.namespace)  # before anything is kept for it
                self._assembler = Assembler(packet)
                return None
            return self._event(packet)
        if assembler is None:
            raise ProtocolViolation("binary without a header")
        whole = assembler.add(data)
        if whole is None:
            return None
        self._assembler = None
        return self._event(whole)

    def accept(self, namespace: str, sid: str, pid: str | None = None) -> Frame:
        """Answer a `ConnectAsked`: the client is in."""
        self._joined[namespace] = True
        self.connect_deadline = None
        told = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
        return encode(Packet(PacketType.CONNECT, namespace, told), Kind.CONTROL)

    def refuse(self, namespace: str, message: str, data: JSON = None) -> Frame:
        """Answer a `ConnectAsked`: the client is not let in, and may ask again."""
        del self._joined[namespace]
        told: dict[str, JSON] = {"message": message}
        if data is not None:
            told["data"] = data
        return encode(Packet(PacketType.CONNECT_ERROR, namespace, told), Kind.CONTROL)

    def leave(self, namespace: str) -> Frame:
        """Show the client out of a namespace it has joined."""
        del self._joined[namespace]
        if self._left is None:
            self._left = set()
        self._left.add(namespace)
        return encode(Packet(PacketType.DISCONNECT, namespace), Kind.CONTROL)

    def _event(self, packet: Packet) -> Event | None:
        kind, namespace = packet.type, packet.namespace
        if kind is _EVENT:
            self._must_be_joined(namespace)
            return EventReceived(namespace, packet.data[0], packet.data[1:], packet.ack_id)
        if kind is PacketType.ACK:
            self._must_be_joined(namespace)
            assert packet.ack_id is not None
            return AckReceived(namespace, packet.ack_id, packet.data)
        if kind is PacketType.CONNECT:
            return self._connect(namespace, packet.data)
        if kind is PacketType.DISCONNECT:
            if self._left is not None and namespace in self._left:
                self._left.discard(namespace)
                return None
            self._must_be_joined(namespace)
            del self._joined[namespace]
            return Disconnected(namespace)
        raise ProtocolViolation("a connect error from a client")

    def _connect(self, namespace: str, auth: dict[str, JSON] | None) -> ConnectAsked:
        if namespace in self._joined:
            raise ProtocolViolation("a second connect to a namespace")
        self._joined[namespace] = False
        if self._left is not None:
            self._left.discard(namespace)
        return ConnectAsked(namespace, auth)

    def _must_be_joined(self, namespace: str) -> None:
        if not self._joined.get(namespace):
            raise ProtocolViolation("a packet for a namespace that is not joined")
