"""REST requests are asks: bearer token in, the room's reply or its refusal out."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.http.rest import ANSWER_DEADLINE_S, refusal_response
from livehub.rooms.house import HouseLimits
from livehub.stores.memory import open_memory
from tests.http.stage import BODY_BYTES_MAX, stage
from tests.kit import uuid


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer stranger", "Basic anna", "anna", "Bearer anna anna"]
)
async def test_without_a_good_token_everything_is_a_401(authorization: str, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("GET", "/api/sessions/s1", headers={"Authorization": authorization})
    assert (status, body) == (401, {"success": False, "error": {"message": "Authentication failed", "statusCode": 401}})


async def test_the_scheme_is_not_case_sensitive(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, _ = await set_up.request("GET", "/api/sessions/s1", headers={"Authorization": "bearer olga"})
    assert status == 404


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "The body must be JSON"),
        (b"\xff", "The body must be JSON"),
        (b"[1]", "The body must be a JSON object"),
        (b"null", "The body must be a JSON object"),
        (b'{"title": 3}', "title must be a string"),
        (b'{"colour": "red"}', "'colour' is not a field here; allowed: title"),
    ],
)
async def test_a_wrong_body_is_told(raw: bytes, message: str, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("POST", "/api/sessions", "olga", data=raw)
    assert (status, body["error"]["message"]) == (400, message)


async def test_a_large_body_is_a_413(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("POST", "/api/sessions", "olga", data=b" " * (BODY_BYTES_MAX + 1))
    assert (status, body["error"]["statusCode"]) == (413, 413)


async def test_a_repeated_request_with_its_key_happens_once(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        made = [
            await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"}, headers={"Idempotency-Key": uuid(1)})
            for _ in range(2)
        ]
    (first_status, first), (second_status, second) = made
    assert (first_status, second_status) == (201, 201)
    assert second == {**first, "replayed": True}


async def test_a_room_that_does_not_answer_is_a_504(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        set_up.hub.store.hold_commits = trio.Event()
        began_s = trio.current_time()
        status, body = await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
        assert (status, body["error"]["statusCode"]) == (504, 504)
        assert trio.current_time() - began_s == ANSWER_DEADLINE_S
        set_up.hub.store.hold_commits.set()


async def test_a_room_whose_inbox_is_full_is_a_504_too(autojump_clock: MockClock) -> None:
    statuses = []
    async with (
        open_memory(queue_max_entries=1) as store,
        stage(store=store, limits=HouseLimits(inbox_asks_max=1)) as set_up,
    ):
        store.hold_commits = trio.Event()
        began_s = trio.current_time()

        async def create() -> None:
            statuses.append((await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"}))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(create)
        assert trio.current_time() - began_s == ANSWER_DEADLINE_S
        store.hold_commits.set()
    assert statuses == [504] * 6


def test_a_refusal_that_says_when_to_come_back_says_it_in_the_header_too() -> None:
    response = refusal_response(Refused("slowly", 429, retry_after_ms=1_001))
    assert response.headers["Retry-After"] == "2"
    assert refusal_response(Refused("no", 401)).headers["WWW-Authenticate"] == "Bearer"
