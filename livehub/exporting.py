"""Tables as JSON and CSV, piece by piece, so that an export never has to be in memory as a whole.

CSV is written for spreadsheets: UTF-8 with a byte order mark, CRLF (RFC 4180), and text that a spreadsheet would take
for a formula begins with an apostrophe, as OWASP advises ("CSV Injection"). Numbers stay numbers. Lists and objects are
compact JSON with sorted keys: for `voteData` that is to the letter what `voteHash` is made of.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

JSON: TypeAlias = Any

BOM = "\ufeff"
CHUNK_CHARS = 16_384
"""One piece on its way out: some 2 ms of work, for rows that are not long to make."""
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""Full-width signs too: some spreadsheets take them for the narrow ones."""
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a value for each column; they may be made as they are read, so they can be read once."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[JSON, ...]]


class _Echo:
    """A file for `csv.writer` whose `write` is the value of `writerow`."""

    def write(self, text: str) -> str:
        return text


def collect(parts: Iterable[Mapping[str, Table]], only: str = "") -> dict[str, Table]:
    """The tables of all parts, or one of them."""
    return {name: table for part in parts for name, table in part.items() if only in ("", name)}


def full_name(person: Mapping[str, str]) -> str:
    """First and last name of a person as everybody may see them."""
    return " ".join(part for part in (person["firstName"], person["lastName"]) if part)


def json_text(head: Mapping[str, JSON], tables: Mapping[str, Table]) -> Iterator[str]:
    """One object: the fields of `head`, then a list of objects per table, one row a line."""
    yield "{"
    yield ",".join(f"\n{_compact(name)}:{_compact(value)}" for name, value in head.items())
    for name, table in tables.items():
        yield f",\n{_compact(name)}:["
        between = "\n"
        for row in table.rows:
            yield f"{between}{_compact(dict(zip(table.columns, row, strict=True)))}"
            between = ",\n"
        yield "]"
    yield "\n}\n"


def csv_text(table: Table) -> Iterator[str]:
    """One table, its columns named in the first line."""
    writer = csv.writer(_Echo())
    yield BOM + str(writer.writerow(table.columns))
    for row in table.rows:
        yield str(writer.writerow([cell(value) for value in row]))


def flat_csv_text(tables: Mapping[str, Table]) -> Iterator[str]:
    """All tables in one: the first column names the table, columns of other tables stay empty."""
    columns = tuple(dict.fromkeys(column for table in tables.values() for column in table.columns))

    def rows() -> Iterator[tuple[JSON, ...]]:
        for name, table in tables.items():
            for row in table.rows:
                values = dict(zip(table.columns, row, strict=True))
                yield (name, *(values.get(column) for column in columns))

    return csv_text(Table(("table", *columns), rows()))


def chunks(pieces: Iterable[str], due: Callable[[], bool] = bool) -> Iterator[bytes]:
    """The same text in UTF-8, in pieces that are worth sending, or smaller ones when `due` says that it is time."""
    waiting: list[str] = []
    chars = 0
    for piece in pieces:
        waiting.append(piece)
        chars += len(piece)
        if chars >= CHUNK_CHARS or (chars and due()):
            yield "".join(waiting).encode()
            waiting.clear()
            chars = 0
    if waiting:
        yield "".join(waiting).encode()


def cell(value: JSON) -> str | int | float:
    """A value as a spreadsheet takes it for what it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else _compact(value, sort_keys=True)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def file_stem(session_id: str, table: str = "") -> str:
    """A file name without its ending that every file system and browser takes."""
    return UNSAFE.sub("_", "-".join(filter(None, ("session", session_id, table))))


def _compact(value: JSON, *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":"))
