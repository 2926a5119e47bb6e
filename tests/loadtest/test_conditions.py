"""`--fail-if`."""

import pytest

from loadtest.measure.conditions import BadCondition, apply, parse
from loadtest.measure.result import Delivery, Latency, Moment, Result

RESULT = Result(
    delivery=Delivery(expected=200, delivered=190, lost=10, duplicate=2, out_of_order=1),
    latencies={"fanout": {"a": Latency(count=5, p50=900, p99=150_000), "b": Latency(count=7, p50=700, p99=90_000)}},
    counters={"refused.x.Y": 3, "refused.x.Z": 1, "failed.connect": 2, "unrecovered": 4},
    timeline=[Moment(users=5, server_cpu=0.4, server_rss_mb=90.5), Moment(users=9, server_cpu=0.9)],
)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("fanout.p99>100ms", 150_000, True),
        ("fanout[b].p99 > 100ms", 90_000, False),
        ("fanout.p50 < 800us", 700, True),
        ("fanout.p95 > 1ms", 0, False),
        ("fanout > 0.2s", 150_000, False),
        ("fanout.count < 100", 12, True),
        ("ack.count == 0", 0, True),
        ("ack.p99 > 1s", None, True),
        ("lost>0", 10, True),
        ("duplicate >= 3", 2, False),
        ("out_of_order == 1", 1, True),
        ("delivery<100%", 95, True),
        ("refused > 4", 4, False),
        ("failed>1", 2, True),
        ("unrecovered > 0", 4, True),
        ("rss > 90MB", 90.5, True),
        ("cpu>95%", 90, False),
        ("users < 10", 9, True),
    ],
)
def test_a_condition_is_judged(text: str, value: float | None, holds: bool) -> None:
    (verdict,) = apply(RESULT, [parse(text)]).conditions
    assert (verdict.text, verdict.holds) == (text, holds)
    assert verdict.value == pytest.approx(value)


def test_a_share_of_nothing_was_not_measured_but_nothing_was_lost_of_it() -> None:
    delivery, lost = apply(Result(), [parse("delivery<100%"), parse("lost>0")]).conditions
    assert (delivery.value, delivery.holds) == (None, True)
    assert (lost.value, lost.holds) == (0, False)


def test_who_was_away_and_what_was_not_answered_can_be_named() -> None:
    result = Result(counters={"absent": 2, "unanswered": 1})
    assert [parse(text).judge(result).holds for text in ("absent>1", "absent>2", "unanswered>0")] == [True, False, True]


def test_a_server_nobody_looked_at_cannot_keep_its_limit() -> None:
    assert parse("rss>1MB").judge(Result()).holds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "METRIC[.STAT] OP VALUE[UNIT]"),
        ("fanout.p99", "METRIC[.STAT]"),
        ("speed>3", "no metric 'speed'"),
        ("fanout.p98>3ms", "p999"),
        ("fanout.p99>3", "us, ms or s"),
        ("fanout.p99>3MB", "us, ms or s"),
        ("fanout.count>3ms", "no unit"),
        ("lost.p99>3", "neither"),
        ("lost[x]>3", "neither"),
        ("lost>3%", "without a unit"),
        ("rss>3%", "in MB"),
        ("lost=3", "OP is"),
    ],
)
def test_a_bad_text_is_told_what_is_allowed(text: str, hint: str) -> None:
    with pytest.raises(BadCondition) as told:
        parse(text)
    assert hint in str(told.value)
