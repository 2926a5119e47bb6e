"""The routes: what they ask, who may, and how the answers look."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.http.stage import Stage, stage
from tests.kit import ANNA, ears, uuid


async def talk(set_up: Stage, *texts: str) -> list[str]:
    """Anna joins s1 and says these; the ids of her messages."""
    anna = ears(ANNA)
    await set_up.hub.do("session.join", {"sessionId": "s1"}, anna)
    return [(await set_up.hub.do("chat.message.send", {"text": text}, anna))["messageId"] for text in texts]


async def test_a_session_is_made_and_read(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, made = await set_up.request("POST", "/api/sessions", "olga", {"id": "keynote", "title": "Keynote"})
        assert status == 201
        assert {name: made[name] for name in ("success", "sessionId", "id", "title", "participantCount")} == {
            "success": True,
            "sessionId": "keynote",
            "id": "keynote",
            "title": "Keynote",
            "participantCount": 0,
        }
        status, read = await set_up.request("GET", "/api/sessions/keynote", "olga")
        assert (status, read["createdAt"]) == (200, made["createdAt"])


async def test_a_session_without_an_id_is_given_one(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, made = await set_up.request("POST", "/api/sessions", "olga", {})
        assert status == 201
        status, _ = await set_up.request("GET", f"/api/sessions/{made['id']}", "olga")
        assert status == 200


async def test_a_session_is_made_once(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
        status, body = await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
    assert (status, body["error"]["message"]) == (409, "Session already exists")


@pytest.mark.parametrize("session_id", ["", "a b", "x" * 129, "ä", 3])
async def test_a_wrong_id_is_told(session_id: object, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("POST", "/api/sessions", "olga", {"id": session_id})
    if session_id == "":
        assert status == 201  # no id at all: one is made
    else:
        assert status == 400
        assert body["error"]["message"].startswith("sessionId must be")


async def test_only_managers_make_sessions(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("POST", "/api/sessions", "anna", {"id": "s1"})
    assert (status, body["error"]["message"]) == (403, "You do not have permission")


async def test_history_is_for_participants_and_managers(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await talk(set_up, "one", "two")
        for who, expected in (("anna", 200), ("olga", 200), ("ben", 403)):
            status, _ = await set_up.request("GET", "/api/sessions/s1/messages", who)
            assert status == expected, who
        status, body = await set_up.request("GET", "/api/sessions/other/messages", "olga")
        assert (status, body["error"]["message"]) == (404, "Session not found")


async def test_history_comes_in_pages_oldest_first(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        ids = await talk(set_up, "one", "two", "three")
        _, page = await set_up.request("GET", "/api/sessions/s1/messages?before=&limit=2", "anna")
        assert ([message["text"] for message in page["messages"]], page["hasMore"]) == (["two", "three"], True)
        _, page = await set_up.request("GET", f"/api/sessions/s1/messages?limit=2&before={ids[1]}", "anna")
        assert ([message["text"] for message in page["messages"]], page["hasMore"]) == (["one"], False)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("limit=0", 400, "limit must be from 1 to 200"),
        ("limit=201", 400, "limit must be from 1 to 200"),
        ("limit=ten", 400, "limit must be a whole number"),
        ("limit=-1", 400, "limit must be a whole number"),
        ("limit=9999999999", 400, "limit must be a whole number"),
        ("before=abc", 400, "before must be a UUID v4"),
        (f"before={uuid(9)}", 404, "Message not found"),
        ("after=1", 400, "'after' is not a field here; allowed: before, limit"),
    ],
)
async def test_a_wrong_query_is_told(query: str, status: int, message: str, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await talk(set_up)
        found, body = await set_up.request("GET", f"/api/sessions/s1/messages?{query}", "anna")
    assert (found, body["error"]["message"]) == (status, message)


async def test_a_person_is_named_and_let_out(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, body = await set_up.request("PUT", "/api/users/ada", "olga", {"firstName": "Ada", "lastName": "King"})
        assert status == 200
        assert body == {
            "success": True,
            "userId": "ada",
            "id": "ada",
            "firstName": "Ada",
            "lastName": "King",
            "email": "",
            "isActive": True,
        }
        status, body = await set_up.request("POST", "/api/users/ada/deactivate", "olga")
        assert (status, body) == (200, {"success": True, "userId": "ada"})
        for method, path in (("PUT", "/api/users/ada"), ("POST", "/api/users/ada/deactivate")):
            status, _ = await set_up.request(method, path, "mo", {"firstName": "X"} if method == "PUT" else {})
            assert status == 403
