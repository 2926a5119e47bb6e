"""Pages of other origins: those that were named may read answers of the API, others are told nothing."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from livehub.http.cors import HEADERS, METHODS
from tests.http.stage import stage

HOME = "https://event.test"


async def headers_of(
    method: str, path: str, origin: str | None, origins: tuple[str, ...]
) -> tuple[int, dict[str, str]]:
    """Status and headers of one answer, names in lower case."""
    async with stage(origins=origins) as set_up:
        sent = {} if origin is None else {"Origin": origin}
        client = set_up.app.test_client()
        answer = await (client.options if method == "OPTIONS" else client.get)(path, headers=sent)
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("origins", [(HOME,), ("https://other.test", HOME), ("*",)])
async def test_a_named_origin_may_ask_and_read(origins: tuple[str, ...], autojump_clock: MockClock) -> None:
    status, headers = await headers_of("OPTIONS", "/api/sessions/ABCDEF/join", HOME, origins)
    assert status == 200
    assert headers["access-control-allow-origin"] == HOME
    assert headers["access-control-allow-methods"] == METHODS
    assert headers["access-control-allow-headers"] == HEADERS
    status, headers = await headers_of("GET", "/api/sessions/s1", HOME, origins)
    assert (status, headers["access-control-allow-origin"]) == (401, HOME)
    assert "Origin" in headers["vary"]


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://event.test.evil.test", None])
async def test_others_are_told_nothing(origin: str | None, autojump_clock: MockClock) -> None:
    for method, path in (("OPTIONS", "/api/sessions/ABCDEF/join"), ("GET", "/api/sessions/s1")):
        _, headers = await headers_of(method, path, origin, (HOME,))
        assert not [name for name in headers if name.startswith("access-control")]
        assert "Origin" in headers["vary"], "a cache must not give one origin's answer to another"


async def test_by_default_there_are_none(autojump_clock: MockClock) -> None:
    _, headers = await headers_of("GET", "/api/openapi.json", HOME, ())
    assert "access-control-allow-origin" not in headers


async def test_what_is_not_the_api_is_for_no_page(autojump_clock: MockClock) -> None:
    _, headers = await headers_of("GET", "/metrics", HOME, ("*",))
    assert "access-control-allow-origin" not in headers
