"""A room: one task, one inbox, the only writer of its state. What it decides is committed, then shown, then acked.

The state changes at once, so that the next ask sees it and many asks share a commit; broadcast, view and ack wait for
the commit, refusals and reads too, since they may tell of what is not saved yet. When a commit fails, or a feature
breaks, the state is thrown away and built again from the log; seats and inbox stay, and no other room notices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from livehub.declared import MOVES
from livehub.errors import Refused, Unavailable
from livehub.feature import SYSTEM, After, Ask, Cancel, Fact, Seating
from livehub.ports import Entry, Tenure, TimerRecord
from livehub.rooms.commit import Hub, Written, publish, write
from livehub.rooms.peer import Answer, Peer, Seat
from livehub.rooms.request import Beat, Greet, InboxItem, Request, Resume, Vacate, any_seed
from livehub.rooms.seats import Seats
from livehub.rooms.state import BrokenState, Performed, State
from livehub.rooms.views import Views

_NEEDED = Seating.NEEDED  # to look a member up in its enum takes 50 ns each time
INBOX_ASKS_MAX = 10_000
ASKS_PER_TURN = 64
"""Asks handled before other tasks get their turn."""
FOLD_CHUNK_FACTS = 1_000
REOPEN_PAUSE_S = 1.0
"""A room that cannot be built from the log refuses everything this long before it tries again."""

log = logging.getLogger(__name__)


class Room:
    """One session, event, mailbox or directory, by name (`session:ID`)."""

    def __init__(self, name: str, hub: Hub, *, inbox_asks_max: int = INBOX_ASKS_MAX) -> None:
        self.name = name
        self.kind, self.id = name.split(":", 1)
        self.seats = Seats()
        self.active_s = trio.current_time()
        self.inbox, self._asks = trio.open_memory_channel[InboxItem](inbox_asks_max)
        self.scope = trio.CancelScope()
        self.ready = trio.Event()
        self._hub = hub
        self._waiting = 0  # entries submitted and not answered yet
        self._settled = trio.Event()
        self._tenure = Tenure()
        self._due_ms: dict[str, int | None] = {}  # timers as they were set last; None: cancelled
        self._serving = False
        self._missed = False  # somebody came or went while the log could not be written
        self.state = State(hub.catalog, self.kind, self.id)
        self._views = Views(self.state, hub)

    @property
    def idle(self) -> bool:
        """Nobody sits here, nothing is waiting: the room may close."""
        return not (self.seats or self.busy or self._asks.statistics().tasks_waiting_send)

    @property
    def busy(self) -> bool:
        """Something is in the inbox, or on its way into the log."""
        return bool(self._waiting or self._asks.statistics().current_buffer_used)

    async def run(self) -> None:
        """Live until `scope` is cancelled."""
        with self.scope:
            await self._live()

    async def _live(self) -> None:
        item: InboxItem | None = None
        while True:
            if await self._open() and self._call_over():
                item = await self._serve(item)
                self._serving = False
            else:
                self._serving = False
                await self._refuse_for(REOPEN_PAUSE_S, item)
                item = await self._asks.receive()
            await self._settle()

    def _call_over(self) -> bool:
        """Tell the features who is here. False if one fails at it, which it would do again at once."""
        self._act(self.state.reopened, Ask(self.seats.people, SYSTEM, self._hub.clock_ms(), any_seed()))
        self._due_ms.clear()  # what they set now does not outdate the ring that may have opened the room
        return not self._tenure.broken

    def vacate(self, peer: Peer) -> None:
        """The peer's connection is gone."""
        try:
            self.inbox.send_nowait(Vacate(peer))
        except trio.WouldBlock:
            self._vacate(peer)

    def _vacate(self, peer: Peer) -> None:
        if peer not in self.seats:
            return
        self.active_s = trio.current_time()
        if self.seats.leave(peer):
            self._act(self.state.went, Ask(None, peer.person, self._hub.clock_ms(), any_seed()))

    def show_views(self, peer: Peer) -> None:
        """Show a peer that came back the latest of every view it may see."""
        if (seat := self.seats.get(peer)) is not None:
            self._views.show_to(peer, seat.audiences, self._in_order)

    async def _open(self) -> bool:
        """Build the state from the log."""
        hub = self._hub
        self._tenure = Tenure()
        self._due_ms = {}
        state = State(hub.catalog, self.kind, self.id)
        after, started_s = 0, trio.current_time()
        try:
            while records := await hub.store.read(self.name, after, FOLD_CHUNK_FACTS):
                state.fold(records)
                after = records[-1].seq
                await trio.lowlevel.checkpoint()
        except Exception:
            log.exception("room cannot be built from the log: %s", self.name)
            return False
        self.state = state
        self._views = Views(state, hub)
        self._serving, self._missed = True, False
        self.ready.set()
        log.debug("room open: %s after %.3f s", self.name, trio.current_time() - started_s)
        return True

    async def _serve(self, item: InboxItem | None) -> InboxItem | None:
        """Answer asks until the state can no longer be trusted. Returns an ask that is still to be answered."""
        while True:
            if item is None:
                with trio.CancelScope(deadline=self._views.due_s):
                    item = await self._asks.receive()
            if self._tenure.broken or (self._missed and not self._hub.store.failing):
                return item
            try:
                self._turn(item)
            except Exception:
                log.exception("room reopens from the log: %s", self.name)
                return None
            item = None
            await self._hub.store.space()

    def _turn(self, item: InboxItem | None) -> None:
        now_s = trio.current_time()
        for _ in range(ASKS_PER_TURN):
            if item is not None:
                self._handle(item, now_s)
            if self._tenure.broken:
                return
            try:
                item = self._asks.receive_nowait()
            except trio.WouldBlock:
                break
        else:
            if item is not None:
                self._handle(item, now_s)
        self._views.show_due(self._in_order)

    def _handle(self, item: InboxItem, now_s: float) -> None:
        if isinstance(item, Request):
            self.active_s = now_s
            self._ask(item)
        elif isinstance(item, Vacate):
            self._vacate(item.peer)
        elif isinstance(item, Resume):
            self._resume(item)
        elif isinstance(item, Greet):
            self._greet(item)
        elif self.state.exists and not self._hub.store.failing:
            self._beat(item)

    def _beat(self, beat: Beat) -> None:
        ask: Ask[None] = Ask(None, SYSTEM, beat.at_ms, beat.seed)
        written = Written(self.state, ask, self.state.beat(beat.feature, beat.method, ask))
        self._submit(written, partial(self._beaten, written))

    def _act(self, act: Callable[[Ask[Any]], Performed], ask: Ask[Any]) -> None:
        """Let features act on who comes and goes. Where that cannot be now, they are told when the room opens again."""
        if not self._serving or self._tenure.broken or not self.state.exists:
            return
        if self._hub.store.failing:
            self._missed = True
            return
        try:
            written = Written(self.state, ask, act(ask))
            self._submit(written, partial(self._beaten, written))
        except Exception:
            log.exception("room reopens from the log: %s", self.name)
            self._tenure.broken = True

    def _ask(self, request: Request) -> None:
        ask = Ask(request.payload, request.who, request.at_ms, request.seed, request.event_id)
        if request.timer is not None and self._outdated(request.timer):
            self._in_order(lambda error: request.reply(Answer({}) if error is None else Unavailable()))
            return
        try:
            self._check_seat(request)
            performed = self.state.perform(request.command.name, ask)
            if request.command.overview:
                performed.reply = {**performed.reply, **self.state.overview(request.who)}
        except Refused as refusal:
            self._in_order(partial(self._refuse, request, refusal))
            return
        except Exception as error:
            self._refuse(request, Refused("Internal error", 500, code="internal"))
            if isinstance(error, BrokenState):
                raise
            log.exception("command failed: %s", request.command.name)  # a command is pure: nothing has changed
            return
        written = Written(self.state, ask, performed, request)
        try:
            if request.command.seat in MOVES:
                self._change_seat(request, written)
            self._submit(written, partial(self._committed, request, written))
        except Exception:
            self._undo_seat(request, written)
            self._refuse(request, Refused("Internal error", 500, code="internal"))
            raise

    def _check_seat(self, request: Request) -> None:
        command, peer = request.command, request.peer
        if self._hub.store.failing and not command.reads:
            raise Unavailable
        if not self.state.exists and not command.creates:
            raise Refused(f"{self.kind.capitalize()} not found", 404, code="not_found")
        seat = command.seat
        if seat is _NEEDED:  # by far the most
            if peer is None or peer not in self.seats:
                raise Refused(f"You must join the {self.kind} first", 403, code="not_joined")
        elif seat is Seating.MEMBER and not (
            self.state.admits(request.who.id) or (command.instead and request.who.can(command.instead))
        ):
            raise Refused("You do not have permission", 403, code="forbidden")
        elif seat is Seating.TAKES and (peer is None or peer.gone):
            raise Refused("Only a connection can join", 400, code="not_connected")

    def _change_seat(self, request: Request, written: Written) -> None:
        """Seats change with the decision, so that the very next ask may rely on it; the audience follows the commit."""
        peer, seating = request.peer, request.command.seat
        if peer is None:
            return
        if seating is Seating.TAKES and peer not in self.seats:
            parts = self._hub.catalog.seats(self.kind, request.who.can)
            seat = peer.seats[self.name] = Seat(self.name, self.state.audiences(parts))
            written.taken = seat
            if self.seats.take(peer, seat):
                written.performed.add(self.state.came(written.aside()))
            written.snapshot = self.state.snapshot(request.who)
            written.welcome = self.state.welcome(request.who)
            if peer.starts_anew:  # a seq of its own, so that the offset tells whether the snapshot was heard
                written.performed.facts.append(Fact("seat.taken", {"userId": request.who.id}))
        elif seating is Seating.LEAVES and peer in self.seats:
            written.left = self.seats[peer]
            peer.seats.pop(self.name, None)
            if self.seats.leave(peer):
                written.performed.add(self.state.went(written.aside()))

    def _undo_seat(self, request: Request, written: Written) -> None:
        """What was not committed did not happen: who joined sits nowhere, who left still sits, and still hears."""
        peer, left = request.peer, written.left
        if peer is None:
            return
        if written.taken is not None and self.seats.get(peer) is written.taken:
            self.seats.leave(peer)
            peer.seats.pop(self.name, None)
        if left is not None and left.taken:
            if peer.gone:
                self._hub.fanout.unsubscribe(peer, left.audiences)
            else:
                peer.seats[self.name] = left
                self.seats.take(peer, left)

    def _committed(self, request: Request, written: Written, error: Exception | None) -> None:
        peer = request.peer
        if error is not None:
            self._undo_seat(request, written)
            self._refuse(request, Unavailable())
            return
        publish(self._hub, written)
        if peer is not None and written.taken is not None and not peer.gone:
            written.taken.taken = True
            if peer.starts_anew:
                peer.unseen = written.taken.since
            self._hub.fanout.subscribe(peer, written.taken.audiences)
        if peer is not None and written.left is not None:
            self._hub.fanout.unsubscribe(peer, written.left.audiences)
        answer = Answer(written.performed.reply)
        if written.snapshot is not None:
            offset = self._hub.fanout.offset(self._hub.store.head)
            answer = replace(answer, kind=self.kind, snapshot=written.snapshot, offset=offset)
        if request.claim is not None:
            self._hub.keys.settle(request.claim, answer, declined=written.performed.declined)
        request.reply(answer)
        if peer is not None and written.taken is not None and not peer.gone:
            for event, payload in written.welcome:
                told = self._hub.told(self.name, event, payload, self.name, self._hub.clock_ms())
                self._hub.fanout.show_to(peer, told)
            self._views.show_to(peer, written.taken.audiences, self._in_order)

    def _beaten(self, written: Written, error: Exception | None) -> None:
        if error is None:
            publish(self._hub, written)

    def _refuse(self, request: Request, refusal: Refused, error: Exception | None = None) -> None:
        if error is not None:
            refusal = Unavailable()
        if request.peer is not None and request.command.seat is Seating.TAKES and request.peer not in self.seats:
            request.peer.seats.pop(self.name, None)
        if request.claim is not None:
            self._hub.keys.settle(request.claim, refusal)
        self._hub.meter.refused(refusal.code)
        request.reply(refusal)

    def _resume(self, resume: Resume) -> None:
        """A recovering peer sits again where it sat, if it still may; what it gained it can only learn by joining."""
        parts = self._hub.catalog.seats(self.kind, resume.peer.person.can)
        entitled = self.state.audiences(parts)
        may = self.state.exists and set(entitled) <= set(resume.record.audiences) and not resume.peer.gone
        if may:
            seat = Seat(self.name, entitled, resume.record.since, taken=True, granted=resume.record.audiences)
            resume.peer.seats[self.name] = seat
            if self.seats.take(resume.peer, seat):
                self._act(self.state.came, Ask(None, resume.peer.person, self._hub.clock_ms(), any_seed()))
        self._in_order(lambda error: resume.reply(entitled if may and error is None else None))

    def _greet(self, greet: Greet) -> None:
        events = self.state.welcome(greet.peer.person) if self.state.exists else []
        self._in_order(lambda error: greet.reply(events if error is None else []))

    def _submit(self, written: Written, done: Callable[[Exception | None], None]) -> None:
        """Send what an ask wrote to the log; what wrote nothing waits only for what was decided before it."""
        self._views.touch(written.performed.facts)
        for effect in written.performed.effects:
            if isinstance(effect, After | Cancel):
                self._due_ms[effect.key] = effect.due_ms if isinstance(effect, After) else None
        entry = write(written, self._tenure, self._hub.store)
        if entry is None:
            self._in_order(done)
        else:
            self._enter(entry, done)

    def _outdated(self, rang: TimerRecord) -> bool:
        """Whether a timer was set anew or cancelled while its ring was on its way here: the latest counts."""
        return self._due_ms.pop(rang.key, rang.due_ms) != rang.due_ms

    def _in_order(self, done: Callable[[Exception | None], None]) -> None:
        """Call once everything decided so far is committed, or with the error that undid it."""
        if self._waiting:
            self._enter(Entry(self._tenure, self.name, 0, done), done)
        else:
            done(None)

    def _enter(self, entry: Entry, done: Callable[[Exception | None], None]) -> None:
        def answered(error: Exception | None) -> None:
            entry.done = _over  # a cycle of 34 objects an ask else, and pauses of 100 ms to collect them
            self._waiting -= 1
            if not self._waiting:
                self._settled.set()
            done(error)

        self._waiting += 1
        entry.done = answered
        self._hub.store.submit(entry)

    async def _settle(self) -> None:
        """Wait until the log has answered everything that was submitted, so that the next fold misses nothing."""
        while self._waiting:
            self._settled = trio.Event()
            await self._settled.wait()

    async def _refuse_for(self, seconds: float, item: InboxItem | None) -> None:
        if item is not None:
            self._turn_away(item)
        with trio.move_on_after(seconds):
            async for following in self._asks:
                self._turn_away(following)

    def _turn_away(self, item: InboxItem) -> None:
        if isinstance(item, Request):
            self._refuse(item, Unavailable())
        elif isinstance(item, Resume):
            item.reply(None)
        elif isinstance(item, Greet):
            item.reply([])
        elif isinstance(item, Vacate):
            self._vacate(item.peer)


def _over(error: Exception | None) -> None:
    """In place of what was called when an entry was answered."""
