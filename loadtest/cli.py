"""The command line: `python -m loadtest run|list|bench`. Flags that Locust has are called what Locust calls them.

Exit codes: 0; 1 when a condition of `--fail-if`, the baseline or the scenario's own check failed, users were absent or
asks unanswered; 2 when the run says nothing (the generator itself was late, nobody could connect, a worker died), was
asked for wrongly, or a report could not be written.
"""

from __future__ import annotations

import secrets
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar

import click
import trio
from jwt.warnings import InsecureKeyLengthWarning

from loadtest import checks, worker
from loadtest.measure.pulse import Limits
from loadtest.scenario import Scenario, ScenarioTrouble, load, shipped
from loadtest.settings import MAX_REGRESS_PERCENT, Settings, cores, percent, prefix, rate, run_time, seconds, share
from loadtest.targets import DEVELOPMENT_SECRET, names, target

SEEDS = 1 << 32
EPILOG = """
\b
A condition is METRIC[.STAT] OP VALUE[UNIT]:
  fanout, last, ack, connect, join, recovery   with [NAME] for one event, and
                                .p50 .p90 .p95 .p99 .p999 .max .mean .count
  lost, duplicate, out_of_order, delivery, refused, failed, unrecovered,
  absent, unanswered, users, rss, cpu
                                rss in MB and cpu in % are the server's worst
  OP is > >= < <= ==            UNIT is us, ms, s, % or MB
\b
Exit codes:
  0  the run is valid, and nothing speaks against the server
  1  a condition came true, the run is worse than the baseline, users were
     not there or asks not answered, or the scenario's own check failed
  2  the run says nothing (the generator was late, nobody could connect,
     a worker died), was asked for wrongly, or a report was not written
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


SECONDS, RUN_TIME, CORES = Parsed("time", seconds), Parsed("time", run_time), Parsed("cores", cores)
PERCENT, SHARE = Parsed("percent", percent), Parsed("percent", share)
RATE, PREFIX = Parsed("rate", rate), Parsed("prefix", prefix)
A_FILE = click.Path(dir_okay=False, path_type=Path)
A_GIVEN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="livehub", prog_name="loadtest")
def main() -> None:
    """Load servers that push: users in Python, an open model, and proof of who heard what.

    `list` shows what there is to run; then, for example:

    python -m loadtest run conference --host http://127.0.0.1:3002 -u 500 -r 50 -t 60s --html report.html
    """
    # How long a secret must be is for the server under test to say, once, and not for PyJWT at each token.
    warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)


@main.command(epilog=EPILOG)
@click.argument("scenario")
@click.option("-H", "--host", required=True, metavar="URL", help="The server, such as http://127.0.0.1:3002.")
@click.option("-u", "--users", type=click.IntRange(1), default=1, show_default=True, help="Users at the peak.")
@click.option("-r", "--spawn-rate", "rate", type=RATE, default="1", show_default=True, metavar="N",
              help="Users that come (or go) per second, over all processes.")  # fmt: skip
@click.option("-t", "--run-time", "run_time_s", type=RUN_TIME, default=0.0, metavar="TIME",
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
@click.option("--csv", type=PREFIX, metavar="PREFIX",
              help="PREFIX_stats.csv, PREFIX_timeline.csv and PREFIX_failures.csv.")  # fmt: skip
@click.option("--html", type=A_FILE, metavar="FILE", help="The report, in one file.")
@click.option("--json", type=A_FILE, metavar="FILE", help="All results; a later run's --baseline.")
@click.option("--fail-if", multiple=True, metavar="CONDITION",
              help="'fanout.p99>100ms', 'lost>0': then the exit code is 1. May be given often.")  # fmt: skip
@click.option("--baseline", type=A_GIVEN_FILE, metavar="FILE",
              help="The --json of an earlier run to compare with.")  # fmt: skip
@click.option("--max-regress", "max_regress_percent", type=PERCENT, metavar="PERCENT",
              help=f"So much worse than the baseline is still well.  [default: {MAX_REGRESS_PERCENT:g}%]")  # fmt: skip
def run(
    target_name: str,
    options: tuple[str, ...],
    pinned: list[int],
    seed: int | None,
    max_cpu_percent: float,
    max_lag_s: float,
    max_regress_percent: float | None,
    **given: Any,
) -> None:
    """Run SCENARIO: the name of a shipped one (see `list`) or the path of a .py file."""
    scenario = _scenario(given["scenario"])
    checks.check_host(given["host"])
    checks.check_target(scenario, target_name, given["secret"])
    checks.check_trust(given["ca"], given["insecure"])
    checks.check_cores(pinned)
    if given["web"]:
        checks.check_page(given["web_host"], given["web_port"])
    if max_regress_percent is not None and given["baseline"] is None:
        raise click.UsageError("--max-regress says how much worse than a --baseline: give that, too")
    drawn = secrets.randbelow(SEEDS) if seed is None else seed
    settings = Settings(
        target=target_name,
        options=checks.options_of(scenario, options),
        seed=drawn,
        cores=pinned,
        command=command(sys.argv[1:], given["secret"], drawn if seed is None else None),
        limits=Limits(cpu=max_cpu_percent / 100, lag_ms=max_lag_s * 1_000),
        max_regress_percent=MAX_REGRESS_PERCENT if max_regress_percent is None else max_regress_percent,
        **given,
    )
    checks.check_shape(scenario, settings)
    checks.check_judges(settings)
    checks.check_reports(settings)
    from loadtest import runner  # noqa: PLC0415 - a worker needs no reports and no web server: half its memory

    try:
        result = trio.run(runner.run, settings, scenario)
    except runner.NotWritten:
        raise SystemExit(2) from None
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
            bounds = f" ({option.allowed})" if option.allowed else ""
            click.echo(f"  {setting:<{width}}  {option.help}{bounds}")
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
