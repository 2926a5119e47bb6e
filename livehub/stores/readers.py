"""Reading beside the writer: each reader has a connection of its own, and takes along what others want meanwhile.

A hop into a thread and back costs 200 µs of the loop and of the GIL, ten times what a small read does. When a crowd
comes back, each of them wants two reads: those that wait for a free reader share its next hop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import apsw
import trio

READS_PER_HOP = 16
"""More would make the first wait for the last."""

T = TypeVar("T")


class _Wish(Generic[T]):
    """One read that is wanted."""

    __slots__ = ("_error", "_read", "_value", "granted", "taken")

    def __init__(self, read: Callable[[apsw.Connection], T]) -> None:
        self.taken = False
        self.granted = trio.Event()
        self._read = read
        self._value: T | None = None
        self._error: BaseException | None = None

    def grant(self, connection: apsw.Connection) -> None:
        """Do it; called in a thread."""
        try:
            self._value = self._read(connection)
        except BaseException as error:  # it is its own
            self._error = error

    def result(self) -> T:
        """What was read, or what went wrong."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # a T, now that it is granted


class Readers:
    """Connections that read."""

    def __init__(self, connections: Sequence[apsw.Connection]) -> None:
        self._connections = list(connections)
        self._turns = trio.CapacityLimiter(len(connections))
        self._threads = trio.CapacityLimiter(len(connections))
        self._wishes: list[_Wish[Any]] = []

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """What `read` returns or raises, of what is committed by now. It runs in a thread."""
        wish = _Wish(read)
        self._wishes.append(wish)
        try:
            async with self._turns:
                if not wish.taken:
                    await self._hop()
        finally:
            if not wish.taken:
                self._wishes.remove(wish)
        await wish.granted.wait()
        return wish.result()

    def close(self) -> None:
        """Close the connections; nobody may be reading."""
        for connection in self._connections:
            connection.close()

    async def _hop(self) -> None:
        """Grant the oldest wishes, the caller's perhaps among them; those of others are seen through in any case."""
        batch, self._wishes = self._wishes[:READS_PER_HOP], self._wishes[READS_PER_HOP:]
        for wish in batch:
            wish.taken = True
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._grant, batch, limiter=self._threads)
        for wish in batch:
            wish.granted.set()

    def _grant(self, batch: Sequence[_Wish[Any]]) -> None:
        connection = self._connections.pop()  # there is one: as many as turns
        try:
            for wish in batch:
                wish.grant(connection)
        finally:
            self._connections.append(connection)
