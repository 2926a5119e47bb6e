"""`GET /api/sessions/{sessionId}/export`: all that a session came to, as JSON or CSV, for whoever manages sessions.

The room is not asked for it: the log is read into a state of the export's own, in the same steps in which a room opens.
So the room has no work with it, nothing changes under a slow reader, and what is told is what is committed. That state
is as large as the room's, so only a few exports are made at once, and none is read for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Annotated, Any, Literal

import trio
from quart import Blueprint, Response, request

from livehub.contracts.schema import Schemas, without_null
from livehub.errors import Refused
from livehub.exporting import chunks, collect, csv_text, file_stem, flat_csv_text, json_text
from livehub.feature import OutsideId, Text, iso, payload
from livehub.http.api import query
from livehub.http.openapi import refusal
from livehub.http.rest import Rest
from livehub.ports import Store
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import structure
from livehub.rooms.state import State

NEEDS = "sessions:manage"
FOLD_CHUNK_FACTS = 200
"""Some 2 ms; a room that opens takes more at a time, since people wait for it."""
TURN_S = 0.002
"""Other tasks get theirs this often: the row of one poll takes 2.5 µs for each of its votes."""
EXPORTS_AT_ONCE_MAX = 3
EXPORT_TIMEOUT_S = 600.0
"""Whoever reads for longer is cut off."""
RETRY_MS = 5_000
TABLE_CHARS_MAX = 40

_ABOUT = " ".join(
    (
        "JSON: one object with `sessionId`, `exportedAt` and a list for each table. CSV, for spreadsheets: the table",
        "that `table` names, else all in one, with the table's name in the first column. An anonymous vote has neither",
        "voter nor time, an anonymous question no author. Votes are in the order that `voteHash` is made of.",
    )
)


@payload
class AskExport:
    """Query of `GET /api/sessions/{sessionId}/export`."""

    format: Literal["json", "csv"] = "json"
    table: Annotated[str, Text(TABLE_CHARS_MAX)] | None = None


@dataclass(slots=True)
class Exports:
    """Makes exports of sessions from the log, a few at once."""

    store: Store
    catalog: Catalog
    clock_ms: Callable[[], int]
    _until_s: dict[int, float] = field(default_factory=dict)  # export under way → when it is over at the latest
    _numbers: Iterator[int] = field(default_factory=count)

    def names(self) -> list[str]:
        """Names of the tables that a session has."""
        return list(collect(feature.export(0) for feature in self.catalog.build("session", "")))

    def begin(self) -> int:
        """Take one of the places; it is free again after `end`, at the latest after the timeout. Raises `Refused`."""
        now_s = trio.current_time()
        self._until_s = {number: until_s for number, until_s in self._until_s.items() if until_s > now_s}
        if len(self._until_s) >= EXPORTS_AT_ONCE_MAX:
            text = f"At most {EXPORTS_AT_ONCE_MAX} exports are made at once, please try again later"
            raise Refused(text, 429, code="too_many", retry_after_ms=RETRY_MS)
        number = next(self._numbers)
        self._until_s[number] = now_s + EXPORT_TIMEOUT_S
        return number

    def end(self, number: int) -> None:
        """Give a place back."""
        self._until_s.pop(number, None)

    async def fold(self, session_id: str) -> State:
        """The session as the log has it now. Raises `Refused` (503) when it cannot be read."""
        state, after = State(self.catalog, "session", session_id), 0
        upto = self.store.head
        while after < upto and (records := await self.store.read(state.name, after, FOLD_CHUNK_FACTS)):
            state.fold(records)
            after = records[-1].seq
            await trio.lowlevel.checkpoint()
        return state

    def text(self, state: State, session_id: str, asked: AskExport) -> Iterator[bytes]:
        """The export in pieces."""
        at_ms, table = self.clock_ms(), asked.table or ""
        tables = collect((feature.export(at_ms) for feature in state.features), table)
        if asked.format == "json":
            return chunks(json_text({"sessionId": session_id, "exportedAt": iso(at_ms)}, tables), _Turn().over)
        return chunks(csv_text(tables[table]) if table else flat_csv_text(tables), _Turn().over)


class _Turn:
    """Whether this task has had the processor for long enough."""

    def __init__(self) -> None:
        self._since_s = perf_counter()

    def over(self) -> bool:
        now_s = perf_counter()
        if now_s - self._since_s < TURN_S:
            return False
        self._since_s = now_s
        return True


def export(rest: Rest, exports: Exports) -> Blueprint:
    """The blueprint of the route."""
    routes = Blueprint("export", __name__, url_prefix="/api")
    names = exports.names()

    @routes.get("/sessions/<sessionId>/export")
    async def take_out(**path: str) -> Response:
        session_id = path["sessionId"]
        if not rest.who(request).can(NEEDS):
            raise Refused("You do not have permission", 403, code="forbidden")
        asked = structure(query(request.args, {}), AskExport)
        if asked.table not in (None, *names):
            raise Refused(f"table must be one of {', '.join(names)}", code="invalid_payload")
        await rest.ask(request, "session.read", {}, session_id)  # refuses a session that there is not
        place = exports.begin()
        try:
            text = exports.text(await exports.fold(session_id), session_id, asked)
        except BaseException:
            exports.end(place)
            raise
        kind = "application/json" if asked.format == "json" else "text/csv; charset=utf-8"
        name = f"{file_stem(session_id, asked.table or '')}.{asked.format}"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        response = Response(_sent(text, lambda: exports.end(place)), content_type=kind, headers=headers)
        response.timeout = EXPORT_TIMEOUT_S
        return response

    return routes


async def _sent(text: Iterable[bytes], end: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        for chunk in text:
            yield chunk
            await trio.lowlevel.checkpoint()
    finally:
        end()


def paths(names: list[str]) -> dict[str, Any]:
    """What the OpenAPI document says of the route."""
    schemas = Schemas()
    asked = schemas.fields(AskExport)["properties"]
    table = {**without_null(asked["table"]), "enum": names}
    rows = {name: {"type": "array", "items": {"type": "object"}} for name in names}
    told = {"sessionId": {"type": "string"}, "exportedAt": {"type": "string", "format": "date-time"}, **rows}
    body = {"type": "object", "properties": told, "required": ["sessionId", "exportedAt"]}
    content = {"application/json": {"schema": body}, "text/csv": {"schema": {"type": "string"}}}
    operation = {
        "operationId": "session.export",
        "tags": ["sessions"],
        "summary": "Export a session: polls, votes, questions, messages, attendance and points.",
        "description": _ABOUT,
        "parameters": [
            {"name": "sessionId", "in": "path", "required": True, "schema": schemas.of(OutsideId)},
            {"name": "format", "in": "query", "required": False, "schema": asked["format"]},
            {"name": "table", "in": "query", "required": False, "description": "This one alone.", "schema": table},
        ],
        "x-permissions": [NEEDS],
        "responses": {
            "200": {"description": "It was done.", "content": content},
            **{str(status): refusal(status) for status in (400, 401, 403, 404, 429, 503)},
            "default": refusal(0),
        },
    }
    return {"/api/sessions/{sessionId}/export": {"get": operation}}
