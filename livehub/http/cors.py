"""REST for pages of other origins: those that may open sockets here may ask here too (`[server] origins`).

The token is in a header that pages add themselves, never in a cookie, so a page gains nothing by being allowed that it
does not hold already; a page that is not allowed is told nothing.
"""

from __future__ import annotations

from quart import Request, Response

METHODS = "GET, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type, Idempotency-Key"
EXPOSED = "Retry-After, Content-Disposition"
PREFLIGHT_LIFE_S = 600
API = "/api/"


def allow(request: Request, response: Response, origins: tuple[str, ...]) -> Response:
    """Let a page read an answer, if its origin is one of these; caches must keep answers by origin."""
    if not request.path.startswith(API):
        return response
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin is not None and ("*" in origins or origin in origins):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_LIFE_S)
    return response
