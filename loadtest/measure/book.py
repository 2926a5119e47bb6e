"""The parent's book: what all processes measured, added up as it comes in, and the result in the end."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

from loadtest.measure.histograms import Distribution
from loadtest.measure.pulse import Second, invalid_because
from loadtest.measure.result import Asks, Delivery, Latency, Moment, Result, RunInfo, ServerMetric
from loadtest.measure.timeline import Timeline
from loadtest.measure.tracker import Tracker

LEDGER_COUNTS = ("delivered", "lost", "duplicate", "out_of_order", "replayed")


@attrs.frozen(kw_only=True)
class Snapshot:
    """The run so far; latencies are of the whole run, without their histograms."""

    t: float
    users: int
    connected: int
    processes: int
    delivery: Delivery
    latencies: dict[str, dict[str, Latency]]
    asks: dict[str, Asks]
    counters: dict[str, int]
    moment: Moment  # the last whole second
    timeline: list[Moment]
    invalid_because: list[str]


@attrs.define
class _Worker:
    """What one process said last, and its pulse so far."""

    gauges: dict[str, float] = attrs.field(factory=dict)
    seconds: list[Second] = attrs.field(factory=list)
    final: bool = False


class Book:
    """One per run, in the parent."""

    def __init__(self, start_ns: int | None = None) -> None:
        """`start_ns`: when second 0 of the timeline begins; now unless told."""
        self._event = ""
        self._workers: dict[int, _Worker] = {}
        self._latencies: dict[str, dict[str, Distribution]] = {}
        self._counters: dict[str, int] = {}
        self._ledger = dict.fromkeys(LEDGER_COUNTS, 0)
        self._tracker = Tracker(self._last)
        self._timeline = Timeline(time.monotonic_ns() if start_ns is None else start_ns)

    def add(self, worker: int, line: bytes, at_ns: int | None = None) -> None:
        """A line that a worker's recorder took."""
        at_ns = time.monotonic_ns() if at_ns is None else at_ns
        sample = orjson.loads(line)
        self._event = sample["event"]
        for kind, names in sample["hdr"].items():
            for name, encoded in names.items():
                self._latency(kind, name).add(encoded)
        for name, n in sample["counters"].items():
            self._counters[name] = self._counters.get(name, 0) + n
        page = sample["ledger"]
        for name in LEDGER_COUNTS:
            self._ledger[name] += page.get(name, 0)
        self._tracker.add(worker, page, at_ns)
        self._tracker.away(worker, page.get("away", {}))
        told = self._workers.setdefault(worker, _Worker())
        told.gauges.update(sample["gauges"])
        told.final = sample["final"]
        if "cpu" in told.gauges and not told.final:
            told.seconds.append(Second(told.gauges.get("lag_ms", 0.0), told.gauges["cpu"]))
        self._tracker.sweep(at_ns, final=all(each.final for each in self._workers.values()) and told.final)
        self._timeline.add(sample, at_ns, [each.gauges for each in self._workers.values()])

    def server_sample(self, cpu: float, rss_mb: float, at_ns: int | None = None) -> None:
        """What the server's process took in this second: share of a core, and memory."""
        self._timeline.server(cpu, rss_mb, time.monotonic_ns() if at_ns is None else at_ns)

    def reset(self, start_ns: int | None = None) -> None:
        """Begin anew, for example once all users have come. Workers must be told to reset first."""
        self._latencies = {}
        self._counters = {}
        self._ledger = dict.fromkeys(LEDGER_COUNTS, 0)
        self._tracker.lost = 0
        self._timeline = Timeline(time.monotonic_ns() if start_ns is None else start_ns)
        for told in self._workers.values():
            told.seconds = []

    def now(self) -> Snapshot:
        """Live numbers; costs a millisecond for each name, so ask once a second."""
        moments = self._timeline.moments()
        latencies = {
            kind: {name: measured.latency(whole=False) for name, measured in names.items()}
            for kind, names in self._latencies.items()
        }
        return Snapshot(
            t=moments[-1].t if moments else 0.0,
            users=self._sum("users"),
            connected=self._sum("connected"),
            processes=len(self._workers),
            delivery=self.delivery(),
            latencies=latencies,
            asks=asks_of(self._counters),
            counters=dict(self._counters),
            moment=moments[-1] if moments else Moment(),
            timeline=moments,
            invalid_because=self.invalid_because(),
        )

    def delivery(self) -> Delivery:
        """What is known by now; a message without a verdict is in none of the counts but the delivered."""
        counts = self._ledger
        lost = counts["lost"] + self._tracker.lost
        return Delivery(
            expected=counts["delivered"] + lost,
            delivered=counts["delivered"],
            lost=lost,
            duplicate=counts["duplicate"],
            out_of_order=counts["out_of_order"],
        )

    def invalid_because(self) -> list[str]:
        """Why the generator itself was too late for the run to say anything."""
        pulses = sorted(self._workers.items())
        return [sentence for worker, told in pulses for sentence in invalid_because(told.seconds, worker)]

    def result(
        self,
        run: RunInfo,
        *,
        machine: Mapping[str, Any] | None = None,
        server: Iterable[ServerMetric] = (),
        failures: Iterable[str] = (),
        invalid: Iterable[str] = (),
    ) -> Result:
        """The document; closes all verdicts still open. `invalid`: reasons beside the generator's own pulse."""
        self._tracker.sweep(time.monotonic_ns(), final=True)
        reasons = [*invalid, *self.invalid_because()]
        counters = dict(self._counters)
        if self._ledger["replayed"]:
            counters["replayed"] = self._ledger["replayed"]
        return Result(
            run=run,
            machine=dict(machine or {}),
            valid=not reasons,
            invalid_because=reasons,
            delivery=self.delivery(),
            latencies={
                kind: {name: measured.latency() for name, measured in sorted(names.items())}
                for kind, names in self._latencies.items()
            },
            asks=asks_of(self._counters),
            counters=dict(sorted(counters.items())),
            timeline=self._timeline.moments(whole=True),
            server=list(server),
            failures=list(failures),
        )

    def _latency(self, kind: str, name: str) -> Distribution:
        names = self._latencies.setdefault(kind, {})
        if name not in names:
            names[name] = Distribution()
        return names[name]

    def _last(self, us: int) -> None:
        self._latency("last", self._event).record(us)

    def _sum(self, gauge: str) -> int:
        return round(sum(told.gauges.get(gauge, 0) for told in self._workers.values()))


def asks_of(counters: Mapping[str, int]) -> dict[str, Asks]:
    """`sent.<event>`, `acked.<event>`, `failed.<event>` and `refused.<event>.<CODE>`, by event."""
    events = sorted(name.partition(".")[2] for name in counters if name.startswith("sent."))
    return {
        event: Asks(
            sent=counters[f"sent.{event}"],
            acked=counters.get(f"acked.{event}", 0),
            failed=counters.get(f"failed.{event}", 0),
            refused={
                name.removeprefix(f"refused.{event}."): n
                for name, n in sorted(counters.items())
                if name.startswith(f"refused.{event}.")
            },
        )
        for event in events
    }
