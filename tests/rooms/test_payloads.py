"""Every refusal names the field as the wire spells it, and what it may hold; what is allowed arrives unchanged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from livehub.errors import Refused
from livehub.payload import Empty, Items, OutsideId, Text, Uuid, Whole, payload
from livehub.rooms.payloads import camel, checker, describe, structure, wire_fields

UUID = "0b2f3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d"


@payload
class Choice:
    choice_text: Annotated[str, Text(10)]
    weight: Annotated[int, Whole(0, 9)] = 1


@payload
class Everything:
    the_text: Annotated[str, Text(10)]
    an_id: Uuid | None = None
    count: Annotated[int, Whole(1, 3)] = 1
    ratio: float = 0.5
    open: bool = False
    kind: Literal["a", "b"] = "a"
    choices: Annotated[list[Choice], Items(1, 2)] | None = None
    words: list[Annotated[str, Text(3)]] | None = None
    nested: Choice | None = None


def test_a_payload_arrives_as_its_type() -> None:
    data = {
        "theText": "hi",
        "anId": UUID.upper(),
        "count": 3,
        "ratio": 1,
        "open": True,
        "kind": "b",
        "choices": [{"choiceText": "x"}, {"choiceText": "y", "weight": 9}],
        "words": ["a"],
        "nested": {"choiceText": "z"},
    }
    assert structure(data, Everything) == Everything(
        "hi", UUID, 3, 1.0, True, "b", [Choice("x", 1), Choice("y", 9)], ["a"], Choice("z", 1)
    )


def test_what_is_optional_may_be_absent_or_null() -> None:
    assert structure({"theText": "hi"}, Everything) == Everything("hi")
    assert structure({"theText": "hi", "anId": None, "nested": None}, Everything) == Everything("hi")
    assert structure({}, Empty) == Empty()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"theText": None}, "theText must be a string"),
        ({"theText": 5}, "theText must be a string"),
        ({"theText": ["a"]}, "theText must be a string"),
        ({"theText": ""}, "theText must not be empty"),
        ({"theText": "x" * 11}, "theText must be at most 10 characters, not 11"),
        ({"theText": "\ud83d"}, "theText must be valid Unicode, without half of a surrogate pair"),
        ({"anId": "nope"}, "anId must be a UUID v4"),
        ({"anId": 5}, "anId must be a string"),
        ({"count": 0}, "count must be from 1 to 3"),
        ({"count": 2.0}, "count must be a whole number"),
        ({"count": "2"}, "count must be a whole number"),
        ({"count": True}, "count must be a whole number"),
        ({"count": None}, "count must be a whole number"),
        ({"ratio": "1"}, "ratio must be a number"),
        ({"ratio": True}, "ratio must be a number"),
        ({"open": 1}, "open must be true or false"),
        ({"open": "true"}, "open must be true or false"),
        ({"kind": "c"}, "kind must be one of a, b"),
        ({"kind": 1}, "kind must be one of a, b"),
        ({"choices": []}, "choices must have 1 to 2 items, not 0"),
        ({"choices": {}}, "choices must be a list"),
        ({"choices": "ab"}, "choices must be a list"),
        ({"choices": ["x"]}, "choices[0] must be an object"),
        ({"choices": [{"choiceText": "x"}, {}]}, "choices[1].choiceText is required"),
        ({"choices": [{"choiceText": "x", "weight": 10}]}, "choices[0].weight must be from 0 to 9"),
        (
            {"choices": [{"choiceText": "x", "hue": 1}]},
            "choices[0].'hue' is not a field here; allowed: choiceText, weight",
        ),
        ({"words": ["abc", "abcd"]}, "words[1] must be at most 3 characters, not 4"),
        ({"words": [1]}, "words[0] must be a string"),
        ({"nested": 1}, "nested must be an object"),
        ({"nested": {"choiceText": ""}}, "nested.choiceText must not be empty"),
        ({"nested": {}}, "nested.choiceText is required"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_may_hold(change: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as caught:
        structure({"theText": "hi", **change}, Everything)
    assert caught.value.message == told
    assert (caught.value.status, caught.value.code) == (400, "invalid_payload")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Refused, match=r"^theText is required$"):
        structure({}, Everything)


def test_an_unknown_field_is_named_with_what_is_allowed() -> None:
    with pytest.raises(Refused, match=r"^'txet' is not a field here; allowed: choiceText, weight$"):
        structure({"choiceText": "x", "txet": 1}, Choice)
    with pytest.raises(Refused, match=r"^'x' is not a field here; allowed: none$"):
        structure({"x": 1}, Empty)
    with pytest.raises(Refused) as caught:
        structure({"choiceText": "x", "the_text": 1, "y" * 1_000: 1, "\ud83d": 1}, Choice)
    assert len(caught.value.message) < 300
    caught.value.message.encode()


def test_a_misspelt_field_is_told_by_what_is_missing() -> None:
    with pytest.raises(Refused, match=r"^choiceText is required$"):
        structure({"choicetext": "x"}, Choice)


def test_snake_case_is_not_a_wire_name() -> None:
    with pytest.raises(Refused, match=r"^choiceText is required$"):
        structure({"choice_text": "x"}, Choice)


def test_only_an_object_is_a_payload() -> None:
    bad: Any
    for bad in (["x"], "x", 5, True):
        with pytest.raises(Refused, match=r"^The payload must be an object$"):
            structure(bad, Choice)


def test_one_value_is_checked_by_its_name() -> None:
    assert checker(OutsideId)("s1", "sessionId") == "s1"
    with pytest.raises(Refused, match=r"^sessionId must be 1 to 128 characters of A-Z a-z 0-9 _ \. : -$"):
        checker(OutsideId)("a b", "sessionId")
    with pytest.raises(Refused, match=r"^sessionId must be a string$"):
        checker(OutsideId)(5, "sessionId")


def test_names_are_camel_case_on_the_wire() -> None:
    assert camel("replying_to_message_id") == "replyingToMessageId"
    assert camel("text") == "text"
    assert wire_fields(Choice) == ("choiceText", "weight")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Annotated[str, Text(10)], "1 to 10 characters, not only white space"),
        (Uuid | None, "UUID v4"),
        (Annotated[int, Whole(1, 3)], "whole number, 1 to 3"),
        (bool, "true or false"),
        (Literal["a", "b"], "a | b"),
        (Annotated[list[Uuid], Items(2, 3)], "list of UUID v4, 2 to 3 items"),
        (list[Choice], "list of {choiceText: 1 to 10 characters, not only white space, weight: whole number, 0 to 9}"),
    ],
)
def test_what_a_field_may_hold_is_told_in_words(kind: Any, told: str) -> None:
    assert describe(kind) == told
