"""Who has something to read is woken by edges: each is told once, none is lost, and none reaches another socket."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from livehub.transports import readiness as module
from livehub.transports.readiness import Readiness, Ready
from livehub.transports.websocket import RECEIVE_BYTES, SocketIncoming

PATIENCE_S = 20


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


class Pair:
    """Two ends of a TCP connection: the far one is a client, the near one is watched."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.far = socket.create_connection(listener.getsockname(), PATIENCE_S)
            self.near, _ = listener.accept()
        self.near.setblocking(False)
        self.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def fd(self) -> int:
        return self.near.fileno()

    def reset(self) -> None:
        """The client goes away without an end."""
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.far.close()

    def close(self) -> None:
        self.far.close()
        self.near.close()


@pytest.fixture
def pairs() -> Iterator[Callable[[], Pair]]:
    with ExitStack() as stack:

        def pair() -> Pair:
            made = Pair()
            stack.callback(made.close)
            return made

        yield pair


@pytest.fixture
def pair(pairs: Callable[[], Pair]) -> Pair:
    return pairs()


@pytest.fixture
async def readiness(nursery: trio.Nursery) -> AsyncIterator[Readiness]:
    made = Readiness()
    nursery.start_soon(made.run)
    with trio.fail_after(PATIENCE_S):
        yield made


class Waiter:
    """Waits again and again, and counts how often it was woken."""

    def __init__(self, ready: Ready, nursery: trio.Nursery) -> None:
        self.woken = 0
        self._ready = ready
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            self.woken += 1


class Taker:
    """Takes all there is, as a WebSocket does, until the end."""

    def __init__(self, incoming: SocketIncoming, nursery: trio.Nursery) -> None:
        self.taken: list[bytes] = []
        self.waits = 0
        self._incoming = incoming
        nursery.start_soon(self._run)

    @property
    def over(self) -> bool:
        return self.taken[-1:] == [b""]

    async def _run(self) -> None:
        while not self.over:
            data = self._incoming.take()
            if data is not None:
                self.taken.append(data)
            else:
                self.waits += 1
                await self._incoming.wait()


# Edges


async def test_whoever_waits_is_woken_when_something_comes(
    readiness: Readiness, pair: Pair, nursery: trio.Nursery
) -> None:
    waiter = Waiter(readiness.add(pair.fd), nursery)
    await wait_all_tasks_blocked()
    assert waiter.woken == 0
    pair.far.send(b"a")
    await wait_all_tasks_blocked()
    assert waiter.woken == 1


async def test_an_edge_is_told_once_however_much_is_left_unread(
    readiness: Readiness, pair: Pair, nursery: trio.Nursery
) -> None:
    waiter = Waiter(readiness.add(pair.fd), nursery)
    for number in range(1, 4):
        pair.far.send(b"a")
        await wait_all_tasks_blocked()
        assert waiter.woken == number, "nothing was read meanwhile, and only what is new wakes"


async def test_what_was_there_before_is_news(readiness: Readiness, pair: Pair, nursery: trio.Nursery) -> None:
    pair.far.send(b"a")
    ready = readiness.add(pair.fd)
    await ready.wait()
    assert pair.near.recv(10) == b"a"


async def test_only_those_are_woken_who_have_something_to_read(
    readiness: Readiness, pairs: Callable[[], Pair], nursery: trio.Nursery
) -> None:
    many = [pairs() for _ in range(10)]
    waiters = [Waiter(readiness.add(pair.fd), nursery) for pair in many]
    await wait_all_tasks_blocked()
    for place in (2, 7):
        many[place].far.send(b"a")
    await wait_all_tasks_blocked()
    assert [place for place, waiter in enumerate(waiters) if waiter.woken] == [2, 7]


async def test_news_while_nobody_waits_are_kept_as_one(readiness: Readiness, pair: Pair, nursery: trio.Nursery) -> None:
    ready = readiness.add(pair.fd)
    for _ in range(3):
        pair.far.send(b"a")
        await wait_all_tasks_blocked()
    waiter = Waiter(ready, nursery)
    await wait_all_tasks_blocked()
    assert waiter.woken == 1
    pair.far.send(b"a")
    await wait_all_tasks_blocked()
    assert waiter.woken == 2


async def test_a_wait_that_finds_news_lets_others_run(nursery: trio.Nursery) -> None:
    ready, others = Ready(), trio.Event()
    ready.wake(select.EPOLLIN)

    async def other() -> None:
        others.set()

    nursery.start_soon(other)
    await ready.wait()
    ready.wake(select.EPOLLIN)
    await ready.wait()  # the first may come back in the turn in which the other starts, and before it
    assert others.is_set()


@pytest.mark.parametrize("events", [select.EPOLLRDHUP, select.EPOLLHUP, select.EPOLLERR])
def test_the_end_is_remembered(events: int) -> None:
    ready = Ready()
    ready.wake(select.EPOLLIN)
    assert not ready.over
    ready.wake(select.EPOLLIN | events)
    ready.wake(select.EPOLLIN)
    assert ready.over


# Reading


async def test_after_a_short_read_nothing_is_asked_for_until_there_is_news(
    readiness: Readiness, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = SocketIncoming(pair.fd, readiness)
    pair.far.send(b"a")
    await incoming.wait()
    reads: list[int] = []
    read = os.read

    def counted(fd: int, size: int) -> bytes:
        reads.append(fd)
        return read(fd, size)

    monkeypatch.setattr("livehub.transports.websocket.os.read", counted)
    assert [incoming.take() for _ in range(3)] == [b"a", None, None]
    assert reads.count(pair.fd) == 1
    pair.far.send(b"b")
    await incoming.wait()
    assert [incoming.take() for _ in range(3)] == [b"b", None, None]
    assert reads.count(pair.fd) == 2


async def test_what_came_between_the_short_read_and_the_wait_is_not_missed(readiness: Readiness, pair: Pair) -> None:
    incoming = SocketIncoming(pair.fd, readiness)
    pair.far.send(b"a")
    await incoming.wait()
    assert incoming.take() == b"a"
    pair.far.send(b"b")
    await wait_all_tasks_blocked()
    assert incoming.take() is None, "its edge was told while nobody waited"
    await incoming.wait()
    assert incoming.take() == b"b"


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("more", [0, 1])
async def test_full_reads_go_on_without_another_edge(
    readiness: Readiness, pair: Pair, nursery: trio.Nursery, pieces: int, more: int
) -> None:
    data = random.Random(pieces).randbytes(pieces * RECEIVE_BYTES + more)
    pair.far.sendall(data)
    taker = Taker(SocketIncoming(pair.fd, readiness), nursery)
    await wait_all_tasks_blocked()
    assert list(map(len, taker.taken)) == [RECEIVE_BYTES] * pieces + [1] * more
    assert b"".join(taker.taken) == data
    pair.far.send(b"later")
    await wait_all_tasks_blocked()
    assert taker.taken[-1] == b"later"


async def test_whoever_waits_after_a_full_read_is_not_left_waiting(readiness: Readiness, pair: Pair) -> None:
    """Half a frame may be all that was read: then nothing is taken before the next wait, and no edge is to come."""
    pair.far.sendall(bytes(2 * RECEIVE_BYTES + 1))
    incoming = SocketIncoming(pair.fd, readiness)
    sizes = []
    for _ in range(3):
        await incoming.wait()
        sizes.append(len(incoming.take() or b""))
    assert sizes == [RECEIVE_BYTES, RECEIVE_BYTES, 1]


async def test_whoever_waits_between_the_data_and_the_end_is_not_left_waiting(readiness: Readiness, pair: Pair) -> None:
    incoming = SocketIncoming(pair.fd, readiness)
    pair.far.send(b"half a frame")
    pair.far.close()
    await incoming.wait()
    assert incoming.take() == b"half a frame"
    await incoming.wait()
    assert incoming.take() == b""


@pytest.mark.parametrize("goes", [lambda pair: pair.far.shutdown(socket.SHUT_WR), lambda pair: pair.far.close()])
@pytest.mark.parametrize("size", [1, RECEIVE_BYTES - 1, RECEIVE_BYTES, RECEIVE_BYTES + 1, 0])
async def test_data_and_the_end_in_one_event_are_both_heard(
    readiness: Readiness, pair: Pair, nursery: trio.Nursery, goes: Callable[[Pair], None], size: int
) -> None:
    taker = Taker(SocketIncoming(pair.fd, readiness), nursery)
    await wait_all_tasks_blocked()
    data = bytes(size)
    if data:
        pair.far.sendall(data)
    goes(pair)  # before the loop has its next turn
    await wait_all_tasks_blocked()
    assert b"".join(taker.taken) == data
    assert taker.over


async def test_an_end_after_all_was_read_is_heard(readiness: Readiness, pair: Pair, nursery: trio.Nursery) -> None:
    taker = Taker(SocketIncoming(pair.fd, readiness), nursery)
    pair.far.send(b"a")
    await wait_all_tasks_blocked()
    assert taker.taken == [b"a"]
    pair.far.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert taker.taken == [b"a", b""]


async def test_an_end_that_came_unseen_between_two_reads_is_heard(readiness: Readiness, pair: Pair) -> None:
    incoming = SocketIncoming(pair.fd, readiness)
    pair.far.send(b"a")
    await incoming.wait()
    pair.far.shutdown(socket.SHUT_WR)  # its edge is told only after the read
    assert [incoming.take(), incoming.take()] == [b"a", None]
    await incoming.wait()
    assert incoming.take() == b""


async def test_a_reset_is_an_end(readiness: Readiness, pair: Pair, nursery: trio.Nursery) -> None:
    taker = Taker(SocketIncoming(pair.fd, readiness), nursery)
    await wait_all_tasks_blocked()
    pair.reset()
    await wait_all_tasks_blocked()
    assert taker.taken == [b""]


async def test_whatever_comes_whenever_it_is_read_whole(
    readiness: Readiness, pairs: Callable[[], Pair], nursery: trio.Nursery
) -> None:
    dice = random.Random(20_261_121)
    many = [pairs() for _ in range(8)]
    takers = [Taker(SocketIncoming(pair.fd, readiness), nursery) for pair in many]
    sent = [bytearray() for _ in many]
    for _ in range(400):
        place = dice.randrange(len(many))
        data = dice.randbytes(dice.choice([1, 100, RECEIVE_BYTES - 1, RECEIVE_BYTES, RECEIVE_BYTES + 1]))
        many[place].far.sendall(data)
        sent[place] += data
        for _ in range(dice.randrange(4)):
            await trio.lowlevel.checkpoint()
        if dice.random() < 0.2:
            await wait_all_tasks_blocked()
            assert [b"".join(taker.taken) for taker in takers] == sent
    for pair in many:
        pair.far.close()
    await wait_all_tasks_blocked()
    assert [b"".join(taker.taken) for taker in takers] == sent
    assert all(taker.over for taker in takers)


# Cancellation


async def test_what_comes_after_a_wait_was_cancelled_is_news(
    readiness: Readiness, pair: Pair, nursery: trio.Nursery
) -> None:
    ready = readiness.add(pair.fd)
    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            await ready.wait()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    assert scope.cancelled_caught
    pair.far.send(b"a")
    await wait_all_tasks_blocked()
    assert ready.news
    await ready.wait()


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_news_in_the_turn_of_the_cancellation_are_not_lost(nursery: trio.Nursery, cancelled_first: bool) -> None:
    ready, scope, returned = Ready(), trio.CancelScope(), []

    async def wait() -> None:
        with scope:
            await ready.wait()
            returned.append("news")

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    if cancelled_first:
        scope.cancel()
    ready.wake(select.EPOLLIN)
    scope.cancel()
    await wait_all_tasks_blocked()
    assert returned == ([] if cancelled_first else ["news"])
    assert ready.news is cancelled_first, "either it was told, or it still is to be"


async def test_a_wait_cancelled_in_spite_of_news_leaves_it_to_be_read(readiness: Readiness, pair: Pair) -> None:
    incoming = SocketIncoming(pair.fd, readiness)
    pair.far.send(b"a")
    await incoming.wait()
    assert incoming.take() == b"a"
    pair.far.send(b"b")
    await wait_all_tasks_blocked()
    with trio.CancelScope() as scope:
        scope.cancel()
        await incoming.wait()
    assert scope.cancelled_caught
    assert incoming.take() == b"b"


# Sockets come and go


async def test_what_is_forgotten_wakes_nobody(readiness: Readiness, pair: Pair, nursery: trio.Nursery) -> None:
    waiter = Waiter(readiness.add(pair.fd), nursery)
    await wait_all_tasks_blocked()
    readiness.forget(pair.fd)
    pair.far.send(b"a")
    await wait_all_tasks_blocked()
    assert waiter.woken == 0


async def test_what_was_forgotten_or_never_known_may_be_forgotten(readiness: Readiness, pair: Pair) -> None:
    readiness.forget(pair.fd)
    readiness.add(pair.fd)
    readiness.forget(pair.fd)
    readiness.forget(pair.fd)
    ready = readiness.add(pair.fd)
    pair.far.send(b"a")
    await ready.wait()


async def test_a_number_that_is_used_again_is_another_socket(
    readiness: Readiness, pairs: Callable[[], Pair], nursery: trio.Nursery
) -> None:
    old, new = pairs(), pairs()
    number = old.fd
    before = Waiter(readiness.add(number), nursery)
    await wait_all_tasks_blocked()
    old.far.send(b"unread")  # its edge is not told yet when it is forgotten
    readiness.forget(number)
    old.near.close()
    assert os.dup2(new.fd, number) == number
    with socket.socket(fileno=number):
        after = Waiter(readiness.add(number), nursery)
        await wait_all_tasks_blocked()
        assert (before.woken, after.woken) == (0, 0)
        new.far.send(b"a")
        await wait_all_tasks_blocked()
        assert (before.woken, after.woken) == (0, 1)
        readiness.forget(number)


async def test_more_are_ready_than_one_turn_takes_and_all_are_woken(
    pairs: Callable[[], Pair], nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_PER_TURN", 4)
    readiness, turns, woken_in = Readiness(), Turns(), list[int]()

    async def wait(ready: Ready) -> None:
        await ready.wait()
        woken_in.append(turns.count)

    for _ in range(10):
        pair = pairs()
        nursery.start_soon(wait, readiness.add(pair.fd))
        pair.far.send(b"a")
    await wait_all_tasks_blocked()
    trio.lowlevel.add_instrument(turns)
    nursery.start_soon(readiness.run)
    await wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(turns)
    assert [woken_in.count(turn) for turn in sorted(set(woken_in))] == [4, 4, 2]


async def test_when_it_ends_its_epoll_is_closed() -> None:
    readiness = Readiness()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert readiness._epoll.closed


async def test_what_is_watched_may_be_forgotten_after_the_end() -> None:
    readiness = Readiness()
    near, far = socket.socketpair()
    with near, far:
        readiness.add(near.fileno())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.run)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        readiness.forget(near.fileno())
