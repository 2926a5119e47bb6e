"""What a point is: a piece of work, a target, and a way to measure both; and how its figures are told."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import attrs

NOTHING = "–"


@attrs.frozen
class Setting:
    """How a run measures."""

    rounds: int = 5
    quick: bool = False
    say: Callable[[str], None] = print

    def pick(self, full: float, quick: float) -> float:
        """A length of time, smaller in a quick run."""
        return quick if self.quick else full

    def many(self, full: int, quick: int) -> int:
        """A number, smaller in a quick run."""
        return quick if self.quick else full


@attrs.define
class Answer:
    """A line of the table, with the figures of every round behind it."""

    livehub: str = NOTHING
    socketio: str = NOTHING
    bare: str = NOTHING
    ratio: str = NOTHING
    holds: bool | None = None  # None: the figures are not valid
    notes: list[str] = attrs.Factory(list)
    raw: Mapping[str, Sequence[float]] = attrs.Factory(dict)

    @property
    def verdict(self) -> str:
        """As the table's last column says it."""
        if self.holds is None:
            return "invalid"
        return "yes" if self.holds else "NO"


@attrs.frozen
class Point:
    """One line of the table."""

    name: str
    work: str
    target: str
    measure: Callable[[Setting], Answer]


def median(values: Sequence[float]) -> float:
    """The middle one of all rounds."""
    return statistics.median(values)


def figure(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median, and in parentheses the smallest and the largest."""
    spread = f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):,.{digits}f} {unit}".rstrip() + spread


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios, round by round: what one noisy round did to both cancels out."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def invalid_generator(share: float, most: float) -> Answer:
    """The answer when the generator's core was the limit."""
    return Answer(livehub="invalid: generator", notes=[f"the generator used {share:.0%} of its core, above {most:.0%}"])
