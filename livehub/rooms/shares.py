"""What waits for a flush, and who shares in what of it: everybody with the same shares is written the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TypeAlias

from livehub.wire.frames import Frame


class Item:
    """What waits for the next flush: one frame per vocabulary and audience."""

    __slots__ = ("audiences", "frames")

    def __init__(self, audiences: tuple[str, ...], frames: dict[tuple[str, str], Frame]) -> None:
        self.audiences = audiences
        self.frames = frames


Numbered: TypeAlias = Sequence[tuple[int, Item]]
"""What waits for some audiences, numbered in its order among all that waits."""


class Share:
    """What waits for some audiences, as those are told who hear it as one of them."""

    __slots__ = ("_audience", "_items", "_spoken")

    def __init__(self, items: Numbered, audience: str) -> None:
        self._items = items
        self._audience = audience
        self._spoken: dict[str, list[tuple[int, Frame]]] = {}

    def frames(self, vocabulary: str) -> list[tuple[int, Frame]]:
        """What is told in a vocabulary; looked up once, not for everybody who hears something else besides."""
        if (frames := self._spoken.get(vocabulary)) is None:
            key = (vocabulary, self._audience)
            frames = [(number, item.frames[key]) for number, item in self._items if key in item.frames]
            self._spoken[vocabulary] = frames
        return frames


Heard: TypeAlias = tuple[Share, ...]
"""All that somebody hears of what waits."""


def frames_of(heard: Heard, vocabulary: str) -> list[Frame]:
    """What somebody who hears these shares is sent, in the order of the log."""
    if len(heard) == 1:
        return [frame for _, frame in heard[0].frames(vocabulary)]
    found: list[tuple[int, Frame]] = []
    for share in heard:
        found += share.frames(vocabulary)
    found.sort(key=itemgetter(0))
    return [frame for _, frame in found]
