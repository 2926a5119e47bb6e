"""What a run is worth."""

import attrs

from loadtest.measure.result import Asks, Delivery, Regression, Result
from loadtest.report.verdict import beside, judge, loss, troubles
from tests.loadtest import sample


def test_an_invalid_run_is_nothing_else() -> None:
    judgement = judge(sample.invalid())
    assert judgement.level == "bad"
    assert judgement.headline.startswith("Invalid run")
    assert judgement.reasons == tuple(sample.invalid().invalid_because)


def test_a_condition_that_came_true_fails_the_run_and_is_named_with_its_value() -> None:
    judgement = judge(sample.lossy())
    assert (judgement.level, judgement.headline) == ("bad", "Failed: 1 of 2 conditions did not pass")
    assert judgement.reasons[0] == "lost>0: measured 1,234"


def test_loss_without_a_condition_is_a_warning() -> None:
    judgement = judge(attrs.evolve(sample.lossy(), conditions=[]))
    assert judgement.level == "warn"
    assert "1,234 of" in judgement.reasons[0]


def test_regressions_and_a_scenarios_own_failures_fail_the_run() -> None:
    whole = sample.sample(10)
    regression = Regression(name="ack p99", text="ack p99 rose by 40 %")
    assert judge(attrs.evolve(whole, regressions=[regression])).reasons == ("ack p99 rose by 40 %",)
    failed = judge(attrs.evolve(whole, failures=["2 votes were not counted"]))
    assert (failed.level, failed.reasons) == ("bad", ("2 votes were not counted",))


def test_what_failed_is_named_with_the_most_frequent_first() -> None:
    whole = sample.sample(10)
    counters = {**whole.counters, "failed.connect": 2, "failed.on_start": 1_000, "failed.x": 0}
    judgement = judge(attrs.evolve(whole, counters=counters))
    assert (judgement.level, judgement.headline) == ("warn", "Valid run, but something failed")
    assert judgement.reasons == ("1,002 failed: on_start 1,000, connect 2",)


def test_a_server_that_waited_for_its_core_is_a_warning() -> None:
    whole = sample.sample(10)

    def waiting(share: float) -> Result:
        return attrs.evolve(whole, timeline=[attrs.evolve(moment, server_wait=share) for moment in whole.timeline])

    assert judge(waiting(0.05)).level == "good"
    judgement = judge(waiting(0.6))
    assert (judgement.level, judgement.headline) == ("warn", "Valid run, but on a crowded machine")
    assert "60% of the time" in judgement.reasons[0]


def test_a_run_with_nothing_to_hold_against_it_is_good() -> None:
    assert judge(sample.sample(10)).level == "good"
    assert judge(Result()).headline == "Valid run: nothing was to be delivered"


def test_a_run_that_was_cut_short_says_so_whatever_it_came_to() -> None:
    whole = sample.sample(10)
    short = attrs.evolve(whole, run=attrs.evolve(whole.run, duration_s=12.3, asked_s=60.0, cut_short=True))
    judgement = judge(short)
    assert (judgement.level, judgement.headline) == ("warn", "Valid run, but cut short")
    assert judgement.reasons == ("cut short after 12 s of 60 s",)
    assert judge(attrs.evolve(short, valid=False)).reasons == judgement.reasons


def test_an_event_of_which_every_ask_was_refused_is_a_warning() -> None:
    whole = sample.sample(10)
    asks = {"x": Asks(sent=9, refused={"rate_limited": 9}), "y": Asks(sent=9, acked=1, refused={"rate_limited": 8})}
    judgement = judge(attrs.evolve(whole, asks=asks))
    assert (judgement.level, judgement.reasons) == ("warn", ("every x was refused: rate_limited",))


def test_a_note_is_told_and_changes_nothing() -> None:
    judgement = judge(attrs.evolve(sample.sample(10), notes=["the baseline was made with users 7, now 8"]))
    assert (judgement.level, judgement.reasons) == ("good", ("the baseline was made with users 7, now 8",))


def test_loss_is_told_whenever_anything_is_lost_even_if_the_share_rounds_to_100() -> None:
    nearly = Delivery(expected=10**9, delivered=10**9 - 1, lost=1)
    assert loss(nearly) == "only 99.9999 % arrived, 1 of 1,000,000,000 lost"
    assert beside(nearly) == "of the 99.9999 % delivered"
    assert loss(Delivery(expected=5, delivered=5)) == beside(Delivery()) == ""


def test_duplicates_and_disorder_are_told() -> None:
    assert troubles(Delivery(expected=5, delivered=5, duplicate=1, out_of_order=2)) == [
        "1 delivered more than once",
        "2 delivered out of order",
    ]
