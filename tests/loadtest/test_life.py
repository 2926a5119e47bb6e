"""One user's life: tasks at their intended times, and going when it is told to. Crowds are in test_generator.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from loadtest.life import Life
from loadtest.user import User, constant, task
from tests.loadtest.doubles import FAILED, StageDouble, now_ns


class Clerk(User):
    """Asks every second."""

    wait_time = constant(1.0)

    @task
    async def work(self) -> None:
        await self.ask("work")

    async def on_stop(self) -> None:
        self.recorder.count("goodbyes")


@asynccontextmanager
async def living(kind: type[User], stage: StageDouble) -> AsyncIterator[tuple[Life, trio.Event]]:
    """A life that begins now; the event ends the run."""
    ended = trio.Event()
    life = Life(stage, kind, 3, ended)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.live, now_ns())
        yield life, ended
        nursery.cancel_scope.cancel()


async def test_acts_come_one_wait_after_the_intended_time_of_the_one_before(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.delay_s = 0.7
    async with living(Clerk, stage):
        await trio.sleep(3.5)
    assert stage.counts["sent.work"] == 3
    assert stage.latencies("ack")[:2] == pytest.approx([700_000, 700_000], abs=10)


async def test_whoever_leaves_finishes_what_they_do_and_says_goodbye(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.delay_s = 5.0
    async with living(Clerk, stage) as (life, _):
        await trio.sleep(1.5)
        life.leave()
        await trio.sleep(1)
        assert not life.rested.is_set()
        await life.rested.wait()
        await trio.sleep(0.1)
        assert stage.counts["acked.work"] == stage.counts["goodbyes"] == 1
        assert 3 not in stage.users


async def test_whoever_is_not_in_yet_goes_at_once(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.openings = iter([FAILED] * 100)
    async with living(Clerk, stage) as (life, _):
        await trio.sleep(2)
        life.leave()
        await trio.sleep(0.001)
        assert stage.users == {}
        assert not life.started


async def test_at_the_end_of_a_run_those_who_stopped_sending_listen_on(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with living(Clerk, stage) as (life, ended):
        await trio.sleep(0.5)
        stage.stopping = True
        life.leave()
        await life.rested.wait()
        await trio.sleep(60)
        assert stage.connected == 1
        ended.set()
        await trio.sleep(0.1)
        assert stage.connected == 0
