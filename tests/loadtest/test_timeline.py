"""Seconds of a run: counts and percentiles of their own, gauges that last."""

from __future__ import annotations

from typing import Any

from loadtest.measure.histograms import Tally
from loadtest.measure.timeline import SECOND_NS, Timeline


def sample(
    *, ack_us: int | None = None, pulse: tuple[float, float, float] | None = None, **counters: int
) -> dict[str, Any]:
    """A worker's line."""
    tally = Tally()
    if ack_us is not None:
        tally.record(ack_us)
    hdr = {} if ack_us is None else {"ack": {"x": tally.take()}}
    return {"counters": counters, "hdr": hdr, "seconds": [] if pulse is None else [pulse]}


def test_each_second_has_its_own_counts_and_percentiles() -> None:
    timeline = Timeline(0)
    timeline.add(sample(ack_us=1_000, sent=3), SECOND_NS // 2, [])
    timeline.add(sample(ack_us=2_000, sent=4), SECOND_NS + 1, [])
    (first,) = timeline.moments()
    assert (first.t, first.sent, first.ack_p50) == (0, 3, 1_000)
    assert [moment.sent for moment in timeline.moments(whole=True)] == [3, 4]


def test_processes_are_added_up_and_the_worst_pulse_of_them_counts() -> None:
    timeline = Timeline(0)
    gauges = [{"users": 3.0, "connected": 2.0}, {"users": 4.0, "connected": 4.0}]
    timeline.add(sample(pulse=(5.0, 0.9, 0.0), sent=1), 1, gauges)
    timeline.add(sample(pulse=(50.0, 0.1, 0.3), sent=2), 2, gauges)
    (moment,) = timeline.moments(whole=True)
    assert (moment.users, moment.connected, moment.sent) == (7, 6, 3)
    assert (moment.lag_ms, moment.cpu, moment.wait) == (50.0, 0.9, 0.3)


def test_dotted_counters_belong_to_their_family() -> None:
    timeline = Timeline(0)
    told = {"sent.a": 1, "sent.b": 2, "refused.a.forbidden": 4, "bytes.in": 99}
    timeline.add({"counters": told, "hdr": {}, "seconds": []}, 1, [])
    (moment,) = timeline.moments(whole=True)
    assert (moment.sent, moment.refused, moment.acked) == (3, 4, 0)


def test_a_second_in_which_nothing_was_told_is_left_out() -> None:
    timeline = Timeline(0)
    timeline.server(0.5, 80.0, 1, wait=0.2)
    timeline.server(0.6, 81.0, 3 * SECOND_NS)
    told = [(moment.t, moment.server_cpu, moment.server_wait) for moment in timeline.moments(whole=True)]
    assert told == [(0, 0.5, 0.2), (3, 0.6, None)]
