"""A generator that a test gives orders to, with a stage of doubles to play on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import trio

from loadtest.declare import Wait
from loadtest.generator import Generator
from loadtest.plan import NS_PER_S, Plan
from loadtest.scenario import Scenario
from loadtest.user import User, constant, task
from tests.loadtest.doubles import StageDouble, now_ns


class Clerk(User):
    """Asks once a second, on the second."""

    wait_time: ClassVar[Wait] = constant(1.0)

    async def on_start(self) -> None:
        await self.connect()
        await self.join("main")

    async def on_stop(self) -> None:
        self.recorder.count("goodbyes")

    @task
    async def work(self) -> None:
        await self.ask("work")


class Bench:
    """A generator with a stage of doubles, and the two ends of its conversation."""

    def __init__(self, *kinds: type[User], processes: int = 1, index: int = 0, **hooks: Any) -> None:
        self.stage = StageDouble()
        self.reports: list[dict[str, Any]] = []
        self.samples: list[str] = []
        self.sampled_s: list[float] = []
        self.orders, self._orders = trio.open_memory_channel[dict[str, Any]](100)
        scenario = Scenario("s", "", list(kinds), None, [], frozenset(), hooks.get("at_start"), hooks.get("at_end"))
        plan = Plan(
            scenario="s", target="livehub", host="http://127.0.0.1:1", secret="", seed=1, run=0, index=index,
            processes=processes, users=10,
        )  # fmt: skip
        self.generator = Generator(plan, scenario, self.stage, self._say, self._sample)

    async def next_order(self) -> dict[str, Any] | None:
        try:
            return await self._orders.receive()
        except trio.EndOfChannel:
            return None

    async def order(self, do: str, **details: Any) -> None:
        await self.orders.send({"do": do, **details})

    async def slope(self, start: int, goal: int, rate: float, after_s: float = 0) -> None:
        await self.order("slope", start=start, goal=goal, rate=rate, at_ns=now_ns() + round(after_s * NS_PER_S))

    def said(self, what: str) -> bool:
        return any(report["say"] == what for report in self.reports)

    @property
    def numbers(self) -> list[int]:
        return sorted(self.stage.users)

    async def _say(self, report: Any) -> None:
        self.reports.append(dict(report))

    async def _sample(self, *, final: bool = False, reset: bool = False) -> None:
        self.samples.append("final" if final else "reset" if reset else "")
        self.sampled_s.append(trio.current_time())


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.generator.run, bench.next_order)
        yield bench
        nursery.cancel_scope.cancel()
