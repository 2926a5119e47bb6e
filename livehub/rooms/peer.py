"""A peer is one client in one namespace, as rooms know it: who it is, where it sits, and how it is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import trio

from livehub.feature import JSON, Person
from livehub.wire.frames import Frame

ASKS_AT_ONCE_MAX = 64
"""Unanswered asks of one peer. In a room's inbox a neighbour waits behind no more than these, 2 ms."""

Write: TypeAlias = Callable[[Sequence[Frame], bytes], None]


@dataclass(slots=True)
class Seat:
    """A peer's place in a room. It hears facts after `since`; until its commit it is not `taken`."""

    room: str
    audiences: tuple[str, ...]
    since: int = 0
    taken: bool = False


class Peer:
    """One client in one namespace. While it is *held*, what it would hear waits until its replay is out."""

    __slots__ = (
        "_answered",
        "_asking",
        "_held",
        "_held_bytes",
        "_held_bytes_max",
        "_overflow",
        "_send",
        "gone",
        "person",
        "query",
        "recoverable",
        "seats",
        "sid",
        "starts_anew",
        "vocabulary",
    )

    def __init__(
        self,
        sid: str,
        person: Person,
        send: Write,
        overflow: Callable[[], None],
        *,
        vocabulary: str,
        query: Mapping[str, str],
        recoverable: bool = True,
    ) -> None:
        self.sid = sid
        self.person = person
        self._send = send
        self._overflow = overflow
        self.vocabulary = vocabulary
        self.query = query
        self.recoverable = recoverable
        self.seats: dict[str, Seat] = {}  # room → seat, in the order they were asked for
        self.gone = False
        self.starts_anew = False  # its past could not be given back: a snapshot has to take its place
        self._asking = 0
        self._answered: trio.Event | None = None
        self._held: list[tuple[Sequence[Frame], bytes]] | None = None
        self._held_bytes = 0
        self._held_bytes_max = 0

    @property
    def user_audience(self) -> str:
        """Where this person's own news go."""
        return f"user:{self.person.id}"

    async def ask(self) -> None:
        """Begin an ask, waiting while too many of this peer's own are unanswered: a flood holds up whoever floods."""
        while self._asking >= ASKS_AT_ONCE_MAX:
            self._answered = trio.Event()
            await self._answered.wait()
        self._asking += 1

    def answered(self) -> None:
        """An ask was answered."""
        self._asking -= 1
        if self._answered is not None:
            self._answered.set()
            self._answered = None

    def write(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send frames in order, without waiting."""
        if self._held is None:
            self._send(frames, joined)
            return
        self._held.append((frames, joined))
        self._held_bytes += len(joined)
        if self._held_bytes > self._held_bytes_max:
            self._held = []
            self._overflow()

    def hold(self, bytes_max: int) -> None:
        """Keep back what comes from now on, until `release`."""
        self._held, self._held_bytes, self._held_bytes_max = [], 0, bytes_max

    def release(self) -> None:
        """Send what was kept back, and from now on everything at once."""
        held, self._held = self._held, None
        for frames, joined in held or ():
            self._send(frames, joined)

    def write_past(self, frames: Sequence[Frame]) -> None:
        """Send frames of a replay: they are older than anything that is held."""
        self._send(frames, b"".join([frame.framed for frame in frames]))

    def forget_held(self) -> None:
        """Drop what was kept back, and from now on send everything at once."""
        self._held = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an ask came to, for whoever asked: the ack beside `"success": true`; for who took a seat, a snapshot."""

    reply: dict[str, JSON]
    replayed: bool = False
    kind: str = ""  # of the room where a seat was taken
    snapshot: dict[str, JSON] | None = None
    offset: str = ""  # where whoever got the snapshot stands
