"""The network fails in the middle of anything, also of a recovery: the stock client still sees everything once, in order."""

from __future__ import annotations

import random

import pytest

from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, texts
from tests.endtoend.weather import weather_before
from tests.harness import Server

CUTS = 25
BYTES_UNTIL_CUT = (1, 6_000)
PATIENCE_MS = 1_000
"""The client does not notice a WebSocket that ends between the 101 and the open packet, except by this timeout."""
MISSED = 30


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")], ids="+".join)
async def test_cuts_anywhere_lose_and_repeat_nothing(
    shared_server: Server, node: Node, transports: tuple[str, ...]
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    stage = Stage(shared_server, node)
    ada = await stage.enter("ada")
    async with weather_before(shared_server) as weather:
        grace = await stage.enter("grace", url=weather.url, transports=transports, patience_ms=PATIENCE_MS)
        said = 0
        for _ in range(CUTS):
            cuts, lives = weather.cuts, len(grace.reports("connect"))
            weather.cut_after(chance.randint(*BYTES_UNTIL_CUT))
            while weather.cuts == cuts:
                await stage.send(ada, str(said))
                said += 1
            if chance.random() < 0.5:  # else the next cut may come while it is still coming back
                await grace.reported("connect", lives + 1)
        await stage.send(ada, "the end")
        await grace.until(lambda: texts(grace.payloads("chat.message.new"))[-1:] == ["the end"])
    assert texts(grace.payloads("chat.message.new")) == [*map(str, range(said)), "the end"]
    assert [report[0]["recovered"] for report in grace.reports("connect")][1:] == [True] * (
        len(grace.reports("connect")) - 1
    )


async def test_a_cut_within_the_replay_repeats_nothing(shared_server: Server, node: Node) -> None:
    """The client keeps what comes before the CONNECT's answer, also over a cut: it must not be given it twice."""
    stage = Stage(shared_server, node)
    ada = await stage.enter("ada")
    async with weather_before(shared_server) as weather:
        grace = await stage.enter("grace", url=weather.url, returns=False)
        grace.drop()
        await grace.reported("disconnect")
        said = [f"missed {number}" for number in range(MISSED)]
        for text in said:
            await stage.send(ada, text)
        weather.cut_after(4_000)  # of about 10,000 bytes of replay
        grace.connect()
        await grace.until(lambda: weather.cuts and len(grace.reports("engine_close")) >= 2)
        grace.connect()
        assert (await grace.reported("connect", len(grace.reports("connect")) + 1))[0]["recovered"] is True
        await stage.send(ada, "the end")
        await grace.until(lambda: texts(grace.payloads("chat.message.new"))[-1:] == ["the end"])
    assert texts(grace.payloads("chat.message.new")) == [*said, "the end"]
