"""`python -m loadtest bench`: measure the points, print the table, keep it."""

from __future__ import annotations

import gc
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from loadtest.bench.point import Answer, Setting
from loadtest.bench.points import POINTS
from loadtest.bench.procs import GENERATOR_CORE, Others, Trouble, output, pin
from loadtest.bench.servers import ROOT, peer_version
from loadtest.bench.table import Run, prepend, section, table

EXIT_MISSED = 1
OTHERS_SHARE_MAX = 0.05
QUICK = "QUICK: short rounds and small numbers, to see that everything runs; not comparable, not kept."


@click.command()
@click.argument("points", nargs=-1, metavar="[P1 P2 …]")
@click.option("--rounds", type=click.IntRange(1, 1_000), help="Rounds of each point. Default: 5, with --quick 1.")
@click.option("--quick", is_flag=True, help="Short rounds and small numbers; nothing is kept.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "loadtest" / "RESULTS.md",
    show_default="loadtest/RESULTS.md",
    help="File that keeps all runs, newest first.",
)
def bench(points: Sequence[str], rounds: int | None, quick: bool, results: Path) -> None:
    """Compare livehub with socket.io and with a bare C loop. Exit code 1 if a target does not hold."""
    unknown = [name for name in points if name.upper() not in POINTS]
    if unknown:
        raise click.UsageError(f"{unknown[0]} is none of {' '.join(POINTS)}")
    names = [name for name in POINTS if not points or name in {point.upper() for point in points}]
    rounds = rounds or (1 if quick else 5)
    prepare()
    answers: dict[str, Answer] = {}
    for name in names:
        click.echo(f"{name}: {POINTS[name].work}", err=True)
        others = Others()
        answers[name] = _answer(name, Setting(rounds, quick, lambda text: click.echo(f"  {text}", err=True)))
        if (share := others.share()) > OTHERS_SHARE_MAX:
            answers[name].notes.append(f"others used {share:.0%} of the machine meanwhile: rough")
        gc.collect()
    click.echo(table(POINTS, answers))
    for name, answer in answers.items():
        for note in answer.notes:
            click.echo(f"{name}: {note}")
    if quick:
        click.echo(QUICK)
    else:
        run = Run(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", _command(), _commit(), _machine(), _versions(), answers)
        prepend(results, section(POINTS, run))
    if not all(answer.holds is True for answer in answers.values()):
        raise SystemExit(EXIT_MISSED)


def prepare() -> None:
    """Make this process a generator: a core of its own, a file for every client, and no pauses for collecting garbage.

    A pause would be somebody's latency. What a point leaves behind is collected after it.
    """
    pin(GENERATOR_CORE)
    gc.freeze()
    gc.disable()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _answer(name: str, setting: Setting) -> Answer:
    """A point that cannot be measured is told as such, and the others go on."""
    try:
        return POINTS[name].measure(setting)
    except (Trouble, OSError, subprocess.SubprocessError) as error:
        click.echo(f"  {type(error).__name__}: {error}", err=True)
        why = str(error).partition("\n")[0]
        return Answer(livehub="not measured", notes=[f"{type(error).__name__}: {why}"])


def _command() -> str:
    return " ".join(["python -m loadtest", *sys.argv[1:]])


def _commit() -> str:
    commit = output("git", "rev-parse", "--short=12", "HEAD") or "no commit"
    return (
        f"{commit} with changes" if output("git", "status", "--porcelain", "--", ":/livehub", ":/loadtest") else commit
    )


def _machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else platform.machine()
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    cores = len(models) or 1
    return f"{cores} × {model}, {memory_kib * 1024 / 1e9:.0f} GB, Linux {platform.release()}"


def _versions() -> str:
    node = output("node", "--version")
    return f"Python {platform.python_version()}, Node {node.lstrip('v')}, socket.io {peer_version()}"


if __name__ == "__main__":
    bench()
