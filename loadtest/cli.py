"""The command line: `python -m loadtest run|list|bench`. Flags that Locust has are called what Locust calls them.

Exit codes: 0; 1 when a condition of `--fail-if`, the baseline or the scenario's own check failed; 2 when the run says
nothing (the generator itself was late, a worker died) or was asked for wrongly.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import trio

from loadtest import trust, worker
from loadtest.measure.conditions import BadCondition, parse
from loadtest.measure.pulse import Limits
from loadtest.measure.result import BadResult, Result
from loadtest.options import parsed
from loadtest.scenario import Scenario, ScenarioTrouble, load, shipped
from loadtest.settings import Settings, cores, percent, seconds, share
from loadtest.targets import DEVELOPMENT_SECRET, UnknownTarget, names, target

SEEDS = 1 << 32
EPILOG = """
\b
A condition is METRIC[.STAT] OP VALUE[UNIT]:
  fanout, last, ack, connect, join, recovery   with [NAME] for one event, and
                                .p50 .p90 .p99 .p999 .max .mean .count
  lost, duplicate, out_of_order, delivery, refused, failed, unrecovered,
  users, rss, cpu               rss in MB and cpu in % are the server's worst
  OP is > >= < <= ==            UNIT is us, ms, s, % or MB
\b
Exit codes:
  0  the run is valid, and nothing speaks against the server
  1  a condition came true, the run is worse than the baseline, or the
     scenario's own check found something wrong
  2  the run says nothing (the generator was late, nobody could connect,
     a worker died), or was asked for wrongly
"""
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


SECONDS, CORES = Parsed("time", seconds), Parsed("cores", cores)
PERCENT, SHARE = Parsed("percent", percent), Parsed("percent", share)
A_FILE = click.Path(dir_okay=False, path_type=Path)
A_GIVEN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Load servers that push: users in Python, an open model, and proof of who heard what.

    `list` shows what there is to run; then, for example:

    python -m loadtest run conference --host http://127.0.0.1:3002 -u 500 -r 50 -t 60s --html report.html
    """


@main.command(epilog=EPILOG)
@click.argument("scenario")
@click.option("-H", "--host", required=True, metavar="URL", help="The server, such as http://127.0.0.1:3002.")
@click.option("-u", "--users", type=click.IntRange(1), default=1, show_default=True, help="Users at the peak.")
@click.option("-r", "--spawn-rate", "rate", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Users that come (or go) per second, over all processes.")  # fmt: skip
@click.option("-t", "--run-time", "run_time_s", type=SECONDS, default="0", metavar="TIME",
              help="How long, as in 90s, 5m, 1h30m; without it until Ctrl-C.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes.")
@click.option("--seed", type=int, help="Play the same dice again; a new one is drawn and printed otherwise.")
@click.option("--target", "target_name", metavar="NAME", default="livehub", show_default=True,
              help=f"The kind of server: {', '.join(names())}, or the path of an adapter's .py file.")  # fmt: skip
@click.option("--polling", "polling_percent", type=SHARE, default="0", metavar="PERCENT",
              help="Share of users on long polling, up to 100%; the others use WebSocket.")  # fmt: skip
@click.option("-o", "options", multiple=True, metavar="NAME=VALUE", help="An option of the scenario; see `list`.")
@click.option("--secret", envvar="LOADTEST_SECRET", default=DEVELOPMENT_SECRET,
              help="Signs the users' tokens; or $LOADTEST_SECRET. [default: the development one]")  # fmt: skip
@click.option("--reset", is_flag=True, help="Measure anew once all users are there (Locust's --reset-stats).")
@click.option("--drain", "drain_s", type=SECONDS, default="10s", show_default=True, metavar="TIME",
              help="At most so long is waited at the end for what is under way.")  # fmt: skip
@click.option("--max-generator-cpu", "max_cpu_percent", type=PERCENT, default="80%", show_default=True,
              metavar="PERCENT", help="From this share of its core on a generator is too busy.")  # fmt: skip
@click.option("--max-generator-lag", "max_lag_s", type=SECONDS, default="100ms", show_default=True, metavar="TIME",
              help="A loop that is later than this measures itself; see exit code 2.")  # fmt: skip
@click.option("--ca", type=A_GIVEN_FILE, metavar="FILE", help="Certificates to trust for https://, PEM.")
@click.option("--insecure", is_flag=True, help="Trust any certificate; for a first look.")
@click.option("--server-pid", type=int, help="The server's process; a local one is found by its port.")
@click.option("--affinity", "pinned", type=CORES, default="", metavar="CORES", help="Cores for the generators.")
@click.option("--headless", is_flag=True, help="Plain lines instead of a live table.")
@click.option("--web", is_flag=True, help="A live page with charts.")
@click.option("--web-host", default="127.0.0.1", show_default=True, help="Where the live page listens.")
@click.option("--web-port", type=click.IntRange(0, 65_535), default=8089, show_default=True, help="0: any free one.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="PREFIX",
              help="PREFIX_stats.csv, PREFIX_timeline.csv and PREFIX_failures.csv.")  # fmt: skip
@click.option("--html", type=A_FILE, metavar="FILE", help="The report, in one file.")
@click.option("--json", type=A_FILE, metavar="FILE", help="All results; a later run's --baseline.")
@click.option("--fail-if", multiple=True, metavar="CONDITION",
              help="'fanout.p99>100ms', 'lost>0': then the exit code is 1. May be given often.")  # fmt: skip
@click.option("--baseline", type=A_GIVEN_FILE, metavar="FILE",
              help="The --json of an earlier run to compare with.")  # fmt: skip
@click.option("--max-regress", "max_regress_percent", type=PERCENT, default="10%", show_default=True, metavar="PERCENT",
              help="So much worse than the baseline is still well.")  # fmt: skip
def run(
    target_name: str,
    options: tuple[str, ...],
    pinned: list[int],
    seed: int | None,
    max_cpu_percent: float,
    max_lag_s: float,
    **given: Any,
) -> None:
    """Run SCENARIO: the name of a shipped one (see `list`) or the path of a .py file."""
    scenario = _scenario(given["scenario"])
    _check_host(given["host"])
    _check_target(scenario, target_name, given["secret"])
    _check_trust(given["ca"], given["insecure"])
    _check_cores(pinned)
    drawn = secrets.randbelow(SEEDS) if seed is None else seed
    settings = Settings(
        target=target_name,
        options=_options(scenario, options),
        seed=drawn,
        cores=pinned,
        command=command(sys.argv[1:], given["secret"], drawn if seed is None else None),
        limits=Limits(cpu=max_cpu_percent / 100, lag_ms=max_lag_s * 1_000),
        **given,
    )
    _check_judges(settings)
    from loadtest import runner  # noqa: PLC0415 - a worker needs no reports and no web server: half its memory

    result = trio.run(runner.run, settings, scenario)
    raise SystemExit(result.exit_code)


def command(arguments: list[str], secret: str, drawn_seed: int | None) -> str:
    """What to type to run it again: the seed that was drawn is in it, the secret is not, since reports are shown."""
    kept = ["***" if word == secret else word.replace(f"={secret}", "=***") for word in arguments]
    seed = [] if drawn_seed is None else ["--seed", str(drawn_seed)]
    return shlex.join(["python", "-m", "loadtest", *kept, *seed])


@main.command("list")
@click.argument("scenario", required=False)
def list_(scenario: str | None) -> None:
    """Show the scenarios and their options; with SCENARIO (a name or a path) all that this one has to say."""
    for shown in [_scenario(scenario)] if scenario else shipped():
        click.secho(shown.name, bold=True)
        click.echo(indent(shown.help if scenario else shown.line, "  "))
        runs_on = [name for name in names() if not target(name, "").missing(shown.needs)]
        click.echo(f"  --target {' or '.join(runs_on) or '(none can do all of it)'}")
        settings = [f"-o {option.name}={shlex.quote(option.shown) if option.shown else ''}" for option in shown.options]
        width = max(map(len, settings), default=0)
        for setting, option in zip(settings, shown.options, strict=True):
            click.echo(f"  {setting:<{width}}  {option.help}")
        click.echo()
    if not scenario:
        click.echo("python -m loadtest list NAME says more of one, python -m loadtest run NAME -h how to run it.")


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
    try:
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # no port has this number
        known = False
    if not known:
        raise click.UsageError(f"--host {host}: write it as http://HOST:PORT or https://HOST:PORT")


def _check_target(scenario: Scenario, name: str, secret: str) -> None:
    try:
        missing = target(name, secret).missing(scenario.needs)
    except UnknownTarget as unknown:
        raise click.UsageError(str(unknown)) from unknown
    if missing:
        raise click.UsageError(f"{scenario.name} needs {', '.join(missing)}, which the target {name} cannot do")


def _check_cores(pinned: list[int]) -> None:
    last = (os.cpu_count() or 1) - 1  # not those that this process is pinned to: another process may have others
    if pinned and max(pinned) > last:
        raise click.UsageError(f"--affinity: there is no core {max(pinned)} here, they are 0 to {last}")


def _check_trust(ca: Path | None, insecure: bool) -> None:
    if ca is not None and insecure:
        raise click.UsageError("--ca says whom to trust and --insecure to trust anybody: give one of them")
    try:
        trust.context(str(ca or ""))
    except trust.NotTrusted as wrong:
        raise click.UsageError(str(wrong)) from wrong


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
