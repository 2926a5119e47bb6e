"""What is to happen at a time, in one heap and one task: a heartbeat needs no task and no cancel scope of its own."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable
from itertools import count

import trio

CALLS_PER_TURN = 256
"""After a restart the pings of all clients fall due together: others get their turn in between."""

log = logging.getLogger(__name__)


class Timer:
    """A call to come; `cancel` also lets go of whatever it would have called."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never mind."""
        self.call = None


class Deadlines:
    """Calls plain functions at their times, on `trio.current_time`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = count()
        self._sleep: trio.CancelScope | None = None

    def at(self, when_s: float, call: Callable[[], None]) -> Timer:
        """Call at a time; at once, but not within this call, when it has passed."""
        timer = Timer(call)
        heapq.heappush(self._heap, (when_s, next(self._count), timer))
        if self._sleep is not None and when_s < self._sleep.deadline:
            self._sleep.deadline = when_s
        return timer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Call what is due until cancelled."""
        task_status.started()
        while True:
            await self._call_due()
            with trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf) as self._sleep:
                await trio.sleep_forever()

    async def _call_due(self) -> None:
        now_s = trio.current_time()
        calls = 0
        while self._heap and self._heap[0][0] <= now_s:
            call = heapq.heappop(self._heap)[2].call
            if call is None:
                continue
            try:
                call()
            except Exception:
                log.exception("a timer's call failed")
            calls += 1
            if calls % CALLS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
