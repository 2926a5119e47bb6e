"""The worker processes as the parent sees them: started, given orders, listened to, and missed when they die.

Workers are in a process group of their own: Ctrl-C is for the parent alone, which then ends the run politely.

A worker that ends before it said `done` makes the run invalid: its users are gone, and with them what they heard.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import trio

from loadtest.lines import Lines
from loadtest.plan import Plan
from loadtest.worker import REPORT_MARK

ROOT = Path(__file__).parents[1]
WORKER = [sys.executable, "-m", "loadtest", "worker"]
KILL_AFTER_S = 3.0


class WorkerLost(Exception):
    """A worker ended too early, or never came up."""


class Worker:
    """One of them."""

    def __init__(self, plan: Plan, process: trio.Process) -> None:
        self.index = plan.index
        self.pid = process.pid
        self.failures: list[str] = []
        self.shared: dict[str, Any] = {}
        self.lost = False
        self._process = process
        self._said: dict[str, trio.Event] = {}

    async def order(self, do: str, **details: Any) -> None:
        """Give an order. A dead worker takes none: that it died is noticed elsewhere."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(orjson.dumps({"do": do, **details}) + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.lost = True

    def said(self, what: str) -> trio.Event:
        """Set once the worker has reported this, or has died."""
        event = self._said.setdefault(what, trio.Event())
        if self.lost:
            event.set()
        return event

    def has_said(self, what: str) -> bool:
        """Whether it has reported this."""
        return what in self._said and self._said[what].is_set() and not self.lost

    def forget(self, what: str) -> None:
        """It may be said again."""
        self._said.pop(what, None)

    async def listen(self, sample: Callable[[int, bytes], None], log: Callable[[str, str], None]) -> None:
        """Until it ends: samples are handed on, reports are noted."""
        assert self._process.stdout is not None
        lines = Lines(self._process.stdout)
        while (line := await lines.next()) is not None:
            if line.startswith(REPORT_MARK):
                self._note(orjson.loads(line[len(REPORT_MARK) :]), log)
            elif line:
                sample(self.index, line)
        await self._process.wait()
        if not self.has_said("done"):
            self.lost = True
            for event in self._said.values():
                event.set()

    async def end(self) -> None:
        """Close its orders, which ends it, and kill it if that does not."""
        with trio.CancelScope(shield=True):
            assert self._process.stdin is not None
            await self._process.stdin.aclose()
            with trio.move_on_after(KILL_AFTER_S):
                await self._process.wait()
                return
            self._process.kill()
            await self._process.wait()

    async def gone(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """How it ended."""
        return self._process.returncode

    def _note(self, report: Mapping[str, Any], log: Callable[[str, str], None]) -> None:
        match report["say"]:
            case "log":
                log(report["level"], f"[{self.index}] {report['text']}")
                return
            case "prepared":
                self.shared = report["shared"]
        self.failures = report.get("failures", self.failures)
        self._said.setdefault(report["say"], trio.Event()).set()


def _environment() -> dict[str, str]:
    """This one's, and this loadtest: it need not be installed, nor started from its own directory."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


async def start(plan: Plan) -> Worker:
    """Start a worker and hand it its plan."""
    process = await trio.lowlevel.open_process(
        WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), process_group=0
    )
    assert process.stdin is not None
    worker = Worker(plan, process)
    try:
        await process.stdin.send_all(plan.line())
    except trio.BrokenResourceError:
        worker.lost = True
    return worker
