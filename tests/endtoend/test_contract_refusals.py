"""What every event of contract 1 refuses, in the contract's words, and that a refusal is heard by nobody.

The forms say what each field must refuse; here all of it is sent. Refusals that depend on what happened before (a
closed poll, somebody else's message) are beside the good use of the event, in the other `test_contract_*.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import FORMS, UUID_V1, Form
from tests.endtoend.likeness import WORDS, same
from tests.endtoend.node import Client
from tests.endtoend.stage import Stage, key

LONG_ID = "a" * 129
BAD_KEYS: tuple[tuple[Any, str], ...] = (
    ("", "UUID v4"),
    ("my-key", "UUID v4"),
    (UUID_V1, "UUID v4"),
    (7, "string"),
    ({}, "string"),
)
BAD_IDS: tuple[tuple[Any, str], ...] = (("", "128"), ("a b", "128"), (LONG_ID, "128"), (7, "string"), (["x"], "string"))


def keyed(payload: dict[str, Any]) -> dict[str, Any]:
    """With a key of its own."""
    return {"idempotencyKey": key(), **payload}


def wrong(form: Form) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every wrong payload, with the words that its refusal must say: the field, and what it may hold."""
    good = form.good()
    for name, field in form.fields.items():
        for value, word in field.bad:
            yield keyed({**good, name: value}), (name, word)
        if not field.optional:
            yield keyed({other: value for other, value in good.items() if other != name}), (name, "required")
            yield keyed({**good, name: None}), (name,)
    yield keyed({**good, "colour": "red"}), ("colour", "not a field")
    for value, word in BAD_KEYS:
        yield {**good, "idempotencyKey": value}, ("idempotencyKey", word)
    if form.keyed:
        yield good, ("idempotencyKey is required",)
        yield {**good, "idempotencyKey": None}, ("idempotencyKey is required",)
    for name in ("sessionId", "eventId"):
        for value, word in BAD_IDS:
            yield keyed({**good, name: value}), (name, word)
    for payload in ("text", 7, True, [], [good]):
        yield payload, ("payload must be an object",)


@pytest.mark.parametrize("family", sorted({event.split(".")[0] for event in FORMS}))
async def test_a_wrong_payload_is_refused_naming_the_field_and_what_it_may_hold(cast: Cast, family: str) -> None:
    for event in (event for event in FORMS if event.startswith(f"{family}.")):
        asked = [(payload, words, cast.owner.start_ask(event, payload)) for payload, words in wrong(FORMS[event])]
        for payload, words, answer in asked:
            refused = (await answer())[0]
            form = {"success": False, "error": {"message": WORDS, "statusCode": 400}}
            assert same(form, refused), (event, payload, refused)
            assert all(word in refused["error"]["message"] for word in words), (event, payload, refused)
        cast.owner.emit(event, "text")
        told = {"message": "The payload must be an object", "reason": "invalid_payload"}
        await cast.hears(Line((cast.owner,), "systemError", told))


async def test_without_its_permission_an_event_is_refused(cast: Cast) -> None:
    for event in (event for event, form in FORMS.items() if form.needs):
        await cast.refuses(cast.bob, event, FORMS[event].good(), 403, "You do not have permission")
        cast.bob.emit(event, keyed(FORMS[event].good()))
        told = {"message": "You do not have permission", "reason": "forbidden"}
        await cast.hears(Line((cast.bob,), "systemError", told))


async def test_whoever_has_not_joined_is_refused(cast: Cast) -> None:
    for event in (event for event, form in FORMS.items() if form.seat):

        async def refused(who: Client, status: int, message: str, event: str = event, **more: str) -> None:
            await cast.refuses(who, event, {**FORMS[event].good(), **more}, status, message)

        for who in (cast.elsewhere, cast.nowhere):  # who would be allowed everything
            await refused(who, 403, "You must join the session first", sessionId=cast.session)
            await refused(who, 404, "Session not found", sessionId="unheard-of")
        await refused(cast.nowhere, 400, "Session ID is required")
        await cast.hears()


async def test_the_longest_that_is_allowed_is_taken(stage: Stage) -> None:
    """It may be about something that nobody has; but it is not its form that is refused."""
    owner = await stage.enter("owner", role="OWNER")
    for event, form in FORMS.items():
        for name in (name for name, field in form.fields.items() if field.longest is not None):
            answer = await owner.ask(event, keyed({**form.good(), name: form.fields[name].longest}))
            assert answer["success"] or answer["error"]["statusCode"] == 404, (event, name, answer)
