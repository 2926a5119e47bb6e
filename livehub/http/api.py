"""The routes under `/api`, made from what the commands declare: nothing here knows a feature.

A part of the path is the room's id or a field of the payload; the rest of the payload is the body, or the query of a
GET. Rules and texts live with the commands.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints
from uuid import uuid4

import orjson
from quart import Blueprint, Response, request

from livehub.errors import Refused
from livehub.feature import JSON, Command, Route
from livehub.http.openapi import ROOMS_KNOWN, openapi
from livehub.http.rest import Rest, json_body, json_response
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import camel

QUERY_NUMBER_CHARS_MAX = 9
ID_IN_BODY = "id"
"""What a body may call the id of the room that it makes, beside `sessionId` and the like."""
NAMED = re.compile(r"\{(\w+)\}")

Handler: TypeAlias = Callable[..., Awaitable[Response]]


def api(rest: Rest, catalog: Catalog, more: Mapping[str, Any] | None = None) -> Blueprint:
    """The blueprint of all routes that are commands. The document tells of `more` paths, which are served elsewhere."""
    routes = Blueprint("api", __name__, url_prefix="/api")
    for command in catalog.commands.values():
        if command.rest is not None:
            rule = NAMED.sub(r"<\1>", command.rest.path)
            routes.add_url_rule(
                rule,
                command.name.replace(".", "-"),
                _handler(rest, command, command.rest),
                methods=[command.rest.method],
            )
    document = orjson.dumps(openapi(catalog, more))

    @routes.get("/openapi.json")
    async def describe() -> Response:
        return Response(document, content_type="application/json")

    return routes


def _handler(rest: Rest, command: Command, route: Route) -> Handler:
    kinds = {camel(name): _plain(hint) for name, hint in get_type_hints(command.payload, include_extras=True).items()}
    named = NAMED.findall(route.path)
    makes_room = command.room not in ROOMS_KNOWN and command.named_by not in named

    async def handle(**path: str) -> Response:
        data = query(request.args, kinds) if route.method == "GET" else await json_body(request)
        room_id: Any = path.pop(command.named_by, None) if command.room != "directory" else None
        if makes_room:
            room_id = data.pop(ID_IN_BODY, None) or data.pop(command.named_by, None) or str(uuid4())
        for name, value in path.items():
            if data.setdefault(name, value) != value:
                raise Refused(f"{name} in the body is not the one in the path", code="invalid_payload")
        reply = await rest.ask(request, command.name, data, room_id)
        return json_response(reply if command.reads else {"success": True, **reply}, route.status)

    return handle


def _plain(hint: Any) -> type:
    """Which of text, number and truth a field of a query is."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return _plain(next(part for part in get_args(hint) if part is not type(None)))
    return hint if hint in (int, bool) else str


def query(args: Mapping[str, str], kinds: Mapping[str, type]) -> dict[str, JSON]:
    """The URL's query as a payload, without what is empty. Raises `Refused`."""
    data: dict[str, JSON] = {}
    for name, text in args.items():
        if not text:
            continue
        kind = kinds.get(name, str)
        if kind is int:
            if not (text.isascii() and text.isdigit() and len(text) <= QUERY_NUMBER_CHARS_MAX):
                raise Refused(f"{name} must be a whole number", code="invalid_payload")
            data[name] = int(text)
        elif kind is bool:
            if text not in ("true", "false"):
                raise Refused(f"{name} must be true or false", code="invalid_payload")
            data[name] = text == "true"
        else:
            data[name] = text
    return data
