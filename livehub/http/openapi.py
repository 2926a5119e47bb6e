"""The OpenAPI 3.1 document of the routes under `/api`, made from the same declarations as the routes themselves.

A part of a path is the room's id or a field of the payload; what is left of the payload is the query of a GET, else the
body. A route that makes a room and does not name it takes the room's `id` in the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import livehub
from livehub.contracts.inventory import Failure, Success, tells
from livehub.contracts.schema import Schema, Schemas, described, without_null
from livehub.feature import Command, Feature, OutsideId, Route, Seating, Uuid
from livehub.rooms.catalog import Catalog

NAMED = re.compile(r"\{(\w+)\}")
ROOMS_KNOWN = ("user", "directory", "registry")
"""Kinds of room that nobody needs to name: one's own, and those of which there is only one."""

_ABOUT = " ".join(
    (
        "What backends and operators ask of livehub, beside what clients ask over Socket.IO. Every route takes a JWT.",
        'Mutations answer `{"success": true, ...}` and take an `Idempotency-Key`: the same key within 24 hours happens',
        "once, and its answer comes again with `replayed: true`. Every error has one shape.",
    )
)
_KEY = "A UUID v4 of this request: sent again with it, it happens once."
_ERRORS = {
    400: ("BadRequest", "The payload is wrong: the message names the field and what it may hold."),
    401: ("Unauthenticated", "No token, or one that is not believed."),
    403: ("Forbidden", "A permission or membership is missing."),
    404: ("NotFound", "There is no such thing."),
    409: ("Conflict", "It contradicts what is there, or the key was used for something else."),
    413: ("TooLarge", "The body is too large."),
    429: ("TooManyRequests", "Come again after `Retry-After` seconds."),
    503: ("Unavailable", "It cannot be saved right now: come again after `Retry-After` seconds."),
}
_OTHER = ("Trouble", "Anything else that went wrong.")
_RETRY: dict[str, Any] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def openapi(catalog: Catalog, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The whole document; `more` are path items of routes that are no commands."""
    writer = _Writer()
    features = sorted((one for kind in catalog.features.values() for one in kind), key=lambda feature: feature.name)
    paths: dict[str, Any] = {}
    tags: dict[str, Any] = {}
    for feature in features:
        for command in feature.commands():
            if command.rest is not None:
                operations = paths.setdefault(f"/api{command.rest.path}", {})
                operations[command.rest.method.lower()] = writer.operation(feature, command, command.rest)
                tags[feature.name] = {"name": feature.name, "description": described(feature)}
    for path, item in (more or {}).items():
        paths.setdefault(path, {}).update(item)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "livehub",
            "version": livehub.__version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": writer.schemas.named,
            "responses": writer.errors(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


class _Writer:
    """Writes operations, and collects the schemas that they name."""

    def __init__(self) -> None:
        self.schemas = Schemas()
        self._success = self.schemas.of(Success)
        self._failure = self.schemas.of(Failure)

    def operation(self, feature: type[Feature], command: Command, route: Route) -> dict[str, Any]:
        summary, _, more = command.doc.partition("\n")
        fields = self._fields(command, route)
        has_body = route.method != "GET" and bool(fields["properties"])
        operation: dict[str, Any] = {
            "operationId": command.name,
            "tags": [feature.name],
            "summary": summary,
            "parameters": [*self._in_path(command, route), *self._beside(command, fields, route)],
            "responses": self._responses(command, route, has_body=has_body),
        }
        if more.strip():
            operation["description"] = " ".join(more.split())
        if has_body:
            operation["requestBody"] = {"required": "required" in fields, "content": _json(fields)}
        if command.needs:
            operation["x-permissions"] = list(command.needs)
        if command.seat is Seating.MEMBER:
            operation["x-members"] = {"of": command.room} | ({"instead": command.instead} if command.instead else {})
        if command.rate is not None:
            operation["x-rate"] = {"requests": command.rate.asks, "seconds": command.rate.per_s}
        return operation

    def _fields(self, command: Command, route: Route) -> Schema:
        """The payload without what the path says, and with the room's id if nothing says it."""
        schema = self.schemas.fields(command.payload)
        named = NAMED.findall(route.path)
        properties = {name: field for name, field in schema["properties"].items() if name not in named}
        if _makes_room(command, named):
            about = f"The id of the {command.room}; made up if missing."
            properties = {"id": self.schemas.of(OutsideId | None) | {"description": about}, **properties}
            if command.named_by != "eventId":
                properties.setdefault("eventId", self.schemas.of(OutsideId | None))
        required = [name for name in schema.get("required", ()) if name not in named]
        fields: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**fields, "required": required} if required else fields

    def _in_path(self, command: Command, route: Route) -> Iterator[dict[str, Any]]:
        own = self.schemas.fields(command.payload)["properties"]
        for name in NAMED.findall(route.path):
            schema = own.get(name) or self.schemas.of(OutsideId)
            yield {"name": name, "in": "path", "required": True, "schema": schema}

    def _beside(self, command: Command, fields: Schema, route: Route) -> Iterator[dict[str, Any]]:
        """The query of a read, the key of a mutation."""
        if route.method == "GET":
            required = fields.get("required", ())
            for name, schema in fields["properties"].items():
                yield {"name": name, "in": "query", "required": name in required, "schema": without_null(schema)}
        if not command.reads:
            key = self.schemas.of(Uuid)
            yield {"name": "Idempotency-Key", "in": "header", "required": False, "description": _KEY, "schema": key}

    def _responses(self, command: Command, route: Route, *, has_body: bool) -> dict[str, Any]:
        reply = self.schemas.of(command.returns) if tells(command) else None
        if command.reads:
            body = reply or {"type": "object"}
        else:
            body = {"allOf": [self._success, reply]} if reply else self._success
        responses: dict[str, Any] = {str(route.status): {"description": "It was done.", "content": _json(body)}}
        for status in _errors(command, route, has_body=has_body):
            responses[str(status)] = refusal(status)
        responses["default"] = refusal(0)
        return responses

    def errors(self) -> dict[str, Any]:
        """The answers of requests that were refused."""
        content = _json(self._failure)
        found = {name: {"description": text, "content": content} for name, text in (*_ERRORS.values(), _OTHER)}
        for status in (429, 503):
            found[_ERRORS[status][0]]["headers"] = _RETRY
        return found


def _errors(command: Command, route: Route, *, has_body: bool) -> Iterator[int]:
    """The refusals that a route can come to, as far as declarations tell."""
    named = NAMED.findall(route.path)
    applies = {
        400: True,
        401: True,
        403: bool(command.needs) or command.seat is not Seating.FREE or command.named_by in named,
        404: bool(named) or not command.creates,
        409: not command.reads,
        413: has_body,
        429: command.rate is not None,
        503: not command.reads,
    }
    return (status for status, does in applies.items() if does)


def _makes_room(command: Command, named: list[str]) -> bool:
    return command.room not in ROOMS_KNOWN and command.named_by not in named


def refusal(status: int) -> dict[str, str]:
    """The answer with a status that says why not, as the document names it; those of no other status are one."""
    return {"$ref": f"#/components/responses/{_ERRORS.get(status, _OTHER)[0]}"}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
