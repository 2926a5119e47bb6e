"""Values are taken as written or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from livehub.values import SHOWN_CHARS_MAX, Values, allowed, from_environment, show

MAKE = Values(Path("/base")).make


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (2.5, float, 2.5),
        ("a", str, "a"),
        (True, bool, True),
        ("os", Literal["disk", "os"], "os"),
        ("var", Path, Path("/base/var")),
        ("/var", Path, Path("/var")),
        ("", Path | None, None),
        ("x", Path | None, Path("/base/x")),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ([], tuple[str, ...], ()),
        (["a"], list[str], ["a"]),
        ([1, 2, 3], tuple[int, int, int], (1, 2, 3)),
        ({"A": ["x"]}, Mapping[str, tuple[str, ...]], {"A": ("x",)}),
    ],
)
def test_values_of_the_right_kind_are_kept(value: object, kind: Any, made: object) -> None:
    assert MAKE(value, kind, {}) == made


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (3.7, int),
        ("3", int),
        (1, bool),
        (True, float),
        (float("nan"), float),
        (float("inf"), float),
        (1, str),
        ("half \udc80", str),
        ("tape", Literal["disk", "os"]),
        ("", Path),
        ("a\0b", Path),
        (1, Path | None),
        ("ab", tuple[str, ...]),
        ([1], tuple[str, ...]),
        ([1, 2], tuple[int, int, int]),
        ("ab", list[str]),
        (["x"], Mapping[str, tuple[str, ...]]),
        ({"A": "x"}, Mapping[str, tuple[str, ...]]),
    ],
)
def test_nothing_is_converted(value: object, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^(a .*|true or false|\"disk\" or \"os\")$"):
        MAKE(value, kind, {})


@pytest.mark.parametrize("value", [0, 11])
def test_bounds_hold_and_are_told(value: int) -> None:
    with pytest.raises(ValueError, match=r"a whole number from 1 to 10 \(asks\)"):
        MAKE(value, int, {"least": 1, "most": 10, "unit": "asks"})


def test_bounds_hold_for_each_number_of_a_list() -> None:
    with pytest.raises(ValueError, match="a list of 3 whole numbers, at least 0"):
        MAKE([1, -1, 1], tuple[int, int, int], {"least": 0})


def test_choices_hold_and_are_told() -> None:
    with pytest.raises(ValueError, match='"a" or "b"'):
        MAKE("c", str, {"choices": ("a", "b")})


@pytest.mark.parametrize(
    ("kind", "metadata", "text"),
    [
        (bool, {}, "true or false"),
        (float, {"most": 2}, "a number, at most 2"),
        (Path | None, {}, "a path"),
        (tuple[str, ...], {}, "a list of strings"),
        (Literal["x", "y"], {}, '"x" or "y"'),
        (Mapping[str, tuple[str, ...]], {}, "a table of lists of strings"),
    ],
)
def test_what_is_allowed_is_told_in_words(kind: Any, metadata: dict[str, Any], text: str) -> None:
    assert allowed(kind, metadata) == text


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", int, 5),
        ("2.5", float, 2.5),
        ("true", bool, True),
        ('["a", "b"]', tuple[str, ...], ["a", "b"]),
        ('{A = ["x"]}', Mapping[str, tuple[str, ...]], {"A": ["x"]}),
        ("plain", str, "plain"),
        ('"quoted"', str, "quoted"),
        ("12345", str, "12345"),
        ("true", str, "true"),
        ("12", Path, "12"),
        ("12", Path | None, "12"),
        ("json", Literal["text", "json"], "json"),
        ("1\nother = 2", int, "1\nother = 2"),
        ("", str, ""),
        ("many", int, "many"),
    ],
)
def test_the_environment_holds_toml_values_or_plain_text(text: str, kind: Any, value: object) -> None:
    assert from_environment(text, kind) == value


def test_shown_values_are_short_and_printable() -> None:
    assert len(show("x" * 1_000)) == SHOWN_CHARS_MAX + 1
    assert show("\udc80") == '"\\udc80"'
    assert show(["a", 1]) == '["a", 1]'
