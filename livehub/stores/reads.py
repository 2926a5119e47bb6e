"""What is read back from the file. Each runs in a worker thread, on a connection that only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw
import orjson

from livehub.ports import KeyRecord, Record, SeatRecord, TellRecord, TimerRecord
from livehub.stores.rows import ROOM_MARK

READ = """
with due(seq) as (
    select seq from (select seq from delivery where audience = :place and seq > :after order by seq limit :limit)
    union all
    select seq from delivery_tail where audience = :place and seq > :after
    order by seq limit :limit
)
select f.seq, f.room, f.kind, f.at_ms, f.data from due cross join fact f on f.seq = due.seq order by f.seq
"""

COUNT = """
select (select count(*) from delivery where audience = :place)
     + (select count(*) from delivery_tail where audience = :place)
"""

ROOMS = """
with recursive found(place) as (
    select min(audience) from delivery where audience > :first and audience < :last
    union all
    select (select min(audience) from delivery where audience > found.place and audience < :last)
    from found where found.place is not null
)
select place from found where place is not null
union
select audience from delivery_tail where audience > :first and audience < :last
"""
"""One step in the table per room, however many facts it has."""

REPLAY = """
with asked as materialized (
    select key as place, value ->> 0 as audience, value ->> 1 as heard from json_each(:audiences)
),
due as materialized (
    select seq, min(place) as place from (
        select d.seq as seq, a.place as place
        from asked a cross join delivery d on d.audience = a.audience and d.seq > a.heard and d.seq <= coalesce(
            (select seq from delivery
             where audience = a.audience and seq > a.heard and seq <= :upto order by seq limit 1 offset :skip),
            :upto
        )
        union all
        select t.seq, a.place
        from delivery_tail t cross join asked a on a.audience = t.audience and t.seq > a.heard
        where t.audience in (select audience from asked) and t.seq <= :upto
    )
    group by seq order by seq limit :limit
)
select f.seq, f.room, f.kind, f.at_ms, f.data, due.place from due cross join fact f on f.seq = due.seq order by f.seq
"""
"""Each audience gives at most `limit` sorted rows (`skip` is one less), however far behind it is; of these and of the
tail's the first `limit` remain."""

FIND_KEY = """
with recursive run(since_ms) as (
    select min(since_ms) from key
    union all
    select (select min(since_ms) from key where since_ms > run.since_ms) from run where run.since_ms is not null
)
select key.user, key.key, key.digest, key.ack, key.at_ms
from run cross join key on key.since_ms = run.since_ms and key.user = :user and key.key = :key
union all
select user, key, digest, ack, at_ms from key_tail where user = :user and key = :key
order by at_ms desc limit 1
"""
"""One that came again after its life is there twice until the first is pruned: the latest stands."""

KEYS_SINCE = """
select user, key from key
where since_ms >= coalesce((select max(since_ms) from key where since_ms <= :at_ms), 0) and at_ms >= :at_ms
union all
select user, key from key_tail where at_ms >= :at_ms
"""
SEATS = "select sid, room, user, audiences, since, at_ms from seat where sid = ? order by taken"
TIMERS = "select room, key, due_ms, command, data from timer order by due_ms, room, key"
TELLS = "select id, room, command, data from tell order by told"


def read(connection: apsw.Connection, room: str, after: int, limit: int) -> list[Record]:
    """A room's facts."""
    asked = {"place": ROOM_MARK + room, "after": after, "limit": limit}
    return [Record(*row) for row in _rows(connection, READ, asked)]


def count(connection: apsw.Connection, room: str) -> int:
    """How many facts a room has."""
    return int(_rows(connection, COUNT, {"place": ROOM_MARK + room})[0][0])


def rooms(connection: apsw.Connection, kind: str) -> list[str]:
    """Rooms of a kind; `;` is what follows `:`."""
    asked = {"first": f"{ROOM_MARK}{kind}:", "last": f"{ROOM_MARK}{kind};"}
    return [place.removeprefix(ROOM_MARK) for (place,) in _rows(connection, ROOMS, asked)]


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
    return next((KeyRecord(*row) for row in _rows(connection, FIND_KEY, {"user": user, "key": key})), None)


def keys_since(connection: apsw.Connection, at_ms: int) -> list[tuple[str, str]]:
    """Keys used since."""
    return _rows(connection, KEYS_SINCE, {"at_ms": at_ms})


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
