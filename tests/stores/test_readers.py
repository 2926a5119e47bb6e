"""Reads share hops into threads, and each gets its own result, its own error and its own cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import apsw
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from livehub.stores.readers import READS_PER_HOP, Readers


class Gate:
    """Reads that hold up their thread until they are let go."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self._let = threading.Event()
        self._token = trio.lowlevel.current_trio_token()

    def block(self, connection: apsw.Connection) -> str:
        """A read that takes its time."""
        self._token.run_sync_soon(self.began.set)
        assert self._let.wait(10)
        return "blocked"

    def go(self) -> None:
        """Let it end."""
        self._let.set()


def number(value: int) -> Callable[[apsw.Connection], int]:
    def read(connection: apsw.Connection) -> int:
        found = connection.execute("select ?", (value,)).get
        assert isinstance(found, int)
        return found

    return read


async def ask(readers: Readers, which: int, found: list[int]) -> None:
    found.append(await readers.run(number(which)))


async def test_a_read_brings_what_it_read() -> None:
    readers = Readers([apsw.Connection(":memory:")])
    assert await readers.run(number(7)) == 7
    readers.close()


async def test_a_read_that_fails_fails_alone(nursery: trio.Nursery) -> None:
    readers, gate = Readers([apsw.Connection(":memory:")]), Gate()
    nursery.start_soon(readers.run, gate.block)
    await gate.began.wait()
    outcomes: dict[int, object] = {}

    def fail(connection: apsw.Connection) -> None:
        connection.execute("select nothing from nowhere")

    async def ask(which: int) -> None:
        try:
            outcomes[which] = await readers.run(fail if which == 1 else number(which))
        except apsw.SQLError as error:
            outcomes[which] = type(error)

    async with trio.open_nursery() as asking:
        for which in range(3):
            asking.start_soon(ask, which)
        await wait_all_tasks_blocked()
        gate.go()
    assert outcomes == {0: 0, 1: apsw.SQLError, 2: 2}


async def test_those_who_wait_share_the_next_hop(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    readers, gate = Readers([apsw.Connection(":memory:")]), Gate()
    hops: list[int] = []
    grant = Readers._grant

    def noted(self: Readers, batch: Sequence[Any]) -> None:
        hops.append(len(batch))
        grant(self, batch)

    monkeypatch.setattr(Readers, "_grant", noted)
    nursery.start_soon(readers.run, gate.block)
    await gate.began.wait()
    found: list[int] = []

    count = 2 * READS_PER_HOP + 1
    async with trio.open_nursery() as asking:
        for which in range(count):
            asking.start_soon(ask, readers, which, found)
        await wait_all_tasks_blocked()
        gate.go()
    assert sorted(found) == list(range(count))
    assert hops == [1, READS_PER_HOP, READS_PER_HOP, 1]


async def test_who_gives_up_takes_nothing_from_the_others(nursery: trio.Nursery) -> None:
    readers, gate = Readers([apsw.Connection(":memory:")]), Gate()
    nursery.start_soon(readers.run, gate.block)
    await gate.began.wait()
    found: list[int] = []

    async with trio.open_nursery() as asking:
        with trio.CancelScope() as given_up:
            async with trio.open_nursery() as fickle:
                fickle.start_soon(ask, readers, 1, found)
                await wait_all_tasks_blocked()
                asking.start_soon(ask, readers, 2, found)
                await wait_all_tasks_blocked()
                given_up.cancel()
        gate.go()
    assert found == [2]


async def test_who_gives_up_within_a_hop_leaves_it_to_the_others(nursery: trio.Nursery) -> None:
    """The first of a hop is cancelled while its thread works: those it took along still get theirs."""
    readers, first, second = Readers([apsw.Connection(":memory:")]), Gate(), Gate()
    nursery.start_soon(readers.run, first.block)
    await first.began.wait()
    found: list[int] = []

    async with trio.open_nursery() as asking:
        with trio.CancelScope() as given_up:
            async with trio.open_nursery() as fickle:
                fickle.start_soon(readers.run, second.block)
                await wait_all_tasks_blocked()
                asking.start_soon(ask, readers, 2, found)
                await wait_all_tasks_blocked()
                first.go()
                await second.began.wait()
                given_up.cancel()
                second.go()
    assert found == [2]


async def test_as_many_hops_at_once_as_connections(nursery: trio.Nursery) -> None:
    readers, gates = Readers([apsw.Connection(":memory:") for _ in range(2)]), [Gate(), Gate()]
    for gate in gates:
        nursery.start_soon(readers.run, gate.block)
        await gate.began.wait()
    for gate in gates:
        gate.go()
