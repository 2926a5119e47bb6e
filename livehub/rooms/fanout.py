"""Fan-out: each fact is rendered once per vocabulary, framed once, and written to whoever sits in its audiences.

Frames wait up to one tick for company (0 when idle): under load many messages leave in one `send` per socket, so the
cost of a delivery *falls* as the load rises (5 µs alone, 0.4 µs joined at 50 in flight). Whoever sits in several
audiences hears each fact once, and everybody hears facts in the order of the log.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import orjson
import trio

from livehub.feature import JSON
from livehub.ports import Meter, Record
from livehub.rooms.peer import Peer
from livehub.wire.frames import Frame, Kind

PENDING_BYTES_MAX = 256 * 1024
"""Beyond this a tick does not wait: joined frames must stay far below an outbox's bound."""


log = logging.getLogger(__name__)


class Vocabulary(Protocol):
    """The wire names of one namespace."""

    def fact(
        self, kind: str, data: dict[str, JSON], offset: str, audience: str, own: Mapping[str, JSON]
    ) -> bytes | None:
        """The Socket.IO packet that shows a fact to an audience, ending with its offset; None if it is not shown.

        `own` are fields of the payload that are the receiver's own, for the few events that have such.
        """

    def event(self, name: str, payload: JSON) -> bytes:
        """The Socket.IO packet of an event without an offset (views, bursts)."""


Listeners: TypeAlias = dict[Peer, None]
Own: TypeAlias = Callable[[str], dict[str, JSON]]
"""What is one person's own of a payload, by their id."""
SHARED: Mapping[str, JSON] = {}
"""What nearly every payload has of its receiver's own."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the few forms of a payload with a personal field, and who is to hear it as which audience."""

    vocabulary: str
    audience: str
    own: dict[str, JSON]
    peers: list[Peer]


class _Item:
    """What waits for the next flush: one frame per vocabulary and audience."""

    __slots__ = ("audiences", "frames")

    def __init__(self, audiences: tuple[str, ...], frames: dict[tuple[str, str], Frame]) -> None:
        self.audiences = audiences
        self.frames = frames


class Fanout:
    """Who hears what. All of it happens on the loop, in commit order; nothing here waits for a client."""

    def __init__(self, vocabularies: Mapping[str, Vocabulary], meter: Meter, *, epoch: str, flush_s: float) -> None:
        self._vocabularies = vocabularies
        self._meter = meter
        self._epoch = epoch
        self._flush_s = flush_s
        self._audiences: dict[str, dict[str, Listeners]] = {}
        self._pending: list[_Item] = []
        self._pending_bytes = 0
        self._last_flush_s = float("-inf")
        self._wake = trio.Event()

    def offset(self, seq: int) -> str:
        """Where a client stands that has heard everything up to `seq`."""
        return f"{self._epoch}-{seq}"

    def heard(self, audience: str) -> bool:
        """Whether anybody listens to an audience."""
        return audience in self._audiences

    def subscribe(self, peer: Peer, audiences: Iterable[str]) -> None:
        """From the next fact on the peer hears these audiences; what waits for a flush is older, so it goes first."""
        self.flush()
        for audience in audiences:
            self._audiences.setdefault(audience, {}).setdefault(peer.vocabulary, {})[peer] = None

    def unsubscribe(self, peer: Peer, audiences: Iterable[str]) -> None:
        """The peer no longer hears these audiences; what happened before still reaches it."""
        self.flush()
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

    def variants(self, audiences: tuple[str, ...], own: Own) -> list[Variant]:
        """Everybody who hears these audiences now, together with those whose own field is the same."""
        together: dict[tuple[str, ...], Variant] = {}
        for peer, audience in self._first_heard(audiences).items():
            mine = own(peer.person.id)
            variant = together.setdefault(
                (peer.vocabulary, audience, *map(repr, mine.values())), Variant(peer.vocabulary, audience, mine, [])
            )
            variant.peers.append(peer)
        return list(together.values())

    def publish(
        self, seq: int, audiences: tuple[str, ...], kind: str, data: dict[str, JSON], own: Own | None = None
    ) -> None:
        """A fact was committed. With `own`, each receiver's payload has fields of their own."""
        if own is not None:
            self._publish_own(self.offset(seq), kind, data, self.variants(audiences, own))
            return
        frames, offset = {}, self.offset(seq)
        for audience in audiences:
            for name in self._audiences.get(audience, ()):
                text = self._vocabularies[name].fact(kind, data, offset, audience, SHARED)
                if text is not None:
                    frames[name, audience] = Frame(text)
        self._queue(audiences, frames)

    def show(self, audience: str, event: str, payload: JSON, *, key: str | None = None) -> None:
        """Send a view (with a `key`: the latest wins) or a burst (without: dropped for slow readers)."""
        frame_kind = Kind.BURST if key is None else Kind.VIEW
        frames = {}
        for name in self._audiences.get(audience, ()):
            text = self._vocabularies[name].event(event, payload)
            frames[name, audience] = Frame(text, kind=frame_kind, key=None if key is None else f"{name} {key}")
        self._queue((audience,), frames)

    def show_variants(self, variants: Sequence[Variant], event: str, payload: dict[str, JSON], *, key: str) -> None:
        """Send a view to everybody who still listens, each with what is their own."""
        self.flush()
        for variant in variants:
            text = self._vocabularies[variant.vocabulary].event(event, {**payload, **variant.own})
            frame = Frame(text, kind=Kind.VIEW, key=f"{variant.vocabulary} {key}")
            still = self._audiences.get(variant.audience, {}).get(variant.vocabulary, {})
            self._write([frame], [peer for peer in variant.peers if peer in still])

    def show_to(self, peer: Peer, event: str, payload: JSON, *, key: str) -> None:
        """Send a view to one peer."""
        text = self._vocabularies[peer.vocabulary].event(event, payload)
        frame = Frame(text, kind=Kind.VIEW, key=f"{peer.vocabulary} {key}")
        self.flush()
        self._write([frame], [peer])

    def emit_to(self, peer: Peer, event: str, payload: JSON) -> None:
        """Send an event to one peer that nothing may replace."""
        self.flush()
        self._write([Frame(self._vocabularies[peer.vocabulary].event(event, payload), kind=Kind.ACK)], [peer])

    def render(
        self,
        vocabulary: str,
        records: Sequence[Record],
        own: Callable[[Record, dict[str, JSON]], Mapping[str, JSON]],
    ) -> Iterator[Frame]:
        """Facts from the log as this vocabulary shows them to somebody; `own` is what is theirs of each."""
        speak = self._vocabularies[vocabulary].fact
        for record in records:
            data = orjson.loads(record.data)
            text = speak(record.kind, data, self.offset(record.seq), record.audience, own(record, data))
            if text is not None:
                yield Frame(text)

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
        self._last_flush_s = trio.current_time()
        audiences = items[0].audiences
        if len(audiences) == 1 and all(item.audiences == audiences for item in items):
            # A copy: a reader whose outbox is full is shown out within the write, and unsubscribed.
            for vocabulary, listeners in list(self._audiences.get(audiences[0], {}).items()):
                key = (vocabulary, audiences[0])
                self._write([item.frames[key] for item in items if key in item.frames], list(listeners))
        else:
            self._flush_mixed(items)

    def _publish_own(self, offset: str, kind: str, data: dict[str, JSON], variants: Sequence[Variant]) -> None:
        """Written at once, after what waits: rare enough to be worth no company."""
        self.flush()
        for variant in variants:
            text = self._vocabularies[variant.vocabulary].fact(kind, data, offset, variant.audience, variant.own)
            if text is not None:
                self._write([Frame(text)], variant.peers)

    def _flush_mixed(self, items: list[_Item]) -> None:
        """Several audiences at once: peers who hear the same items as the same audiences share one joined write."""
        hears: dict[Peer, tuple[tuple[tuple[str, ...], str], ...]] = {}
        for audiences in dict.fromkeys(item.audiences for item in items):
            for peer, audience in self._first_heard(audiences).items():
                hears[peer] = (*hears.get(peer, ()), (audiences, audience))
        together: dict[tuple[str, tuple[tuple[tuple[str, ...], str], ...]], list[Peer]] = defaultdict(list)
        for peer, heard in hears.items():
            together[peer.vocabulary, heard].append(peer)
        for (vocabulary, heard), peers in together.items():
            heard_as = dict(heard)
            keys = ((item, (vocabulary, heard_as.get(item.audiences, ""))) for item in items)
            self._write([item.frames[key] for item, key in keys if key in item.frames], peers)

    def _write(self, frames: list[Frame], peers: list[Peer]) -> None:
        if not frames:
            return
        joined = frames[0].framed if len(frames) == 1 else b"".join([frame.framed for frame in frames])
        for peer in peers:
            try:
                peer.write(frames, joined)
            except Exception:  # a defect below one client is not to silence the others
                log.exception("a client could not be written to")
        self._meter.fanned_out(len(frames) * len(peers), len(joined) * len(peers))

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
        self._pending.append(_Item(audiences, frames))
        self._pending_bytes += max(frame.size for frame in frames.values())
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.flush()
        else:
            self._wake.set()
