"""What one process of the generator measured, handed to the parent once a second as a line of JSON.

The hot calls (`latency`, `count`) touch a dict and nothing else; encoding happens in `take`, once a second. Each line
holds only what is new, so the parent adds lines up and a lost worker costs its last second at most.
"""

import time

import orjson

from loadtest.measure.histograms import Tally
from loadtest.measure.ledger import TRACED_EVENT, Ledger


class Recorder:
    """One per process."""

    def __init__(self, *, event: str = TRACED_EVENT) -> None:
        """`event`: the name of the push that traced messages come in; the ledger records their latencies under it."""
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._counters: dict[str, int] = {}
        self._gauges: dict[str, float] = {}
        self._seconds: list[tuple[float, float, float]] = []
        self._event = event
        self.ledger = Ledger(self.tally("fanout", event))

    def tally(self, kind: str, name: str) -> Tally:
        """The place where `latency(kind, name, ...)` counts: worth keeping where it is needed very often."""
        return self._tallies.setdefault((kind, name), Tally())

    def latency(self, kind: str, name: str, us: int) -> None:
        """`kind` is one of LATENCY_KINDS; `name` the event or namespace; counted from the intended time of sending."""
        tally = self._tallies.get((kind, name))
        if tally is None:
            tally = self.tally(kind, name)
        tally.record(us)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a dotted counter, for example `sent.<event>` or `refused.<event>.<CODE>`."""
        counters = self._counters
        counters[name] = counters.get(name, 0) + n

    def gauge(self, name: str, value: float) -> None:
        """A value that replaces the last one: `users`, `connected`."""
        self._gauges[name] = value

    def second(self, lag_ms: float, cpu: float, wait: float = 0.0) -> None:
        """One second of the process's own pulse; each is told once, however often lines are taken."""
        self._seconds.append((lag_ms, cpu, wait))

    def take(self, now_ns: int | None = None, *, final: bool = False, reset: bool = False) -> bytes:
        """Everything since the last take, without a line end.

        `final`: settle what is still open. `reset`: this line ends a part of the run, and what comes after it is
        measured anew (the parent does that, and so still has the totals from the start); what members wait for stays
        expected.
        """
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        page = self.ledger.close(now_ns) if final else self.ledger.take(now_ns)
        if page.delivered:
            self.count(f"delivered.{self._event}", page.delivered)
        histograms: dict[str, dict[str, str]] = {}
        for (kind, name), tally in self._tallies.items():
            if encoded := tally.take():
                histograms.setdefault(kind, {})[name] = encoded
        counters, self._counters = self._counters, {}
        seconds, self._seconds = self._seconds, []
        line = {
            "event": self._event,
            "hdr": histograms,
            "counters": counters,
            "gauges": self._gauges,
            "seconds": seconds,
            "ledger": page.plain(),
            "final": final,
            "reset": reset,
        }
        return orjson.dumps(line)
