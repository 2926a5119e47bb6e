"""Chat messages to everybody: one in flight, many in flight, or at a rate, and what that costs the server."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from loadtest.bench.crowd import Crowd, rota
from loadtest.bench.latency import Latencies
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import Served

SENDERS = 50
DRAIN_DEADLINE_S = 60.0
GENERATOR_SHARE_MAX = 0.8


@attrs.frozen
class Cost:
    """What a stretch of work took."""

    messages: int
    deliveries: int
    cpu_ns: int
    wall_s: float

    @property
    def us(self) -> float:
        """CPU of the server for each delivery, in microseconds."""
        return self.cpu_ns / self.deliveries / 1000


def one_in_flight(crowd: Crowd, served: Served, seconds: float) -> Cost:
    """Each message goes once the one before was acked and has come to everybody."""
    return in_flight(crowd, served, seconds, 1)


def in_flight(crowd: Crowd, served: Served, seconds: float, window: int) -> Cost:
    """So many messages under way: the next one goes once the oldest was acked and has come to the last client."""
    links, senders = crowd.links, rota(crowd.links, min(SENDERS, window, len(crowd.links)))
    everybody = len(links)
    sent, delivered, acked = crowd.sent, crowd.delivered, crowd.acked
    seen = links[0].seen
    if any(link.seen != seen for link in links):
        raise Trouble("somebody missed a message")
    began_cpu_ns, began_s = served.cpu_ns(), time.monotonic()
    ends_s = began_s + seconds
    while time.monotonic() < ends_s:
        if window == 1:
            done = crowd.delivered - delivered == (crowd.sent - sent) * everybody
            through = crowd.sent - sent if done else crowd.sent - sent - 1
        else:
            through = min(link.seen for link in links) - seen
        through = min(through, crowd.acked - acked)
        for _ in range(window - (crowd.sent - sent - through)):
            crowd.say(next(senders))
        crowd.pump(0.05)
    settle(crowd, delivered, sent, acked)
    messages = crowd.sent - sent
    return Cost(messages, messages * everybody, served.cpu_ns() - began_cpu_ns, time.monotonic() - began_s)


def settle(crowd: Crowd, delivered: int, sent: int, acked: int) -> None:
    """Wait until all that was sent since then was acked and has come to everybody. Raises `Trouble` if not."""
    due, acks = (crowd.sent - sent) * len(crowd.links), crowd.sent - sent
    crowd.until(
        lambda: bool(crowd.refused) or (crowd.delivered - delivered >= due and crowd.acked - acked >= acks),
        DRAIN_DEADLINE_S,
    )
    if crowd.refused:
        raise Trouble(f"refused: {crowd.refused[0].decode()}")
    if crowd.delivered - delivered != due or len({link.seen for link in crowd.links}) > 1:
        raise Trouble(f"{crowd.delivered - delivered} deliveries instead of {due}")


@attrs.frozen
class Paced:
    """What a rate did."""

    latencies: Latencies
    generator: float  # share of its core


def paced(crowd: Crowd, rate: float, seconds: float) -> Paced:
    """Messages at this rate, each due at its time whatever became of those before. Latency counts from when it was due.

    With several senders the k-th message heard is taken for the k-th that was due: neighbours may have swapped, which
    moves a single latency by less than their distance.
    """
    crowd.arrivals = latencies = Latencies()
    senders = rota(crowd.links, SENDERS)
    sent, delivered, acked = crowd.sent, crowd.delivered, crowd.acked
    began_ns = time.monotonic_ns()
    total, step_ns = max(1, round(rate * seconds)), 1e9 / rate
    share, asked = Share(), 0
    while asked < total:
        now_ns = time.monotonic_ns()
        while asked < total and (due_ns := began_ns + int(asked * step_ns)) <= now_ns:
            crowd.say(next(senders), due_ns)
            asked += 1
        next_s = (began_ns + asked * step_ns - time.monotonic_ns()) / 1e9
        crowd.pump(min(0.05, max(0.0, next_s)))
    generator = share()
    try:
        settle(crowd, delivered, sent, acked)
    finally:
        crowd.arrivals = None
    return Paced(latencies, generator)


class Share:
    """How much of its core a process uses from now on: this one, or the one whose clock it is.

    Above `GENERATOR_SHARE_MAX` the generator's times are its own. A server that is late with less than all its core was
    kept waiting by others.
    """

    def __init__(self, cpu_ns: Callable[[], int] = time.process_time_ns) -> None:
        self._clock = cpu_ns
        self._cpu_ns, self._wall_ns = cpu_ns(), time.monotonic_ns()

    def __call__(self) -> float:
        return self.used_s() * 1e9 / max(1, time.monotonic_ns() - self._wall_ns)

    def used_s(self) -> float:
        """CPU time used."""
        return (self._clock() - self._cpu_ns) / 1e9
