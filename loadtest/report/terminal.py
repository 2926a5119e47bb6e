"""The run on a terminal: a live table, plain lines where nobody looks (a pipe, CI, `--headless`), and the last word.

Names of events and codes come from a scenario and a server under test, so they are never read as rich's markup.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtest.measure.book import Snapshot
from loadtest.measure.result import Asks, Delivery, Latency, Moment, Result, RunInfo
from loadtest.report.figures import MISSING, clock, count, duration, percent, share
from loadtest.report.tables import bytes_figure
from loadtest.report.verdict import KINDS, MARKS, OF_DELIVERY, beside, judge, loss, measured

LINE_EVERY_S = 5
"""Between two plain lines: a five-minute run fits on a screen."""

PIPE_COLUMNS = 160
SPARK_POINTS = 60
WAIT_TOLD = 0.1
"""A process that others keep off its core for less of a second than this is as good as alone."""

SPARKS = "▁▂▃▄▅▆▇█"
STYLES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red"}

Latencies = Mapping[str, Mapping[str, Latency]]


async def watch(
    now: Callable[[], Snapshot],
    run: RunInfo,
    *,
    headless: bool = False,
    console: Console | None = None,
    every_s: float = 1,
) -> None:
    """Show the run until cancelled: a table that is drawn over, or lines if `headless` or without a terminal."""
    console = console or made()
    if headless or not console.is_terminal:
        await _lines(now, console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:  # no thread of rich's own
        while True:
            live.update(view(now(), run), refresh=True)
            await trio.sleep(every_s)


def made() -> Console:
    """As wide as the terminal; a pipe has no width, and tables are easier to read there if nothing is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_COLUMNS)


async def _lines(now: Callable[[], Snapshot], console: Console) -> None:
    while True:
        await trio.sleep(LINE_EVERY_S)
        console.print(Text(line(now())), soft_wrap=True)


def line(snapshot: Snapshot) -> str:
    """The run now, as one line of text."""
    last = snapshot.moment
    parts = [
        f"{clock(last.t):>7}",
        f"{count(last.users)} users, {count(last.connected)} connected",
        f"{count(last.sent)} sent/s, {count(last.acked)} acked/s",
        f"{count(last.delivered)} pushes/s, {_delivered(snapshot.delivery)}",
    ]
    if last.fanout_p99 is not None:
        parts.append(" ".join(filter(None, (f"fan-out p99 {duration(last.fanout_p99)}", beside(snapshot.delivery)))))
    if last.ack_p99 is not None:
        parts.append(f"ack p99 {duration(last.ack_p99)}")
    if last.refused:
        parts.append(f"{count(last.refused)} refused/s")
    waits = f", {last.wait:.0%} waiting for a core" if last.wait > WAIT_TOLD else ""
    parts.append(f"generator {last.cpu:.0%} CPU{waits}, {last.lag_ms:.0f} ms late")
    if snapshot.invalid_because:
        parts.append("INVALID so far")
    return "  ".join(parts)


def view(snapshot: Snapshot, run: RunInfo) -> Group:
    """The run now, as tables."""
    last = snapshot.moment
    head = Text.assemble(
        (run.scenario, "bold"),
        f"  {run.target} at {run.host}  ",
        (f"{clock(last.t)} of {clock(run.duration_s)}" if run.duration_s else clock(last.t), "bold"),
    )
    delivered = Text.assemble("Delivery: ", (_delivered(snapshot.delivery), _style(snapshot.delivery)))
    return Group(
        head,
        _now(last, snapshot.timeline),
        Text(),
        delivered,
        *(Text(f"Invalid so far: {reason}", STYLES["bad"]) for reason in snapshot.invalid_because),
        Text(),
        latencies(snapshot.latencies, snapshot.delivery),
        Text(),
        asks(snapshot.asks),
    )


def summary(result: Result, console: Console | None = None) -> None:
    """Everything that matters of a run that is over, the verdict last: where one looks on a terminal."""
    console = console or made()
    told = [latencies(result.latencies, result.delivery), asks(result.asks), _conditions(result)]
    for table in told:
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    judgement = judge(result)
    if result.delivery.expected:
        console.print(Text.assemble("Delivery: ", (_delivered(result.delivery), _style(result.delivery))))
    for figure in bytes_figure(result.counters):
        console.print(Text(f"{figure.name}: {figure.value}, {figure.beside}"))
    console.print(Text(f"{MARKS[judgement.level]} {judgement.headline}", STYLES[judgement.level]), soft_wrap=True)
    for reason in judgement.reasons:
        console.print(Text(f"  {reason}"), soft_wrap=True)


def latencies(measured_latencies: Latencies, delivery: Delivery) -> Table:
    """One row per kind and name; what is missing stands beside the kinds that only count what arrived."""
    table = _table("Latency", "Name", "count", "p50", "p90", "p95", "p99", "p99.9", "max")
    for kind, title in KINDS.items():
        for name, latency in sorted(measured_latencies.get(kind, {}).items()):
            if latency.count:
                told = Text(title)
                if kind in OF_DELIVERY and beside(delivery):
                    told.append(f" {beside(delivery)}", "red")
                points = (latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max)
                _row(table, told, name, count(latency.count), *map(duration, points))
    return table


def asks(asked: Mapping[str, Asks]) -> Table:
    """One row per event, the busiest first."""
    table = _table("Ask", None, "sent", "acked", "acked %", "refused", "failed")
    table.add_column("refused, by code", justify="left")
    for event, ask in sorted(asked.items(), key=lambda item: -item[1].sent):
        codes = ", ".join(f"{code} {count(times)}" for code, times in sorted(ask.refused.items()))
        numbers = (
            count(ask.sent),
            count(ask.acked),
            share(ask.acked, ask.sent),
            count(ask.refusals),
            count(ask.failed),
        )
        _row(table, event, *numbers, codes)
    return table


def spark(values: Iterable[float | None]) -> str:
    """A line of bars from zero; a gap where there is no value."""
    kept = list(values)[-SPARK_POINTS:]
    most = max((value for value in kept if value is not None), default=0)
    if most <= 0:
        return ""
    return "".join(" " if value is None else SPARKS[min(int(value / most * 8), 7)] for value in kept)


def _now(last: Moment, timeline: Sequence[Moment]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    grid.add_column(style="cyan", no_wrap=True)
    recent = timeline[-SPARK_POINTS:]
    grid.add_row(
        "users", f"{count(last.connected)} of {count(last.users)} connected", spark(m.connected for m in recent)
    )
    grid.add_row("asks", f"{count(last.sent)}/s, {count(last.acked)}/s acked", spark(m.sent for m in recent))
    grid.add_row("pushes", f"{count(last.delivered)}/s", spark(m.delivered for m in recent))
    grid.add_row("fan-out p99", duration(last.fanout_p99), spark(m.fanout_p99 for m in recent))
    grid.add_row("ack p99", duration(last.ack_p99), spark(m.ack_p99 for m in recent))
    waits = f", {last.wait:.0%} waiting for a core" if last.wait > WAIT_TOLD else ""
    grid.add_row("generator", f"{last.cpu:.0%} CPU{waits}, {last.lag_ms:.1f} ms late", spark(m.cpu for m in recent))
    if last.server_cpu is not None:
        memory = MISSING if last.server_rss_mb is None else f"{last.server_rss_mb:,.0f} MB"
        waits = f", {last.server_wait:.0%} waiting for a core" if (last.server_wait or 0) > WAIT_TOLD else ""
        grid.add_row("server", f"{last.server_cpu:.0%} CPU{waits}, {memory}", spark(m.server_cpu for m in recent))
    return grid


def _conditions(result: Result) -> Table:
    table = _table("Fail if", None, "measured", "")
    for condition in result.conditions:
        word = Text("failed", "red") if condition.holds else Text("passed", "green")
        word = word if result.valid else Text("not judged", "dim")
        _row(table, condition.text, measured(condition), word)
    return table


def _delivered(delivery: Delivery) -> str:
    if not delivery.expected:
        return "nothing yet to deliver"
    also = [f"{count(number)} {word}" for number, word in _oddities(delivery) if number]
    return ", ".join([loss(delivery) or f"{percent(delivery.percent)} of {count(delivery.expected)}", *also])


def _oddities(delivery: Delivery) -> Sequence[tuple[int, str]]:
    return ((delivery.duplicate, "more than once"), (delivery.out_of_order, "out of order"))


def _style(delivery: Delivery) -> str:
    return "green" if delivery.complete and not any(number for number, _ in _oddities(delivery)) else "red"


def _table(first: str, second: str | None, *numbers: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(first)
    if second is not None:
        table.add_column(second)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _row(table: Table, *cells: str | Text) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
