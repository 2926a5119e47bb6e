"""The log in memory, with the promises of the one on disk but no threads: for tests in virtual time, and trials."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from livehub.ports import Entry, KeyRecord, Meter, Record, SeatRecord, TellRecord, TimerRecord
from livehub.stores.schema import new_epoch, new_secret
from livehub.stores.writer import BATCH_MAX_ENTRIES, QUEUE_MAX_ENTRIES, Item, Writer


class MemoryStore(Writer):
    """A `Store` that forgets everything at the end.

    Two kinds of weather for tests: while `fail_commits` is true, the disk is full; while `hold_commits` is an event
    that is not set, the disk is busy.
    """

    def __init__(self, meter: Meter | None, queue_max_entries: int, batch_max_entries: int) -> None:
        super().__init__(0, meter, queue_max_entries, batch_max_entries)
        self.epoch = new_epoch()
        self.secret = new_secret()
        self.fail_commits = False
        self.hold_commits: trio.Event | None = None
        self._started: Sequence[Item] = ()
        self._facts: dict[int, Record] = {}
        self._rooms: defaultdict[str, list[int]] = defaultdict(list)  # room → seqs, rising
        self._deliveries: defaultdict[str, list[int]] = defaultdict(list)  # audience → seqs, rising
        self._keys: dict[tuple[str, str], KeyRecord] = {}
        self._seats: dict[tuple[str, str], SeatRecord] = {}
        self._timers: dict[tuple[str, str], TimerRecord] = {}
        self._tells: dict[str, TellRecord] = {}

    async def read(self, room: str, after: int, limit: int) -> list[Record]:
        """The room's facts with seq > `after`, oldest first, at most `limit`."""
        await trio.lowlevel.checkpoint()
        seqs = self._rooms.get(room, [])
        start = bisect_right(seqs, after)
        return [self._facts[seq] for seq in seqs[start : start + limit]]

    async def rooms(self, kind: str) -> list[str]:
        """Names of the rooms of this kind that have facts."""
        await trio.lowlevel.checkpoint()
        return [room for room in self._rooms if room.startswith(f"{kind}:")]

    async def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
        """Facts for any of `audiences` (name → heard so far) with seq ≤ `upto`, each once, by seq, at most `limit`."""
        await trio.lowlevel.checkpoint()
        heard: dict[int, str] = {}
        for audience, after in audiences.items():
            seqs = self._deliveries.get(audience, [])
            for seq in seqs[bisect_right(seqs, after) : bisect_right(seqs, upto)]:
                heard.setdefault(seq, audience)
        return [replace(self._facts[seq], audience=heard[seq]) for seq in sorted(heard)[:limit]]

    async def find_key(self, user: str, key: str) -> KeyRecord | None:
        """The record of a used key, or None."""
        await trio.lowlevel.checkpoint()
        return self._keys.get((user, key))

    async def keys_since(self, at_ms: int) -> list[tuple[str, str]]:
        """(user, key) of every key used since."""
        await trio.lowlevel.checkpoint()
        return [pair for pair, record in self._keys.items() if record.at_ms >= at_ms]

    async def seats(self, sid: str) -> list[SeatRecord]:
        """The seats that a connection holds, in the order it took them."""
        await trio.lowlevel.checkpoint()
        return [seat for seat in self._seats.values() if seat.sid == sid]

    async def touch_seats(self, sids: Sequence[str], at_ms: int) -> None:
        """Note that these connections are still there, so that `prune` spares their seats."""
        wanted = frozenset(sids)

        def act() -> None:
            for place, seat in self._seats.items():
                if seat.sid in wanted:
                    self._seats[place] = replace(seat, at_ms=at_ms)

        await self._perform(act)

    async def timers(self) -> list[TimerRecord]:
        """Every timer that has not rung, soonest first."""
        await trio.lowlevel.checkpoint()
        return sorted(self._timers.values(), key=lambda timer: (timer.due_ms, timer.room, timer.key))

    async def tells(self) -> list[TellRecord]:
        """Every word that has not been answered, oldest first."""
        await trio.lowlevel.checkpoint()
        return list(self._tells.values())

    async def prune(self, keys_before_ms: int, seats_before_ms: int) -> None:
        """Forget keys used and seats last seen before these times."""

        def act() -> None:
            self._keys = {pair: key for pair, key in self._keys.items() if key.at_ms >= keys_before_ms}
            self._seats = {place: seat for place, seat in self._seats.items() if seat.at_ms >= seats_before_ms}

        await self._perform(act)

    def _note(self, entry: Entry) -> None:
        """All of it is in memory."""

    def _start(self, items: Sequence[Item]) -> None:
        self._started = items

    async def _finish(self) -> Collection[int]:
        await trio.lowlevel.checkpoint()
        if self.hold_commits is not None:
            await self.hold_commits.wait()
        await self._probe()
        for item in self._started:
            if isinstance(item, Entry):
                self._write(item)
            else:
                item.act()
        return ()

    async def _probe(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.fail_commits:
            raise OSError("the disk is full")

    def _write(self, entry: Entry) -> None:
        """Within one entry what ends comes before what begins."""
        for seq, line in enumerate(entry.lines, entry.seq):
            self._facts[seq] = Record(seq, entry.room, line.kind, entry.at_ms, line.data)
            self._rooms[entry.room].append(seq)
            for audience in dict.fromkeys(line.audiences):
                self._deliveries[audience].append(seq)
        if entry.key is not None:
            self._keys[entry.key.user, entry.key.key] = entry.key
        for place in entry.leaves:
            self._seats.pop(place, None)
        for seat in entry.takes:
            self._seats[seat.sid, seat.room] = seat
        for key in entry.unsets:
            self._timers.pop((entry.room, key), None)
        for timer in entry.sets:
            self._timers[timer.room, timer.key] = timer
        if entry.told is not None:
            self._tells.pop(entry.told, None)
        for tell in entry.tells:
            self._tells.setdefault(tell.id, tell)


@asynccontextmanager
async def open_memory(
    *,
    meter: Meter | None = None,
    queue_max_entries: int = QUEUE_MAX_ENTRIES,
    batch_max_entries: int = BATCH_MAX_ENTRIES,
) -> AsyncIterator[MemoryStore]:
    """A new store in memory. Leaving it commits and answers all that was submitted."""
    store = MemoryStore(meter, queue_max_entries, batch_max_entries)
    async with store._running():
        yield store
