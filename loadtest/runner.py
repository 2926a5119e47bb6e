"""The parent of a run: starts the workers, steers the crowd, merges what they measure, and ends politely.

    prepare ── begin ── slope … slope ── (reset) ── drain ── finish ── judge

Ctrl-C, the end of the run time, the end of the shape and the stop button of the live page all lead to `drain`: nobody
sends any more, everybody listens on until all that was acked has arrived, as the workers and the book know it, or
until `--drain` is over: what is missing then is lost. A second Ctrl-C ends the run at once, and a run that was not
drained, or has lost a worker, says nothing: it is invalid.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

import trio

from loadtest import crew
from loadtest.crew import Worker, WorkerLost
from loadtest.judge import judge, write_reports
from loadtest.measure.book import Book, Owed
from loadtest.measure.result import Result, RunInfo
from loadtest.observer import Observer
from loadtest.plan import NS_PER_S, Slope
from loadtest.report import terminal
from loadtest.scenario import Scenario, shape_of
from loadtest.settings import Settings

if TYPE_CHECKING:
    from loadtest.report.web import LivePage

LEAD_NS = NS_PER_S // 10  # orders go out so long before they are due
STEER_EVERY_S = 0.1
START_S = 60.0  # for a worker to come up, and for at_start
DRAIN_SPARE_S = 5.0  # for a worker to say that its part of the drain is over
FINISH_S = 30.0  # for at_end and goodbyes
SETTLED_AFTER_RAMP_NS = NS_PER_S  # --reset: so long after the last user was due


class NotWritten(Exception):
    """A report that was asked for could not be written; it was told which."""


async def run(settings: Settings, scenario: Scenario) -> Result:
    """One run, from nothing to written reports. Raises `NotWritten`."""
    runner = Runner(settings, scenario)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as pages:
            await runner.run(pages, signals)
            result = runner.result()
            written, troubles = write_reports(settings, result)
            terminal.summary(result)
            for told in (*(f"wrote {name}" for name in written), *troubles):
                say(told)
            await runner.linger(result, signals)
            pages.cancel_scope.cancel()
    if troubles:
        raise NotWritten
    return result


class Runner:
    """One run."""

    def __init__(self, settings: Settings, scenario: Scenario) -> None:
        self.settings = settings
        self.book = Book(limits=settings.limits)
        self.failures: list[str] = []
        self.invalid: list[str] = []
        self._expects = scenario.expects
        self._cut_short = False
        self._shape = shape_of(scenario)
        self._workers: list[Worker] = []
        self._stop = trio.Event()
        self._told = trio.Event()  # the next sample is in the book
        self._dismissed = False
        self._observer = Observer(settings, self.book)
        self._page: LivePage | None = None
        self._begun_ns = 0
        self._ended_ns = 0

    async def run(self, pages: trio.Nursery, signals: AsyncIterator[int]) -> None:
        """Everything up to the last sample. The live page is served in `pages`, which outlives the run."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heed, signals, nursery.cancel_scope)
            try:
                await self._go(nursery, pages)
            except* WorkerLost as group:
                self.invalid += [text for lost in group.exceptions for text in _texts(lost)]
            finally:
                await self._dismiss()
            nursery.cancel_scope.cancel()
        for worker in self._workers:
            self.failures += worker.failures
        for note in self._observer.notes:
            say(note)

    def result(self) -> Result:
        """What it came to."""
        duration_s = max(0, self._ended_ns - self._begun_ns) / NS_PER_S
        return judge(
            self.settings,
            self.book,
            self._observer,
            duration_s,
            self.failures,
            self.invalid,
            expects=self._expects,
            cut_short=self._cut_short,
        )

    async def linger(self, result: Result, signals: AsyncIterator[int]) -> None:
        """The live page stays, with the report on it, until somebody has seen enough."""
        if self._page is None or self.settings.headless:
            return
        self._page.finished(result)
        say("the page stays until Ctrl-C")
        async for _ in signals:
            break

    def stop(self) -> None:
        """End the run politely."""
        self._stop.set()

    async def _go(self, nursery: trio.Nursery, pages: trio.Nursery) -> None:
        for plan in self.settings.plans():
            self._workers.append(await crew.start(plan))
        for worker in self._workers:
            nursery.start_soon(self._listen, worker)
        await self._all_said("ready", START_S)
        await self._observer.begin()
        info = self._observer.info(self.settings.run_time_s)
        await self._prepare()
        if self.settings.web:
            await self._serve(info, pages)
        async with trio.open_nursery() as watching:
            watching.start_soon(self._observer.watch)
            watching.start_soon(partial(terminal.watch, self.book.now, info, headless=self.settings.headless))
            try:
                await self._steer()
                await self._drain()
                await self._finish()
            finally:
                watching.cancel_scope.cancel()

    async def _prepare(self) -> None:
        """at_start runs in the first process; what it prepared goes to all."""
        first = self._workers[0]
        await first.order("prepare")
        await self._said(first, "prepared", START_S)
        if first.failures:
            raise WorkerLost("the scenario could not be prepared")
        for worker in self._workers:
            await worker.order("begin", shared=first.shared)

    async def _serve(self, info: RunInfo, pages: trio.Nursery) -> None:
        from loadtest.report.web import LivePage  # noqa: PLC0415 - most runs have no page: 0.2 s of starting up

        settings = self.settings
        self._page = LivePage(self.book.now, info, stop=self.stop, host=settings.web_host, port=settings.web_port)
        say(f"live at {await pages.start(self._page.serve)}")

    async def _steer(self) -> None:
        """Ask the shape again and again, and tell the workers when it has changed its mind."""
        settings, shape = self.settings, self._shape
        slope: Slope | None = None
        to_reset = settings.reset
        shape.begin(users=settings.users, rate=settings.rate, run_time_s=settings.run_time_s)
        first_ns = self._begun_ns = self._ended_ns = time.monotonic_ns() + LEAD_NS
        self.book.begin(first_ns)
        while not self._stop.is_set():
            now_ns = time.monotonic_ns()
            goal = shape.at(max(0, now_ns - first_ns) / NS_PER_S)
            if goal is None:
                break
            slope = await self._follow(slope, goal, max(first_ns, now_ns + LEAD_NS))
            if to_reset and now_ns > slope.ends_ns() + SETTLED_AFTER_RAMP_NS:
                to_reset = False
                await self._reset()
            with trio.move_on_after(STEER_EVERY_S):
                await self._stop.wait()
        self._ended_ns = time.monotonic_ns()
        self._cut_short = self._stop.is_set() and settings.run_time_s > 0
        if to_reset:
            self.invalid.append("the run ended before all users were there, so there was nothing to --reset to")

    async def _follow(self, slope: Slope | None, goal: tuple[int, float], at_ns: int) -> Slope:
        users, rate = goal
        if slope is None:
            slope = Slope(0, users, at_ns, rate)
        elif (slope.goal, slope.rate) == (users, rate):
            return slope
        else:
            slope = Slope(slope.level(at_ns), users, at_ns, rate)
        for worker in self._workers:
            await worker.order("slope", start=slope.start, goal=slope.goal, at_ns=slope.at_ns, rate=slope.rate)
        return slope

    async def _reset(self) -> None:
        """All users are there: what was measured on the way is dropped."""
        for worker in self._workers:
            await worker.order("reset")
        await self._all_said("reset", START_S)
        self._begun_ns = time.monotonic_ns()
        self.book.reset(self._begun_ns)
        say("all users are there: measuring anew")

    async def _drain(self) -> None:
        """Nobody sends any more; wait until nothing is owed to anybody, or has had its chance."""
        if self._page is not None:
            self._page.stopping()
        until_s = trio.current_time() + self.settings.drain_s
        for worker in self._workers:
            await worker.order("drain", within_s=self.settings.drain_s)
        await self._all_said("drained", self.settings.drain_s + DRAIN_SPARE_S)
        with trio.move_on_at(until_s) as patience:
            while self.book.owed():
                self._told = trio.Event()
                await self._told.wait()
        if patience.cancelled_caught:
            say(f"waited {self.settings.drain_s:g} s (--drain), in vain: {owing(self.book.owed())}")

    async def _finish(self) -> None:
        totals = self.book.totals()
        for worker in self._workers:
            await worker.order("finish", totals=totals, check=worker.index == 0)
        await self._all_said("done", FINISH_S)
        await self._observer.end()

    async def _dismiss(self) -> None:
        self._dismissed = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(worker.end)

    async def _listen(self, worker: Worker) -> None:
        await worker.listen(self._sample, _tell)
        if worker.lost and not self._dismissed:
            self._mourn(worker)

    def _mourn(self, worker: Worker) -> None:
        text = f"generator process {worker.index} died (exit code {worker.exit_code}): its users are missing"
        if text not in self.invalid:
            self.invalid.append(text)
        self._stop.set()

    def _sample(self, index: int, line: bytes) -> None:
        self.book.add(index, line, time.monotonic_ns())
        self._told.set()

    async def _all_said(self, what: str, within_s: float) -> None:
        for worker in self._workers:
            await self._said(worker, what, within_s)

    async def _said(self, worker: Worker, what: str, within_s: float) -> None:
        with trio.move_on_after(within_s):
            await worker.said(what).wait()
        if worker.has_said(what):
            return
        if not worker.lost:
            raise WorkerLost(f"generator process {worker.index} was not {what} within {within_s:g} s")
        await worker.gone()
        self._mourn(worker)
        raise WorkerLost

    async def _heed(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            if self._stop.is_set():
                self.invalid.append("it was broken off before everything sent could arrive")
                scope.cancel()
                return
            say("stopping: waiting for what is under way (Ctrl-C again to break off)")
            self._stop.set()


def owing(owed: Owed) -> str:
    """What is still to come, in words."""
    told = {
        "members have not heard all that others have": owed.members,
        "messages have not been heard in some process at all": owed.messages,
        "asks and returns are under way": owed.under_way,
    }
    return ", ".join(f"{number} {words}" for words, number in told.items() if number) or "it came in the last moment"


def _texts(error: BaseException) -> list[str]:
    """What is said in an error, or in a group of them; what was told elsewhere says nothing."""
    if isinstance(error, BaseExceptionGroup):
        return [text for each in error.exceptions for text in _texts(each)]
    return [str(error)] if str(error) else []


def say(text: str) -> None:
    """A line for whoever runs it; results go to standard output, talk does not."""
    sys.stderr.write(f"loadtest: {text}\n")


def _tell(level: str, text: str) -> None:
    say(f"{level.lower()}: {text}")
