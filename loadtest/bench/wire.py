"""What goes over the wire: WebSocket frames and the few Socket.IO packets that the points need, as bytes.

Frames are masked with zeros, which leaves the payload as it is. RFC 6455, 5.3 wants unpredictable keys to protect
proxies; between a generator and a server on one machine there are none.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping

import jwt

from loadtest.targets import DEVELOPMENT_SECRET

TOKEN_TTL_S = 6 * 3_600
NAMESPACE = "/events"
TEXT = 1
CHAT = b'42/events,["chat.message.new",'
EVENT = b'42/events,["'
ACK = b"43/events,"
ENTERED = b"40/events,"
REFUSED = b'"success":false'
PING, PONG = b"2", b"3"


def masked(payload: bytes) -> bytes:
    """A client's text frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | TEXT, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | TEXT, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | TEXT, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def frame_end(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the server's frame at `at` starts and ends, if all of it is there."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size == 126:
        size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    return (start, start + size) if len(data) >= start + size else None


def upgrade(port: int, session: str) -> bytes:
    """The request of a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /socket.io/?EIO=4&transport=websocket&sessionId={session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def token(user: str, role: str | None = None) -> str:
    """A token that the servers believe."""
    now_s = int(time.time())
    told = {"sub": user, "email": f"{user}@example.org", "name": "Ann Lee", "orgId": "org", "iat": now_s}
    return jwt.encode(
        {**told, "exp": now_s + TOKEN_TTL_S, **({"role": role} if role else {})}, DEVELOPMENT_SECRET, "HS256"
    )


def connect(auth: Mapping[str, str]) -> bytes:
    """CONNECT to the namespace."""
    return masked(f"40{NAMESPACE},{json.dumps(auth)}".encode())


def emit(event: str, payload: Mapping[str, object], ack: int | None = None) -> bytes:
    """An event, with an ack id if an answer is wanted."""
    told = json.dumps([event, payload], ensure_ascii=False, separators=(",", ":"))
    return masked(f"42{NAMESPACE},{'' if ack is None else ack}{told}".encode())


class Keys:
    """Idempotency keys: version 4 in form, counted up from a random start, since `uuid4` costs as much as a send."""

    def __init__(self) -> None:
        self._start = os.urandom(5).hex()
        self._used = 0

    def next(self) -> str:
        """One that was not used before."""
        self._used += 1
        return f"{self._start[:8]}-{self._start[8:]}00-4000-8000-{self._used:012x}"
