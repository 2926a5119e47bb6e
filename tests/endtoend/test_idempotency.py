"""What is sent again does not happen again (contracts, points 4, 16 and 22)."""

from __future__ import annotations

from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, key
from tests.harness import Server

DUPLICATE = {"success": False, "error": {"message": "Duplicate request", "statusCode": 409}}


async def test_the_same_ask_again_gets_the_first_ack_and_happens_once(stage: Stage) -> None:
    ada = await stage.enter("ada")
    payload = {"text": "once", "idempotencyKey": key()}
    first = await ada.ask("chat.message.send", payload)
    assert first["success"] is True
    again = await ada.ask("chat.message.send", payload)
    assert again == {**first, "replayed": True}
    await stage.send(ada, "twice")
    assert [message["text"] for message in await ada.heard("chat.message.new", 2)] == ["once", "twice"]


async def test_two_at_the_same_time_happen_once(stage: Stage) -> None:
    ada = await stage.enter("ada")
    payload = {"text": "once", "idempotencyKey": key()}
    waiting = [ada.start_ask("chat.message.send", payload) for _ in range(5)]
    answers = [(await answer())[0] for answer in waiting]
    assert len({answer["messageId"] for answer in answers}) == 1
    assert [answer.get("replayed", False) for answer in answers] == [False, True, True, True, True]


async def test_a_named_and_an_implied_session_are_the_same_ask(stage: Stage) -> None:
    ada = await stage.enter("ada")
    payload = {"text": "once", "idempotencyKey": key()}
    first = await ada.ask("chat.message.send", payload)
    assert await ada.ask("chat.message.send", {**payload, "sessionId": stage.session}) == {**first, "replayed": True}


async def test_a_key_used_for_something_else_is_a_duplicate(stage: Stage) -> None:
    ada = await stage.enter("ada", role="MEMBER")
    once = key()
    first = await ada.ask("chat.message.send", {"text": "first", "idempotencyKey": once})
    assert await ada.ask("chat.message.send", {"text": "second", "idempotencyKey": once}) == DUPLICATE
    deletion = {"messageId": first["messageId"], "idempotencyKey": once}
    assert await ada.ask("chat.message.delete", deletion) == DUPLICATE


async def test_keys_belong_to_a_person(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    payload = {"text": "mine", "idempotencyKey": key()}
    first, second = await ada.ask("chat.message.send", payload), await grace.ask("chat.message.send", payload)
    assert first["messageId"] != second["messageId"]
    assert "replayed" not in second


async def test_keys_survive_a_killed_server(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada = await stage.enter("ada")
    payload = {"text": "once", "idempotencyKey": key()}
    first = await ada.ask("chat.message.send", payload)
    server.kill()
    await ada.reported("disconnect")
    await server.restart()
    await ada.acknowledged(2)
    assert await ada.ask("chat.message.send", payload) == {**first, "replayed": True}
    assert await ada.ask("chat.message.send", {**payload, "text": "other"}) == DUPLICATE
    assert len(await server.history(stage.session, stage.token("ada"))) == 1
