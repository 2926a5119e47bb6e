"""The table that `make bench` prints, and the file that keeps every run of it, newest first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from loadtest.bench.point import Answer, Point

COLUMNS = ("#", "work", "target", "livehub", "socket.io", "bare C", "ratio", "holds")
TITLE = "# Results, newest first"
INTRO = (
    "What `make bench` measured: `loadtest/bench/points/` says for each line what exactly. Figures are medians of all\n"
    "rounds, the smallest and the largest in parentheses; ratios are medians of the ratios round by round."
)


@attrs.frozen
class Run:
    """One run of the comparison."""

    when: str
    command: str
    commit: str
    machine: str
    versions: str
    answers: Mapping[str, Answer]

    @property
    def holds(self) -> bool:
        """Whether every target does."""
        return all(answer.holds is True for answer in self.answers.values())


def table(points: Mapping[str, Point], answers: Mapping[str, Answer]) -> str:
    """The table in Markdown."""
    lines = [_row(COLUMNS), _row(["---"] * len(COLUMNS))]
    for name, answer in answers.items():
        point = points[name]
        cells = [name, point.work, point.target, answer.livehub, answer.socketio, answer.bare, answer.ratio]
        lines.append(_row([*cells, answer.verdict]))
    return "\n".join(lines)


def section(points: Mapping[str, Point], run: Run) -> str:
    """A run as the file keeps it: the table, what is to be said about it, and the figures of every round."""
    lines = [f"## {run.when}, {run.commit}", "", f"{run.machine}; {run.versions}", "", f"    {run.command}", ""]
    lines += [table(points, run.answers), ""]
    lines += [f"- {name}: {'; '.join(answer.notes)}" for name, answer in run.answers.items() if answer.notes]
    lines += ["", "Round by round:", "", "```"]
    for name, answer in run.answers.items():
        lines += [f"{name} {what}: {json.dumps(list(values))}" for what, values in answer.raw.items()]
    return "\n".join([*lines, "```", ""])


def prepend(path: Path, text: str) -> None:
    """Put a run on top of those before it."""
    before = path.read_text() if path.exists() else f"{TITLE}\n\n{INTRO}\n"
    head, mark, older = before.partition("\n## ")
    path.write_text(f"{head.rstrip()}\n\n{text.rstrip()}\n" + (f"\n## {older}" if mark else ""))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
