"""Fast counting and fast percentiles say what the library says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.measure.histograms import HIGHEST_US, Distribution, Tally, new_histogram, slot_of

VALUES = st.lists(st.integers(0, HIGHEST_US), min_size=1, max_size=50)


@given(st.integers(0, HIGHEST_US))
def test_a_slot_is_the_librarys_own(us: int) -> None:
    assert slot_of(us) == new_histogram()._counts_index_for(us)


@given(VALUES, VALUES)
def test_merged_tallies_answer_as_one_histogram(first: list[int], second: list[int]) -> None:
    truth, merged = new_histogram(), Distribution()
    for values in (first, second):
        tally = Tally()
        for us in values:
            tally.record(us)
            truth.record_value(us)
        merged.add(tally.take())
    wanted = (0.1, 50, 90, 99, 99.9, 100)
    assert merged.percentiles(wanted) == [truth.get_value_at_percentile(each) for each in wanted]
    assert merged.count == len(first) + len(second)
    assert merged.max == truth.get_max_value()
    assert merged.mean() == pytest.approx(truth.get_mean_value())


def test_take_begins_anew_and_nothing_is_an_empty_text() -> None:
    tally = Tally()
    assert tally.take() == ""
    tally.record(5)
    assert Distribution.of(tally.take()).count == 1
    assert tally.take() == ""


@pytest.mark.parametrize(("us", "counts_as"), [(-5, 0), (HIGHEST_US * 10, HIGHEST_US)])
def test_what_is_out_of_range_counts_at_the_edge(us: int, counts_as: int) -> None:
    tally = Tally()
    tally.record(us)
    assert tally.slots == {slot_of(counts_as): 1}


def test_the_document_keeps_the_whole_histogram() -> None:
    measured = Distribution()
    for us in (1_000, 2_000, 300_000):
        measured.record(us)
    latency = measured.latency()
    assert (latency.count, latency.p50) == (3, 2_000)
    assert Distribution.of(latency.hdr).latency() == latency
    assert measured.latency(whole=False).hdr == ""
