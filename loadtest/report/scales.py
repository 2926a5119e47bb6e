"""Where a value lies on an axis, and which values deserve a tick.

A scale maps to 0…1; pixels are the style sheet's business. `Tail` is the axis of HdrHistogram's plots: every further
nine of a percentile takes the same width, because the tail is what one looks for.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import attrs

TICKS_THRICE_UPTO = 600
"""Largest over smallest: nine labels at most."""

_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


class Scale(Protocol):
    """What a chart asks of an axis."""

    def place(self, value: float) -> float: ...

    def ticks(self) -> Sequence[float]: ...


@attrs.frozen
class Linear:
    """From zero, so that heights may be compared, up to a round number."""

    high: float
    step: float

    @classmethod
    def upto(cls, largest: float, ticks: int = 4) -> "Linear":
        """The roomiest of the steps 1, 2, 2.5 and 5 that needs at most so many ticks."""
        largest = largest if largest > 0 else 1
        size = 10 ** math.floor(math.log10(largest / ticks))
        step = next(size * lead for lead in (1, 2, 2.5, 5, 10) if size * lead * ticks >= largest * 0.999999)
        return cls(high=math.ceil(largest / step - 1e-6) * step, step=step)

    def place(self, value: float) -> float:
        return min(max(value / self.high, 0), 1)

    def ticks(self) -> Sequence[float]:
        return [self.step * number for number in range(round(self.high / self.step) + 1)]


@attrs.frozen
class Logarithmic:
    """For latencies that span orders of magnitude; both ends are a decade's 1, 2 or 5."""

    low: float
    high: float

    @classmethod
    def around(cls, smallest: float, largest: float) -> "Logarithmic":
        smallest = max(smallest, 1e-9)
        bottom = 10 ** math.floor(math.log10(smallest))
        low = next(bottom * lead for lead in (5, 2, 1) if bottom * lead <= smallest * 1.000001)
        top = 10 ** math.floor(math.log10(max(largest, low)))
        high = next(top * lead for lead in (1, 2, 5, 10) if top * lead >= largest * 0.999999)
        return cls(low, max(high, low * 10))

    def place(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> Sequence[float]:
        """Three per decade where there is room for their labels, else one."""
        leads = (1, 2, 5) if self.high / self.low <= TICKS_THRICE_UPTO else (1,)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [lead * 10.0**decade for decade in decades for lead in leads]
        return [value for value in values if self.low * 0.9999 <= value <= self.high * 1.0001]


@attrs.frozen
class Seconds:
    """The time of a run; ticks where a clock has them."""

    high: float

    def place(self, value: float) -> float:
        return min(max(value / self.high, 0), 1) if self.high else 0

    def ticks(self) -> Sequence[float]:
        step = next((step for step in _SECONDS if self.high / step <= 6), 8 * 3600)
        return [float(second) for second in range(0, math.floor(self.high) + 1, step)]


@attrs.frozen
class Tail:
    """Percentiles, each further nine as wide as the one before; ends where a single value decides."""

    values: int

    def place(self, value: float) -> float:
        decades = math.log10(max(self.values, 10))
        left = max(1 - value / 100, 10**-decades)
        return -math.log10(left) / decades

    def ticks(self) -> Sequence[float]:
        nines = int(math.log10(max(self.values, 10)) + 1e-9)
        return [50, *(round(100 - 100 / 10**nine, 10) for nine in range(1, nines + 1))]

    def grid(self, per_decade: int = 24) -> list[float]:
        """The percentiles at which a distribution is drawn: evenly spread over the axis."""
        steps = round(math.log10(max(self.values, 10)) * per_decade)
        return [100 - 100 * 10 ** (-step / per_decade) for step in range(steps)] + [100.0]
