"""A worker process: a generator between two pipes. Orders come in as JSON lines, samples and reports go out as lines.

Standard output carries the protocol, so whatever a scenario prints goes to standard error, and log lines travel as
reports: one terminal, one writer. When the pipe from the parent ends, so does the worker.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import trio

from loadtest import trust
from loadtest.client import Hub
from loadtest.generator import Generator, calm_gc
from loadtest.lines import Lines
from loadtest.measure.pulse import Pulse
from loadtest.measure.recorder import Recorder
from loadtest.options import Options
from loadtest.plan import Plan
from loadtest.scenario import load
from loadtest.stage import Stage
from loadtest.targets import target

REPORT_MARK = b"!"  # a line that begins with it is a report, any other a sample
LOG_LINES_KEPT = 1_000
FILES_BESIDES_USERS = 100


class OneASecond(logging.Filter):
    """One line per template and second: ten thousand users fail in the same words."""

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is told."""
        now_s = time.monotonic()
        if now_s - self._last_s.get(record.msg, -1.0) < 1.0:
            return False
        self._last_s[record.msg] = now_s
        return True


class Told(logging.Handler):
    """Log lines on their way to the parent."""

    def __init__(self, lines: trio.MemorySendChannel[dict[str, Any]]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Send one, or drop it when too many are under way."""
        try:
            self._lines.send_nowait({"say": "log", "level": record.levelname, "text": self.format(record)})
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError, RuntimeError):
            self.handleError(record) if record.levelno >= logging.CRITICAL else None


class Outlet:
    """The way to the parent; lines are written whole."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._lock = trio.Lock()

    async def line(self, line: bytes) -> None:
        """Write one line."""
        async with self._lock:
            await self._stream.send_all(line if line.endswith(b"\n") else line + b"\n")

    async def report(self, report: Mapping[str, Any]) -> None:
        """Write a report."""
        await self.line(REPORT_MARK + orjson.dumps(dict(report)))


def main() -> None:
    """`python -m loadtest worker`, started by the runner."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts, the parent says when to stop
    orders, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    trio.run(_work, orders, answers)


async def _work(orders: int, answers: int) -> None:
    async with trio.lowlevel.FdStream(orders) as source, trio.lowlevel.FdStream(answers) as sink:
        lines, outlet = Lines(source), Outlet(sink)
        first = await lines.next()
        if first is None:
            return
        plan = Plan.of(first)
        try:
            await _generate(plan, lines, outlet)
        except trio.BrokenResourceError:
            return  # the parent is gone


async def _generate(plan: Plan, lines: Lines, outlet: Outlet) -> None:
    if plan.cores:
        os.sched_setaffinity(0, plan.cores)
    _allow_files(plan.users // plan.processes + FILES_BESIDES_USERS)
    sender, receiver = trio.open_memory_channel[dict[str, Any]](LOG_LINES_KEPT)
    _log_to(Told(sender))
    aim = target(plan.target, plan.secret)
    tls = trust.context(plan.ca, insecure=plan.insecure) if urlsplit(plan.host).scheme == "https" else None
    recorder, hub = Recorder(event=aim.traced_event), Hub(tls)
    stage = Stage(
        target=aim,
        options=Options(plan.options),
        recorder=recorder,
        hub=hub,
        host=plan.host,
        seed=plan.seed,
        run=plan.run,
        polling_percent=plan.polling_percent,
        tls=tls,
    )
    pulse = Pulse(recorder)
    known_in = known_out = 0

    async def sample(*, final: bool = False, reset: bool = False) -> None:
        nonlocal known_in, known_out
        bytes_in, bytes_out = stage.bytes()
        recorder.count("bytes.in", bytes_in - known_in)
        recorder.count("bytes.out", bytes_out - known_out)
        known_in, known_out = bytes_in, bytes_out
        pulse.tell()
        recorder.gauge("users", generator.users)
        recorder.gauge("connected", stage.connected)
        if stage.stopping:
            recorder.gauge("waiting", recorder.ledger.waiting())
            recorder.gauge("under_way", stage.under_way)
        await outlet.line(recorder.take(final=final, reset=reset))

    async def next_order() -> dict[str, Any] | None:
        line = await lines.next()
        return None if line is None else orjson.loads(line)

    generator = Generator(plan, load(plan.scenario), stage, outlet.report, sample)
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        nursery.start_soon(pulse.run)
        nursery.start_soon(_forward, receiver, outlet)
        calm_gc()
        await outlet.report({"say": "ready", "pid": os.getpid()})
        await generator.run(next_order)
        nursery.cancel_scope.cancel()


async def _forward(reports: AsyncIterator[dict[str, Any]], outlet: Outlet) -> None:
    async for report in reports:
        await outlet.report(report)


def _log_to(handler: logging.Handler) -> None:
    handler.addFilter(OneASecond())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _allow_files(needed: int) -> None:
    """Take as many file descriptors as the system allows, and say so if these are too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if needed > most:
        sys.stderr.write(f"loadtest: {needed} file descriptors are needed and {most} allowed: use more --processes\n")
