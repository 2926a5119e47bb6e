"""What README.md and docs/loadtest.md show is run as it stands there, so that it cannot rot.

The scenario and the adapter of the tutorial are written to files and used; every command that is shown is taken by the
command line, with the run itself left out (`test_scenarios.py` has whole runs of each shipped scenario).
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadtest import runner
from loadtest.bench.points import POINTS
from loadtest.cli import main
from loadtest.measure.conditions import PLAIN, STATS, Condition, parse
from loadtest.measure.result import LATENCY_KINDS, Result
from loadtest.scenario import Scenario, load, shipped
from loadtest.settings import Settings
from loadtest.targets import target
from tests.harness import ROOT, SECRET, Server

README, PAGE = (ROOT / "README.md").read_text(), (ROOT / "docs" / "loadtest.md").read_text()
CODE = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONDITIONS = re.compile(r"is what must \*not\* be true:\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCENARIO, ADAPTER = "qa_hour.py", "acme.py"
STARTS = (".venv/bin/python -m loadtest run ", "load ")
SHELL_VALUES = {"$URL": "http://127.0.0.1:3002", "$(cat var/livehub/livehub.lock)": "4711"}
RUN_DEADLINE_S = 60


def blocks() -> dict[str, str]:
    """Path → source of each file that the page shows."""
    return dict(CODE.findall(PAGE))


def commands(text: str) -> list[list[str]]:
    """The arguments of every `loadtest run` that is shown."""
    for name, value in SHELL_VALUES.items():
        text = text.replace(name, value)
    lines = [line for block in SHELL.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line.removeprefix(start)) for line in lines for start in STARTS if line.startswith(start)]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Settings]:
    """Gives a command to the command line, which must take it; what was to be run."""
    seen: list[Settings] = []

    async def run(settings: Settings, scenario: Scenario) -> Result:
        seen.append(settings)
        return Result()

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / SCENARIO).write_text(blocks()[SCENARIO])

    def ask(arguments: list[str]) -> Settings:
        done = CliRunner().invoke(main, ["run", *arguments])
        assert done.exit_code == 0, done.output
        return seen.pop()

    return ask


def test_the_page_shows_a_scenario_and_an_adapter() -> None:
    assert list(blocks()) == [SCENARIO, ADAPTER]


def test_the_scenario_of_the_page_runs_and_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / SCENARIO).write_text(blocks()[SCENARIO])
    out = tmp_path / "result.json"
    with Server(tmp_path / "server") as server:
        command = [sys.executable, "-m", "loadtest", "run", str(tmp_path / SCENARIO), "--host", server.url]
        command += ["--secret", SECRET, "-u", "60", "-r", "200", "-t", "5s", "--seed", "2", "--headless"]
        command += ["--json", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=RUN_DEADLINE_S)
    assert out.exists(), (done.stdout + done.stderr).decode()
    result: dict[str, Any] = json.loads(out.read_text())
    assert result["failures"] == []
    assert result["delivery"]["expected"] > 0
    assert result["delivery"]["lost"] == 0
    assert result["asks"]["qa.question.ask"]["acked"] == result["asks"]["qna.question.answer"]["acked"] > 0


def test_the_scenario_of_the_page_is_short(tmp_path: Path) -> None:
    file = tmp_path / SCENARIO
    file.write_text(blocks()[SCENARIO])
    assert [cls.__name__ for cls in load(str(file)).classes] == ["Attendee", "Moderator"]
    assert len([line for line in blocks()[SCENARIO].splitlines() if line.strip()]) <= 40


def test_the_adapter_of_the_page_is_a_target(tmp_path: Path) -> None:
    file = tmp_path / ADAPTER
    file.write_text(blocks()[ADAPTER])
    acme = target(str(file), "a secret")
    assert acme.outcome([None]).ok
    assert acme.outcome(["full"]) == (False, "full", {})
    assert not acme.outcome([]).ok
    assert acme.auth(7) == {"user": "user-000007"}
    assert {each.name for each in shipped() if not acme.missing(each.needs)} == {"idle", "slow_readers"}


@pytest.mark.parametrize("path", [SCENARIO, ADAPTER])
@pytest.mark.parametrize("rule", [["check"], ["format", "--check"]], ids=lambda rule: rule[0])
def test_what_the_page_shows_is_in_style(path: str, rule: list[str]) -> None:
    command = [sys.executable, "-m", "ruff", *rule, "--stdin-filename", str(ROOT / path), "-"]
    done = subprocess.run(command, input=blocks()[path], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_has_a_command_for_each_scenario(asked: Callable[[list[str]], Settings]) -> None:
    shown = [asked(arguments).scenario for arguments in commands(README)]
    assert sorted(shown) == [scenario.name for scenario in shipped()]


def test_the_readmes_commands_take_ten_seconds_at_most(asked: Callable[[list[str]], Settings]) -> None:
    assert all(0 < asked(arguments).run_time_s <= 10 for arguments in commands(README))


def test_the_commands_of_the_page_are_taken(asked: Callable[[list[str]], Settings]) -> None:
    shown = [asked(arguments) for arguments in commands(PAGE)]
    assert [(one.scenario, one.target) for one in shown] == [("./qa_hour.py", "livehub"), ("slow_readers", "socketio")]


def test_the_page_tells_every_option_of_run() -> None:
    table = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    for option in main.commands["run"].params:
        for flag in option.opts if option.param_type_name == "option" else ():
            assert f"`{flag}" in table, flag


def test_the_page_tells_every_metric_and_statistic() -> None:
    section = PAGE.partition("\n## Conditions and baselines\n")[2].partition("\n## ")[0]
    for word in (*LATENCY_KINDS, *PLAIN, *STATS):
        assert f"`{word}`" in section, word


def test_the_conditions_of_the_page_can_be_read() -> None:
    found = CONDITIONS.search(PAGE)
    assert found is not None
    texts = [text for line in found[1].splitlines() for text in re.split(r" {3,}", line)]
    read: list[Condition] = [parse(text) for text in texts]
    assert len(read) == 12


def test_the_page_tells_every_point_of_the_comparison_with_its_target() -> None:
    for name, point in POINTS.items():
        assert f"\n| {name} | {point.target} | " in PAGE


@pytest.mark.parametrize("text", [README, PAGE], ids=["README.md", "docs/loadtest.md"])
def test_places_on_the_page_exist(text: str) -> None:
    places = {heading.lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    anchors = {re.sub(r"[^\w\- ]", "", place).replace(" ", "-") for place in places}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
