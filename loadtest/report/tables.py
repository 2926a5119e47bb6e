"""The parts of a page that are not charts: headline figures and tables, as HTML. Every text passes `escape`."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import attrs

from loadtest.measure.result import Asks, Delivery, Latency
from loadtest.report.figures import MISSING, count, duration, milliseconds, percent, share, size
from loadtest.report.verdict import KINDS, OF_DELIVERY, beside, loss

Latencies = Mapping[str, Mapping[str, Latency]]

COLUMNS = ("p50", "p90", "p95", "p99", "p999", "max", "mean")
_NOTHING = ("0", MISSING)
TITLES = {"p999": "p99.9"}

HEADLINES = {"fanout": "Fan-out", "last": "Last receiver", "ack": "Ack", "recovery": "Recovery"}


@attrs.frozen
class Figure:
    """One number that is read before all others."""

    name: str
    value: str
    beside: str = ""
    bad: str = ""


def figures(shown: Iterable[Figure]) -> str:
    """The headline numbers in a row."""
    return f'<dl class="figures">{"".join(map(_figure, shown))}</dl>'


def _figure(figure: Figure) -> str:
    beside = f"<small>{escape(figure.beside)}</small>" if figure.beside else ""
    bad = f'<small class="bad">{escape(figure.bad)}</small>' if figure.bad else ""
    return f"<div><dt>{escape(figure.name)}</dt><dd>{escape(figure.value)}{beside}{bad}</dd></div>"


def delivery_figures(delivery: Delivery, latencies: Latencies) -> list[Figure]:
    """Delivery first; then the latencies, with what is missing beside those that only count what arrived."""
    percent_text = percent(delivery.percent) if delivery.expected else MISSING
    lost = f"{count(delivery.lost)} of {count(delivery.expected)} lost" if loss(delivery) else ""
    shown = [Figure("Delivered", percent_text, "" if lost else f"{count(delivery.delivered)} deliveries", lost)]
    for kind, title in HEADLINES.items():
        named = latencies.get(kind)
        if not named or not any(latency.count for latency in named.values()):
            continue
        name, latency = max(named.items(), key=lambda item: item[1].count)
        also = f"p50 {duration(latency.p50)}" + (f", {name}" if len(named) > 1 else "")
        bad = beside(delivery) if kind in OF_DELIVERY else ""
        shown.append(Figure(f"{title} p99", duration(latency.p99), also, bad))
    return shown


def bytes_figure(counters: Mapping[str, int]) -> list[Figure]:
    """What went over the clients' sockets; nothing if nobody ever connected."""
    received, sent = counters.get("bytes.in", 0), counters.get("bytes.out", 0)
    return [Figure("Bytes received", size(received), f"{size(sent)} sent")] if received or sent else []


def delivery_table(delivery: Delivery) -> str:
    """What members of a room had to hear, and what they heard."""
    rows = [
        row("Had to arrive", count(delivery.expected)),
        row("Arrived", count(delivery.delivered)),
        row("Lost", count(delivery.lost), bad=True),
        row("Arrived more than once", count(delivery.duplicate), bad=True),
        row("Arrived out of order", count(delivery.out_of_order), bad=True),
    ]
    return table('<th class="l">Delivery, per receiver</th><th></th>', rows)


def latencies_table(latencies: Latencies, delivery: Delivery) -> str:
    """Milliseconds, one row per kind and name."""
    heads = "".join(f"<th>{TITLES.get(column, column)}</th>" for column in COLUMNS)
    rows = []
    for kind, title in KINDS.items():
        named = {name: latency for name, latency in latencies.get(kind, {}).items() if latency.count}
        if not named:
            continue
        missing = beside(delivery) if kind in OF_DELIVERY else ""
        warning = f' <span class="bad">{escape(missing)}</span>' if missing else ""
        rows.append(f'<tr class="kind"><td colspan="{len(COLUMNS) + 2}">{escape(title)}{warning}</td></tr>')
        rows += [
            row(name, count(latency.count), *(milliseconds(getattr(latency, column)) for column in COLUMNS))
            for name, latency in sorted(named.items())
        ]
    return table(f'<th class="l">Latency, ms</th><th>count</th>{heads}', rows)


def asks_table(asks: Mapping[str, Asks]) -> str:
    """What users asked for and what they were told."""
    rows, any_refused = [], any(ask.refused for ask in asks.values())
    for event, ask in sorted(asks.items(), key=lambda item: -item[1].sent):
        codes = "".join(f"<span>{escape(code)} {count(times)}</span>" for code, times in sorted(ask.refused.items()))
        told = f'<td class="l wrap"><span class="codes soft">{codes}</span></td>' if any_refused else ""
        cells = (ask.sent, ask.acked, share(ask.acked, ask.sent), ask.refusals, ask.failed)
        rows.append(row(event, *(cell if isinstance(cell, str) else count(cell) for cell in cells), raw=told))
    heads = "".join(f"<th>{head}</th>" for head in ("sent", "acked", "acked %", "refused", "failed"))
    heads += '<th class="l">refused, by code</th>' if any_refused else ""
    return table(f'<th class="l">Ask</th>{heads}', rows)


def pairs_table(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values, both as text."""
    rows = [
        f'<tr><td class="soft">{escape(name)}</td><td class="l wrap">{escape(str(value))}</td></tr>'
        for name, value in pairs
    ]
    return f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'


def row(name: str, *cells: str, raw: str = "", bad: bool = False) -> str:
    """A name and its numbers; `raw` is HTML, `bad` colours every number that is not nothing."""
    style = "bad" if bad else ""
    told = "".join(f'<td class="{"zero" if cell in _NOTHING else style}">{escape(cell)}</td>' for cell in cells)
    return f'<tr><td class="l">{escape(name)}</td>{told}{raw}</tr>'


def table(heads: str, rows: Sequence[str]) -> str:
    """Head cells and rows, both HTML; it scrolls by itself where it is too wide."""
    if not rows:
        return '<p class="soft">none</p>'
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
