"""Socket.IO v5 packets: `type[n-][/nsp,][ackId][json]`, then n binary attachments.

Everything that a single packet can do wrong is found here, in both directions; what needs memory of earlier packets
is for `livehub.wire.sockets`. Stricter than the reference parser where that one is lax: digits are ASCII digits, an
event or an ack without its array is malformed, and every attachment has exactly one placeholder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from livehub.wire.frames import Frame, Kind
from livehub.wire.jsontext import JSON, BadJson, dumps, loads

ROOT = "/"
ATTACHMENTS_MAX = 10
"""What stock clients take in one packet, too."""

NAMESPACE_CHARS_MAX = 256
NAMESPACES_REMEMBERED = 64
"""As packets spell them: clients ask for the same few all the time."""
ACK_ID_MAX = 1 << 53
"""Beyond it a JavaScript number no longer names one ack."""

RESERVED = frozenset(("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"))


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}
_EVENT = PacketType.EVENT  # to look a member up in its enum takes 50 ns each time
_PLAIN = {binary: plain for plain, binary in _BINARY.items()}
_TYPES = {str(int(kind)): kind for kind in PacketType}
_HEAD = re.compile(r"([0-6])(?:([0-9]++)-)?(/[^,]*+,?)?([0-9]*+)")
_COUNT_DIGITS_MAX = 4
_ACK_ID_DIGITS_MAX = len(str(ACK_ID_MAX))

EventName = str | int | float


class MalformedPacket(ValueError):
    """Not a Socket.IO packet; the text says what is wrong with it, without quoting it."""


@dataclass(slots=True)
class Packet:
    """One packet. `data` None is no data. `attachments` are those still to come, so 0 once they are in `data`."""

    type: PacketType
    namespace: str = ROOT
    data: JSON = None
    ack_id: int | None = None
    attachments: int = 0


def decode(text: str) -> Packet:
    """The packet in a text message. Raises `MalformedPacket`."""
    head = _HEAD.match(text)
    if head is None:
        raise MalformedPacket("unknown packet type")
    digit, count, path, ack_id = head.groups()
    kind = _TYPES[digit]
    attachments = 0 if count is None and kind not in _PLAIN else _attachments(kind, count)
    packet = Packet(kind, ROOT if path is None else _namespace(path), None, None, attachments)
    if ack_id:
        if len(ack_id) > _ACK_ID_DIGITS_MAX or (number := int(ack_id)) > ACK_ID_MAX:
            raise MalformedPacket("ack id out of range")
        packet.ack_id = number
    body = text[head.end() :]
    if body:
        try:
            packet.data = loads(body)
        except BadJson as bad:
            raise MalformedPacket(str(bad)) from None
    _check(packet, has_data=bool(body))
    return packet


def encode(packet: Packet, kind: Kind = Kind.FACT, key: str | None = None) -> Frame:
    """The frame of a packet whose binaries are in its `data`: whether it is a binary packet is found out here.

    Raises `TypeError` for data that is neither JSON nor binary, `ValueError` for more attachments than clients take.
    """
    plain = _PLAIN.get(packet.type, packet.type)
    number = "" if packet.ack_id is None else str(packet.ack_id)
    if packet.data is None:
        return Frame(_head(str(int(plain)), packet.namespace, number), (), kind, key)
    try:
        return Frame(_head(str(int(plain)), packet.namespace, number) + dumps(packet.data), (), kind, key)
    except TypeError:
        if plain not in _BINARY:
            raise
    blobs: list[bytes] = []
    body = dumps(_take_out(packet.data, blobs))
    if len(blobs) > ATTACHMENTS_MAX:
        raise ValueError(f"a packet may have {ATTACHMENTS_MAX} attachments, not {len(blobs)}")
    return Frame(_head(f"{int(_BINARY[plain])}{len(blobs)}-", packet.namespace, number) + body, blobs, kind, key)


def ack_text(namespace: str, ack_id: int, array: list[JSON]) -> bytes:
    """An ACK packet without binaries; `array` is what is answered."""
    return _head("3", namespace, str(ack_id)) + dumps(array)


def event_text(namespace: str, array: list[JSON]) -> bytes:
    """An EVENT packet without binaries; `array` is the name and the arguments."""
    return _head("2", namespace, "") + dumps(array)


class Assembler:
    """Waits for the attachments of one binary packet. Its placeholders are checked before any of them is taken."""

    __slots__ = ("_blobs", "_packet", "_slots")

    def __init__(self, packet: Packet) -> None:
        """Raises `MalformedPacket` unless each attachment has its one place in the data."""
        self._packet = packet
        self._blobs: list[bytes] = []
        self._slots = _placeholders(packet.data, packet.attachments)

    def add(self, blob: bytes) -> Packet | None:
        """Take the next attachment; with the last one, the packet as if it had never been apart."""
        self._blobs.append(blob)
        if len(self._blobs) < len(self._slots):
            return None
        for (container, place), filling in zip(self._slots, self._blobs, strict=True):
            container[place] = filling
        packet = self._packet
        return Packet(_PLAIN[packet.type], packet.namespace, packet.data, packet.ack_id)


def _attachments(kind: PacketType, count: str | None) -> int:
    if kind not in _PLAIN:
        raise MalformedPacket("attachments on a packet that has none")
    number = int(count) if count is not None and len(count) <= _COUNT_DIGITS_MAX else 0
    if not 1 <= number <= ATTACHMENTS_MAX:
        raise MalformedPacket("bad number of attachments")
    return number


@lru_cache(maxsize=NAMESPACES_REMEMBERED)
def _namespace(path: str) -> str:
    """Without its comma, and without a `?query`, which old clients put there and nobody routes by."""
    namespace = path.removesuffix(",").partition("?")[0]
    if len(namespace) > NAMESPACE_CHARS_MAX:
        raise MalformedPacket("namespace too long")
    if not namespace.isascii() and any("\ud800" <= char <= "\udfff" for char in namespace):
        raise MalformedPacket("namespace is not Unicode")  # a refusal has to repeat it
    return namespace


def _check(packet: Packet, *, has_data: bool) -> None:
    """Raise `MalformedPacket` unless the data suits the type. A literal null suits none."""
    kind, data = _PLAIN.get(packet.type, packet.type), packet.data
    if kind is _EVENT:
        if not isinstance(data, list) or not data:
            raise MalformedPacket("an event is not a list with a name")
        name = data[0]
        if type(name) is not str and (not isinstance(name, EventName) or isinstance(name, bool)):
            raise MalformedPacket("an event's name is neither text nor a number")
        if name in RESERVED:
            raise MalformedPacket("an event's name is reserved")
    elif kind is PacketType.ACK:
        if not isinstance(data, list) or packet.ack_id is None:
            raise MalformedPacket("an ack is not a list with an id")
    elif kind is PacketType.CONNECT:
        if has_data and not isinstance(data, dict):
            raise MalformedPacket("a connect's data is not an object")
    elif kind is PacketType.DISCONNECT:
        if has_data:
            raise MalformedPacket("a disconnect has data")
    elif not isinstance(data, dict | str):
        raise MalformedPacket("a connect error's data is neither an object nor text")


def _head(begin: str, namespace: str, number: str) -> bytes:
    if namespace == ROOT:
        return (begin + number).encode()
    if "," in namespace:
        raise ValueError("a namespace has no comma")
    return f"{begin}{namespace},{number}".encode()


def _take_out(data: JSON, blobs: list[bytes]) -> JSON:
    if isinstance(data, bytes | bytearray | memoryview):
        blobs.append(bytes(data))
        return {"_placeholder": True, "num": len(blobs) - 1}
    if isinstance(data, dict):
        return {key: _take_out(value, blobs) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_take_out(value, blobs) for value in data]
    return data


def _placeholders(data: JSON, count: int) -> list[tuple[JSON, JSON]]:
    """Where each attachment belongs: the container, and the index or key in it."""
    slots: dict[int, tuple[JSON, JSON]] = {}
    containers = [data]
    while containers:
        container = containers.pop()
        for place, value in enumerate(container) if isinstance(container, list) else container.items():
            if isinstance(value, dict) and value.get("_placeholder") is True:
                number = value.get("num")
                # one place each: a header of thousands would make an echo of megabytes out of one attachment
                if type(number) is not int or not 0 <= number < count or number in slots:
                    raise MalformedPacket("bad placeholder")
                slots[number] = (container, place)
            elif isinstance(value, dict | list):
                containers.append(value)
    if len(slots) < count:
        raise MalformedPacket("an attachment without a placeholder")
    return [slots[number] for number in range(count)]
