"""Recovery: a client that was cut off gets exactly what it missed, or is told that it cannot (then a snapshot is due).

The order is what makes it exact. (1) Everything that the old connection had asked is let into the log. (2) The seats
in the log say which audiences it heard, and since when; who left a moment ago with nothing asked is remembered with
just those seats (`leavers.py`), and waits for neither. (3) In one step without a pause, the log's head is taken, and
the peer is subscribed but *held*. (4) What lies between its offset and that head is read and sent. (5) What was held
goes out. Nothing falls between the steps, and nothing comes twice.

A stock client keeps what comes before the CONNECT's answer, also when the connection is cut right there, but counts it
only after the answer. If it then comes with its old offset, how much it has of the replay cannot be known: so a replay
is noted on disk before its first byte goes out, and is not begun a second time.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
import trio

from livehub.feature import JSON
from livehub.ports import Entry, Record, Tenure
from livehub.rooms.commit import UNSEEN, unseen
from livehub.rooms.fanout import NOBODYS
from livehub.rooms.house import House
from livehub.rooms.peer import Peer
from livehub.rooms.replays import Replays
from livehub.rooms.tickets import Ticket
from livehub.wire.frames import Frame

LEFT = ""
"""In place of a room's name: the client said goodbye, so there is nothing to come back to."""
OFFSET = re.compile(r"([0-9a-z]{1,16})-([0-9]{1,18})\Z")
REPLAY_CHUNK_BYTES = 128 * 1024
"""Written before waiting for the client to take it: a replay may be larger than an outbox."""
AT_ONCE_MAX = 64
"""Recoveries that read the log at the same time: more would only wait for its readers."""


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """`[replay]`"""

    window_ms: int = 24 * 3_600_000
    max_facts: int = 10_000
    held_bytes_max: int = 1 << 20


class CannotRecover(Exception):
    """Exactness cannot be promised.

    `reason` is `offset_unknown`, `offset_expired`, `seats_unknown`, `seat_lost` or `replay_cut`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Recovery:
    """Brings peers back."""

    def __init__(self, house: House, limits: ReplayLimits) -> None:
        self._house = house
        self._hub = house.hub
        self._limits = limits
        self._replays = Replays(house.hub.fanout)
        self._readers = trio.CapacityLimiter(AT_ONCE_MAX)

    async def recover(self, peer: Peer, ticket: Ticket, offset: object, drained: Callable[[], Awaitable[None]]) -> int:
        """Seat the peer again and write what it missed, up to the seq that is returned.

        The peer is held afterwards: the caller answers the CONNECT, then calls `peer.release()`. Raises
        `CannotRecover`; then the peer sits and hears nowhere, and is gone for good.
        """
        peer.known = False
        seen = self._seen(offset)
        try:
            async with self._readers:
                await self._sit(peer, ticket, seen)
                head, missed = await self._missed(peer, seen)
            if missed:
                await self._note_try(peer, missed[-1].seq)
                await self.write(peer, self.frames(peer, missed), drained)
        except BaseException:
            self._withdraw(peer)
            raise
        peer.known = True
        for seat in peer.seats.values():
            self._house.room(seat.room).show_views(peer)
        return head

    def _seen(self, offset: object) -> int:
        """The seq that an offset stands for, if it is one of this log's."""
        found = OFFSET.match(offset) if isinstance(offset, str) else None
        if found is None or found[1] != self._hub.store.epoch or int(found[2]) > self._hub.store.head:
            raise CannotRecover("offset_unknown")
        return int(found[2])

    async def _sit(self, peer: Peer, ticket: Ticket, seen: int) -> None:
        records = self._house.leavers.take(ticket.sid)
        if records is None:
            await self._commit(Entry(Tenure(), "", 0, lambda _: None))  # after it, all asked before is answered
            records = await self._hub.store.seats(ticket.sid)
        if not records and ticket.made_ms < self._hub.clock_ms() - self._limits.window_ms:
            raise CannotRecover("seats_unknown")  # they may have been pruned: none on disk proves nothing
        peer.unseen = max((record.since for record in records if record.room == UNSEEN), default=0)
        if seen < peer.unseen:
            raise CannotRecover("replay_cut")
        seats = [record for record in records if record.room != UNSEEN]
        peer.starts_anew = bool(records) and not seats  # refused before, and not told anything instead yet
        for record in seats:
            if record.room == LEFT or await self._house.resume(peer, record) is None:
                raise CannotRecover("seat_lost")

    async def _missed(self, peer: Peer, seen: int) -> tuple[int, list[Record]]:
        """Subscribe, and read what happened before: up to which seq, and the facts."""
        fanout, store = self._hub.fanout, self._hub.store
        audiences = {peer.user_audience: seen}
        for seat in peer.seats.values():
            audiences |= {audience: max(seen, seat.since) for audience in seat.audiences}
        if peer.gone:
            raise CannotRecover("seat_lost")
        peer.hold(self._limits.held_bytes_max)
        head = store.head
        fanout.subscribe(peer, audiences)
        return head, await self._read(audiences, head)

    async def _read(self, audiences: Mapping[str, int], head: int) -> list[Record]:
        records = await self._hub.store.replay(audiences, head, self._limits.max_facts + 1)
        expired_ms = self._hub.clock_ms() - self._limits.window_ms
        if len(records) > self._limits.max_facts or (records and records[0].at_ms < expired_ms):
            raise CannotRecover("offset_expired")
        return records

    def knows(self, offset: object) -> bool:
        """Whether an offset is one of this log's."""
        try:
            self._seen(offset)
        except CannotRecover:
            return False
        return True

    async def missed_since(self, peer: Peer, offset: object, head: int) -> list[Record]:
        """What a peer that has heard everything up to an offset missed of the audiences it sits in, up to `head`.

        It began to hear them in the step in which `head` was taken, and is held. Raises `CannotRecover`.
        """
        seen = self._seen(offset)
        audiences = {peer.user_audience: seen}
        for seat in peer.seats.values():
            audiences |= dict.fromkeys(seat.audiences, seen)
        async with self._readers:
            return await self._read(audiences, head)

    def frames(self, peer: Peer, records: Sequence[Record]) -> Iterator[Frame]:
        """Missed facts as the peer's vocabulary shows them; some it has no word for."""
        return self._replays.render(peer.vocabulary, records, partial(self._own, peer))

    async def write(self, peer: Peer, frames: Iterable[Frame], drained: Callable[[], Awaitable[None]]) -> None:
        """Write frames of a replay, waiting now and then until they are out: they may be more than an outbox holds."""
        chunk: list[Frame] = []
        size = 0
        for frame in frames:
            chunk.append(frame)
            size += frame.size
            if size >= REPLAY_CHUNK_BYTES:
                peer.write_past(chunk)
                chunk, size = [], 0
                await drained()
        if chunk:
            peer.write_past(chunk)

    def _own(self, peer: Peer, record: Record) -> JSON:
        """What is this peer's own of a missed fact: only the fact's room can tell, which is open if the peer sits."""
        room = self._house.rooms.get(record.room)
        if room is None or not room.state.has_own(record.kind):
            return NOBODYS
        own = room.state.own_of_fact(record.kind, orjson.loads(record.data))
        return NOBODYS if own is None else own(peer.person)

    def _withdraw(self, peer: Peer) -> None:
        """The peer stays gone: a room that has not opened yet may still find its wish for a seat in the inbox."""
        self._house.vacate(peer)
        peer.forget_held()

    async def _note_try(self, peer: Peer, upto: int) -> None:
        entry = Entry(Tenure(), "", self._hub.clock_ms(), lambda _: None)
        entry.takes = [unseen(peer, upto, entry.at_ms)]
        if await self._commit(entry) is not None:
            raise CannotRecover("unavailable")
        peer.unseen = upto

    async def _commit(self, entry: Entry) -> Exception | None:
        """Submit an entry and wait for its turn; the error if it could not be saved."""
        answered = trio.Event()
        result: Exception | None = None

        def done(error: Exception | None) -> None:
            nonlocal result
            result = error
            answered.set()

        entry.done = done
        self._hub.store.submit(entry)
        await answered.wait()
        return result
