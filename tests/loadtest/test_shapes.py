"""Shapes say how many users there are and how fast to get there, in shares of what the command line says."""

from __future__ import annotations

import pytest

from loadtest.shapes import Goal, LoadShape, Ramp, Soak, Spike, Stages, Steps


def begun(shape: LoadShape, *, users: int = 100, rate: float = 10.0, run_time_s: float = 100.0) -> LoadShape:
    shape.begin(users=users, rate=rate, run_time_s=run_time_s)
    return shape


def test_without_a_shape_all_users_come_at_the_spawn_rate_until_the_run_is_over() -> None:
    shape = begun(LoadShape())
    assert shape.at(0) == (100, 10.0)
    assert shape.at(99.9) == (100, 10.0)
    assert shape.at(100) is None


def test_without_a_run_time_a_run_has_no_end() -> None:
    assert begun(LoadShape(), run_time_s=0).at(1e6) == (100, 10.0)


def test_a_ramp_rises_so_fast_that_all_are_there_after_its_part() -> None:
    assert begun(Ramp(rise=0.5)).at(0) == (100, 2.0)


def test_steps_are_equal_and_last_equally_long() -> None:
    shape = begun(Steps(4))
    levels = [goal[0] for second in (0, 24, 25, 50, 75, 99) if (goal := shape.at(second))]
    assert levels == [25, 25, 50, 75, 100, 100]


def test_a_spike_goes_up_and_down_again() -> None:
    shape = begun(Spike(base=0.1, start=0.4, length=0.2))
    goals: list[Goal] = [shape.at(second) for second in (0, 39, 41, 59, 61)]
    assert goals == [(10, 10.0), (10, 10.0), (100, 10.0), (100, 10.0), (10, 10.0)]


def test_a_soak_ends_with_a_gentle_way_down_to_nobody() -> None:
    shape = begun(Soak(rise=0.1, fall=0.2))
    assert shape.at(50) == (100, 10.0)
    assert shape.at(80) == (0, 5.0)


def test_stages_are_taken_in_order_and_end_the_run() -> None:
    shape = begun(Stages([(20, 50, 5.0), (10, 10, 10.0)]), run_time_s=0)
    assert [shape.at(second) for second in (0, 10, 20)] == [(10, 10.0), (50, 5.0), None]


def test_at_least_one_user_is_left_of_any_share() -> None:
    assert begun(Spike(base=0.01), users=3).at(0) == (1, 10.0)


def test_a_shape_of_ones_own_overrides_tick_as_in_locust() -> None:
    class Mine(LoadShape):
        def tick(self) -> Goal:
            return (7, 3.0) if self.get_run_time() < 5 else None

    shape = begun(Mine(), run_time_s=0)
    assert (shape.at(4.9), shape.at(5)) == ((7, 3.0), None)


@pytest.mark.parametrize("shape", [Ramp(), Steps(), Spike(), Soak()])
def test_shares_of_a_run_without_an_end_are_refused(shape: LoadShape) -> None:
    with pytest.raises(ValueError, match="-t"):
        begun(shape, run_time_s=0).at(1)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_a_share_is_more_than_nothing_and_not_more_than_all(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Ramp(rise=share)
