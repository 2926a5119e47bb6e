"""REST beside the sockets: history, names, and errors in the shape of an ack (contracts, points 3, 14 and 18)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.endtoend.stage import Stage, key, texts

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def _refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["success"] is False
    assert body["error"]["statusCode"] == answer.status_code
    return answer.status_code, body["error"]["message"]


async def _page(stage: Stage, token: str, query: str = "") -> Any:
    answer = await stage.server.request("GET", f"/api/sessions/{stage.session}/messages{query}", token)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"messages", "hasMore"}
    return answer.json()


async def test_history_comes_in_pages_from_the_newest_each_oldest_first(stage: Stage) -> None:
    ada, token = await stage.enter("ada"), stage.token("ada")
    said = [f"message {number}" for number in range(120)]
    for text in said:
        ada.emit("chat.message.send", {"text": text, "idempotencyKey": key()})
    await ada.heard("chat.message.new", len(said))
    latest = await _page(stage, token)
    assert (texts(latest["messages"]), latest["hasMore"]) == (said[-50:], True)
    before = await _page(stage, token, f"?before={latest['messages'][0]['id']}&limit=60")
    assert (texts(before["messages"]), before["hasMore"]) == (said[10:70], True)
    first = await _page(stage, token, f"?before={before['messages'][0]['id']}&limit=10")
    assert (texts(first["messages"]), first["hasMore"]) == (said[:10], False)
    whole = await _page(stage, token, "?limit=200")
    assert whole["messages"] == ada.payloads("chat.message.new")


async def test_history_shows_messages_as_they_are_now(stage: Stage) -> None:
    ada = await stage.enter("ada", role="MEMBER")
    kept, lost = await stage.send(ada, "kept"), await stage.send(ada, "lost")
    await ada.ask("chat.message.edit", {"messageId": kept, "newText": "edited", "idempotencyKey": key()})
    await ada.ask("chat.message.react", {"messageId": kept, "emoji": "👍", "idempotencyKey": key()})
    await ada.ask("chat.message.delete", {"messageId": lost, "idempotencyKey": key()})
    (message,) = (await _page(stage, stage.token("ada")))["messages"]
    assert message == (await ada.heard("chat.message.updated", 2))[-1]
    assert (message["text"], message["isEdited"], message["reactionsSummary"]) == ("edited", True, {"👍": 1})


async def test_history_is_for_participants_and_managers(stage: Stage) -> None:
    ada = await stage.enter("ada")
    await stage.send(ada, "between us")
    path = f"/api/sessions/{stage.session}/messages"
    for token, expected in (
        (stage.token("stranger", role="MODERATOR"), (403, "You do not have permission")),
        ("", (401, "Authentication failed")),
        ("nonsense", (401, "Authentication failed")),
    ):
        assert _refused(await stage.server.request("GET", path, token)) == expected
    for reader in (
        stage.token("ada"),
        stage.token("boss", role="ADMIN"),
        stage.token("x", permissions=["sessions:manage"]),
    ):
        assert texts((await _page(stage, reader))["messages"]) == ["between us"]
    await ada.ask("session.leave", {"sessionId": stage.session})
    assert texts((await _page(stage, stage.token("ada")))["messages"]) == ["between us"]


async def test_an_unknown_session_is_not_found(stage: Stage) -> None:
    answer = await stage.server.request("GET", "/api/sessions/nowhere/messages", stage.token("boss", role="ADMIN"))
    assert _refused(answer) == (404, "Session not found")


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("?limit=0", 400, "limit"),
        ("?limit=201", 400, "200"),
        ("?limit=many", 400, "limit"),
        ("?limit=" + "9" * 5_000, 400, "limit"),
        ("?before=message", 400, "before"),
        (f"?before={UNKNOWN_ID}", 404, "Message not found"),
        ("?colour=red", 400, "colour"),
    ],
)
async def test_a_bad_query_is_refused_by_name(stage: Stage, query: str, status: int, named: str) -> None:
    await stage.enter("ada")
    path = f"/api/sessions/{stage.session}/messages{query}"
    refused, message = _refused(await stage.server.request("GET", path, stage.token("ada")))
    assert refused == status
    assert named in message


async def test_a_put_name_wins_over_the_tokens(stage: Stage) -> None:
    path, admin = f"/api/users/{stage.id_of('ada')}", stage.token("boss", role="OWNER")
    forbidden = await stage.server.request("PUT", path, stage.token("ada"), {"firstName": "Augusta"})
    assert _refused(forbidden) == (403, "You do not have permission")
    put = await stage.server.request("PUT", path, admin, {"firstName": "Augusta", "lastName": "King"})
    assert put.status_code == 200, put.text
    ada = await stage.enter("ada")
    await stage.send(ada, "Hello")
    author = {"id": stage.id_of("ada"), "firstName": "Augusta", "lastName": "King"}
    assert (await ada.heard("chat.message.new"))[0]["author"] == author


@pytest.mark.parametrize(
    ("body", "named"),
    [({}, "firstName"), ({"firstName": ""}, "firstName"), ({"firstName": 1}, "firstName"), ([], "object")],
)
async def test_a_bad_name_is_refused_by_name(stage: Stage, body: Any, named: str) -> None:
    answer = await stage.server.request("PUT", "/api/users/somebody", stage.token("boss", role="OWNER"), body)
    status, message = _refused(answer)
    assert status == 400
    assert named in message


async def test_what_is_not_there_is_said_in_json(stage: Stage) -> None:
    assert _refused(await stage.server.request("GET", "/api/nothing"))[0] == 404
    assert _refused(await stage.server.request("DELETE", "/api/users/ada"))[0] == 405
