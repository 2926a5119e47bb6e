"""What a run is worth, in one line and its reasons: the same words on the terminal and on top of the page."""

from collections.abc import Mapping
from statistics import mean
from typing import Literal

import attrs

from loadtest.measure.conditions import PLAIN, BadCondition, parse
from loadtest.measure.result import LATENCY_KINDS, Delivery, Result
from loadtest.measure.result import Verdict as Condition
from loadtest.report.figures import count, duration, number, percent

KINDS: Mapping[str, str] = {
    "fanout": "Fan-out to each receiver",
    "last": "Fan-out to the last receiver",
    "ack": "Ack",
    "connect": "Connect",
    "join": "Join",
    "recovery": "Recovery",
}
"""The kinds of latency in the order in which they are told, and their names."""

SERVER_WAIT_LIMIT = 0.2
"""Share of the run. With server and generator on one core it was 65 % at 31 % CPU each, and connecting took nearly 30
times as long as alone, which a look at the CPU would have put on the server."""

MARKS = {"good": "✓", "warn": "!", "bad": "✗"}
OF_DELIVERY = ("fanout", "last")


@attrs.frozen
class Judgement:
    """`bad`: the numbers or the server must not pass; `warn`: look before you quote; `good`."""

    level: Literal["good", "warn", "bad"]
    headline: str
    reasons: tuple[str, ...] = ()


def judge(result: Result) -> Judgement:
    """An invalid run says nothing about the server, so that comes before anything the server did."""
    if not result.valid:
        reasons = (*result.invalid_because, *cut_short(result))
        return Judgement("bad", "Invalid run: these numbers say nothing about the server", reasons)
    failed = [f"{condition.text}: measured {measured(condition)}" for condition in result.conditions if condition.holds]
    held_up = crowded(result)
    trouble = (
        *result.failures,
        *(regression.text for regression in result.regressions),
        *troubles(result.delivery),
        *failures(result),
        *refused_throughout(result),
        *cut_short(result),
        *held_up,
        *result.notes,
    )
    if failed:
        of = f"{len(failed)} of {_conditions(len(result.conditions))} did not pass"
        return Judgement("bad", f"Failed: {of}", (*failed, *trouble))
    if result.failures:
        return Judgement("bad", "Failed: something was found wrong", trouble)
    if result.regressions:
        return Judgement("bad", "Failed: worse than the baseline", trouble)
    buts = (
        ("not everything arrived as it should", troubles(result.delivery)),
        ("something failed", failures(result)),
        ("nothing of some kind was ever taken", refused_throughout(result)),
        ("cut short", cut_short(result)),
        ("on a crowded machine", held_up),
    )
    but = next((words for words, why in buts if why), "")
    if but:
        return Judgement("warn", f"Valid run, but {but}", trouble)
    held = f"; {_conditions(len(result.conditions))} passed" if result.conditions else ""
    arrived = "everything arrived, once and in order" if result.delivery.expected else "nothing was to be delivered"
    return Judgement("good", f"Valid run: {arrived}{held}", trouble)


def measured(condition: Condition) -> str:
    """A condition's value with its unit; a condition without anything to measure fails, too."""
    if condition.value is None:
        return "nothing"
    try:
        asked = parse(condition.text)
    except BadCondition:  # a result of another version
        return number(condition.value)
    if asked.metric in LATENCY_KINDS and asked.stat != "count":
        return duration(condition.value)
    unit = PLAIN.get(asked.metric, "")
    return percent(condition.value) if unit == "%" else f"{number(condition.value)} {unit}".rstrip()


def troubles(delivery: Delivery) -> list[str]:
    """What the ledger holds against the delivery, in sentences."""
    found = [loss(delivery)] if loss(delivery) else []
    if delivery.duplicate:
        found.append(f"{count(delivery.duplicate)} delivered more than once")
    if delivery.out_of_order:
        found.append(f"{count(delivery.out_of_order)} delivered out of order")
    return found


def failures(result: Result) -> list[str]:
    """What users tried in vain, by name: asks without an answer, connections that were not made, code that raised."""
    failed = {
        name.removeprefix("failed."): n for name, n in result.counters.items() if n and name.startswith("failed.")
    }
    told = ", ".join(f"{name} {count(n)}" for name, n in sorted(failed.items(), key=lambda item: -item[1]))
    return [f"{count(sum(failed.values()))} failed: {told}"] if failed else []


def refused_throughout(result: Result) -> list[str]:
    """Events of which no ask was ever taken: whatever they were to load was not loaded."""
    return [
        f"every {event} was refused: {', '.join(sorted(ask.refused))}"
        for event, ask in sorted(result.asks.items())
        if ask.refusals and ask.refusals == ask.sent
    ]


def cut_short(result: Result) -> list[str]:
    """That somebody stopped it before its time."""
    run = result.run
    return [f"cut short after {run.duration_s:.0f} s of {run.asked_s:g} s"] if run.cut_short else []


def crowded(result: Result) -> list[str]:
    """The server had work to do and no core to do it on: its latencies are then those of the machine."""
    waits = [moment.server_wait for moment in result.timeline if moment.server_wait is not None]
    if not waits or mean(waits) < SERVER_WAIT_LIMIT:
        return []
    return [f"others had the server's core {mean(waits):.0%} of the time: its latencies are those of a crowded machine"]


def loss(delivery: Delivery) -> str:
    """What must stand beside every delivery latency; empty when nothing is missing."""
    if delivery.complete:
        return ""
    return f"only {percent(delivery.percent)} arrived, {count(delivery.lost)} of {count(delivery.expected)} lost"


def beside(delivery: Delivery) -> str:
    """`loss` where there is room for four words: after a latency."""
    return "" if delivery.complete else f"of the {percent(delivery.percent)} delivered"


def _conditions(number: int) -> str:
    return "1 condition" if number == 1 else f"{number} conditions"
