"""One member: how far it is, what it misses, and what it must not be blamed for. The counts are in test_ledger.py."""

from __future__ import annotations

import pytest

from loadtest.measure.histograms import Tally
from loadtest.measure.ledger import Ledger
from loadtest.measure.member import Member

S = 1_000_000_000


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Tally())


def hears(member: Member, *messages: int) -> None:
    """Message n was intended at second n, and heard a moment later."""
    for message in messages:
        member.heard(message, message * S, message * S + 1_000)


def test_whoever_heard_everything_waits_for_nothing(ledger: Ledger) -> None:
    ahead, behind = (ledger.joined("main", user, 0) for user in (1, 2))
    assert (ahead.waits(), behind.waits()) == (False, False)
    hears(ahead, 1, 2)
    assert (ahead.waits(), behind.waits()) == (False, True)
    hears(behind, 1, 2)
    assert not behind.waits()


def test_a_gap_is_waited_for_until_it_is_lost(ledger: Ledger) -> None:
    whole, other = (ledger.joined("main", user, 0) for user in (1, 2))
    hears(whole, 1, 2, 3)
    hears(other, 1, 3)
    assert other.waits()
    assert ledger.waiting() == 1
    assert ledger.take(30 * S).lost == 1
    assert not other.waits()


def test_what_was_said_before_somebody_joined_or_after_they_left_is_not_waited_for(ledger: Ledger) -> None:
    first = ledger.joined("main", 1, 0)
    late = ledger.joined("main", 2, 10 * S)
    hears(first, 5)
    assert not late.waits()
    left = ledger.joined("main", 3, 0)
    left.left(20 * S)
    hears(first, 19)
    assert not left.waits()
    assert ledger.waiting() == 1  # the late one must hear 19


def test_one_who_is_cut_off_waits_and_a_restart_begins_anew(ledger: Ledger) -> None:
    there, away = (ledger.joined("main", user, 0) for user in (1, 2))
    away.cut(S // 2)
    hears(there, 1)
    assert away.waits()
    away.restart(2 * S)
    assert not away.waits()


def test_a_duplicate_is_no_delivery(ledger: Ledger) -> None:
    member = ledger.joined("main", 1, 0)
    hears(member, 1, 1)
    page = ledger.take(2 * S)
    assert (page.delivered, page.duplicate) == (1, 1)
    assert member.highest() == 0
