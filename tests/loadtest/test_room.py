"""A room gives ordinals at first sight, tells who comes and goes, and forgets what nobody waits for."""

from __future__ import annotations

from loadtest.measure.histograms import Tally
from loadtest.measure.member import UNKNOWN, Page
from loadtest.measure.room import REMEMBERED_NS, Memory, Message, Room, Rules

S = 1_000_000_000


def room() -> Room:
    return Room("main", Page(), Tally(), Rules.of(settle_s=10, grace_s=5, lost_after_s=120))


def test_messages_are_numbered_as_they_are_first_seen() -> None:
    main = room()
    assert [main.sight(ident, ident * S, ident * S).ordinal for ident in (30, 10, 20)] == [0, 1, 2]
    assert main.page.sights["main"] == [(30, 30 * S), (10, 10 * S), (20, 20 * S)]
    assert main.intended_ns(1) == 10 * S


def test_comings_and_goings_are_told_with_the_grace() -> None:
    main = room()
    member = main.join(1, S)
    member.left(9 * S)
    assert main.page.members["main"] == [(S, 1), (4 * S, -1)]
    assert not main.members


def test_the_window_ends_where_somebody_still_waits() -> None:
    main = room()
    ahead, behind = main.join(1, 0), main.join(2, 0)
    for ident in range(5):
        ahead.heard(ident, S, S + 1)
    behind.heard(0, S, S + 1)
    assert main.waiting() == 1
    main.sweep(20 * S)
    assert sorted(main.messages) == [1, 2, 3, 4]
    main.sweep(200 * S)  # given up
    assert main.messages == {}
    assert main.page.lost == 4


def test_the_slowest_receiver_is_told_when_all_have_heard() -> None:
    main = room()
    one, two = main.join(1, 0), main.join(2, 0)
    one.heard(7, S, S + 5)
    main.sweep(20 * S)
    assert "main" not in main.page.settled or main.page.settled["main"] == []
    two.heard(7, S, 20 * S)
    main.sweep(21 * S)
    assert main.page.settled["main"] == [(7, 20 * S)]


def test_a_member_who_is_cut_off_is_away_until_it_resumes() -> None:
    main = room()
    member = main.join(1, 0)
    member.cut(S)
    assert main.away == 1
    member.resumed(True, 2 * S)
    assert main.away == 0


def test_ids_are_remembered_for_two_generations_and_then_only_that_they_are_old() -> None:
    memory = Memory()
    memory.keep(Message(7, 3, S, S))
    assert memory.ordinal(7, S) == 3
    assert memory.ordinal(8, S) is None
    for turn in (1, 2):
        assert memory.turn(turn * (REMEMBERED_NS + 1))
    assert not memory.turn(2 * (REMEMBERED_NS + 1) + 1)
    assert memory.turn(3 * (REMEMBERED_NS + 1))
    assert memory.ordinal(7, S) == UNKNOWN
    assert memory.ordinal(9, 2 * S) is None
