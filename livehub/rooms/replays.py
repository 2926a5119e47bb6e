"""Replays: facts from the log as a vocabulary shows them to somebody who missed them.

A crowd that was cut off together missed the same facts: what is nobody's own is rendered for the first of them, and
kept for those who come next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import orjson

from livehub.feature import JSON
from livehub.ports import Record
from livehub.rooms.fanout import NOBODYS, Fanout, Told
from livehub.wire.frames import Frame

FRAMES_MAX = 512
"""About 1 kB each."""


class Replays:
    """Renders facts for those who missed them."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._frames: dict[tuple[str, int, str], Frame | None] = {}  # by vocabulary, seq and audience

    def render(self, vocabulary: str, records: Sequence[Record], own: Callable[[Record], JSON]) -> Iterator[Frame]:
        """Facts as this vocabulary shows them; `own` is what is the receiver's of each. Some it has no word for."""
        for record in records:
            mine = own(record)
            frame = self._kept(vocabulary, record) if mine is NOBODYS else self._rendered(vocabulary, record, mine)
            if frame is not None:
                yield frame

    def _kept(self, vocabulary: str, record: Record) -> Frame | None:
        key = (vocabulary, record.seq, record.audience)
        if key not in self._frames:
            if len(self._frames) >= FRAMES_MAX:
                del self._frames[next(iter(self._frames))]
            self._frames[key] = self._rendered(vocabulary, record, NOBODYS)
        return self._frames[key]

    def _rendered(self, vocabulary: str, record: Record, mine: JSON) -> Frame | None:
        offset, data = self._fanout.offset(record.seq), orjson.loads(record.data)
        return self._fanout.frame(
            vocabulary, Told(record.kind, data, offset, record.at_ms, record.room, record.audience, mine)
        )
