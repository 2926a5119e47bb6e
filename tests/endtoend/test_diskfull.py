"""A full disk: changes are refused and say so, reading goes on, and when there is room again, all goes on.

The disk is made full for the running server alone, by lowering the largest size that its files may have.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, key, texts
from tests.endtoend.wire import wire_in
from tests.harness import Server

FULL_BYTES = 1


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file of the server grows while the block lasts."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


async def _try(client: Client, text: str) -> Any:
    return await client.ask("chat.message.send", {"text": text, "idempotencyKey": key()})


def _unavailable(answer: Any) -> bool:
    error = answer.get("error", {})
    return error.get("statusCode") == 503 and "unavailable" in error["message"]


async def _send_when_possible(client: Client, text: str) -> None:
    """As a patient client does: again with the same key, after the time that the refusal names."""
    payload = {"text": text, "idempotencyKey": key()}
    while not (answer := await client.ask("chat.message.send", payload))["success"]:
        assert _unavailable(answer), answer
        await trio.sleep(answer["error"]["retryAfterMs"] / 1000)


async def test_sends_are_refused_reads_answered_and_sends_work_again(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada, grace = await stage.enter("ada"), await stage.enter("grace")
    token = stage.token("ada")
    said = ["before 1", "before 2"]
    for text in said:
        await stage.send(ada, text)
    for time in (1, 2):
        with full_disk(server):
            for _ in range(3):
                answer = await _try(ada, "lost")
                assert _unavailable(answer), answer
            assert texts(await server.history(stage.session, token)) == said
            assert (await server.request("GET", "/healthz")).status_code == 200
            assert (await server.request("GET", "/readyz")).status_code == 503
            ada.emit("chat.message.send", {"text": "lost", "idempotencyKey": key()})
            assert (await ada.heard("systemError", time))[-1]["reason"] == "unavailable"
            newcomer = stage.connect(f"newcomer{time}")
            await newcomer.acknowledged()
        await _send_when_possible(ada, f"after {time}")
        said.append(f"after {time}")
        assert (await server.request("GET", "/readyz")).status_code == 200
        assert texts(await grace.heard("chat.message.new", len(said))) == said
    server.kill()
    await ada.reported("disconnect")
    await server.restart()
    assert texts(await server.history(stage.session, token)) == said
    assert texts(grace.payloads("chat.message.new")) == said


async def test_under_load_every_ack_is_true(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    grace = await stage.enter("grace")
    async with wire_in(server, stage.token("ada"), stage.session) as wire:
        asked: dict[int, str] = {}

        async def ask(count: int) -> None:
            for _ in range(count):
                text = str(len(asked))
                asked[await wire.ask("chat.message.send", {"text": text, "idempotencyKey": key()})] = text

        acked: list[str] = []
        refused = 0
        await ask(100)
        with full_disk(server):
            await ask(100)
            while len(acked) + refused < len(asked):
                number, answer = await wire.until(lambda kind, _: kind == "ack")
                if answer["success"]:
                    acked.append(asked[number])
                else:
                    assert _unavailable(answer), answer
                    refused += 1
        assert refused >= 1
    await _send_when_possible(grace, "the end")
    kept = texts(await server.history(stage.session, stage.token("grace")))
    assert kept == [*acked, "the end"]
    assert texts(await grace.heard("chat.message.new", len(kept))) == kept


async def test_a_client_recovers_over_a_full_disk(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    ada, grace = await stage.enter("ada"), await stage.enter("grace", returns=False)
    grace.drop()
    await grace.reported("disconnect")
    await stage.send(ada, "missed")
    with full_disk(server):
        assert _unavailable(await _try(ada, "lost"))
        grace.connect()
        await grace.acknowledged(2)
    await _send_when_possible(ada, "after")
    if grace.reports("connect")[-1][0]["recovered"]:
        assert texts(await grace.heard("chat.message.new", 2)) == ["missed", "after"]
    else:
        await grace.ask("session.join", {"sessionId": stage.session})
        _, snapshot = await grace.heard("session.snapshot", 2)
        assert texts(snapshot["messages"]) == ["missed", "after"]
