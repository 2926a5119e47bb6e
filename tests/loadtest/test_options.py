"""Options take the type of their default and say what is wrong with a value."""

from __future__ import annotations

import pytest

from loadtest.options import Option, Options, parsed

DECLARED = [
    Option("voters", 10, "how many vote"),
    Option("share", 0.5, "how many stay"),
    Option("late", False, "whether they are late"),
    Option("room", "main", "where"),
]


def test_what_is_not_given_keeps_its_default() -> None:
    assert parsed(DECLARED, []).as_dict() == {"voters": 10, "share": 0.5, "late": False, "room": "main"}


def test_values_take_the_type_of_the_default() -> None:
    options = parsed(DECLARED, ["voters=20", "share=1", "late=yes", "room=a=b"])
    assert options.number("voters") == 20
    assert options.real("share") == 1.0
    assert options.flag("late") is True
    assert options.text("room") == "a=b"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("voters=many", "a whole number"),
        ("share=half", "a number"),
        ("late=perhaps", "yes or no"),
        ("voters", "name=value"),
        ("voter=1", "voters, share, late, room"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_right(given: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parsed(DECLARED, [given])


@pytest.mark.parametrize(
    ("option", "given", "allowed"),
    [
        (Option("n", 1, "", least=1), "0", "1 or more"),
        (Option("n", 1.0, "", least=0.01), "0", "0.01 or more"),
        (Option("n", 1, "", most=9), "10", "at most 9"),
        (Option("n", 1, "", least=0, most=100), "-1", "from 0 to 100"),
        (Option("n", 1.0, ""), "nan", "a finite number"),
        (Option("n", 1.0, "", least=0), "inf", "0 or more"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_what_is_allowed(option: Option, given: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^-o n={given}: it must be {allowed}$"):
        parsed([option], [f"n={given}"])


def test_the_bounds_themselves_are_allowed() -> None:
    options = [Option("n", 1, "", least=0, most=100)]
    assert [parsed(options, [f"n={given}"]).number("n") for given in (0, 100)] == [0, 100]


def test_get_falls_back_when_there_is_no_value_of_that_type() -> None:
    options = Options({"rate": 3, "room": "main"})
    assert options.get("rate", 1.5) == 3.0
    assert options.get("room", 7) == 7
    assert options.get("else", "x") == "x"
