"""How long socket.io-client waits before it tries to connect again, with its default settings."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

FIRST_S = 1.0
MAX_S = 5.0
JITTER = 0.5


def delays_s(dice: Random) -> Iterator[float]:
    """Doubling from 1 s to 5 s, each half as much more or less."""
    delay_s = FIRST_S
    while True:
        yield delay_s * dice.uniform(1 - JITTER, 1 + JITTER)
        delay_s = min(MAX_S, delay_s * 2)
