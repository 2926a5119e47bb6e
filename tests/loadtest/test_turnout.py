"""A run is worth no more than who was there and what was answered."""

from __future__ import annotations

import signal
from pathlib import Path

from loadtest.turnout import failures, nobody, why
from tests.harness import Server
from tests.loadtest.runs import CHAT, SPOKEN, Runs


def test_the_commonest_reason_is_told_and_silence_is_one() -> None:
    totals = {"refused.connect.full": 3, "unconnected.reset": 4, "refused.chat.message.send.full": 9}
    assert why(totals) == "reset"
    assert why({}) == "no answer"


def test_nobody_is_missed_where_nobody_was_due() -> None:
    assert nobody({}, "http://h") == failures({}, frozenset(), 10) == []
    assert nobody({"users.came": 1}, "https://h") == [
        "nobody could connect to https://h (if its certificate is not trusted: --ca FILE or --insecure): no answer"
    ]


def test_a_server_that_refuses_everybody_is_no_valid_run_and_what_it_said_is_told(
    server: Server, tmp_path: Path
) -> None:
    runs = Runs(tmp_path, server.url)
    result, said = runs.run(CHAT, "-u", "4", "-r", "9", "-t", "1s", "--secret", "wrong", code=2)
    why = "Authentication failed (token_invalid)"
    assert result["invalid_because"] == [f"nobody could connect to {server.url}: {why}"]
    assert result["counters"][f"refused.connect.{why}"] >= 4
    assert f"connect refused: {why}" in said
    assert "InsecureKeyLengthWarning" not in said


def test_a_namespace_that_is_not_there_is_no_valid_run(runs: Runs) -> None:
    scenario = CHAT.replace("self.connect()", 'self.connect("/elsewhere")')
    result, _ = runs.run(scenario, "-u", "2", "-r", "9", "-t", "1s", code=2)
    assert "Invalid namespace" in result["invalid_because"][0]


def test_a_server_that_is_stopped_answers_nobody(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as own:
        runs = Runs(tmp_path, own.url)
        stop = f"import os\nasync def at_start(stage):\n    os.kill({own.pid}, {signal.SIGSTOP:d})\n"
        result, _ = runs.run(CHAT + stop, "-u", "2", "-r", "9", "-t", "1s", *runs.without_metrics(), code=2)
    assert result["invalid_because"] == [f"nobody could connect to {runs.url}: no answer"]


def test_a_server_that_dies_under_load_fails_the_run(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as own:
        runs = Runs(tmp_path, own.url)
        run = runs.start(CHAT + SPOKEN, "-u", "3", "-r", "30", "-t", "3s", "--drain", "1s", "--fail-if", "absent>0")
        run.says("said hello")
        own.kill()
        result, said = run.end(code=1)
    assert "3 of 3 users were cut off and not back at the end (--drain 1s)" in result["failures"]
    assert result["counters"]["absent"] == 3
    assert result["conditions"][0]["value"] == 3
    assert "3 of 3 users were cut off" in said


def test_a_server_that_hangs_under_load_fails_the_run(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as own:
        runs = Runs(tmp_path, own.url)
        arguments = ["-u", "3", "-r", "30", "-t", "2s", "--drain", "500ms", *runs.without_metrics()]
        run = runs.start(CHAT + SPOKEN, *arguments)
        run.says("said hello")
        own.send_signal(signal.SIGSTOP)
        result, _ = run.end(code=1)
    assert result["counters"]["unanswered"] > 0
    assert "asks were not answered" in result["failures"][0]
