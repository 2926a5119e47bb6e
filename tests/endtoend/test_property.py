"""Whatever happens in whatever order: every client hears all of a session once, in order, from its join to the end.

Everything above the wire is real and in this process, in virtual time. Networks lose the end of what was sent, servers
do not notice that clients are gone, the process ends, the disk is full for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from livehub.stores.memory import MemoryStore, open_memory
from tests.contracts.stage import Stage, stage
from tests.endtoend.lines import SESSION, Client
from tests.kit import settle

CLIENTS = 4
FACTS_MAX = 100_000
DISK_PROBED_AFTER_S = 3.0
PAUSES_S = (0.0, 0.005, 0.02, 1.5, 400.0)
"""Within a tick, across a tick, across a probe of the disk, until an idle room closes."""

WHO = st.integers(0, CLIENTS - 1)
LOST = st.integers(0, 6)
STEP = st.one_of(
    st.tuples(st.just("say"), WHO, st.integers(1, 3)),
    st.tuples(st.just("come"), WHO),
    st.tuples(st.just("cut"), WHO, LOST, st.booleans()),
    st.tuples(st.just("pause"), st.sampled_from(PAUSES_S)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("disk"), st.booleans()),
    st.tuples(st.just("crash"), LOST),
)


class World:
    """Clients, a log, and a process that ends and starts again."""

    def __init__(self, steps: Sequence[tuple[Any, ...]]) -> None:
        self.clients = [Client(f"client{number}") for number in range(CLIENTS)]
        self._steps = list(steps)

    async def run(self) -> None:
        """Take all steps, let everybody come back, and look at what they heard."""
        async with open_memory() as store:
            while True:
                async with stage(store) as process, trio.open_nursery() as nursery:
                    crashed = await self._live(process, store, nursery)
                    if not crashed:
                        await self._come_to_rest(process, store, nursery)
                    nursery.cancel_scope.cancel()
                if not crashed:
                    break
            records = await store.read(f"session:{SESSION}", 0, FACTS_MAX)
        facts = [(record.seq, orjson.loads(record.data)) for record in records if record.kind == "chat.message.new"]
        self._check([(seq, data["message"]["text"]) for seq, data in facts])

    async def _live(self, process: Stage, store: MemoryStore, nursery: trio.Nursery) -> bool:
        """Take steps in one life of the process: whether it crashed."""
        while self._steps:
            name, *args = self._steps.pop(0)
            if name == "say":
                self.clients[args[0]].say(args[1])
            elif name == "come":
                self.clients[args[0]].come(process, nursery)
            elif name == "cut":
                self.clients[args[0]].lose(args[1], noticed=args[2])
            elif name == "pause":
                await trio.sleep(args[0])
            elif name == "settle":
                await settle()
            elif name == "disk":
                store.fail_commits = args[0]
            else:
                for client in self.clients:
                    client.lose(args[0], noticed=False)
                return True
        return False

    async def _come_to_rest(self, process: Stage, store: MemoryStore, nursery: trio.Nursery) -> None:
        store.fail_commits = False
        await trio.sleep(DISK_PROBED_AFTER_S)
        for _ in range(2):  # a client that the first round showed to be out comes back in the second
            for client in self.clients:
                client.take()
                client.come(process, nursery)
                client.join()  # the first join may have been refused while the disk was full
            await settle()
            await trio.sleep(1.0)
        self.clients[0].say(1)
        await trio.sleep(1.0)
        await settle()
        for client in self.clients:
            client.take()

    def _check(self, log: list[tuple[int, str]]) -> None:
        texts = [text for _, text in log]
        assert len(set(texts)) == len(texts), "something is in the log twice"
        for client in self.clients:
            mine = [text for text in texts if text.startswith(f"{client.name} ")]
            assert mine == sorted(mine, key=lambda text: int(text.split()[1])), "a client's own order"
            assert not set(client.acked) - set(texts), "acknowledged, and lost"
            assert not set(client.refused) & set(texts), "refused, and kept"
            assert client.heard == texts[len(texts) - len(client.heard) :], f"{client.name}: a gap, or something twice"
            assert client.since is not None, f"{client.name} is not in the session at the end"
            due = [text for seq, text in log if seq > client.since]
            assert len(client.heard) >= len(due), f"{client.name} did not hear {due[: len(due) - len(client.heard)]}"
        assert self.clients[0].acked
        assert texts[-1] == self.clients[0].acked[-1]


@given(st.lists(STEP, max_size=40))
def test_everybody_hears_everything_once_in_order(steps: list[tuple[Any, ...]]) -> None:
    trio.run(World(steps).run, clock=MockClock(autojump_threshold=0))
