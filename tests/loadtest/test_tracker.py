"""Over all processes: what one saw and another did not, and who was there to see it."""

from __future__ import annotations

from loadtest.measure.tracker import VERDICT_S, Roll, Tracker

S = 1_000_000_000
MS = 1_000_000


def test_a_roll_knows_how_many_were_there_at_any_time() -> None:
    roll = Roll()
    for at_ns, change in ((5, 1), (1, 1), (9, -1), (1, 1)):
        roll.move(at_ns, change)
    assert [roll.members(at_ns) for at_ns in (0, 1, 5, 8, 9)] == [0, 2, 3, 3, 2]
    roll.forget_before(6)
    assert [roll.members(at_ns) for at_ns in (7, 9)] == [3, 2]


def tracker() -> tuple[Tracker, list[int]]:
    """Two processes with one member each in one room, and what the slowest receivers took."""
    slowest: list[int] = []
    made = Tracker(slowest.append)
    for worker in (0, 1):
        made.add(worker, {"members": {"main": [(0, 1)]}}, 0)
    return made, slowest


def test_a_message_waits_until_every_process_with_members_saw_it() -> None:
    made, _ = tracker()
    made.add(0, {"acked": {"main": [(7, S)]}}, S)
    assert made.waiting() == 1
    made.add(0, {"sights": {"main": [(7, S)]}}, S)
    assert made.waiting() == 1
    made.add(1, {"sights": {"main": [(7, S)]}}, S)
    assert made.waiting() == 0


def test_nobody_waits_for_what_was_said_in_an_empty_room_or_before_they_came() -> None:
    made, _ = tracker()
    made.add(0, {"acked": {"elsewhere": [(7, S)]}}, S)
    made.add(0, {"acked": {"main": [(8, -S)]}}, S)
    assert made.waiting() == 0


def test_the_slowest_of_all_processes_is_told_once_all_have_settled() -> None:
    made, slowest = tracker()
    for worker, last_ns in ((0, S + 5 * MS), (1, S + 9 * MS)):
        made.add(worker, {"sights": {"main": [(7, S)]}, "settled": {"main": [(7, last_ns)]}}, S)
    made.sweep(S)
    assert slowest == []  # too young: another process may yet tell of it
    made.sweep(S + int(VERDICT_S * S))
    assert slowest == [9_000]


def test_only_messages_from_after_a_reset_have_a_slowest_receiver() -> None:
    made, slowest = tracker()
    made.lost = 3
    made.reset(2 * S)
    assert made.lost == 0
    for ident, intended_ns in ((7, S), (8, 3 * S)):
        page = {"sights": {"main": [(ident, intended_ns)]}, "settled": {"main": [(ident, intended_ns + MS)]}}
        for worker in (0, 1):
            made.add(worker, page, intended_ns)
    made.sweep(4 * S, final=True)
    assert slowest == [1_000]
