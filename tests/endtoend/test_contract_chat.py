"""Contract 1, §4: every event of the chat, at everybody who should hear it and at nobody else."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_TIME, AN_ID
from tests.endtoend.node import Client

FORBIDDEN = (403, "You do not have permission")
NOT_FOUND = (404, "Message not found")


def message_of(cast: Cast, author: Client, text: str, **more: Any) -> dict[str, Any]:
    """`ChatMessage`, as it is when it was just sent."""
    return {
        "id": AN_ID,
        "text": text,
        "timestamp": A_TIME,
        "isEdited": False,
        "editedAt": None,
        "authorId": cast.id(author),
        "sessionId": cast.session,
        "author": cast.person(author),
        "reactionsSummary": {},
        **more,
    }


async def sent(cast: Cast, author: Client, text: str) -> dict[str, Any]:
    """Have a message sent and heard: as it is shown."""
    message_id = (await cast.does(author, "chat.message.send", {"text": text}, messageId=AN_ID))["messageId"]
    said = message_of(cast, author, text, id=message_id)
    await cast.hears(Line(cast.seated, "chat.message.new", said), cast.earns(author, 1, "MESSAGE_SENT"))
    return {**said, "timestamp": cast.ada.payloads("chat.message.new")[-1]["timestamp"]}


async def test_a_message_and_a_reply_reach_everybody_in_the_session(cast: Cast) -> None:
    asked = await sent(cast, cast.ada, "Question? 👩‍👩‍👧‍👦")
    reply = {"text": "Answer.", "replyingToMessageId": asked["id"]}
    answered = await cast.does(cast.bob, "chat.message.send", reply, messageId=AN_ID)
    parent = {"id": asked["id"], "text": asked["text"], "author": cast.person(cast.ada)}
    shown = message_of(cast, cast.bob, "Answer.", id=answered["messageId"], parentMessage=parent)
    await cast.hears(Line(cast.seated, "chat.message.new", shown), cast.earns(cast.bob, 1, "MESSAGE_SENT"))


async def test_a_reply_needs_its_message_in_the_same_session(cast: Cast) -> None:
    asked = await sent(cast, cast.ada, "Question?")
    lost = {"text": "Answer.", "replyingToMessageId": UNKNOWN_ID}
    await cast.refuses(cast.bob, "chat.message.send", lost, *NOT_FOUND)
    foreign = {"text": "Answer.", "replyingToMessageId": asked["id"]}
    await cast.refuses(cast.elsewhere, "chat.message.send", foreign, *NOT_FOUND)
    await cast.hears()


async def test_an_author_edits_their_message(cast: Cast) -> None:
    said = await sent(cast, cast.ada, "Helo")
    edit = {"messageId": said["id"], "newText": "Hello"}
    await cast.does(cast.ada, "chat.message.edit", edit, messageId=said["id"])
    shown = {**said, "text": "Hello", "isEdited": True, "editedAt": A_TIME}
    await cast.hears(Line(cast.seated, "chat.message.updated", shown))
    for other in (cast.bob, cast.owner):
        await cast.refuses(other, "chat.message.edit", edit, 403, "You can only edit your own messages")
    await cast.refuses(cast.ada, "chat.message.edit", {**edit, "messageId": UNKNOWN_ID}, *NOT_FOUND)
    await cast.refuses(cast.elsewhere, "chat.message.edit", edit, *NOT_FOUND)
    await cast.hears()


async def test_a_reaction_is_a_toggle(cast: Cast) -> None:
    said = await sent(cast, cast.ada, "Hello")

    async def reacts(who: Client, emoji: str, summary: dict[str, int], *earned: Line) -> None:
        await cast.does(who, "chat.message.react", {"messageId": said["id"], "emoji": emoji}, messageId=said["id"])
        shown = {**said, "reactionsSummary": summary}
        await cast.hears(Line(cast.seated, "chat.message.updated", shown), *earned)

    await reacts(cast.bob, "👍", {"👍": 1}, cast.earns(cast.bob, 2, "MESSAGE_REACTED"))
    await reacts(cast.owner, "👍", {"👍": 2}, cast.earns(cast.owner, 2, "MESSAGE_REACTED"))
    await reacts(cast.ada, "❤️", {"👍": 2, "❤️": 1})  # nobody earns from themselves
    await reacts(cast.bob, "👍", {"👍": 1, "❤️": 1}, cast.earns(cast.bob, -2, "MESSAGE_REACTED"))
    await reacts(cast.ada, "❤️", {"👍": 1})
    for who, message_id in ((cast.bob, UNKNOWN_ID), (cast.elsewhere, said["id"])):
        await cast.refuses(who, "chat.message.react", {"messageId": message_id, "emoji": "👍"}, *NOT_FOUND)
    await cast.hears()


async def test_deleting_takes_the_permission_for_ones_own_or_for_any(cast: Cast) -> None:
    adas, bobs = await sent(cast, cast.ada, "mine"), await sent(cast, cast.bob, "his")

    def naming(message: dict[str, Any]) -> dict[str, Any]:
        return {"messageId": message["id"]}

    for who, message in ((cast.bob, bobs), (cast.bob, adas), (cast.ada, bobs), (cast.speaker, adas)):
        await cast.refuses(who, "chat.message.delete", naming(message), *FORBIDDEN)
    await cast.refuses(cast.elsewhere, "chat.message.delete", naming(adas), *NOT_FOUND)
    await cast.hears()
    for who, message in ((cast.ada, adas), (cast.moderator, bobs)):
        await cast.does(who, "chat.message.delete", naming(message), messageId=message["id"])
        await cast.hears(Line(cast.seated, "chat.message.deleted", naming(message)))
    for event, more in (
        ("chat.message.delete", {}),
        ("chat.message.edit", {"newText": "back"}),
        ("chat.message.react", {"emoji": "👍"}),
    ):
        await cast.refuses(cast.ada, event, {**naming(adas), **more}, *NOT_FOUND)
    await cast.hears()
