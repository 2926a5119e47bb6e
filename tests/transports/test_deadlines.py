"""Timers under a virtual clock: exact, in order, and never in each other's way."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.deadlines import CALLS_PER_TURN, Deadlines


@pytest.fixture
async def deadlines(autojump_clock: MockClock, nursery: trio.Nursery) -> Deadlines:
    made = Deadlines()
    await nursery.start(made.run)
    return made


async def test_calls_come_exactly_in_time_and_in_order(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    calls: list[tuple[str, float]] = []

    def call(name: str) -> None:
        calls.append((name, trio.current_time()))

    start = trio.current_time()
    deadlines.at(start + 5, partial(call, "c"))
    deadlines.at(start + 2, partial(call, "a"))
    deadlines.at(start + 2, partial(call, "b"))
    await trio.sleep(1)
    deadlines.at(start + 1.5, partial(call, "sooner"))
    await trio.sleep(10)
    assert calls == [("sooner", start + 1.5), ("a", start + 2), ("b", start + 2), ("c", start + 5)]


async def test_a_time_that_has_passed_is_now_but_later_in_the_program(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    calls: list[str] = []
    deadlines.at(trio.current_time() - 1, partial(calls.append, "called"))
    assert calls == []
    await wait_all_tasks_blocked()
    assert calls == ["called"]


async def test_what_is_cancelled_is_not_called_and_let_go_of(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    calls: list[str] = []
    timer = deadlines.at(trio.current_time() + 1, partial(calls.append, "called"))
    timer.cancel()
    assert timer.call is None
    await trio.sleep(2)
    assert calls == []


async def test_a_call_may_set_the_next(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    times: list[float] = []

    def again() -> None:
        times.append(trio.current_time() - start)
        if len(times) < 3:
            deadlines.at(trio.current_time() + 25, again)

    start = trio.current_time()
    deadlines.at(start + 25, again)
    await trio.sleep(100)
    assert times == [25, 50, 75]


async def test_one_that_fails_harms_no_other(
    deadlines: Deadlines, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("on purpose")

    deadlines.at(trio.current_time() + 1, fail)
    deadlines.at(trio.current_time() + 1, partial(calls.append, "called"))
    with caplog.at_level(logging.ERROR):
        await trio.sleep(2)
    assert calls == ["called"]
    assert [record.message for record in caplog.records] == ["a timer's call failed"]


async def test_many_at_once_give_way_to_others(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    calls: list[int] = []
    seen: set[int] = set()
    for number in range(CALLS_PER_TURN * 3):
        deadlines.at(trio.current_time() + 1, partial(calls.append, number))
    await trio.sleep(1)
    while len(calls) < CALLS_PER_TURN * 3:
        seen.add(len(calls))
        await trio.lowlevel.checkpoint()
    assert seen & {CALLS_PER_TURN, CALLS_PER_TURN * 2}
