"""Gaps as intervals, and whose order counts."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.measure.order import Gaps, inversions, late_in, majority_order, merged


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6))), st.lists(st.integers(0, 60)))
def test_gaps_are_a_set_of_ordinals(steps: list[tuple[int, int]], filled: list[int]) -> None:
    gaps, truth, at = Gaps(), set[int](), 0
    for skip, length in steps:
        at += skip
        gaps.add(at, at + length)
        truth |= set(range(at, at + length))
        at += length
    for ordinal in filled:
        assert gaps.fill(ordinal) == (ordinal in truth)
        truth.discard(ordinal)
    assert list(gaps.between(0, 1000)) == sorted(truth)
    assert list(gaps.between(5, 20)) == sorted(each for each in truth if 5 <= each < 20)
    assert all((each in gaps) == (each in truth) for each in range(80))
    assert bool(gaps) == bool(truth)


def test_an_inversion_reaches_from_the_late_one_to_what_overtook_it() -> None:
    assert list(inversions([(3, 3), (8, 9), (5, 6)], 7)) == [(3, 7), (5, 9)]
    assert merged([(5, 9), (3, 7), (20, 21)]) == [(3, 9), (20, 21)]


def test_most_decide_on_the_order() -> None:
    crossed = [2, 1, 3]
    assert majority_order((1, 3), [crossed, crossed], dict.fromkeys((1, 2, 3), 3)) == crossed
    assert majority_order((1, 3), [crossed], dict.fromkeys((1, 2, 3), 3)) == [1, 2, 3]
    assert late_in([1, 3, 2], [1, 2, 3], 3) == 1
    assert late_in([1, 3, 2], [1, 2, 3], 1) == 0
