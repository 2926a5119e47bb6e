"""All processes follow the same slope, each with its own numbers, and together they keep the spawn rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.plan import NS_PER_S, Move, Plan, Slope


def test_a_plan_survives_its_way_to_the_worker() -> None:
    plan = Plan(
        scenario="idle", target="livehub", host="http://127.0.0.1:1", secret="s", seed=1, run=2, index=0, processes=2,
        users=10, polling_percent=5.0, options={"sessions": 3}, cores=[1],
    )  # fmt: skip
    assert Plan.of(plan.line()) == plan


def test_users_come_one_after_the_other_at_the_rate() -> None:
    moves = list(Slope(0, 3, 1_000, 2.0).owned(0, 1))
    assert [(move.number, move.at_ns - 1_000) for move in moves] == [(0, 0), (1, NS_PER_S // 2), (2, NS_PER_S)]


def test_whoever_came_last_goes_first() -> None:
    assert [move.number for move in Slope(5, 2, 0, 1.0).owned(0, 1)] == [4, 3, 2]
    assert not any(move.comes for move in Slope(5, 2, 0, 1.0).owned(0, 1))


@given(
    start=st.integers(0, 50), goal=st.integers(0, 50), rate=st.floats(0.1, 1_000), processes=st.integers(1, 5),
    after_s=st.floats(0, 100),
)  # fmt: skip
def test_all_processes_together_do_what_the_slope_says(
    start: int, goal: int, rate: float, processes: int, after_s: float
) -> None:
    slope = Slope(start, goal, 0, rate)
    shares = [list(slope.owned(index, processes)) for index in range(processes)]
    together = sorted((move for share in shares for move in share), key=lambda move: move.at_ns)
    alone = list(slope.owned(0, 1))
    assert sorted(together, key=lambda move: move.number) == sorted(alone, key=lambda move: move.number)
    assert all(share == sorted(share, key=lambda move: move.at_ns) for share in shares)
    assert all(move.number % processes == index for index, share in enumerate(shares) for move in share)
    now_ns = int(after_s * NS_PER_S)
    happened: list[Move] = [move for move in alone if move.at_ns <= now_ns]
    assert abs(abs(slope.level(now_ns) - start) - len(happened)) <= 1  # rounding of a nanosecond
    assert slope.level(slope.ends_ns() + NS_PER_S) == goal


def test_before_its_time_a_slope_has_changed_nothing() -> None:
    assert Slope(3, 10, 1_000, 1.0).level(999) == 3
