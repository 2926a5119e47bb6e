"""P3: the highest rate of messages to 1,000 sockets at p99 < 250 ms and 100 % delivered.

Messages of 50 of the 1,000 clients come at fixed times for `STEP_S` (open model: latency counts from when a message
was due, to each receiver). A rate holds if every message came to everybody, none was refused, and p99 of all
deliveries is below 250 ms. Rates are doubled from `FIRST_PER_S` until one does not hold, then halved in between
(`HALVINGS` times); a rate that does not hold is tried once more, since these machines are noisy. After a rate that
did not hold, the next one waits until all has come; a server that is out of step is started anew.

A rate at which the generator uses more than 80 % of its core counts as one that does not hold, so that a figure can
only be too low. Of livehub that is said beside the figure, which is then a lower bound; of socket.io it would flatter
the ratio, and the point is invalid.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress

import attrs

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import GENERATOR_SHARE_MAX, paced
from loadtest.bench.point import Answer, Point, Setting, figure, ratio
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import Starter, livehub, socketio

SOCKETS = 1_000
FIRST_PER_S = 25.0
STEP_S = 2.0
HALVINGS = 4
P99_MS_MAX = 250.0
TIMES_SOCKETIO_MIN = 3.0


@attrs.frozen
class Step:
    """What one rate did."""

    holds: bool
    by_generator: bool  # it does not hold because of this process


@attrs.frozen
class Highest:
    """The highest rate that holds."""

    per_s: float
    by_generator: bool  # the next one did not because of this process


def search(step: Callable[[float], Step], first: float, halvings: int) -> Highest:
    """Find it by doubling and halving."""

    def tried(rate: float) -> Step:
        done = step(rate)
        return done if done.holds or done.by_generator else step(rate)

    good, rate = 0.0, first
    while (failed := tried(rate)).holds:
        good, rate = rate, rate * 2
    bad, by_generator = rate, failed.by_generator
    for _ in range(halvings):
        rate = (good + bad) / 2
        if (done := tried(rate)).holds:
            good = rate
        else:
            bad, by_generator = rate, done.by_generator
    return Highest(good, by_generator)


class Stage:
    """A server with its crowd, started anew after trouble."""

    def __init__(self, start: Starter, setting: Setting) -> None:
        self._start = start
        self._setting = setting
        self._step_s = setting.pick(STEP_S, 1.0)

    def highest(self, first: float, halvings: int) -> Highest:
        """The highest rate of a server that is fresh at first."""
        with ExitStack() as self._stack:
            self._open()
            return search(self._step, first, halvings)

    def _open(self) -> None:
        self._served = self._stack.enter_context(self._start())
        self._crowd = self._stack.enter_context(Crowd(self._served.port).open(SOCKETS))
        paced(self._crowd, FIRST_PER_S, 1.0)

    def _step(self, rate: float) -> Step:
        self._crowd.quiet()
        try:
            done = paced(self._crowd, rate, self._step_s)
        except Trouble as trouble:
            self._setting.say(f"{self._served.name} {rate:.0f}/s: {trouble}")
            with suppress(Trouble):
                self._stack.close()
            self._open()
            return Step(False, False)
        p99_ms = done.latencies.quantile_ms(0.99)
        told = f"p99 {p99_ms:.0f} ms, generator {done.generator:.0%}"
        self._setting.say(f"{self._served.name} {rate:.0f}/s: {told}")
        by_generator = done.generator > GENERATOR_SHARE_MAX
        return Step(p99_ms < P99_MS_MAX and not by_generator, by_generator)


def measure(setting: Setting) -> Answer:
    """Take turns, each on a fresh server."""
    found: dict[str, list[Highest]] = {"livehub": [], "socket.io": []}
    for _ in range(setting.rounds):
        for name, start in (("livehub", livehub), ("socket.io", socketio)):
            found[name].append(Stage(start, setting).highest(FIRST_PER_S, setting.many(HALVINGS, 2)))
    rates = {name: [highest.per_s for highest in rounds] for name, rounds in found.items()}
    raw = {f"{name}, messages/s": values for name, values in rates.items()}
    if any(highest.by_generator for highest in found["socket.io"]) or not min(rates["socket.io"]):
        why = "socket.io's limit was the generator, or below the first rate"
        return Answer(livehub="invalid: generator", notes=[why], raw=raw)
    times = ratio(rates["livehub"], rates["socket.io"])
    bounded = any(highest.by_generator for highest in found["livehub"])
    return Answer(
        f"{'≥ ' if bounded else ''}{figure(rates['livehub'], '/s', 0)}",
        figure(rates["socket.io"], "/s", 0),
        ratio=f"{'≥ ' if bounded else ''}{times:.1f} × socket.io",
        holds=times >= TIMES_SOCKETIO_MIN,
        notes=["livehub's next rate was not valid: the generator used more than 80 % of its core"] if bounded else [],
        raw=raw,
    )


POINT = Point("P3", "highest rate at p99 < 250 ms, 1,000 sockets, 100 % delivered", "≥ 3 × socket.io", measure)
