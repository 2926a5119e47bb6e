"""The end of a run: the result is drawn up, held against conditions and a baseline, and written."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from loadtest.measure import baseline, conditions, machine
from loadtest.measure.book import Book
from loadtest.measure.result import Result
from loadtest.observer import Observer
from loadtest.report import csvfile, html
from loadtest.settings import Settings

HINTS = {"https": " (if its certificate is not trusted: --ca FILE or --insecure)"}


def judge(
    settings: Settings,
    book: Book,
    observer: Observer,
    duration_s: float,
    failures: Iterable[str],
    invalid: Iterable[str],
) -> Result:
    """The result with its verdicts."""
    totals = book.totals()
    if totals.get("failed.connect") and not totals.get("connects"):
        invalid = [*invalid, f"nobody could connect to {settings.host}{HINTS.get(settings.host.partition(':')[0], '')}"]
    result = book.result(
        observer.info(duration_s),
        machine=machine.describe(),
        server=observer.changes(),
        failures=failures,
        invalid=invalid,
    )
    result = conditions.apply(result, [conditions.parse(text) for text in settings.fail_if])
    if settings.baseline is not None:
        before = Result.from_json(settings.baseline.read_bytes())
        result = attrs.evolve(result, regressions=baseline.compare(result, before, settings.max_regress_percent))
    return result


def write_reports(settings: Settings, result: Result) -> list[str]:
    """Write what was asked for; the names of the files."""
    written: list[str] = []
    if settings.json is not None:
        settings.json.write_bytes(result.to_json())
        written.append(str(settings.json))
    if settings.html is not None:
        html.write(settings.html, result)
        written.append(str(settings.html))
    if settings.csv is not None:
        written += map(str, csvfile.write(str(settings.csv), result))
    return written
