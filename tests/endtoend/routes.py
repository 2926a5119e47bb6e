"""Every GET route that there is, asked for by anybody, with every id and every query that there is.

The routes are those that the server itself tells of, in its OpenAPI document, so a new one is asked for by itself; one
that needs an id or takes a query of a new kind fails here until it is told what to ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import urlencode

import trio

from tests.endtoend.people import People

DOCUMENT = "/api/openapi.json"
BESIDE = ("/", "/healthz", "/readyz", "/metrics", DOCUMENT, "/api/nothing-here")
"""What is served beside the API and is not in its document, and what is not there."""
PART = re.compile(r"\{(\w+)\}")


class Route(NamedTuple):
    """One route of the API."""

    method: str
    path: str
    queries: list[dict[str, Any]]  # parameters as the document has them

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def is_of(self, method: str, target: str) -> bool:
        """Whether a request was for this route."""
        pattern = PART.sub("[^/]+", self.path)
        return method == self.method and re.fullmatch(pattern, target.partition("?")[0]) is not None


async def routes(people: People) -> list[Route]:
    """All routes of the server."""
    document = (await people.requests("owner", "GET", DOCUMENT)).json()
    return [
        Route(method.upper(), path, [one for one in operation.get("parameters", ()) if one["in"] == "query"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


async def everybody_looks(people: People, everybody: Sequence[str]) -> dict[str, dict[str, tuple[int, str]]]:
    """Have these people ask for everything, all at once: status and body by person and address.

    What they read is told to them like everything else.
    """
    found = await routes(people)
    seen: dict[str, dict[str, tuple[int, str]]] = {}

    async def look(who: str) -> None:
        addresses = [address for route in found if route.method == "GET" for address in _addresses(people, route)]
        answers = {address: await people.requests(who, "GET", address) for address in addresses}
        seen[who] = {address: (answer.status_code, answer.text) for address, answer in answers.items()}

    async with trio.open_nursery() as nursery:
        for who in everybody:
            nursery.start_soon(look, who)
    return seen


def _addresses(people: People, route: Route) -> Iterator[str]:
    parts = PART.findall(route.path)
    unknown = set(parts) - people.path_ids.keys()
    assert not unknown, f"{route}: put values for {unknown} into People.path_ids, to ask for it here"
    for ids in product(*(people.path_ids[part] for part in parts)):
        path = route.path.format(**dict(zip(parts, ids, strict=True)))
        yield path
        for parameter in route.queries:
            yield from (f"{path}?{urlencode({parameter['name']: value})}" for value in _values(people, parameter))


def _values(people: People, parameter: dict[str, Any]) -> list[Any]:
    """What to ask for in a query."""
    name, schema = parameter["name"], parameter["schema"]
    if name == "before":
        return [id_ for kind in ("messageId", "questionId", "sessionId") for id_ in people.path_ids[kind]]
    if "enum" in schema:
        return list(schema["enum"])
    assert schema.get("type") == "integer", f"{name}: say in routes.py what to ask for in this query"
    return [schema["maximum"], schema["minimum"] - 1]
