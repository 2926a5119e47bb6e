"""How a user stands with the server: what it waits for, and whether it is where it wants to be.

The end of a run asks both. A task is broken off once the server owes it nothing, so that nobody waits for a person who
merely thinks; and a user who is away without wanting to be is somebody whom the server has lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

NS_PER_S = 1_000_000_000
SHUT_OUT_AFTER_NS = 5 * NS_PER_S
"""Whoever has waited for less, and was not turned away, has just come: the run ended before they were in."""


class Standing:
    """One per user."""

    __slots__ = ("_first_try_ns", "_news", "_open", "act", "dropped", "entered", "turned_away")

    def __init__(self) -> None:
        self.act = trio.CancelScope()  # of the task that is being done
        self.entered = False  # has been connected
        self.dropped = False  # cut off on purpose, and not on the way back yet
        self.turned_away = False  # tried to connect in vain
        self._first_try_ns: int | None = None
        self._open = 0
        self._news = trio.Event()

    @property
    def busy(self) -> bool:
        """Whether it waits for the server, or has yet to come back to it."""
        return self._open > 0 or self.dropped

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the server: for an ack, or for a connection."""
        self._open += 1
        self.dropped = False
        try:
            yield
        finally:
            self._open -= 1
            self._news.set()
            self._news = trio.Event()

    async def idle(self) -> None:
        """Wait until it waits for nothing."""
        while self.busy:
            await self._news.wait()

    async def last_call(self) -> None:
        """Before something new at the end of a run: whoever waits for nothing begins nothing."""
        if not self.busy:
            self.act.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()

    def tries(self, now_ns: int) -> None:
        """It tries to connect."""
        if self._first_try_ns is None:
            self._first_try_ns = now_ns

    def shut_out(self, now_ns: int) -> bool:
        """Whether it wanted to connect and never could."""
        if self.entered or self._first_try_ns is None:
            return False
        return self.turned_away or now_ns - self._first_try_ns >= SHUT_OUT_AFTER_NS
