"""One reading of type hints: what it says is what the gate checks, and classes keep their names."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import jsonschema
import pytest

from livehub.contracts.schema import Schemas, described, target, without_null
from livehub.errors import Refused
from livehub.feature import (
    JSON,
    Emoji,
    Feature,
    Fields,
    Items,
    Moment,
    OutsideId,
    Text,
    Url,
    Uuid,
    Whole,
    payload,
)
from livehub.features import discover
from livehub.payload import MOMENT_EXAMPLE
from livehub.rooms.catalog import DeclarationError
from livehub.rooms.payloads import structure

UUID = "0b2f3c4d-5e6f-4a1b-8c2d-3e4f5a6b7c8d"


@payload
class Wheel:
    """A wheel."""

    spokes: Annotated[int, Whole(3, 9)]


@payload
class Everything:
    """All marks and shapes that a payload may have."""

    the_text: Annotated[str, Text(5)]
    an_id: Uuid | None = None
    outside: OutsideId = "x"
    count: Annotated[int, Whole(1, 3)] = 1
    ratio: float = 0.5
    open: bool = False
    kind: Literal["a", "b"] = "a"
    maybe: Literal["a", "b"] | None = None
    emoji: Emoji | None = None
    url: Annotated[str, Url(40)] | None = None
    at: Moment | None = None
    kept: str = ""
    words: Annotated[list[Annotated[str, Text(3)]], Items(1, 2)] | None = None
    more: Annotated[dict[str, Any], Fields(20)] | None = None
    wheel: Wheel | None = None
    wheels: list[Wheel] | None = None


class Told(TypedDict):
    """What is told."""

    id: str
    note: NotRequired[str]


class Partly(TypedDict, total=False):
    id: Required[str]
    note: str


class Nested(TypedDict):
    """It holds itself."""

    inside: list[Nested]


def whole(schemas: Schemas, kind: Any) -> dict[str, Any]:
    """A type's schema as a document of its own."""
    return {**schemas.of(kind), "components": {"schemas": schemas.named}}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (type(None), {"type": "null"}),
        (JSON, {}),
        (object, {}),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (str | None, {"type": ["string", "null"]}),
        (str | int, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (str | int | None, {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"] | None, {"type": ["string", "null"], "enum": ["a", None]}),
        (Literal[1, "a"], {"enum": [1, "a"]}),
        (Literal[True], {"type": "boolean", "enum": [True]}),
        (Annotated[str, "no mark"], {"type": "string"}),
        (
            Annotated[list[int], Items(1, 2)],
            {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 1,
                "maxItems": 2,
                "description": "1 to 2 items",
            },
        ),
    ],
)
def test_a_type_has_one_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert Schemas().of(hint) == schema


@pytest.mark.parametrize("hint", [set, tuple[int, int], Feature, 5])
def test_what_json_cannot_say_is_an_error(hint: Any) -> None:
    with pytest.raises(TypeError, match="cannot be told in JSON Schema"):
        Schemas().of(hint)


def test_a_payload_takes_its_own_fields_only_under_their_wire_names() -> None:
    schemas = Schemas()
    assert schemas.of(Wheel) == {"$ref": "#/components/schemas/Wheel"}
    assert schemas.named["Wheel"] == {
        "type": "object",
        "description": "A wheel.",
        "properties": {"spokes": {"type": "integer", "description": "3 to 9", "minimum": 3, "maximum": 9}},
        "required": ["spokes"],
        "additionalProperties": False,
    }
    schemas.of(Everything)
    named = schemas.named["Everything"]
    assert named["required"] == ["theText"]
    assert named["properties"]["wheel"] == {"anyOf": [{"$ref": "#/components/schemas/Wheel"}, {"type": "null"}]}
    defaults = {name: field["default"] for name, field in named["properties"].items() if "default" in field}
    assert defaults == {"outside": "x", "count": 1, "ratio": 0.5, "open": False, "kind": "a"}


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ({"theText": "hi"}, True),
        ({}, False),
        ({"theText": "hi", "surplus": 1}, False),
        ({"theText": ""}, False),
        ({"theText": " \n"}, False),
        ({"theText": "😀" * 5}, True),
        ({"theText": "😀" * 6}, False),
        ({"theText": None}, False),
        ({"theText": "hi", "anId": UUID.upper()}, True),
        ({"theText": "hi", "anId": None}, True),
        ({"theText": "hi", "anId": UUID.replace("-4a", "-1a")}, False),
        ({"theText": "hi", "anId": f"{UUID}0"}, False),
        ({"theText": "hi", "outside": "a.b:c-1_Z"}, True),
        ({"theText": "hi", "outside": "x" * 129}, False),
        ({"theText": "hi", "outside": "a b"}, False),
        ({"theText": "hi", "outside": None}, False),
        ({"theText": "hi", "count": 3}, True),
        ({"theText": "hi", "count": 4}, False),
        ({"theText": "hi", "count": "3"}, False),
        ({"theText": "hi", "ratio": 1}, True),
        ({"theText": "hi", "open": 1}, False),
        ({"theText": "hi", "kind": "c"}, False),
        ({"theText": "hi", "maybe": None}, True),
        ({"theText": "hi", "maybe": "c"}, False),
        ({"theText": "hi", "emoji": "❤️"}, True),
        ({"theText": "hi", "emoji": ":+1:"}, False),
        ({"theText": "hi", "emoji": "👍" * 9}, False),
        ({"theText": "hi", "url": "HTTPS://livehub.test/a?b#c"}, True),
        ({"theText": "hi", "url": "javascript:alert(1)"}, False),
        ({"theText": "hi", "url": "https://livehub.test/" + "x" * 40}, False),
        ({"theText": "hi", "at": MOMENT_EXAMPLE}, True),
        ({"theText": "hi", "words": ["a", "b"]}, True),
        ({"theText": "hi", "words": []}, False),
        ({"theText": "hi", "words": ["abcd"]}, False),
        ({"theText": "hi", "more": {"a": [1]}}, True),
        ({"theText": "hi", "more": []}, False),
        ({"theText": "hi", "wheel": {"spokes": 3}}, True),
        ({"theText": "hi", "wheel": {"spokes": 2}}, False),
        ({"theText": "hi", "wheels": [{"spokes": 3}, {}]}, False),
    ],
)
def test_the_schema_allows_what_the_gate_allows(data: dict[str, Any], fits: bool) -> None:
    schemas = Schemas()
    for validator in (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
        assert validator(whole(schemas, Everything)).is_valid(data) is fits
    if fits:
        structure(data, Everything)
    else:
        with pytest.raises(Refused):
            structure(data, Everything)


def test_what_the_server_sends_may_grow() -> None:
    schemas = Schemas()
    for kind in (Told, Partly):
        validator = jsonschema.Draft202012Validator(whole(schemas, kind))
        assert validator.is_valid({"id": "a", "note": "b", "new": 1})
        assert validator.is_valid({"id": "a"})
        assert not validator.is_valid({"note": "b"})


def test_a_class_may_hold_itself() -> None:
    schemas = Schemas()
    schemas.of(Nested)
    assert schemas.named["Nested"]["properties"]["inside"]["items"] == {"$ref": "#/components/schemas/Nested"}


def test_a_marked_class_keeps_its_limits_beside_its_name() -> None:
    schema = Schemas().of(Annotated[Told, Fields(9)])
    assert schema["allOf"] == [{"$ref": "#/components/schemas/Told"}]
    assert schema["x-max-bytes"] == 9


def test_classes_of_one_name_share_it_if_they_are_the_same() -> None:
    def again() -> Any:
        class Told(TypedDict):
            """The same in other words."""

            id: str
            note: NotRequired[str]

        return Told

    def other() -> Any:
        class Told(TypedDict):
            id: int

        Told.__module__ = "livehub.features.some_where"
        return Told

    schemas = Schemas()
    assert schemas.of(Told) == schemas.of(again()) == {"$ref": "#/components/schemas/Told"}
    assert schemas.of(other()) == {"$ref": "#/components/schemas/SomeWhereTold"}
    assert schemas.named["Told"]["properties"]["id"] == {"type": "string"}
    assert schemas.named["SomeWhereTold"]["properties"]["id"] == {"type": "integer"}
    assert set(schemas.named) == {"Told", "SomeWhereTold"}


def test_a_name_that_is_taken_gives_way_to_another() -> None:
    schemas = Schemas()
    assert schemas.add("A", {"type": "string"}, "B") == {"$ref": "#/components/schemas/A"}
    assert schemas.add("A", {"type": "string", "description": "in other words"}, "B") == schemas.add(
        "A", {"type": "string"}, "C"
    )
    reference = schemas.add("A", {"type": "null"}, "B")
    assert (target(reference), schemas.resolve(reference)) == ("B", {"type": "null"})
    assert schemas.resolve({"type": "null"}) == {"type": "null"}
    with pytest.raises(DeclarationError, match="called B"):
        schemas.add("A", {"type": "integer"}, "B")


def test_a_query_knows_no_null() -> None:
    assert without_null({"type": ["string", "null"], "enum": ["a", None]}) == {"type": "string", "enum": ["a"]}
    assert without_null({"type": "string"}) == {"type": "string"}


def test_the_first_paragraph_describes() -> None:
    def act() -> None:
        """Act at

        length.
        """

    assert described(act) == "Act at"
    assert described(Told) == "What is told."
    assert described(Partly) == ""


def test_everything_that_features_declare_has_a_schema() -> None:
    schemas = Schemas()
    for feature in discover():
        for emits in feature.emits:
            schemas.of(emits.type)
        for command in feature.commands():
            schemas.of(command.payload)
            if command.returns is not None:
                schemas.of(command.returns)
    for schema in schemas.named.values():
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft7Validator.check_schema(schema)
