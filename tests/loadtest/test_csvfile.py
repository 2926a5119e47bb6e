"""CSV files: Locust's names, one row per kind and name, no loss left out."""

import csv
from pathlib import Path

import attrs
import pytest

from loadtest.measure.result import Asks, Result, RunInfo
from loadtest.report import csvfile
from tests.loadtest import sample


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(tmp_path: Path, result: Result) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
    stats, timeline, failures = csvfile.write(str(tmp_path / "run"), result)
    assert [path.name for path in (stats, timeline, failures)] == [
        "run_stats.csv",
        "run_timeline.csv",
        "run_failures.csv",
    ]
    return read(stats), read(timeline), read(failures)


def test_stats_have_a_row_for_every_ask_and_every_latency(tmp_path: Path) -> None:
    stats, _, _ = written(tmp_path, sample.sample())
    named = {(row["Type"], row["Name"]): row for row in stats}
    chat = named["ask", "chat.message.send"]
    assert (chat["Failure Count"], chat["Delivered %"]) == ("214", "")
    assert float(chat["50%"]) == pytest.approx(9, rel=0.1)
    assert float(chat["50%"]) <= float(chat["99%"]) <= float(chat["100%"])
    assert chat["99%"] == str(sample.sample().latencies["ack"]["chat.message.send"].p99 / 1_000)
    assert named["fanout", "chat.message.new"]["Delivered %"] == "100.0"
    assert {kind for kind, _ in named} == {"ask", "fanout", "last", "connect", "join", "recovery", ""}


def test_count_and_percentiles_of_an_ask_are_of_the_same_thing_and_the_last_row_is_of_all_asks(tmp_path: Path) -> None:
    stats, _, _ = written(tmp_path, sample.sample())
    acks = sample.sample().latencies["ack"]
    counted = {row["Name"]: int(row["Request Count"]) for row in stats if row["Type"] == "ask"}
    assert {name: counted[name] for name in acks} == {name: latency.count for name, latency in acks.items()}
    last = stats[-1]
    assert (last["Type"], last["Name"], int(last["Request Count"])) == ("", "Aggregated", sum(counted.values()))
    assert int(last["Failure Count"]) == sum(int(row["Failure Count"]) for row in stats if row["Type"] == "ask")
    assert float(last["Max Response Time"]) == max(latency.max for latency in acks.values()) / 1_000
    assert 0 < float(last["Min Response Time"]) <= float(last["50%"])


LOCUSTS = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
    "Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
)


def test_the_columns_are_locusts(tmp_path: Path) -> None:
    stats, _, _ = written(tmp_path, sample.sample())
    assert list(stats[0])[:-1] == LOCUSTS.split(",")


def test_an_ask_without_a_measured_answer_has_empty_latencies(tmp_path: Path) -> None:
    stats, _, _ = written(tmp_path, sample.sample())
    reaction = next(row for row in stats if row["Name"] == "reaction.send")
    assert int(reaction["Request Count"]) > 0
    assert reaction["Median Response Time"] == reaction["99%"] == ""


def test_the_share_delivered_stands_beside_delivery_latencies_and_never_rounds_to_100(tmp_path: Path) -> None:
    whole = sample.sample()
    delivery = attrs.evolve(whole.delivery, expected=10**12, delivered=10**12 - 1, lost=1)
    stats, _, _ = written(tmp_path, attrs.evolve(whole, delivery=delivery))
    told = {row["Type"]: float(row["Delivered %"]) for row in stats if row["Delivered %"]}
    assert told == {"fanout": 99.999999, "last": 99.999999}


def test_the_timeline_has_a_row_for_each_second_with_its_time(tmp_path: Path) -> None:
    result = sample.sample(5)
    _, timeline, _ = written(tmp_path, result)
    assert [row["Timestamp"] for row in timeline][:2] == ["2026-11-21T14:03:23+00:00", "2026-11-21T14:03:24+00:00"]
    assert [int(row["delivered"]) for row in timeline] == [moment.delivered for moment in result.timeline]
    assert timeline[0]["fanout_p50"] == ""


def test_failures_tell_everything_that_went_wrong(tmp_path: Path) -> None:
    _, _, failures = written(tmp_path, attrs.evolve(sample.invalid(), failures=["2 votes were not counted"]))
    told = {(row["Type"], row["Name"], row["Error"]): row["Occurrences"] for row in failures}
    assert told["ask", "chat.message.send", "RATE_LIMITED"] == "209"
    assert told["ask", "reaction.send", "no answer"] == "3"
    assert told["delivery", "", "lost"] == "1234"
    assert told["condition", "lost>0", "measured 1,234"] == "1"
    assert told["scenario", "conference", "2 votes were not counted"] == "1"
    assert failures[0]["Error"].startswith("invalid: worker 1")


def test_no_cell_begins_a_formula(tmp_path: Path) -> None:
    evil = Result(run=RunInfo(scenario="=1+1"), asks={"=cmd()": Asks(sent=1, refused={"@SUM(1)": 1, "-1": 1})})
    stats, _, failures = written(tmp_path, evil)
    assert stats[0]["Name"] == "'=cmd()"
    assert [row["Error"] for row in failures] == ["'-1", "'@SUM(1)"]


def test_a_run_without_anything_writes_heads(tmp_path: Path) -> None:
    assert written(tmp_path, Result()) == ([], [], [])
