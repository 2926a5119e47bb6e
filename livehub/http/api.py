"""The routes under `/api`. Each is one line of what it asks; rules and texts live with the commands."""

from __future__ import annotations

from uuid import uuid4

from quart import Blueprint, Response, request

from livehub.errors import Refused
from livehub.feature import JSON
from livehub.http.rest import Rest, json_body, json_response

QUERY_NUMBER_CHARS_MAX = 9


def api(rest: Rest) -> Blueprint:
    """The blueprint of all routes."""
    routes = Blueprint("api", __name__, url_prefix="/api")

    @routes.post("/sessions")
    async def create_session() -> Response:
        body = await json_body(request)
        session_id = body.pop("id", None) or body.pop("sessionId", None) or str(uuid4())
        reply = await rest.ask(request, "session.create", body, session_id)
        return json_response({"success": True, "sessionId": session_id, **reply["session"]}, 201)

    @routes.get("/sessions/<session_id>")
    async def read_session(session_id: str) -> Response:
        reply = await rest.ask(request, "session.read", {}, session_id)
        return json_response(reply["session"])

    @routes.get("/sessions/<session_id>/messages")
    async def read_messages(session_id: str) -> Response:
        return json_response(await rest.ask(request, "chat.history", _query("limit"), session_id))

    @routes.put("/users/<user_id>")
    async def put_user(user_id: str) -> Response:
        body = await json_body(request)
        reply = await rest.ask(request, "user.put", {**body, "userId": user_id})
        return json_response({"success": True, "userId": user_id, **reply["user"]})

    @routes.post("/users/<user_id>/deactivate")
    async def deactivate_user(user_id: str) -> Response:
        body = await json_body(request)
        reply = await rest.ask(request, "user.deactivate", {**body, "userId": user_id})
        return json_response({"success": True, **reply})

    return routes


def _query(*numbers: str) -> dict[str, JSON]:
    """The URL's query as a payload, without what is empty; `numbers` are whole numbers. Raises `Refused`."""
    data: dict[str, JSON] = {name: value for name, value in request.args.items() if value}
    for name in numbers:
        if (text := data.get(name)) is None:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= QUERY_NUMBER_CHARS_MAX):
            raise Refused(f"{name} must be a whole number", code="invalid_payload")
        data[name] = int(text)
    return data
