"""Socket.IO v5 packets: `type[n-][/nsp,][ackId][json]`, then n binary frames.

What a single packet can show to be wrong is found here; what depends on what came before is in `livehub.wire.sockets`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from livehub.wire.frames import Frame, Kind
from livehub.wire.jsontext import BadJson, dumps, loads

JSON: TypeAlias = Any

ATTACHMENTS_MAX = 10
NAMESPACE_CHARS_MAX = 256
ACK_ID_DIGITS_MAX = 16
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})

_HEAD = re.compile(r"([0-6])(?:(\d{1,4})-)?(?:(/[^,]*),?)?(\d*)", re.DOTALL)


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


EVENTS = (PacketType.EVENT, PacketType.BINARY_EVENT)
ACKS = (PacketType.ACK, PacketType.BINARY_ACK)
BINARY = (PacketType.BINARY_EVENT, PacketType.BINARY_ACK)


class MalformedPacket(ValueError):
    """Not Socket.IO: the whole connection is closed."""


@dataclass(slots=True)
class Packet:
    """One packet, of either side. `attachments` is how many binary frames its header announces."""

    type: PacketType
    namespace: str = "/"
    data: JSON = None
    ack_id: int | None = None
    attachments: int = 0


def decode(text: str) -> Packet:
    """A packet from its text frame. Raises `MalformedPacket`."""
    found = _HEAD.match(text)
    if found is None:
        raise MalformedPacket("unknown packet type")
    kind = PacketType(int(found[1]))
    namespace = (found[3] or "/").partition("?")[0]
    if len(namespace) > NAMESPACE_CHARS_MAX:
        raise MalformedPacket("namespace too long")
    if len(found[4]) > ACK_ID_DIGITS_MAX:
        raise MalformedPacket("ack id too large")
    packet = Packet(kind, namespace, _data(text[found.end() :]), int(found[4]) if found[4] else None)
    packet.attachments = _attachments(kind, found[2])
    _check(packet)
    return packet


def encode(packet: Packet, kind: Kind = Kind.FACT, key: str | None = None) -> Frame:
    """A frame of a packet; bytes anywhere in an event's or ack's data become attachments."""
    blobs: list[bytes] = []
    data = packet.data
    shown = packet.type
    if shown in (*EVENTS, *ACKS) and _has_bytes(data):
        data = _take_out(data, blobs)
        shown = PacketType.BINARY_EVENT if shown in EVENTS else PacketType.BINARY_ACK
    head = str(int(shown))
    if blobs:
        head += f"{len(blobs)}-"
    if packet.namespace != "/":
        head += f"{packet.namespace},"
    if packet.ack_id is not None:
        head += str(packet.ack_id)
    body = b"" if data is None else dumps(data)
    return Frame(head.encode() + body, blobs, kind, key)


def event_text(namespace: str, array: list[JSON]) -> bytes:
    """An EVENT without binary data, for the hot path: `2/events,["name",…]`."""
    return (b"2" if namespace == "/" else f"2{namespace},".encode()) + dumps(array)


class Assembler:
    """Puts binary frames into the packet that announced them."""

    __slots__ = ("_blobs", "_packet")

    def __init__(self, packet: Packet) -> None:
        self._packet = packet
        self._blobs: list[bytes] = []

    def add(self, blob: bytes) -> Packet | None:
        """The whole packet once its last frame is here. Raises `MalformedPacket`."""
        self._blobs.append(blob)
        if len(self._blobs) < self._packet.attachments:
            return None
        used: set[int] = set()
        packet = self._packet
        packet.data = _put_in(packet.data, self._blobs, used)
        if len(used) != len(self._blobs):
            raise MalformedPacket("an attachment has no place")
        return packet


def _data(text: str) -> JSON:
    if not text:
        return None
    try:
        return loads(text)
    except BadJson as error:
        raise MalformedPacket(str(error)) from None


def _attachments(kind: PacketType, digits: str | None) -> int:
    if kind not in BINARY:
        if digits is not None:
            raise MalformedPacket("attachments on a packet that has none")
        return 0
    if digits is None or int(digits) > ATTACHMENTS_MAX:
        raise MalformedPacket(f"a binary packet has 0 to {ATTACHMENTS_MAX} attachments")
    return int(digits)


def _check(packet: Packet) -> None:
    kind, data = packet.type, packet.data
    if kind is PacketType.CONNECT:
        ok = data is None or isinstance(data, dict)
    elif kind is PacketType.DISCONNECT:
        ok = data is None
    elif kind is PacketType.CONNECT_ERROR:
        ok = isinstance(data, dict | str)
    elif kind in EVENTS:
        ok = isinstance(data, list) and bool(data) and _is_name(data[0])
    else:
        ok = isinstance(data, list) and packet.ack_id is not None
    if not ok:
        raise MalformedPacket(f"payload does not fit {kind.name}")
    if packet.ack_id is not None and kind not in (*EVENTS, *ACKS):
        raise MalformedPacket(f"{kind.name} has no ack id")


def _is_name(name: JSON) -> bool:
    if isinstance(name, str):
        return name not in RESERVED
    return isinstance(name, int | float) and not isinstance(name, bool)


def _has_bytes(value: JSON) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    if isinstance(value, dict):
        return any(map(_has_bytes, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_bytes, value))


def _take_out(value: JSON, blobs: list[bytes]) -> JSON:
    if isinstance(value, bytes | bytearray | memoryview):
        blobs.append(bytes(value))
        return {"_placeholder": True, "num": len(blobs) - 1}
    if isinstance(value, dict):
        return {name: _take_out(item, blobs) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(item, blobs) for item in value]
    return value


def _put_in(value: JSON, blobs: Sequence[bytes], used: set[int]) -> JSON:
    if isinstance(value, list):
        return [_put_in(item, blobs, used) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {name: _put_in(item, blobs, used) for name, item in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(blobs):
        raise MalformedPacket("bad placeholder")
    used.add(number)
    return blobs[number]
