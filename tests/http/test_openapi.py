"""The OpenAPI document is valid, tells every route as it is served, and bodies fit what it says."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from trio.testing import MockClock

import livehub
from livehub.features import discover
from livehub.http.export import paths as export_paths
from livehub.http.join import paths as join_paths
from livehub.http.openapi import openapi
from livehub.rooms.catalog import Catalog
from tests.contracts.toys import catalog as toys
from tests.http.stage import stage
from tests.kit import settle

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def paths() -> dict[str, Any]:
    """What is told of routes that are no commands."""
    return {**join_paths(), **export_paths(["messages", "points", "attendance", "polls", "votes", "questions"])}


def documents() -> list[Any]:
    return [
        pytest.param(openapi(toys()), id="toys"),
        pytest.param(openapi(Catalog(discover()), paths()), id="livehub"),
    ]


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Operation id → operation."""
    return {one["operationId"]: one for path in document["paths"].values() for one in path.values()}


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def body(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    """What an operation takes."""
    content = operations(document)[name]["requestBody"]["content"]
    return validator(document, content["application/json"]["schema"])


def answer(document: dict[str, Any], name: str, status: int) -> jsonschema.Draft202012Validator:
    """What an operation answers with a status."""
    response = operations(document)[name]["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[-1]]
    return validator(document, response["content"]["application/json"]["schema"])


@pytest.mark.parametrize("document", documents())
def test_it_is_an_openapi_31_document(document: dict[str, Any]) -> None:
    faults = [str(fault) for fault in OpenAPIV31SpecValidator(document).iter_errors()]
    assert faults == []
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == livehub.__version__
    assert json.loads(json.dumps(document)) == document


def test_a_wrong_document_would_be_found() -> None:
    document = openapi(toys())
    del document["paths"]["/api/sessions/{sessionId}/toys"]["get"]["parameters"][0]
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


async def test_it_tells_the_routes_that_are_served(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
            for rule in set_up.app.url_map.iter_rules()
            if rule.endpoint.startswith(("api.", "export.", "join.")) and not rule.rule.endswith("openapi.json")
            for method in rule.methods or ()
            if method in METHODS
        }
    document = openapi(Catalog(discover()), paths())
    assert served == {(method.upper(), path) for path, item in document["paths"].items() for method in item}


async def test_it_is_served(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, told = await set_up.request("GET", "/api/openapi.json")
    assert status == 200
    assert told == openapi(Catalog(discover()), paths())


def test_every_command_with_a_route_is_told_once() -> None:
    catalog = Catalog(discover())
    routed = [command.name for command in catalog.commands.values() if command.rest is not None]
    assert sorted(operations(openapi(catalog))) == sorted(routed)


def test_a_read_takes_a_query_and_answers_as_it_stands() -> None:
    document = openapi(toys())
    read = document["paths"]["/api/sessions/{sessionId}/toys"]["get"]
    assert [(one["in"], one["name"], one["required"]) for one in read["parameters"]] == [
        ("path", "sessionId", True),
        ("query", "before", False),
        ("query", "limit", False),
    ]
    before, limit = (one["schema"] for one in read["parameters"][1:])
    assert before["type"] == "string"
    assert (limit["type"], limit["minimum"], limit["maximum"], limit["default"]) == ("integer", 1, 50, 10)
    assert "requestBody" not in read
    assert read["tags"] == ["box"]
    assert read["x-members"] == {"of": "session", "instead": "toys:mend"}
    assert read["x-rate"] == {"requests": 50, "seconds": 1.0}
    assert set(read["responses"]) == {"200", "400", "401", "403", "404", "429", "default"}
    assert answer(document, "toy.list", 200).is_valid({"toys": []})
    assert not answer(document, "toy.list", 200).is_valid({"success": True})


def test_a_mutation_takes_a_key_and_answers_with_success() -> None:
    document = openapi(toys())
    hug = document["paths"]["/api/sessions/{sessionId}/toys/{toyId}/hug"]["post"]
    assert [(one["in"], one["name"]) for one in hug["parameters"]] == [
        ("path", "sessionId"),
        ("path", "toyId"),
        ("header", "Idempotency-Key"),
    ]
    assert hug["parameters"][1]["schema"]["format"] == "uuid"
    assert "requestBody" not in hug, "all of its payload is in the path"
    assert set(hug["responses"]) == {"202", "400", "401", "403", "404", "409", "503", "default"}
    assert answer(document, "toy.hug", 202).is_valid({"success": True, "toyId": "a", "replayed": True})
    assert not answer(document, "toy.hug", 202).is_valid({"toyId": "a"})


def test_a_route_that_makes_a_room_takes_its_id() -> None:
    document = openapi(toys())
    make = document["paths"]["/api/sessions"]["post"]
    assert make["requestBody"]["required"] is False
    takes = body(document, "box.make")
    for good in ({}, {"id": "a.b:c"}, {"id": None}, {"id": "a", "eventId": "e"}):
        assert takes.is_valid(good)
    for bad in ({"id": "a b"}, {"id": 5}, {"surplus": 1}):
        assert not takes.is_valid(bad)
    assert set(make["responses"]) == {"201", "400", "401", "403", "409", "413", "503", "default"}
    assert make["x-permissions"] == ["toys:mend"]


def test_an_error_has_one_shape() -> None:
    document = openapi(toys())
    for status in (400, 401, 404, 429):
        refused = answer(document, "toy.list", status)
        assert refused.is_valid({"success": False, "error": {"message": "No", "statusCode": status}})
        assert not refused.is_valid({"error": "No"})
    responses = document["components"]["responses"]
    assert [name for name, response in responses.items() if "headers" in response] == ["TooManyRequests", "Unavailable"]


def test_every_route_takes_a_token() -> None:
    document = openapi(toys())
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_a_body_without_what_it_needs_is_required() -> None:
    put = operations(openapi(Catalog(discover())))["user.put"]
    assert put["requestBody"]["required"] is True
    fields = put["requestBody"]["content"]["application/json"]["schema"]
    assert fields["required"] == ["firstName"]
    assert "userId" not in fields["properties"]


async def test_joining_is_told_as_it_is_served(autojump_clock: MockClock) -> None:
    document = openapi(Catalog(discover()), paths())
    takes = body(document, "session.enter")
    for good in ({}, {"displayName": "Gus"}, {"displayName": None}):
        assert takes.is_valid(good)
    for bad in ({"displayName": " "}, {"displayName": "x" * 101}, {"surplus": 1}):
        assert not takes.is_valid(bad)
    assert operations(document)["session.enter"]["security"] == [{}, {"token": []}]
    assert "image/svg+xml" in operations(document)["session.qr"]["responses"]["200"]["content"]
    async with stage() as set_up:
        _, made = await set_up.request("POST", "/api/sessions", "olga", {"id": "s1"})
        await settle()
        status, told = await set_up.request("POST", f"/api/sessions/{made['slug']}/join", body={"displayName": "Gus"})
        assert status == 200, told
        answer(document, "session.enter", 200).validate(told)
        status, told = await set_up.request("POST", "/api/sessions/wrong/join")
        assert status == 404, told
        answer(document, "session.enter", 404).validate(told)


async def test_what_is_served_fits_what_is_told(autojump_clock: MockClock) -> None:
    document = openapi(Catalog(discover()))
    async with stage() as set_up:
        made = {"id": "s1", "title": "One"}
        assert body(document, "session.create").is_valid(made)
        status, told = await set_up.request("POST", "/api/sessions", "olga", made)
        assert status == 201, told
        answer(document, "session.create", 201).validate(told)
        status, told = await set_up.request("GET", "/api/sessions/s1", "olga")
        assert status == 200, told
        answer(document, "session.read", 200).validate(told)
        status, told = await set_up.request("GET", "/api/sessions/s1/messages?limit=0", "olga")
        assert status == 400, told
        answer(document, "chat.history", 400).validate(told)
