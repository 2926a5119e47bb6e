"""What is looked at before a run, so that nobody is told after an hour of it: each raises `click.UsageError`."""

from __future__ import annotations

import copy
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from loadtest import trust
from loadtest.measure.conditions import BadCondition, parse
from loadtest.measure.result import BadResult, Result
from loadtest.options import parsed
from loadtest.report import csvfile
from loadtest.scenario import Scenario, plain_name, shape_of
from loadtest.settings import Settings
from loadtest.targets import UnknownTarget, target


def options_of(scenario: Scenario, given: tuple[str, ...]) -> dict[str, Any]:
    """The scenario's options as they are for this run."""
    try:
        options = parsed(scenario.options, given)
        if scenario.check is not None:
            scenario.check(options)
    except ValueError as error:
        raise click.UsageError(f"{scenario.name}: {error}") from error
    return options.as_dict()


def check_shape(scenario: Scenario, settings: Settings) -> None:
    """The shape knows what it wants at first: one that is made of shares of the run time needs a run time."""
    try:
        shape = copy.deepcopy(shape_of(scenario))  # which may count how often it was asked
        shape.begin(users=settings.users, rate=settings.rate, run_time_s=settings.run_time_s)
        shape.at(0.0)
    except Exception as error:
        raise click.UsageError(f"{scenario.name}: {error if isinstance(error, ValueError) else repr(error)}") from error


def check_host(host: str) -> None:
    """A URL that can be connected to."""
    parts = urlsplit(host)
    try:
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # no port has this number
        known = False
    if not known:
        raise click.UsageError(f"--host {host}: write it as http://HOST:PORT or https://HOST:PORT")


def check_target(scenario: Scenario, name: str, secret: str) -> None:
    """The target is there and can do what the scenario needs."""
    try:
        missing = target(name, secret).missing(scenario.needs)
    except UnknownTarget as unknown:
        raise click.UsageError(str(unknown)) from unknown
    if missing:
        raise click.UsageError(f"{scenario.name} needs {', '.join(missing)}, which the target {name} cannot do")


def check_cores(pinned: list[int]) -> None:
    """The cores are there."""
    last = (os.cpu_count() or 1) - 1  # not those that this process is pinned to: another process may have others
    if pinned and max(pinned) > last:
        raise click.UsageError(f"--affinity: there is no core {max(pinned)} here, they are 0 to {last}")


def check_trust(ca: Path | None, insecure: bool) -> None:
    """The certificates can be read."""
    if ca is not None and insecure:
        raise click.UsageError("--ca says whom to trust and --insecure to trust anybody: give one of them")
    try:
        trust.context(str(ca or ""))
    except trust.NotTrusted as wrong:
        raise click.UsageError(str(wrong)) from wrong


def check_page(host: str, port: int) -> None:
    """The live page can have its address. It is given back at once: the page takes it when the users are ready."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise click.UsageError(
            f"the live page cannot listen on {host}:{port} ({why}): give another --web-port, or 0 for any"
        ) from error


def check_judges(settings: Settings) -> None:
    """Conditions can be read, and the baseline is one of the same scenario on the same kind of server."""
    try:
        for text in settings.fail_if:
            parse(text)
    except BadCondition as error:
        raise click.UsageError(str(error)) from error
    if settings.baseline is None:
        return
    try:
        before = Result.from_json(settings.baseline.read_bytes()).run
    except (BadResult, OSError) as error:
        raise click.UsageError(f"--baseline {settings.baseline}: {error}") from error
    was, now = (plain_name(before.scenario), before.target), (plain_name(settings.scenario), settings.target)
    if was != now:
        raise click.UsageError(
            f"--baseline {settings.baseline} is a run of {was[0]} on {was[1]}, "
            f"and this is one of {now[0]} on {now[1]}: they cannot be compared"
        )


def check_reports(settings: Settings) -> None:
    """Every report can be written, and none over another."""
    files = list(_reports(settings))
    for option, file in files:
        parent = file.absolute().parent
        if not parent.is_dir():
            raise click.UsageError(f"{option} {file}: there is no directory {parent}")
        if file.is_dir():
            raise click.UsageError(f"{option} {file}: that is a directory")
        if not os.access(file if file.exists() else parent, os.W_OK):
            raise click.UsageError(f"{option} {file}: it may not be written")
    twice = [file for file, times in Counter(file.resolve() for _, file in files).items() if times > 1]
    if twice:
        raise click.UsageError(f"{twice[0]}: two reports cannot be one file")


def _reports(settings: Settings) -> Iterator[tuple[str, Path]]:
    for option, file in (("--html", settings.html), ("--json", settings.json)):
        if file is not None:
            yield option, file
    if settings.csv is not None:
        for path in csvfile.paths(str(settings.csv)):
            yield "--csv", path
