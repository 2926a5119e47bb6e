"""Rows go in many to a step, and a tail is sorted in when it is long."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from livehub.stores.inserts import Insert, Tail


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
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


@pytest.fixture
def tail(connection: apsw.Connection) -> Tail:
    """At most four words wait to be sorted."""
    connection.execute("create table word(word text primary key) without rowid")
    connection.execute("create table word_tail(place integer primary key, word text not null)")
    return Tail(
        Insert("insert into word_tail(word)", 1),
        4,
        "select max(place) from word_tail",
        "insert or ignore into word select word from word_tail order by word",
        "delete from word_tail",
    )


def add(connection: apsw.Connection, tail: Tail, letters: str) -> bool:
    """Add words of one letter, and sort them in whether the tail is long or not."""
    long = tail.add(connection, [(word,) for word in letters])
    tail.sort(connection)
    return long


def words(connection: apsw.Connection) -> list[str]:
    """The sorted ones, and those that wait."""
    return [
        "".join(str(word) for (word,) in connection.execute(f"select word from {table}"))
        for table in ("word", "word_tail")
    ]


def test_a_tail_is_sorted_in_when_it_is_long(connection: apsw.Connection, tail: Tail) -> None:
    seen = []
    for batch in ("d", "", "ba", "c", "e", "hgfi", "xyz"):
        long = add(connection, tail, batch)
        seen.append(words(connection))
        assert long == (seen[-1][1] == "")
    assert seen == [
        ["", "d"],
        ["", "d"],
        ["", "dba"],
        ["abcd", ""],
        ["abcd", "e"],
        ["abcdefghi", ""],
        ["abcdefghi", "xyz"],
    ]


def test_what_is_rolled_back_was_never_there(connection: apsw.Connection, tail: Tail) -> None:
    add(connection, tail, "ba")
    for _ in range(2):
        connection.execute("begin")
        assert add(connection, tail, "dc")
        assert words(connection) == ["abcd", ""]
        connection.execute("rollback")
        assert words(connection) == ["", "ba"]
    add(connection, tail, "c")
    assert words(connection) == ["", "bac"]
