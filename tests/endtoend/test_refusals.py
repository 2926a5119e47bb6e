"""What is refused on `/events`, in which words, and who is told (contracts, points 1, 6, 14, 15 and 22)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endtoend.stage import Stage, key

A_KEY = "123e4567-e89b-42d3-a456-426614174000"
AN_ID = "00000000-0000-4000-8000-000000000000"
SEND, EDIT, REACT = "chat.message.send", "chat.message.edit", "chat.message.react"

INVALID: list[tuple[str, Any, tuple[str, ...]]] = [
    (SEND, {}, ("text",)),
    (SEND, {"idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": "x"}, ("idempotencyKey",)),
    (SEND, {"text": None, "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": "", "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": " \t\n\u2003", "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": "x" * 1_001, "idempotencyKey": A_KEY}, ("text", "1000")),
    (SEND, {"text": "👍" * 1_001, "idempotencyKey": A_KEY}, ("text", "1000")),
    (SEND, {"text": 42, "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": ["x"], "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": {"x": 1}, "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": True, "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": "half \ud83d", "idempotencyKey": A_KEY}, ("text",)),
    (SEND, {"text": "x", "idempotencyKey": "not-a-uuid"}, ("idempotencyKey",)),
    (SEND, {"text": "x", "idempotencyKey": "123e4567-e89b-12d3-a456-426614174000"}, ("idempotencyKey", "v4")),
    (SEND, {"text": "x", "idempotencyKey": 7}, ("idempotencyKey",)),
    (SEND, {"text": "x", "idempotencyKey": A_KEY, "replyingToMessageId": "msg_1"}, ("replyingToMessageId",)),
    (SEND, {"text": "x", "idempotencyKey": A_KEY, "colour": "red"}, ("colour",)),
    (SEND, {"text": "x", "idempotencyKey": A_KEY, "sessionId": "a b"}, ("sessionId", "128")),
    (SEND, {"text": "x", "idempotencyKey": A_KEY, "sessionId": "a" * 129}, ("sessionId", "128")),
    (SEND, {"text": "x", "idempotencyKey": A_KEY, "sessionId": 5}, ("sessionId",)),
    (SEND, [], ("payload",)),
    (SEND, "text", ("payload",)),
    (SEND, None, ("text",)),
    (EDIT, {"messageId": "1", "newText": "x", "idempotencyKey": A_KEY}, ("messageId",)),
    (EDIT, {"messageId": AN_ID, "newText": " ", "idempotencyKey": A_KEY}, ("newText",)),
    (EDIT, {"messageId": AN_ID, "newText": "x" * 1_001, "idempotencyKey": A_KEY}, ("newText", "1000")),
    (EDIT, {"messageId": AN_ID, "idempotencyKey": A_KEY}, ("newText",)),
    (REACT, {"messageId": AN_ID, "emoji": "👍" * 9, "idempotencyKey": A_KEY}, ("emoji", "8")),
    (REACT, {"messageId": AN_ID, "emoji": ":-)", "idempotencyKey": A_KEY}, ("emoji",)),
    (REACT, {"messageId": AN_ID, "emoji": "", "idempotencyKey": A_KEY}, ("emoji",)),
]


async def test_invalid_payloads_are_refused_naming_field_and_limit(stage: Stage) -> None:
    ada = await stage.enter("ada")
    for event, payload, named in INVALID:
        answer = await ada.ask(event, payload)
        assert answer["success"] is False, payload
        error = answer["error"]
        assert error["statusCode"] == 400, (payload, error)
        assert all(word in error["message"] for word in named), (payload, error)
    assert ada.payloads("chat.message.new") == []
    assert ada.payloads("systemError") == []


async def test_a_thousand_characters_are_code_points(stage: Stage) -> None:
    ada = await stage.enter("ada")
    await stage.send(ada, "👍" * 1_000)
    assert (await ada.heard("chat.message.new"))[0]["text"] == "👍" * 1_000


async def test_a_refused_ask_does_not_use_up_its_key(stage: Stage) -> None:
    ada = await stage.enter("ada")
    once = key()
    assert (await ada.ask(SEND, {"text": "", "idempotencyKey": once}))["success"] is False
    assert "replayed" not in await ada.ask(SEND, {"text": "x", "idempotencyKey": once})


async def test_an_unknown_event_is_answered(stage: Stage) -> None:
    ada = await stage.enter("ada")
    answer = await ada.ask("chat.message.shout", {"text": "x"})
    assert answer["success"] is False
    assert "chat.message.shout" in answer["error"]["message"]


async def test_more_than_one_payload_is_refused(stage: Stage) -> None:
    ada = await stage.enter("ada")
    answer = await ada.ask(SEND, {"text": "x", "idempotencyKey": key()}, {"text": "y"})
    assert answer["success"] is False


async def test_commands_of_rest_and_of_the_hub_itself_are_unknown_events(stage: Stage) -> None:
    ada = await stage.enter("ada", role="OWNER")
    for event in ("chat.history", "user.met", "user.put", "user.deactivate", "session.create", "session.read"):
        answer = await ada.ask(event, {"userId": "ada"})
        assert "Unknown event" in answer["error"]["message"], event


async def test_without_an_ack_only_the_sender_is_told(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    ada.emit(SEND, {"text": "", "idempotencyKey": key()})
    (error,) = await ada.heard("systemError")
    assert "text" in error["message"]
    assert error["reason"] == "invalid_payload"
    await stage.send(ada, "after it")
    await grace.heard("chat.message.new")
    assert grace.payloads("systemError") == []


@pytest.mark.parametrize("event", [SEND, EDIT, REACT, "chat.message.delete"])
async def test_whoever_has_not_joined_must_join_first(stage: Stage, event: str) -> None:
    await stage.enter("grace")  # so that the session exists
    ada = await stage.enter("ada", joined=False, role="OWNER")
    payloads = {
        SEND: {"text": "x"},
        EDIT: {"messageId": AN_ID, "newText": "x"},
        REACT: {"messageId": AN_ID, "emoji": "👍"},
        "chat.message.delete": {"messageId": AN_ID},
    }
    payload = {**payloads[event], "idempotencyKey": key(), "sessionId": stage.session}
    answer = await ada.ask(event, payload)
    assert answer == {
        "success": False,
        "error": {"message": "You must join the session first", "statusCode": 403},
    }


async def test_without_any_session_an_id_is_required(stage: Stage) -> None:
    ada = await stage.enter("ada", joined=False)
    for event, payload in ((SEND, {"text": "x", "idempotencyKey": key()}), ("session.join", {}), ("session.leave", {})):
        answer = await ada.ask(event, payload)
        assert answer == {"success": False, "error": {"message": "Session ID is required", "statusCode": 400}}, event
