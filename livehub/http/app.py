"""The Quart-Trio app: API, health, metrics and the front page, with every error as JSON in one shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

import livehub
from livehub.errors import Refused
from livehub.http.api import api
from livehub.http.cors import allow
from livehub.http.export import Exports, export
from livehub.http.export import paths as export_paths
from livehub.http.join import Reception, join, paths
from livehub.http.rest import Rest, json_response, refusal_response
from livehub.rooms.catalog import Catalog

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What the health routes ask the running server."""

    ready: Callable[[], str | None]  # None, or why not
    metrics: Callable[[], tuple[bytes, str]]  # text and content type


def create_app(
    rest: Rest,
    catalog: Catalog,
    reception: Reception,
    health: Health,
    exports: Exports,
    *,
    body_bytes_max: int,
    body_timeout_s: float,
    origins: tuple[str, ...] = (),
) -> QuartTrio:
    """The app that answers everything but Engine.IO."""
    app = QuartTrio("livehub")
    app.config.update(MAX_CONTENT_LENGTH=body_bytes_max, BODY_TIMEOUT=body_timeout_s)
    more = {**paths(), **export_paths(exports.names())}
    for routes in (api(rest, catalog, more), join(rest, reception), export(rest, exports)):
        app.register_blueprint(routes)
    page = _front_page()

    @app.get("/")
    async def index() -> Response:
        return Response(page, content_type="text/html; charset=utf-8")

    @app.get("/healthz")
    async def healthz() -> Response:
        return json_response({"status": "ok", "version": livehub.__version__})

    @app.get("/readyz")
    async def readyz() -> Response:
        reason = health.ready()
        if reason is not None:
            return json_response({"status": "not ready", "reason": reason}, 503)
        return json_response({"status": "ready"})

    @app.get("/metrics")
    async def metrics() -> Response:
        body, content_type = health.metrics()
        return Response(body, content_type=content_type)

    @app.errorhandler(Refused)
    async def refused(refusal: Refused) -> Response:
        return refusal_response(refusal)

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        return refusal_response(Refused(error.name or "Error", error.code or 500))

    @app.errorhandler(Exception)
    async def failed(_: Exception) -> Response:
        log.exception("request failed")
        return refusal_response(Refused("Internal error", 500))

    @app.after_request
    async def harden(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        return allow(request, response, origins)

    return app


def _front_page() -> str:
    page = resources.files("livehub.http").joinpath("index.html").read_text("utf-8")
    return page.replace("{{ version }}", livehub.__version__)
