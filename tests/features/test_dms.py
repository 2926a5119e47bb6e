"""Direct messages: what contract 1 (§7) and the settled points promise, between mailboxes that only tell each other."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from livehub.feature import JSON
from livehub.features.blocks import Blocks
from livehub.features.conversations import Conversations
from livehub.features.dms import GONE_MAX, TEXT_CHARS_MAX, DirectMessages, conversation_id
from livehub.payload import UUID_V4
from tests.features.mailboxes import Mailboxes
from tests.kit import ANNA, BEN, CARA, Ears, HubUnderTest, ears, open_hub, settle, uuid

START = "2026-01-01T00:00:00.000Z"
SECOND_LATER = "2026-01-01T00:00:01.000Z"
TALK = conversation_id("anna", "ben")


@pytest.fixture
def mail() -> Mailboxes:
    return Mailboxes()


def to_ben(text: str = "hello") -> dict[str, str]:
    return {"recipientId": "ben", "text": text}


def new(message_id: str, **more: JSON) -> tuple[str, JSON]:
    """`dm.new` of a message from Anna to Ben."""
    shown = {
        "id": message_id,
        "text": "hello",
        "timestamp": START,
        "senderId": "anna",
        "conversationId": TALK,
        "isDelivered": False,
        "isRead": False,
    }
    return "dm.new", shown | more


def edit(message_id: str, text: str = "better") -> dict[str, str]:
    return {"messageId": message_id, "newText": text}


def test_a_message_is_shown_to_its_recipient_alone(mail: Mailboxes) -> None:
    sent = mail.ask(ANNA, "dm.send", to_ben(" Hé <b>you</b> 👋\n"))
    message_id = sent.reply["messageId"]
    assert sent.reply == {"messageId": message_id, "conversationId": TALK, "timestamp": START}
    assert UUID_V4.match(message_id)
    assert [fact.to for fact in sent.facts] == [()]
    assert mail.bring_all() == {"ben": [new(message_id, text=" Hé <b>you</b> 👋\n")]}


def test_a_conversation_has_one_id_from_both_sides_and_another_for_every_pair() -> None:
    names = [f"user{number}" for number in range(40)]
    ids = {conversation_id(one, other) for one in names for other in names if one < other}
    assert len(ids) == 40 * 39 / 2
    assert all(UUID_V4.match(found) for found in ids)
    assert all(conversation_id(one, other) == conversation_id(other, one) for one in names for other in names)
    assert conversation_id("a", "b.c") != conversation_id("a.b", "c")


def test_nobody_messages_themselves(mail: Mailboxes) -> None:
    refusal = mail.box("anna").refusal("dm.send", {"recipientId": "anna", "text": "x"}, ANNA)
    assert (refusal.message, refusal.status) == ("You cannot message yourself", 400)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "text must not be empty"),
        (" \n", "text must not be empty"),
        ("x" * (TEXT_CHARS_MAX + 1), "text must be at most 2000 characters, not 2001"),
    ],
)
def test_text_has_a_length(mail: Mailboxes, text: str, told: str) -> None:
    message_id = mail.send(ANNA, BEN, "😀" * TEXT_CHARS_MAX)
    assert mail.box("anna").refusal("dm.send", to_ben(text), ANNA).message == told
    refusal = mail.box("anna").refusal("dm.message.edit", edit(message_id, text), ANNA)
    assert refusal.message == told.replace("text", "newText")


def test_a_recipient_is_any_id_from_outside(mail: Mailboxes) -> None:
    refusal = mail.box("anna").refusal("dm.send", {"recipientId": "no body", "text": "x"}, ANNA)
    assert refusal.message == "recipientId must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"
    mail.ask(ANNA, "dm.send", {"recipientId": "user_xyz789", "text": "x"})


def test_a_receipt_of_delivery_goes_to_the_sender_alone(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    update = {"messageId": message_id, "conversationId": TALK, "isDelivered": True, "deliveredAt": SECOND_LATER}
    told = mail.do(BEN, "dm.delivered", {"messageId": message_id}, after_ms=1_000)
    assert told == {"anna": [("dm.delivery_update", update)]}


def test_reading_implies_delivery(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    named = {"messageId": message_id, "conversationId": TALK}
    told = mail.do(BEN, "dm.read", {"messageId": message_id}, after_ms=1_000)
    delivered, read = told.pop("anna")
    assert delivered == ("dm.delivery_update", {**named, "isDelivered": True, "deliveredAt": SECOND_LATER})
    assert read == ("dm.read_update", {**named, "isRead": True, "readAt": SECOND_LATER})
    assert told == {}


def test_reading_after_delivery_is_told_alone(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    mail.do(BEN, "dm.delivered", {"messageId": message_id})
    told = mail.do(BEN, "dm.read", {"messageId": message_id}, after_ms=1_000)
    update = {"messageId": message_id, "conversationId": TALK, "isRead": True, "readAt": SECOND_LATER}
    assert told == {"anna": [("dm.read_update", update)]}


def test_a_receipt_is_given_once(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    for command in ("dm.delivered", "dm.read"):
        assert mail.do(BEN, command, {"messageId": message_id})
        again = mail.ask(BEN, command, {"messageId": message_id}, after_ms=1_000)
        assert (again.facts, again.effects, again.reply) == ([], [], {"messageId": message_id})
    assert mail.ask(BEN, "dm.delivered", {"messageId": message_id}).facts == []


def test_receipts_that_overtake_each_other_or_come_twice_are_told_once(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    mail.ask(BEN, "dm.delivered", {"messageId": message_id})
    mail.ask(BEN, "dm.read", {"messageId": message_id}, after_ms=1_000)
    delivered, read = mail.under_way
    named = {"messageId": message_id, "conversationId": TALK}
    assert mail.bring(read) == [
        ("dm.delivery_update", {**named, "isDelivered": True, "deliveredAt": START}),
        ("dm.read_update", {**named, "isRead": True, "readAt": SECOND_LATER}),
    ]
    assert [mail.bring(word) for word in (delivered, read, delivered)] == [[], [], []]
    mail.check_logs()


@pytest.mark.parametrize("command", ["dm.delivered", "dm.read", "dm.message.edit", "dm.message.delete"])
def test_an_unknown_or_foreign_message_is_not_found(mail: Mailboxes, command: str) -> None:
    foreign, gone = mail.send(ANNA, BEN), mail.send(CARA, BEN)
    mail.do(CARA, "dm.message.delete", {"messageId": gone})
    for message_id in (uuid(1), foreign, gone):
        data = edit(message_id) if command == "dm.message.edit" else {"messageId": message_id}
        refusal = mail.box("cara").refusal(command, data, CARA)
        assert (refusal.message, refusal.status, refusal.code) == ("Message not found", 404, "not_found")


@pytest.mark.parametrize("command", ["dm.delivered", "dm.read"])
def test_a_sender_gives_no_receipts_for_their_own_message(mail: Mailboxes, command: str) -> None:
    refusal = mail.box("anna").refusal(command, {"messageId": mail.send(ANNA, BEN)}, ANNA)
    assert (refusal.message, refusal.status) == ("Message not found", 404)


def test_an_edit_is_shown_to_both_as_far_as_each_knows_the_message(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    mail.do(BEN, "dm.read", {"messageId": message_id})
    assert mail.ask(ANNA, "dm.message.edit", edit(message_id, "first")).reply == {"messageId": message_id}
    mail.bring_all()
    (_, shown) = new(message_id, text="better", isDelivered=True, isRead=True, isEdited=True, editedAt=SECOND_LATER)
    told = mail.do(ANNA, "dm.message.edit", edit(message_id), after_ms=1_000)
    assert told == {name: [("dm.message.updated", shown)] for name in ("anna", "ben")}
    assert mail.texts(ANNA, BEN) == mail.texts(BEN, ANNA) == ["better"]


def test_an_edit_has_no_time_limit(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    assert mail.do(ANNA, "dm.message.edit", edit(message_id), after_ms=7 * 86_400_000).keys() == {"anna", "ben"}


def test_edits_that_overtake_each_other_leave_the_latest(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    for text in ("one", "two", "three"):
        mail.ask(ANNA, "dm.message.edit", edit(message_id, text))
    one, two, three = mail.under_way
    shown = [[payload["text"] for _, payload in mail.bring(word)] for word in (two, one, two, three, one, three)]
    assert shown == [["two"], [], [], ["three"], [], []]
    assert mail.texts(BEN, ANNA) == ["three"]
    mail.check_logs()


def test_an_edit_that_overtakes_its_message_is_the_message(mail: Mailboxes) -> None:
    message_id = mail.ask(ANNA, "dm.send", to_ben()).reply["messageId"]
    mail.ask(ANNA, "dm.message.edit", edit(message_id), after_ms=1_000)
    sent, edited = mail.under_way
    assert mail.bring(edited) == [new(message_id, text="better")]
    assert [mail.bring(word) for word in (sent, edited)] == [[], []]
    (talk,) = mail.ask(BEN, "dm.conversations").reply["conversations"]
    kept = new(message_id, text="better", isEdited=True, editedAt=SECOND_LATER)[1]
    assert talk["lastMessage"] == kept
    mail.check_logs()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("dm.message.edit", "You can only edit your own messages"),
        ("dm.message.delete", "You can only delete your own messages"),
    ],
)
def test_only_ones_own_message_can_be_changed(mail: Mailboxes, command: str, told: str) -> None:
    message_id = mail.send(ANNA, BEN)
    data = edit(message_id) if command == "dm.message.edit" else {"messageId": message_id}
    refusal = mail.box("ben").refusal(command, data, BEN)
    assert (refusal.message, refusal.status, refusal.code) == (told, 403, "forbidden")


def test_a_deleted_message_is_gone_for_both(mail: Mailboxes) -> None:
    stays, message_id = mail.send(ANNA, BEN, "stays"), mail.send(ANNA, BEN)
    gone = ("dm.message.deleted", {"messageId": message_id, "conversationId": TALK})
    told = mail.do(ANNA, "dm.message.delete", {"messageId": message_id}, after_ms=7 * 86_400_000)
    assert told == {"anna": [gone], "ben": [gone]}
    assert mail.texts(ANNA, BEN) == mail.texts(BEN, ANNA) == ["stays"]
    assert [payload["id"] for _, payload in mail.welcome(BEN)] == [stays]
    for who, command, data in (
        (ANNA, "dm.message.edit", edit(message_id)),
        (ANNA, "dm.message.delete", {"messageId": message_id}),
        (BEN, "dm.read", {"messageId": message_id}),
        (BEN, "dm.message.delete", {"messageId": message_id}),
    ):
        assert mail.box(who.id).refusal(command, data, who).message == "Message not found"


def test_a_receipt_for_a_deleted_message_is_not_told(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    mail.ask(BEN, "dm.read", {"messageId": message_id})
    mail.ask(ANNA, "dm.message.delete", {"messageId": message_id})
    assert mail.bring_all().keys() == {"ben"}


def test_a_deletion_that_overtakes_its_message_keeps_it_away(mail: Mailboxes) -> None:
    message_id = mail.ask(ANNA, "dm.send", to_ben()).reply["messageId"]
    mail.ask(ANNA, "dm.message.edit", edit(message_id))
    mail.ask(ANNA, "dm.message.delete", {"messageId": message_id})
    sent, edited, deleted = mail.under_way
    facts = len(mail.facts)
    assert [mail.bring(word) for word in (deleted, edited, sent, deleted)] == [[], [], [], []]
    assert len(mail.facts) == facts + 1
    assert mail.welcome(BEN) == []
    assert mail.ask(BEN, "dm.conversations").reply["conversations"] == []
    mail.check_logs()


def test_deleted_ids_are_remembered_up_to_a_bound(mail: Mailboxes) -> None:
    for number in range(GONE_MAX + 5):
        mail.box("ben").ask("dm.remove", {"messageId": uuid(number), "userId": "anna"})
    gone = mail.box("ben").feature(DirectMessages).gone
    assert list(gone) == [uuid(number) for number in range(5, GONE_MAX + 5)]


def test_a_message_that_comes_twice_is_shown_once(mail: Mailboxes) -> None:
    message_id = mail.ask(ANNA, "dm.send", to_ben()).reply["messageId"]
    (word,) = mail.under_way
    assert [mail.bring(word) for _ in range(3)] == [[new(message_id)], [], []]
    mail.ask(BEN, "dm.delivered", {"messageId": message_id})
    assert mail.bring(word) == []
    assert mail.welcome(BEN) == []


def test_nobody_else_hears_anything(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    heard = [
        mail.do(BEN, "dm.delivered", {"messageId": message_id}),
        mail.do(BEN, "dm.read", {"messageId": message_id}),
        mail.do(ANNA, "dm.message.edit", edit(message_id)),
        mail.do(ANNA, "dm.message.delete", {"messageId": message_id}),
    ]
    assert {name for told in heard for name in told} == {"anna", "ben"}
    assert {audience for fact in mail.facts for audience in fact.to} == {"user:anna", "user:ben"}


def test_the_logs_rebuild_both_mailboxes(mail: Mailboxes) -> None:
    first, second, third = mail.send(ANNA, BEN), mail.send(BEN, ANNA), mail.send(ANNA, BEN)
    mail.do(BEN, "dm.delivered", {"messageId": first})
    mail.do(ANNA, "dm.read", {"messageId": second})
    mail.do(ANNA, "dm.message.edit", edit(first))
    mail.do(ANNA, "dm.message.delete", {"messageId": third})
    mail.do(ANNA, "dm.block", {"userId": "ben"})
    mail.check_logs()


async def connect(hub: HubUnderTest, client: Ears) -> list[JSON]:
    """Let a client in as the entrance does; what it is sent first."""
    events = await hub.house.greet(client.peer, lambda: hub.fanout.subscribe(client.peer, [client.peer.user_audience]))
    return list(events)


async def test_rooms_carry_the_word(autojump_clock: MockClock) -> None:
    async with open_hub(DirectMessages, Conversations, Blocks) as hub:
        anna, ben, phone = ears(ANNA), ears(BEN), ears(BEN, sid="phone")
        assert await connect(hub, anna) == []
        reply = await hub.do("dm.send", to_ben(), anna)
        assert [event for event, _ in await connect(hub, ben)] == ["dm.new"]
        await connect(hub, phone)
        second = await hub.do("dm.send", to_ben("again"), anna)
        await settle()
        assert [shown["text"] for shown in ben.events("dm.new")] == ["again"]
        assert ben.events() == phone.events()
        await hub.do("dm.read", {"messageId": reply["messageId"]}, ben)
        assert [event for event, _ in anna.events()] == ["dm.delivery_update", "dm.read_update"]
        waiting = await connect(hub, ears(BEN, sid="tablet"))
        assert [shown["id"] for _, shown in waiting] == [second["messageId"]]
