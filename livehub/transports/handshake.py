"""How a client comes: what its first request says, and whether it may come at all.

A foreign origin is refused on both transports before any session exists: the reference server leaves that to CORS,
which browsers do not apply to WebSockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from livehub.wire.packets import (
    FORBIDDEN,
    PROTOCOL_VERSION,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    EngineError,
)

QUERY_CHARS_MAX = 4_096
QUERY_FIELDS_MAX = 64
SHARED_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One Engine.IO endpoint. Times are seconds."""

    path: str = "/socket.io/"
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    upgrade_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    goodbye_s: float = 30.0  # how long a closed polling session's last packet waits for a GET
    max_payload_bytes: int = 65_536
    outbox_bytes_max: int = 1 << 20
    packets_per_turn: int = 32
    origins: tuple[str, ...] = ()
    trust_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's first request. Header names are in lower case; of a repeated query field the first counts."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    address: str
    secure: bool = False


def read_query(text: str) -> dict[str, str]:
    """A URL's query. Raises ValueError when it is absurdly long."""
    if len(text) > QUERY_CHARS_MAX:
        raise ValueError("query too long")
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX):
        query.setdefault(_shared(name), _shared(value))
    return query


def read_headers(raw: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones are joined as RFC 9110, section 5.2 says."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key = _shared((name.decode("latin-1") if isinstance(name, bytes) else name).lower())
        text = _shared(value.decode("latin-1") if isinstance(value, bytes) else value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _shared(text: str) -> str:
    """One copy of what thousands of clients send alike: 2 kB less for each of them."""
    return _copy(text) if len(text) <= SHARED_CHARS_MAX else text


@lru_cache(maxsize=1024)
def _copy(text: str) -> str:
    """The first of its kind. `sys.intern` would keep what nobody needs any more."""
    return text


def client_address(peer: str, headers: Mapping[str, str], trust_proxy: bool) -> str:
    """Where the client is: the peer, or what a trusted proxy says it is."""
    if not trust_proxy:
        return peer
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded or peer


def origin_allowed(headers: Mapping[str, str], origins: tuple[str, ...]) -> bool:
    """Whether a page of this origin may connect. No origin means no browser; livehub's own pages always may."""
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    try:
        return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def refuse_handshake(handshake: Handshake, origins: tuple[str, ...]) -> EngineError | None:
    """Why this request cannot be Engine.IO v4 of a welcome client, or None."""
    if not origin_allowed(handshake.headers, origins):
        return FORBIDDEN
    if handshake.query.get("transport") not in ("polling", "websocket"):
        return UNKNOWN_TRANSPORT
    if handshake.query.get("EIO") != PROTOCOL_VERSION:
        return UNSUPPORTED_VERSION
    return None
