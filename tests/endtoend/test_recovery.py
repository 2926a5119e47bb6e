"""Connection State Recovery with the stock client: exactly what was missed, as often as it takes, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endtoend.node import Client
from tests.endtoend.stage import Stage, key, texts

EVENTS = ("chat.message.new", "chat.message.updated", "chat.message.deleted")


async def _lose(client: Client, times: int = 1) -> None:
    client.drop()
    await client.reported("disconnect", times)


async def _return(client: Client, times: int) -> bool:
    """Have it connect again: whether it recovered."""
    client.connect()
    return bool((await client.acknowledged(times))["recovered"])


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_recovers_exactly_what_it_missed_again_and_again(stage: Stage, transport: str) -> None:
    ada = await stage.enter("ada")
    grace = await stage.enter("grace", returns=False, transports=(transport,))
    first = grace.reports("connect")[0][0]
    await stage.send(ada, "heard live")
    await grace.heard("chat.message.new")
    expected = ["heard live"]
    for time in range(1, 4):
        await _lose(grace, time)
        missed = [f"missed {time}.{number}" for number in range(3)]
        for text in missed:
            await stage.send(ada, text)
        assert await _return(grace, time + 1) is True
        after = f"after {time}"
        await stage.send(ada, after)
        expected += [*missed, after]
        assert texts(await grace.heard("chat.message.new", len(expected))) == expected
        report = grace.reports("connect")[-1][0]
        assert (report["sid"], report["pid"]) == (first["sid"], first["pid"])
    await stage.send(grace, "I am still in my seat")
    assert len(await ada.heard("chat.message.new", len(expected) + 1)) == len(expected) + 1


async def test_a_client_that_never_heard_anything_recovers(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
    await _lose(grace)
    await stage.send(ada, "missed")
    assert await _return(grace, 2) is True
    assert texts(await grace.heard("chat.message.new")) == ["missed"]


async def test_a_client_without_any_session_recovers(stage: Stage) -> None:
    ada = await stage.enter("ada", joined=False, returns=False)
    for time in (1, 2):
        await _lose(ada, time)
        assert await _return(ada, time + 1) is True
    assert (await ada.ask("session.join", {"sessionId": stage.session}))["success"] is True
    await stage.send(ada, "I came later")
    assert texts(await ada.heard("chat.message.new")) == ["I came later"]


async def test_edits_reactions_and_deletions_are_recovered_in_their_order(stage: Stage) -> None:
    ada, grace = await stage.enter("ada", role="MEMBER"), await stage.enter("grace", returns=False)
    message_id = await stage.send(ada, "first")
    await grace.heard("chat.message.new")
    await _lose(grace)
    await ada.ask("chat.message.edit", {"messageId": message_id, "newText": "edited", "idempotencyKey": key()})
    await ada.ask("chat.message.react", {"messageId": message_id, "emoji": "👍", "idempotencyKey": key()})
    other_id = await stage.send(ada, "second")
    await ada.ask("chat.message.delete", {"messageId": message_id, "idempotencyKey": key()})
    assert await _return(grace, 2) is True
    for client in (ada, grace):
        await client.heard("chat.message.deleted")
    assert _events(grace) == _events(ada)
    assert [event[0] for event in _events(grace)] == [EVENTS[0], EVENTS[1], EVENTS[1], EVENTS[0], EVENTS[2]]
    assert grace.payloads("chat.message.new")[1]["id"] == other_id


async def test_offsets_rise_over_all_sessions_of_a_connection(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
    other = f"{stage.session}-2"
    for client in (ada, grace):
        await client.ask("session.join", {"sessionId": other})
    await _lose(grace)
    for number in range(6):
        await stage.send(ada, str(number), sessionId=(stage.session, other)[number % 2])
    assert await _return(grace, 2) is True
    await stage.send(ada, "6", sessionId=other)
    assert texts(await grace.heard("chat.message.new", 7)) == list("0123456")
    offsets = [told.args[2] for told in grace.told if told.kind == "event" and told.args[0] == "chat.message.new"]
    seqs = [int(offset.split("-")[1]) for offset in offsets]
    assert seqs == sorted(set(seqs))


async def test_what_was_left_is_not_recovered(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
    await grace.ask("session.leave", {"sessionId": stage.session})
    await _lose(grace)
    await stage.send(ada, "not for grace")
    assert await _return(grace, 2) is True
    await grace.ask("session.join", {"sessionId": stage.session})
    await stage.send(ada, "for all")
    assert texts(await grace.heard("chat.message.new")) == ["for all"]


async def test_a_client_that_said_goodbye_starts_anew_with_a_snapshot(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    await stage.send(ada, "before")
    grace.disconnect()
    await grace.reported("disconnect")
    await stage.send(ada, "meanwhile")
    assert await _return(grace, 2) is False
    said: Any = await grace.ask("chat.message.send", {"text": "x", "idempotencyKey": key(), "sessionId": stage.session})
    assert said["error"]["message"] == "You must join the session first"
    await grace.ask("session.join", {"sessionId": stage.session})
    _, snapshot = await grace.heard("session.snapshot", 2)
    assert snapshot["sessionId"] == stage.session
    assert texts(snapshot["messages"]) == ["before", "meanwhile"]


async def test_the_client_returns_by_itself_and_loses_nothing_under_load(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    said = [f"message {number}" for number in range(300)]
    for number, text in enumerate(said):
        ada.emit("chat.message.send", {"text": text, "idempotencyKey": key()})
        if number % 60 == 30:
            await ada.heard("chat.message.new", number // 2)
            await _lose(grace, number // 60 + 1)
            await grace.acknowledged(number // 60 + 2)
    assert texts(await grace.heard("chat.message.new", len(said))) == said
    assert [report[0]["recovered"] for report in grace.reports("connect")] == [False] + 5 * [True]


def _events(client: Client) -> list[list[Any]]:
    """Everything about messages that a client was told, with offsets."""
    return [told.args for told in client.told if told.kind == "event" and told.args[0] in EVENTS]
