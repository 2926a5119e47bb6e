"""The latest facts in memory, by audience: who was cut off for seconds is told what they missed without the disk.

They are noted as they are committed, exactly as the disk has them. What does not reach back far enough says so, and
the disk answers as ever. Read from the disk, a missed fact takes 5 µs and each reader a hop into a thread; a crowd pays
that thousands of times, for the same few facts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import attrgetter

from livehub.ports import Entry, Line, Record

FACTS_MAX = 2_048
BYTES_MAX = 1024 * 1024
"""Of payloads; a fact takes about 300 bytes besides."""


SEQ = attrgetter("seq")


class Recent:
    """All facts for anybody after a certain seq, which rises as old ones make room for new.

    They are looked through by audience only once somebody comes back: most are forgotten before that.
    """

    def __init__(self, after: int, *, facts_max: int = FACTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._after = after
        self._facts_max = facts_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._noted: deque[tuple[int, str, int, Line]] = deque()  # seq, room, at_ms, line
        self._looked_through = 0  # so many of them, from the left, are in:
        self._by_audience: defaultdict[str, list[Record]] = defaultdict(list)  # a deque of one takes 760 bytes

    def note(self, entry: Entry) -> None:
        """An entry is in the log now, all before it are noted, and none after it."""
        seq = entry.seq
        for line in entry.lines:
            if line.audiences:
                self._noted.append((seq, entry.room, entry.at_ms, line))
                self._bytes += len(line.data)
            seq += 1
        while len(self._noted) > self._facts_max or self._bytes > self._bytes_max:
            self._forget()

    def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record] | None:
        """As a store's `replay`; None if one of the audiences may have facts from before what is known here."""
        if min(audiences.values(), default=self._after) < self._after:
            return None
        self._look_through()
        missed = [part for audience, heard in audiences.items() if (part := self._part(audience, heard, upto))]
        if len(missed) == 1:
            return list(missed[0][: max(0, limit)])
        found: dict[int, Record] = {}
        for part in missed:
            for record in part:
                found.setdefault(record.seq, record)
        return [found[seq] for seq in sorted(found)[: max(0, limit)]]

    def _part(self, audience: str, heard: int, upto: int) -> Sequence[Record]:
        records = self._by_audience.get(audience, ())
        return records[bisect_right(records, heard, key=SEQ) : bisect_right(records, upto, key=SEQ)]

    def _look_through(self) -> None:
        new = list(islice(reversed(self._noted), len(self._noted) - self._looked_through))
        for seq, room, at_ms, line in reversed(new):
            for audience in dict.fromkeys(line.audiences):
                self._by_audience[audience].append(Record(seq, room, line.kind, at_ms, line.data, audience))
        self._looked_through = len(self._noted)

    def _forget(self) -> None:
        self._after, _, _, line = self._noted.popleft()
        self._bytes -= len(line.data)
        if self._looked_through:
            self._looked_through -= 1
            for audience in dict.fromkeys(line.audiences):
                records = self._by_audience[audience]
                del records[0]
                if not records:
                    del self._by_audience[audience]
