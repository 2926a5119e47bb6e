"""A thread that works for one event loop: jobs in order, and as few turns of the loop as can be.

`trio.to_thread` gives up its turn before it starts a job. Under load a turn takes milliseconds, and everyone who waits
for a commit waits for that turn too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import trio

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work. Whoever stops waiting for it does not stop it."""

    __slots__ = ("_error", "_finished", "_value", "_work")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._finished = trio.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    async def result(self) -> T:
        """Wait for what the work returns, or raise what it raised."""
        await self._finished.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # a T, now that it is finished

    def run(self) -> None:
        """Do it; called in the thread."""
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        """Wake whoever waits; called on the loop."""
        self._finished.set()


class Thread:
    """Started at once; ends after `stop` and all that was given to it before.

    After each job, once whoever waits for it has been told, it calls `between`, which must not raise.
    """

    def __init__(self, name: str, between: Callable[[], None]) -> None:
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._between = between
        self._token = trio.lowlevel.current_trio_token()
        # A daemon, because a disk that never answers must not keep the process from ending.
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def start(self, work: Callable[[], T]) -> Job[T]:
        """Have something done, without waiting for it."""
        job = Job(work)
        self._jobs.put(job)
        return job

    def stop(self) -> None:
        """Take no more jobs."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            try:
                self._token.run_sync_soon(job.finish)
            except trio.RunFinishedError:
                return  # nobody waits any more
            del job  # or it would keep a batch alive until the next one
            self._between()
