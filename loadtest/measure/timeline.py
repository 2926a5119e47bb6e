"""The run second by second, for charts: each second's own counts, gauges and percentiles.

Workers report once a second, a little apart; what arrives within a second of the parent's clock belongs to it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from loadtest.measure.histograms import Distribution
from loadtest.measure.result import Moment

SECOND_NS = 1_000_000_000
COUNTED = ("sent", "acked", "delivered", "refused")
KINDS = ("fanout", "ack")


class Timeline:
    """Moments of a run. The last one is still filling, and shown only when it is asked for."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._closed: list[Moment] = []
        self._current = Moment()
        self._measured = {kind: Distribution() for kind in KINDS}
        self._touched = False

    def add(self, sample: Mapping[str, Any], at_ns: int, gauges: Iterable[Mapping[str, float]]) -> None:
        """A worker's line, and what all workers' gauges are by now."""
        self._turn(at_ns)
        counts = dict.fromkeys(COUNTED, 0)
        for name, n in sample["counters"].items():
            family = name.partition(".")[0]
            if family in counts:
                counts[family] += n
        for kind in KINDS:
            for encoded in sample["hdr"].get(kind, {}).values():
                self._measured[kind].add(encoded)
        known = list(gauges)
        now = self._current
        self._current = attrs.evolve(
            now,
            users=round(sum(each.get("users", 0) for each in known)),
            connected=round(sum(each.get("connected", 0) for each in known)),
            lag_ms=max([now.lag_ms, *(lag_ms for lag_ms, _, _ in sample["seconds"])]),
            cpu=max([now.cpu, *(cpu for _, cpu, _ in sample["seconds"])]),
            wait=max([now.wait, *(wait for _, _, wait in sample["seconds"])]),
            **{name: getattr(now, name) + n for name, n in counts.items()},
        )
        self._touched = True

    def server(self, cpu: float, rss_mb: float, at_ns: int, *, wait: float | None = None) -> None:
        self._turn(at_ns)
        self._current = attrs.evolve(self._current, server_cpu=cpu, server_rss_mb=rss_mb, server_wait=wait)
        self._touched = True

    def moments(self, *, whole: bool = False) -> list[Moment]:
        """Seconds that are over; with `whole` the one that is still filling too."""
        return [*self._closed, self._finished()] if whole and self._touched else list(self._closed)

    def _turn(self, at_ns: int) -> None:
        second = float(max(0, at_ns - self._start_ns) // SECOND_NS)
        if second <= self._current.t:
            return
        if self._touched:
            self._closed.append(self._finished())
        self._current = Moment(t=second, users=self._current.users, connected=self._current.connected)
        self._measured = {kind: Distribution() for kind in KINDS}
        self._touched = False

    def _finished(self) -> Moment:
        fanout, ack = (_percentiles(self._measured[kind]) for kind in KINDS)
        return attrs.evolve(self._current, fanout_p50=fanout[0], fanout_p99=fanout[1], ack_p50=ack[0], ack_p99=ack[1])


def _percentiles(measured: Distribution) -> list[int] | tuple[None, None]:
    return measured.percentiles((50, 99)) if measured.count else (None, None)
