"""Reading the file: by index, whole, and without holding anything up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import apsw
import orjson
import pytest

from livehub.ports import Entry, Line, SeatRecord, Tenure, TimerRecord
from livehub.stores import reads, rows
from livehub.stores.schema import open_log, open_reader
from tests.stores.desk import short_tails

FACTS = 500


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection, _ = open_log(tmp_path / "log.db", "os", 1_000)
    entries = []
    for seq in range(1, FACTS + 1):
        audiences = ("all", "even") if seq % 2 == 0 else ("all",)
        entries.append(Entry(Tenure(), f"room {seq % 5}", seq, print, [Line("said", b"%d" % seq, audiences)], seq=seq))
    with connection, short_tails():
        rows.write(connection, entries)
        rows.sort(connection)
    yield connection
    connection.close()


@pytest.fixture
def reading(writing: apsw.Connection, tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_reader(tmp_path / "log.db")
    yield connection
    connection.close()


def plan(connection: apsw.Connection, query: str, values: apsw.Bindings) -> list[str]:
    return [str(row[3]) for row in connection.execute("explain query plan " + query, values)]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (reads.READ, {"place": "=room 1", "after": 10, "limit": 5}),
        (reads.COUNT, {"place": "=room 1"}),
        (reads.REPLAY, {"audiences": orjson.dumps([("all", 1)]).decode(), "upto": 9, "limit": 5, "skip": 4}),
        (reads.FIND_KEY, {"user": "ada", "key": "k"}),
        (reads.KEYS_SINCE, {"at_ms": 0}),
        (reads.SEATS, ("sid",)),
        (reads.ROOMS, {"first": "=user:", "last": "=user;"}),
    ],
    ids=["read", "count", "replay", "find_key", "keys_since", "seats", "rooms"],
)
def test_no_read_goes_through_more_than_a_tail(reading: apsw.Connection, query: str, values: apsw.Bindings) -> None:
    steps = plan(reading, query, values)
    tables = ("fact", "delivery", "key", "seat", "d", "f")
    assert not [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables], steps
    assert [step for step in steps if step.startswith("SEARCH")]


def test_reading_a_room_looks_at_no_more_than_its_limit(reading: apsw.Connection) -> None:
    def steps(limit: int) -> int:
        return work(reading, lambda: reads.read(reading, "room 1", 0, limit))

    assert steps(3) * 10 < steps(FACTS)


def test_replay_looks_at_no_more_than_its_limit_per_audience(reading: apsw.Connection) -> None:
    def steps(limit: int) -> int:
        return work(reading, lambda: reads.replay(reading, {"all": 0, "even": 0}, FACTS, limit))

    assert [record.seq for record in reads.replay(reading, {"all": 0, "even": 0}, FACTS, 3)] == [1, 2, 3]
    assert steps(3) * 10 < steps(FACTS)


def test_replay_goes_through_the_tail_once_for_all_audiences(
    writing: apsw.Connection, reading: apsw.Connection
) -> None:
    lines = [Line("said", b"", ("all",))] * 500
    with writing:
        rows.write(writing, [Entry(Tenure(), "room", 1, print, lines, seq=FACTS + 1)])
    one, many = (
        work(reading, partial(reads.replay, reading, asked, 2 * FACTS, 10))
        for asked in ({"nobody": 0}, {f"nobody {number}": 0 for number in range(60)})
    )
    assert many < 3 * one


def work(connection: apsw.Connection, read: Callable[[], object]) -> int:
    """What a read costs, in tens of steps of SQLite's machine."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    connection.set_progress_handler(count, 10)
    read()
    connection.set_progress_handler(None)
    return steps


def test_a_reader_sees_what_is_committed_and_only_that(writing: apsw.Connection, reading: apsw.Connection) -> None:
    new = Entry(Tenure(), "room new", 1, print, [Line("said", b"1")], seq=FACTS + 1)
    writing.execute("begin immediate")
    rows.write(writing, [new])
    assert reads.read(reading, "room new", 0, 10) == []
    writing.execute("commit")
    assert [record.seq for record in reads.read(reading, "room new", 0, 10)] == [FACTS + 1]


def test_a_reader_cannot_write(reading: apsw.Connection) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        reading.execute("delete from fact")


def test_reads_leave_the_wal_to_be_used_again(writing: apsw.Connection, reading: apsw.Connection) -> None:
    reads.read(reading, "room 1", 0, 2)
    reads.replay(reading, {"all": 0}, FACTS, 2)
    reads.find_key(reading, "ada", "k")
    reads.timers(reading)
    busy, _, _ = writing.execute("pragma wal_checkpoint(truncate)").fetchall()[0]
    assert busy == 0


def test_records_come_back_as_they_were_written(writing: apsw.Connection, reading: apsw.Connection) -> None:
    seat = SeatRecord("sid", "room", "ada", ("hall", "hall:é"), 3, 4)
    timer = TimerRecord("room", "k", 10, "ring", b"\x00\xff")
    with writing:
        rows.write(writing, [Entry(Tenure(), "room", 1, print, takes=[seat], sets=[timer])])
    assert reads.seats(reading, "sid") == [seat]
    assert reads.timers(reading) == [timer]
    assert reads.tells(reading) == []
    assert reads.keys_since(reading, 0) == []
