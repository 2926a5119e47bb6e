"""The parent's book: what all processes measured, added up as it comes in, and the result in the end."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

from loadtest.measure.histograms import Distribution
from loadtest.measure.pulse import DEFAULT_LIMITS, Limits, Second, invalid_because
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


@attrs.frozen(kw_only=True)
class Owed:
    """What is still to come after the last one has sent; true as long as there is anything."""

    members: int  # who have not heard what others have
    messages: int  # that no member of some process has heard
    under_way: int  # asks without an answer, users on their way back

    def __bool__(self) -> bool:
        return bool(self.members or self.messages or self.under_way)


@attrs.define
class _Worker:
    """What one process said last, and its pulse so far."""

    gauges: dict[str, float] = attrs.field(factory=dict)
    seconds: list[Second] = attrs.field(factory=list)
    final: bool = False
    anew: bool = False  # what it tells belongs to the part of the run after the reset


class _Sums:
    """Lines of workers, added up."""

    def __init__(self) -> None:
        self.latencies: dict[str, dict[str, Distribution]] = {}
        self.counters: dict[str, int] = {}
        self.ledger = dict.fromkeys(LEDGER_COUNTS, 0)

    def add(self, sample: Mapping[str, Any]) -> None:
        for kind, names in sample["hdr"].items():
            for name, encoded in names.items():
                self.latency(kind, name).add(encoded)
        _add(self.counters, sample["counters"])
        for name in LEDGER_COUNTS:
            self.ledger[name] += sample["ledger"].get(name, 0)

    def latency(self, kind: str, name: str) -> Distribution:
        names = self.latencies.setdefault(kind, {})
        if name not in names:
            names[name] = Distribution()
        return names[name]


class Book:
    """One per run, in the parent."""

    def __init__(self, start_ns: int | None = None, limits: Limits = DEFAULT_LIMITS) -> None:
        """`start_ns`: when second 0 of the timeline begins; now unless told. `limits`: of the generator's pulse."""
        self._limits = limits
        self._event = ""
        self._workers: dict[int, _Worker] = {}
        self._sums = _Sums()
        self._next: _Sums | None = None  # of workers who have begun anew, while others have not
        self._totals: dict[str, int] = {}
        self._tracker = Tracker(self._last)
        self._timeline = Timeline(time.monotonic_ns() if start_ns is None else start_ns)

    def add(self, worker: int, line: bytes, at_ns: int | None = None) -> None:
        """A line that a worker's recorder took."""
        at_ns = time.monotonic_ns() if at_ns is None else at_ns
        sample = orjson.loads(line)
        self._event = sample["event"]
        told = self._workers.setdefault(worker, _Worker())
        self._sums_of(told).add(sample)
        _add(self._totals, sample["counters"])
        page = sample["ledger"]
        _add(self._totals, {"replayed": page["replayed"]} if "replayed" in page else {})
        self._tracker.add(worker, page, at_ns)
        self._tracker.away(worker, page.get("away", {}))
        told.gauges.update(sample["gauges"])
        told.final, told.anew = sample["final"], told.anew or sample["reset"]
        told.seconds += [Second(*second) for second in sample["seconds"]]
        self._tracker.sweep(at_ns, final=all(each.final for each in self._workers.values()) and told.final)
        self._timeline.add(sample, at_ns, [each.gauges for each in self._workers.values()])

    def server_sample(self, cpu: float, rss_mb: float, at_ns: int | None = None, *, wait: float | None = None) -> None:
        """What the server's process took in this second: share of a core, memory, and how long it waited for a core."""
        self._timeline.server(cpu, rss_mb, time.monotonic_ns() if at_ns is None else at_ns, wait=wait)

    def begin(self, start_ns: int) -> None:
        """The run begins: second 0 of the timeline. What was counted in preparing it stays counted."""
        self._timeline = Timeline(start_ns)
        for told in self._workers.values():
            told.seconds = []

    def reset(self, start_ns: int) -> None:
        """Begin anew, once every worker's line with `reset` is here. Only the totals go on from the start."""
        self.begin(start_ns)
        self._tracker.reset(start_ns)
        self._sums, self._next = self._next or _Sums(), None
        for told in self._workers.values():
            told.anew = False

    def totals(self) -> dict[str, int]:
        """All counters from the start of the run, whatever was reset."""
        return dict(self._totals)

    def owed(self) -> Owed:
        """What must still come, as far as is known; workers tell of it once they send nothing more."""
        return Owed(members=self._sum("waiting"), messages=self._tracker.waiting(), under_way=self._sum("under_way"))

    def now(self) -> Snapshot:
        """Live numbers; costs a millisecond for each name, so ask once a second."""
        moments = self._timeline.moments()
        latencies = {
            kind: {name: measured.latency(whole=False) for name, measured in names.items()}
            for kind, names in self._sums.latencies.items()
        }
        return Snapshot(
            t=moments[-1].t if moments else 0.0,
            users=self._sum("users"),
            connected=self._sum("connected"),
            processes=len(self._workers),
            delivery=self.delivery(),
            latencies=latencies,
            asks=asks_of(self._sums.counters),
            counters=dict(self._sums.counters),
            moment=moments[-1] if moments else Moment(),
            timeline=moments,
            invalid_because=self.invalid_because(),
        )

    def delivery(self) -> Delivery:
        """What is known by now; a message without a verdict is in none of the counts but the delivered."""
        counts = self._sums.ledger
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
        return [sentence for worker, told in pulses for sentence in invalid_because(told.seconds, worker, self._limits)]

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
        counters = dict(self._sums.counters)
        if replayed := self._sums.ledger["replayed"]:
            counters["replayed"] = replayed
        return Result(
            run=run,
            machine=dict(machine or {}),
            valid=not reasons,
            invalid_because=reasons,
            delivery=self.delivery(),
            latencies={
                kind: {name: measured.latency() for name, measured in sorted(names.items())}
                for kind, names in self._sums.latencies.items()
            },
            asks=asks_of(counters),
            counters=dict(sorted(counters.items())),
            timeline=self._timeline.moments(whole=True),
            server=list(server),
            failures=list(failures),
        )

    def _sums_of(self, told: _Worker) -> _Sums:
        if not told.anew:
            return self._sums
        if self._next is None:
            self._next = _Sums()
        return self._next

    def _last(self, us: int) -> None:
        self._sums.latency("last", self._event).record(us)

    def _sum(self, gauge: str) -> int:
        return round(sum(told.gauges.get(gauge, 0) for told in self._workers.values()))


def _add(sums: dict[str, int], counters: Mapping[str, int]) -> None:
    for name, n in counters.items():
        sums[name] = sums.get(name, 0) + n


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
