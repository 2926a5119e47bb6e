"""Axes: round ends, honest places, ticks that can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.scales import Linear, Logarithmic, Seconds, Tail


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (100, [0, 25, 50, 75, 100]),
        (7, [0, 2, 4, 6, 8]),
        (0, [0, 0.25, 0.5, 0.75, 1]),
        (270_000, [0, 100_000, 200_000, 300_000]),
    ],
)
def test_a_linear_axis_starts_at_zero_and_ends_at_a_round_number(largest: float, ticks: list[float]) -> None:
    assert list(Linear.upto(largest).ticks()) == pytest.approx(ticks)


@given(st.floats(min_value=1e-3, max_value=1e12))
def test_a_linear_axis_holds_its_largest_value_with_few_ticks(largest: float) -> None:
    axis = Linear.upto(largest)
    assert 0.4 < axis.place(largest) <= 1
    assert 2 <= len(axis.ticks()) <= 6


def test_a_logarithmic_axis_gives_each_decade_the_same_height() -> None:
    axis = Logarithmic.around(1_000, 100_000)
    assert [axis.place(value) for value in (1_000, 10_000, 100_000)] == pytest.approx([0, 0.5, 1])
    assert axis.ticks() == [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000]


@given(st.floats(min_value=1, max_value=1e8), st.floats(min_value=1, max_value=1e6))
def test_a_logarithmic_axis_holds_both_ends_and_can_be_labelled(smallest: float, factor: float) -> None:
    axis = Logarithmic.around(smallest, smallest * factor)
    assert axis.low <= smallest * 1.0001
    assert axis.high >= smallest * factor * 0.9999
    assert 1 <= len(axis.ticks()) <= 10


def test_seconds_have_the_ticks_of_a_clock() -> None:
    assert Seconds(300).ticks() == [0, 60, 120, 180, 240, 300]
    assert Seconds(1_800).ticks() == [0, 300, 600, 900, 1_200, 1_500, 1_800]
    assert Seconds(0).place(0) == 0


def test_every_nine_of_a_percentile_is_equally_wide() -> None:
    axis = Tail(10_000)
    assert axis.ticks() == [50, 90, 99, 99.9, 99.99]
    assert [axis.place(value) for value in (0, 90, 99, 99.9, 99.99)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert axis.place(100) == 1


def test_the_grid_of_percentiles_rises_to_the_slowest() -> None:
    grid = Tail(1_000).grid()
    assert grid == sorted(grid)
    assert (grid[0], grid[-1]) == (0, 100)
