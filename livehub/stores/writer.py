"""The write side of every store: one queue, group commit, answers in the order of `submit`.

One task takes what is queued, has it committed in one go, decides what becomes of each item and calls `done` in order;
the next batch is already being committed while it does. A store adds only `_start`, `_finish` and `_probe`. The task is
shielded: whoever cancels the store still gets every answer, up to a deadline. Each time it waits costs those who wait
for it a turn of the loop, and turns are long when the loop is busy: so there are no more tasks and queues than this.

When a commit fails, the rooms behind it are ahead of the log. Their tenures are broken and everything else they have
queued fails untried; other rooms are tried. From then until a probe succeeds nothing new is tried at all, so that a
full disk costs each ask an answer and not a wait.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import trio

from livehub.errors import Unavailable
from livehub.ports import Entry, Meter

QUEUE_MAX_ENTRIES = 10_000
BATCH_MAX_ENTRIES = 1_000
ANSWERS_PER_TURN = 128  # then other tasks get a turn: a batch of 1,000 callbacks would hold the loop for milliseconds
PROBE_S = 1.0
CLOSE_TIMEOUT_S = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Chore:
    """Housekeeping in its turn among the entries, and in their transaction. `act` runs where commits run."""

    act: Callable[[], None]
    done: Callable[[Exception | None], None]
    untried: bool  # it came while the store was failing


Item: TypeAlias = Entry | Chore


@dataclass(slots=True)
class Batch:
    """Items that are settled together. `since` is the time of its first submit."""

    items: list[Item]
    tried: list[int]  # places of the items that a commit was started for
    since: float


@dataclass(slots=True)
class Verdict:
    """What became of a batch, item by item; `facts` of it are in the log."""

    batch: Batch
    errors: list[Exception | None]
    facts: int
    committed: bool


class Writer(ABC):
    """The part of a `Store` that takes entries and answers them."""

    def __init__(self, last_seq: int, meter: Meter | None, queue_max_entries: int, batch_max_entries: int) -> None:
        self._head = last_seq
        self._next_seq = last_seq + 1
        self._meter = meter
        self._queue_max_entries = queue_max_entries
        self._batch_max_entries = batch_max_entries
        self._queue: deque[Item] = deque()
        self._unanswered: deque[Item] = deque()  # the queue and, before it, what is being committed or answered
        self._since: deque[float] = deque()  # one time for each batch that the queue will be taken in
        self._wake = trio.Event()
        self._waiting_for_space = trio.lowlevel.ParkingLot()
        self._failing = False
        self._probe_at = math.inf
        self._closing = False
        self._closed = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    @abstractmethod
    def _start(self, items: Sequence[Item]) -> None:
        """Begin to commit all items, in order. Nothing else is started before it is finished."""

    @abstractmethod
    async def _finish(self) -> Collection[int]:
        """Wait for the commit; raises when it failed. Returns the places of items left out for what they hold."""

    @abstractmethod
    async def _probe(self) -> None:
        """Write something that needs disk space, and remove it again; raises when that cannot be done."""

    @abstractmethod
    def _note(self, entry: Entry) -> None:
        """An entry with facts is in the log, and is about to be answered: a store may remember the latest."""

    @property
    def head(self) -> int:
        """Seq of the last fact whose `done` was called; 0 in an empty log."""
        return self._head

    @property
    def next_seq(self) -> int:
        """Seq that the next line submitted will get."""
        return self._next_seq

    @property
    def failing(self) -> bool:
        """True from a failed commit until a probe of the disk succeeds."""
        return self._failing

    def submit(self, entry: Entry) -> None:
        """Queue an entry for the next commit. Never waits; `space` is how a producer holds back."""
        if self._failing and _writes(entry):
            # Broken at once and not when its turn comes: by then the store may have recovered.
            entry.tenure.broken = True
        entry.seq = self._next_seq
        self._enqueue(entry)
        self._next_seq += len(entry.lines)

    async def space(self) -> None:
        """Wait until fewer than `queue_max_entries` are unanswered. Where there is room it does not even yield."""
        while len(self._unanswered) >= self._queue_max_entries:
            await self._waiting_for_space.park()

    async def _perform(self, act: Callable[[], None]) -> None:
        """Do housekeeping after all that was submitted before it, and wait for its commit.

        Failure is logged and not raised: what is housekept here expires by itself, and is done again a minute later.
        """
        finished = trio.Event()

        def done(error: Exception | None) -> None:
            if error is not None:
                log.warning("housekeeping was not saved: %s", error)
            finished.set()

        self._enqueue(Chore(act, done, self._failing))
        await finished.wait()

    def _enqueue(self, item: Item) -> None:
        if self._closed.is_set():
            raise trio.ClosedResourceError("the store is closed")
        if len(self._queue) % self._batch_max_entries == 0:
            # A batch takes all of the queue or exactly `batch_max_entries`, so this item begins one.
            self._since.append(trio.current_time())
        self._queue.append(item)
        self._unanswered.append(item)
        self._wake.set()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Commit and answer while the body runs, and then until everything is answered or the deadline has come."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run)
            try:
                yield
            finally:
                with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                    self._closing = True
                    self._wake.set()
                    await self._closed.wait()
                self._scope.cancel()

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self._closed.set()
            if self._unanswered:
                log.error("the store closed without an answer from the disk: %d entries refused", len(self._unanswered))
            while self._unanswered:
                _answer(self._unanswered.popleft(), Unavailable())
            self._waiting_for_space.unpark_all()

    async def _work(self) -> None:
        """Commit and answer until the store is closing and all is answered."""
        verdict: Verdict | None = None
        while True:
            if self._failing and trio.current_time() >= self._probe_at:
                await self._try_again()
            batch = self._begin() if self._queue else None
            if verdict is not None:
                await self._pronounce(verdict)
            elif batch is None:
                if self._closing:
                    return
                self._wake = trio.Event()
                with trio.move_on_at(self._probe_at if self._failing else math.inf):
                    await self._wake.wait()
            verdict = await self._settle(batch) if batch is not None else None

    def _begin(self) -> Batch:
        """Take a batch from the queue and start to commit what may be committed of it."""
        count = min(len(self._queue), self._batch_max_entries)
        items = [self._queue.popleft() for _ in range(count)]
        batch = Batch(items, [place for place, item in enumerate(items) if _may_be_tried(item)], self._since.popleft())
        if batch.tried:
            self._start([items[place] for place in batch.tried])
        return batch

    async def _settle(self, batch: Batch) -> Verdict:
        """Wait for the commit and decide about each item of the batch."""
        tried = frozenset(batch.tried)
        lost: Collection[int] = ()
        if tried:
            try:
                lost = {batch.tried[index] for index in await self._finish()}
            except Exception as error:  # whatever it was, the rooms must hear of it and the store must go on
                log.error("commit failed, refusing changes until the disk takes them again: %s", error)  # noqa: TRY400 - the text says it; a traceback per commit does not
                lost = tried
                self._failing = True
                self._probe_at = trio.current_time() + PROBE_S
        verdict = Verdict(batch, [], 0, len(lost) < len(tried))
        for place, item in enumerate(batch.items):
            verdict.errors.append(_judge(item, place in tried, place in lost))
            if place in tried and place not in lost and isinstance(item, Entry):
                verdict.facts += len(item.lines)
        return verdict

    async def _pronounce(self, verdict: Verdict) -> None:
        """Give each item its answer."""
        if self._meter is not None and verdict.committed:
            self._meter.committed(verdict.facts, trio.current_time() - verdict.batch.since)
        for number, error in enumerate(verdict.errors, 1):
            item = self._unanswered.popleft()
            if error is None and isinstance(item, Entry) and item.lines:
                self._head = item.seq + len(item.lines) - 1
                self._note(item)
            _answer(item, error)
            if number % ANSWERS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
        self._waiting_for_space.unpark_all()

    async def _try_again(self) -> None:
        try:
            await self._probe()
        except Exception as error:
            log.warning("the disk still takes no changes: %s", error)
            self._probe_at = trio.current_time() + PROBE_S
        else:
            log.warning("the disk takes changes again")
            self._failing = False


def _writes(entry: Entry) -> bool:
    return bool(
        entry.lines
        or entry.key is not None
        or entry.takes
        or entry.leaves
        or entry.sets
        or entry.unsets
        or entry.tells
        or entry.told is not None
    )


def _may_be_tried(item: Item) -> bool:
    if isinstance(item, Chore):
        return not item.untried
    return not item.tenure.broken and _writes(item)


def _judge(item: Item, tried: bool, lost: bool) -> Exception | None:
    """The answer to one item; must be asked in order, because a lost entry breaks the tenure for those after it."""
    if tried and not lost:
        return None
    if isinstance(item, Entry):
        if lost:
            item.tenure.broken = True
        elif not item.tenure.broken:
            return None  # an empty entry: there was nothing to commit, and what it waited for is committed
    return Unavailable()


def _answer(item: Item, error: Exception | None) -> None:
    try:
        item.done(error)
    except Exception:
        log.exception("an answer to a commit was not taken")
