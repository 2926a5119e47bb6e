"""What is read back from the file. Each runs in a worker thread, on a connection that only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw
import orjson

from livehub.ports import KeyRecord, Record, SeatRecord, TellRecord, TimerRecord

READ = "select seq, room, kind, at_ms, data from fact where room = ? and seq > ? order by seq limit ?"

ROOMS = """
with recursive found(room) as (
    select min(room) from fact where room > :first and room < :last
    union all
    select (select min(room) from fact where room > found.room and room < :last) from found where found.room is not null
)
select room from found where room is not null
"""
"""One step in the index per room, however many facts it has."""

REPLAY = """
with asked as materialized (
    select key as place, value ->> 0 as audience, value ->> 1 as heard from json_each(:audiences)
),
due as materialized (
    select d.seq as seq, min(a.place) as place
    from asked a cross join delivery d on d.audience = a.audience and d.seq > a.heard and d.seq <= coalesce(
        (select seq from delivery
         where audience = a.audience and seq > a.heard and seq <= :upto order by seq limit 1 offset :skip),
        :upto
    )
    group by d.seq order by d.seq limit :limit
)
select f.seq, f.room, f.kind, f.at_ms, f.data, due.place from due cross join fact f on f.seq = due.seq order by f.seq
"""
"""Each audience gives at most `limit` rows (`skip` is one less), however far behind it is; the first `limit` remain."""

FIND_KEY = "select user, key, digest, ack, at_ms from key where user = ? and key = ?"
KEYS_SINCE = "select user, key from key where at_ms >= ?"
SEATS = "select sid, room, user, audiences, since, at_ms from seat where sid = ? order by taken"
TIMERS = "select room, key, due_ms, command, data from timer order by due_ms, room, key"
TELLS = "select id, room, command, data from tell order by told"


def read(connection: apsw.Connection, room: str, after: int, limit: int) -> list[Record]:
    """A room's facts."""
    return [Record(*row) for row in _rows(connection, READ, (room, after, limit))]


def rooms(connection: apsw.Connection, kind: str) -> list[str]:
    """Rooms of a kind; `;` is what follows `:`."""
    return [room for (room,) in _rows(connection, ROOMS, {"first": f"{kind}:", "last": f"{kind};"})]


def replay(connection: apsw.Connection, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
    """What several audiences have not heard, once, in order."""
    if limit < 1:
        return []
    names = list(audiences)
    asked = {
        "audiences": orjson.dumps(list(audiences.items())).decode(),
        "upto": upto,
        "limit": limit,
        "skip": limit - 1,
    }
    return [
        Record(seq, room, kind, at_ms, data, names[place])
        for seq, room, kind, at_ms, data, place in _rows(connection, REPLAY, asked)
    ]


def find_key(connection: apsw.Connection, user: str, key: str) -> KeyRecord | None:
    """A used key."""
    return next((KeyRecord(*row) for row in _rows(connection, FIND_KEY, (user, key))), None)


def keys_since(connection: apsw.Connection, at_ms: int) -> list[tuple[str, str]]:
    """Keys used since."""
    return _rows(connection, KEYS_SINCE, (at_ms,))


def seats(connection: apsw.Connection, sid: str) -> list[SeatRecord]:
    """A connection's seats."""
    return [
        SeatRecord(sid_, room, user, tuple(orjson.loads(audiences)), since, at_ms)
        for sid_, room, user, audiences, since, at_ms in _rows(connection, SEATS, (sid,))
    ]


def timers(connection: apsw.Connection) -> list[TimerRecord]:
    """Timers still to ring."""
    return [TimerRecord(*row) for row in _rows(connection, TIMERS)]


def tells(connection: apsw.Connection) -> list[TellRecord]:
    """Words still to be answered."""
    return [TellRecord(*row) for row in _rows(connection, TELLS)]


def _rows(connection: apsw.Connection, query: str, values: apsw.Bindings = ()) -> list[Any]:
    """All rows at once: a statement left half read would keep the WAL from being used again."""
    return connection.execute(query, values).fetchall()
