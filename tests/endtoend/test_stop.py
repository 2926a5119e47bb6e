"""A clean stop: SIGTERM and Ctrl-C lose nothing, take no longer than they may, and clients come back by themselves."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, key, texts
from tests.endtoend.wire import Gone, connected, wire_in
from tests.harness import Server

IN_FLIGHT = 200
FILLING = 50


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_clients_come_back_by_themselves_and_nothing_is_lost(
    server: Server, node: Node, number: signal.Signals
) -> None:
    stage = Stage(server, node)
    ada = await stage.enter("ada")
    grace = await stage.enter("grace", transports=("polling",))
    await stage.send(ada, "before")
    for client in (ada, grace):
        await client.heard("chat.message.new")
    assert await trio.to_thread.run_sync(server.stop, number) == 0
    for client in (ada, grace):
        reason = (await client.reported("disconnect"))[0]
        assert reason in ("transport close", "transport error"), "only then a client comes back by itself"
    await server.restart()
    for client in (ada, grace):
        assert (await client.acknowledged(2))["recovered"] is True
    await stage.send(grace, "after")
    for client in (ada, grace):
        assert texts(await client.heard("chat.message.new", 2)) == ["before", "after"]
    assert "Traceback" not in server.log


async def test_what_was_acknowledged_while_it_stopped_is_kept(server: Server, node: Node) -> None:
    stage = Stage(server, node)
    await stage.enter("observer")
    acked: list[str] = []
    async with wire_in(server, stage.token("ada"), stage.session) as wire:
        asked = {
            await wire.ask("chat.message.send", {"text": str(number), "idempotencyKey": key()}): str(number)
            for number in range(IN_FLIGHT)
        }
        await wire.until(lambda kind, _: kind == "ack")
        acked.append("0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, server.stop))
            with suppress(Gone):
                while True:
                    number, answer = await wire.until(lambda kind, _: kind == "ack")
                    if answer["success"]:
                        acked.append(asked[number])
    await server.restart()
    kept = texts(await server.history(stage.session, stage.token("ada")))
    assert kept[: len(acked)] == acked
    assert kept == [str(number) for number in range(len(kept))]


async def test_nobody_connected_is_no_reason_to_wait(server: Server) -> None:
    started_s = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started_s < 2


async def test_a_client_that_does_not_read_does_not_hold_it_up(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"server": {"shutdown_deadline_s": 2.0, "shutdown_jitter_s": 0.1}}) as server:
        stage = Stage(server, node)
        async with (
            wire_in(server, stage.token("mute"), stage.session),
            wire_in(server, stage.token("ada"), stage.session) as ada,
        ):
            while await server.metric("livehub_outbox_bytes") == 0:  # until the mute one's kernel buffers are full
                for _ in range(FILLING):
                    await ada.answer("chat.message.send", {"text": "👍" * 1_000, "idempotencyKey": key()})
            started_s = time.monotonic()
            assert await trio.to_thread.run_sync(server.stop) == 0
            assert time.monotonic() - started_s < 4


async def test_a_second_signal_stops_waiting_for_clients(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {"server": {"shutdown_deadline_s": 60.0, "shutdown_jitter_s": 60.0}}) as server:
        stage = Stage(server, node)
        for number in range(5):
            await stage.enter(f"person{number}")
        server.send_signal(signal.SIGTERM)
        await _closed_to_newcomers(server)
        started_s = time.monotonic()
        assert await trio.to_thread.run_sync(server.stop) == 0
        assert time.monotonic() - started_s < 5


async def _closed_to_newcomers(server: Server) -> None:
    with suppress(Gone):
        while True:
            async with connected(server):
                pass
