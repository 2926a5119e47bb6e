"""The command line refuses what cannot work before anything runs, with exit code 2 and a text that helps."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.cli import command, main

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
        (["idle", *HOST, "--affinity", "4096"], "there is no core 4096"),
        (["idle", *HOST, "--polling", "101%"], "at most 100%"),
        (["idle", "--host", "http://127.0.0.1:99999"], "http://HOST:PORT"),
        (["idle", *HOST, "--ca", __file__], "holds no certificates"),
        (["idle", *HOST, "--ca", __file__, "--insecure"], "give one of them"),
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
    assert "-o kill=no" in done.output
    assert "--target livehub or socketio" in done.output


def test_list_tells_all_of_one_scenario_if_it_is_named() -> None:
    done = CliRunner().invoke(main, ["list", "reconnect_storm"])
    assert "What must hold: whoever was cut off is recovered" in done.output
    assert "vote_spike" not in done.output
    assert CliRunner().invoke(main, ["list", "nothing"]).exit_code == 2


def test_the_command_of_a_run_can_be_typed_again_and_holds_no_secret() -> None:
    arguments = ["run", "idle", "--fail-if", "lost > 0", "--secret", "s3cret", "-o", "x=s3cret"]
    told = command(arguments, "s3cret", drawn_seed=7)
    assert "s3cret" not in told
    assert shlex.split(told)[:6] == ["python", "-m", "loadtest", "run", "idle", "--fail-if"]
    assert shlex.split(told)[6] == "lost > 0"
    assert told.endswith("--seed 7")
    assert "--seed" not in command(["run", "idle", "--seed=3"], "s", drawn_seed=None).replace("--seed=3", "")


def test_help_tells_every_flag_that_locust_users_look_for() -> None:
    done = CliRunner().invoke(main, ["run", "-h"])
    for flag in ("-u, --users", "-r, --spawn-rate", "-t, --run-time", "-H, --host", "--headless", "--csv", "--html"):
        assert flag in done.output


def test_the_worker_is_not_for_people() -> None:
    assert "worker" not in CliRunner().invoke(main, ["--help"]).output
