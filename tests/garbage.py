"""What only the garbage collector could free: with ten thousand people it comes late, and stops everybody."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from livehub.errors import Refused
from livehub.rooms.peer import Answer


@contextmanager
def garbage() -> Iterator[list[object]]:
    """What only the collector could free of what was made within."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


class Tally:
    """Counts answers and keeps none: a refusal that is kept holds, by its traceback, all that led to it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, result: Answer | Refused) -> None:
        self.count += 1
