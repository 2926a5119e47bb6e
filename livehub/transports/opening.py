"""The request that opens a WebSocket (RFC 6455, section 4.2): what it says, and the answer.

What stock clients send is read with two regular expressions, at a fifth of what `websockets` takes for it (75 µs, which
a crowd that comes back pays in one moment). Whatever is not just so goes to the library, which knows what to answer.
"""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from livehub.transports.connection import Engine
from livehub.transports.handshake import Handshake, client_address, read_headers, read_query, refuse_handshake
from livehub.wire.packets import BAD_REQUEST, FORBIDDEN, UNKNOWN_SID, EngineError

HEAD_END = b"\r\n\r\n"
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
FIELDS_MAX = 128
LINE_BYTES_MAX = 8_192
ONCE = frozenset(("connection", "upgrade"))
UNUSUAL = frozenset(("content-length", "sec-websocket-protocol", "transfer-encoding"))
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "

_REQUEST_LINE = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_TOKENS = re.compile(r"[A-Za-z-]+(?:[ \t]*,[ \t]*[A-Za-z-]+)*")
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64

_quiet = logging.getLogger("livehub.websockets")


class BadHandshake(Exception):
    """Not a request for a WebSocket; `response` says why."""

    def __init__(self, response: bytes) -> None:
        super().__init__("bad handshake")
        self.response = response


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening request. `answer` may still find that it is none for a WebSocket."""

    target: str
    headers: Sequence[tuple[str, str]]
    key: str | None = None
    asked: tuple[ServerProtocol, Request] | None = None

    def answer(self) -> bytes:
        """The 101 with which the WebSocket begins. Raises `BadHandshake`."""
        if self.key is not None:
            digest = sha1(self.key.encode() + ACCEPT_GUID, usedforsecurity=False).digest()
            return SWITCHING + b64encode(digest) + HEAD_END
        assert self.asked is not None
        protocol, request = self.asked
        response: Response = protocol.accept(request)
        if response.status_code != 101:
            body = bytes(response.body or b"")
            raise BadHandshake(http_response(response.status_code, body, "text/plain; charset=utf-8"))
        return response.serialize()


def read_opening(head: bytes) -> Opening:
    """What a request head says, up to and with its empty line. Raises `BadHandshake`."""
    return _usual(head) or _unusual(head)


def _usual(head: bytes) -> Opening | None:
    """A request as stock clients write it; None when anything about it is not so."""
    first = _REQUEST_LINE.match(head)
    if first is None or first.end() > LINE_BYTES_MAX:
        return None
    headers: list[tuple[str, str]] = []
    said: dict[str, str] = {}
    at, end = first.end(), len(head) - 2
    while at < end and (field := _FIELD.match(head, at)) is not None:
        name, value = field[1].decode("ascii"), field[2].decode("latin-1")
        headers.append((name, value))
        key = name.lower()
        if (key in said and (key in ONCE or key.startswith("sec-websocket-"))) or len(field[0]) > LINE_BYTES_MAX:
            return None
        said[key] = value
        at = field.end()
    if at != end or len(headers) > FIELDS_MAX or not said.keys().isdisjoint(UNUSUAL):
        return None
    asks = said.get("upgrade", "").lower() == "websocket" and _asks_for_upgrade(said.get("connection", ""))
    key = said.get("sec-websocket-key", "")
    if not asks or said.get("sec-websocket-version") != "13" or _KEY.fullmatch(key) is None:
        return None
    return Opening(first[1].decode("ascii"), headers, key)


def _asks_for_upgrade(connection: str) -> bool:
    return _TOKENS.fullmatch(connection) is not None and "upgrade" in re.split(r"[ \t]*,[ \t]*", connection.lower())


def _unusual(head: bytes) -> Opening:
    protocol = ServerProtocol(logger=_quiet)
    protocol.receive_data(head)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        raise BadHandshake(http_response(400, BAD_REQUEST.body))
    request = events[0]
    return Opening(request.path, list(request.headers.raw_items()), asked=(protocol, request))


def http_response(status: int, body: bytes, content_type: str = "application/json", extra: str = "") -> bytes:
    """A whole HTTP answer, after which the connection closes."""
    reason = {400: "Bad Request", 403: "Forbidden", 426: "Upgrade Required", 503: "Service Unavailable"}
    head = (
        f"HTTP/1.1 {status} {reason.get(status, 'Error')}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


def handshake_of(opening: Opening, peer: str, *, secure: bool, trust_proxy: bool) -> Handshake:
    """What the opening request says. Raises ValueError for an absurd query."""
    headers = read_headers(opening.headers)
    query = read_query(opening.target.partition("?")[2])
    return Handshake(query, headers, client_address(peer, headers, trust_proxy), secure)


def refuse_websocket(engine: Engine, handshake: Handshake) -> tuple[EngineError | None, int | None]:
    """Why a WebSocket may not open here: an error, or the seconds after which to try again; (None, None) if it may."""
    error = refuse_handshake(handshake, engine.settings.origins)
    sid = handshake.query.get("sid")
    if error is None and handshake.query.get("transport") != "websocket":
        error = BAD_REQUEST
    if error is None and sid is not None and sid not in engine.sessions:
        error = UNKNOWN_SID
    if error is not None:
        engine.meter.refused("origin" if error is FORBIDDEN else "handshake")
        return error, None
    if sid is None and (rejected := engine.refuses(handshake)) is not None:
        engine.meter.refused(rejected.reason)
        return None, rejected.retry_after_s
    return None, None
