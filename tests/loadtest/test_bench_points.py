"""What points make of what they measure, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.bench.points.p3 import Step, search
from loadtest.bench.points.p9 import flatness, judge
from loadtest.bench.procs import Trouble
from loadtest.bench.storm import Client, Storm

USERS = 100


def result(**changes: Any) -> dict[str, Any]:
    """What the harness says of a good run."""
    timeline = [{"t": t, "users": min(USERS, t), "server_rss_mb": 100 + t / 100} for t in range(300)]
    return {
        "valid": True,
        "invalid_because": [],
        "delivery": {"expected": 5, "delivered": 5, "lost": 0, "duplicate": 0, "out_of_order": 0},
        "latencies": {"fanout": {"chat.message.new": {"p99": 40_000}}},
        "timeline": timeline,
        **changes,
    }


@pytest.mark.parametrize("limit", [30.0, 137.0, 800.0, 1_023.0])
def test_the_search_comes_close_to_the_limit_from_below(limit: float) -> None:
    found = search(lambda rate: Step(rate <= limit, by_generator=False), 25.0, 6)
    assert found.per_s <= limit < found.per_s * 1.05
    assert not found.by_generator


def test_the_search_says_that_the_generator_was_the_limit() -> None:
    found = search(lambda rate: Step(rate <= 100, by_generator=rate > 100), 25.0, 3)
    assert (found.per_s, found.by_generator) == (100.0, True)


def test_a_rate_gets_a_second_try() -> None:
    tries: list[float] = []

    def step(rate: float) -> Step:
        tries.append(rate)
        return Step(rate <= 50 and tries.count(rate) > 1, by_generator=False)

    assert search(step, 25.0, 0).per_s == 50.0


def test_a_server_below_the_first_rate_has_found_the_largest_below() -> None:
    assert search(lambda rate: Step(rate <= 10, by_generator=False), 25.0, 4).per_s == pytest.approx(9.375)


def test_a_good_conference_holds() -> None:
    answer = judge(result(), USERS, 300)
    assert answer.holds is True
    assert answer.livehub == "nothing lost; p99 40 ms; RSS ± 0.9%"


@pytest.mark.parametrize(
    "changes",
    [
        {"delivery": {"expected": 5, "delivered": 4, "lost": 1, "duplicate": 0, "out_of_order": 0}},
        {"delivery": {"expected": 5, "delivered": 6, "lost": 0, "duplicate": 1, "out_of_order": 0}},
        {"latencies": {"fanout": {"chat.message.new": {"p99": 500_000}}}},
        {"timeline": [{"t": t, "users": USERS, "server_rss_mb": 100 + t / 10} for t in range(300)]},
    ],
)
def test_a_conference_that_lost_lagged_or_grew_does_not_hold(changes: dict[str, Any]) -> None:
    assert judge(result(**changes), USERS, 300).holds is False


def test_an_invalid_conference_gives_no_number() -> None:
    answer = judge(result(valid=False, invalid_because=["late"]), USERS, 300)
    assert (answer.holds, answer.livehub, answer.notes) == (None, "invalid: generator", ["late"])


def test_flatness_looks_at_the_last_three_minutes_only() -> None:
    timeline = [{"t": t, "users": USERS, "server_rss_mb": 50 if t < 100 else 100} for t in range(300)]
    assert flatness(timeline, 300, USERS) == 0


def test_nobody_there_has_no_flatness() -> None:
    with pytest.raises(Trouble, match="everybody"):
        flatness([{"t": 1, "users": 3, "server_rss_mb": 1}], 300, USERS)


def test_a_client_notices_what_is_missing_and_what_comes_twice() -> None:
    storm = Storm(0, "session", 1)
    client = Client(0, None, "token")  # type: ignore[arg-type] # nothing is sent
    for number in (0, 1, 4, 4, 5):
        storm._numbered(client, number)
    storm.close()
    assert storm.faults == {"lost": 2, "duplicate or out of order": 1}


def test_a_client_comes_back_with_its_last_offset() -> None:
    client = Client(0, None, "token")  # type: ignore[arg-type] # nothing is sent
    assert client.auth() == {"token": "token"}
    client.pid, client.last = "p", b'42/events,["chat.message.new",{"text":"a"},"e-12"]'
    assert client.auth() == {"token": "token", "pid": "p", "offset": "e-12"}
