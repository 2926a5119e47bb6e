"""Engine.IO v4 packets: one packet per WebSocket frame, or several in a polling payload, joined by 0x1E."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

SEPARATOR = "\x1e"
PROTOCOL_VERSION = "4"


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class Packet(NamedTuple):
    """One packet; binary data only in a MESSAGE."""

    type: PacketType
    data: str | bytes


class MalformedPayload(ValueError):
    """Not Engine.IO: the session is closed."""


@dataclass(frozen=True, slots=True)
class EngineError:
    """A refusal on the HTTP level: `{"code", "message"}` with a status."""

    code: int
    message: str
    status: int = 400

    @property
    def body(self) -> bytes:
        """The JSON body."""
        return json.dumps({"code": self.code, "message": self.message}, separators=(",", ":")).encode()


UNKNOWN_TRANSPORT = EngineError(0, "Transport unknown")
UNKNOWN_SID = EngineError(1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = EngineError(2, "Bad handshake method")
BAD_REQUEST = EngineError(3, "Bad request")
FORBIDDEN = EngineError(4, "Forbidden", 403)
UNSUPPORTED_VERSION = EngineError(5, "Unsupported protocol version")

_TYPES = {str(int(kind)): kind for kind in PacketType}


def decode_packet(text: str) -> Packet:
    """A packet from text: a WebSocket text frame, or a part of a polling payload. Raises `MalformedPayload`.

    `b` + base64 is a binary message: polling has no other, and a client with `b64=1` sends it over WebSocket too.
    """
    kind = _TYPES.get(text[:1])
    if kind is not None:
        return Packet(kind, text[1:])
    if text[:1] == "b":
        try:
            return Packet(PacketType.MESSAGE, b64decode(text[1:], validate=True))
        except (Base64Error, ValueError):
            raise MalformedPayload("binary packet is not base64") from None
    raise MalformedPayload("unknown packet type" if text else "empty packet")


def decode_payload(body: bytes) -> list[Packet]:
    """The packets of a polling POST. Raises `MalformedPayload`, also for an empty body."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise MalformedPayload("payload is not UTF-8") from None
    return [decode_packet(part) for part in text.split(SEPARATOR)]


def open_packet(sid: str, upgrades: Sequence[str], interval_s: float, timeout_s: float, max_payload: int) -> bytes:
    """The first packet of a session: what the client must know."""
    told = {
        "sid": sid,
        "upgrades": list(upgrades),
        "pingInterval": round(interval_s * 1000),
        "pingTimeout": round(timeout_s * 1000),
        "maxPayload": max_payload,
    }
    return b"0" + json.dumps(told, separators=(",", ":")).encode()
