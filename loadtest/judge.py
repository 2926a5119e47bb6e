"""The end of a run: the result is drawn up, held against conditions and a baseline, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import attrs

from loadtest import turnout
from loadtest.measure import baseline, conditions, machine
from loadtest.measure.book import Book
from loadtest.measure.result import Result
from loadtest.observer import Observer
from loadtest.report import csvfile, html
from loadtest.settings import Settings


def judge(
    settings: Settings,
    book: Book,
    observer: Observer,
    duration_s: float,
    failures: Iterable[str],
    invalid: Iterable[str],
    *,
    expects: frozenset[str] = frozenset(),
    cut_short: bool = False,
) -> Result:
    """The result with its verdicts."""
    totals = book.totals()
    failures = [*failures, *turnout.failures(totals, expects, settings.drain_s)]
    invalid = [*invalid, *turnout.nobody(totals, settings.host)]
    result = book.result(
        observer.info(duration_s, cut_short=cut_short),
        machine=machine.describe(),
        server=observer.changes(),
        failures=failures,
        invalid=invalid,
    )
    result = conditions.apply(result, [conditions.parse(text) for text in settings.fail_if])
    if settings.baseline is not None:
        before = Result.from_json(settings.baseline.read_bytes())
        regressions = baseline.compare(result, before, settings.max_regress_percent)
        result = attrs.evolve(result, regressions=regressions, notes=baseline.differences(result, before))
    return result


def write_reports(settings: Settings, result: Result) -> tuple[list[str], list[str]]:
    """Write what was asked for: the names of the files, and what was wrong with those that could not be written."""
    written: list[str] = []
    troubles: list[str] = []
    for name, write in _writers(settings, result):
        try:
            written += map(str, write())
        except OSError as error:
            troubles.append(f"{name} was not written: {error}")
    return written, troubles


def _writers(settings: Settings, result: Result) -> Iterator[tuple[str, Callable[[], list[Path]]]]:
    def as_json(path: Path) -> list[Path]:
        path.write_bytes(result.to_json())
        return [path]

    def as_html(path: Path) -> list[Path]:
        html.write(path, result)
        return [path]

    if settings.json is not None:
        yield str(settings.json), partial(as_json, settings.json)
    if settings.html is not None:
        yield str(settings.html), partial(as_html, settings.html)
    if settings.csv is not None:
        yield f"{settings.csv}_*.csv", partial(csvfile.write, str(settings.csv), result)
