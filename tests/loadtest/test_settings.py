"""Times, shares and cores are written as people write them."""

from __future__ import annotations

import pytest

from loadtest.settings import Settings, cores, percent, seconds, share


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5_400), ("1h", 3_600), ("0.5s", 0.5), ("250ms", 0.25)],
)
def test_times_are_locusts(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "5x", "-3s", "m", "1h30", "5m30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


def test_percentages_and_cores() -> None:
    assert percent("10%") == percent("10") == 10.0
    assert cores("1") == [1]
    assert cores("0,2-4") == [0, 2, 3, 4]
    assert cores("") == []


@pytest.mark.parametrize("text", ["x", "1-", "1,a"])
def test_what_names_no_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no cores"):
        cores(text)


def test_a_share_of_people_is_at_most_all_of_them() -> None:
    assert share("100%") == 100.0
    with pytest.raises(ValueError, match="at most 100%"):
        share("101")
    with pytest.raises(ValueError, match="without end"):
        percent("inf")


def test_every_process_gets_the_same_plan_with_a_number_of_its_own() -> None:
    plans = Settings(scenario="idle", host="http://127.0.0.1:1", users=9, processes=3, seed=4).plans()
    assert [plan.index for plan in plans] == [0, 1, 2]
    assert len({plan.run for plan in plans}) == 1
    assert {plan.seed for plan in plans} == {4}


def test_two_runs_with_the_same_seed_are_told_apart() -> None:
    settings = Settings(scenario="idle", host="http://127.0.0.1:1", seed=4)
    assert settings.plans()[0].run != settings.plans()[0].run
