"""Asks and what they come to: who asks what and when; facts, bursts and effects. Pure data, in one place.

Time, ids and seeds arrive with the ask, so the same ask always leads to the same outcome.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar

from livehub.lean import lean

JSON: TypeAlias = Any
P = TypeVar("P")

_VERSION_4 = 4 << 76 | 2 << 62
"""Version and variant, where RFC 9562 has them in the 128 bits of a UUID."""
_RANDOM_BITS = (1 << 128) - 1 & ~(0xF << 76 | 3 << 62)

EVERYONE = ""
"""The audience of all who sit in the room. A part of them is named `":moderation"`, a single person `user(id)`."""


def user(user_id: str) -> str:
    """The audience of one person, wherever they are."""
    return f"user:{user_id}"


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. `"*"` among the permissions stands for all of them."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    org: str = ""
    role: str = ""
    permissions: frozenset[str] = frozenset()
    tier: str = "default"
    session: str = ""  # the one session that a guest's token is for

    def can(self, permission: str) -> bool:
        """Whether this person holds a permission."""
        return permission in self.permissions or "*" in self.permissions

    def public(self) -> dict[str, str]:
        """What anybody may know: `{id, firstName, lastName}` (contracts, point 7)."""
        return {"id": self.id, "firstName": self.first_name, "lastName": self.last_name}


SYSTEM = Person("system")
"""Who asks when a timer rings, another room tells something, or work is done."""


@lean
class Ask(Generic[P]):
    """One request to a room: what, by whom, when (ms since 1970), and the seed of all that is random about it."""

    payload: P
    who: Person = SYSTEM
    at_ms: int = 0
    seed: int = 0
    event_id: str = ""  # the event that the asker named, in the payload or in the handshake

    def new_id(self, n: int = 0) -> str:
        """The n-th UUID v4 of this ask."""
        number = self.seed + n * 0x9E3779B97F4A7C15F39CC0605CEDC835
        text = f"{number & _RANDOM_BITS | _VERSION_4:032x}"  # as uuid.UUID would have it, in less than half the time
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def dice(self) -> random.Random:
        """Randomness that the same ask throws again in the same way."""
        return random.Random(self.seed)  # noqa: S311 - fair and repeatable is what a draw needs, not secrecy

    @property
    def now(self) -> str:
        """When, as the wire says it."""
        return iso(self.at_ms)


@lean
class Fact:
    """Something that happened. `to` names who hears it: persons first, then parts of the room as `Feature.audiences`

    orders them, so that who is several of these hears it live and in a replay as the same one. Nobody hears a fact
    without.

    A fact that is not `kept` changes the state and is heard, but is not in the log: only for state that a restart may
    forget (the pending reactions of a burst).
    """

    kind: str
    data: dict[str, JSON]
    to: tuple[str, ...] = ()
    kept: bool = True


@lean
class Burst:
    """An event that is worth nothing tomorrow: sent to who is there, never replayed, dropped for slow readers."""

    event: str
    data: JSON
    to: str = EVERYONE


@dataclass(frozen=True, slots=True)
class Tell:
    """Effect: ask another room the internal command `command`. Durable: it arrives once, also after a crash."""

    room: str
    command: str
    data: JSON


@dataclass(frozen=True, slots=True)
class After:
    """Effect: ask this room the internal command `command` at `due_ms`. Durable; one per `key`, the latest counts."""

    key: str
    due_ms: int
    command: str
    data: JSON = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Effect: forget the timer `key`."""

    key: str


@dataclass(frozen=True, slots=True)
class Do:
    """Effect: slow work outside, by name. Its answer comes back as the internal command `then` (if any) with

    `{"data": …, "result": …}` or `{"data": …, "error": text}`. A crash loses it: add `After` where that matters.
    """

    work: str
    data: JSON
    then: str = ""


Effect: TypeAlias = Tell | After | Cancel | Do


@lean
class Outcome:
    """What a command leads to, all of it in one commit. `reply` is the ack beside `"success": true`.

    With `declined` it tells of something that did not happen: facts may say so, but the ask's key stays free.
    """

    facts: Sequence[Fact] = ()
    reply: dict[str, JSON] = field(default_factory=dict)
    effects: Sequence[Effect] = ()
    bursts: Sequence[Burst] = ()
    declined: bool = False


@lru_cache(maxsize=64)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(at_ms: int) -> str:
    """ISO 8601, UTC, milliseconds and `Z` (contracts, point 12)."""
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


def moment_ms(text: str) -> int:
    """The milliseconds since 1970 of a time as `iso` writes it."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
