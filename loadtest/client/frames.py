"""WebSocket frames (RFC 6455) as a load generator needs them: cutting the server's apart, masking the client's.

A client must mask, with a key that nobody can predict, so that a page cannot make a proxy see a request of its choice
(section 5.3). A load generator talks to its own server and has no such page, so the key here is four zero bytes: XOR
with it changes nothing, and a frame costs the generator one concatenation.
"""

from __future__ import annotations

from typing import NamedTuple

FIN = 0x80
MASKED = 0x80
CONTINUATION, TEXT, BINARY, CLOSE = 0, 1, 2, 8
WHOLE_TEXT = FIN | TEXT
CONTROL_FROM = 8
"""Opcodes from here on are control frames: they may come between the fragments of a message."""
ZERO_KEY = bytes(4)
MESSAGE_MAX_BYTES = 16 << 20
SMALL_MAX_BYTES = 125
MEDIUM_MAX_BYTES = 0xFFFF

_SMALL_HEADS = tuple(bytes((WHOLE_TEXT, MASKED | size)) + ZERO_KEY for size in range(SMALL_MAX_BYTES + 1))


class BadFrame(Exception):
    """A server's frame is masked, or longer than anything that is meant: it is no WebSocket server."""


class Span(NamedTuple):
    """Where a frame's payload is, and what kind of frame it is (its first byte)."""

    first: int
    start: int
    end: int


def masked_text(payload: bytes) -> bytes:
    """A client's text frame."""
    size = len(payload)
    if size <= SMALL_MAX_BYTES:
        return _SMALL_HEADS[size] + payload
    if size <= MEDIUM_MAX_BYTES:
        return b"\x81\xfe" + size.to_bytes(2, "big") + ZERO_KEY + payload
    return b"\x81\xff" + size.to_bytes(8, "big") + ZERO_KEY + payload


def next_frame(data: bytes, at: int) -> Span | None:
    """The frame at `at`, or None if not all of it is there. Raises `BadFrame`."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size & MASKED:
        raise BadFrame("a server's frame is masked")
    if size > SMALL_MAX_BYTES:
        start = at + (4 if size == SMALL_MAX_BYTES + 1 else 10)
        if len(data) < start:
            return None
        size = int.from_bytes(data[at + 2 : start], "big")
        if size > MESSAGE_MAX_BYTES:
            raise BadFrame(f"a frame of {size} bytes")
    end = start + size
    return Span(data[at], start, end) if end <= len(data) else None


def close_code(payload: bytes) -> int | None:
    """The code in a close frame."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
