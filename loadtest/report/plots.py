"""Which charts a run deserves: over time from its timeline, and the distributions from its HDR histograms."""

from collections.abc import Mapping, Sequence
from functools import partial

from loadtest.measure.histograms import Distribution
from loadtest.measure.pulse import CPU_LIMIT, LAG_LIMIT_MS
from loadtest.report.charts import Chart, Limit, Series
from loadtest.report.figures import clock, count, duration, duration_tick, short
from loadtest.report.scales import Seconds, Tail

POINTS_MAX = 400
"""More than a chart has pixels for. A longer run is thinned out: rates by their mean, what hurts by its worst."""

LINES_MAX = 5

Row = Mapping[str, float | None]

_WORST = ("fanout_p99", "ack_p99", "lag_ms", "cpu", "wait", "server_cpu", "server_wait", "server_rss_mb", "refused")
_LAST = ("t", "users", "connected")


def thin(rows: Sequence[Row], most: int = POINTS_MAX) -> tuple[list[dict[str, float | None]], int]:
    """At most so many rows, and how many seconds each of them stands for."""
    width = -(-len(rows) // most) or 1
    if width == 1:
        return [dict(row) for row in rows], 1
    parts = [rows[start : start + width] for start in range(0, len(rows), width)]
    return [{name: _merged(name, part) for name in part[0]} for part in parts], width


def _merged(name: str, part: Sequence[Row]) -> float | None:
    values = [value for row in part if (value := row.get(name)) is not None]
    if not values:
        return None
    if name in _LAST:
        return values[-1]
    return max(values) if name in _WORST else sum(values) / len(values)


def over_time(rows: Sequence[Row], *, loss: str = "", lasts_s: float | None = None) -> list[Chart]:
    """Users, rates, latencies, then what server and generator spent. `loss` stands beside every delivery latency."""
    thinned, width = thin(rows)
    ends = max(lasts_s or 0, thinned[-1]["t"] or 0) if thinned else 1
    xs = [row["t"] or 0 for row in thinned]
    note = f"each point: {width} s" if width > 1 else ""

    def lines(*named: tuple[str, str, int], scaled: float = 1, filled: bool = False) -> list[Series]:
        return [
            Series(
                name, [None if (value := row.get(field)) is None else value * scaled for row in thinned], colour, filled
            )
            for field, name, colour in named
        ]

    chart = partial(Chart, xs=xs, x=Seconds(ends), x_text=partial(_at, width), x_tick=clock)
    counts = partial(chart, y_text=count, y_tick=short)
    late = partial(chart, y_text=duration, y_tick=duration_tick, span=6, may_be_logarithmic=True)
    percents = partial(chart, y_text=_percent, y_tick=_percent, span=3)
    return [
        counts("Users", series=lines(("users", "users", 6), ("connected", "connected", 1)), note=note),
        counts(
            "Asks per second",
            series=lines(("sent", "sent", 6), ("acked", "acked", 1), ("refused", "refused", 2)),
            note=note,
        ),
        counts("Pushes heard per second", series=lines(("delivered", "pushes", 3), filled=True), note=note),
        late(
            "Fan-out: from the intended send to a receiver",
            series=lines(("fanout_p99", "p99", 2), ("fanout_p50", "p50", 1)),
            note=note,
            warning=loss,
        ),
        late(
            "Ack: from the intended send to the answer",
            series=lines(("ack_p99", "p99", 2), ("ack_p50", "p50", 1)),
            note=note,
        ),
        percents(
            "Server CPU",
            series=lines(("server_cpu", "CPU", 3), ("server_wait", "waits", 2), scaled=100, filled=True),
            note="100 % is a core; waits for one",
        ),
        chart("Server memory", series=lines(("server_rss_mb", "RSS", 3), filled=True), span=3, y_text=_mb, y_tick=_mb),
        percents(
            "Generator CPU",
            series=lines(("cpu", "CPU", 4), ("wait", "waits", 2), scaled=100, filled=True),
            note="busiest process; waits for a core",
            limit=Limit(CPU_LIMIT * 100, f"{CPU_LIMIT:.0%} limit"),
        ),
        late(
            "Generator lag",
            series=lines(("lag_ms", "lag", 4), scaled=1000, filled=True),
            span=3,
            note="worst beat",
            limit=Limit(LAG_LIMIT_MS * 1000, f"{LAG_LIMIT_MS:.0f} ms limit"),
            may_be_logarithmic=False,
        ),
    ]


def distribution(
    title: str, measured: Mapping[str, Distribution], *, span: int = 4, note: str = "", loss: str = ""
) -> Chart:
    """Latency by percentile; the axis gives each nine the same width, as HdrHistogram's own plots do."""
    busiest = sorted(measured.items(), key=lambda item: -item[1].count)[:LINES_MAX]
    most = max((values.count for _, values in busiest), default=10)
    axis = Tail(most)
    grid = axis.grid()
    series = [
        Series(name, _quantiles(values, grid), colour) for colour, (name, values) in enumerate(sorted(busiest), start=1)
    ]
    return Chart(
        title=title,
        xs=grid,
        x=axis,
        x_text=_percentile,
        x_tick=_percentile_tick,
        y_text=duration,
        y_tick=duration_tick,
        series=series,
        span=span,
        tall=True,
        note=note,
        warning=loss,
        may_be_logarithmic=True,
        linked=False,
    )


def _quantiles(values: Distribution, grid: Sequence[float]) -> list[float | None]:
    """The value at each percentile as far as there are values to tell them apart, then the slowest, then nothing."""
    finest = 100 - 100 / values.count if values.count else -1
    told = [percentile for percentile in grid if percentile <= finest]
    line: list[float | None] = [*values.percentiles(told)]
    if values.count:
        line.append(values.max)
    return line + [None] * (len(grid) - len(line))


def _at(width: int, second: float) -> str:
    return f"{clock(second)} into the run" if width == 1 else f"{width} s up to {clock(second)}"


def _percent(value: float) -> str:
    return f"{value:.3g} %"


def _mb(value: float) -> str:
    return f"{value:,.4g} MB"


def _percentile(percentile: float) -> str:
    return "slowest" if percentile == 100 else f"{_percentile_tick(percentile)} are faster"


def _percentile_tick(percentile: float) -> str:
    return f"{percentile:.{_digits(percentile)}f}".rstrip(".") + " %" if percentile else "0"


def _digits(percentile: float) -> int:
    """Decimals that a percentile needs: its first digit other than nine."""
    left = round(100 - percentile, 9)
    digits = 0
    while 0 < left < 1 and digits < 6:
        left, digits = left * 10, digits + 1
    return digits
