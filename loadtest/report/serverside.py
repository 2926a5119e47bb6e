"""The server's own `/metrics` beside the clients' numbers, as HTML tables.

Prometheus histograms are a dozen lines each that nobody reads; here each is one row. Its percentiles are what buckets
can tell: an upper bound.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from loadtest.measure.result import ServerMetric
from loadtest.report.figures import MISSING, count, duration, duration_tick, number, share
from loadtest.report.tables import row, table

SIDES: Sequence[tuple[str, str, str]] = (
    ("Connections opened", "connects", "livehub_connections_opened_total"),
    ("Pushes heard, frames broadcast", "delivered.", "livehub_fanout_frames_total"),
    ("Bytes read, bytes broadcast", "bytes.in", "livehub_fanout_bytes_total"),
    ("Refused", "refused.", "livehub_refusals_total"),
)
"""What both sides count: its name, the clients' counter (with a dot at the end: all below it), the server's metric."""

_SECONDS = "_seconds"
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


@attrs.define
class _Spread:
    """One histogram's change: how many values, their sum, and how many were at most so large."""

    count: float = 0
    sum: float = 0
    upto: dict[float, float] = attrs.field(factory=dict)

    def bound(self, quantile: float) -> float | None:
        """The smallest bucket that holds so large a part of the values."""
        for bound, values in sorted(self.upto.items()):
            if values >= quantile * self.count:
                return bound
        return None


def sides_table(counters: Mapping[str, float], server: Sequence[ServerMetric]) -> str:
    """The same thing counted by both sides, side by side; empty for a server whose metrics are not known."""
    rows = []
    for title, ours, theirs in SIDES:
        changes = [line.delta for line in server if _split(line.name)[0] == theirs]
        counted = [n for name, n in counters.items() if name == ours or (ours[-1] == "." and name.startswith(ours))]
        if changes and (counted or sum(changes)):
            client = sum(counted) if counted else None
            compared = share(sum(changes), client) if client else MISSING
            rows.append(row(title, count(client), count(sum(changes)), compared))
    heads = '<th class="l">Counted on both sides</th><th>clients</th><th>server</th><th>server / clients</th>'
    return table(heads, rows) if rows else ""


def spreads_table(server: Sequence[ServerMetric]) -> str:
    """What the server timed or measured itself."""
    rows = []
    for (name, labels), spread in sorted(_spreads(server).items()):
        if spread.count:
            text = _seconds if name.endswith(_SECONDS) else number
            bounds = (_at_most(spread.bound(quantile), name) for quantile in (0.5, 0.99))
            told = f"{name}{{{labels}}}" if labels else name
            rows.append(row(told, count(spread.count), text(spread.sum / spread.count), *bounds))
    heads = '<th class="l">Timed by the server</th><th>count</th><th>mean</th><th>p50</th><th>p99</th>'
    return table(heads, rows) if rows else ""


def changes_table(server: Sequence[ServerMetric]) -> str:
    """Every other metric that changed."""
    spreads = {name for name, _ in _spreads(server)}
    rows = [
        row(line.name, number(line.before), number(line.after), number(line.delta))
        for line in server
        if line.delta and _family(_split(line.name)[0]) not in spreads
    ]
    heads = '<th class="l">Metric</th><th>before</th><th>after</th><th>change</th>'
    return table(heads, rows) if rows else ""


def _seconds(seconds: float) -> str:
    return duration(seconds * 1e6)


def _spreads(server: Sequence[ServerMetric]) -> dict[tuple[str, str], _Spread]:
    spreads: dict[tuple[str, str], _Spread] = {}
    for line, bound, labels in _buckets(server):
        name = _split(line.name)[0].removesuffix("_bucket")
        spreads.setdefault((name, labels), _Spread()).upto[bound] = line.delta
    for line in server:
        name, labels = _split(line.name)
        spread = spreads.get((_family(name), labels))
        if spread is not None and name.endswith("_count"):
            spread.count = line.delta
        if spread is not None and name.endswith("_sum"):
            spread.sum = line.delta
    return spreads


def _buckets(server: Sequence[ServerMetric]) -> Iterator[tuple[ServerMetric, float, str]]:
    for line in server:
        name, labels = _split(line.name)
        pairs: list[tuple[str, str]] = _LABEL.findall(labels)
        bound = dict(pairs).get("le")
        if name.endswith("_bucket") and bound is not None:
            others = ",".join(f'{label}="{value}"' for label, value in pairs if label != "le")
            yield line, float(bound), others


def _split(name: str) -> tuple[str, str]:
    """A sample's name and what stands between its braces."""
    family, _, labels = name.partition("{")
    return family, labels.removesuffix("}")


def _family(name: str) -> str:
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _at_most(bound: float | None, name: str) -> str:
    if bound is None:
        return MISSING
    if math.isinf(bound):
        return "beyond the buckets"
    return f"≤ {duration_tick(bound * 1e6) if name.endswith(_SECONDS) else number(bound)}"
