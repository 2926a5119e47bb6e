"""Two routes that are no plain commands: getting in with a session's code, and the picture of the way there.

`POST /api/sessions/{slug}/join` takes in whoever brings the code. Without a token it makes a guest, who is acknowledged
once the session has them in its log; with a guest's token of that session it is the same guest again. It takes no
idempotency key, since keys belong to people: whoever sends it twice without a token is two guests, as they would be on
two phones.

`GET /api/sessions/{sessionId}/qr.svg` draws the address of the page where people get in.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Annotated, Any, Literal, TypedDict
from uuid import uuid4

import trio
from quart import Blueprint, Request, Response, request
from werkzeug.datastructures import Headers

from livehub.contracts.codes import Codes
from livehub.contracts.schema import Schemas
from livehub.errors import Refused
from livehub.feature import JSON, OutsideId, Person, Text, Whole, payload
from livehub.guests import NAME_CHARS_MAX, ROLE, Guests, display_name
from livehub.http.api import query
from livehub.http.delays import Delays
from livehub.http.openapi import refusal
from livehub.http.rest import ANSWER_DEADLINE_S, Rest, json_body, json_response
from livehub.rooms.payloads import structure

SCALE_MAX = 40
SCALE = 8
"""Pixels per module: some 250 for a usual address."""
QUIET_MODULES = 4
"""White around the code, as ISO 18004 wants it."""
HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")

_JOIN = " ".join(
    (
        "The token that comes back is a guest's, for this session alone; a user gets their own back. Sent again with a",
        "guest's token it is the same participant, and the token is a new one. It takes no `Idempotency-Key`: without",
        "a token, every request makes another guest. Wrong codes are answered later and later.",
    )
)


@payload
class JoinByCode:
    """What `POST /api/sessions/{slug}/join` takes; a user keeps the name of their token."""

    display_name: Annotated[str, Text(NAME_CHARS_MAX)] | None = None


@payload
class DrawCode:
    """Query of `GET /api/sessions/{sessionId}/qr.svg`."""

    scale: Annotated[int, Whole(1, SCALE_MAX)] = SCALE


@dataclass(frozen=True, slots=True)
class Site:
    """Where people find this server: as configured, else as whoever asks has found it."""

    public_url: str = ""
    secure: bool = False
    trust_proxy: bool = False

    def url(self, headers: Headers) -> str:
        """The address of the front page, without the last slash. Raises `Refused`."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme, host = "https" if self.secure else "http", headers.get("Host", "")
        if self.trust_proxy:
            scheme = _last(headers, "X-Forwarded-Proto").lower() or scheme
            host = _last(headers, "X-Forwarded-Host") or host
        if scheme not in ("http", "https") or not HOST.match(host):
            raise Refused("The request names no host that people could open; set [server] public_url")
        return f"{scheme}://{host}"


@dataclass(frozen=True, slots=True)
class Reception:
    """What the two routes ask of the running server. Without `delays`, wrong codes cost nothing."""

    codes: Codes
    guests: Guests
    clock_ms: Callable[[], int]
    refused: Callable[[str], None]  # counts why
    address: Callable[[Mapping[str, Any]], str]  # of the client, from the ASGI scope
    delays: Delays | None = None
    site: Site = Site()
    admitted: Callable[[str, str], Awaitable[None]] | None = None  # person, session: takes open connections in

    async def session(self, slug: str, scope: Mapping[str, Any]) -> str:
        """The session that a code opens. Raises `Refused` (404, 429)."""
        session_id = await self.codes.seek(slug)
        if session_id is None:
            self.refused("wrong_code")
            if self.delays is not None:
                await self.delays.wrong(self.address(scope))
            raise Refused("Session not found", 404, code="wrong_code")
        if self.delays is not None:
            await self.delays.right(self.address(scope))
        return session_id

    async def admit(self, session_id: str, who: Person) -> str:
        """Take somebody in: their participant id. Raises `Refused`."""
        with trio.move_on_after(ANSWER_DEADLINE_S):
            participant_id = await self.codes.admit(session_id, who)
            if self.admitted is not None:
                await self.admitted(who.id, session_id)
            return participant_id
        raise Refused("The server did not answer in time", 504, code="timeout")


def join(rest: Rest, reception: Reception) -> Blueprint:
    """The blueprint of the two routes."""
    routes = Blueprint("join", __name__, url_prefix="/api")

    @routes.post("/sessions/<slug>/join")
    async def take_in(slug: str) -> Response:
        name = structure(await json_body(request), JoinByCode).display_name
        bearer = rest.who(request) if "Authorization" in request.headers else None
        session_id = await reception.session(slug, request.scope)
        who = _visitor(bearer, session_id, display_name(name or ""))
        participant_id = await reception.admit(session_id, who)
        token = reception.guests.token(who, reception.clock_ms() / 1000) if who.session else _token(request)
        return json_response(
            {"success": True, "token": token, "participantId": participant_id, "sessionId": session_id}
        )

    @routes.get("/sessions/<sessionId>/qr.svg")
    async def draw(**path: str) -> Response:
        scale = structure(query(request.args, {"scale": int}), DrawCode).scale
        shown: dict[str, JSON] = await rest.ask(request, "session.read", {}, path["sessionId"])
        if not shown["slug"]:
            raise Refused("The session has no access code", 404, code="not_found")
        svg = picture(f"{reception.site.url(request.headers)}/join/{shown['slug']}", scale)
        return Response(svg, content_type="image/svg+xml", headers={"Cache-Control": "no-store"})

    return routes


@lru_cache(maxsize=64)
def picture(link: str, scale: int) -> bytes:
    """A QR code as SVG; 3 ms to draw one."""
    import segno  # noqa: PLC0415 - 40 ms, which a start or a command line without codes can do without

    svg = BytesIO()
    segno.make_qr(link, error="m").save(svg, kind="svg", scale=scale, border=QUIET_MODULES, title=link)
    return svg.getvalue()


def _visitor(bearer: Person | None, session_id: str, name: str) -> Person:
    """Who joins: a user, the same guest again, or a new one; a guest of another session is a new one here."""
    if bearer is not None and not bearer.session:
        return bearer
    if bearer is not None and bearer.session == session_id:
        return replace(bearer, first_name=name or bearer.first_name)
    return Person(str(uuid4()), first_name=name, role=ROLE, session=session_id)


def _token(asked: Request) -> str:
    return asked.headers["Authorization"].partition(" ")[2].strip()


def _last(headers: Headers, name: str) -> str:
    """What the nearest proxy says."""
    return headers.get(name, "").rpartition(",")[2].strip()


class Admission(TypedDict):
    """You are in: bring the token from now on, also when you join again."""

    success: Literal[True]
    token: str
    participantId: str
    sessionId: str


def paths() -> dict[str, Any]:
    """What the OpenAPI document says of the two routes."""
    schemas = Schemas()
    body, scale = schemas.fields(JoinByCode), schemas.fields(DrawCode)["properties"]["scale"]
    joining = {
        "operationId": "session.enter",
        "tags": ["sessions"],
        "summary": "Join a session by its access code, as a guest where no token comes with it.",
        "description": _JOIN,
        "security": [{}, {"token": []}],
        "parameters": [_in_path("slug", str)],
        "requestBody": {"required": False, "content": {"application/json": {"schema": body}}},
        "responses": _responses(_content("application/json", schemas.fields(Admission)), 400, 401, 404, 413, 429, 503),
    }
    drawing = {
        "operationId": "session.qr",
        "tags": ["sessions"],
        "summary": "Draw a QR code of the address where people join.",
        "parameters": [
            _in_path("sessionId", OutsideId),
            {"name": "scale", "in": "query", "required": False, "description": "Pixels per module.", "schema": scale},
        ],
        "x-members": {"of": "session", "instead": "sessions:manage"},
        "responses": _responses(_content("image/svg+xml", {"type": "string"}), 400, 401, 403, 404),
    }
    return {"/api/sessions/{slug}/join": {"post": joining}, "/api/sessions/{sessionId}/qr.svg": {"get": drawing}}


def _in_path(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": Schemas().of(kind)}


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "It was done.", "content": {kind: {"schema": schema}}}


def _responses(done: dict[str, Any], *refusals: int) -> dict[str, Any]:
    return {"200": done, **{str(status): refusal(status) for status in refusals}, "default": refusal(0)}
