"""A batch as rows: every row once, however many, and the last word on each key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from livehub.ports import Entry, Line, SeatRecord, Tenure, TimerRecord
from livehub.stores.rows import Changes, Insert, write
from livehub.stores.schema import open_log


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection, _ = open_log(tmp_path / "log.db", "os", 1_000)
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 15, 16, 63, 64, 65, 64 + 16 + 4 + 1, 1_000])
def test_any_number_of_rows_is_inserted(connection: apsw.Connection, count: int) -> None:
    connection.execute("create table t(a, b)")
    rows = [(number, b"%d" % number) for number in range(count)]
    Insert("insert into t(a, b)", 2).run(connection, rows)
    assert connection.execute("select a, b from t order by rowid").fetchall() == rows


def test_a_thousand_rows_take_few_statements(connection: apsw.Connection) -> None:
    connection.execute("create table t(a)")
    statements = 0

    def count(_: apsw.Cursor, statement: str, bindings: apsw.Bindings | None) -> bool:
        nonlocal statements
        statements += 1
        return True

    connection.exec_trace = count
    Insert("insert into t(a)", 1).run(connection, [(number,) for number in range(1_000)])
    assert statements < 30


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
    assert connection.execute("select * from delivery").fetchall() == [("a", 5), ("a", 7), ("b", 7)]


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
