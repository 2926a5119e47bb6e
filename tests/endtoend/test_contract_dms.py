"""Contract 1, §7: direct messages, their receipts, edits and deletions, and blocks (contracts, points 19, 21, 27)."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_TIME, AN_ID
from tests.endtoend.node import Client
from tests.endtoend.stage import key

NOT_FOUND = (404, "Message not found")
BLOCKED = (403, "You cannot message this user")


async def send(cast: Cast, sender: Client, recipient_id: str, text: str) -> dict[str, Any]:
    """Have a message sent: as its recipient sees it when it is new."""
    wanted = {"recipientId": recipient_id, "text": text}
    sent = await cast.does(sender, "dm.send", wanted, messageId=AN_ID, conversationId=AN_ID, timestamp=A_TIME)
    return {
        "id": sent["messageId"],
        "text": text,
        "timestamp": sent["timestamp"],
        "senderId": cast.id(sender),
        "conversationId": sent["conversationId"],
        "isDelivered": False,
        "isRead": False,
    }


async def sent(cast: Cast, sender: Client, recipient: Client, text: str = "Great talk") -> dict[str, Any]:
    """Have a message sent and heard, by every device of its recipient and by nobody else: as it is shown."""
    message = await send(cast, sender, cast.id(recipient), text)
    await cast.hears(Line(cast.devices(recipient), "dm.new", message))
    return message


def named(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What receipts and deletions say of a message."""
    return {"messageId": message["id"], "conversationId": message["conversationId"], **more}


async def test_a_message_reaches_every_device_of_its_recipient(cast: Cast) -> None:
    """No session is needed, on neither side."""
    there = await sent(cast, cast.nowhere, cast.ada, "Would you like to meet?")
    back = await sent(cast, cast.tablet, cast.nowhere, "Gladly")
    assert there["conversationId"] == back["conversationId"]
    other = await sent(cast, cast.elsewhere, cast.ada)
    assert other["conversationId"] != there["conversationId"]
    to_herself = {"recipientId": cast.id(cast.ada), "text": "Milk"}
    await cast.refuses(cast.tablet, "dm.send", to_herself, 400, "You cannot message yourself")
    await cast.hears()


async def test_receipts_go_to_every_device_of_the_sender(cast: Cast) -> None:
    first, second = await sent(cast, cast.ada, cast.bob, "One"), await sent(cast, cast.ada, cast.bob, "Two")
    both = cast.devices(cast.ada)
    delivered, read = {"isDelivered": True, "deliveredAt": A_TIME}, {"isRead": True, "readAt": A_TIME}
    for event in ("dm.delivered", "dm.read"):
        for who, message_id in ((cast.bob, UNKNOWN_ID), (cast.ada, first["id"]), (cast.owner, first["id"])):
            await cast.refuses(who, event, {"messageId": message_id}, *NOT_FOUND)
    await cast.hears()
    await cast.does(cast.bob, "dm.delivered", {"messageId": first["id"]}, messageId=first["id"])
    await cast.hears(Line(both, "dm.delivery_update", named(first, **delivered)))
    await cast.does(cast.bob, "dm.read", {"messageId": first["id"]}, messageId=first["id"])
    await cast.hears(Line(both, "dm.read_update", named(first, **read)))
    for event in ("dm.delivered", "dm.read"):  # once more is no news
        await cast.does(cast.bob, event, {"messageId": first["id"]}, messageId=first["id"])
    await cast.does(cast.bob, "dm.read", {"messageId": second["id"]}, messageId=second["id"])
    await cast.hears(  # what was read was delivered
        Line(both, "dm.delivery_update", named(second, **delivered)),
        Line(both, "dm.read_update", named(second, **read)),
    )


async def test_edits_and_deletions_are_shown_to_both_sides(cast: Cast) -> None:
    message = await sent(cast, cast.bob, cast.ada, "Helo")
    sides = (*cast.devices(cast.bob), *cast.devices(cast.ada))
    edit, deletion = {"messageId": message["id"], "newText": "Hello"}, {"messageId": message["id"]}
    await cast.refuses(cast.tablet, "dm.message.edit", edit, 403, "You can only edit your own messages")
    await cast.refuses(cast.ada, "dm.message.delete", deletion, 403, "You can only delete your own messages")
    for who, message_id in ((cast.owner, message["id"]), (cast.bob, UNKNOWN_ID)):
        await cast.refuses(who, "dm.message.edit", {**edit, "messageId": message_id}, *NOT_FOUND)
        await cast.refuses(who, "dm.message.delete", {"messageId": message_id}, *NOT_FOUND)
    await cast.hears()
    await cast.does(cast.bob, "dm.message.edit", edit, messageId=message["id"])
    shown = {**message, "text": "Hello", "isEdited": True, "editedAt": A_TIME}
    await cast.hears(Line(sides, "dm.message.updated", shown))
    await cast.does(cast.bob, "dm.message.delete", deletion, messageId=message["id"])
    await cast.hears(Line(sides, "dm.message.deleted", named(message)))
    await cast.refuses(cast.bob, "dm.message.edit", edit, *NOT_FOUND)
    await cast.refuses(cast.ada, "dm.read", deletion, *NOT_FOUND)
    await cast.hears()


async def test_what_was_not_delivered_waits_for_the_next_connection(cast: Cast) -> None:
    carol = cast.stage.id_of("carol")
    first, second = await send(cast, cast.ada, carol, "One"), await send(cast, cast.bob, carol, "Two")
    gone = await send(cast, cast.bob, carol, "Three")
    await cast.does(cast.bob, "dm.message.delete", {"messageId": gone["id"]}, messageId=gone["id"])
    await cast.hears(Line((cast.bob,), "dm.message.deleted", named(gone)))
    welcome = ("connectionAcknowledged", {"userId": carol})
    phone = cast.connect("carol", device="-phone")
    await cast.hears(Line((phone,), *welcome), Line((phone,), "dm.new", first), Line((phone,), "dm.new", second))
    await cast.does(phone, "dm.delivered", {"messageId": first["id"]}, messageId=first["id"])
    delivered = named(first, isDelivered=True, deliveredAt=A_TIME)
    await cast.hears(Line(cast.devices(cast.ada), "dm.delivery_update", delivered))
    laptop = cast.connect("carol", device="-laptop")
    await cast.hears(Line((laptop,), *welcome), Line((laptop,), "dm.new", second))


async def test_whoever_is_blocked_cannot_write_until_they_are_unblocked(cast: Cast) -> None:
    before = await sent(cast, cast.ada, cast.bob, "Hello")
    blocked = {"userId": cast.id(cast.ada)}
    await cast.does(cast.bob, "dm.block", blocked, **blocked)
    wanted = {"recipientId": cast.id(cast.bob), "text": "Hello?"}
    await _answers(cast, cast.ada, wanted, success=False)
    await cast.refuses(cast.tablet, "dm.send", wanted, *BLOCKED)
    edit = {"messageId": before["id"], "newText": "Hello!"}
    await cast.refuses(cast.ada, "dm.message.edit", edit, *BLOCKED)
    to_ada = {"recipientId": cast.id(cast.ada), "text": "Sorry"}
    unblock_first = "You blocked this user: unblock them to message them"
    await cast.refuses(cast.bob, "dm.send", to_ada, 403, unblock_first)
    await cast.refuses(cast.bob, "dm.block", {"userId": cast.id(cast.bob)}, 400, "You cannot block yourself")
    await cast.hears()  # neither that there is a block, nor anything that was written meanwhile
    await sent(cast, cast.owner, cast.bob)
    await cast.does(cast.bob, "dm.unblock", blocked, **blocked)
    text = await _answers(cast, cast.ada, wanted, success=True)
    message = {**before, "id": AN_ID, "timestamp": A_TIME, "text": text}
    await cast.hears(Line((cast.bob,), "dm.new", message))


async def _answers(cast: Cast, who: Client, wanted: dict[str, str], *, success: bool) -> str:
    """Write until the answer is this: word of a block goes from mailbox to mailbox. The last text."""
    for attempt in range(1_000):
        text = f"{wanted['text']} {attempt}"
        answer = await who.ask("dm.send", {**wanted, "text": text, "idempotencyKey": key()})
        if answer["success"] is success:
            return text
    raise AssertionError(f"after a thousand messages: {answer}")
