"""The plan of a run and the slopes of its crowd: plain data, so that several processes can follow the same plan.

Users are numbered from 0 and dealt out round robin. There is one slope at a time: how many users there are, how many
there shall be, since when and at which rate they come or go. Everybody can tell from it when a number is due, so the
spawn rate holds over all processes without a word between them; whoever came last goes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import orjson

NS_PER_S = 1_000_000_000


@attrs.frozen
class Plan:
    """What one process is told when it starts."""

    scenario: str
    target: str
    host: str
    secret: str
    seed: int
    run: int  # differs between runs that have the same seed
    index: int  # of this process
    processes: int
    users: int
    polling_percent: float = 0.0
    options: dict[str, Any] = attrs.field(factory=dict)
    cores: list[int] = attrs.field(factory=list)  # to be pinned to; none: anywhere
    ca: str = ""  # file with the certificates to trust; "": the system's
    insecure: bool = False  # trust anybody

    def line(self) -> bytes:
        """As the first line that a worker reads."""
        return orjson.dumps(attrs.asdict(self)) + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Plan:
        """Read it back."""
        return cls(**orjson.loads(line))


@attrs.frozen
class Move:
    """A user is due to come, or to go."""

    at_ns: int
    number: int
    comes: bool


@attrs.frozen
class Slope:
    """From `start` users to `goal` users, `rate` of them a second, the first one at `at_ns`."""

    start: int
    goal: int
    at_ns: int
    rate: float

    @property
    def moves(self) -> int:
        """How many come or go."""
        return abs(self.goal - self.start)

    def level(self, now_ns: int) -> int:
        """How many users there are at that time."""
        if now_ns < self.at_ns:
            return self.start
        moved = min(self.moves, int((now_ns - self.at_ns) * self.rate / NS_PER_S) + 1)
        return self.start + moved if self.goal > self.start else self.start - moved

    def ends_ns(self) -> int:
        """When the last one is due."""
        return self._due_ns(max(0, self.moves - 1))

    def owned(self, index: int, processes: int) -> Iterator[Move]:
        """What one of the processes has to do, in order of time."""
        comes = self.goal > self.start
        for place in range(self.moves):
            number = self.start + place if comes else self.start - 1 - place
            if number % processes == index:
                yield Move(self._due_ns(place), number, comes)

    def _due_ns(self, place: int) -> int:
        return self.at_ns + int(place * NS_PER_S / self.rate)
