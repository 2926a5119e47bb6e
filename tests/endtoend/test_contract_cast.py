"""What the contract tests rely on: the cast notices what is missing, what is different and what nobody should hear."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endtoend.cast import Cast, Line
from tests.endtoend.likeness import A_TIME, AN_ID, same
from tests.endtoend.stage import key

SOON_S = 0.05


async def say(cast: Cast) -> dict[str, Any]:
    """Have a message heard: as it is shown."""
    await cast.ada.ask("chat.message.send", {"text": "Hello", "idempotencyKey": key()})
    (said,) = await cast.bob.heard("chat.message.new")
    return dict(said)


async def faults(cast: Cast, *lines: Line) -> str:
    """What is wrong with what was heard."""
    with pytest.raises(AssertionError) as caught:
        await cast.hears(*lines, within_s=SOON_S)
    return str(caught.value)


async def test_what_was_not_expected_is_a_fault_for_everybody_who_heard_it(cast: Cast) -> None:
    said = await say(cast)
    points = cast.earns(cast.ada, 1, "MESSAGE_SENT")
    told = await faults(cast, points)
    assert [client.name for client in cast.seated if f"{client.name} heard" not in told] == []
    one_too_few = tuple(client for client in cast.seated if client is not cast.bob)
    assert (await faults(cast, Line(one_too_few, "chat.message.new", said), points)).startswith("bob heard")
    for one_too_many in (cast.elsewhere, cast.nowhere, cast.tablet):
        line = Line((*cast.seated, one_too_many), "chat.message.new", said)
        assert (await faults(cast, line, points)).startswith(f"{one_too_many.name} heard")
    await cast.hears(Line(cast.seated, "chat.message.new", said), points)


async def test_another_payload_is_a_fault(cast: Cast) -> None:
    said = await say(cast)
    points = cast.earns(cast.ada, 1, "MESSAGE_SENT")
    for other in ({**said, "text": "Hallo"}, {**said, "more": 1}, {**said, "isEdited": 0}, {**said, "id": A_TIME}):
        assert "bob heard" in await faults(cast, Line(cast.seated, "chat.message.new", other), points)
    assert "ada heard" in await faults(cast, points, Line(cast.seated, "chat.message.new", said))  # in another order
    await cast.hears(Line(cast.seated, "chat.message.new", said), points)


async def test_a_view_that_is_not_for_somebody_is_a_fault(cast: Cast) -> None:
    said = await say(cast)
    lines = Line(cast.seated, "chat.message.new", said), cast.earns(cast.ada, 1, "MESSAGE_SENT")
    await cast.bob.heard("leaderboard.updated")
    cast.seated, seated = tuple(client for client in cast.seated if client is not cast.bob), cast.seated
    assert "bob heard leaderboard.updated" in await faults(cast, *lines)
    cast.seated = seated
    await cast.hears(*lines)


async def test_a_test_that_did_not_see_what_it_is_for_is_a_fault(cast: Cast) -> None:
    cast.proof = {"poll.opened"}
    with pytest.raises(AssertionError, match=r"never seen: poll\.opened"):
        await cast.close()
    cast.proof = set()


async def test_a_score_that_differs_is_a_fault(cast: Cast) -> None:
    said = await say(cast)
    await cast.hears(Line(cast.seated, "chat.message.new", said), cast.earns(cast.ada, 1, "MESSAGE_SENT"))
    cast.scores[cast.id(cast.ada)] = 2
    with pytest.raises(AssertionError, match="topEntries"):
        await cast.close(within_s=SOON_S)
    cast.scores[cast.id(cast.ada)] = 1


def test_values_are_the_same_to_the_type() -> None:
    assert same({"id": AN_ID, "n": [1, None]}, {"id": "123e4567-e89b-42d3-a456-426614174000", "n": [1, None]})
    for meant, got in (
        (1, True),
        (0, False),
        ("1", 1),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ([1], [1, 1]),
        (AN_ID, "x"),
        (None, 0),
    ):
        assert not same(meant, got)
