"""Latencies of millions of deliveries, counted in bins of 0.1 ms: adding one must cost next to nothing."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

BIN_NS = 100_000
LONGEST_S = 60
BINS = LONGEST_S * 1_000_000_000 // BIN_NS


class Latencies:
    """How long things took."""

    def __init__(self) -> None:
        self._bins = array("q", bytes(8 * BINS))
        self.count = 0

    def took(self, now_ns: int, since_ns: Sequence[int]) -> None:
        """Something that began at each of these times is done now."""
        bins = self._bins
        for began_ns in since_ns:
            try:
                bins[(now_ns - began_ns) // BIN_NS] += 1
            except IndexError:
                bins[-1] += 1
        self.count += len(since_ns)

    def quantile_ms(self, share: float) -> float:
        """So large a share took no longer than this (upper edge of its bin, so never flattered)."""
        if not self.count:
            raise ValueError("nothing was timed")
        wanted, seen = max(1, share * self.count), 0
        for number, count in enumerate(self._bins):
            seen += count
            if seen >= wanted:
                return (number + 1) * BIN_NS / 1e6
        raise AssertionError("the bins hold fewer than were counted")
