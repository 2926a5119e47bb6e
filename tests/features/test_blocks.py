"""Blocks: who is not written to, what each side is told of it, and word that comes late."""

from __future__ import annotations

from itertools import permutations

import pytest

from livehub.feature import JSON
from livehub.features.blocks import BARRED_BY_MAX, BLOCKED_MAX, Blocks
from livehub.features.dms import DirectMessages
from tests.features.mailboxes import Mailboxes
from tests.kit import ANNA, BEN, CARA

BARRED = ("You cannot message this user", 403, "forbidden")
BLOCKED = ("You blocked this user: unblock them to message them", 403, "forbidden")


@pytest.fixture
def mail() -> Mailboxes:
    return Mailboxes()


def to(name: str) -> dict[str, str]:
    return {"recipientId": name, "text": "hello"}


def refused(mail: Mailboxes, name: str, recipient: str) -> tuple[str, int, str]:
    """Why somebody cannot write to somebody."""
    refusal = mail.box(name).refusal("dm.send", to(recipient))
    return refusal.message, refusal.status, refusal.code


def test_a_blocked_sender_is_refused_and_so_is_who_blocked(mail: Mailboxes) -> None:
    assert mail.ask(BEN, "dm.block", {"userId": "anna"}).reply == {"userId": "anna"}
    assert mail.bring_all() == {}
    assert refused(mail, "anna", "ben") == BARRED
    assert refused(mail, "ben", "anna") == BLOCKED
    mail.send(ANNA, CARA)
    mail.send(CARA, BEN)


def test_who_blocked_each_other_hears_first_of_their_own_block(mail: Mailboxes) -> None:
    mail.do(ANNA, "dm.block", {"userId": "ben"})
    mail.do(BEN, "dm.block", {"userId": "anna"})
    assert refused(mail, "anna", "ben") == BLOCKED
    mail.do(ANNA, "dm.unblock", {"userId": "ben"})
    assert refused(mail, "anna", "ben") == BARRED
    assert refused(mail, "ben", "anna") == BLOCKED


def test_after_unblocking_both_can_write_again(mail: Mailboxes) -> None:
    mail.do(BEN, "dm.block", {"userId": "anna"})
    assert mail.ask(BEN, "dm.unblock", {"userId": "anna"}).reply == {"userId": "anna"}
    assert mail.bring_all() == {}
    mail.send(ANNA, BEN, "one")
    mail.send(BEN, ANNA, "two")
    assert mail.texts(BEN, ANNA) == ["one", "two"]


def test_blocking_and_unblocking_twice_changes_nothing(mail: Mailboxes) -> None:
    for command in ("dm.block", "dm.unblock"):
        mail.do(BEN, command, {"userId": "anna"})
        again = mail.ask(BEN, command, {"userId": "anna"})
        assert (again.facts, again.effects, again.reply) == ([], [], {"userId": "anna"})


def test_nobody_blocks_themselves(mail: Mailboxes) -> None:
    refusal = mail.box("ben").refusal("dm.block", {"userId": "ben"}, BEN)
    assert (refusal.message, refusal.status) == ("You cannot block yourself", 400)


def test_a_message_under_way_when_the_block_lands_is_dropped(mail: Mailboxes) -> None:
    mail.ask(ANNA, "dm.send", to("ben"))
    mail.ask(BEN, "dm.block", {"userId": "anna"})
    assert mail.bring_all() == {}
    assert mail.welcome(BEN) == []
    assert mail.ask(BEN, "dm.conversations").reply["conversations"] == []
    mail.check_logs()


def test_an_edit_is_no_way_around_a_block(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    edit = {"messageId": message_id, "newText": "around"}
    mail.ask(ANNA, "dm.message.edit", edit)
    mail.ask(BEN, "dm.block", {"userId": "anna"})
    assert mail.bring_all() == {}
    assert mail.texts(BEN, ANNA) == ["hello"]
    refusal = mail.box("anna").refusal("dm.message.edit", edit, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == BARRED
    mail.do(BEN, "dm.unblock", {"userId": "anna"})
    mail.do(ANNA, "dm.block", {"userId": "ben"})
    refusal = mail.box("anna").refusal("dm.message.edit", edit, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == BLOCKED


def test_a_blocked_sender_can_still_take_a_message_back(mail: Mailboxes) -> None:
    message_id = mail.send(ANNA, BEN)
    mail.do(BEN, "dm.block", {"userId": "anna"})
    told = mail.do(ANNA, "dm.message.delete", {"messageId": message_id})
    assert {name: [event for event, _ in shown] for name, shown in told.items()} == {
        "anna": ["dm.message.deleted"],
        "ben": ["dm.message.deleted"],
    }


def test_what_waited_is_held_back_while_its_sender_is_blocked(mail: Mailboxes) -> None:
    held, other = mail.send(ANNA, BEN), mail.send(CARA, BEN)
    mail.do(BEN, "dm.block", {"userId": "anna"})
    assert [shown["id"] for _, shown in mail.welcome(BEN)] == [other]
    mail.do(BEN, "dm.unblock", {"userId": "anna"})
    assert [shown["id"] for _, shown in mail.welcome(BEN)] == [held, other]


@pytest.mark.parametrize("order", [*permutations(range(3)), *permutations(range(3), 2), (0, 1, 0), (2, 1, 2)])
def test_the_later_turn_counts_in_whatever_order_word_comes(mail: Mailboxes, order: tuple[int, ...]) -> None:
    for command in ("dm.block", "dm.unblock", "dm.block"):
        mail.ask(BEN, command, {"userId": "anna"})
        mail.ask(BEN, command, {"userId": "cara"})
    words = [tell for tell in mail.under_way if tell.room == "user:anna"]
    for place in order:
        mail.bring(words[place])
    barred_by = mail.box("anna").feature(DirectMessages).barred_by
    assert barred_by == ({"ben"} if max(order) in (0, 2) else set())
    mail.check_logs()


def test_a_list_of_blocks_is_ones_own(mail: Mailboxes) -> None:
    assert mail.ask(BEN, "dm.blocks").reply == {"blocks": []}
    for name in ("cara", "anna", "dora"):
        mail.do(BEN, "dm.block", {"userId": name}, after_ms=1_000)
    mail.do(BEN, "dm.unblock", {"userId": "dora"})
    assert mail.ask(BEN, "dm.blocks").reply["blocks"] == [
        {"userId": "cara", "blockedAt": "2026-01-01T00:00:01.000Z"},
        {"userId": "anna", "blockedAt": "2026-01-01T00:00:02.000Z"},
    ]
    assert mail.ask(ANNA, "dm.blocks").reply == {"blocks": []}


def test_blocks_are_shown_to_nobody(mail: Mailboxes) -> None:
    mail.do(BEN, "dm.block", {"userId": "anna"})
    mail.do(BEN, "dm.unblock", {"userId": "anna"})
    assert [(fact.kind, fact.to) for fact in mail.facts] == [
        ("dm.blocked", ()),
        ("dm.barred", ()),
        ("dm.unblocked", ()),
        ("dm.barred", ()),
    ]


def test_a_person_blocks_so_many(mail: Mailboxes) -> None:
    for number in range(BLOCKED_MAX):
        mail.box("ben").ask("dm.block", {"userId": f"u{number}"}, BEN)
    refusal = mail.box("ben").refusal("dm.block", {"userId": "one-more"}, BEN)
    assert (refusal.message, refusal.code) == ("You can block at most 1000 users", "too_many")
    mail.box("ben").ask("dm.block", {"userId": "u5"}, BEN)
    mail.box("ben").ask("dm.unblock", {"userId": "u5"}, BEN)
    mail.box("ben").ask("dm.block", {"userId": "one-more"}, BEN)


def test_past_so_many_words_a_block_is_silent_and_holds(mail: Mailboxes) -> None:
    box = mail.box("anna")
    for number in range(BARRED_BY_MAX):
        box.ask("dm.blocked_by", word(f"u{number}", turn=1))
    mail.do(BEN, "dm.block", {"userId": "anna"})
    assert len(box.feature(Blocks).heard) == len(box.feature(DirectMessages).barred_by) == BARRED_BY_MAX
    mail.ask(ANNA, "dm.send", to("ben"))
    assert mail.bring_all() == {}
    box.ask("dm.blocked_by", word("u7", turn=2, blocked=False))
    assert "u7" not in box.feature(DirectMessages).barred_by


def word(name: str, *, turn: int, blocked: bool = True) -> dict[str, JSON]:
    """Word of a block as another mailbox would give it."""
    return {"userId": name, "blocked": blocked, "turn": turn}


def test_the_log_rebuilds_blocks(mail: Mailboxes) -> None:
    mail.do(BEN, "dm.block", {"userId": "anna"})
    mail.do(BEN, "dm.block", {"userId": "cara"})
    mail.do(BEN, "dm.unblock", {"userId": "cara"})
    mail.check_logs()
