"""Entries as rows: what a batch writes, table by table.

Rows go in many to a statement. Each step of a statement gives up the GIL and has to win it back from a busy loop,
which may take a whole switch interval (5 ms): 100 facts with synchronous=FULL beside a spinning thread took 82 ms one
row a step and 16 ms fifty rows a step; on an idle machine 0.30 and 0.26 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

import apsw
import orjson

from livehub.ports import Entry, KeyRecord, SeatRecord, TellRecord, TimerRecord

ROWS_PER_STEP = (64, 16, 4, 1)

Row: TypeAlias = "tuple[apsw.SQLiteValue, ...]"  # the name is in apsw's stub only
K = TypeVar("K")
V = TypeVar("V")


class Insert:
    """One table's insert, ready for as many rows as come."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._statements = [(count, f"{head} values {', '.join([row] * count)} {tail}") for count in ROWS_PER_STEP]

    def run(self, connection: apsw.Connection, rows: Sequence[Row]) -> None:
        start = 0
        for count, statement in self._statements:
            while len(rows) - start >= count:
                connection.execute(statement, tuple(chain.from_iterable(rows[start : start + count])))
                start += count


class Changes(Generic[K, V]):
    """The last word of a batch on each key of a table: first what is gone is deleted, then what is there is put."""

    __slots__ = ("gone", "there")

    def __init__(self) -> None:
        self.gone: dict[K, None] = {}
        self.there: dict[K, V] = {}

    def drop(self, key: K) -> None:
        self.there.pop(key, None)  # so that a key that comes back comes back last
        self.gone[key] = None

    def put(self, key: K, value: V) -> None:
        self.there[key] = value


FACTS = Insert("insert into fact(seq, room, kind, at_ms, data)", 5)
DELIVERIES = Insert("insert or ignore into delivery(audience, seq)", 2)  # a line may name an audience twice
KEYS = Insert("insert or replace into key(user, key, digest, ack, at_ms)", 5)
SEATS = Insert(
    "insert into seat(sid, room, user, audiences, since, at_ms)",
    6,
    "on conflict (sid, room) do update set user = excluded.user, audiences = excluded.audiences, "
    "since = excluded.since, at_ms = excluded.at_ms",
)
TIMERS = Insert("insert or replace into timer(room, key, due_ms, command, data)", 5)
TELLS = Insert("insert or ignore into tell(id, room, command, data)", 4)


def write(connection: apsw.Connection, entries: Iterable[Entry]) -> None:
    """Write entries inside the caller's transaction. Within one entry what ends comes before what begins."""
    facts: list[Row] = []
    deliveries: list[Row] = []
    keys: list[KeyRecord] = []
    seats: Changes[tuple[str, str], SeatRecord] = Changes()
    timers: Changes[tuple[str, str], TimerRecord] = Changes()
    tells: Changes[str, TellRecord] = Changes()
    for entry in entries:
        seq, room = entry.seq, entry.room
        for line in entry.lines:
            facts.append((seq, room, line.kind, entry.at_ms, line.data))
            for audience in line.audiences:
                deliveries.append((audience, seq))
            seq += 1
        if entry.key is not None:
            keys.append(entry.key)
        for place in entry.leaves:
            seats.drop(place)
        for seat in entry.takes:
            seats.put((seat.sid, seat.room), seat)
        for key in entry.unsets:
            timers.drop((room, key))
        for timer in entry.sets:
            timers.put((timer.room, timer.key), timer)
        if entry.told is not None:
            tells.drop(entry.told)
        for tell in entry.tells:
            tells.there.setdefault(tell.id, tell)  # as in the table: the first word of an id stands
    FACTS.run(connection, facts)
    DELIVERIES.run(connection, deliveries)
    if keys:
        KEYS.run(connection, [(key.user, key.key, key.digest, key.ack, key.at_ms) for key in keys])
    _write_seats(connection, seats)
    _write_timers(connection, timers)
    _write_tells(connection, tells)


def _write_seats(connection: apsw.Connection, seats: Changes[tuple[str, str], SeatRecord]) -> None:
    if seats.gone:
        connection.executemany("delete from seat where sid = ? and room = ?", seats.gone)
    if seats.there:
        SEATS.run(
            connection,
            [
                (seat.sid, seat.room, seat.user, orjson.dumps(seat.audiences).decode(), seat.since, seat.at_ms)
                for seat in seats.there.values()
            ],
        )


def _write_timers(connection: apsw.Connection, timers: Changes[tuple[str, str], TimerRecord]) -> None:
    if timers.gone:
        connection.executemany("delete from timer where room = ? and key = ?", timers.gone)
    if timers.there:
        TIMERS.run(
            connection,
            [(timer.room, timer.key, timer.due_ms, timer.command, timer.data) for timer in timers.there.values()],
        )


def _write_tells(connection: apsw.Connection, tells: Changes[str, TellRecord]) -> None:
    if tells.gone:
        connection.executemany("delete from tell where id = ?", [(id_,) for id_ in tells.gone])
    if tells.there:
        TELLS.run(connection, [(tell.id, tell.room, tell.command, tell.data) for tell in tells.there.values()])
