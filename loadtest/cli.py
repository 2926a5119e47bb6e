"""The command line: `python -m loadtest run|list|bench`. Flags that Locust has are called what Locust calls them.

Exit codes: 0; 1 when a condition of `--fail-if`, the baseline or the scenario's own check failed; 2 when the run says
nothing (the generator itself was late, a worker died) or was asked for wrongly.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import trio

from loadtest import worker
from loadtest.measure.conditions import BadCondition, parse
from loadtest.measure.result import BadResult, Result
from loadtest.options import parsed
from loadtest.scenario import Scenario, ScenarioTrouble, load, shipped
from loadtest.settings import Settings, cores, percent, seconds
from loadtest.targets import DEVELOPMENT_SECRET, UnknownTarget, names, target

SEEDS = 1 << 32
T = TypeVar("T")


class Parsed(click.ParamType[Any]):
    """A parameter that a function of ours reads."""

    def __init__(self, name: str, parse_text: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it, or say what is wrong with it."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SECONDS, PERCENT, CORES = Parsed("time", seconds), Parsed("percent", percent), Parsed("cores", cores)
A_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Load servers that push: users in Python, an open model, and proof of who heard what."""


@main.command()
@click.argument("scenario")
@click.option("-H", "--host", required=True, metavar="URL", help="The server, such as http://127.0.0.1:3002.")
@click.option("-u", "--users", type=click.IntRange(1), default=1, show_default=True, help="Users at the peak.")
@click.option("-r", "--spawn-rate", "rate", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Users that come (or go) per second, over all processes.")  # fmt: skip
@click.option("-t", "--run-time", "run_time_s", type=SECONDS, default="0", metavar="TIME",
              help="How long, as in 90s, 5m, 1h30m; without it until Ctrl-C.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes.")
@click.option("--seed", type=int, help="Play the same dice again; a new one is drawn and printed otherwise.")
@click.option("--target", "target_name", type=click.Choice(names()), default="livehub", show_default=True)
@click.option("--polling", "polling_percent", type=PERCENT, default="0", metavar="PERCENT",
              help="Share of users on long polling; the others use WebSocket.")  # fmt: skip
@click.option("-o", "options", multiple=True, metavar="NAME=VALUE", help="An option of the scenario; see `list`.")
@click.option("--secret", default=DEVELOPMENT_SECRET, help="Signs the users' tokens. [default: the development one]")
@click.option("--reset", is_flag=True, help="Measure anew once all users are there (Locust's --reset-stats).")
@click.option("--drain", "drain_s", type=SECONDS, default="10s", show_default=True, metavar="TIME",
              help="At most so long is waited at the end for what is under way.")  # fmt: skip
@click.option("--server-pid", type=int, help="The server's process; a local one is found by its port.")
@click.option("--affinity", "pinned", type=CORES, default="", metavar="CORES", help="Cores for the generators.")
@click.option("--headless", is_flag=True, help="Plain lines instead of a live table.")
@click.option("--web", is_flag=True, help="A live page with charts.")
@click.option("--web-host", default="127.0.0.1", show_default=True)
@click.option("--web-port", type=click.IntRange(0, 65_535), default=8089, show_default=True)
@click.option("--csv", type=click.Path(path_type=Path), metavar="PREFIX", help="PREFIX_stats.csv and others.")
@click.option("--html", type=A_FILE, metavar="FILE", help="The report, in one file.")
@click.option("--json", type=A_FILE, metavar="FILE", help="All results; a later run's --baseline.")
@click.option("--fail-if", multiple=True, metavar="CONDITION", help="'fanout.p99>100ms', 'lost>0': exit code 1.")
@click.option("--baseline", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="The --json of an earlier run to compare with.")  # fmt: skip
@click.option("--max-regress", "max_regress_percent", type=PERCENT, default="10%", show_default=True, metavar="PERCENT",
              help="So much worse than the baseline is still well.")  # fmt: skip
def run(target_name: str, options: tuple[str, ...], pinned: list[int], seed: int | None, **given: Any) -> None:
    """Run SCENARIO: the name of a shipped one (see `list`) or the path of a .py file."""
    scenario = _scenario(given["scenario"])
    _check_host(given["host"])
    _check_target(scenario, target_name, given["secret"])
    settings = Settings(
        target=target_name,
        options=_options(scenario, options),
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        cores=pinned,
        command=" ".join(["python -m loadtest", *sys.argv[1:]]),
        **given,
    )
    _check_judges(settings)
    from loadtest import runner  # noqa: PLC0415 - a worker needs no reports and no web server: half its memory

    result = trio.run(runner.run, settings, scenario)
    raise SystemExit(result.exit_code)


@main.command("list")
def list_() -> None:
    """Show the shipped scenarios, their options and what they need of a target."""
    for scenario in shipped():
        click.secho(scenario.name, bold=True, nl=False)
        click.echo(f"  {scenario.line}")
        if scenario.needs:
            click.echo(f"    needs {', '.join(sorted(scenario.needs))}")
        for option in scenario.options:
            click.echo(f"    -o {option.name}={option.default}  {option.help}")
    click.echo(f"\nTargets: {', '.join(names())}")


@main.command("worker", hidden=True)
def worker_() -> None:
    """One generator process; `run` starts it and talks to it."""
    worker.main()


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def bench(args: tuple[str, ...]) -> None:
    """Compare livehub with its peers; `bench --help` says more."""
    from loadtest.bench.cli import bench as compare  # noqa: PLC0415 - the other commands do without it

    compare.main(list(args), prog_name="python -m loadtest bench")


def _scenario(name: str) -> Scenario:
    try:
        return load(name)
    except ScenarioTrouble as trouble:
        raise click.UsageError(str(trouble)) from trouble


def _options(scenario: Scenario, given: tuple[str, ...]) -> dict[str, Any]:
    try:
        return parsed(scenario.options, given).as_dict()
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _check_host(host: str) -> None:
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError(f"--host {host}: write it as http://HOST:PORT or https://HOST:PORT")


def _check_target(scenario: Scenario, name: str, secret: str) -> None:
    try:
        missing = target(name, secret).missing(scenario.needs)
    except UnknownTarget as unknown:
        raise click.UsageError(str(unknown)) from unknown
    if missing:
        raise click.UsageError(f"{scenario.name} needs {', '.join(missing)}, which the target {name} cannot do")


def _check_judges(settings: Settings) -> None:
    """Before the run, not after an hour of it."""
    try:
        for text in settings.fail_if:
            parse(text)
        if settings.baseline is not None:
            Result.from_json(settings.baseline.read_bytes())
    except (BadCondition, BadResult, OSError) as error:
        raise click.UsageError(str(error)) from error
    for path in (settings.csv, settings.html, settings.json):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{path}: there is no directory {path.absolute().parent}")
