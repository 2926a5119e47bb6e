"""Jobs in order, answers on the loop, and an end."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio

from livehub.stores.thread import Thread

NAME = "thread under test"
DEADLINE_S = 20.0


def living() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def nothing() -> None:
    """What is to be done between jobs."""


@pytest.fixture
async def thread() -> AsyncIterator[Thread]:
    thread = Thread(NAME, nothing)
    yield thread
    await end(thread)


async def end(thread: Thread) -> None:
    """Stop a thread and wait until it is gone."""
    thread.stop()
    for one in living():
        await trio.to_thread.run_sync(one.join, DEADLINE_S)
    assert living() == []


async def test_jobs_run_in_order_in_one_thread(thread: Thread) -> None:
    seen: list[tuple[int, int]] = []

    def note(number: int) -> None:
        seen.append((number, threading.get_ident()))

    jobs = [thread.start(partial(note, number)) for number in range(100)]
    for job in jobs:
        await job.result()
    assert [n for n, _ in seen] == list(range(100))
    assert len({ident for _, ident in seen}) == 1
    assert seen[0][1] != threading.get_ident()


async def test_a_result_comes_back_and_can_be_asked_for_late(thread: Thread) -> None:
    first, second = thread.start(lambda: "first"), thread.start(lambda: 2)
    assert await second.result() == 2
    assert await first.result() == "first"


async def test_an_error_is_raised_for_who_waits_and_ends_nothing(thread: Thread) -> None:
    def fall() -> None:
        raise OSError("fell over")

    bad, good = thread.start(fall), thread.start(lambda: "good")
    with pytest.raises(OSError, match="fell over"):
        await bad.result()
    assert await good.result() == "good"


async def test_the_loop_goes_on_while_a_job_runs(thread: Thread) -> None:
    go = threading.Event()
    job = thread.start(lambda: go.wait(DEADLINE_S))
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    go.set()
    assert await job.result()


async def test_who_stops_waiting_does_not_stop_the_job(thread: Thread) -> None:
    go = threading.Event()
    job = thread.start(lambda: go.wait(DEADLINE_S))
    with trio.CancelScope() as scope:
        scope.cancel()
        await job.result()
    assert scope.cancelled_caught
    go.set()
    assert await job.result()


def test_a_loop_that_ended_does_not_hold_the_thread() -> None:
    go = threading.Event()

    async def leave() -> None:
        Thread(NAME, nothing).start(lambda: go.wait(DEADLINE_S))

    trio.run(leave)
    (thread,) = living()
    go.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


async def test_what_comes_between_holds_up_nobody_who_was_served() -> None:
    go = threading.Event()
    seen: list[str] = []

    def between() -> None:
        assert go.wait(DEADLINE_S)
        seen.append("between")

    thread = Thread(NAME, between)
    with trio.fail_after(DEADLINE_S):
        await thread.start(lambda: seen.append("first")).result()
        assert seen == ["first"]
        second = thread.start(lambda: seen.append("second"))
        go.set()
        await second.result()
    assert seen[:3] == ["first", "between", "second"]
    await end(thread)
