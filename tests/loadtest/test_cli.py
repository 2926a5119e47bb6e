"""The command line refuses what cannot work before anything runs, with exit code 2 and a text that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.cli import main

HOST = ("--host", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["idle"], "--host"),
        (["idle", "--host", "127.0.0.1:3002"], "http://HOST:PORT"),
        (["nothing", *HOST], "there is no scenario"),
        (["idle", *HOST, "-t", "soon"], "is no time"),
        (["idle", *HOST, "-u", "0"], "-u"),
        (["idle", *HOST, "-r", "0"], "-r"),
        (["idle", *HOST, "-o", "sesions=2"], "there is no such option"),
        (["idle", *HOST, "-o", "sessions=two"], "a whole number"),
        (["idle", *HOST, "--fail-if", "speed>1"], "there is no metric"),
        (["idle", *HOST, "--target", "else"], "livehub"),
        (["vote_spike", *HOST, "--target", "socketio"], "polls"),
        (["idle", *HOST, "--affinity", "x"], "names no cores"),
        (["idle", *HOST, "--max-regress", "much"], "is no percentage"),
        (["idle", *HOST, "--html", "/no/such/place/r.html"], "no directory"),
    ],
)
def test_what_cannot_work_is_refused_before_the_run(arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 2
    assert told in done.output


def test_a_baseline_must_be_a_result(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text("[]")
    done = CliRunner().invoke(main, ["run", "idle", *HOST, "--baseline", str(path)])
    assert done.exit_code == 2
    assert "not a loadtest result" in done.output


def test_list_tells_scenarios_with_their_options_and_targets() -> None:
    done = CliRunner().invoke(main, ["list"])
    assert done.exit_code == 0
    assert "reconnect_storm" in done.output
    assert "-o sessions=1" in done.output
    assert "Targets: livehub, socketio" in done.output


def test_help_tells_every_flag_that_locust_users_look_for() -> None:
    done = CliRunner().invoke(main, ["run", "-h"])
    for flag in ("-u, --users", "-r, --spawn-rate", "-t, --run-time", "-H, --host", "--headless", "--csv", "--html"):
        assert flag in done.output


def test_the_worker_is_not_for_people() -> None:
    assert "worker" not in CliRunner().invoke(main, ["--help"]).output
