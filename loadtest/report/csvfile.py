"""Three CSV files for spreadsheets and scripts, with Locust's columns where it has them; latencies in milliseconds.

A spreadsheet runs a cell that begins with `=`, and error codes are the words of a server under test: such texts get a
leading apostrophe.

Counts and percentiles of a row are of the same thing: of an ask those that were acked, with the others as failures.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from loadtest.measure.histograms import Distribution
from loadtest.measure.result import LATENCY_KINDS, Asks, Delivery, Latency, Moment, Result
from loadtest.report.verdict import OF_DELIVERY, measured

PERCENTILES = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100)
STATS = (
    "Type",
    "Name",
    "Request Count",
    "Failure Count",
    "Median Response Time",
    "Average Response Time",
    "Min Response Time",
    "Max Response Time",
    "Average Content Size",
    "Requests/s",
    "Failures/s",
    *(f"{percentile:g}%" for percentile in PERCENTILES),
    "Delivered %",
)
FAILURES = ("Type", "Name", "Error", "Occurrences")

Cell = str | int | float | None


def write(prefix: str, result: Result) -> list[Path]:
    """`prefix_stats.csv`, `prefix_timeline.csv` and `prefix_failures.csv`; the paths written."""
    moments = [field.name for field in attrs.fields(Moment)]
    stats, timeline, failures = paths(prefix)
    return [
        _file(stats, STATS, _stats(result)),
        _file(timeline, ("Timestamp", *moments), _timeline(result)),
        _file(failures, FAILURES, _failures(result)),
    ]


def paths(prefix: str) -> list[Path]:
    """The files' names."""
    return [Path(f"{prefix}_{what}.csv") for what in ("stats", "timeline", "failures")]


def _file(path: Path, heads: Sequence[str], rows: Iterator[Sequence[Cell]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return path


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _stats(result: Result) -> Iterator[Sequence[Cell]]:
    seconds = result.run.duration_s or len(result.timeline) or 1
    acks = result.latencies.get("ack", {})
    requests = failures = 0
    for event in sorted({*result.asks, *acks}):
        latency = acks.get(event, Latency())
        ask = result.asks.get(event, Asks(sent=latency.count, acked=latency.count))
        count, failed = latency.count or _taken(ask), ask.failed + ask.refusals
        requests, failures = requests + count, failures + failed
        yield _stat("ask", event, count, failed, latency, seconds, None)
    for kind in LATENCY_KINDS:
        if kind != "ack":
            for name, latency in sorted(result.latencies.get(kind, {}).items()):
                delivery = result.delivery if kind in OF_DELIVERY else None
                yield _stat(kind, name, latency.count, None, latency, seconds, delivery)
    if result.asks or acks:
        yield _stat("", "Aggregated", requests, failures, _together(acks.values()), seconds, None)


def _taken(ask: Asks) -> int:
    """How many were acked; of what wants no ack, how many were sent."""
    return ask.acked if ask.acked or ask.failed or ask.refusals else ask.sent


def _together(latencies: Iterable[Latency]) -> Latency:
    all_of_them = Distribution()
    for latency in latencies:
        all_of_them.add(latency.hdr)
    return all_of_them.latency()


def _stat(
    kind: str, name: str, count: int, failed: int | None, latency: Latency, seconds: float, delivery: Delivery | None
) -> list[Cell]:
    told = latency.count > 0
    points: list[Cell] = [None] * (1 + len(PERCENTILES))
    if told:
        points = [us / 1000 for us in Distribution.of(latency.hdr).percentiles((0, *PERCENTILES))]
    least, *spread = points
    return [
        kind,
        name,
        count,
        failed,
        latency.p50 / 1000 if told else None,
        round(latency.mean / 1000, 3) if told else None,
        least,
        latency.max / 1000 if told else None,
        None,  # what one answer weighs is not measured
        round(count / seconds, 3),
        None if failed is None else round(failed / seconds, 3),
        *spread,
        None
        if delivery is None
        else round(delivery.percent, 6)
        if delivery.complete
        else min(delivery.percent, 99.999999),
    ]


def _timeline(result: Result) -> Iterator[Sequence[Cell]]:
    try:
        started = datetime.fromisoformat(result.run.started)
    except ValueError:
        started = None
    for moment in result.timeline:
        at = (started + timedelta(seconds=moment.t)).isoformat() if started else None
        yield [at, *attrs.astuple(moment)]


def _failures(result: Result) -> Iterator[Sequence[Cell]]:
    for reason in result.invalid_because:
        yield ["run", result.run.scenario, f"invalid: {reason}", 1]
    for event, ask in sorted(result.asks.items()):
        for code, times in sorted(ask.refused.items()):
            yield ["ask", event, code, times]
        if ask.failed:
            yield ["ask", event, "no answer", ask.failed]
    for error in ("lost", "duplicate", "out_of_order"):
        if times := getattr(result.delivery, error):
            yield ["delivery", "", error, times]
    for name, times in sorted(result.counters.items()):
        if name.startswith("failed.") and times and name.removeprefix("failed.") not in result.asks:
            yield ["client", name.removeprefix("failed."), "failed", times]
    for condition in result.conditions:
        if condition.holds:
            yield ["condition", condition.text, f"measured {measured(condition)}", 1]
    for regression in result.regressions:
        yield ["baseline", regression.name, regression.text, 1]
    for failure in result.failures:
        yield ["scenario", result.run.scenario, failure, 1]
