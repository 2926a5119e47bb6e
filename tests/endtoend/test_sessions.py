"""Which session is meant, joining and leaving (contracts, points 1, 10 and 14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, key
from tests.harness import Server


async def _say(client: Client, **more: Any) -> Any:
    return await client.ask("chat.message.send", {"text": "x", "idempotencyKey": key(), **more})


async def test_the_payload_comes_before_the_query_and_the_query_before_the_one_joined(stage: Stage) -> None:
    names = [f"{name}-{stage.suffix}" for name in ("given", "queried", "joined")]
    given, queried, joined = names
    ada = await stage.enter("ada", joined=False, query={"sessionId": queried})
    for name in names:
        await ada.ask("session.join", {"sessionId": name})
    assert (await _say(ada, sessionId=given))["success"] is True
    assert (await _say(ada))["success"] is True
    grace = await stage.enter("grace", joined=False)
    await grace.ask("session.join", {"sessionId": joined})
    assert (await _say(grace))["success"] is True
    heard = [message["sessionId"] for message in await ada.heard("chat.message.new", 3)]
    assert heard == [given, queried, joined]


async def test_of_two_joined_sessions_one_must_be_named(stage: Stage) -> None:
    ada = await stage.enter("ada")
    await ada.ask("session.join", {"sessionId": f"{stage.session}-2"})
    assert (await _say(ada))["error"]["message"] == "Session ID is required"
    assert await ada.ask("session.leave", {"sessionId": f"{stage.session}-2"}) == {
        "success": True,
        "sessionId": f"{stage.session}-2",
    }
    assert (await _say(ada))["success"] is True


async def test_the_query_names_a_session_but_does_not_join_it(stage: Stage) -> None:
    ada = await stage.enter("ada", joined=False, query={"sessionId": stage.session})
    await stage.enter("grace")
    assert (await _say(ada))["error"]["message"] == "You must join the session first"
    assert await ada.ask("session.join", {}) == {"success": True, "sessionId": stage.session}
    assert (await _say(ada))["success"] is True


async def test_joining_twice_is_no_error_and_nothing_is_heard_twice(stage: Stage) -> None:
    ada = await stage.enter("ada")
    assert await ada.ask("session.join", {"sessionId": stage.session}) == {"success": True, "sessionId": stage.session}
    for text in ("one", "two"):
        await stage.send(ada, text)
    assert [message["text"] for message in await ada.heard("chat.message.new", 2)] == ["one", "two"]


async def test_whoever_left_hears_nothing_more_and_may_say_nothing(stage: Stage) -> None:
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    await grace.ask("session.leave", {"sessionId": stage.session})
    assert (await _say(grace, sessionId=stage.session))["error"]["message"] == "You must join the session first"
    await stage.send(ada, "missed")
    await grace.ask("session.join", {"sessionId": stage.session})
    await stage.send(ada, "heard")
    assert [message["text"] for message in await grace.heard("chat.message.new")] == ["heard"]


async def test_all_devices_of_a_person_hear_what_one_of_them_says(stage: Stage) -> None:
    phone, laptop = await stage.enter("ada", device="-phone"), await stage.enter("ada", device="-laptop")
    message_id = await stage.send(phone, "from the phone")
    assert (await laptop.heard("chat.message.new"))[0]["id"] == message_id


async def test_a_join_while_another_is_on_its_way_counts(stage: Stage) -> None:
    """Asks of one client are carried out in order, whether or not it waits for its acks."""
    ada = await stage.enter("ada", joined=False)
    joined = ada.start_ask("session.join", {"sessionId": stage.session})
    said = ada.start_ask("chat.message.send", {"text": "at once", "idempotencyKey": key()})
    assert (await joined())[0]["success"] is True
    assert (await said())[0]["success"] is True


async def test_unknown_sessions_are_refused_unless_they_may_be_created(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"sessions": {"auto_create": False}}) as server:
        stage = Stage(server, node)
        ada = await stage.enter("ada", joined=False)
        refused = {"success": False, "error": {"message": "Session not found", "statusCode": 404}}
        assert await ada.ask("session.join", {"sessionId": stage.session}) == refused
        assert await _say(ada, sessionId=stage.session) == refused
        admin = stage.token("boss", role="ADMIN")
        made = await server.request("POST", "/api/sessions", admin, {"id": stage.session, "title": "Keynote"})
        assert made.status_code == 201, made.text
        assert await ada.ask("session.join", {"sessionId": stage.session}) == {
            "success": True,
            "sessionId": stage.session,
        }
