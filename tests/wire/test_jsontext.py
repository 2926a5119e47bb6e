"""JSON text: what JavaScript sends is read, what hurts is refused, and both at once even for hostile sizes."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.wire.jsontext import DEPTH_MAX, JSON, BadJson, dumps, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: JSON) -> None:
    assert loads(dumps(value).decode()) == value


@given(st.text())
def test_any_text_is_a_value_or_bad_json(text: str) -> None:
    with suppress(BadJson):
        loads(text)


@given(VALUES, st.integers(), st.sampled_from('[]{}",:\\0 e-'))
def test_damaged_json_is_a_value_or_bad_json(value: JSON, place: int, wrong: str) -> None:
    text = dumps(value).decode()
    place %= len(text)
    with suppress(BadJson):
        loads(text[:place] + wrong + text[place + 1 :])


@pytest.mark.parametrize("text", ["", "nul", "{", "[1,]", "{'a':1}", '"\x01"', "01", "1 2", "\ufeff1", '"\\x41"', "٣"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        loads(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '["a",NaN]', '["\\ud83d",NaN]'])
def test_constants_that_only_python_knows_are_refused(text: str) -> None:
    with pytest.raises(BadJson):
        loads(text)


def test_half_an_emoji_stays_in_its_text() -> None:
    assert loads('{"text":"torn \\ud83d","whole":"\\ud83d\\ude00"}') == {"text": "torn \ud83d", "whole": "😀"}


def test_half_an_emoji_is_written_escaped() -> None:
    assert dumps(["torn \ud83d", "é"]) == b'["torn \\ud83d","\\u00e9"]'


@pytest.mark.parametrize("torn", ["", '"\\ud83d",'])
@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("1234567890123456789", 1234567890123456789),
        (str(-(1 << 63)), -(1 << 63)),
        (str((1 << 64) - 1), (1 << 64) - 1),
        (str(1 << 64), float(1 << 64)),
        ("1" + "0" * 30, 1e30),
        ("-0", 0),
    ],
)
def test_integers_are_the_same_whichever_parser_reads_them(torn: str, digits: str, number: float) -> None:
    read = loads(f"[{torn}{digits}]")[-1]
    assert read == number
    assert type(read) is type(number)


@pytest.mark.parametrize("text", ["9" * 4_300, "9" * 1_000_000, "1e999", "9" * 400 + ".5"])
def test_numbers_beyond_a_double_are_infinite_as_in_javascript(text: str) -> None:
    assert loads(text) == math.inf
    assert loads("-" + text) == -math.inf


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_written_as_null(number: float) -> None:
    assert dumps({"a": [number]}) == b'{"a":[null]}'
    assert dumps({"a": [number], "torn": "\ud83d"}) == b'{"a":[null],"torn":"\\ud83d"}'


def test_integers_beyond_64_bits_are_written() -> None:
    assert dumps([1 << 70, (1, 2)]) == b"[1180591620717411303424,[1,2]]"


def test_what_json_does_not_have_is_a_type_error() -> None:
    for value in (b"binary", {1, 2}, object()):
        with pytest.raises(TypeError):
            dumps(["a", value])


@pytest.mark.parametrize("torn", ['""', '"\\ud83d"'])
def test_containers_may_nest_to_the_bound_and_no_deeper(torn: str) -> None:
    text = "[" * DEPTH_MAX + torn + "]" * DEPTH_MAX
    assert json.dumps(loads(text)).count("[") == DEPTH_MAX
    with pytest.raises(BadJson, match="deep"):
        loads(f'{{"a":{text}}}')


def test_many_containers_side_by_side_are_not_deep() -> None:
    assert len(loads("[" + ",".join(["[{}]"] * 1_000) + "]")) == 1_000


def test_brackets_in_strings_are_not_containers() -> None:
    text = "[{" * 500 + '"' + "\\" * 3 + "😀"
    assert loads(json.dumps([text, {"[" * 200: "]"}])) == [text, {"[" * 200: "]"}]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '"' + '\\"' * 500_000 + "[" * 500,
        "[" * 200 + '"' + "\\" * 500_001,
        "]" * 100_000 + "[" * 100_000,
    ],
)
def test_hostile_text_is_refused_in_linear_time(text: str) -> None:
    """A quadratic scan would take these minutes, and a recursive one the interpreter."""
    with pytest.raises(BadJson):
        loads(text)
