"""Health, metrics and the front page; every error as JSON in one shape."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

import livehub
from tests.http.stage import stage


async def test_the_front_page_says_what_this_is(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        answer = await set_up.app.test_client().get("/")
        page = await answer.get_data(as_text=True)
    assert answer.content_type.startswith("text/html")
    assert livehub.__version__ in page
    assert "{{" not in page
    for link in ("/healthz", "/readyz", "/metrics"):
        assert f'href="{link}"' in page


async def test_alive_and_ready_are_two_things(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        assert await set_up.request("GET", "/healthz") == (200, {"status": "ok", "version": livehub.__version__})
        assert await set_up.request("GET", "/readyz") == (200, {"status": "ready"})
        set_up.why_not_ready = "closing"
        assert (await set_up.request("GET", "/healthz"))[0] == 200
        assert await set_up.request("GET", "/readyz") == (503, {"status": "not ready", "reason": "closing"})


async def test_metrics_keep_their_content_type(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        answer = await set_up.app.test_client().get("/metrics")
        assert await answer.get_data() == b"figures 1\n"
    assert answer.content_type == "text/plain; version=0.0.4"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/api/nowhere", 404), ("DELETE", "/api/sessions/s1", 405), ("POST", "/", 405)],
)
async def test_what_there_is_not_is_told_as_json(
    method: str, path: str, status: int, autojump_clock: MockClock
) -> None:
    async with stage() as set_up:
        found, body = await set_up.request(method, path, "olga")
    assert found == status
    assert body["success"] is False
    assert body["error"]["statusCode"] == status


async def test_answers_tell_browsers_to_guess_nothing(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        answer = await set_up.app.test_client().get("/")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_a_defect_is_a_500_that_tells_nothing(autojump_clock: MockClock) -> None:
    async with stage() as set_up:

        @set_up.app.get("/broken")
        async def broken() -> str:
            raise RuntimeError("a secret detail")

        status, body = await set_up.request("GET", "/broken")
    assert (status, body) == (500, {"success": False, "error": {"message": "Internal error", "statusCode": 500}})
