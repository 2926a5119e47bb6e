"""A request: one ask on its way through a room, and what has to happen when it is answered."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import trio

from livehub.errors import Refused
from livehub.feature import SYSTEM, Command, Person
from livehub.ports import SeatRecord, TimerRecord
from livehub.rooms.keys import Claim
from livehub.rooms.peer import Answer, Peer

SEED_BYTES = 16
SEEDS_AT_ONCE = 256

Reply: TypeAlias = Callable[[Answer | Refused], None]


class _Seeds:
    """Random numbers of 128 bits for asks, from the system; a system call each would take 4 µs of an ask's 40."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def __call__(self) -> int:
        """The next one."""
        if self._at >= len(self._pool):
            self._pool, self._at = os.urandom(SEEDS_AT_ONCE * SEED_BYTES), 0
        self._at += SEED_BYTES
        return int.from_bytes(self._pool[self._at - SEED_BYTES : self._at], "big")


any_seed = _Seeds()


def nobody(_: Answer | Refused) -> None:
    """The reply of asks that nobody waits for."""


class Awaited:
    """The one answer to an ask, for who waits for it: a `Reply`, and `answer` to wait with."""

    __slots__ = ("_came", "_result")

    def __init__(self) -> None:
        self._came = trio.Event()
        self._result: Answer | Refused | None = None

    def __call__(self, result: Answer | Refused) -> None:
        self._result = result
        self._came.set()

    async def answer(self) -> Answer | Refused:
        """What came, once it came."""
        await self._came.wait()
        assert self._result is not None
        return self._result


@dataclass(slots=True)
class Request:
    """What a room is asked, as the gate let it through (or as livehub asks itself)."""

    command: Command
    payload: Any
    at_ms: int
    seed: int
    reply: Reply = nobody
    who: Person = SYSTEM
    peer: Peer | None = None
    claim: Claim | None = None
    told: str | None = None  # id of the tell that this answers
    timer: TimerRecord | None = None  # the timer that this answers
    event_id: str = ""  # the event that the asker named


@dataclass(slots=True)
class Beat:
    """A tick of `every`: the feature method to call."""

    feature: int
    method: str
    at_ms: int
    seed: int


@dataclass(slots=True)
class Resume:
    """A recovering peer wants its seat back. `reply` is given the audiences it may hear there, None if it may not."""

    peer: Peer
    record: SeatRecord
    reply: Callable[[tuple[str, ...] | None], None]


@dataclass(slots=True)
class Greet:
    """A peer has connected, and this is its person's own room. `reply` is called in the order of the log, so that

    the peer can be subscribed in that very step; it is given what the room has for this connection alone.
    """

    peer: Peer
    reply: Callable[[Sequence[tuple[str, Any]]], None]


@dataclass(slots=True)
class Vacate:
    """The peer's connection is gone. It waits its turn: what the peer asked before is still asked from its seat."""

    peer: Peer


InboxItem: TypeAlias = Request | Beat | Resume | Greet | Vacate
