"""`kill -9` under load, at a random moment, again and again: what was acknowledged or shown is never lost.

`pytest --kill-rounds 50` looks longer. A failure prints the seed of its round; `LIVEHUB_KILL_SEED` repeats it as far as
a race can be repeated.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import trio

from tests.endtoend.node import Client, Node
from tests.endtoend.stage import Stage, texts
from tests.endtoend.wire import Gone, Wire, wire_in
from tests.harness import Server

SENDERS = 4
IN_FLIGHT_MAX = 16
KILL_AFTER_S = (0.05, 0.6)
MORE_AFTER_RESTART = 20
ROUND_DEADLINE_S = 60.0


@dataclass
class Sender:
    """What one sender asked for, in order (text → idempotency key), and what was acknowledged (text → id)."""

    name: str
    asked: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    stop_at: float = float("inf")

    @property
    def unsure(self) -> list[str]:
        """Asked for, and not acknowledged: to be sent again, with the same key."""
        return [text for text in self.asked if text not in self.acked]

    def next(self) -> str:
        """Something new to say."""
        text = f"{self.name} {len(self.asked)}"
        self.asked[text] = str(uuid4())
        return text

    async def send(self, wire: Wire, started: trio.Event) -> None:
        """Keep sending until everything that is to be sent is acknowledged."""
        again, waiting = self.unsure, dict[int, str]()
        while again or waiting or len(self.asked) < self.stop_at:
            while len(waiting) < IN_FLIGHT_MAX and (again or len(self.asked) < self.stop_at):
                text = again.pop(0) if again else self.next()
                number = await wire.ask("chat.message.send", {"text": text, "idempotencyKey": self.asked[text]})
                waiting[number] = text
            number, answer = await wire.until(lambda kind, _: kind == "ack")
            assert answer["success"] is True, answer
            self.acked[waiting.pop(number)] = answer["messageId"]
            started.set()


async def _send(server: Server, stage: Stage, sender: Sender, started: trio.Event) -> None:
    try:
        async with wire_in(server, stage.token(sender.name), stage.session) as wire:
            await sender.send(wire, started)
    except Gone:
        assert sender.stop_at == float("inf"), "cut off without being killed"


async def _load_and_kill(server: Server, stage: Stage, chance: random.Random, senders: list[Sender]) -> None:
    started = [trio.Event() for _ in senders]
    async with trio.open_nursery() as nursery:
        for sender, event in zip(senders, started, strict=True):
            nursery.start_soon(_send, server, stage, sender, event)
        for event in started:
            await event.wait()
        await trio.sleep(chance.uniform(*KILL_AFTER_S))  # the random moment itself
        server.kill()


async def _finish(server: Server, stage: Stage, senders: list[Sender]) -> None:
    """Send again what was not acknowledged, and some more."""
    async with trio.open_nursery() as nursery:
        for sender in senders:
            sender.stop_at = len(sender.asked) + MORE_AFTER_RESTART
            nursery.start_soon(_send, server, stage, sender, trio.Event())


async def _check(server: Server, stage: Stage, senders: list[Sender], observer: Client) -> None:
    history = await server.history(stage.session, stage.token("observer"))
    kept = texts(history)
    ids = {message["text"]: message["id"] for message in history}
    assert len(ids) == len(kept), "something is in the history twice"
    for sender in senders:
        lost = [text for text in sender.acked if text not in ids]
        assert not lost, f"acknowledged, and lost: {lost}"
        assert all(ids[text] == message_id for text, message_id in sender.acked.items())
        mine = [text for text in kept if text.startswith(f"{sender.name} ")]
        assert mine == list(sender.asked)[: len(mine)], "out of order, or with a gap"

    def shown() -> list[dict[str, Any]]:
        return [message for message in observer.payloads("chat.message.new") if message["sessionId"] == stage.session]

    await observer.until(lambda: len(shown()) >= len(kept))
    assert texts(shown()) == kept, "the observer saw something else than what was kept"


async def _round(server: Server, stage: Stage, observer: Client, seed: int) -> None:
    senders = [Sender(f"sender{number}") for number in range(SENDERS)]
    lives = len(observer.reports("connect"))
    await observer.ask("session.join", {"sessionId": stage.session})
    await _load_and_kill(server, stage, random.Random(seed), senders)
    await observer.reported("disconnect", lives)
    await server.restart()
    assert (await observer.acknowledged(lives + 1))["recovered"] is True
    await _check(server, stage, senders, observer)
    await _finish(server, stage, senders)
    await _check(server, stage, senders, observer)
    assert not any(sender.unsure for sender in senders)
    await observer.ask("session.leave", {"sessionId": stage.session})


@pytest.mark.deadline_s(3_600)
async def test_nothing_acknowledged_or_shown_is_lost(
    server: Server, node: Node, request: pytest.FixtureRequest
) -> None:
    rounds: int = request.config.getoption("--kill-rounds")
    first_seed = int(os.environ.get("LIVEHUB_KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    stage = Stage(server, node)
    observer = await stage.enter("observer", joined=False)
    for seed in range(first_seed, first_seed + rounds):
        print(f"LIVEHUB_KILL_SEED={seed}")
        stage.session = f"session-{seed}"
        with trio.fail_after(ROUND_DEADLINE_S):
            await _round(server, stage, observer, seed)
