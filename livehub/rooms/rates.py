"""How often a person may ask: one number per person and event (GCRA), so a full house costs a dictionary.

The number is the time at which the bucket would be empty again. Limits are per person, never per address: a whole
venue sits behind one address.
"""

from __future__ import annotations

import math

from livehub.payload import Rate

VIP_FACTOR = 2
BUCKETS_MAX = 200_000


class Rates:
    """The buckets of everybody. Told the time, in seconds of a clock that only runs forward."""

    __slots__ = ("_empty_at",)

    def __init__(self) -> None:
        self._empty_at: dict[tuple[str, str], float] = {}

    def take(self, user: str, event: str, rate: Rate, now_s: float, *, vip: bool = False) -> int:
        """Count one ask. 0 if it is within the rate, else the milliseconds after which it would be."""
        asks = rate.asks * (VIP_FACTOR if vip else 1)
        interval = rate.per_s / asks
        bucket = (user, event)
        empty_at = max(self._empty_at.get(bucket, now_s), now_s)
        wait_s = empty_at + interval - now_s - rate.per_s
        if wait_s > 1e-9:
            return max(1, math.ceil(wait_s * 1000))
        if len(self._empty_at) >= BUCKETS_MAX and bucket not in self._empty_at:
            self.prune(now_s)
        self._empty_at[bucket] = empty_at + interval
        return 0

    def prune(self, now_s: float) -> None:
        """Forget buckets that are empty again; if all are busy, forget them all rather than grow without bound."""
        self._empty_at = {bucket: at for bucket, at in self._empty_at.items() if at > now_s}
        if len(self._empty_at) >= BUCKETS_MAX:
            self._empty_at.clear()
