"""Figures, the table, and the file that keeps all runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.bench.point import Answer, Point, Setting, figure, ratio
from loadtest.bench.points import POINTS
from loadtest.bench.table import TITLE, Run, prepend, section, table

SAMPLE = {"P1": Point("P1", "a | b", "≤ 2", lambda setting: Answer())}


def run(when: str, answer: Answer) -> Run:
    return Run(when, "python -m loadtest bench", "abc", "2 × CPU", "Python", {"P1": answer})


def test_a_figure_is_the_median_with_its_range() -> None:
    assert figure([3.0, 1.0, 2.0], "µs") == "2.00 µs (1.00–3.00)"
    assert figure([1234.5], "/s", 0) == "1,234 /s"


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([1.0, 10.0, 3.0], [2.0, 20.0, 3.0]) == 0.5


def test_a_ratio_wants_as_many_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize(("holds", "told"), [(True, "yes"), (False, "NO"), (None, "invalid")])
def test_the_table_says_whether_a_target_holds(holds: bool | None, told: str) -> None:
    last = table(SAMPLE, {"P1": Answer(livehub="1 µs", holds=holds)}).splitlines()[-1]
    assert last == f"| P1 | a / b | ≤ 2 | 1 µs | – | – | – | {told} |"


def test_a_run_holds_only_if_every_target_does() -> None:
    assert run("now", Answer(holds=True)).holds
    assert not run("now", Answer(holds=None)).holds


def test_the_newest_run_is_on_top_and_older_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for when in ("first", "second", "third"):
        prepend(path, section(SAMPLE, run(when, Answer(raw={"µs": [1.5, 2]}, notes=["a note"]))))
    text = path.read_text()
    assert text.startswith(TITLE)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## third, abc",
        "## second, abc",
        "## first, abc",
    ]
    assert text.count("P1 µs: [1.5, 2]") == text.count("- P1: a note") == 3


def test_there_are_twelve_points_in_order() -> None:
    assert list(POINTS) == [f"P{number}" for number in range(1, 13)]
    assert all(point.work and point.target for point in POINTS.values())


def test_a_quick_setting_picks_the_smaller_numbers() -> None:
    assert Setting(quick=True).many(10, 1) == 1
    assert Setting().pick(2.5, 0.5) == 2.5
