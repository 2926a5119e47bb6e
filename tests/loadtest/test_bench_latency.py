"""Latencies in bins."""

from __future__ import annotations

import pytest

from loadtest.bench.latency import LONGEST_S, Latencies

MS = 1_000_000


def test_quantiles_are_upper_edges() -> None:
    latencies = Latencies()
    latencies.took(100 * MS, [100 * MS - number * MS for number in range(100)])
    assert latencies.count == 100
    assert latencies.quantile_ms(0.5) == pytest.approx(49.1)
    assert latencies.quantile_ms(0.99) == pytest.approx(98.1)
    assert latencies.quantile_ms(1) == pytest.approx(99.1)


def test_what_took_longer_than_the_bins_counts_in_the_last() -> None:
    latencies = Latencies()
    latencies.took(1_000_000 * MS, [0])
    assert latencies.quantile_ms(0.5) == LONGEST_S * 1000


def test_nothing_timed_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="nothing was timed"):
        Latencies().quantile_ms(0.5)
