"""Putting rows into tables: many to a step, and sorted some thousands at a time.

Rows go in many to a statement. Each step of a statement gives up the GIL and has to win it back from a busy loop,
which may take a whole switch interval (5 ms): 100 facts with synchronous=FULL beside a spinning thread took 82 ms one
row a step and 16 ms fifty rows a step; on an idle machine 0.30 and 0.26 ms.

What is looked up by name comes in the order of time, but its index has it anywhere: each row changes a page of its own,
and the whole page goes through the WAL. So rows are appended to a tail, and when it is long they move into the table,
sorted, and each page takes all of its rows at once: with 200 people in 20 rooms a message takes the commit thread 16 µs
instead of 41. Whoever looks something up looks at both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import apsw

ROWS_PER_STEP = (64, 16, 4, 1)

Row: TypeAlias = "tuple[apsw.SQLiteValue, ...]"  # the name is in apsw's stub only


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


@dataclass(frozen=True, slots=True)
class Tail:
    """Rows that wait to be sorted, in a table whose rowids begin again when it is emptied."""

    insert: Insert
    rows_max: int
    last: str  # a statement for the last rowid
    move: str  # one that puts the rows where they belong, in the order of that place
    empty: str

    def add(self, connection: apsw.Connection, rows: Sequence[Row]) -> bool:
        """Append rows, inside the caller's transaction. Returns whether the tail is long now."""
        if not rows:
            return False
        self.insert.run(connection, rows)
        return connection.last_insert_rowid() >= self.rows_max

    def sort(self, connection: apsw.Connection) -> None:
        """Sort the rows in, inside the caller's transaction, if there are enough of them."""
        last = connection.execute(self.last).get
        if isinstance(last, int) and last >= self.rows_max:
            connection.execute(self.move)
            connection.execute(self.empty)
