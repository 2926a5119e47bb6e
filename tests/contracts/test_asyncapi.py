"""The AsyncAPI document is valid by the official schema, and holds what is declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

import livehub
from livehub.contracts.asyncapi import asyncapi
from livehub.contracts.events import NAMESPACE
from livehub.contracts.inventory import Inventory
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.contracts.toys import inventory
from tests.endtoend.node import INTEROP

SPECIFICATION = INTEROP / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


def documents() -> list[Any]:
    return [
        pytest.param(asyncapi(inventory()), id="toys"),
        pytest.param(asyncapi(Inventory(Catalog(discover()), NAMESPACE)), id="livehub"),
    ]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            assert len(part) == 1, f"draft 07 reads nothing beside $ref: {part}"
            yield part["$ref"]
        for inside in part.values():
            yield from references(inside)
    elif isinstance(part, list):
        for inside in part:
            yield from references(inside)


def follow(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@pytest.mark.parametrize("document", documents())
def test_it_is_an_asyncapi_3_document(document: dict[str, Any]) -> None:
    assert SPECIFICATION.is_file(), f"missing: {SPECIFICATION}. Run `npm ci` in {INTEROP}, or `make test`"
    validator = jsonschema.Draft7Validator(json.loads(SPECIFICATION.read_text()))
    faults = [f"{list(fault.absolute_path)}: {fault.message[:200]}" for fault in validator.iter_errors(document)]
    assert faults == []
    wrong = {**document, "channels": {"a": {"address": 5}}}
    assert not validator.is_valid(wrong), "the specification must be able to say no"


@pytest.mark.parametrize("document", documents())
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert found
    for reference in found:
        assert follow(document, reference)


@pytest.mark.parametrize("document", documents())
def test_it_is_json(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document


def test_an_event_of_a_client_is_received_and_answered() -> None:
    document = asyncapi(inventory())
    assert document["operations"]["receive.toy.make"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/namespace"},
        "description": "Make a toy.\n\nIt is there at once.",
        "messages": [{"$ref": "#/channels/namespace/messages/ask.toy.make"}],
        "reply": {
            "channel": {"$ref": "#/channels/namespace"},
            "messages": [{"$ref": "#/channels/namespace/messages/ack.toy.make"}],
        },
        "tags": [{"name": "box"}],
        "x-seat": "needed",
        "x-permissions": ["toys:make", "toys:mend"],
        "x-rate": {"requests": 5, "seconds": 10.0},
    }
    messages = document["channels"]["namespace"]["messages"]
    assert messages["ask.toy.make"] == {
        "name": "toy.make",
        "payload": {"$ref": "#/components/schemas/MakeToyPayload"},
    }
    assert messages["ask.box.join"]["x-payload-optional"] is True


def test_an_ack_is_a_success_with_its_reply_or_a_failure() -> None:
    document = asyncapi(inventory())
    ack = {
        **document["channels"]["namespace"]["messages"]["ack.toy.make"]["payload"],
        "components": document["components"],
    }
    validator = jsonschema.Draft7Validator(ack)
    for good in (
        {"success": True, "toyId": "a"},
        {"success": True, "toyId": "a", "replayed": True},
        {"success": False, "error": {"message": "No", "statusCode": 400}},
        {"success": False, "error": {"message": "No", "statusCode": 429, "retryAfterMs": 5}},
    ):
        assert validator.is_valid(good)
    for bad in ({"success": True}, {"success": False}, {"success": False, "error": "No"}, {"toyId": "a"}, {}):
        assert not validator.is_valid(bad)


def test_an_event_of_the_server_is_sent_to_whom_it_may_concern() -> None:
    document = asyncapi(inventory())
    assert document["operations"]["send.toy.broken"]["x-audiences"] == [
        {"name": "session:{sessionId}"},
        {"name": "session:{sessionId}:staff", "permission": "toys:mend"},
    ]
    assert document["operations"]["send.toy.new"]["x-own"] == "ownerId"
    messages = document["channels"]["namespace"]["messages"]
    assert messages["tell.toy.new"]["x-offset"] is True
    assert messages["tell.toy.count"]["x-offset"] is False
    assert "tags" not in document["operations"]["send.systemError"]


def test_it_says_of_what_it_is() -> None:
    document = asyncapi(inventory())
    assert document["info"]["version"] == livehub.__version__
    assert "/toys" in document["info"]["description"]
    assert document["channels"]["namespace"]["address"] == "/toys"
    assert document["info"]["tags"][0] == {"name": "box", "description": "A box of toys."}
