"""Tables as JSON and CSV: what a spreadsheet and a JSON parser make of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from livehub.exporting import (
    BOM,
    CHUNK_CHARS,
    Table,
    cell,
    chunks,
    collect,
    csv_text,
    file_stem,
    flat_csv_text,
    full_name,
    json_text,
)

HEAD = {"sessionId": "s1", "exportedAt": "2026-01-01T00:00:00.000Z"}


def things(*rows: tuple[Any, ...]) -> Table:
    return Table(("id", "what"), rows)


def parsed(text: Iterator[str]) -> list[list[str]]:
    """The cells, without the byte order mark."""
    whole = "".join(text)
    assert whole.startswith(BOM)
    return list(csv.reader(io.StringIO(whole.removeprefix(BOM), newline="")))


def test_json_is_one_object_with_the_head_and_a_list_for_each_table() -> None:
    tables = {"things": things(("a", {"x": [1, None]}), ("b", 'ä "quoted"\n')), "none": things()}
    text = "".join(json_text(HEAD, tables))
    assert json.loads(text) == {
        **HEAD,
        "things": [{"id": "a", "what": {"x": [1, None]}}, {"id": "b", "what": 'ä "quoted"\n'}],
        "none": [],
    }
    assert '\n{"id":"a"' in text  # a row a line


def test_csv_begins_with_a_byte_order_mark_and_ends_lines_with_crlf() -> None:
    text = "".join(csv_text(things(("a", 1))))
    assert text == f"{BOM}id,what\r\na,1\r\n"
    assert text.encode().startswith(b"\xef\xbb\xbfid")


def test_a_table_without_rows_still_names_its_columns() -> None:
    assert parsed(csv_text(things())) == [["id", "what"]]


@pytest.mark.parametrize("text", ["a,b", 'say "hi"', "two\nlines", "two\r\nlines", "ÄÖ 👋", " space "])
def test_text_comes_back_from_csv_as_it_was(text: str) -> None:
    assert parsed(csv_text(things((text, text)))) == [["id", "what"], [text, text]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_text_that_a_spreadsheet_would_calculate_begins_with_an_apostrophe(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    assert cell(text) == f"'{text}"
    assert parsed(csv_text(things(("a", text))))[1] == ["a", f"'{text}"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""), (True, "true"), (False, "false"), (-3, -3), (-0.5, -0.5), (0, 0), ("a=b", "a=b"), ("", ""),
        (["=x", 1], '["=x",1]'), ({"b": 1, "a": "ä"}, '{"a":"ä","b":1}'),
    ],
)  # fmt: skip
def test_other_values_stay_what_they_are(value: Any, shown: Any) -> None:
    assert cell(value) == shown
    assert type(cell(value)) is type(shown)


def test_the_flat_file_names_the_table_and_has_the_columns_of_all() -> None:
    tables = {"things": things(("a", 1)), "people": Table(("name", "id"), iter([("Ada", "=1")]))}
    assert parsed(flat_csv_text(tables)) == [
        ["table", "id", "what", "name"],
        ["things", "a", "1", ""],
        ["people", "'=1", "", "Ada"],
    ]


def test_a_row_that_does_not_fit_its_columns_is_a_defect() -> None:
    with pytest.raises(ValueError, match="zip"):
        "".join(json_text(HEAD, {"things": things(("a",))}))


def test_rows_are_made_only_as_they_are_read() -> None:
    made = []

    def rows() -> Iterator[tuple[int, str]]:
        for number in range(1_000):
            made.append(number)
            yield number, "x" * CHUNK_CHARS

    for text in (csv_text(Table(("id", "what"), rows())), json_text(HEAD, {"things": Table(("id", "what"), rows())})):
        made.clear()
        first = next(chunks(text))
        assert CHUNK_CHARS <= len(first) < 3 * CHUNK_CHARS
        assert made == [0]


def test_chunks_are_the_same_text() -> None:
    pieces = ["ä" * 1_000, "", "b"] * 60
    sent = list(chunks(pieces))
    assert b"".join(sent).decode() == "".join(pieces)
    assert [len(chunk.decode()) >= CHUNK_CHARS for chunk in sent] == [True, True, True, False]
    assert list(chunks([])) == []


def test_a_chunk_goes_out_early_when_it_is_time() -> None:
    times = iter([False, True, True, False])
    assert list(chunks(["", "a", "b", "c", "", "d"], lambda: next(times))) == [b"ab", b"c", b"d"]


def test_tables_of_all_parts_or_one_of_them() -> None:
    one, other = things(), things(("a", 1))
    parts: list[dict[str, Table]] = [{"one": one}, {}, {"other": other}]
    assert collect(parts) == {"one": one, "other": other}
    assert collect(parts, "other") == {"other": other}
    assert collect(parts, "third") == {}


@pytest.mark.parametrize(("first", "last", "full"), [("Ada", "King", "Ada King"), ("Ada", "", "Ada"), ("", "", "")])
def test_a_name_is_written_in_full(first: str, last: str, full: str) -> None:
    assert full_name({"id": "ada", "firstName": first, "lastName": last}) == full


def test_file_names_suit_every_system() -> None:
    assert file_stem("keynote") == "session-keynote"
    assert file_stem("a:b.c", "votes") == "session-a_b.c-votes"
    assert file_stem('../"x"\r\n') == "session-..__x___"
