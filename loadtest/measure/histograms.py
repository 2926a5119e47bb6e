"""Latencies in HDR histograms: whole microseconds from 1 us to 120 s, three digits.

A recording is made for every delivery, so it must cost little: a `Tally` counts into a dict under the histogram's own
slot number (0.3 us), and only once a second becomes an `HdrHistogram`, whose `encode()` carries it between processes
and whose arrays are added in C. `record_value()` for each delivery would cost 1.5 us. Percentiles are read with
`accumulate` and `bisect` (1 ms for a histogram, the library's own loop takes 6 ms); tests hold both to one answer.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from hdrh.histogram import HdrHistogram

from loadtest.measure.result import Latency

LOWEST_US = 1
HIGHEST_US = 120_000_000
DIGITS = 3
POINTS = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}
_MASK = 2047  # three digits need 2048 slots before the resolution first halves
_HALF_BITS = 10


def slot_of(us: int) -> int:
    """The histogram's slot for a value: what HdrHistogram computes, without its eight calls."""
    if us > HIGHEST_US:
        us = HIGHEST_US
    elif us < 0:
        us = 0
    shift = (us | _MASK).bit_length() - 11
    return (shift << _HALF_BITS) + (us >> shift)


def new_histogram() -> HdrHistogram:
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


class Tally:
    """What was recorded since the last `take`."""

    __slots__ = ("slots",)

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}

    def record(self, us: int) -> None:
        """Negative counts as 0, more than 120 s as 120 s."""
        if 0 <= us <= HIGHEST_US:  # slot_of() in line: this runs for every delivery
            shift = (us | _MASK).bit_length() - 11
            slot = (shift << _HALF_BITS) + (us >> shift)
        else:
            slot = slot_of(us)
        slots = self.slots
        slots[slot] = slots.get(slot, 0) + 1

    def take(self) -> str:
        """The histogram of it all, encoded; empty from here on. An empty text when nothing was recorded."""
        if not self.slots:
            return ""
        histogram = new_histogram()
        for slot, count in self.slots.items():
            histogram.record_value(histogram.get_value_from_index(slot), count)
        self.slots = {}
        encoded: bytes = histogram.encode()
        return encoded.decode()


class Distribution:
    """A histogram that others are added to, and that answers questions."""

    __slots__ = ("histogram",)

    def __init__(self) -> None:
        self.histogram = new_histogram()

    @classmethod
    def of(cls, encoded: str) -> "Distribution":
        made = cls()
        made.add(encoded)
        return made

    def add(self, encoded: str) -> None:
        """Add an encoded histogram; empty texts add nothing."""
        if encoded:
            self.histogram.decode_and_add(encoded)

    def record(self, us: int) -> None:
        self.histogram.record_value(max(0, min(us, HIGHEST_US)))

    @property
    def count(self) -> int:
        return int(self.histogram.total_count)

    @property
    def max(self) -> int:
        return int(self.histogram.get_max_value())

    def percentiles(self, wanted: Iterable[float]) -> list[int]:
        """The value at each percentile (0-100); 0 for all of them when nothing was recorded."""
        percentiles = list(wanted)
        if not self.count:
            return [0] * len(percentiles)
        running = list(accumulate(self.histogram.counts[:]))
        values = []
        for percentile in percentiles:
            rank = max(1, int(percentile * self.count / 100 + 0.5))
            value = self.histogram.get_value_from_index(bisect_left(running, rank))
            values.append(int(self.histogram.get_highest_equivalent_value(value)))
        return values

    def mean(self) -> float:
        """Each slot counts as its middle, as in the library, whose own loop over empty slots takes 50 ms."""
        histogram = self.histogram
        total = 0
        for slot, count in enumerate(histogram.counts[:]):
            if count:
                shift = max(0, (slot >> _HALF_BITS) - 1)
                total += count * (histogram.get_value_from_index(slot) + ((1 << shift) >> 1))
        return total / self.count if self.count else 0.0

    def latency(self, *, whole: bool = True) -> Latency:
        """The document's form of it; without the histogram itself unless `whole`."""
        points = dict(zip(POINTS, self.percentiles(POINTS.values()), strict=True))
        encoded: bytes = self.histogram.encode() if whole and self.count else b""
        return Latency(count=self.count, max=self.max, mean=self.mean(), hdr=encoded.decode(), **points)
