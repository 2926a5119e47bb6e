"""The end of a run: one result, its verdicts, and the files that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from loadtest.judge import judge, write_reports
from loadtest.measure.book import Book
from loadtest.measure.recorder import Recorder
from loadtest.measure.result import Result
from loadtest.observer import Observer
from loadtest.settings import Settings

S = 1_000_000_000


def result(counts: dict[str, int] | None = None, expects: frozenset[str] = frozenset(), **settings: Any) -> Result:
    """Of a run that lasted a second and counted this."""
    recorder, book = Recorder(), Book(0)
    for name, number in (counts or {}).items():
        recorder.count(name, number)
    for _ in range(200):
        recorder.latency("ack", "x", 50_000)
    book.add(0, recorder.take(S), S)
    asked = Settings(scenario="idle", host="http://127.0.0.1:1", **settings)
    return judge(asked, book, Observer(asked, book), 1.0, [], [], expects=expects)


def test_conditions_are_held_against_the_result() -> None:
    found = result(fail_if=("ack.p99>10ms", "lost>0"))
    assert [verdict.holds for verdict in found.conditions] == [True, False]
    assert found.exit_code == 1


def test_a_baseline_is_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    now = result()
    faster = attrs.evolve(now.latencies["ack"]["x"], p50=10_000, p99=10_000)
    path.write_bytes(attrs.evolve(now, latencies={"ack": {"x": faster}}).to_json())
    found = result(baseline=path)
    assert [regression.name for regression in found.regressions] == ["ack[x].p50", "ack[x].p99"]
    assert found.exit_code == 1
    assert result(baseline=path, max_regress_percent=500.0).exit_code == 0


@pytest.mark.parametrize(
    ("counts", "valid"),
    [
        ({"users.came": 9}, False),
        ({"users.came": 9, "connects": 1}, False),  # a guest
        ({"users.came": 9, "users.connected": 1}, True),
        ({}, True),
    ],
)
def test_a_run_in_which_nobody_got_in_says_nothing(counts: dict[str, int], valid: bool) -> None:
    assert result(counts).valid is valid


def test_whoever_never_got_in_was_not_there_or_got_no_answer_fails_the_run_unless_that_is_expected() -> None:
    counts = {"users.came": 100, "users.connected": 63, "users.never_connected": 37, "absent": 2, "unanswered": 1}
    found = result({**counts, "refused.connect.full": 3, "unconnected.reset": 2})
    assert (found.valid, found.exit_code) == (True, 1)
    assert found.failures == [
        "37 of 100 users never connected: full",
        "2 of 100 users were cut off and not back at the end (--drain 10s)",
        "1 asks were not answered, neither within 30 s nor by the end of the drain",
    ]
    assert result(counts, expects=frozenset({"absent", "unanswered", "never_connected"})).exit_code == 0


def test_a_baseline_of_another_crowd_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    path.write_bytes(result(users=7).to_json())
    found = result(baseline=path, users=8)
    assert (found.notes, found.exit_code) == (["the baseline was made with users 7, now 8"], 0)


def test_only_the_reports_that_were_asked_for_are_written(tmp_path: Path) -> None:
    plain = Settings(scenario="idle", host="http://127.0.0.1:1")
    assert write_reports(plain, result()) == ([], [])
    asked = attrs.evolve(plain, json=tmp_path / "r.json", html=tmp_path / "r.html", csv=tmp_path / "r")
    written, troubles = write_reports(asked, result())
    assert troubles == []
    assert sorted(Path(name).name for name in written) == [
        "r.html", "r.json", "r_failures.csv", "r_stats.csv", "r_timeline.csv",
    ]  # fmt: skip
    assert all(Path(name).stat().st_size for name in written)
    assert Result.from_json((tmp_path / "r.json").read_bytes()).run.scenario == "idle"


def test_a_report_that_cannot_be_written_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    asked = Settings(scenario="idle", host="http://127.0.0.1:1", json=tmp_path / "no" / "r.json", csv=tmp_path / "r")
    written, troubles = write_reports(asked, result())
    assert len(written) == 3
    assert len(troubles) == 1
    assert "r.json was not written: " in troubles[0]
