"""Which sockets have something to read: one epoll of our own for all of them, edge-triggered, asked by one task.

Trio arms its epoll anew for every wait (one system call, 4 µs) and keeps 900 bytes for each socket that waits. Here a
socket is registered once; its task parks, and the one task that waits for the epoll itself wakes it.
"""

from __future__ import annotations

import select

import trio

EVENTS_PER_TURN = 512
INTEREST = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
OVER = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Ready:
    """One socket. Its task waits here; nobody else does."""

    __slots__ = ("_task", "dry", "news", "over")

    def __init__(self) -> None:
        self.over = False  # the other side has ended: what is still there is followed by the end
        self.dry = False  # all that came was read
        self.news = False  # something may have happened since the last wait
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> None:
        """Wait until there is news."""
        self.dry = False
        if self.news:
            self.news = False
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def wake(self, events: int) -> None:
        """Something happened."""
        if events & OVER:
            self.over = True
        task, self._task = self._task, None
        if task is None:
            self.news = True
        else:
            trio.lowlevel.reschedule(task)

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Readiness:
    """All sockets that are read directly."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, Ready] = {}

    def add(self, fd: int) -> Ready:
        """Watch a socket, until `forget`. One that is readable already is news."""
        ready = self._sockets[fd] = Ready()
        self._epoll.register(fd, INTEREST)
        return ready

    def forget(self, fd: int) -> None:
        """Watch it no more. To be called before it is closed: its number is another socket's soon after."""
        if self._sockets.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    async def run(self) -> None:
        """Wake whoever has something to read, until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, events in self._epoll.poll(0, EVENTS_PER_TURN):
                    if (ready := self._sockets.get(fd)) is not None:
                        ready.wake(events)
        finally:
            self._epoll.close()
