"""The command: what it prints, keeps, and ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadtest.bench import cli
from loadtest.bench.point import Answer, Point, Setting
from loadtest.bench.procs import Trouble

SEEN: list[Setting] = []


def good(setting: Setting) -> Answer:
    SEEN.append(setting)
    return Answer(livehub="1 µs", holds=True, raw={"µs": [1.0]})


def bad(setting: Setting) -> Answer:
    return Answer(livehub="9 µs", holds=False)


def broken(setting: Setting) -> Answer:
    raise Trouble("no server")


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"P1": good, "P2": bad, "P3": broken}
    monkeypatch.setattr(cli, "POINTS", {name: Point(name, "w", "t", measure) for name, measure in points.items()})
    monkeypatch.setattr(cli, "prepare", lambda: None)
    SEEN.clear()


def bench(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.bench, [*arguments, "--results", str(path)])


def test_a_run_that_holds_is_kept_and_ends_with_0(tmp_path: Path) -> None:
    done = bench(tmp_path / "R.md", "p1")
    assert done.exit_code == 0
    assert "| P1 | w | t | 1 µs | – | – | – | yes |" in done.stdout
    assert "| P1 | w | t | 1 µs | – | – | – | yes |" in (tmp_path / "R.md").read_text()
    assert SEEN[0].rounds == 5


def test_a_missed_target_ends_with_1_and_is_kept(tmp_path: Path) -> None:
    done = bench(tmp_path / "R.md", "P1", "P2")
    assert done.exit_code == 1
    assert "| NO |" in (tmp_path / "R.md").read_text()


def test_a_point_that_cannot_be_measured_does_not_stop_the_others(tmp_path: Path) -> None:
    done = bench(tmp_path / "R.md")
    assert done.exit_code == 1
    assert "not measured" in done.stdout
    assert "P3: Trouble: no server" in done.stdout
    assert "1 µs" in done.stdout


def test_a_quick_run_says_so_and_is_not_kept(tmp_path: Path) -> None:
    done = bench(tmp_path / "R.md", "P1", "--quick")
    assert done.exit_code == 0
    assert "QUICK" in done.stdout
    assert not (tmp_path / "R.md").exists()
    assert (SEEN[0].rounds, SEEN[0].quick) == (1, True)


def test_an_unknown_point_is_bad_usage(tmp_path: Path) -> None:
    done = bench(tmp_path / "R.md", "P13")
    assert done.exit_code == 2
    assert "P13" in done.stderr
