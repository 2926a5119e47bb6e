"""A frame: one Socket.IO packet (or Engine.IO message), encoded once and shared by all who are sent it.

Both forms it takes on the way out are made at most once per frame, not once per receiver: `framed` is what a
WebSocket carries (RFC 6455, section 5: server frames are unmasked), `packets` is what a polling response joins.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from enum import Enum

TEXT_OPCODE = 0x81
BINARY_OPCODE = 0x82


class Kind(Enum):
    """What may happen to a frame when its reader is slow (design, §6: outbox rules)."""

    CONTROL = "control"  # pings, CONNECT replies: always sent
    ACK = "ack"  # always sent
    FACT = "fact"  # always sent, in order
    VIEW = "view"  # a later one with the same key takes its place
    BURST = "burst"  # dropped when the transport is not ready


class Frame:
    """One message with its binary attachments, in every form a transport wants. Immutable once written."""

    __slots__ = ("_framed", "_packets", "attachments", "key", "kind", "text")

    def __init__(
        self, text: bytes, attachments: Sequence[bytes] = (), kind: Kind = Kind.FACT, key: str | None = None
    ) -> None:
        self.text = text
        self.attachments = attachments
        self.kind = kind
        self.key = key
        self._framed: bytes | None = None
        self._packets: tuple[bytes, ...] | None = None

    @property
    def framed(self) -> bytes:
        """WebSocket frames: one text frame `4…`, then one binary frame per attachment, contiguous."""
        if self._framed is None:
            text = text_frame(b"4" + self.text)
            self._framed = text if not self.attachments else text + b"".join(map(binary_frame, self.attachments))
        return self._framed

    @property
    def packets(self) -> tuple[bytes, ...]:
        """Engine.IO packets as polling joins them with 0x1E: `4…`, then `b` + base64 per attachment."""
        if self._packets is None:
            self._packets = (b"4" + self.text, *(b"b" + b64encode(blob) for blob in self.attachments))
        return self._packets

    @property
    def size(self) -> int:
        """Bytes this frame weighs in an outbox."""
        return len(self.text) + (sum(map(len, self.attachments)) if self.attachments else 0)


def text_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame."""
    return _header(TEXT_OPCODE, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket binary frame."""
    return _header(BINARY_OPCODE, len(payload)) + payload


def _header(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big")
    return bytes((opcode, 127)) + length.to_bytes(8, "big")


class ControlFrame:
    """One Engine.IO control packet (`2`, `6`, `3probe`), in the forms that `Frame` has."""

    __slots__ = ("data",)

    attachments: tuple[bytes, ...] = ()
    kind = Kind.CONTROL
    key: str | None = None

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def framed(self) -> bytes:
        """One WebSocket text frame."""
        return text_frame(self.data)

    @property
    def packets(self) -> tuple[bytes, ...]:
        """The packet as polling carries it."""
        return (self.data,)

    @property
    def size(self) -> int:
        """Bytes it weighs in an outbox."""
        return len(self.data)


class WireBytes:
    """Bytes for a WebSocket that are no packet: handshake, pong and close frames, the rest of a partial send."""

    __slots__ = ("framed",)

    attachments: tuple[bytes, ...] = ()
    kind = Kind.CONTROL
    key: str | None = None
    packets: tuple[bytes, ...] = ()

    def __init__(self, framed: bytes) -> None:
        self.framed = framed

    @property
    def size(self) -> int:
        """Bytes it weighs in an outbox."""
        return len(self.framed)


class BinaryFrame:
    """One binary Engine.IO message, in the forms that `Frame` has."""

    __slots__ = ("data",)

    attachments: tuple[bytes, ...] = ()
    kind = Kind.FACT
    key: str | None = None

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def framed(self) -> bytes:
        """One WebSocket binary frame."""
        return binary_frame(self.data)

    @property
    def packets(self) -> tuple[bytes, ...]:
        """The packet as polling carries it: `b` + base64."""
        return (b"b" + b64encode(self.data),)

    @property
    def size(self) -> int:
        """Bytes it weighs in an outbox."""
        return len(self.data)
