"""When the past cannot be given back exactly, or not to this person: a snapshot, or the door."""

from __future__ import annotations

import time
from pathlib import Path

import trio

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, key, texts
from tests.harness import Server

SUPERSEDED_WITHIN_S = 1.0


async def _lose(client: Client) -> None:
    client.drop()
    await client.reported("disconnect")


def _offset(client: Client) -> str:
    """The last offset that a client was told."""
    return str([told.args[2] for told in client.told if told.kind == "event" and len(told.args) > 2][-1])


async def test_too_much_was_missed(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"replay": {"max_facts": 10}}) as server:
        stage = Stage(server, node)
        ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
        for count, recovered in ((10, True), (11, False)):
            await _lose(grace)
            said = [f"{recovered} {number}" for number in range(count)]
            for text in said:
                await stage.send(ada, text)
            grace.connect()
            returns = len(grace.reports("connect")) + 1
            assert (await grace.acknowledged(returns))["recovered"] is recovered
        assert len(grace.payloads("chat.message.new")) == 10
        await grace.ask("session.join", {"sessionId": stage.session})
        _, snapshot = await grace.heard("session.snapshot", 2)
        assert texts(snapshot["messages"])[-11:] == said


async def test_an_offset_of_another_log_or_of_the_future_is_refused(stage: Stage) -> None:
    ada = await stage.enter("ada", returns=False)
    epoch, seq = _offset(ada).split("-")
    pid = ada.reports("connect")[0][0]["pid"]
    await _lose(ada)
    for number, offset in enumerate((f"{epoch}x-{seq}", f"{epoch}-{int(seq) + 10**6}", "", "-", 7, None, "9" * 5_000)):
        auth = {"token": stage.token("ada"), "pid": pid, "offset": offset}
        client = stage.node.open(f"{number}", f"{stage.server.url}/events", auth=auth, transports=["websocket"])
        report = await client.acknowledged()
        assert report["recovered"] is False, offset
        assert report["pid"] != pid


async def test_a_ticket_is_worth_nothing_to_somebody_else(stage: Stage) -> None:
    ada = await stage.enter("ada")
    pid, offset = ada.reports("connect")[0][0]["pid"], _offset(ada)
    auth = {"token": stage.token("mallory"), "pid": pid, "offset": offset}
    mallory = stage.node.open("mallory", f"{stage.server.url}/events", auth=auth, transports=["websocket"])
    report = await mallory.acknowledged()
    assert report["recovered"] is False
    assert report["pid"] != pid
    await stage.send(ada, "between us")
    await ada.heard("chat.message.new")
    assert mallory.payloads("chat.message.new") == []


async def test_the_connection_before_is_superseded_at_once(stage: Stage) -> None:
    ada, grace = await stage.enter("ada", returns=False), await stage.enter("grace")
    auth = {"token": stage.token("ada"), "pid": ada.reports("connect")[0][0]["pid"], "offset": _offset(ada)}
    started_s = time.monotonic()
    second = stage.node.open("second", f"{stage.server.url}/events", auth=auth, transports=["websocket"])
    await second.acknowledged()
    await ada.reported("disconnect")
    assert time.monotonic() - started_s < SUPERSEDED_WITHIN_S
    await stage.send(grace, "for the new connection")
    assert texts(await second.heard("chat.message.new")) == ["for the new connection"]
    assert ada.payloads("chat.message.new") == []
    assert second.reports("connect")[0][0]["sid"] == ada.reports("connect")[0][0]["sid"]


async def test_whoever_was_deactivated_meanwhile_does_not_get_back_in(stage: Stage) -> None:
    ada, grace = await stage.enter("ada", returns=False), await stage.enter("grace")
    await _lose(ada)
    await stage.send(grace, "missed")
    path = f"/api/users/{stage.id_of('ada')}/deactivate"
    assert (await stage.server.request("POST", path, stage.token("boss", role="ADMIN"))).status_code == 200
    ada.connect()
    assert (await ada.reported("disconnect", 2))[0] == "io server disconnect"
    assert ada.payloads("systemError") == [{"message": "Authentication failed", "reason": "user_deactivated"}]
    assert ada.payloads("chat.message.new") == []


async def test_whoever_has_an_expired_token_does_not_get_back_in(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"auth": {"leeway_s": 0}}) as server:
        stage = Stage(server, node)
        grace = await stage.enter("grace")
        expires_s = trio.current_time() + 2
        token = server.token(stage.id_of("ada"), ttl_s=2)
        ada = await stage.enter("ada", token=token, returns=False)
        await _lose(ada)
        await stage.send(grace, "missed")
        await trio.sleep_until(expires_s)  # the token's own time, not a pause for something to happen
        ada.connect()
        assert (await ada.reported("disconnect", 2))[0] == "io server disconnect"
        assert ada.payloads("systemError") == [{"message": "Authentication failed", "reason": "token_expired"}]
        assert ada.payloads("chat.message.new") == []
        ada.connect({"token": stage.token("ada")})
        await ada.acknowledged(2)


async def test_a_token_that_ends_while_connected_is_renewed_without_a_loss(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"auth": {"expiry_grace_s": 0, "leeway_s": 0}}) as server:
        stage = Stage(server, node)
        grace = await stage.enter("grace")
        ada = await stage.enter("ada", token=server.token(stage.id_of("ada"), ttl_s=2), returns=False)
        await ada.heard("systemError")
        await ada.reported("disconnect")
        await stage.send(grace, "missed")
        ada.connect({"token": stage.token("ada")})
        assert (await ada.acknowledged(2))["recovered"] is True
        assert texts(await ada.heard("chat.message.new")) == ["missed"]


async def test_a_moderator_who_no_longer_is_one_keeps_only_what_everybody_has(stage: Stage) -> None:
    grace = await stage.enter("grace")
    ada = await stage.enter("ada", role="MODERATOR", returns=False)
    await _lose(ada)
    message_id = await stage.send(grace, "missed")
    ada.connect({"token": stage.token("ada", role="MEMBER")})
    await ada.acknowledged(2)
    deletion = {"messageId": message_id, "idempotencyKey": key(), "sessionId": stage.session}
    await ada.ask("session.join", {"sessionId": stage.session})
    answer = await ada.ask("chat.message.delete", deletion)
    assert answer["error"]["message"] == "You do not have permission"
