"""Effects, carried out after their commit: word to other rooms, durable timers, work outside.

Tells and timers are rows in the log's store until the room they are for has answered in a commit of its own; so a
crash at any moment brings them again, and never twice into the log. Work outside (`Do`) is not durable.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

import orjson
import trio

from livehub.errors import Refused
from livehub.feature import JSON, Command, Do
from livehub.ports import Entry, Store, TellRecord, Tenure, TimerRecord, Worker
from livehub.rooms.peer import Answer
from livehub.rooms.request import Request, any_seed

TELLS_WAITING_MAX = 10_000
"""More stay on disk only, and are read from there when these are out."""
WORK_AT_ONCE_MAX = 32
WORK_TIMEOUT_S = 30.0
RETRY_S = 1.0
UNAVAILABLE = 503
"""Status of refusals that pass: the log cannot be written now, or too many rooms are open."""
CLOCK_CHECK_S = 60.0
"""Timers ring by the wall clock, which may be set: look at it this often."""

log = logging.getLogger(__name__)


class ErrandRunner:
    """Carries out effects. `ask` brings a request to a room by name."""

    def __init__(
        self,
        store: Store,
        commands: Mapping[str, Command],
        workers: Mapping[str, Worker],
        clock_ms: Callable[[], int],
        ask: Callable[[str, Request], Awaitable[None]],
    ) -> None:
        self._store = store
        self._commands = commands
        self._workers = workers
        self._clock_ms = clock_ms
        self._ask = ask
        self._tenure = Tenure()
        self._timers: dict[tuple[str, str], TimerRecord] = {}
        self._rings: list[tuple[int, int, TimerRecord]] = []
        self._count = count()
        self._told: dict[str, TellRecord] = {}  # waiting or on their way
        self._left_on_disk = False
        self._outgoing, self._incoming = trio.open_memory_channel[TellRecord](TELLS_WAITING_MAX)
        self._alarm = trio.Event()
        self._work: trio.Nursery | None = None
        self._hands = trio.CapacityLimiter(WORK_AT_ONCE_MAX)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take up what was left when the process last ended, then what comes."""
        for timer in await self._store.timers():
            self.set_timer(timer)
        await self._reload()
        async with trio.open_nursery() as nursery:
            self._work = nursery
            nursery.start_soon(self._ring)
            nursery.start_soon(self._carry)
            task_status.started()

    def tell(self, record: TellRecord) -> None:
        """Ask another room, unless its word was read from disk already, before its commit was answered."""
        if record.id in self._told:
            return
        try:
            self._outgoing.send_nowait(record)
        except trio.WouldBlock:
            self._left_on_disk = True
        else:
            self._told[record.id] = record

    def set_timer(self, record: TimerRecord) -> None:
        """Ring at a time."""
        self._timers[record.room, record.key] = record
        heapq.heappush(self._rings, (record.due_ms, next(self._count), record))
        self._alarm.set()

    def unset_timer(self, room: str, key: str) -> None:
        """Do not ring."""
        self._timers.pop((room, key), None)

    def do(self, room: str, work: Do) -> None:
        """Start work outside and bring its answer to the room."""
        if self._work is not None:
            self._work.start_soon(self._labour, room, work)

    async def _ring(self) -> None:
        while True:
            while self._rings and self._rings[0][0] <= self._clock_ms():
                timer = heapq.heappop(self._rings)[2]
                if self._timers.get((timer.room, timer.key)) is timer:
                    await self._bring(timer.room, timer.command, timer.data, timer=timer)
            wait_s = (self._rings[0][0] - self._clock_ms()) / 1000 if self._rings else CLOCK_CHECK_S
            self._alarm = trio.Event()
            with trio.move_on_after(min(max(wait_s, 0.001), CLOCK_CHECK_S)):
                await self._alarm.wait()

    async def _carry(self) -> None:
        async for tell in self._incoming:
            await self._bring(tell.room, tell.command, tell.data, tell=tell)

    async def _reload(self) -> None:
        self._left_on_disk = False
        for tell in await self._store.tells():
            self.tell(tell)

    async def _labour(self, room: str, work: Do) -> None:
        outcome: dict[str, JSON] = {"data": work.data}
        async with self._hands:
            try:
                with trio.fail_after(WORK_TIMEOUT_S):
                    outcome["result"] = await self._workers[work.work](work.data)
            except Exception as error:
                log.exception("work failed: %s", work.work)
                outcome["error"] = type(error).__name__
        if work.then:
            await self._bring(room, work.then, orjson.dumps(outcome))

    async def _bring(
        self,
        room: str,
        command: str,
        data: bytes,
        *,
        tell: TellRecord | None = None,
        timer: TimerRecord | None = None,
    ) -> None:
        found = self._commands.get(command)
        if found is None:
            self._answered(room, command, tell, timer, Refused("Unknown command"))
            return
        payload: Any = orjson.loads(data)
        request = Request(found, payload, self._clock_ms(), any_seed())
        request.told = tell.id if tell else None
        request.timer = timer
        request.reply = partial(self._answered, room, command, tell, timer)
        try:
            await self._ask(room, request)
        except Refused as refusal:
            self._answered(room, command, tell, timer, refusal)

    def _answered(
        self,
        room: str,
        command: str,
        tell: TellRecord | None,
        timer: TimerRecord | None,
        result: Answer | Refused,
    ) -> None:
        """After an answer the row is gone; 503 means again later; any other refusal will not change, so drop it."""
        if isinstance(result, Refused) and result.status == UNAVAILABLE and self._work is not None:
            self._work.start_soon(self._again, tell, timer)
            return
        if tell is not None:
            self._told.pop(tell.id, None)
            if self._left_on_disk and not self._told and self._work is not None:
                self._work.start_soon(self._reload)
        if isinstance(result, Refused):
            log.error("refused its own %s: %s: %s", command, room, result.message)
            entry = Entry(self._tenure, room, self._clock_ms(), lambda _: None)
            entry.told = tell.id if tell else None
            if timer is not None:
                entry.unsets = [timer.key]
                self.unset_timer(room, timer.key)
            self._store.submit(entry)

    async def _again(self, tell: TellRecord | None, timer: TimerRecord | None) -> None:
        await trio.sleep(RETRY_S)
        if tell is not None:
            await self._outgoing.send(tell)
        if timer is not None and self._timers.get((timer.room, timer.key)) is timer:
            self.set_timer(timer)
