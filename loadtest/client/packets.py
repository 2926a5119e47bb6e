"""Socket.IO packets as text, read with as little work as each needs: most of what comes in is only counted.

Nothing here decodes JSON but `decode` and `decode_data`; names, ack ids and offsets are found where the grammar
`type[n-][/nsp,][ackId][json]` and the compact form that servers write put them.
"""

from __future__ import annotations

from typing import Any

import orjson

DIGITS = frozenset(b"0123456789")
ACK_DIGITS_MAX = 18


def encode_event(namespace: bytes, event: str, args: tuple[object, ...], ack: int | None = None) -> bytes:
    """EVENT with its arguments; `namespace` is as `namespace_prefix` makes it."""
    number = b"" if ack is None else b"%d" % ack
    return b"2" + namespace + number + orjson.dumps([event, *args])


def namespace_prefix(namespace: str) -> bytes:
    """What stands between a packet's type and the rest: `/events,`, and nothing for the main namespace."""
    return b"" if namespace in ("", "/") else namespace.encode() + b","


def decode(frame: bytes | memoryview) -> list[object]:
    """The arguments of an event or ack: an event's name is its first, an offset its last."""
    packet = bytes(frame)
    start = packet.find(b"[")
    if start < 0:
        raise ValueError(f"not an event: {packet[:80]!r}")
    args: list[object] = orjson.loads(packet[start:])
    return args


def decode_data(packet: bytes, namespace: bytes) -> dict[str, Any]:
    """The object that CONNECT or CONNECT_ERROR carries; {} if it has none."""
    text = packet[1 + len(namespace) :]
    data = orjson.loads(text) if text else {}
    return data if isinstance(data, dict) else {"message": data}


def ack_number(packet: bytes, start: int) -> tuple[int | None, int]:
    """The ack id at `start` and where the JSON behind it begins; None if there is no id."""
    end, last = start, min(len(packet), start + ACK_DIGITS_MAX)
    while end < last and packet[end] in DIGITS:
        end += 1
    return (int(packet[start:end]) if end > start else None), end


def last_text(packet: bytes) -> str:
    """The last argument of an event that ends with a string."""
    return str(orjson.loads(packet[packet.index(b"[") :])[-1])
