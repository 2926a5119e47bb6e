"""Long polling as plain ASGI, beside the Quart app: six times cheaper than a route of it, and it hears disconnects.

One GET and one POST at a time. A client that goes away while its GET is parked is gone at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import trio

from livehub.transports.connection import NOOP, Connection, Engine
from livehub.transports.handshake import (
    Handshake,
    client_address,
    origin_allowed,
    read_headers,
    read_query,
    refuse_handshake,
)
from livehub.transports.outbox import PollOutbox, Spawn, nobody_waits
from livehub.wire.packets import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    EngineError,
    MalformedPayload,
    decode_payload,
)

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

TEXT = b"text/plain; charset=UTF-8"
BINARY = "application/octet-stream"
TOO_LARGE = EngineError(3, "Payload too large", 413)
TOO_SLOW = EngineError(3, "Request timeout", 408)
CORS_MAX_AGE_S = 600
CONTENT_LENGTH_DIGITS_MAX = 20


class ClientGone(Exception):
    """The client went away in the middle of a request."""


def read_handshake(scope: Scope, trust_proxy: bool) -> Handshake:
    """The handshake in an ASGI scope. Raises ValueError for an absurd query."""
    headers = read_headers(scope["headers"])
    address = client_address((scope.get("client") or ("", 0))[0], headers, trust_proxy)
    query = read_query(scope["query_string"].decode("latin-1"))
    return Handshake(query, headers, address, scope.get("scheme") in ("https", "wss"))


class Polling:
    """Requests of one endpoint."""

    def __init__(self, engine: Engine, spawn: Spawn) -> None:
        self._engine = engine
        self._spawn = spawn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            handshake = read_handshake(scope, self._engine.settings.trust_proxy)
        except ValueError:
            await _fail(send, BAD_REQUEST, [])
            return
        cors = _cors(handshake, self._engine.settings.origins)
        if scope["method"] == "OPTIONS":
            await _preflight(send, handshake, cors, self._engine.settings.origins)
            return
        error = refuse_handshake(handshake, self._engine.settings.origins)
        if error is not None:
            self._engine.meter.refused("origin" if error is FORBIDDEN else "handshake")
            await _fail(send, error, cors)
            return
        sid = handshake.query.get("sid")
        if sid is None:
            await self._open(scope["method"], handshake, send, cors)
        elif (connection := self._engine.sessions.get(sid)) is None:
            await self._farewell(sid, scope["method"], send, cors)
        elif connection.transport != "polling" or handshake.query["transport"] != "polling":
            await _fail(send, BAD_REQUEST, cors)
        elif scope["method"] == "GET":
            await self._get(connection, receive, send, cors)
        elif scope["method"] == "POST":
            await self._post(connection, handshake, receive, send, cors)
        else:
            await _fail(send, BAD_REQUEST, cors)

    async def _open(self, method: str, handshake: Handshake, send: Send, cors: Headers) -> None:
        if method != "GET":
            await _fail(send, BAD_HANDSHAKE_METHOD, cors)
            return
        if handshake.query["transport"] != "polling":
            await _fail(send, BAD_REQUEST, cors)
            return
        rejected = self._engine.refuses(handshake)
        if rejected is not None:
            self._engine.meter.refused(rejected.reason)
            retry = (b"retry-after", str(rejected.retry_after_s).encode())
            await _answer(send, 503, b"Service unavailable", [*cors, retry])
            return
        outbox = self._engine.open_polling(handshake, self._spawn)
        await _answer(send, 200, outbox.take(self._engine.settings.max_payload_bytes), cors)

    async def _farewell(self, sid: str, method: str, send: Send, cors: Headers) -> None:
        words = self._engine.last_words(sid) if method == "GET" else None
        if words is None:
            await _fail(send, UNKNOWN_SID, cors)
        else:
            await _answer(send, 200, words, cors)

    async def _get(self, connection: Connection, receive: Receive, send: Send, cors: Headers) -> None:
        outbox = connection.outbox
        if connection.parked or not isinstance(outbox, PollOutbox):
            connection.hang_up("overlapping_poll")
            await _fail(send, BAD_REQUEST, cors)
            return
        connection.parked = True
        try:
            body = await self._wait(connection, outbox, receive)
        except ClientGone:
            connection.abort("transport_close")
            return
        finally:
            connection.parked = False
            outbox.arrived = nobody_waits
        if connection.closed and outbox:
            self._engine.keep(connection.sid, outbox)
        if body:
            await _answer(send, 200, body, cors)
        else:
            await _answer(send, 503, b"Service unavailable", cors)

    async def _wait(self, connection: Connection, outbox: PollOutbox, receive: Receive) -> bytes:
        """What a parked GET is answered; empty when the session ended without a word. Raises `ClientGone`.

        What arrives cancels the wait for the client's leaving: that is one task less per parked GET.
        """
        while True:
            if connection.upgrading or connection.transport != "polling":
                return NOOP.data
            body = outbox.take(self._engine.settings.max_payload_bytes)
            if body or outbox.closed:
                return body
            with trio.CancelScope() as waiting:
                outbox.arrived = waiting.cancel
                await _until_gone(receive)
                raise ClientGone

    async def _post(
        self, connection: Connection, handshake: Handshake, receive: Receive, send: Send, cors: Headers
    ) -> None:
        if connection.posting:
            connection.hang_up("overlapping_post")
            await _fail(send, BAD_REQUEST, cors)
            return
        if handshake.headers.get("content-type", "").partition(";")[0].strip().lower() == BINARY:
            connection.hang_up("parse_error")
            await _fail(send, BAD_REQUEST, cors)
            return
        connection.posting = True
        try:
            error = await self._take(connection, handshake, receive)
        except ClientGone:
            return
        finally:
            connection.posting = False  # before the answer: a quick client's next POST is no overlap
        if error is None:
            await _answer(send, 200, b"ok", cors, content_type=b"text/html")
        elif error in (TOO_LARGE, TOO_SLOW):
            await _fail(send, error, [*cors, (b"connection", b"close")])
        else:
            await _fail(send, error, cors)

    async def _take(self, connection: Connection, handshake: Handshake, receive: Receive) -> EngineError | None:
        """Hand the packets of a POST to the session's task, or say what is wrong with them. Raises `ClientGone`."""
        settings = self._engine.settings
        if _announced(handshake) > settings.max_payload_bytes:
            return TOO_LARGE
        body = b""
        with trio.move_on_after(settings.request_timeout_s) as patience:
            body = await _body(receive, settings.max_payload_bytes)
        if patience.cancelled_caught:
            return TOO_SLOW
        if len(body) > settings.max_payload_bytes:
            return TOO_LARGE
        try:
            packets = decode_payload(body)
        except MalformedPayload:
            connection.hang_up("parse_error")
            return BAD_REQUEST
        taken = connection.polled is not None and await connection.polled.put(packets)
        return None if taken else UNKNOWN_SID


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _announced(handshake: Handshake) -> int:
    """The body's size as the request has it; 0 when it comes in chunks."""
    try:
        return int(handshake.headers.get("content-length", "0")[:CONTENT_LENGTH_DIGITS_MAX])
    except ValueError:
        return 0


async def _body(receive: Receive, bytes_max: int) -> bytes:
    """The request's body, or one byte too many of it."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if not message.get("more_body") or size > bytes_max:
            return b"".join(pieces)


def _cors(handshake: Handshake, origins: tuple[str, ...]) -> Headers:
    origin = handshake.headers.get("origin")
    if origin is None:
        return []
    if not origin_allowed(handshake.headers, origins):
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


async def _preflight(send: Send, handshake: Handshake, cors: Headers, origins: tuple[str, ...]) -> None:
    if not origin_allowed(handshake.headers, origins):
        await _fail(send, FORBIDDEN, cors)
        return
    asked = handshake.headers.get("access-control-request-headers", "content-type")
    allowed = [
        (b"access-control-allow-methods", b"GET,POST"),
        (b"access-control-allow-headers", asked.encode("latin-1")),
        (b"access-control-max-age", str(CORS_MAX_AGE_S).encode()),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": [*cors, *allowed]})
    await send({"type": "http.response.body", "body": b""})


async def _fail(send: Send, error: EngineError, cors: Headers) -> None:
    await _answer(send, error.status, error.body, cors, content_type=b"application/json")


async def _answer(send: Send, status: int, body: bytes, cors: Headers, *, content_type: bytes = TEXT) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *cors,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
