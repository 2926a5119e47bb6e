"""How numbers are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import figures


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 µs"),
        (850, "850 µs"),
        (999.6, "1.00 ms"),
        (1_234, "1.23 ms"),
        (12_345, "12.3 ms"),
        (123_456, "123 ms"),
        (999_600, "1.00 s"),
        (120_000_000, "120 s"),
        (None, "–"),
    ],
)
def test_durations_have_three_digits_and_the_unit_that_suits_them(us: float | None, text: str) -> None:
    assert figures.duration(us) == text


@pytest.mark.parametrize(
    ("value", "text"), [(100, "100 %"), (0, "0.00 %"), (99.5, "99.50 %"), (99.999, "99.9990 %"), (100.5, "100.50 %")]
)
def test_percents(value: float, text: str) -> None:
    assert figures.percent(value) == text


@given(st.floats(min_value=0, max_value=100, exclude_max=True))
def test_nothing_below_100_percent_is_ever_written_as_100(value: float) -> None:
    assert not figures.percent(value).startswith("100")


def test_a_share_of_nothing_is_no_number() -> None:
    assert figures.share(0, 0) == "–"
    assert figures.share(1, 3) == "33.33 %"


def test_ticks_carry_no_digits_that_say_nothing() -> None:
    assert [figures.duration_tick(us) for us in (0, 500, 2_500, 1_000_000)] == ["0", "500 µs", "2.5 ms", "1 s"]
    assert [figures.short(value) for value in (0, 0.5, 1_500, 20e6, 3e9)] == ["0", "0.5", "1.5k", "20M", "3G"]


def test_the_clock_of_a_run() -> None:
    assert [figures.clock(second) for second in (0, 45, 750, 3_723)] == ["0:00", "0:45", "12:30", "1:02:03"]


def test_numbers_of_which_nothing_is_known() -> None:
    values = (68_500_000.0, 14.61234567, float("inf"), None)
    assert [figures.number(value) for value in values] == ["68,500,000", "14.6123", "inf", "–"]
    assert figures.milliseconds(12_345) == "12.35"
    assert figures.milliseconds(None) == "–"
    assert figures.count(None) == "–"


@pytest.mark.parametrize(
    ("octets", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (12_345_678, "12.3 MB"), (5e9, "5.00 GB")],
)
def test_bytes_are_counted_by_thousands(octets: float | None, text: str) -> None:
    assert figures.size(octets) == text
