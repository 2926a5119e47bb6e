"""The network fails in the middle of anything, also of a recovery: the stock client sees everything, once, in order.

A cut within a replay is the one case that cannot be told from outside: the client keeps what it had of it, but does not
count it. Such a recovery is refused, and a snapshot tells the rest.
"""

from __future__ import annotations

import random
from itertools import count, pairwise

import pytest
import trio

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, texts
from tests.endtoend.weather import weather_before
from tests.harness import Server

CUTS = 25
BYTES_UNTIL_CUT = (1, 6_000)
PATIENCE_MS = 1_000
"""The client does not notice a WebSocket that ends between the 101 and the open packet, except by this timeout."""
MISSED = 30


async def join_again_and_again(grace: Client, session: str) -> None:
    """What the quick start does: join on every connection, recovered or not."""
    for lives in count(2):
        await grace.reported("connect", lives)
        grace.emit("session.join", {"sessionId": session})


def lived(grace: Client) -> tuple[list[int], set[int]]:
    """The numbers that came as events, in order, and those up to which a snapshot told."""
    numbers = [int(text) for text in texts(grace.payloads("chat.message.new"))]
    snapshots = [texts(snapshot["messages"]) for snapshot in grace.payloads("session.snapshot")]
    return numbers, {int(shown[-1]) for shown in snapshots if shown}


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")], ids="+".join)
async def test_cuts_anywhere_lose_and_repeat_nothing(
    shared_server: Server, node: Node, transports: tuple[str, ...]
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    stage = Stage(shared_server, node)
    ada = await stage.enter("ada")
    async with weather_before(shared_server) as weather, trio.open_nursery() as nursery:
        grace = await stage.enter("grace", url=weather.url, transports=transports, patience_ms=PATIENCE_MS)
        nursery.start_soon(join_again_and_again, grace, stage.session)
        said = 0
        for _ in range(CUTS):
            cuts, lives = weather.cuts, len(grace.reports("connect"))
            weather.cut_after(chance.randint(*BYTES_UNTIL_CUT))
            while weather.cuts == cuts:
                await stage.send(ada, str(said))
                said += 1
            if chance.random() < 0.5:  # else the next cut may come while it is still coming back
                await grace.reported("connect", lives + 1)
        await stage.send(ada, str(said))
        await grace.until(lambda: said in set(lived(grace)[0]) | lived(grace)[1])
        nursery.cancel_scope.cancel()
    heard, told_to = lived(grace)
    assert heard == sorted(set(heard)), "repeated, or out of order"
    gaps = [(before, after) for before, after in pairwise([-1, *heard]) if after != before + 1]
    assert all(after - 1 in told_to for _, after in gaps), (gaps, told_to)
    refused = [report[0] for report in grace.reports("connect")][1:].count({"recovered": False})
    assert len(grace.payloads("session.snapshot")) >= 1 + refused


async def test_what_was_cut_within_its_replay_is_not_replayed_again(shared_server: Server, node: Node) -> None:
    stage = Stage(shared_server, node)
    ada = await stage.enter("ada")
    async with weather_before(shared_server) as weather:
        grace = await stage.enter("grace", url=weather.url, returns=False)
        grace.drop()
        await grace.reported("disconnect")
        for number in range(MISSED):
            await stage.send(ada, str(number))
        weather.cut_after(4_000)  # of about 10,000 bytes of replay
        grace.connect()
        await grace.until(lambda: weather.cuts and len(grace.reports("engine_close")) >= 2)
        grace.connect()
        assert (await grace.reported("connect", len(grace.reports("connect")) + 1))[0]["recovered"] is False
        await grace.ask("session.join", {"sessionId": stage.session})
        await stage.send(ada, str(MISSED))
        await grace.until(lambda: MISSED in lived(grace)[0])
    heard, told_to = lived(grace)
    assert heard == [*range(heard.index(MISSED)), MISSED]
    assert told_to == {MISSED - 1}
