"""Chat on `/events` as contract 1, §4, tells it: payloads, broadcasts, who may do what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, key
from tests.harness import Server

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def refusal(message: str, status: int) -> dict[str, Any]:
    """An ack that refuses."""
    return {"success": False, "error": {"message": message, "statusCode": status}}


async def test_a_message_reaches_everybody_in_the_session_and_its_sender(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    outsider = await stage.enter("outsider", joined=False)
    message_id = await stage.send(ada, "Hello")
    (message,) = await grace.heard("chat.message.new")
    person = {"id": stage.id_of("ada"), "firstName": "Ada", "lastName": "Stage"}
    assert UUID4.fullmatch(message_id)
    assert TIME.fullmatch(message.pop("timestamp"))
    assert message == {
        "id": message_id,
        "text": "Hello",
        "isEdited": False,
        "editedAt": None,
        "authorId": stage.id_of("ada"),
        "sessionId": stage.session,
        "author": person,
        "reactionsSummary": {},
    }
    assert (await ada.heard("chat.message.new"))[0]["id"] == message_id
    await outsider.ask("session.join", {"sessionId": stage.session})
    assert outsider.payloads("chat.message.new") == []


async def test_text_is_kept_exactly_as_sent(stage: Stage) -> None:
    ada = await stage.enter("ada")
    text = ' <b>&amp;</b>\n\t"\\\0\u2028 👩‍👩‍👧‍👦 ' + "é" * 900
    await stage.send(ada, text)
    assert (await ada.heard("chat.message.new"))[0]["text"] == text


async def test_a_reply_quotes_its_parent(stage: Stage) -> None:
    ada = await stage.enter("ada")
    parent_id = await stage.send(ada, "Question?")
    await stage.send(ada, "Answer.", replyingToMessageId=parent_id)
    parent = (await ada.heard("chat.message.new", 2))[1]["parentMessage"]
    author = {"id": stage.id_of("ada"), "firstName": "Ada", "lastName": "Stage"}
    assert parent == {"id": parent_id, "text": "Question?", "author": author}
    lost = {"text": "Answer.", "idempotencyKey": key(), "replyingToMessageId": UNKNOWN_ID}
    assert await ada.ask("chat.message.send", lost) == refusal("Message not found", 404)


async def test_an_edit_is_shown_to_all_and_only_the_author_may(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace", role="OWNER")
    message_id = await stage.send(ada, "Helo")
    theirs = {"messageId": message_id, "newText": "Bye", "idempotencyKey": key()}
    assert await grace.ask("chat.message.edit", theirs) == refusal("You can only edit your own messages", 403)
    mine = {**theirs, "newText": "Hello", "idempotencyKey": key()}
    assert await ada.ask("chat.message.edit", mine) == {"success": True, "messageId": message_id}
    (message,) = await grace.heard("chat.message.updated")
    assert (message["id"], message["text"], message["isEdited"]) == (message_id, "Hello", True)
    assert TIME.fullmatch(message["editedAt"])


async def test_the_same_emoji_again_takes_the_reaction_back(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    message_id = await stage.send(ada, "Hello")

    async def react(client: Client, emoji: str) -> None:
        payload = {"messageId": message_id, "emoji": emoji, "idempotencyKey": key()}
        assert await client.ask("chat.message.react", payload) == {"success": True, "messageId": message_id}

    for client, emoji in ((ada, "👍"), (grace, "👍"), (grace, "❤️"), (ada, "👍"), (grace, "👍")):
        await react(client, emoji)
    shown = [message["reactionsSummary"] for message in await ada.heard("chat.message.updated", 5)]
    assert shown == [{"👍": 1}, {"👍": 2}, {"👍": 2, "❤️": 1}, {"👍": 1, "❤️": 1}, {"❤️": 1}]


async def test_deleting_needs_the_permission_for_ones_own_or_for_any(stage: Stage) -> None:
    member = await stage.enter("member", role="MEMBER")
    guest = await stage.enter("guest")
    moderator = await stage.enter("moderator", role="MODERATOR")
    granted = await stage.enter("granted", permissions=["chat:delete:own"])
    ids = {client.name: await stage.send(client, client.name) for client in (member, guest, granted)}

    async def delete(client: Client, author: str) -> Any:
        return await client.ask("chat.message.delete", {"messageId": ids[author], "idempotencyKey": key()})

    forbidden = refusal("You do not have permission", 403)
    assert await delete(guest, "guest") == forbidden
    assert await delete(member, "guest") == forbidden
    assert await delete(member, "member") == {"success": True, "messageId": ids["member"]}
    assert await delete(granted, "granted") == {"success": True, "messageId": ids["granted"]}
    assert await delete(moderator, "guest") == {"success": True, "messageId": ids["guest"]}
    gone = [{"messageId": ids[author]} for author in ("member", "granted", "guest")]
    assert await guest.heard("chat.message.deleted", 3) == gone
    assert await delete(member, "member") == refusal("Message not found", 404)


@pytest.mark.parametrize(
    ("event", "more"),
    [("chat.message.edit", {"newText": "x"}), ("chat.message.delete", {}), ("chat.message.react", {"emoji": "👍"})],
)
async def test_an_unknown_message_is_not_found(stage: Stage, event: str, more: dict[str, str]) -> None:
    ada = await stage.enter("ada", role="OWNER")
    payload = {"messageId": UNKNOWN_ID, "idempotencyKey": key(), **more}
    assert await ada.ask(event, payload) == refusal("Message not found", 404)


async def test_messages_can_be_edited_until_the_window_closes(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"chat": {"edit_window_s": 1}}) as server:
        stage = Stage(server, node)
        ada = await stage.enter("ada")
        message_id = await stage.send(ada, "Hello")
        edits = 0
        while True:  # as long as it takes, and no longer than the watchdog lets it
            edit = {"messageId": message_id, "newText": f"Hello {edits}", "idempotencyKey": key()}
            answer = await ada.ask("chat.message.edit", edit)
            if not answer["success"]:
                break
            edits += 1
        assert edits > 0
        assert answer == refusal("Messages can only be edited within 1 second", 403)
