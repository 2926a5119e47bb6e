"""The end of a run: what the server owes is waited for, what it has no part in is not, and what is missing counts."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadtest.client import AskTimeout
from loadtest.user import User, task
from tests.loadtest.doubles import FAILED
from tests.loadtest.orders import Bench, Clerk, running


async def test_a_drain_waits_for_answers_and_leaves_everybody_listening(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 2, 100.0)
        await trio.sleep(0.9)
        bench.stage.delay_s = 5.0
        await trio.sleep(0.2)  # both ask now
        await bench.order("drain", within_s=10)
        await trio.sleep(4)
        assert not bench.said("drained")
        await trio.sleep(2)
        assert bench.said("drained")
        assert bench.numbers == [0, 1]
        assert bench.stage.counts["sent.work"] == bench.stage.counts["acked.work"] == 2


async def test_a_drain_does_not_wait_for_those_who_never_got_in(autojump_clock: MockClock) -> None:
    bench = Bench(Clerk)
    bench.stage.openings = iter([FAILED] * 1_000)
    async with running(bench):
        await bench.slope(0, 2, 100.0)
        await trio.sleep(10)
        await bench.order("drain", within_s=10)
        await trio.sleep(0.1)
        assert bench.said("drained")
        assert bench.stage.counts["users.never_connected"] == bench.stage.counts["users.came"] == 2


async def test_a_drain_breaks_off_what_the_server_has_no_part_in(autojump_clock: MockClock) -> None:
    class Slow(Clerk):
        @task
        async def work(self) -> None:
            await self.ask("work")
            await trio.sleep(50)
            await self.ask("work")

    async with running(Bench(Slow)) as bench:
        await bench.slope(0, 2, 100.0)
        await trio.sleep(5)
        await bench.order("drain", within_s=10)
        await trio.sleep(0.1)
        assert bench.said("drained")
        assert bench.numbers == [0, 1]
        assert bench.stage.counts["sent.work"] == bench.stage.counts["acked.work"] == 2


async def test_a_drain_lets_nobody_begin_anew_after_an_answer(autojump_clock: MockClock) -> None:
    class Chain(Clerk):
        @task
        async def work(self) -> None:
            for _ in range(100):
                done = await self.ask("work")
                self.recorder.count("noted", done.ok)

    async with running(Bench(Chain)) as bench:
        bench.stage.delay_s = 0.4
        await bench.slope(0, 1, 1.0)
        await trio.sleep(2.0)
        await bench.order("drain", within_s=10)
        await trio.sleep(0.5)
        assert bench.said("drained")
        counts = bench.stage.counts
        assert counts["sent.work"] == counts["acked.work"] == counts["noted"] < 10


async def test_a_drain_waits_for_those_who_are_out_of_coverage_to_come_back(autojump_clock: MockClock) -> None:
    class Phone(Clerk):
        @task
        async def work(self) -> None:
            await self.drop(silent=True)
            await trio.sleep(3)
            await self.resume()
            self.recorder.count("back")
            await trio.sleep(50)

    async with running(Bench(Phone)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(2)
        await bench.order("drain", within_s=10)
        await trio.sleep(1)
        assert not bench.said("drained")
        await trio.sleep(2)
        assert bench.said("drained")
        assert bench.stage.counts["back"] == bench.stage.connected == 1


async def test_who_is_away_and_what_is_unanswered_at_the_end_of_the_drain_is_counted(autojump_clock: MockClock) -> None:
    class Stays(Clerk):
        reconnect = False

    class Dropped(Clerk):
        @task
        async def work(self) -> None:
            await self.drop()
            await trio.sleep_forever()

    async def counts(kind: type[User], users: int, breaks: bool) -> tuple[int, int]:
        bench = Bench(kind)
        async with running(bench):
            await bench.slope(0, users, 100.0)
            await trio.sleep(0.9)
            bench.stage.delay_s = 1_000
            bench.stage.openings = iter([FAILED] * 10_000)
            await trio.sleep(0.5)
            for connection in bench.stage.connections if breaks else ():
                connection.breaks()
            await bench.order("drain", within_s=5)
            await trio.sleep(5.1)
            assert bench.said("drained")
            await bench.order("finish", totals={}, check=False)
            await trio.sleep(20)
            assert bench.said("done")
        return bench.stage.counts["absent"], bench.stage.counts["unanswered"]

    assert await counts(Clerk, 3, breaks=True) == (3, 0)
    assert await counts(Clerk, 3, breaks=False) == (0, 3)
    assert await counts(Stays, 3, breaks=True) == (0, 0)
    assert await counts(Dropped, 3, breaks=False) == (0, 0)


async def test_an_ask_that_is_never_answered_is_counted_once(autojump_clock: MockClock) -> None:
    bench = Bench(Clerk)

    async def timed_out(*_: Any, **__: Any) -> Any:
        raise AskTimeout("no ack")

    async with running(bench):
        await bench.slope(0, 1, 1.0)
        await trio.sleep(0.5)
        connection: Any = bench.stage.connections[0]
        connection.ask = timed_out
        await trio.sleep(1)
        bench.stage.count_the_end()
        bench.stage.unanswered()
    assert bench.stage.counts["unanswered"] == bench.stage.counts["failed.work"] == 1


async def test_after_the_drain_samples_come_often_until_the_end(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await trio.sleep(0.1)
        await bench.order("drain", within_s=10)
        await trio.sleep(0.85)
        assert bench.sampled_s == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
        await bench.order("finish", totals={}, check=False)
        await trio.sleep(5)
    assert bench.samples[-1] == "final"
    assert len(bench.samples) == 6


async def test_who_is_on_the_way_back_is_told_until_they_are_there(autojump_clock: MockClock) -> None:
    async with running(Bench(Clerk)) as bench:
        await bench.slope(0, 1, 1.0)
        await trio.sleep(0.5)
        bench.stage.openings = iter([FAILED])
        bench.stage.connections[0].breaks()
        await trio.sleep(0.01)
        assert bench.stage.under_way == 1
        await trio.sleep(10)
        assert bench.stage.under_way == 0
        assert bench.stage.connected == 1
