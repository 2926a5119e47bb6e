"""The latest facts in memory, by audience: who was cut off for seconds is told what they missed without the disk.

They are noted as they are committed, exactly as the disk has them. What does not reach back far enough says so, and
the disk answers as ever. Read from the disk, a missed fact takes 5 µs and each reader a hop into a thread; a crowd pays
that thousands of times, for the same few facts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from operator import attrgetter

from livehub.ports import Entry, Record

FACTS_MAX = 2_048
BYTES_MAX = 1024 * 1024
"""Of payloads; a fact takes about 300 bytes besides."""


SEQ = attrgetter("seq")


class Recent:
    """All facts for anybody after a certain seq, which rises as old ones make room for new."""

    def __init__(self, after: int, *, facts_max: int = FACTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._after = after
        self._facts_max = facts_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._facts: deque[tuple[int, int, tuple[str, ...]]] = deque()  # seq, bytes, audiences
        self._by_audience: defaultdict[str, list[Record]] = defaultdict(list)  # a deque of one takes 760 bytes

    def note(self, entry: Entry) -> None:
        """An entry is in the log now, all before it are noted, and none after it."""
        seq = entry.seq
        for line in entry.lines:
            audiences, data = line.audiences, line.data
            if len(audiences) > 1:
                audiences = tuple(dict.fromkeys(audiences))
            for audience in audiences:
                record = Record(seq, entry.room, line.kind, entry.at_ms, data, audience)
                self._by_audience[audience].append(record)
            if audiences:
                self._facts.append((seq, len(data), audiences))
                self._bytes += len(data)
            seq += 1
        while len(self._facts) > self._facts_max or self._bytes > self._bytes_max:
            self._forget()

    def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record] | None:
        """As a store's `replay`; None if one of the audiences may have facts from before what is known here."""
        if min(audiences.values(), default=self._after) < self._after:
            return None
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

    def _forget(self) -> None:
        self._after, size, audiences = self._facts.popleft()
        self._bytes -= size
        for audience in audiences:
            records = self._by_audience[audience]
            del records[0]
            if not records:
                del self._by_audience[audience]
