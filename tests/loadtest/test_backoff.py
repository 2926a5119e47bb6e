"""The waits of socket.io-client."""

from __future__ import annotations

from itertools import islice
from random import Random

from loadtest.backoff import delays_s


def test_waits_double_up_to_five_seconds_each_half_as_much_more_or_less() -> None:
    for seed in range(100):
        waits = islice(delays_s(Random(seed)), 6)
        assert all(whole / 2 <= wait <= whole * 1.5 for whole, wait in zip((1, 2, 4, 5, 5, 5), waits, strict=True))


def test_dice_are_thrown_only_for_a_wait() -> None:
    dice, same = Random(1), Random(1)
    delays_s(dice)
    assert dice.random() == same.random()
