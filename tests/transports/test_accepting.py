"""All connections that wait are taken at once, and neither an exhausted system nor a client that left ends it."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports import accepting as module
from livehub.transports.accepting import ACCEPTS_PER_TURN, PAUSE_S, accept

PATIENCE_S = 20


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


class Door:
    """A listener, and clients that knock at it."""

    def __init__(self, listener: trio.SocketListener, nursery: trio.Nursery, stack: ExitStack) -> None:
        self.listener = listener
        self.served: list[trio.SocketStream] = []
        self.served_in: list[int] = []
        self.turns = Turns()
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        self._nursery = nursery
        self._stack = stack
        self.address: tuple[str, int] = listener.socket.getsockname()

    def knock(self) -> socket.socket:
        """Connect; the kernel says yes, whether or not anybody takes it."""
        return self._stack.enter_context(socket.create_connection(self.address, PATIENCE_S))

    def open(self) -> None:
        """From now on connections are taken."""
        self._nursery.start_soon(self._accept)

    async def _accept(self) -> None:
        with self.scope:
            await accept(self.listener, self._serve, self._nursery)
        self.over.set()

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.served_in.append(self.turns.count)
        self.served.append(stream)

    def stream_to(self, client: socket.socket) -> trio.SocketStream:
        """The server's end; the tasks of one turn start in any order."""
        return next(stream for stream in self.served if stream.socket.getpeername() == client.getsockname())

    async def heard(self, client: socket.socket) -> bytes:
        """What a served client has said."""
        return bytes(await self.stream_to(client).receive_some(100))


@pytest.fixture
async def door(nursery: trio.Nursery) -> AsyncIterator[Door]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with ExitStack() as stack:
        made = Door(listener, nursery, stack)
        trio.lowlevel.add_instrument(made.turns)
        try:
            yield made
        finally:
            trio.lowlevel.remove_instrument(made.turns)
            made.scope.cancel()
            await listener.aclose()
            for stream in made.served:
                await trio.aclose_forcefully(stream)


@contextmanager
def no_more_files() -> Iterator[None]:
    """The process may open no file beyond those it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def trouble(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[int]:
    """The next calls of accept fail with these, 0 being none; what is still to come of them."""
    to_come = list(numbers)

    class Flaky(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            number = to_come.pop(0) if to_come else 0
            if number:
                raise OSError(number, os.strerror(number))
            return super().accept()

    monkeypatch.setattr(module, "socket", SimpleNamespace(socket=Flaky))
    return to_come


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_each_connection_is_served_by_a_task_of_its_own(door: Door) -> None:
    door.open()
    for number in range(3):
        client = door.knock()
        await wait_all_tasks_blocked()
        assert len(door.served) == number + 1
        client.send(b"%d" % number)
        assert await door.heard(client) == b"%d" % number
        await door.stream_to(client).send_all(b"hello")
        assert client.recv(100) == b"hello"


async def test_what_is_taken_does_not_block_the_loop_and_is_not_inherited(door: Door) -> None:
    door.open()
    door.knock()
    await wait_all_tasks_blocked()
    fd = door.served[0].socket.fileno()
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)


async def test_all_that_wait_are_taken_in_one_turn(door: Door) -> None:
    for _ in range(ACCEPTS_PER_TURN - 1):
        door.knock()
    door.open()
    await wait_all_tasks_blocked()
    assert len(door.served) == ACCEPTS_PER_TURN - 1
    assert len(set(door.served_in)) == 1


@pytest.mark.parametrize("more", [0, 1, ACCEPTS_PER_TURN + 10])
async def test_a_larger_crowd_leaves_turns_to_others(door: Door, more: int) -> None:
    for _ in range(ACCEPTS_PER_TURN + more):
        door.knock()
    door.open()
    await wait_all_tasks_blocked()
    per_turn = list(Counter(door.served_in).values())
    full, rest = divmod(ACCEPTS_PER_TURN + more, ACCEPTS_PER_TURN)
    assert per_turn == [ACCEPTS_PER_TURN] * full + [rest] * (rest > 0)


async def test_without_files_it_pauses_and_then_goes_on(
    door: Door, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    door.open()
    await wait_all_tasks_blocked()
    early = [door.knock() for _ in range(3)]
    with no_more_files():
        await wait_all_tasks_blocked()
        assert warnings(caplog) == [f"no more connections for now: {os.strerror(errno.EMFILE)}"]
        mock_clock.jump(PAUSE_S * 0.9)
        await wait_all_tasks_blocked()
        assert len(warnings(caplog)) == 1, "the pause is not over"
        mock_clock.jump(PAUSE_S * 0.2)
        await wait_all_tasks_blocked()
        assert len(warnings(caplog)) == 2
        assert door.served == []
    mock_clock.jump(PAUSE_S * 1.1)
    await wait_all_tasks_blocked()
    assert len(door.served) == 3, "whoever waited still did"
    early[0].send(b"patient")
    assert await door.heard(early[0]) == b"patient"
    late = door.knock()
    await wait_all_tasks_blocked()
    late.send(b"late")
    assert await door.heard(late) == b"late"
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_whatever_the_system_lacks_it_is_asked_again_after_a_pause(
    door: Door, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    to_come = trouble(monkeypatch, number, number)
    door.knock()
    door.open()
    for left in (1, 0):
        await wait_all_tasks_blocked()
        assert len(to_come) == left, "one question a pause"
        assert door.served == []
        mock_clock.jump(PAUSE_S)
    await wait_all_tasks_blocked()
    assert len(door.served) == 1
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH, errno.EPERM])
async def test_a_connection_that_failed_while_it_waited_holds_up_nobody(
    door: Door, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    trouble(monkeypatch, 0, number, number, 0, number)
    for _ in range(3):
        door.knock()
    door.open()
    await wait_all_tasks_blocked()
    assert len(door.served) == 3, "without a pause: the clock stands still"
    assert len(set(door.served_in)) == 1, "in the turn of the one before it"
    assert warnings(caplog) == []


async def test_a_client_that_left_while_it_waited_is_the_servers_to_find_out(door: Door) -> None:
    reset, ended, stays = door.knock(), door.knock(), door.knock()
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    ended.close()
    stays.send(b"here")
    door.open()
    await wait_all_tasks_blocked()
    said = []
    for stream in door.served:
        try:
            said.append(bytes(await stream.receive_some(100)))
        except trio.BrokenResourceError:
            said.append(b"reset")
    assert sorted(said) in ([b"", b"here", b"reset"], [b"", b"here"]), "a system may drop it unasked"


@pytest.mark.parametrize("begins", ["while it waits", "while it pauses", "before its first turn"])
async def test_cancellation_closes_the_listener_and_no_connection(
    door: Door, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    if begins == "while it waits":
        door.knock()
    elif begins == "while it pauses":
        trouble(monkeypatch, errno.EMFILE)
        door.knock()
    else:
        door.scope.cancel()
    door.open()
    await wait_all_tasks_blocked()
    door.scope.cancel()
    with trio.fail_after(PATIENCE_S):
        await door.over.wait()
    assert door.listener.socket.fileno() == -1
    with pytest.raises(ConnectionRefusedError):  # no copy of it is open either
        door.knock()
    assert len(door.served) == (1 if begins == "while it waits" else 0)
    for stream in door.served:
        await stream.send_all(b"still served")


async def test_a_listener_that_is_broken_ends_and_does_not_spin(nursery: trio.Nursery) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener.socket.shutdown(socket.SHUT_RDWR)

    async def serve(stream: trio.SocketStream) -> None:
        raise AssertionError

    with pytest.raises(OSError, match="Invalid argument"):
        await accept(listener, serve, nursery)
