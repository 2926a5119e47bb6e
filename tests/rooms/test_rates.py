"""So many asks in any span of time, in bursts of up to all of them; whoever is refused is told exactly how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.payload import Rate
from livehub.rooms import rates as module
from livehub.rooms.rates import Rates

FIVE = Rate(5, 10.0)


def test_all_may_come_at_once_and_one_more_waits_for_one_interval() -> None:
    rates = Rates()
    assert [rates.take("anna", "say", FIVE, 0.0) for _ in range(6)] == [0, 0, 0, 0, 0, 2_000]


def test_the_hint_is_exact() -> None:
    rates = Rates()
    for _ in range(5):
        rates.take("anna", "say", FIVE, 0.0)
    assert rates.take("anna", "say", FIVE, 0.5) == 1_500
    assert rates.take("anna", "say", FIVE, 1.999) == 1
    assert rates.take("anna", "say", FIVE, 2.0) == 0
    assert rates.take("anna", "say", FIVE, 2.0) == 2_000


def test_a_refused_ask_is_not_counted() -> None:
    rates = Rates()
    for _ in range(50):
        rates.take("anna", "say", FIVE, 0.0)
    assert rates.take("anna", "say", FIVE, 2.0) == 0


def test_after_a_quiet_while_the_whole_burst_is_back_and_no_more() -> None:
    rates = Rates()
    for _ in range(5):
        rates.take("anna", "say", FIVE, 0.0)
    assert [rates.take("anna", "say", FIVE, 1_000.0) for _ in range(6)] == [0, 0, 0, 0, 0, 2_000]


def test_a_vip_may_ask_twice_as_often() -> None:
    rates = Rates()
    taken = [rates.take("anna", "say", FIVE, 0.0, vip=True) for _ in range(11)]
    assert taken == [0] * 10 + [1_000]


def test_people_and_events_are_counted_apart() -> None:
    rates = Rates()
    one = Rate(1, 1.0)
    assert rates.take("anna", "say", one, 0.0) == 0
    assert rates.take("ben", "say", one, 0.0) == 0
    assert rates.take("anna", "wave", one, 0.0) == 0
    assert rates.take("anna", "say", one, 0.0) == 1_000


def test_buckets_are_bounded_and_busy_ones_are_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS_MAX", 3)
    rates, one = Rates(), Rate(1, 10.0)
    assert rates.take("early", "say", one, 0.0) == 0
    assert rates.take("a", "say", one, 9.0) == 0
    assert rates.take("b", "say", one, 9.0) == 0
    assert rates.take("c", "say", one, 11.0) == 0  # "early" is empty again and makes room
    assert rates.take("a", "say", one, 11.0) == 8_000
    assert rates.take("d", "say", one, 11.0) == 0  # all are busy: rather too kind than without bound
    assert rates.take("a", "say", one, 11.0) == 0


@given(
    st.integers(1, 20),
    st.floats(0.1, 60.0),
    st.lists(st.floats(0.0, 5.0), min_size=1, max_size=100),
)
def test_no_span_holds_more_than_a_burst_and_what_trickles_in(asks: int, per_s: float, pauses: list[float]) -> None:
    """And whoever waits as long as told is let in."""
    rates, rate, now_s = Rates(), Rate(asks, per_s), 0.0
    allowed: list[float] = []
    for pause in pauses:
        now_s += pause
        wait_ms = rates.take("anna", "say", rate, now_s)
        if wait_ms:
            now_s += wait_ms / 1_000
            assert rates.take("anna", "say", rate, now_s) == 0
        allowed.append(now_s)
    for first, start_s in enumerate(allowed):
        for last in range(first, len(allowed)):
            span_s = allowed[last] - start_s
            assert last - first + 1 <= asks + span_s * asks / per_s + 1e-6
