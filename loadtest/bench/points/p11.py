"""P11: what a delivery costs at 10,000 sockets against 100, one message in flight.

A fresh server each round: 100 clients join, the cost per delivery is measured as in P1, then the crowd grows to
10,000 and it is measured again. The kernel itself is dearer with 10,000 sockets (their memory does not fit the
caches), so the bare loop grows in the same way in the same round, and the target is for livehub's growth over the
bare loop's. At 100 sockets a server's cost per message (receiving, storing, acking) is spread over few deliveries,
which makes that figure larger and the growth smaller; so the cost at 1,000 is told as well.
"""

from __future__ import annotations

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import one_in_flight
from loadtest.bench.point import Answer, Point, Setting, figure, median, ratio
from loadtest.bench.servers import Starter, barec, livehub

FEW, SOME, MANY = 100, 1_000, 10_000
ROUND_S = 2.5
WARM_UP_S = 0.5
GROWTH_MAX = 1.3


def costs_us(start: Starter, sizes: tuple[int, ...], seconds: float) -> list[float]:
    """The cost per delivery, in microseconds, with so many sockets each."""
    costs = []
    with start() as served, Crowd(served.port, bare=start is barec).open(sizes[0]) as crowd:
        for size in sizes:
            crowd.grow(size)
            crowd.quiet()
            one_in_flight(crowd, served, WARM_UP_S)
            costs.append(one_in_flight(crowd, served, seconds).us)
    return costs


def measure(setting: Setting) -> Answer:
    """Take turns, each on a fresh server."""
    sizes = (FEW, SOME, setting.many(MANY, 2_000))
    us: dict[str, list[list[float]]] = {"livehub": [], "bare C": []}
    for number in range(setting.rounds):
        for name, start in (("livehub", livehub), ("bare C", barec)):
            us[name].append(costs_us(start, sizes, setting.pick(ROUND_S, 0.7)))
            told = ", ".join(f"{cost:.2f} µs at {size:,}" for cost, size in zip(us[name][-1], sizes, strict=True))
            setting.say(f"round {number + 1}: {name} {told}")
    growth = {name: [costs[-1] / costs[0] for costs in rounds] for name, rounds in us.items()}
    relative = ratio(growth["livehub"], growth["bare C"])
    raw = {
        f"{name}, µs at {size:,}": [round(costs[place], 3) for costs in rounds]
        for name, rounds in us.items()
        for place, size in enumerate(sizes)
    }
    from_some = {name: median([costs[-1] / costs[1] for costs in rounds]) for name, rounds in us.items()}
    return Answer(
        f"× {figure(growth['livehub'], '')}",
        bare=f"× {figure(growth['bare C'], '')}",
        ratio=f"{relative:.2f} × C",
        holds=relative <= GROWTH_MAX,
        notes=[f"from {SOME:,} on: livehub × {from_some['livehub']:.2f}, bare C × {from_some['bare C']:.2f}"],
        raw=raw,
    )


POINT = Point(
    "P11",
    "cost per delivery at 10,000 sockets against 100, over the bare loop's own growth",
    "≤ 1.3 ×",
    measure,
)
