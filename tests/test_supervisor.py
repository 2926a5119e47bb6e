"""Readiness, watchdog and handed-over sockets, against real sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from livehub.supervisor import feed_watchdog, handed_sockets, notify, watchdog_interval_s


@pytest.fixture
def supervisor(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.setblocking(False)
    return listening


def test_nobody_is_told_when_nobody_asked() -> None:
    assert not notify("READY=1", {})


def test_the_supervisor_hears_the_state(supervisor: socket.socket) -> None:
    with supervisor:
        assert notify("READY=1", {"NOTIFY_SOCKET": supervisor.getsockname()})
        assert supervisor.recv(100) == b"READY=1"


def test_the_watchdog_is_fed_twice_as_often_as_it_must() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "3000000"}) == 1.5
    assert watchdog_interval_s({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}) == 1.5
    assert watchdog_interval_s({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_interval_s({}) is None


async def test_the_watchdog_hears_that_the_loop_turns(
    supervisor: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    environ = {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "2000000"}
    with supervisor:
        with trio.move_on_after(3.5):
            await feed_watchdog(environ)
        assert [supervisor.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        with pytest.raises(BlockingIOError):
            supervisor.recv(100)


async def test_no_watchdog_no_food() -> None:
    await feed_watchdog({})


def test_sockets_of_another_process_are_left_alone() -> None:
    assert handed_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert handed_sockets({}) == []
