"""The log in SQLite: one writer at a time, group commit, readers beside it.

One thread writes, and wakes the loop once per batch. What keeps the file in shape it does after that, when those in
the batch have their answers: sorting in what is looked up by name (3 to 5 ms), and writing the WAL back (10 to 20 ms,
half of them the disk's), which SQLite would do within the commit. Readers run in worker threads on connections of their
own, see only what is committed and never hold up the writer.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import apsw
import orjson
import trio

from livehub.errors import Unavailable
from livehub.ports import Entry, KeyRecord, Meter, Record, SeatRecord, TellRecord, TimerRecord
from livehub.stores import reads
from livehub.stores.directory import LOG_NAME, lock
from livehub.stores.readers import Readers
from livehub.stores.recent import FACTS_MAX, Recent
from livehub.stores.rows import sort, write
from livehub.stores.schema import Durability, Identity, end_run, open_log, open_reader
from livehub.stores.thread import Job, Thread
from livehub.stores.writer import BATCH_MAX_ENTRIES, CLOSE_TIMEOUT_S, QUEUE_MAX_ENTRIES, Item, Writer

THREAD_NAME = "livehub-store"
READERS = 3
PROBE_BYTES = 64 * 1024  # more than the free pages that a full file is likely to have
WAL_CHECKPOINT_PAGES = 1_000
"""4 MiB. The next commit waits for a checkpoint: at 8,000 messages a second 20 to 30 ms for 16 MiB, 10 for 4."""
TIDY_AGAIN_S = 5.0
PRUNE_CHUNK_ROWS = 5_000  # a day's keys in one transaction would hold up every commit behind it

T = TypeVar("T")

log = logging.getLogger(__name__)


class SqliteStore(Writer):
    """A `Store` in a directory. Made by `open_sqlite`."""

    def __init__(
        self,
        connection: apsw.Connection,
        identity: Identity,
        readers: Sequence[apsw.Connection],
        meter: Meter | None,
        queue_max_entries: int,
        batch_max_entries: int,
        recent_facts_max: int,
    ) -> None:
        super().__init__(identity.last_seq, meter, queue_max_entries, batch_max_entries)
        self._connection = connection
        self._identity = identity
        self._readers = Readers(readers)
        self._recent = Recent(identity.last_seq, facts_max=recent_facts_max)
        self._commit: Job[frozenset[int]] | None = None
        self._unsorted = False  # a tail is long
        self._wal_pages = 0
        self._tidy_again_s = -math.inf
        self._damage: apsw.Error | None = None  # found while nobody waited
        self._connection.set_wal_hook(self._note_wal)  # in the place of SQLite's own checkpoints
        self._abandoned = False  # a commit outlasted the closing deadline: its thread still has the connection
        self._thread = Thread(THREAD_NAME, self._tidy)

    @property
    def epoch(self) -> str:
        """Name of this data directory's log: a new directory is a new epoch."""
        return self._identity.epoch

    @property
    def secret(self) -> bytes:
        """32 random bytes made with the epoch, for signing what clients carry."""
        return self._identity.secret

    async def read(self, room: str, after: int, limit: int) -> list[Record]:
        """The room's facts with seq > `after`, oldest first, at most `limit`."""
        return await self._read(lambda connection: reads.read(connection, room, after, limit))

    async def rooms(self, kind: str) -> list[str]:
        """Names of the rooms of this kind that have facts."""
        return await self._read(lambda connection: reads.rooms(connection, kind))

    async def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
        """Facts for any of `audiences` (name → heard so far) with seq ≤ `upto`, each once, by seq, at most `limit`."""
        if (recent := self._recent.replay(audiences, upto, limit)) is not None:
            return recent
        asked = dict(audiences)  # the caller's may change while the thread is at it
        return await self._read(lambda connection: reads.replay(connection, asked, upto, limit))

    async def find_key(self, user: str, key: str) -> KeyRecord | None:
        """The record of a used key, or None."""
        return await self._read(lambda connection: reads.find_key(connection, user, key))

    async def keys_since(self, at_ms: int) -> list[tuple[str, str]]:
        """(user, key) of every key used since."""
        return await self._read(lambda connection: reads.keys_since(connection, at_ms))

    async def seats(self, sid: str) -> list[SeatRecord]:
        """The seats that a connection holds, in the order it took them."""
        return await self._read(lambda connection: reads.seats(connection, sid))

    async def timers(self) -> list[TimerRecord]:
        """Every timer that has not rung, soonest first."""
        return await self._read(reads.timers)

    async def tells(self) -> list[TellRecord]:
        """Every word that has not been answered, oldest first."""
        return await self._read(reads.tells)

    async def touch_seats(self, sids: Sequence[str], at_ms: int) -> None:
        """Note that these connections are still there, so that `prune` spares their seats."""
        wanted = orjson.dumps(sids).decode()  # one statement and one step, also for 15,000 of them

        def act() -> None:
            self._connection.execute(
                "update seat set at_ms = ? where sid in (select value from json_each(?))", (at_ms, wanted)
            )

        await self._perform(act)

    async def prune(self, keys_before_ms: int, seats_before_ms: int) -> None:
        """Forget seats last seen before one time, and keys used before the other once their run is all of such."""
        for statement, before_ms in (
            (
                # a run is over when the next one begins
                "delete from key where (since_ms, user, key) in (select since_ms, user, key from key "
                "where since_ms < (select max(since_ms) from key where since_ms < ?) limit ?)",
                keys_before_ms,
            ),
            (
                "delete from key_tail where place in (select place from key_tail where at_ms < ? limit ?)",
                keys_before_ms,
            ),
            ("delete from seat where taken in (select taken from seat where at_ms < ? limit ?)", seats_before_ms),
        ):
            while await self._prune_some(statement, before_ms) == PRUNE_CHUNK_ROWS:
                pass

    async def _prune_some(self, statement: str, before_ms: int) -> int:
        pruned = 0

        def act() -> None:
            nonlocal pruned
            self._connection.execute(statement, (before_ms, PRUNE_CHUNK_ROWS))
            pruned = self._connection.changes()

        await self._perform(act)
        return pruned

    async def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        try:
            return await self._readers.run(job)
        except apsw.Error as error:
            log.error("the log cannot be read: %s", error)  # noqa: TRY400 - SQLite's text is the cause
            raise Unavailable from error

    def _note(self, entry: Entry) -> None:
        self._recent.note(entry)

    def _start(self, items: Sequence[Item]) -> None:
        self._commit = self._thread.start(lambda: self._save(items))

    async def _finish(self) -> frozenset[int]:
        commit, self._commit = self._commit, None
        assert commit is not None
        return await self._result(commit)

    async def _probe(self) -> None:
        await self._result(self._thread.start(self._save_probe))

    async def _result(self, job: Job[T]) -> T:
        try:
            return await job.result()
        except trio.Cancelled:
            self._abandoned = True
            raise

    def _save(self, items: Sequence[Item]) -> frozenset[int]:
        try:
            with self._transaction():
                self._write(items)
        except Exception as error:
            if not _is_of_the_item(error):
                raise
            return self._save_singly(items)
        return frozenset()

    def _save_singly(self, items: Sequence[Item]) -> frozenset[int]:
        """Save a batch without those that cannot be saved, and without what their rooms did next."""
        refused: set[int] = set()
        broken: set[int] = set()
        execute = self._connection.execute
        with self._transaction():
            for place, item in enumerate(items):
                tenure = id(item.tenure) if isinstance(item, Entry) else None
                if tenure in broken:
                    refused.add(place)
                    continue
                execute("savepoint item")
                try:
                    self._write((item,))
                except Exception as error:
                    if not _is_of_the_item(error):
                        raise
                    log.error("an entry cannot be saved for what it holds: %r", error)  # noqa: TRY400 - its own fault
                    execute("rollback to item")
                    refused.add(place)
                    if tenure is not None:
                        broken.add(tenure)
                execute("release item")
        return frozenset(refused)

    def _save_probe(self) -> None:
        # Two transactions: what one adds and removes again may never reach the disk.
        with self._transaction():
            self._connection.execute(
                "insert or replace into meta(name, value) values ('probe', zeroblob(?))", (PROBE_BYTES,)
            )
        with self._transaction():
            self._connection.execute("delete from meta where name = 'probe'")

    def _write(self, items: Sequence[Item]) -> None:
        entries: list[Entry] = []
        for item in items:
            if isinstance(item, Entry):
                entries.append(item)
            else:
                self._write_rows(entries)
                entries.clear()
                item.act()
        self._write_rows(entries)

    def _write_rows(self, entries: Sequence[Entry]) -> None:
        if write(self._connection, entries):
            self._unsorted = True

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _tidy(self) -> None:
        """What nobody waits for. If it fails it is tried again later; a damaged file takes no more commits."""
        if self._abandoned or time.monotonic() < self._tidy_again_s:
            return
        try:
            if self._unsorted:
                with self._transaction():
                    sort(self._connection)
                self._unsorted = False
            if self._wal_pages >= WAL_CHECKPOINT_PAGES:
                self._connection.wal_checkpoint()
                self._wal_pages = 0
        except Exception as error:  # the thread must live on, for the commits
            log.warning("the log's file is not in its best shape, which costs time and space: %s", error)
            self._tidy_again_s = time.monotonic() + TIDY_AGAIN_S
            if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                self._damage = error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        execute = self._connection.execute
        if self._connection.in_transaction:
            execute("rollback")  # the disk did not even take the rollback of the last one
        if self._damage is not None:
            raise self._damage
        execute("begin immediate")
        try:
            yield
            if self._abandoned:
                raise Unavailable  # noqa: TRY301  # everyone in it has been told so
            execute("commit")
        except BaseException:
            if self._connection.in_transaction:
                execute("rollback")
            raise

    async def _close(self, descriptor: int) -> None:
        """Close the file and give the directory back, unless a thread is still at it: then the process's end does."""
        if not self._abandoned:
            await self._thread.start(self._close_files).result()
            os.close(descriptor)

    def _close_files(self) -> None:
        self._readers.close()
        try:
            end_run(self._connection)
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        except apsw.Error as error:
            log.warning("the log closes unfinished, the next start completes it: %s", error)
        self._connection.close()
        self._unsorted, self._wal_pages = False, 0  # the thread tidies up once more after this


def _is_of_the_item(error: Exception) -> bool:
    """Whether it is about a value (too big, no valid text) and not about the disk: others can still be saved."""
    return not isinstance(error, apsw.Error | Unavailable) or isinstance(
        error, apsw.ConstraintError | apsw.MismatchError | apsw.TooBigError | apsw.RangeError
    )


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_sqlite(
    path: Path,
    *,
    durability: Durability = "disk",
    clock_ms: Callable[[], int] = now_ms,
    meter: Meter | None = None,
    queue_max_entries: int = QUEUE_MAX_ENTRIES,
    batch_max_entries: int = BATCH_MAX_ENTRIES,
    recent_facts_max: int = FACTS_MAX,
) -> AsyncIterator[SqliteStore]:
    """The store in the data directory `path`, which is this process's alone meanwhile. Raises `StoreError`.

    Leaving it commits and answers all that was submitted, also when cancelled, and closes the file. A disk that does
    not answer by the deadline leaves the file to the next start, which finds in it all that was acknowledged.
    """
    created_ms = clock_ms()

    def start() -> tuple[int, apsw.Connection, Identity, list[apsw.Connection]]:
        descriptor = lock(path)
        try:
            connection, identity = open_log(path / LOG_NAME, durability, created_ms)
            readers = [open_reader(path / LOG_NAME) for _ in range(READERS)]
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, connection, identity, readers

    descriptor, connection, identity, readers = await trio.to_thread.run_sync(start)
    store = SqliteStore(connection, identity, readers, meter, queue_max_entries, batch_max_entries, recent_facts_max)
    try:
        async with store._running():
            yield store
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await store._close(descriptor)
        store._thread.stop()
