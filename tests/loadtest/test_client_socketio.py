"""A connection enters, asks, hears, ends and comes back: as scripted servers see it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial

import pytest
import trio

from loadtest.client import (
    AskTimeout,
    Closed,
    ConnectFailed,
    ConnectRefused,
    Opened,
    Recovery,
    decode,
)
from tests.loadtest.peer import OPEN, Client, Peer, frame, serving


def said(packet: str) -> bytes:
    return frame(packet.encode())


async def test_opening_sends_the_auth_and_tells_the_answer() -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.admit())
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        opened = await client.connection.open({"token": "t"})
        assert client.connection.is_open
        client.connection.cut()
        assert not client.connection.is_open
    assert opened == Opened("s", recovered=False, pid="p", data={"sid": "s", "pid": "p"})
    assert seen == [b'40/events,{"token":"t"}']


async def test_coming_back_is_recovered_only_if_the_server_says_so() -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        for pid, recovered in (("p", True), ("another", False)):
            connection = Client(hub, port).connection
            opened = await connection.open(Recovery(pid, "e-1").auth())
            assert opened.recovered is recovered
            assert connection.recovery == Recovery("p", "e-1"), "nothing newer was heard"
            connection.cut()


async def test_a_connect_error_is_told_with_its_data() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(frame(OPEN))
        await peer.frame()
        await peer.send(said('44/events,{"message":"No","data":{"code":"X"}}'))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        with pytest.raises(ConnectRefused, match="No") as caught:
            await client.connection.open({})
        with pytest.raises(Closed):
            client.connection.emit("x")
    assert caught.value.data == {"code": "X"}
    assert client.reasons == []


async def test_an_answer_without_sid_is_no_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(frame(OPEN), said("40/events,{}"))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed, match="no sid"):
            await Client(hub, port).connection.open({})


async def test_acks_find_whoever_asked_in_any_order() -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        asked = [(await peer.frame())[1] for _ in range(2)]
        assert asked == [b'42/events,0["a",{"n":1}]', b'42/events,1["b"]']
        await peer.send(said('43/events,1["for b"]'), said('43/events,7["for nobody"]'), said('43/events,0["for a",2]'))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        connection = Client(hub, port).connection
        await connection.open({})
        answers: dict[str, list[object]] = {}

        async def ask(event: str, *args: object) -> None:
            before_ns = time.monotonic_ns()
            answer = await connection.ask(event, *args)
            assert before_ns < answer.at_ns <= time.monotonic_ns()
            answers[event] = answer

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "a", {"n": 1})
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, "b")
        connection.cut()
    assert answers == {"a": ["for a", 2], "b": ["for b"]}


async def test_an_ask_without_answer_times_out_and_a_late_answer_does_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.frame()
        await peer.frame()
        await peer.send(said("43/events,0[1]"), said("43/events,1[2]"))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        connection = Client(hub, port).connection
        await connection.open({})
        with pytest.raises(AskTimeout, match="no ack to slow"):
            await connection.ask("slow", timeout_s=0.02)
        assert await connection.ask("next") == [2]
        connection.cut()


async def test_asks_end_with_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.frame()
        await peer.stream.aclose()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        with pytest.raises(Closed, match="connection"):
            await client.connection.ask("x")
        with pytest.raises(Closed):
            await client.connection.ask("y")
    assert len(client.reasons) == 1


async def test_events_are_heard_raw_and_the_last_text_argument_is_the_offset() -> None:
    pushes = ['["a",{"t":"x"},"e-1"]', '["view",{"n":1}]', '["alone"]', '["odd", 1]', '[ "spaced" ]', '["z",{},"e-2"]']

    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.send(*(said(f"42/events,{push}") for push in pushes[:5]))
        await peer.frame()
        await peer.send(said(f"42/events,{pushes[5]}"), said('42/events,3["asks",1]'))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        await client.until(lambda: len(client.heard) == 5)
        assert client.connection.recovery == Recovery("p", "e-1")
        client.connection.emit("go on")
        await client.until(lambda: len(client.heard) == 7)
        assert client.connection.recovery == Recovery("p", "e-2")
        client.connection.cut()
    assert client.names == ["a", "view", "alone", "odd", "spaced", "z", "asks"]
    assert client.heard[0][1] == b'2/events,["a",{"t":"x"},"e-1"]'
    assert decode(client.heard[4][1]) == ["spaced"]


async def test_engine_pings_are_answered() -> None:
    answers: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.send(said("2"))
        answers.append((await peer.frame())[1])
        await peer.send(said('42/events,["done"]'))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        await client.until(lambda: client.names == ["done"])
        client.connection.cut()
    assert answers == [b"3"]


@pytest.mark.parametrize(("packet", "reason"), [("41/events,", "server disconnect"), ("1", "transport closed")])
async def test_the_server_ends_it_and_that_is_told_once(packet: str, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.frame()
        await peer.send(said(packet))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        client.connection.emit("go")
        await client.until(lambda: bool(client.reasons))
        await client.connection.close()
    assert len(client.reasons) == 1
    assert client.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    "packet",
    ['42/events,["unended', "42/events,{}", "42/events,", "42/events, []", "42nonsense", '42/events,["\\ud800",1'],
)
async def test_nonsense_from_a_server_ends_this_connection_only(packet: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        if (await peer.frame())[1] == b'42/events,["speak"]':
            await peer.send(said(packet))
            await trio.sleep_forever()
        await peer.send(said('42/events,["fine"]'))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        bad, good = Client(hub, port), Client(hub, port)
        for client, event in ((bad, "speak"), (good, "go")):
            await client.connection.open({})
            client.connection.emit(event)
        await good.until(lambda: good.names == ["fine"])
        await bad.until(lambda: bool(bad.reasons or bad.heard))
        assert bad.reasons in ([], ["malformed packet from the server"])
        bad.connection.cut()
        good.connection.cut()


async def test_an_ack_that_is_no_json_ends_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.frame()
        await peer.send(said("43/events,0[nonsense"))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        with pytest.raises(Closed, match="malformed"):
            await client.connection.ask("x")
    assert client.reasons == ["malformed packet from the server"]


async def test_a_cut_connection_leaves_no_task_and_no_descriptor() -> None:
    async def script(peer: Peer) -> None:
        with suppress(trio.BrokenResourceError, EOFError):
            await peer.admit()
            while True:
                await peer.frame()
        await peer.stream.aclose()

    async with serving(script) as (hub, port):

        async def once() -> None:
            connection = Client(hub, port).connection
            await connection.open({})
            connection.cut(silent=True)
            connection.cut()

        async def settled() -> int:
            with trio.fail_after(5):
                while hub.nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            return len(os.listdir("/proc/self/fd"))

        await once()
        before = await settled()
        for _ in range(20):
            await once()
        assert await settled() == before


async def test_giving_up_while_opening_leaves_nothing_open() -> None:
    gone = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await peer.head()
        gone.set()

    async with serving(script) as (hub, port):
        with trio.move_on_after(0.05):
            await Client(hub, port).connection.open({})
        with trio.fail_after(5):
            await gone.wait()


def heard_all(client: Client, number: int) -> bool:
    return len(client.heard) == number


async def test_everybody_who_hears_a_broadcast_keeps_the_same_object() -> None:
    first, second = '42/events,["news",{"n":1},"e-1"]', '42/events,["news",{"n":2},"e-2"]'
    large = '42/events,["news",{"n":"%s"},"e-3"]' % ("x" * 10_000)

    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.send(said(first), said(second), said(large), said(first))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        clients = [Client(hub, port) for _ in range(2)]
        for client in clients:
            await client.connection.open({})
            await client.until(partial(heard_all, client, 4))
            assert client.connection.recovery == Recovery("p", "e-1")
        one, two = ([packet for _, packet in client.heard] for client in clients)
    assert one == two == [packet[1:].encode() for packet in (first, second, large, first)]
    assert one[0] is one[3] is two[0]
    assert one[1] is two[1]
