"""From what an ask came to, to what the log is given; and after the commit, to what the world is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from livehub.feature import JSON, After, Ask, Cancel, Do, Fact, Tell
from livehub.ports import Entry, Line, Meter, SeatRecord, Store, TellRecord, Tenure, TimerRecord
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import NOBODYS, Fanout, Published, Told
from livehub.rooms.keys import Keys
from livehub.rooms.peer import Peer, Seat
from livehub.rooms.request import Request
from livehub.rooms.state import Performed, State

UNSEEN = "!"
"""In place of a room's name in a seat: what was told up to `since` must have been heard before a recovery."""
TELL_ID_BASE = 1 << 32
"""Ids of tells are counted from here, ids that features draw from 0: both come from the ask's seed."""


class Errands(Protocol):
    """Who carries out effects, once they are committed."""

    def tell(self, record: TellRecord) -> None:
        """Ask another room."""

    def set_timer(self, record: TimerRecord) -> None:
        """Ring at a time."""

    def unset_timer(self, room: str, key: str) -> None:
        """Do not ring."""

    def do(self, room: str, work: Do) -> None:
        """Start work outside and bring its answer to the room."""


@dataclass(frozen=True, slots=True)
class Hub:
    """All that a room is given from outside."""

    catalog: Catalog
    store: Store
    fanout: Fanout
    keys: Keys
    errands: Errands
    meter: Meter
    clock_ms: Callable[[], int]

    def told(self, room: str, event: str, data: JSON, audience: str, at_ms: int, own: JSON = NOBODYS) -> Told:
        """A view or burst of a room, for a vocabulary: whoever hears it stands where the log does."""
        return Told(event, data, self.fanout.offset(self.store.head), at_ms, room, audience, own)


@dataclass(slots=True)
class Written:
    """One ask, carried out: what it wrote, and what its commit will bring about."""

    state: State
    ask: Ask[Any]
    performed: Performed
    request: Request | None = None
    taken: Seat | None = None
    left: Seat | None = None
    snapshot: dict[str, Any] | None = None
    welcome: Sequence[tuple[str, Any]] = ()
    entry: Entry | None = None

    def aside(self) -> Ask[None]:
        """The same ask, for who answers it besides: ids drawn for it must not be those of the command."""
        return replace(self.ask, payload=None, seed=(self.ask.seed + 1) % (1 << 128))

    def tells(self) -> list[TellRecord]:
        """Word for other rooms."""
        return [
            TellRecord(self.ask.new_id(TELL_ID_BASE + n), effect.room, effect.command, orjson.dumps(effect.data))
            for n, effect in enumerate(self.performed.effects)
            if isinstance(effect, Tell)
        ]

    def timers(self) -> list[TimerRecord]:
        """Timers that this ask set."""
        return [
            TimerRecord(self.state.name, effect.key, effect.due_ms, effect.command, orjson.dumps(effect.data))
            for effect in self.performed.effects
            if isinstance(effect, After)
        ]

    def cancelled(self) -> list[str]:
        """Timers that this ask cancelled, or that rang to ask it; one that it set again is neither."""
        rang = [self.request.timer.key] if self.request is not None and self.request.timer is not None else []
        return rang + [effect.key for effect in self.performed.effects if isinstance(effect, Cancel)]


def write(written: Written, tenure: Tenure, store: Store) -> Entry | None:
    """The log entry of an ask, or None when there is nothing to write."""
    request, state = written.request, written.state
    performed, ask = written.performed, written.ask
    lines = []
    for fact in performed.facts:  # no comprehension, which is a function of its own for what is mostly one fact
        if fact.kept:
            lines.append(_line(fact, state))
    if not (lines or performed.effects or written.taken or written.left or (request and _settles(request))):
        return None  # as nearly all reactions: no entry is made to find that out
    entry = Entry(tenure, state.name, ask.at_ms, lambda _: None, lines, seq=store.next_seq)
    if performed.effects:
        entry.tells, entry.sets = written.tells(), written.timers()
    entry.unsets = written.cancelled()
    if request is not None:
        entry.told = request.told
        if request.claim is not None and not performed.declined:
            entry.key = request.claim.record(performed.reply, ask.at_ms)
        if request.peer is not None and request.peer.recoverable:
            _write_seat(request, written, entry)
    empty = not (lines or entry.tells or entry.sets or entry.unsets or entry.key or entry.told)
    if empty and not (entry.takes or entry.leaves):
        return None
    written.entry = entry
    return entry


def _settles(request: Request) -> bool:
    """Whether carrying out a request is to be noted, whatever comes of it."""
    return request.claim is not None or request.told is not None or request.timer is not None


def publish(hub: Hub, written: Written) -> None:
    """Show the world what was committed, and start what follows from it."""
    state, performed, entry = written.state, written.performed, written.entry
    kept = 0
    for fact in performed.facts:
        if fact.kept:
            assert entry is not None
            if audiences := entry.lines[kept].audiences:
                published = Published(entry.seq + kept, state.name, entry.at_ms, audiences, fact.kind, fact.data)
                hub.fanout.publish(published, state.own_of_fact(fact.kind, fact.data))
            kept += 1
        else:
            for audience in state.audiences(fact.to):
                _show_once(hub, written, fact, audience)
    for burst in performed.bursts:
        audience = state.audiences((burst.to,))[0]
        hub.fanout.show(hub.told(state.name, burst.event, burst.data, audience, written.ask.at_ms))
    if entry is not None:
        _start_errands(hub, written, entry)
    for effect in performed.effects:
        if isinstance(effect, Do):
            hub.errands.do(state.name, effect)


def _line(fact: Fact, state: State) -> Line:
    return Line(fact.kind, orjson.dumps(fact.data), state.audiences(fact.to))


def _write_seat(request: Request, written: Written, entry: Entry) -> None:
    peer, room = request.peer, written.state.name
    if peer is None:
        return
    if written.taken is not None:
        since = entry.seq + len(entry.lines) - 1
        audiences = written.taken.audiences
        entry.takes = [SeatRecord(peer.sid, room, peer.person.id, audiences, since, entry.at_ms)]
        written.taken.since, written.taken.granted = since, audiences
        if peer.starts_anew:  # whoever does not get the snapshot has to start anew again
            entry.takes = [*entry.takes, unseen(peer, since, entry.at_ms)]
    if written.left is not None:
        entry.leaves = [(peer.sid, room)]


def unseen(peer: Peer, upto: int, at_ms: int) -> SeatRecord:
    """Notes that a client is being told something up to a seq: if it comes back from before it, it missed that."""
    return SeatRecord(peer.sid, UNSEEN, peer.person.id, (), upto, at_ms)


def _show_once(hub: Hub, written: Written, fact: Fact, audience: str) -> None:
    shown = hub.catalog.shown.get(fact.kind)
    if shown is not None:
        payload, at_ms = shown.payload(fact.data, audience), written.ask.at_ms
        hub.fanout.show(hub.told(written.state.name, shown.event, payload, audience, at_ms))


def _start_errands(hub: Hub, written: Written, entry: Entry) -> None:
    for key in entry.unsets:
        hub.errands.unset_timer(written.state.name, key)
    for timer in entry.sets:
        hub.errands.set_timer(timer)
    for tell in entry.tells:
        hub.errands.tell(tell)
