"""Entries as rows: what a batch writes, table by table.

What is looked up by its name goes into tails first (`stores/inserts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import apsw
import orjson

from livehub.ports import Entry, SeatRecord, TellRecord, TimerRecord
from livehub.stores.inserts import Insert, Row, Tail

K = TypeVar("K")
V = TypeVar("V")


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


ROOM_MARK = "="
"""Among the deliveries a room stands with this before its name: what happened in it, whoever was to hear it."""

FACTS = Insert("insert into fact(seq, room, kind, at_ms, data)", 5)
DELIVERIES = Tail(
    Insert("insert into delivery_tail(audience, seq)", 2),
    2_048,  # looking a room up goes through all of them: 0.06 ms
    "select max(place) from delivery_tail",
    # a line may name an audience twice
    "insert or ignore into delivery(audience, seq) select audience, seq from delivery_tail order by audience, seq",
    "delete from delivery_tail",
)
KEYS = Tail(
    Insert("insert into key_tail(user, key, digest, ack, at_ms)", 5),
    4_096,
    "select max(place) from key_tail",
    """
    insert or replace into key(since_ms, user, key, digest, ack, at_ms)
    select (
        select case when count(*) between 1 and 16384 then max(since_ms)
        else max(coalesce((select max(since_ms) + 1 from key), 0), (select min(at_ms) from key_tail)) end
        from key where since_ms = (select max(since_ms) from key)
    ), user, key, digest, ack, at_ms
    from key_tail order by user, key, place
    """,  # the last word on a key stands
    "delete from key_tail",
)
"""Keys lie in runs, each sorted, of 16,384 keys and more. A look-up goes through all runs, 1.2 µs each: a million keys
are 50 of them. In longer runs the keys of a tail would lie further apart, and change a page each again."""
SEATS = Insert(
    "insert into seat(sid, room, user, audiences, since, at_ms)",
    6,
    "on conflict (sid, room) do update set user = excluded.user, audiences = excluded.audiences, "
    "since = excluded.since, at_ms = excluded.at_ms",
)
TIMERS = Insert("insert or replace into timer(room, key, due_ms, command, data)", 5)
TELLS = Insert("insert or ignore into tell(id, room, command, data)", 4)


def write(connection: apsw.Connection, entries: Iterable[Entry]) -> bool:
    """Write entries inside the caller's transaction. Within one entry what ends comes before what begins.

    Returns whether there is something to `sort`.
    """
    facts: list[Row] = []
    deliveries: list[Row] = []
    keys: list[Row] = []
    seats: Changes[tuple[str, str], SeatRecord] = Changes()
    timers: Changes[tuple[str, str], TimerRecord] = Changes()
    tells: Changes[str, TellRecord] = Changes()
    for entry in entries:
        seq, room = entry.seq, entry.room
        for line in entry.lines:
            facts.append((seq, room, line.kind, entry.at_ms, line.data))
            deliveries.append((ROOM_MARK + room, seq))
            for audience in line.audiences:
                deliveries.append((audience, seq))
            seq += 1
        if (used := entry.key) is not None:
            keys.append((used.user, used.key, used.digest, used.ack, used.at_ms))
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
    long = [DELIVERIES.add(connection, deliveries), KEYS.add(connection, keys)]
    _write_seats(connection, seats)
    _write_timers(connection, timers)
    _write_tells(connection, tells)
    return any(long)


def sort(connection: apsw.Connection) -> None:
    """Sort in the tails that are long, inside the caller's transaction."""
    DELIVERIES.sort(connection)
    KEYS.sort(connection)


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
