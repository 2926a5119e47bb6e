"""Who heard a room's messages out of order: judged when a message is settled, with everyone's order at hand.

A ledger numbers messages as its process first sees them. That numbering is the server's order, unless the one who was
ahead of all others missed a message or got two in the wrong order: then everyone else seems to disagree. So where
anybody heard a message late, the stretch around it is put in the order that most members heard, and whoever differs
from *that* heard out of order. A message is out of order for a member who heard it after one that belongs behind it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

STRETCH_MAX = 500  # messages; a longer stretch keeps the numbering it has (votes cost members x messages)

Span = tuple[int, int]  # first and last ordinal, both included


class Gaps:
    """Ordinals that were skipped, as sorted intervals: an outage of a thousand messages is one entry."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []  # excluded

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, ordinal: int) -> bool:
        at = bisect_right(self._starts, ordinal) - 1
        return at >= 0 and ordinal < self._ends[at]

    def add(self, start: int, end: int) -> None:
        """`start` to `end` (excluded) were skipped; never before what was added already."""
        if self._ends and self._ends[-1] == start:
            self._ends[-1] = end
        else:
            self._starts.append(start)
            self._ends.append(end)

    def fill(self, ordinal: int) -> bool:
        """It came after all. False if it was not missing."""
        at = bisect_right(self._starts, ordinal) - 1
        if at < 0 or ordinal >= self._ends[at]:
            return False
        start, end = self._starts[at], self._ends[at]
        left, right = ordinal > start, ordinal + 1 < end
        self._starts[at : at + 1] = [start] * left + [ordinal + 1] * right
        self._ends[at : at + 1] = [ordinal] * left + [end] * right
        return True

    def between(self, first: int, end: int) -> Iterator[int]:
        """Missing ordinals from `first` to `end` (excluded)."""
        at = max(0, bisect_right(self._starts, first) - 1)
        for index in range(at, len(self._starts)):
            if self._starts[index] >= end:
                return
            yield from range(max(first, self._starts[index]), min(end, self._ends[index]))

    def forget_below(self, ordinal: int) -> None:
        """Drop whole intervals that end at or below it."""
        count = bisect_right(self._ends, ordinal)
        del self._starts[:count], self._ends[:count]


def inversions(runs: Sequence[Span], high: int) -> Iterator[Span]:
    """Where someone who had heard up to `high` then heard these runs: each late stretch, up to what overtook it."""
    for first, last in runs:
        if first < high:
            yield first, max(high, last)
        high = max(high, last)


def merged(spans: list[Span]) -> list[Span]:
    """Overlapping spans as one."""
    whole: list[Span] = []
    for first, last in sorted(spans):
        if whole and first <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return whole


def majority_order(span: Span, sequences: Sequence[Sequence[int]], heard: Mapping[int, int]) -> list[int]:
    """The stretch in the order most members heard it; `heard` counts all who heard a message.

    `sequences` are those who disagree with the numbering; all others heard it as numbered and vote for it.
    """
    order: list[int] = []
    if span[1] - span[0] >= STRETCH_MAX:
        return list(range(span[0], span[1] + 1))
    places = [{ordinal: place for place, ordinal in enumerate(sequence)} for sequence in sequences]
    for ordinal in range(span[0], span[1] + 1):
        at = len(order)
        while at and _before(ordinal, order[at - 1], places, heard):
            at -= 1
        order.insert(at, ordinal)
    return order


def _before(late: int, early: int, places: Sequence[Mapping[int, int]], heard: Mapping[int, int]) -> bool:
    """Whether most of those who heard both heard `late` (numbered behind `early`) first."""
    against = both = 0
    for place in places:
        if late in place and early in place:
            both += 1
            against += place[late] < place[early]
    as_numbered = max(0, min(heard.get(late, 0), heard.get(early, 0)) - both) + both - against
    return against > as_numbered


def late_in(sequence: Sequence[int], order: Sequence[int], upto: int) -> int:
    """How many of a sequence came after one that belongs behind it; ordinals above `upto` are judged another time."""
    rank = {ordinal: place for place, ordinal in enumerate(order)}
    high = late = 0
    for ordinal in sequence:
        place = rank.get(ordinal, ordinal - order[0])
        late += place < high and ordinal <= upto
        high = max(high, place)
    return late


def clipped(runs: Sequence[Span], span: Span) -> list[int]:
    """The ordinals of the runs that lie in the span, in the order of the runs."""
    heard: list[int] = []
    for first, last in runs:
        heard.extend(range(max(first, span[0]), min(last, span[1]) + 1))
    return heard
