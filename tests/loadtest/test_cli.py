"""The command line refuses what cannot work before anything runs, with exit code 2 and a text that helps."""

from __future__ import annotations

import shlex
import socket
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest import runner
from loadtest.cli import command, main
from loadtest.measure.result import Result, RunInfo

SCENARIO = "from loadtest.user import User\nclass Mine(User):\n    pass\n"
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
        (["idle", *HOST, "--csv", "/no/such/place/r"], "no directory"),
        (["idle", *HOST, "--csv", ""], "is no prefix"),
        (["idle", *HOST, "--json", ""], "is a directory"),
        (["idle", *HOST, "--json", "./r", "--html", "r"], "two reports cannot be one file"),
        (["idle", *HOST, "--json", "r_stats.csv", "--csv", "r"], "two reports cannot be one file"),
        (["idle", *HOST, "-r", "nan"], "is above 0"),
        (["idle", *HOST, "-r", "inf"], "is above 0"),
        (["idle", *HOST, "-r", "x"], "is no rate"),
        (["idle", *HOST, "-t", "0"], "no time to run"),
        (["idle", *HOST, "-t", "0s"], "until Ctrl-C"),
        (["idle", *HOST, "-t", "1h30"], "is no time"),
        (["idle", *HOST, "-o", "sessions=0"], "-o sessions=0: it must be 1 or more"),
        (["reaction_storm", *HOST, "-o", "rate=9"], "-o rate=9: it must be from 0.1 to 4"),
        (["reconnect_storm", *HOST, "-o", "again=101"], "from 0 to 100"),
        (["soak", *HOST], "say one with -t"),
        (["server_restart", *HOST], "say how to restart the server"),
        (["README.md", *HOST], "there is no scenario 'README.md'"),
        (["./README.md", *HOST], "is no .py file"),
        (["idle", *HOST, "--max-regress", "5%"], "give that, too"),
    ],
)
def test_what_cannot_work_is_refused_before_the_run(arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 2
    assert told in done.output


def test_what_is_wrong_with_a_scenario_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    for text, told in (
        ("def f(:\n", f"{path}:1: "),
        ("x = 1\nreturn x\n", f"{path}:2: "),
        (SCENARIO + "SHAPE = 5\n", "SHAPE = 5 is no LoadShape"),
        (SCENARIO + "OPTIONS = [5]\n", "OPTIONS must be"),
        (SCENARIO + "NEEDS = 'chat'\n", "NEEDS must be a set of words"),
        (SCENARIO + "EXPECTS = {'rain'}\n", "EXPECTS may hold absent, never_connected, unanswered, not rain"),
        (SCENARIO + "at_end = 5\n", "at_end must be a function"),
        ("raise SystemExit\n", "cannot be imported"),
    ):
        path.write_text(text)
        done = CliRunner().invoke(main, ["run", str(path), *HOST])
        assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
        assert told in " ".join(done.output.split()).replace("│ ", ""), text


def test_a_port_that_is_taken_is_told_before_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["run", "idle", *HOST, "--web", "--web-port", str(port)])
    assert done.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.output


def test_a_report_that_may_not_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "r_stats.csv").mkdir()
    done = CliRunner().invoke(main, ["run", "idle", *HOST, "--csv", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert "that is a directory" in done.output


def test_a_baseline_must_be_of_the_same_scenario_and_target(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    for info, told in (
        (RunInfo(scenario="soak", target="livehub"), "soak on livehub"),
        (RunInfo(scenario="idle", target="socketio"), "idle on socketio"),
    ):
        path.write_bytes(Result(run=info).to_json())
        done = CliRunner().invoke(main, ["run", "idle", *HOST, "--baseline", str(path)])
        assert done.exit_code == 2
        assert told in done.output


def test_a_report_that_was_not_written_after_all_makes_the_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: object) -> Result:
        raise runner.NotWritten

    monkeypatch.setattr(runner, "run", run)
    assert CliRunner().invoke(main, ["run", "idle", *HOST]).exit_code == 2


def test_it_tells_its_version() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert (done.exit_code, done.output) == (0, f"loadtest, version {version('livehub')}\n")


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
    assert "sessions that people are spread over (1 or more)" in done.output
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
