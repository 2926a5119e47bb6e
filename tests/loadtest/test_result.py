"""The document is read back as it was written."""

import orjson
import pytest

from loadtest.measure.result import (
    Asks,
    BadResult,
    Delivery,
    Latency,
    Moment,
    Regression,
    Result,
    RunInfo,
    ServerMetric,
    Verdict,
)  # fmt: skip

FULL = Result(
    run=RunInfo(scenario="conference", rate=2.5, versions={"trio": "0.35"}),
    machine={"cpu": "a", "cores": 2},
    valid=False,
    invalid_because=["late"],
    delivery=Delivery(expected=10, delivered=9, lost=1),
    latencies={"ack": {"x": Latency(count=1, p50=2, mean=2.5, hdr="HIST")}},
    asks={"x": Asks(sent=2, acked=1, refused={"RATE_LIMITED": 1})},
    counters={"connects": 3},
    timeline=[Moment(t=1.0, fanout_p50=4), Moment(t=2.0, server_cpu=0.5)],
    server=[ServerMetric(name="a", before=1, after=2, delta=1)],
    conditions=[Verdict(text="lost>0", value=1, holds=True)],
    regressions=[Regression(name="lost", now=1, text="lost")],
    failures=["votes differ"],
)


def test_round_trip() -> None:
    assert Result.from_json(FULL.to_json()) == FULL
    assert Result.from_json(FULL.to_dict()) == FULL


def test_percent_is_written_for_other_readers() -> None:
    assert orjson.loads(FULL.to_json())["delivery"]["percent"] == 90.0
    assert Delivery().percent == 100.0
    assert not FULL.delivery.complete


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default() -> None:
    assert Result.from_json({"run": {"scenario": "idle", "later": 1}, "later": {}}) == Result(
        run=RunInfo(scenario="idle")
    )


@pytest.mark.parametrize("bad", ["", "[]", "null", '{"run": 1}', '{"asks": []}', '{"delivery": {"lost": "many"}}'])
def test_what_is_no_result_is_told(bad: str) -> None:
    with pytest.raises(BadResult, match="not a loadtest result"):
        Result.from_json(bad)


def test_exit_code_is_2_before_1_before_0() -> None:
    assert FULL.exit_code == 2
    assert Result(conditions=[Verdict(text="lost>0", value=0, holds=False)]).exit_code == 0
    assert Result(conditions=[Verdict(text="lost>0", value=1, holds=True)]).exit_code == 1
    assert Result(failures=["x"]).exit_code == 1
    assert Result(regressions=[Regression()]).exit_code == 1
