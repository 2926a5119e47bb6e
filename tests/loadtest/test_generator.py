"""A process's users come and go as the slope says, act at their intended times, and finish what they do at the end."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest.user import User, between, constant, task
from tests.loadtest.doubles import FAILED, StageDouble
from tests.loadtest.orders import Bench, Clerk, running


async def test_users_come_at_the_spawn_rate(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 4, 2.0)
        levels = []
        for _ in range(4):
            await trio.sleep(0.49)
            levels.append(len(bench.numbers))
            await trio.sleep(0.01)
        assert levels == [1, 2, 3, 4]


async def test_each_process_takes_its_own_numbers_at_the_rate_of_all(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk, processes=2, index=1)) as bench:
        await bench.slope(0, 6, 2.0)
        await trio.sleep(0.6)
        assert bench.numbers == [1]
        await trio.sleep(2.5)
        assert bench.numbers == [1, 3, 5]


async def test_the_crowd_shrinks_too_and_says_goodbye(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 4, 100.0)
        await trio.sleep(1)
        await bench.slope(4, 1, 1.0)
        await trio.sleep(0.5)
        assert bench.numbers == [0, 1, 2]
        await trio.sleep(2)
        assert bench.numbers == [0]
        assert bench.stage.counts["goodbyes"] == 3
        assert bench.stage.connected == 1


async def test_a_new_slope_takes_over_amid_the_old_one(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 100, 2.0)
        await trio.sleep(1.1)
        assert bench.numbers == [0, 1, 2]
        await bench.slope(3, 5, 100.0)
        await trio.sleep(10)
        assert bench.numbers == [0, 1, 2, 3, 4]


async def test_a_slow_answer_does_not_slow_down_what_comes_next(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 1, 1.0)
        bench.stage.reply = lambda event, args: {"success": True}
        await trio.sleep(0.5)
        bench.stage.delay_s = 2.5  # one ask is slow: acts at 1 s, 2 s and 3 s were due meanwhile
        await trio.sleep(1)
        bench.stage.delay_s = 0.01
        await trio.sleep(4.45)
        assert bench.stage.counts["sent.work"] == 5
        first, *others = bench.stage.latencies("ack")
        assert first == pytest.approx(2_500_000, abs=10_000)
        assert others[0] == pytest.approx(1_510_000, abs=10_000)  # due at 2 s, sent at 3.5 s
        assert others[1] == pytest.approx(520_000, abs=10_000)
        assert others[2] == pytest.approx(10_000, abs=10_000)


async def test_acts_that_fall_due_while_the_connection_is_broken_are_left_out_and_counted(
    autojump_clock: MockClock,
) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(1.5)
        bench.stage.openings = iter([FAILED, FAILED])
        bench.stage.connections[0].breaks()
        await trio.sleep(10)
        assert bench.stage.counts["away"] >= 2
        assert bench.stage.counts["away"] + bench.stage.counts["acked.work"] == 11
        assert max(bench.stage.latencies("ack")) < 1_000_000


async def test_a_task_that_raises_is_counted_and_the_user_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Clerk):
        @task
        async def work(self) -> None:
            raise ZeroDivisionError("oops")

    async with running(Bench(Clumsy)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(3.5)
        assert bench.stage.counts["failed.work"] == 3
        assert bench.numbers == [0]
    assert "oops" in caplog.text


async def test_a_user_that_cannot_start_is_counted_and_gone(autojump_clock: MockClock) -> None:
    class Lost(Clerk):
        async def on_start(self) -> None:
            raise LookupError("which room?")

    async with running(Bench(Lost)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(1)
        assert bench.numbers == []
        assert bench.stage.counts["failed.on_start"] == 1


async def test_a_user_without_tasks_listens(autojump_clock: MockClock) -> None:
    class Listener(User):
        pass

    async with running(Bench(Listener)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(100)
        assert bench.numbers == [0]
        assert bench.stage.connected == 1


async def test_no_wait_at_all_is_a_closed_model(autojump_clock: MockClock) -> None:
    class Eager(Clerk):
        wait_time = constant(0)

    async with running(Bench(Eager)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(1.015)
        assert bench.stage.counts["acked.work"] == 100
        assert max(bench.stage.latencies("ack")) == pytest.approx(10_000, abs=10)


async def test_the_end_checks_first_then_settles_then_says_goodbye(autojump_clock: MockClock) -> None:
    seen: list[Any] = []

    async def at_end(stage: StageDouble) -> None:
        seen.append((dict(stage.totals), sorted(stage.users), stage.counts["goodbyes"]))
        stage.fail("two votes are missing")

    bench = Bench(Clerk, at_end=at_end)
    async with running(bench):
        await bench.slope(0, 2, 100.0)
        await trio.sleep(1)
        await bench.order("drain", within_s=10)
        await trio.sleep(1)
        await bench.order("finish", totals={"acked.work": 7}, check=True)
        await trio.sleep(10)
    assert seen == [({"acked.work": 7}, [0, 1], 0)]
    assert bench.samples[-1] == "final"
    assert bench.stage.counts["goodbyes"] == 2
    assert bench.reports[-1] == {"say": "done", "failures": ["two votes are missing"]}


async def test_only_the_process_that_is_asked_checks_at_the_end(autojump_clock: MockClock) -> None:
    async def at_end(stage: StageDouble) -> None:
        raise AssertionError("not here")

    bench = Bench(Clerk, at_end=at_end)
    async with running(bench):
        await bench.order("finish", totals={}, check=False)
        await trio.sleep(1)
    assert bench.reports[-1] == {"say": "done", "failures": []}


async def test_what_at_start_prepares_is_handed_on(autojump_clock: MockClock) -> None:
    async def at_start(stage: StageDouble) -> None:
        stage.shared["session"] = "s-1"

    bench = Bench(Clerk, at_start=at_start)
    async with running(bench):
        await bench.order("prepare")
        await trio.sleep(1)
        assert bench.reports == [{"say": "prepared", "shared": {"session": "s-1"}, "failures": []}]


async def test_a_hook_that_raises_is_a_failure_of_the_run(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def at_start(stage: StageDouble) -> None:
        raise KeyError("session")

    bench = Bench(Clerk, at_start=at_start)
    async with running(bench):
        await bench.order("prepare")
        await trio.sleep(1)
    assert bench.reports[-1]["failures"] == ["at_start failed: KeyError('session')"]


async def test_samples_are_taken_every_second(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await trio.sleep(5.5)
        assert bench.samples == [""] * 5


async def test_a_reset_marks_a_sample_once_the_process_is_calm(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await trio.sleep(0.1)
        await bench.order("reset")
        await trio.sleep(2)
        assert not bench.said("reset")
        await trio.sleep(1.5)
        assert bench.said("reset")
        assert bench.samples == ["", "", "reset", ""]


async def test_the_seed_decides_what_everybody_does(autojump_clock: MockClock) -> None:
    class Random(Clerk):
        wait_time = between(0.1, 0.9)

    async def said(seconds: float) -> list[int]:
        async with running(Bench(Random)) as bench:
            await bench.slope(0, 5, 100.0)
            await trio.sleep(seconds)
            return [len(connection.said) for connection in bench.stage.connections]

    assert await said(20) == await said(20)
