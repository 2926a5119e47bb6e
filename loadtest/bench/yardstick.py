"""The yardstick: what one bare `send()` in C takes right now, beside points that have no peer to be compared with.

On a machine whose cores others share the same code takes 1.6 times as long from one second to the next. So an absolute
figure is told together with that of the bare loop of the same round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import one_in_flight
from loadtest.bench.point import Setting
from loadtest.bench.servers import barec

SOCKETS = 1_000
TAKE_S = 0.7


@contextmanager
def yardstick(setting: Setting) -> Iterator[Callable[[], float]]:
    """What to call before each round: the bare loop's CPU for one `send()`, in microseconds."""
    with barec() as served, Crowd(served.port, bare=True).open(SOCKETS) as crowd:

        def take() -> float:
            crowd.quiet()
            return one_in_flight(crowd, served, setting.pick(TAKE_S, 0.3)).us

        take()
        yield take
