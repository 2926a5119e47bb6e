"""One process of the harness: it lets its share of the users come and go as the slope says, and takes its own pulse.

The parent talks to it in orders, one JSON object each:

    prepare   run the scenario's at_start                 (first process only; answered by `prepared`)
    begin     here is what at_start prepared
    slope     from now on the crowd follows this slope
    reset     what comes from now on is measured anew     (answered by `reset`, after a sample that says so)
    drain     send nothing more, listen on, sample often  (answered by `drained` when every task is done, or time is up)
    finish    run at_end (first process only), say goodbye, end

and it answers in samples (what the recorder took, once a second) and in reports, which `worker` writes.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import trio

from loadtest.life import Life
from loadtest.plan import NS_PER_S, Move, Plan, Slope
from loadtest.scenario import Hook, Scenario
from loadtest.stage import Stage

log = logging.getLogger(__name__)

SAMPLE_EVERY_S = 1.0
DRAIN_SAMPLE_EVERY_S = 0.2  # the parent waits for what the samples say
CALM_S = 2.2  # two seconds of the pulse, which tells of whole ones
FINISH_S = 15.0  # for at_end, on_stop and goodbyes; then whoever is left is cut off

# Most of what a generator holds lives as long as the run: after a freeze, collections look at new objects only.
GC_THRESHOLDS = (100_000, 50, 1_000)

Say = Callable[[Mapping[str, Any]], Awaitable[None]]


class Sample(Protocol):
    """Take a sample and hand it over."""

    async def __call__(self, *, final: bool = False, reset: bool = False) -> None:
        """As `Recorder.take` has it."""


class Generator:
    """The users of one process."""

    def __init__(self, plan: Plan, scenario: Scenario, stage: Stage, say: Say, sample: Sample):
        self.stage = stage
        self._plan = plan
        self._scenario = scenario
        self._say = say
        self._sample = sample
        self._deal = scenario.dealer(plan.seed)
        self._lives: dict[int, Life] = {}
        self._slope = Slope(0, 0, 0, 1.0)
        self._news = trio.Event()  # a new slope
        self._ended = trio.Event()
        self._nobody = trio.Event()
        self._beats = trio.CancelScope()
        self._drops = trio.CancelScope()

    @property
    def users(self) -> int:
        """How many there are."""
        return len(self._lives)

    async def run(self, orders: Callable[[], Awaitable[dict[str, Any] | None]]) -> None:
        """Follow orders until `finish`, or until there is nobody left to give them."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, nursery)
            nursery.start_soon(self._sampling)
            while (order := await orders()) is not None:
                if order["do"] == "finish":
                    await self._finish(order)
                    break
                await self._obey(order, nursery)
            nursery.cancel_scope.cancel()

    async def _obey(self, order: Mapping[str, Any], nursery: trio.Nursery) -> None:
        match order["do"]:
            case "prepare":
                await self._hook("at_start", self._scenario.at_start)
                await self._say({"say": "prepared", "shared": self.stage.shared, "failures": self.stage.failures})
            case "begin":
                self.stage.shared = dict(order["shared"])
            case "slope":
                self._slope = Slope(order["start"], order["goal"], order["at_ns"], order["rate"])
                self._news.set()
            case "reset":
                nursery.start_soon(self._reset)
            case "drain":
                nursery.start_soon(self._drain, order["within_s"])

    async def _follow(self, nursery: trio.Nursery) -> None:
        """Keep to the slope; a new one is taken up at once."""
        while not self.stage.stopping:
            slope, self._news = self._slope, trio.Event()
            self._catch_up(slope, nursery)
            for move in slope.owned(self._plan.index, self._plan.processes):
                if not await self._wait_for(move):
                    break
                self._make(move, nursery)
            await self._news.wait()

    def _catch_up(self, slope: Slope, nursery: trio.Nursery) -> None:
        """Where a new slope starts is where this process should be already."""
        for number in [each for each in self._lives if each >= slope.start]:
            self._make(Move(0, number, comes=False), nursery)
        for number in range(self._plan.index, slope.start, self._plan.processes):
            self._make(Move(self.stage.now_ns(), number, comes=True), nursery)

    async def _wait_for(self, move: Move) -> bool:
        """False if there is a new slope before it is time."""
        ahead_s = (move.at_ns - self.stage.now_ns()) / NS_PER_S
        if ahead_s > 0:
            with trio.move_on_after(ahead_s):
                await self._news.wait()
        else:
            await trio.lowlevel.checkpoint()
        return not self._news.is_set()

    def _make(self, move: Move, nursery: trio.Nursery) -> None:
        life = self._lives.get(move.number)
        if not move.comes:
            if life is not None:
                del self._lives[move.number]
                life.leave()
        elif life is None and not self.stage.stopping:
            life = self._lives[move.number] = Life(self.stage, self._deal(move.number), move.number, self._ended)
            nursery.start_soon(self._live, life, move.at_ns)

    async def _live(self, life: Life, due_ns: int) -> None:
        await life.live(due_ns)
        if self._lives.get(life.number) is life:
            del self._lives[life.number]
        if not self._lives:
            self._nobody.set()

    async def _sampling(self) -> None:
        next_s = trio.current_time()
        with self._beats:
            while True:
                next_s += SAMPLE_EVERY_S
                await trio.sleep_until(next_s)
                await self._sample()

    async def _reset(self) -> None:
        """Calm the collector first: what that takes must be over, and out of the pulse, when measuring begins anew."""
        calm_gc()
        await trio.sleep(CALM_S)
        await self._sample(reset=True)
        await self._say({"say": "reset"})

    async def _drain(self, within_s: float) -> None:
        self.stage.stopping = True
        self._news.set()
        lives = list(self._lives.values())
        with trio.move_on_after(within_s):
            async with trio.open_nursery() as nursery:
                for life in lives:
                    nursery.start_soon(life.hurry)
                for life in lives:
                    await life.rested.wait()
                await self.stage.answered()
                nursery.cancel_scope.cancel()
        await self._sample()
        await self._say({"say": "drained"})
        with self._drops:
            while True:
                await trio.sleep(DRAIN_SAMPLE_EVERY_S)
                await self._sample()

    async def _finish(self, order: Mapping[str, Any]) -> None:
        self.stage.stopping = True
        self.stage.count_the_end()
        self.stage.totals = order["totals"]
        with trio.move_on_after(FINISH_S):
            if order.get("check"):
                await self._hook("at_end", self._scenario.at_end)
            self._beats.cancel()
            self._drops.cancel()
            await self._sample(final=True)  # while all still sit: of who has left nobody expects the last words
            self._nobody = trio.Event()
            self._ended.set()
            for life in list(self._lives.values()):
                life.leave() if life.rested.is_set() else life.cancel()
            if self._lives:
                await self._nobody.wait()
        await self._say({"say": "done", "failures": self.stage.failures})

    async def _hook(self, name: str, hook: Hook | None) -> None:
        if hook is None:
            return
        try:
            await hook(self.stage)
        except Exception as error:
            log.exception("%s failed", name)
            self.stage.fail(f"{name} failed: {error!r}")


def calm_gc(thresholds: Iterable[int] = GC_THRESHOLDS) -> None:
    """Collect once, take what is left out of later collections, and have those seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)
