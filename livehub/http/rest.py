"""REST requests are asks like any other: the same gate, the same rooms, the same refusals.

A route names a command and where its payload comes from; who asks comes from the bearer token. Answers are JSON; every
error has the body of an ack error (contracts, point 14).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
import trio
from quart import Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from livehub.errors import AuthFailed, Refused
from livehub.feature import JSON, Person, Via
from livehub.rooms.gate import Gate, Knock
from livehub.rooms.peer import Answer
from livehub.rooms.request import Awaited

ANSWER_DEADLINE_S = 30.0
"""An ask that takes longer than this is not coming back: the room is stuck or the disk is."""

Identify: TypeAlias = Callable[[object], tuple[Person, float]]


def json_response(body: JSON, status: int = 200) -> Response:
    """A JSON answer that no cache keeps."""
    return Response(orjson.dumps(body), status, content_type="application/json", headers={"Cache-Control": "no-store"})


def refusal_response(refusal: Refused) -> Response:
    """A refusal, in the one shape that errors have."""
    response = json_response(refusal.body(), refusal.status)
    if refusal.retry_after_ms is not None:
        response.headers["Retry-After"] = str(-(-refusal.retry_after_ms // 1000))
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def json_body(request: Request) -> dict[str, JSON]:
    """The request's body as an object; an empty body is an empty object. Raises `Refused`."""
    try:
        raw = await request.get_data()
    except RequestEntityTooLarge:
        raise Refused("The body is too large", 413, code="too_large") from None
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refused("The body must be JSON", code="invalid_payload") from None
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object", code="invalid_payload")
    return body


@dataclass(frozen=True, slots=True)
class Rest:
    """Brings REST requests to the gate."""

    gate: Gate
    identify: Identify

    async def ask(self, request: Request, command: str, data: dict[str, JSON], room_id: str | None = None) -> Any:
        """The reply of a command, asked by whoever's token the request carries. Raises `Refused`."""
        who = self.who(request)
        key = request.headers.get("Idempotency-Key")
        if key is not None:
            data = {**data, "idempotencyKey": key}
        awaited = Awaited()
        result: Answer | Refused = Refused("The server did not answer in time", 504, code="timeout")
        with trio.move_on_after(ANSWER_DEADLINE_S):  # a full inbox holds back at the gate already
            await self.gate.ask(command, data, Knock(who, awaited, door=Via.REST, room_id=room_id))
            result = await awaited.answer()
        if isinstance(result, Refused):
            raise result
        return {**result.reply, "replayed": True} if result.replayed else result.reply

    def who(self, request: Request) -> Person:
        """Whoever's token the request carries. Raises `Refused` (401)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            return self.identify(token if scheme.lower() == "bearer" else None)[0]
        except AuthFailed:
            raise Refused("Authentication failed", 401, code="unauthenticated") from None
