"""The report: one HTML file that stands alone, opens without a network and is dark where the reader is.

A Content-Security-Policy in the page itself lets nothing be fetched and only this script run, so a hostile text from a
server under test (an error code, a metric's name) stays text even if an `escape` were forgotten.
"""

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

import attrs

from loadtest.measure.histograms import Distribution
from loadtest.measure.result import Result
from loadtest.measure.result import Verdict as Condition
from loadtest.report import serverside, tables
from loadtest.report.charts import Chart, draw
from loadtest.report.figures import clock, count
from loadtest.report.plots import distribution, over_time
from loadtest.report.tables import Figure
from loadtest.report.verdict import MARKS, Judgement, beside, judge, loss, measured


def write(path: Path, result: Result) -> None:
    """The report as a file."""
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    """The whole report."""
    run = result.run
    body = (
        f"<header><h1>{escape(run.scenario)} <span>load test</span></h1>{_lead(result)}</header>"
        f"{verdict_section(judge(result))}{_headline(result)}{_outcome(result)}"
        f"<h2>Over time</h2>{grid(over_time(_rows(result), loss=beside(result.delivery), lasts_s=run.duration_s))}"
        f"<h2>Latency by percentile</h2>{_note(result)}{grid(_distributions(result))}"
        f"{tables.latencies_table(result.latencies, result.delivery)}"
        f"<h2>Asks</h2>{tables.asks_table(result.asks)}"
        f"<h2>The server’s own numbers</h2>{_server(result)}"
        f"<h2>How it was made</h2>{_origin(result)}"
    )
    return document(f"{run.scenario}: load test report", body)


def document(title: str, body: str, *, scripts: tuple[str, ...] = (), connect: bool = False) -> str:
    """A page with the style sheet and the scripts inside; `connect` allows it to ask its own server for more."""
    texts = (asset("page.js"), *scripts)
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in texts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'; form-action 'none'"
    policy += "; connect-src 'self'" if connect else ""
    inline = "".join(f"<script>{text}</script>" for text in texts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{asset('page.css')}</style></head>"
        f"<body><main>{body}</main>{inline}</body></html>\n"
    )


@cache
def asset(name: str) -> str:
    """A file that lies beside this module."""
    return (files(__package__ or "loadtest.report") / name).read_text(encoding="utf-8")


def grid(charts: Iterable[Chart]) -> str:
    """Charts on the page's twelve columns."""
    return f'<div class="charts">{"".join(map(draw, charts))}</div>'


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _rows(result: Result) -> list[dict[str, float | None]]:
    return [attrs.asdict(point) for point in result.timeline]


def _lead(result: Result) -> str:
    run = result.run
    polling = f", {run.polling_percent:g} % by polling" if run.polling_percent else ""
    cut = f" of {clock(run.asked_s)} (cut short)" if run.cut_short else ""
    return (
        f'<p class="lead"><b>{count(run.users)} users</b>, {run.rate:g} more each second{polling}, for '
        f"<b>{clock(run.duration_s)}</b>{cut} against <b>{escape(run.target)}</b> at {escape(run.host)}; "
        f"{escape(_day(run.started))}</p>"
    )


def _day(started: str) -> str:
    """`21 November 2026, 14:03 UTC`; what is no time stays as it is."""
    try:
        at = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def verdict_section(judgement: Judgement, more: str = "") -> str:
    """The verdict and its reasons; `more` is HTML."""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in judgement.reasons)
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    said = f"<strong>{MARKS[judgement.level]} {escape(judgement.headline)}</strong>"
    return f'<section class="verdict {judgement.level}" role="status">{said}{listed}{more}</section>'


def _headline(result: Result) -> str:
    rates = [moment.delivered for moment in result.timeline]
    most = max(rates, default=0)
    shown = tables.delivery_figures(result.delivery, result.latencies)
    if most:
        mean = sum(rates) / len(rates)
        shown.append(Figure("Pushes heard per second", count(mean), f"at most {count(most)}"))
    shown += tables.bytes_figure(result.counters)
    return tables.figures(shown)


def _outcome(result: Result) -> str:
    """Conditions and regressions, and beside them the delivery in full."""
    conditions = ""
    if result.conditions:
        heads = '<th>Fail if</th><th class="l">measured</th><th></th>'
        rows = "".join(_condition(condition, result.valid) for condition in result.conditions)
        conditions = f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    worse = "".join(f'<li class="bad">{escape(regression.text)}</li>' for regression in result.regressions)
    baseline = f"<h3>Worse than the baseline</h3><ul>{worse}</ul>" if worse else ""
    delivery = tables.delivery_table(result.delivery) if result.delivery.expected else ""
    halves = [half for half in (conditions + baseline, delivery) if half]
    return f'<div class="two outcome">{"".join(f"<div>{half}</div>" for half in halves)}</div>' if halves else ""


def _condition(condition: Condition, valid: bool) -> str:
    kind, word = ("bad", "✗ failed") if condition.holds else ("good", "✓ passed")
    if not valid:
        kind, word = "soft", "not judged"
    return (
        f'<tr><td><code>{escape(condition.text)}</code></td><td class="l">{escape(measured(condition))}</td>'
        f'<td class="l {kind}">{word}</td></tr>'
    )


def _note(result: Result) -> str:
    missing = loss(result.delivery)
    if not missing:
        return ""
    return f'<p class="bad">Delivery latencies are those of what arrived: {escape(missing)}.</p>'


def _distributions(result: Result) -> list[Chart]:
    """Deliveries, answers, and coming and going; each only if there was any."""
    missing = beside(result.delivery)
    groups = (
        ("Deliveries", ("fanout", "last"), missing),
        ("Answers", ("ack",), ""),
        ("Coming and going", ("connect", "join", "recovery"), ""),
    )
    drawn = []
    for title, kinds, warning in groups:
        named = {
            _line_name(kind, name, len(result.latencies[kind]), len(kinds)): Distribution.of(latency.hdr)
            for kind in kinds
            for name, latency in result.latencies.get(kind, {}).items()
            if latency.count and latency.hdr
        }
        if named:
            drawn.append((title, named, warning))
    span = {1: 12, 2: 6}.get(len(drawn), 4)
    return [distribution(title, named, span=span, loss=warning) for title, named, warning in drawn]


def _line_name(kind: str, name: str, names: int, kinds: int) -> str:
    """Short enough to stand at a line's end: the kind where that is enough, else the end of the event's name."""
    if kinds > 1 and names == 1:
        return {"fanout": "each", "last": "last"}.get(kind, kind)
    return name if kinds == 1 else f"{kind} {name}"


def _server(result: Result) -> str:
    if not result.server:
        return '<p class="soft">The target has no metrics page that could be read.</p>'
    sides = serverside.sides_table(result.counters, result.server)
    timed = serverside.spreads_table(result.server)
    changed = serverside.changes_table(result.server)
    rest = f"<details><summary>Every other metric that changed</summary>{changed}</details>" if changed else ""
    return f"{sides}{timed}{rest}"


def _origin(result: Result) -> str:
    run = result.run
    about = [
        ("Started", run.started),
        ("Seed", run.seed),
        ("Generator processes", run.processes),
        ("A generator is late from", f"{run.max_generator_cpu:.0%} of a core, {run.max_generator_lag_ms:g} ms"),
        ("Commit", run.commit),
        *run.versions.items(),
    ]
    machine = [(name.replace("_", " "), value) for name, value in result.machine.items() if value != ""]
    counters = [(name, count(value)) for name, value in sorted(result.counters.items())]
    return (
        f"<p>Run it again:</p><pre>{escape(run.command)}</pre>"
        f'<div class="two"><div><h3>Run</h3>{tables.pairs_table(about)}</div>'
        f"<div><h3>Machine</h3>{tables.pairs_table(machine)}</div></div>"
        f"<details><summary>Every counter of the clients</summary>{tables.pairs_table(counters)}</details>"
        f"<footer>Latencies count from the intended time of sending and are kept in HDR histograms with three digits. "
        f"All {count(run.processes)} generator processes ran on one machine and share its clock.</footer>"
    )
