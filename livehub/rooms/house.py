"""The house: rooms by name, opened when they are asked, closed when nobody needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from livehub.errors import Refused
from livehub.feature import JSON
from livehub.ports import Meter, SeatRecord, Store, Worker
from livehub.rooms.audiences import full_name
from livehub.rooms.catalog import Catalog
from livehub.rooms.commit import Hub
from livehub.rooms.errands import ErrandRunner
from livehub.rooms.fanout import Fanout
from livehub.rooms.keys import Keys
from livehub.rooms.leavers import Leavers
from livehub.rooms.peer import Peer
from livehub.rooms.request import Beat, Greet, InboxItem, Resume, any_seed
from livehub.rooms.room import INBOX_ASKS_MAX, Room
from livehub.rooms.survey import survey

HOUSEKEEPING_S = 10.0
OWN_ROOM = "user"
"""Kind of the room that is one person's own."""
NOBODY_HOME_S = 10.0
"""A room that does not exist (somebody asked for a wrong name) is closed this soon."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HouseLimits:
    """`[rooms]`"""

    idle_close_s: float = 60.0
    inbox_asks_max: int = INBOX_ASKS_MAX
    open_max: int = 10_000


class House:
    """All open rooms, each its own task."""

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        fanout: Fanout,
        keys: Keys,
        meter: Meter,
        clock_ms: Callable[[], int],
        *,
        workers: Mapping[str, Worker] | None = None,
        limits: HouseLimits | None = None,
    ) -> None:
        self.rooms: dict[str, Room] = {}
        self.leavers = Leavers()
        self._limits = limits or HouseLimits()
        self._pinned: set[str] = set()
        everything = {**(workers or {}), **survey(self.ask, catalog, fanout, clock_ms)}
        self._errands = ErrandRunner(store, catalog.commands, everything, clock_ms, self.ask)
        self.hub = Hub(catalog, store, fanout, keys, self._errands, meter, clock_ms)
        self._mailboxes: set[str] = set()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep rooms until cancelled."""
        await self.hub.keys.load()
        self._mailboxes |= set(await self.hub.store.rooms(OWN_ROOM))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._errands.run)
            nursery.start_soon(self._close_idle)
            for seconds in self.hub.catalog.beats:
                nursery.start_soon(self._beat, seconds)
            task_status.started()

    def pin(self, name: str) -> Room:
        """Open a room that stays open."""
        self._pinned.add(name)
        return self.room(name)

    def room(self, name: str) -> Room:
        """The room of this name, opened if need be. Raises `Refused` (503) when too many are open."""
        if (room := self.rooms.get(name)) is not None:
            return room
        if not name.partition(":")[2]:
            raise Refused(f"No room can be called {name!r}", 404, code="not_found")
        if self._nursery is None or len(self.rooms) >= self._limits.open_max:
            raise Refused("Too many rooms are open, please try again later", 503, code="rooms_full")
        if name.startswith(f"{OWN_ROOM}:"):
            self._mailboxes.add(name)
        room = self.rooms[name] = Room(name, self.hub, inbox_asks_max=self._limits.inbox_asks_max)
        self.hub.meter.rooms_open(len(self.rooms))
        self._nursery.start_soon(self._keep, room)
        return room

    def put(self, name: str, item: InboxItem) -> bool:
        """Put an ask into a room's inbox, unless that is full: False."""
        try:
            self.room(name).inbox.send_nowait(item)
        except trio.WouldBlock:
            return False
        return True

    async def ask(self, name: str, item: InboxItem) -> None:
        """Put an ask into a room's inbox; a full inbox holds back whoever asks, and nobody else."""
        if not self.put(name, item):
            await self.room(name).inbox.send(item)

    async def resume(self, peer: Peer, record: SeatRecord) -> tuple[str, ...] | None:
        """Seat a recovering peer where it sat. The audiences it may hear there, or None."""
        answered = trio.Event()
        result: tuple[str, ...] | None = None

        def reply(audiences: tuple[str, ...] | None) -> None:
            nonlocal result
            result = audiences
            answered.set()

        await self.ask(record.room, Resume(peer, record, reply))
        await answered.wait()
        return result

    async def greet(self, peer: Peer, subscribe: Callable[[], None]) -> Sequence[tuple[str, JSON]]:
        """What a new connection's person has waiting in their own room. `subscribe` is called in the same step.

        Most people have no such room, and one that is not there is not opened: a venue connects at once.
        """
        room = f"{OWN_ROOM}:{peer.person.id}"
        if room not in self.rooms and room not in self._mailboxes:
            subscribe()
            return ()
        answered = trio.Event()
        waiting: Sequence[tuple[str, JSON]] = ()

        def reply(events: Sequence[tuple[str, JSON]]) -> None:
            nonlocal waiting
            waiting = events
            subscribe()
            answered.set()

        try:
            await self.ask(room, Greet(peer, reply))
        except Refused:  # too many rooms are open: what waits comes with a later connection
            subscribe()
            return ()
        await answered.wait()
        return waiting

    def vacate(self, peer: Peer) -> None:
        """The peer is gone: from every room and every audience, at once."""
        if not peer.gone:
            self.leavers.note(peer)
        peer.leave()
        heard = [peer.user_audience]
        for seat in peer.seats.values():
            heard += seat.audiences
            if (room := self.rooms.get(seat.room)) is not None:
                room.vacate(peer)
        peer.seats.clear()
        self.hub.fanout.unsubscribe(peer, heard)

    async def finish(self) -> None:
        """Wait until every ask that was let in is answered."""
        # A look every 10 ms, only while closing: cheaper than an event in every room for the sake of it.
        while any(room.busy for room in self.rooms.values()):  # noqa: ASYNC110 - only while closing, as said above
            await trio.sleep(0.01)

    async def _keep(self, room: Room) -> None:
        try:
            await room.run()
        except Exception:
            # A room catches what its features do; this is a defect of the room itself, and still only one room's.
            log.exception("room ended: %s", room.name)
        finally:
            if self.rooms.get(room.name) is room:
                del self.rooms[room.name]
            self.hub.meter.rooms_open(len(self.rooms))

    async def _close_idle(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_S)
            now_s = trio.current_time()
            for room in list(self.rooms.values()):
                patience_s = self._limits.idle_close_s if room.state.exists else NOBODY_HOME_S
                if room.idle and now_s - room.active_s > patience_s and room.name not in self._pinned:
                    del self.rooms[room.name]
                    room.scope.cancel()

    async def _beat(self, seconds: float) -> None:
        """Tick without drift: the n-th tick is due n periods after the start, and a late one moves none after it."""
        due_s = trio.current_time()
        while True:
            due_s += seconds
            await trio.sleep_until(due_s)
            for room in list(self.rooms.values()):
                self._beat_room(room, seconds)
            due_s = max(due_s, trio.current_time() - seconds)

    def _beat_room(self, room: Room, seconds: float) -> None:
        for place, method, heard_by in self.hub.catalog.bindings(room.kind).beats.get(seconds, ()):
            if heard_by is None or self.hub.fanout.heard(full_name(room.name, heard_by)):
                try:
                    room.inbox.send_nowait(Beat(place, method, self.hub.clock_ms(), any_seed()))
                except trio.WouldBlock:
                    log.warning("room too busy for its beat: %s", room.name)
