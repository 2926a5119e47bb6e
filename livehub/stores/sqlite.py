"""The log in SQLite: one writer at a time, group commit, readers beside it.

Whoever writes or reads does so in a worker thread; the loop is woken once per batch. Readers have connections of their
own and see only what is committed.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import orjson
import trio

from livehub.ports import Entry, KeyRecord, Meter, Record, SeatRecord, TellRecord, TimerRecord
from livehub.stores.directory import LOG_NAME, lock
from livehub.stores.rows import write
from livehub.stores.schema import Durability, Identity, open_log, open_reader
from livehub.stores.writer import BATCH_MAX_ENTRIES, QUEUE_MAX_ENTRIES, Chore, Item, Writer

READERS = 3
PROBE_BYTES = 16_384  # four pages: more than may be left over in the file

T = TypeVar("T")


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
    ) -> None:
        super().__init__(identity.last_seq, meter, queue_max_entries, batch_max_entries)
        self._connection = connection
        self._identity = identity
        self._readers = list(readers)
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(len(readers))

    @property
    def epoch(self) -> str:
        """Name of this data directory's log."""
        return self._identity.epoch

    @property
    def secret(self) -> bytes:
        """32 random bytes made with the epoch."""
        return self._identity.secret

    async def read(self, room: str, after: int, limit: int) -> list[Record]:
        """The room's facts with seq > `after`, oldest first, at most `limit`."""
        query = "select seq, kind, at_ms, data from fact where room = ? and seq > ? order by seq limit ?"
        rows = await self._query(query, (room, after, limit))
        return [Record(seq, room, kind, at_ms, data) for seq, kind, at_ms, data in rows]

    async def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
        """Facts for any of `audiences` (name → heard so far) with seq ≤ `upto`, each once, by seq, at most `limit`."""
        names = list(audiences)
        heard = " union all ".join(
            "select * from (select seq, ? as rank from delivery where audience = ? and seq > ? and seq <= ?"
            " order by seq limit ?)"
            for _ in names
        )
        if not names:
            return []
        query = (
            f"select seq, room, kind, at_ms, data, min(rank) from ({heard}) join fact using (seq)"  # noqa: S608
            " group by seq order by seq limit ?"
        )
        asked: list[Any] = []
        for rank, name in enumerate(names):
            asked += (rank, name, audiences[name], upto, limit)
        rows = await self._query(query, (*asked, limit))
        return [Record(seq, room, kind, at, data, names[rank]) for seq, room, kind, at, data, rank in rows]

    async def find_key(self, user: str, key: str) -> KeyRecord | None:
        """The record of a used key, or None."""
        rows = await self._query("select digest, ack, at_ms from key where user = ? and key = ?", (user, key))
        return KeyRecord(user, key, *rows[0]) if rows else None

    async def keys_since(self, at_ms: int) -> list[tuple[str, str]]:
        """(user, key) of every key used since."""
        return await self._query("select user, key from key where at_ms >= ?", (at_ms,))

    async def seats(self, sid: str) -> list[SeatRecord]:
        """The seats that a connection holds, in the order it took them."""
        query = "select room, user, audiences, since, at_ms from seat where sid = ? order by taken"
        rows = await self._query(query, (sid,))
        return [
            SeatRecord(sid, room, user, tuple(orjson.loads(audiences)), since, at_ms)
            for room, user, audiences, since, at_ms in rows
        ]

    async def touch_seats(self, sids: Sequence[str], at_ms: int) -> None:
        """Note that these connections are still there."""
        await self._perform(lambda: self._each("update seat set at_ms = ? where sid = ?", [(at_ms, s) for s in sids]))

    async def timers(self) -> list[TimerRecord]:
        """Every timer that has not rung, soonest first."""
        rows = await self._query("select room, key, due_ms, command, data from timer order by due_ms, room, key", ())
        return [TimerRecord(*row) for row in rows]

    async def tells(self) -> list[TellRecord]:
        """Every word that has not been answered, oldest first."""
        return [
            TellRecord(*row) for row in await self._query("select id, room, command, data from tell order by told", ())
        ]

    async def prune(self, keys_before_ms: int, seats_before_ms: int) -> None:
        """Forget keys used and seats last seen before these times."""

        def act() -> None:
            self._connection.execute("delete from key where at_ms < ?", (keys_before_ms,))
            self._connection.execute("delete from seat where at_ms < ?", (seats_before_ms,))

        await self._perform(act)

    async def _commit(self, items: Sequence[Item]) -> Collection[int]:
        await trio.to_thread.run_sync(self._transact, items, limiter=self._writing)
        return ()

    async def _probe(self) -> None:
        def act() -> None:
            with self._connection:
                self._connection.execute("insert into meta(name, value) values ('probe', zeroblob(?))", (PROBE_BYTES,))
                self._connection.execute("delete from meta where name = 'probe'")

        await trio.to_thread.run_sync(act, limiter=self._writing)

    def _transact(self, items: Sequence[Item]) -> None:
        with self._connection:
            write(self._connection, [item for item in items if isinstance(item, Entry)])
            for item in items:
                if isinstance(item, Chore):
                    item.act()

    def _each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._connection.executemany(statement, rows)

    async def _query(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        def read() -> list[Any]:
            connection = self._readers.pop()
            try:
                return connection.execute(query, values).fetchall()
            finally:
                self._readers.append(connection)

        return await trio.to_thread.run_sync(read, limiter=self._reading)


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
) -> AsyncIterator[SqliteStore]:
    """The store in a data directory, which is this process's alone meanwhile. Raises `StoreError`."""
    descriptor = lock(path)
    try:
        connection, identity = open_log(path / LOG_NAME, durability, clock_ms())
        readers = [open_reader(path / LOG_NAME) for _ in range(READERS)]
        try:
            store = SqliteStore(connection, identity, readers, meter, queue_max_entries, batch_max_entries)
            async with store._running():
                yield store
        finally:
            for reader in readers:
                reader.close()
            connection.close()
    finally:
        os.close(descriptor)
