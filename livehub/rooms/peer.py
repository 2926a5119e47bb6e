"""A peer is one client in one namespace, as rooms know it: who it is, where it sits, and how it is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from livehub.feature import JSON, Person
from livehub.lean import lean
from livehub.ports import Carrier
from livehub.wire.frames import Frame

ASKS_AT_ONCE_MAX = 64
"""Unanswered asks of one peer. In a room's inbox a neighbour waits behind no more than these, 2 ms."""


class _Nowhere:
    """Carries whoever is gone."""

    def __init__(self) -> None:
        self.outbox = self

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Nobody hears it."""


NOWHERE = _Nowhere()


def _over() -> None:
    """What a peer that is gone calls when too much is held for it."""


class _Held:
    """Keeps what a peer would hear, up to a bound."""

    __slots__ = ("_bytes", "_bytes_max", "_overflow", "kept")

    def __init__(self, bytes_max: int, overflow: Callable[[], None]) -> None:
        self.kept: list[tuple[Sequence[Frame], bytes]] = []
        self._bytes = 0
        self._bytes_max = bytes_max
        self._overflow = overflow

    @property
    def outbox(self) -> _Held:
        """It is its own."""
        return self

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Keep frames."""
        self.kept.append((frames, joined))
        self._bytes += len(joined)
        if self._bytes > self._bytes_max:
            self.kept = []
            self._overflow()


@dataclass(slots=True)
class Seat:
    """A peer's place in a room. It hears facts after `since`; until its commit it is not `taken`."""

    room: str
    audiences: tuple[str, ...]
    since: int = 0
    taken: bool = False
    granted: tuple[str, ...] = ()  # audiences in the log's record: by now it may be entitled to less


class Peer:
    """One client in one namespace. While it is *held*, what it would hear waits until its replay is out.

    Fan-out writes to `carrier.outbox` itself: each call and object between costs 0.3 µs a delivery in a cold cache.
    """

    __slots__ = (
        "_answered",
        "_asking",
        "_carrier",
        "_overflow",
        "carrier",
        "gone",
        "known",
        "person",
        "query",
        "recoverable",
        "seats",
        "sid",
        "starts_anew",
        "unseen",
        "vocabulary",
    )

    def __init__(
        self,
        sid: str,
        person: Person,
        carrier: Carrier,
        overflow: Callable[[], None],
        *,
        vocabulary: str,
        query: Mapping[str, str],
        recoverable: bool = True,
    ) -> None:
        self.sid = sid
        self.person = person
        self._carrier: Carrier = carrier
        self.carrier: Carrier = carrier
        self._overflow = overflow
        self.vocabulary = vocabulary
        self.query = query
        self.recoverable = recoverable
        self.seats: dict[str, Seat] = {}  # room → seat, in the order they were asked for
        self.gone = False
        self.starts_anew = False  # its past could not be given back: a snapshot has to take its place
        self.known = True  # all that the log holds of its seats is in `seats` and `unseen`, once nothing is asked
        self.unseen = 0  # what was told up to this seq must have been heard before a recovery
        self._asking = 0
        self._answered: trio.Event | None = None

    @property
    def user_audience(self) -> str:
        """Where this person's own news go."""
        return f"user:{self.person.id}"

    @property
    def asking(self) -> bool:
        """Whether anything it asked is not answered yet."""
        return self._asking > 0

    def asks(self) -> bool:
        """Begin an ask, unless too many of this peer's own are unanswered: False."""
        if self._asking >= ASKS_AT_ONCE_MAX:
            return False
        self._asking += 1
        return True

    async def ask(self) -> None:
        """Begin an ask, waiting while too many of this peer's own are unanswered: a flood holds up whoever floods."""
        while not self.asks():
            self._answered = trio.Event()
            await self._answered.wait()

    def answered(self) -> None:
        """An ask was answered."""
        self._asking -= 1
        if self._answered is not None:
            self._answered.set()
            self._answered = None

    def write(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames in order, without waiting."""
        self.carrier.outbox.write_joined(frames, joined)

    def hold(self, bytes_max: int) -> None:
        """Keep back what comes from now on, until `release`."""
        self.carrier = _Held(bytes_max, self._overflow)

    def release(self) -> None:
        """Send what was kept back, and from now on everything at once."""
        held, self.carrier = self.carrier, self._carrier
        if isinstance(held, _Held):
            for frames, joined in held.kept:
                self.write(frames, joined)

    def write_past(self, frames: Sequence[Frame]) -> None:
        """Send frames of a replay: they are older than anything that is held."""
        self._carrier.outbox.write_joined(frames, b"".join([frame.framed for frame in frames]))

    def forget_held(self) -> None:
        """Drop what was kept back, and from now on send everything at once."""
        self.carrier = self._carrier

    def leave(self) -> None:
        """It is gone, and hears nothing more."""
        self.gone = True
        self._overflow = _over
        self.carrier = self._carrier = NOWHERE


@lean
class Answer:
    """What an ask came to, for whoever asked: the ack beside `"success": true`; for who took a seat, a snapshot."""

    reply: dict[str, JSON]
    replayed: bool = False
    kind: str = ""  # of the room where a seat was taken
    snapshot: dict[str, JSON] | None = None
    offset: str = ""  # where whoever got the snapshot stands
