"""The life of one user: it comes, does its tasks at their intended times, and goes.

The next act is due one wait after the *intended* time of the act before it. An answer that is late therefore delays
what comes next but not when it should have come, and the delay is in what is measured (no coordinated omission).
Acts that fall due while the connection is broken are counted as `away` and left out: nobody types into a dead phone.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from loadtest.plan import NS_PER_S
from loadtest.stage import Stage
from loadtest.user import User

log = logging.getLogger(__name__)

STOP_S = 5.0  # for on_stop and the polite goodbye


class Life:
    """One user from the moment it is due to the moment it is gone."""

    def __init__(self, stage: Stage, kind: type[User], number: int, ended: trio.Event) -> None:
        self.number = number
        self.leaving = trio.Event()  # no more tasks, please
        self.started = False
        self.rested = trio.Event()  # does no more tasks
        self._stage = stage
        self._kind = kind
        self._ended = ended  # the run's: until then whoever stopped sending listens on
        self._scope = trio.CancelScope()
        self._user: User | None = None

    def leave(self) -> None:
        """Finish what is being done, then go; whoever is not in yet goes at once."""
        self.leaving.set()
        if not self.started:
            self._scope.cancel()

    async def hurry(self) -> None:
        """The run is over: break off what is being done, as soon as the server owes it no answer."""
        self.leave()
        if self._user is not None:
            await self._user.standing.idle()
            self._user.standing.act.cancel()

    def cancel(self) -> None:
        """Go now."""
        self._scope.cancel()

    async def live(self, due_ns: int) -> None:
        """All of it. What a scenario's code raises is counted and does not get out."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                user = self._user = self._kind(self._stage, self.number, nursery)
                self._stage.users[self.number] = user
                user.recorder.count("users.came")
                try:
                    await self._days(user, due_ns)
                finally:
                    self._stage.count_entry(user)
                    self.rested.set()
                    self._stage.users.pop(self.number, None)
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_S):
                        await self._go(user)
                    nursery.cancel_scope.cancel()

    async def _days(self, user: User, due_ns: int) -> None:
        user.at(due_ns)
        if not await self._guarded(user, "on_start", user.on_start):
            return
        self.started = True
        if not self.leaving.is_set():
            await self._work(user, due_ns)
        self.rested.set()
        if self._stage.stopping:
            await self._ended.wait()

    async def _work(self, user: User, due_ns: int) -> None:
        if not user.tasks:
            await self.leaving.wait()
            return
        while not self.leaving.is_set():
            wait_ns = int(user.wait_time() * NS_PER_S)
            # No wait at all is a closed model: the next act is due when the one before it is done.
            due_ns = due_ns + wait_ns if wait_ns else self._stage.now_ns()
            await self._sleep_until(due_ns)
            if not user.connected and not await self._connected(user):
                return
            if due_ns < user.back_ns:
                user.recorder.count("away")
                continue
            if self.leaving.is_set():
                return
            user.at(due_ns)
            name = user.tasks.draw(user.random)
            with trio.CancelScope() as user.standing.act:
                await self._guarded(user, name, getattr(user, name))

    async def _sleep_until(self, due_ns: int) -> None:
        ahead_s = (due_ns - self._stage.now_ns()) / NS_PER_S
        if ahead_s <= 0:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(ahead_s):
            await self.leaving.wait()

    async def _connected(self, user: User) -> bool:
        """Wait for the connection; False if the user is to leave first."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await self.leaving.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await user.present()
            nursery.cancel_scope.cancel()
        return user.connected

    async def _go(self, user: User) -> None:
        if user.connected:
            await self._guarded(user, "on_stop", user.on_stop)
        await user.close()

    @staticmethod
    async def _guarded(user: User, name: str, act: Callable[[], Awaitable[None]]) -> bool:
        try:
            await act()
        except Exception as error:
            user.failed(name, error)
            return False
        return True
