"""Conversations: paging over REST, what waits for the next connection, and the bounds of a mailbox."""

from __future__ import annotations

import pytest

from livehub.feature import JSON
from livehub.features.conversations import (
    CONVERSATION_MESSAGES_MAX,
    MAILBOX_MESSAGES_MAX,
    PAGE_CONVERSATIONS,
    PAGE_CONVERSATIONS_MAX,
    PAGE_MESSAGES,
    PAGE_MESSAGES_MAX,
    WELCOME_MESSAGES_MAX,
    WELCOME_TEXT_CHARS_MAX,
    Conversations,
)
from livehub.features.dms import TEXT_CHARS_MAX, DirectMessages, conversation_id
from tests.features.mailboxes import Mailboxes
from tests.kit import ANNA, BEN, CARA, person, uuid

TALK = conversation_id("anna", "ben")
START = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def mail() -> Mailboxes:
    return Mailboxes()


def arrive(mail: Mailboxes, number: int, *, sender: str = "anna", text: str = "", timestamp: str = START) -> None:
    """Let a message come to Ben without a sender's mailbox: for many."""
    word = {
        "messageId": uuid(number),
        "userId": sender,
        "text": text or str(number),
        "timestamp": timestamp,
        "editedAt": "",
        "revision": 0,
    }
    mail.box("ben").ask("dm.deliver", word)


def talks(mail: Mailboxes, **query: JSON) -> list[str]:
    """With whom Ben has conversations, as a page shows them."""
    reply = mail.ask(BEN, "dm.conversations", query).reply
    return [talk["userId"] for talk in reply["conversations"]]


def test_both_read_the_same_conversation(mail: Mailboxes) -> None:
    first, second = mail.send(ANNA, BEN, "one"), mail.send(BEN, ANNA, "two", after_ms=1_000)
    mail.do(BEN, "dm.read", {"messageId": first})
    mail.do(ANNA, "dm.delivered", {"messageId": second})
    mail.do(ANNA, "dm.message.edit", {"messageId": first, "newText": "uno"}, after_ms=1_000)
    pages = [mail.ask(who, "dm.history", {"conversationId": TALK}).reply for who in (ANNA, BEN)]
    one = {
        "id": first,
        "text": "uno",
        "timestamp": START,
        "senderId": "anna",
        "conversationId": TALK,
        "isDelivered": True,
        "isRead": True,
        "isEdited": True,
        "editedAt": "2026-01-01T00:00:02.000Z",
    }
    two = {
        "id": second,
        "text": "two",
        "timestamp": "2026-01-01T00:00:01.000Z",
        "senderId": "ben",
        "conversationId": TALK,
        "isDelivered": True,
        "isRead": False,
        "isEdited": False,
        "editedAt": None,
    }
    assert pages == [{"messages": [one, two], "hasMore": False}] * 2


def test_words_that_crossed_are_read_in_the_same_order(mail: Mailboxes) -> None:
    mail.ask(ANNA, "dm.send", {"recipientId": "ben", "text": "one"})
    mail.ask(BEN, "dm.send", {"recipientId": "anna", "text": "two"}, after_ms=1)
    mail.bring_all()
    assert mail.texts(ANNA, BEN) == mail.texts(BEN, ANNA) == ["one", "two"]


def test_history_comes_in_pages_oldest_first(mail: Mailboxes) -> None:
    ids = [mail.send(ANNA, BEN, str(number)) for number in range(7)]
    for who, other in ((ANNA, BEN), (BEN, ANNA)):
        assert mail.texts(who, other, limit=3) == ["4", "5", "6"]
        assert mail.texts(who, other, limit=3, before=ids[4]) == ["1", "2", "3"]
        assert mail.texts(who, other, limit=3, before=ids[1]) == ["0"]
        assert mail.texts(who, other, before=ids[0]) == []
    pages = [mail.ask(BEN, "dm.history", {"conversationId": TALK, "limit": limit}).reply for limit in (6, 7, 8)]
    assert [page["hasMore"] for page in pages] == [True, False, False]


def test_pages_have_bounds(mail: Mailboxes) -> None:
    for number in range(PAGE_MESSAGES_MAX + 1):
        arrive(mail, number)
        arrive(mail, 1_000 + number, sender=f"u{number}")
    assert len(mail.texts(BEN, ANNA)) == PAGE_MESSAGES == 50
    assert len(mail.texts(BEN, ANNA, limit=PAGE_MESSAGES_MAX)) == PAGE_MESSAGES_MAX == 200
    assert len(talks(mail)) == PAGE_CONVERSATIONS
    assert len(talks(mail, limit=PAGE_CONVERSATIONS_MAX)) == PAGE_CONVERSATIONS_MAX
    for limit in (0, 201):
        refusal = mail.box("ben").refusal("dm.history", {"conversationId": TALK, "limit": limit}, BEN)
        assert refusal.message == "limit must be from 1 to 200"
    for limit in (0, 101):
        refusal = mail.box("ben").refusal("dm.conversations", {"limit": limit}, BEN)
        assert refusal.message == "limit must be from 1 to 100"


def test_who_is_not_part_of_a_conversation_does_not_find_it(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    for command, query, told in (
        ("dm.history", {"conversationId": TALK}, "Conversation not found"),
        ("dm.conversations", {"before": TALK}, "Conversation not found"),
    ):
        refusal = mail.box("cara").refusal(command, query, CARA)
        assert (refusal.message, refusal.status, refusal.code) == (told, 404, "not_found")
    mail.send(ANNA, CARA)
    query = {"conversationId": conversation_id("anna", "cara"), "before": message_id}
    refusal = mail.box("anna").refusal("dm.history", query, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("Message not found", 404, "not_found")


def test_a_list_shows_each_conversation_with_its_last_message_and_what_is_unread(mail: Mailboxes) -> None:
    first = mail.send(ANNA, BEN, "one")
    mail.send(ANNA, BEN, "two", after_ms=1)
    mail.send(CARA, BEN, "three", after_ms=1)
    mail.send(BEN, ANNA, "four", after_ms=1)
    mail.do(BEN, "dm.read", {"messageId": first})
    reply = mail.ask(BEN, "dm.conversations").reply
    assert [
        (talk["id"], talk["userId"], talk["lastMessage"]["text"], talk["unreadCount"])
        for talk in reply["conversations"]
    ] == [(TALK, "anna", "four", 1), (conversation_id("ben", "cara"), "cara", "three", 1)]
    assert reply["hasMore"] is False
    (talk,) = mail.ask(ANNA, "dm.conversations").reply["conversations"]
    assert (talk["lastMessage"]["text"], talk["unreadCount"]) == ("four", 1)


def test_of_messages_at_the_same_time_the_later_is_the_last(mail: Mailboxes) -> None:
    for text in ("one", "two", "three"):
        mail.send(ANNA, BEN, text)
    (talk,) = mail.ask(BEN, "dm.conversations").reply["conversations"]
    assert talk["lastMessage"]["text"] == mail.texts(BEN, ANNA)[-1] == "three"


def test_conversations_come_in_pages_newest_first(mail: Mailboxes) -> None:
    people = [person(f"p{number}") for number in range(5)]
    for who in people:
        mail.send(who, BEN, after_ms=1)
    mail.send(BEN, people[1], after_ms=1)
    assert talks(mail) == ["p1", "p4", "p3", "p2", "p0"]
    assert talks(mail, limit=2) == ["p1", "p4"]
    assert talks(mail, limit=2, before=conversation_id("ben", "p4")) == ["p3", "p2"]
    assert talks(mail, limit=2, before=conversation_id("ben", "p2")) == ["p0"]
    assert talks(mail, before=conversation_id("ben", "p0")) == []
    more = [mail.ask(BEN, "dm.conversations", {"limit": limit}).reply["hasMore"] for limit in (4, 5, 6)]
    assert more == [True, False, False]


def test_without_its_last_message_a_conversation_is_older_and_without_any_gone(mail: Mailboxes) -> None:
    mail.send(ANNA, BEN, "one")
    mail.send(CARA, BEN, "two", after_ms=1)
    third = mail.send(ANNA, BEN, "three", after_ms=1)
    assert talks(mail) == ["anna", "cara"]
    mail.do(ANNA, "dm.message.delete", {"messageId": third})
    assert talks(mail) == ["cara", "anna"]
    (message,) = mail.ask(ANNA, "dm.history", {"conversationId": TALK}).reply["messages"]
    mail.do(ANNA, "dm.message.delete", {"messageId": message["id"]})
    assert talks(mail) == ["cara"]
    assert mail.box("ben").refusal("dm.history", {"conversationId": TALK}, BEN).message == "Conversation not found"


def test_what_was_not_delivered_is_sent_on_every_connection(mail: Mailboxes) -> None:
    first, second = mail.send(ANNA, BEN, "one"), mail.send(CARA, BEN, "two", after_ms=1)
    third = mail.send(ANNA, BEN, "three", after_ms=1)
    mail.send(BEN, ANNA, "own", after_ms=1)
    mail.do(ANNA, "dm.message.edit", {"messageId": first, "newText": "uno"})
    events = mail.welcome(BEN)
    assert [(event, shown["id"], shown["text"]) for event, shown in events] == [
        ("dm.new", first, "uno"),
        ("dm.new", second, "two"),
        ("dm.new", third, "three"),
    ]
    assert events[0][1] == {
        "id": first,
        "text": "uno",
        "timestamp": START,
        "senderId": "anna",
        "conversationId": TALK,
        "isDelivered": False,
        "isRead": False,
    }
    assert mail.welcome(BEN) == events
    mail.do(BEN, "dm.delivered", {"messageId": first})
    mail.do(BEN, "dm.read", {"messageId": second})
    assert mail.welcome(BEN) == events[2:]
    mail.do(ANNA, "dm.message.delete", {"messageId": third})
    assert mail.welcome(BEN) == []


def test_so_many_are_sent_at_once_and_the_rest_when_these_were_delivered(mail: Mailboxes) -> None:
    for number in range(WELCOME_MESSAGES_MAX + 3):
        arrive(mail, number)
    events = mail.welcome(BEN)
    assert [shown["text"] for _, shown in events] == [str(number) for number in range(WELCOME_MESSAGES_MAX)]
    for _, shown in events:
        mail.ask(BEN, "dm.delivered", {"messageId": shown["id"]})
    assert len(mail.welcome(BEN)) == 3


def test_long_texts_are_sent_up_to_a_size(mail: Mailboxes) -> None:
    fit = WELCOME_TEXT_CHARS_MAX // TEXT_CHARS_MAX
    for number in range(fit + 1):
        arrive(mail, number, text="\x00" * TEXT_CHARS_MAX)
    assert len(mail.welcome(BEN)) == fit


def test_a_conversation_keeps_its_latest_messages(mail: Mailboxes) -> None:
    arrive(mail, 9_999_999, sender="cara")
    for number in range(CONVERSATION_MESSAGES_MAX + 3):
        arrive(mail, number)
    kept = mail.box("ben").feature(Conversations)
    assert list(kept.conversations[TALK].messages) == [uuid(n) for n in range(3, CONVERSATION_MESSAGES_MAX + 3)]
    assert kept.count == CONVERSATION_MESSAGES_MAX + 1
    known = mail.box("ben").feature(DirectMessages).arrived
    assert uuid(2) not in known
    assert len(known) == CONVERSATION_MESSAGES_MAX + 1
    assert mail.box("ben").refusal("dm.read", {"messageId": uuid(2)}, BEN).message == "Message not found"
    mail.check_logs()


def test_what_a_sender_wrote_is_forgotten_alike(mail: Mailboxes) -> None:
    ids = [mail.send(ANNA, BEN) for _ in range(CONVERSATION_MESSAGES_MAX + 1)]
    assert set(mail.box("anna").feature(DirectMessages).sent) == set(ids[1:])
    refusal = mail.box("anna").refusal("dm.message.edit", {"messageId": ids[0], "newText": "x"}, ANNA)
    assert refusal.message == "Message not found"
    mail.check_logs()


def test_a_full_mailbox_forgets_where_it_was_quiet_longest(mail: Mailboxes) -> None:
    senders = [f"u{number}" for number in range(MAILBOX_MESSAGES_MAX // 500)]
    number = 0
    for sender in senders:
        for _ in range(500):
            arrive(mail, number, sender=sender)
            number += 1
    arrive(mail, number, sender="u0")
    kept = mail.box("ben").feature(Conversations)
    assert kept.count == MAILBOX_MESSAGES_MAX
    sizes = [len(kept.conversations[conversation_id("ben", sender)].messages) for sender in senders]
    assert sizes == [501, 499, *[500] * (len(senders) - 2)]
    assert uuid(500) not in mail.box("ben").feature(DirectMessages).arrived


def test_who_has_no_mailbox_has_no_conversations(mail: Mailboxes) -> None:
    assert mail.ask(ANNA, "dm.conversations").reply == {"conversations": [], "hasMore": False}


def test_an_answer_is_not_changed_by_what_comes_later(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    answers = [mail.ask(BEN, "dm.history", {"conversationId": TALK}), mail.ask(BEN, "dm.conversations")]
    before = [repr(answer.reply) for answer in answers]
    mail.do(BEN, "dm.read", {"messageId": message_id})
    assert [repr(answer.reply) for answer in answers] == before


def test_the_log_rebuilds_conversations(mail: Mailboxes) -> None:
    first = mail.send(ANNA, BEN, "one")
    mail.send(CARA, BEN, "two", after_ms=1)
    mail.send(BEN, ANNA, "three", after_ms=1)
    mail.do(BEN, "dm.read", {"messageId": first})
    mail.do(BEN, "dm.block", {"userId": "cara"})
    mail.check_logs()
    assert mail.box("ben").reopened().welcome(BEN) == mail.welcome(BEN)
