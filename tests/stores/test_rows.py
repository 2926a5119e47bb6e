"""A batch as rows: every row once, however many, and the last word on each key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw
import pytest

from livehub.ports import Entry, KeyRecord, Line, Record, SeatRecord, Tenure, TimerRecord
from livehub.stores import reads, rows
from livehub.stores.rows import Changes, write
from livehub.stores.schema import open_log


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection, _ = open_log(tmp_path / "log.db", "os", 1_000)
    yield connection
    connection.close()


def test_changes_keep_the_last_word() -> None:
    changes: Changes[str, int] = Changes()
    changes.put("a", 1)
    changes.put("b", 1)
    changes.put("a", 2)
    changes.drop("c")
    assert (list(changes.there.items()), list(changes.gone)) == ([("a", 2), ("b", 1)], ["c"])
    changes.drop("a")
    changes.put("a", 3)
    changes.put("c", 1)
    assert (list(changes.there.items()), list(changes.gone)) == ([("b", 1), ("a", 3), ("c", 1)], ["c", "a"])


def test_lines_of_one_entry_have_seqs_in_a_row(connection: apsw.Connection) -> None:
    lines = [Line("said", b"1", ("a",)), Line("heard", b"2"), Line("said", b"3", ("a", "b", "a"))]
    write(connection, [Entry(Tenure(), "room", 7, print, lines, seq=5)])
    assert connection.execute("select * from fact").fetchall() == [
        (5, "room", "said", 7, b"1"),
        (6, "room", "heard", 7, b"2"),
        (7, "room", "said", 7, b"3"),
    ]
    assert reads.read(connection, "room", 5, 9) == [
        Record(6, "room", "heard", 7, b"2"),
        Record(7, "room", "said", 7, b"3"),
    ]
    assert [record.seq for record in reads.replay(connection, {"a": 0, "b": 0}, 9, 9)] == [5, 7]


def test_what_is_looked_up_by_name_is_found_in_the_tail_and_sorted(connection: apsw.Connection) -> None:
    """Enough for both tails to be sorted in, and some more."""
    count = rows.KEYS.rows_max + 110
    seqs = range(1, count + 1)
    keys = [KeyRecord(f"user {seq % 7}", f"key {seq}", b"digest", b"ack", seq) for seq in seqs]
    for start in range(0, count, 100):
        batch = seqs[start : start + 100]
        entries = [
            Entry(Tenure(), f"room:{seq % 5}", seq, print, [Line("said", b"", ("a", "a"))], keys[seq - 1], seq=seq)
            for seq in batch
        ]
        if write(connection, entries):
            rows.sort(connection)
    for table in ("delivery", "delivery_tail", "key", "key_tail"):
        assert connection.execute(f"select count(*) from {table}").get
    assert [record.seq for record in reads.read(connection, "room:2", 0, count)] == list(range(2, count + 1, 5))
    assert [record.seq for record in reads.replay(connection, {"a": 0}, count, count)] == list(seqs)
    assert sorted(reads.rooms(connection, "room")) == [f"room:{number}" for number in range(5)]
    assert reads.count(connection, "room:2") == len(range(2, count + 1, 5))
    assert [reads.find_key(connection, key.user, key.key) for key in keys[::97]] == keys[::97]
    assert len(reads.keys_since(connection, 11)) == count - 10


def test_keys_lie_in_few_runs(connection: apsw.Connection) -> None:
    """Each is looked through for every key that may have come again."""
    keys = (KeyRecord("ada", f"{number * 7919 % 50_000:05}", b"", b"", number) for number in range(50_000))
    while batch := list(islice(keys, rows.KEYS.rows_max)):
        if write(connection, [Entry(Tenure(), "room", 1, print, key=key) for key in batch]):
            rows.sort(connection)
    runs = connection.execute("select since_ms, count(*) from key group by since_ms order by since_ms").fetchall()
    assert runs == [(0, 5 * 4_096), (5 * 4_096, 5 * 4_096), (10 * 4_096, 2 * 4_096)]
    assert reads.find_key(connection, "ada", "00000") == KeyRecord("ada", "00000", b"", b"", 0)
    assert len(reads.keys_since(connection, 30_000)) == 20_000


def test_within_an_entry_what_ends_comes_before_what_begins(connection: apsw.Connection) -> None:
    seat = SeatRecord("sid", "room", "ada", (), 1, 1)
    timer = TimerRecord("room", "k", 1, "ring", b"")
    write(connection, [Entry(Tenure(), "room", 1, print, takes=[seat], sets=[timer])])
    again = Entry(Tenure(), "room", 1, print, takes=[seat], leaves=[("sid", "room")], sets=[timer], unsets=["k"])
    write(connection, [again])
    assert connection.execute("select count(*) from seat").get == 1
    assert connection.execute("select count(*) from timer").get == 1


def test_nothing_is_written_for_nothing(connection: apsw.Connection) -> None:
    before = connection.total_changes()
    write(connection, [])
    write(connection, [Entry(Tenure(), "room", 1, print)])
    assert connection.total_changes() == before
