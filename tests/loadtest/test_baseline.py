"""`--baseline`."""

from typing import Any

from loadtest.measure.baseline import compare, differences
from loadtest.measure.result import Delivery, Latency, Result, RunInfo


def run(p50: int, p99: int, *, lost: int = 0, count: int = 1000, failed: int = 0) -> Result:
    return Result(
        delivery=Delivery(expected=1000, delivered=1000 - lost, lost=lost),
        latencies={"fanout": {"x": Latency(count=count, p50=p50, p99=p99)}},
        counters={"failed.connect": failed},
    )


def names(now: Result, before: Result, percent: float = 10) -> list[str]:
    return [regression.name for regression in compare(now, before, percent)]


def test_as_before_is_no_regression() -> None:
    assert names(run(10_000, 50_000), run(10_000, 50_000)) == []
    assert names(run(10_900, 54_000), run(10_000, 50_000)) == []
    assert names(run(5_000, 20_000), run(10_000, 50_000)) == []


def test_slower_than_allowed_is_listed_with_both_figures() -> None:
    (worse,) = compare(run(10_000, 60_000), run(10_000, 50_000), 10)
    assert (worse.name, worse.before, worse.now, worse.change_percent) == ("fanout[x].p99", 50_000, 60_000, 20)
    assert worse.text == "fanout[x].p99: 50.0 ms before, 60.0 ms now (+20 %)"


def test_a_few_microseconds_are_no_regression_and_too_few_samples_are_no_comparison() -> None:
    assert names(run(150, 300), run(50, 120)) == []
    (worse,) = compare(run(10_000, 90_000, count=20), run(10_000, 50_000), 10)
    assert (worse.name, worse.text) == ("baseline", "nothing to compare: no latency has 100 samples in both runs")


def test_another_crowd_host_or_seed_than_before_is_told() -> None:
    def made(valid: bool = True, **info: Any) -> Result:
        return Result(run=RunInfo(**info), valid=valid)

    now = made(users=10, host="http://a")
    assert differences(now, made(users=10, host="http://a")) == []
    assert differences(now, made(users=20, host="http://b")) == [
        "the baseline was made with users 20, now 10; host http://b, now http://a"
    ]
    assert differences(now, made(False, users=10, host="http://a")) == ["the baseline is itself an invalid run"]


def test_a_first_loss_is_a_regression_whatever_is_allowed() -> None:
    assert names(run(1, 1, lost=1, failed=2), run(1, 1), 500) == ["lost", "failed"]
    assert names(run(1, 1, lost=10), run(1, 1, lost=10)) == []
