"""What a client could not be sent yet, under the rules for slow readers: a view takes the place of its older self."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from livehub.wire.frames import BinaryFrame, ControlFrame, Frame, Kind, WireBytes

Outgoing: TypeAlias = Frame | BinaryFrame | ControlFrame | WireBytes


class Waiting:
    """Bytes that wait in all backlogs together, for the metrics."""

    size = 0


class Backlog:
    """What could not be sent yet, under the rules for slow readers."""

    __slots__ = ("_limit", "_queue", "_views", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[list[Outgoing]] = deque()  # one-item lists: a view is replaced in its place
        self._views: dict[str, list[Outgoing]] = {}
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, frame: Outgoing) -> bool:
        """Keep a frame; False when it no longer fits, and the reader has to go."""
        if frame.kind is Kind.VIEW and frame.key is not None:
            held = self._views.get(frame.key)
            if held is not None:
                self._weigh(frame.size - held[0].size)
                held[0] = frame
                return self.size <= self._limit
            held = self._views[frame.key] = [frame]
            self._queue.append(held)
        else:
            self._queue.append([frame])
        self._weigh(frame.size)
        return self.size <= self._limit

    def put_back(self, frame: Outgoing) -> None:
        """Keep a frame before all others."""
        self._queue.appendleft([frame])
        self._weigh(frame.size)

    def take(self) -> Outgoing:
        """The oldest frame."""
        frame = self._queue.popleft()[0]
        if frame.kind is Kind.VIEW and frame.key is not None:
            self._views.pop(frame.key, None)
        self._weigh(-frame.size)
        return frame

    def peek(self) -> Outgoing:
        """The oldest frame, left where it is."""
        return self._queue[0][0]

    def clear(self) -> None:
        """Drop everything."""
        self._queue.clear()
        self._views.clear()
        self._weigh(-self.size)

    def _weigh(self, change: int) -> None:
        self.size += change
        Waiting.size += change
