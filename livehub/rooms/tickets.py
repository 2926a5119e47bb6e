"""Tickets: the private `pid` that a client brings to get its seats back (Connection State Recovery).

A ticket is signed, not stored: a crowd that connects writes nothing to disk, and after `kill -9` every ticket is as
good as before. It is bound to one namespace and one person, so a stolen one is worth nothing without a token of
theirs; the token is checked again at every recovery.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256

SID_BYTES = 15  # 20 characters
TIME_BYTES = 6
SIGNATURE_BYTES = 18
TICKET_CHARS = (SID_BYTES + TIME_BYTES + SIGNATURE_BYTES) * 4 // 3


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a genuine `pid` says: the sid that was given, and when."""

    sid: str
    made_ms: int


def write_ticket(secret: bytes, ticket: Ticket, namespace: str, user: str) -> str:
    """The `pid` for a connection: 52 base64url characters. `ticket.sid` must be 20 base64url characters."""
    body = urlsafe_b64decode(ticket.sid) + ticket.made_ms.to_bytes(TIME_BYTES, "big")
    return urlsafe_b64encode(body + _sign(secret, body, namespace, user)).decode()


def read_ticket(secret: bytes, pid: object, namespace: str, user: str) -> Ticket | None:
    """The ticket if it is genuine and this person's in this namespace, else None."""
    if not isinstance(pid, str) or len(pid) != TICKET_CHARS or not pid.isascii():
        return None
    try:
        raw = urlsafe_b64decode(pid)
    except Base64Error:
        return None
    body, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
    if len(raw) != SID_BYTES + TIME_BYTES + SIGNATURE_BYTES:
        return None
    if not hmac.compare_digest(signature, _sign(secret, body, namespace, user)):
        return None
    return Ticket(urlsafe_b64encode(body[:SID_BYTES]).decode(), int.from_bytes(body[SID_BYTES:], "big"))


def _sign(secret: bytes, body: bytes, namespace: str, user: str) -> bytes:
    message = b"\0".join((namespace.encode(), user.encode(), body))
    return hmac.digest(secret, message, sha256)[:SIGNATURE_BYTES]
