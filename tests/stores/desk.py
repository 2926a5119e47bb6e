"""A room's view of a store, for tests: it submits, remembers what was answered in which order, and makes weather."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import trio

from livehub.ports import Entry, Line, Meter, Tenure
from livehub.stores import rows
from livehub.stores.inserts import Tail
from livehub.stores.memory import MemoryStore, open_memory
from livehub.stores.recent import FACTS_MAX
from livehub.stores.sqlite import SqliteStore, open_sqlite
from livehub.stores.writer import BATCH_MAX_ENTRIES, QUEUE_MAX_ENTRIES

AnyStore: TypeAlias = MemoryStore | SqliteStore

BIG = Line("big", b"x" * 400_000)  # no room for it in the pages that a full file has left
PAGES_MAX = 0xFFFF_FFFE
TAIL_ROWS = 3
ANSWER_DEADLINE_S = 20.0


class Asked:
    """One entry that was submitted, and what came of it."""

    def __init__(self, desk: Desk, then: Callable[[], object] | None) -> None:
        self.desk = desk
        self.then = then
        self.answers: list[Exception | None] = []
        self.head = -1
        self.finished = trio.Event()
        self.entry = Entry(Tenure(), "", 0, self.done)

    def done(self, error: Exception | None) -> None:
        """Take the answer."""
        self.answers.append(error)
        self.head = self.desk.store.head
        self.desk.answered.append(self)
        self.finished.set()
        if self.then is not None:
            self.then()

    async def answer(self) -> Exception | None:
        """Wait for the answer."""
        with trio.fail_after(ANSWER_DEADLINE_S):
            await self.finished.wait()
        assert len(self.answers) == 1, "answered twice"
        return self.answers[0]


class Desk:
    """Submits to one store."""

    def __init__(self, store: AnyStore) -> None:
        self.store = store
        self.answered: list[Asked] = []

    def submit(
        self,
        *lines: Line,
        tenure: Tenure | None = None,
        room: str = "room",
        at_ms: int = 1_000,
        then: Callable[[], object] | None = None,
        **fields: Any,
    ) -> Asked:
        """Submit an entry, of a tenure of its own unless told."""
        asked = Asked(self, then)
        asked.entry = Entry(tenure or Tenure(), room, at_ms, asked.done, lines, **fields)
        self.store.submit(asked.entry)
        return asked

    async def save(self, *lines: Line, **fields: Any) -> int:
        """Submit and wait for the commit. Returns the seq."""
        asked = self.submit(*lines, **fields)
        assert await asked.answer() is None
        return asked.entry.seq

    async def fill(self) -> None:
        """From now on the disk is full: nothing `BIG` can be saved."""
        if isinstance(self.store, MemoryStore):
            self.store.fail_commits = True
        else:
            await self._limit_pages(self.store, 1)  # SQLite takes as many as there are

    async def free(self) -> None:
        """The disk has space again."""
        if isinstance(self.store, MemoryStore):
            self.store.fail_commits = False
        else:
            await self._limit_pages(self.store, PAGES_MAX)

    def relent(self) -> None:
        """What is small can be saved again. SQLite has room for that in the pages of a full file."""
        if isinstance(self.store, MemoryStore):
            self.store.fail_commits = False

    async def fail(self) -> None:
        """Fill the disk and have a commit fail."""
        await self.fill()
        assert await self.submit(BIG).answer() is not None
        assert self.store.failing

    async def recovered(self) -> None:
        """Wait until a probe succeeds."""
        with trio.fail_after(ANSWER_DEADLINE_S):
            while self.store.failing:
                await self.submit().answer()

    @staticmethod
    async def _limit_pages(store: SqliteStore, pages: int) -> None:
        await store._thread.start(lambda: store._connection.pragma("max_page_count", pages)).result()


@asynccontextmanager
async def open_desk(
    kind: str,
    directory: Path,
    *,
    meter: Meter | None = None,
    queue_max_entries: int = QUEUE_MAX_ENTRIES,
    batch_max_entries: int = BATCH_MAX_ENTRIES,
) -> AsyncIterator[Desk]:
    """A desk at a store of that kind: "memory", "sqlite", or "disk": SQLite that remembers nothing of late.

    A "disk" also sorts what comes after every few rows, which others do after thousands.
    """
    opened: AbstractAsyncContextManager[AnyStore]
    if kind == "memory":
        opened = open_memory(meter=meter, queue_max_entries=queue_max_entries, batch_max_entries=batch_max_entries)
    else:
        opened = open_sqlite(
            directory,
            durability="os",
            meter=meter,
            queue_max_entries=queue_max_entries,
            batch_max_entries=batch_max_entries,
            recent_facts_max=0 if kind == "disk" else FACTS_MAX,
        )
    with short_tails() if kind == "disk" else nullcontext():
        async with opened as store:
            yield Desk(store)


@contextmanager
def short_tails() -> Iterator[None]:
    """Stores sort after every few rows, and begin a run of keys after every few more."""
    with ExitStack() as patches:
        for name in ("DELIVERIES", "KEYS"):
            tail: Tail = getattr(rows, name)
            move = tail.move.replace("16384", str(TAIL_ROWS))
            patches.enter_context(patch.object(rows, name, replace(tail, rows_max=TAIL_ROWS, move=move)))
        yield
