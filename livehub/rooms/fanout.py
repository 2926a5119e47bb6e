"""Fan-out: each fact is rendered once per vocabulary, framed once, and written to whoever sits in its audiences.

Frames wait up to one tick for company (0 when idle): under load many messages leave in one `send` per socket, so the
cost of a delivery *falls* as the load rises (5 µs alone, 0.4 µs joined at 50 in flight). Whoever sits in several
audiences hears each fact once, and everybody hears facts in the order of the log.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

import trio

from livehub.feature import JSON, Person
from livehub.lean import lean
from livehub.ports import Meter
from livehub.rooms.peer import Peer
from livehub.rooms.shares import Heard, Item, Share, frames_of
from livehub.wire.frames import Frame, Kind

PENDING_BYTES_MAX = 256 * 1024
"""Beyond this a tick does not wait: joined frames must stay far below an outbox's bound."""
ANSWERS_WAIT_FROM_ITEMS = 8
"""So many facts that wait for a flush are a crowd that talks. With fewer, an answer does not wait for up to a tick:

that would hold up whoever asks again as soon as they are answered.
"""

log = logging.getLogger(__name__)


NOBODYS = object()
"""In place of a value that is the receiver's own, for the many events that have none."""


@lean
class Told:
    """What a vocabulary is to put into words: a fact (`name` is its kind) or an event that views and bursts name.

    `offset` is the fact's, or that of the last fact before it; `room` is where it comes from.
    """

    name: str
    data: JSON
    offset: str
    at_ms: int
    room: str
    audience: str
    own: JSON = NOBODYS


class Vocabulary(Protocol):
    """The wire names of one namespace."""

    def fact(self, told: Told) -> bytes | None:
        """The Socket.IO packet that shows a fact, ending with its offset; None if it is not shown to this audience."""

    def event(self, told: Told) -> bytes | None:
        """The Socket.IO packet of a view or burst, which has no offset of its own; None if it is not spoken here."""


Listeners: TypeAlias = dict[Peer, None]
OwnOf: TypeAlias = Callable[[Person], JSON]
"""What of an event is one person's own."""


@lean
class Published:
    """A fact that was committed."""

    seq: int
    room: str
    at_ms: int
    audiences: tuple[str, ...]
    kind: str
    data: dict[str, JSON]

    def told(self, offset: str, audience: str, own: JSON = NOBODYS) -> Told:
        """What a vocabulary is told of it."""
        return Told(self.kind, self.data, offset, self.at_ms, self.room, audience, own)


@lean
class Variant:
    """One of the few forms of a payload with a personal field, and who is to hear it as which audience."""

    vocabulary: str
    audience: str
    own: JSON
    peers: list[Peer]


class Fanout:
    """Who hears what. All of it happens on the loop, in commit order; nothing here waits for a client."""

    def __init__(self, vocabularies: Mapping[str, Vocabulary], meter: Meter, *, epoch: str, flush_s: float) -> None:
        self._vocabularies = vocabularies
        self._meter = meter
        self._epoch = epoch
        self._flush_s = flush_s
        self._audiences: dict[str, dict[str, Listeners]] = {}
        self._pending: list[Item] = []
        self._pending_bytes = 0
        self._ahead: dict[Peer, int] = {}  # who needs no more of what waits than from this place on
        self._answers: dict[Peer, list[Frame]] = {}  # go with the flush
        self._first_waiting: int | None = None  # seq of the oldest fact that waits
        self._last_flush_s = float("-inf")
        self._wake = trio.Event()

    def offset(self, seq: int) -> str:
        """Where a client stands that has heard everything up to `seq`."""
        return f"{self._epoch}-{seq}"

    @property
    def told_seq(self) -> int | None:
        """Seq up to which everything published has been handed to its listeners; None when nothing waits."""
        return None if self._first_waiting is None else self._first_waiting - 1

    def heard(self, audience: str) -> bool:
        """Whether anybody listens to an audience."""
        return audience in self._audiences

    def subscribe(self, peer: Peer, audiences: Iterable[str]) -> None:
        """From the next fact on the peer hears these audiences; what waits for a flush is older, and not for it."""
        self._catch_up(peer)
        for audience in audiences:
            self._audiences.setdefault(audience, {}).setdefault(peer.vocabulary, {})[peer] = None

    def unsubscribe(self, peer: Peer, audiences: Iterable[str]) -> None:
        """The peer no longer hears these audiences; what happened before still reaches it."""
        self._catch_up(peer)
        for audience in audiences:
            by_vocabulary = self._audiences.get(audience, {})
            listeners = by_vocabulary.get(peer.vocabulary, {})
            listeners.pop(peer, None)
            if not listeners:
                by_vocabulary.pop(peer.vocabulary, None)
            if not by_vocabulary:
                self._audiences.pop(audience, None)

    def listeners(self, audiences: Iterable[str]) -> list[str]:
        """Ids of the people who hear any of these audiences now."""
        found = {peer.person.id: None for peer in self._first_heard(tuple(audiences))}
        return list(found)

    def variants(self, audiences: tuple[str, ...], own: OwnOf) -> list[Variant]:
        """Everybody who hears these audiences now, together with those of whom the same is told."""
        together: dict[tuple[str, ...], Variant] = {}
        for peer, audience in self._first_heard(audiences).items():
            mine = own(peer.person)
            key = (peer.vocabulary, audience, repr(mine))
            variant = together.get(key)
            if variant is None:
                variant = together[key] = Variant(peer.vocabulary, audience, mine, [])
            variant.peers.append(peer)
        return list(together.values())

    def publish(self, fact: Published, own: OwnOf | None = None) -> None:
        """A fact was committed. With `own`, each receiver's payload has something of their own."""
        if own is not None:
            self._publish_own(fact, self.variants(fact.audiences, own))
            return
        frames = {}
        for audience in fact.audiences:
            told = fact.told(self.offset(fact.seq), audience)
            for name in self._audiences.get(audience, ()):
                text = self._vocabularies[name].fact(told)
                if text is not None:
                    frames[name, audience] = Frame(text)
        if frames and self._first_waiting is None:
            self._first_waiting = fact.seq
        self._queue(fact.audiences, frames)

    def show(self, told: Told, *, key: str | None = None) -> None:
        """Send a view (with a `key`: the latest wins) or a burst (without: dropped for slow readers)."""
        frame_kind = Kind.BURST if key is None else Kind.VIEW
        frames = {}
        for name in self._audiences.get(told.audience, ()):
            text = self._vocabularies[name].event(told)
            if text is not None:
                frame = Frame(text, kind=frame_kind, key=None if key is None else f"{name} {key}")
                frames[name, told.audience] = frame
        self._queue((told.audience,), frames)

    def show_variants(self, variants: Sequence[Variant], told: Told, *, key: str) -> None:
        """Send a view to everybody who still listens, each with what is their own."""
        self.flush()
        for variant in variants:
            text = self._vocabularies[variant.vocabulary].event(replace(told, own=variant.own))
            if text is not None:
                frame = Frame(text, kind=Kind.VIEW, key=f"{variant.vocabulary} {key}")
                still = self._audiences.get(variant.audience, {}).get(variant.vocabulary, {})
                self._write([frame], [peer for peer in variant.peers if peer in still])

    def show_to(self, peer: Peer, told: Told, *, key: str | None = None) -> None:
        """Send a view to one peer; without a `key`, an event that nothing may replace."""
        text = self._vocabularies[peer.vocabulary].event(told)
        if text is not None:
            kind, full = (Kind.ACK, None) if key is None else (Kind.VIEW, f"{peer.vocabulary} {key}")
            self._catch_up(peer)
            self._write([Frame(text, kind=kind, key=full)], [peer])

    def answer(self, peer: Peer, frame: Frame) -> None:
        """Send the answer to an ask: at once, or in one `send` with the rest when much waits for the flush."""
        if len(self._pending) < ANSWERS_WAIT_FROM_ITEMS:
            peer.write((frame,), frame.framed)
        else:
            self._answers.setdefault(peer, []).append(frame)

    def frame(self, vocabulary: str, told: Told) -> Frame | None:
        """A fact in the words of a vocabulary; None if it has none for it."""
        text = self._vocabularies[vocabulary].fact(told)
        return None if text is None else Frame(text)

    async def run(self) -> None:
        """Flush what waits: at once after a quiet tick, else at the end of the tick."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep_until(self._last_flush_s + self._flush_s)
            self.flush()

    def flush(self) -> None:
        """Write everything that waits, now."""
        if not self._pending:
            return
        items, self._pending, self._pending_bytes = self._pending, [], 0
        ahead, self._ahead = self._ahead, {}
        self._first_waiting = None
        self._last_flush_s = trio.current_time()
        for peer, place in ahead.items():
            self._write(self._frames_for(peer, items[place:]), [peer])
        audiences = items[0].audiences
        if len(audiences) == 1 and all(item.audiences == audiences for item in items):
            # A copy: a reader whose outbox is full is shown out within the write, and unsubscribed.
            for vocabulary, listeners in list(self._audiences.get(audiences[0], {}).items()):
                key = (vocabulary, audiences[0])
                peers = [peer for peer in listeners if peer not in ahead] if ahead else list(listeners)
                self._write([item.frames[key] for item in items if key in item.frames], peers)
        else:
            self._flush_mixed(items, ahead)
        while self._answers:  # whoever heard nothing of all that
            peer = next(iter(self._answers))
            self._send(peer, [], b"")

    def _catch_up(self, peer: Peer) -> None:
        """Write to one peer what waits for it, before its place changes or something newer goes to it alone.

        A flush in its stead is one for everybody: when a crowd came back, a venue of 5,000 was written to 40 times a
        second, which took half of the server. Whoever is gone needs none of it.
        """
        if self._pending and not peer.gone:
            place, self._ahead[peer] = self._ahead.get(peer, 0), len(self._pending)
            self._write(self._frames_for(peer, self._pending[place:]), [peer])

    def _frames_for(self, peer: Peer, items: Sequence[Item]) -> list[Frame]:
        """What one peer is sent of these items."""
        vocabulary, frames = peer.vocabulary, []
        for item in items:
            for audience in item.audiences:
                if peer in self._audiences.get(audience, {}).get(vocabulary, ()):
                    if (frame := item.frames.get((vocabulary, audience))) is not None:
                        frames.append(frame)
                    break
        return frames

    def _publish_own(self, fact: Published, variants: Sequence[Variant]) -> None:
        """Written at once, after what waits: rare enough to be worth no company."""
        self.flush()
        for variant in variants:
            told = fact.told(self.offset(fact.seq), variant.audience, variant.own)
            text = self._vocabularies[variant.vocabulary].fact(told)
            if text is not None:
                self._write([Frame(text)], variant.peers)

    def _flush_mixed(self, items: list[Item], ahead: Mapping[Peer, int]) -> None:
        """Several audiences at once: peers who hear the same items as the same audiences share one joined write.

        Most hear only what the largest audience does, and are not looked at one by one. Who is `ahead` has theirs.
        """
        groups: dict[tuple[str, ...], list[tuple[int, Item]]] = {}
        for number, item in enumerate(items):
            groups.setdefault(item.audiences, []).append((number, item))
        largest = max(groups, key=self.size)
        hears: dict[Peer, Heard] = {}
        for audiences, numbered in groups.items():
            if audiences != largest or len(largest) > 1:
                shares = {audience: Share(numbered, audience) for audience in audiences}
                for peer, audience in self._first_heard(audiences).items():
                    if peer not in ahead:
                        hears[peer] = (*hears.get(peer, ()), shares[audience])
        if len(largest) == 1:
            self._flush_largest(largest[0], Share(groups[largest], largest[0]), hears, ahead)
        together: dict[tuple[str, Heard], list[Peer]] = defaultdict(list)
        for peer, heard in hears.items():
            together[peer.vocabulary, heard].append(peer)
        for (vocabulary, heard), peers in together.items():
            self._write(frames_of(heard, vocabulary), peers)

    def _flush_largest(self, audience: str, share: Share, hears: dict[Peer, Heard], ahead: Mapping[Peer, int]) -> None:
        """Write to whoever hears one audience alone; who is in `hears` too is noted there."""
        for vocabulary, listeners in list(self._audiences.get(audience, {}).items()):
            for peer in [peer for peer in hears if peer in listeners]:
                hears[peer] = (*hears[peer], share)
            peers = [peer for peer in listeners if peer not in hears and peer not in ahead]
            self._write(frames_of((share,), vocabulary), peers)

    def size(self, audiences: tuple[str, ...]) -> int:
        """How many listeners these audiences have; who listens to several counts several times."""
        size = 0
        for audience in audiences:
            if (by_vocabulary := self._audiences.get(audience)) is not None:
                for listeners in by_vocabulary.values():
                    size += len(listeners)
        return size

    def _write(self, frames: list[Frame], peers: list[Peer]) -> None:
        if not frames:
            return
        joined = frames[0].framed if len(frames) == 1 else b"".join([frame.framed for frame in frames])
        answers = self._answers
        for peer in peers:
            if answers and peer in answers:
                self._send(peer, frames, joined)
                continue
            try:
                peer.carrier.outbox.write_joined(frames, joined)
            except Exception:  # a defect below one client is not to silence the others
                log.exception("a client could not be written to")
        self._meter.fanned_out(len(frames) * len(peers), len(joined) * len(peers))

    def _send(self, peer: Peer, frames: list[Frame], joined: bytes) -> None:
        """Write frames to a peer behind the answers that wait for it."""
        answers = self._answers.pop(peer)
        try:
            peer.write([*answers, *frames], b"".join([*[answer.framed for answer in answers], joined]))
        except Exception:
            log.exception("a client could not be written to")

    def _first_heard(self, audiences: tuple[str, ...]) -> dict[Peer, str]:
        found: dict[Peer, str] = {}
        for audience in audiences:
            for listeners in self._audiences.get(audience, {}).values():
                for peer in listeners:
                    found.setdefault(peer, audience)
        return found

    def _queue(self, audiences: tuple[str, ...], frames: dict[tuple[str, str], Frame]) -> None:
        if not frames:
            return
        self._pending.append(Item(audiences, frames))
        self._pending_bytes += max([frame.size for frame in frames.values()])
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.flush()
        else:
            self._wake.set()
