"""P2: the same with 50 messages in flight, which a server may coalesce; and what coalescing costs in latency.

50 of the 1,000 clients send in turn. The next message goes once the oldest under way was acked and has come to the last
client. Servers take turns, as in P1.

The added latency is livehub's p50 of all deliveries at 100 messages a second less that at 5, where nothing waits for
company; both at fixed times (open model) and counted from when a message was due. It is told for socket.io too.
"""

from __future__ import annotations

from contextlib import ExitStack

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import GENERATOR_SHARE_MAX, Cost, in_flight, paced
from loadtest.bench.point import Answer, Point, Setting, figure, median, ratio
from loadtest.bench.servers import Served, livehub, socketio

SOCKETS = 1_000
IN_FLIGHT = 50
ROUND_S = 3.0
WARM_UP_S = 1.5
FAST_PER_S, FAST_S = 100, 3.0
SLOW_PER_S, SLOW_S = 5, 4.0
OF_SOCKETIO_MAX = 0.1
ADDED_MS_MAX = 10.0


def measure(setting: Setting) -> Answer:
    """Take turns."""
    costs: dict[str, list[Cost]] = {"livehub": [], "socket.io": []}
    added: dict[str, list[float]] = {"livehub": [], "socket.io": []}
    shares: list[float] = []
    with ExitStack() as stack:
        pairs: list[tuple[Served, Crowd]] = []
        for start in (livehub, socketio):
            served = stack.enter_context(start())
            crowd = Crowd(served.port)
            pairs.append((served, stack.enter_context(crowd.open(SOCKETS))))
            in_flight(crowd, served, setting.pick(WARM_UP_S, 0.5), IN_FLIGHT)
        for number in range(setting.rounds):
            for served, crowd in pairs:
                crowd.quiet()
                cost = in_flight(crowd, served, setting.pick(ROUND_S, 1.0), IN_FLIGHT)
                slow = paced(crowd, SLOW_PER_S, setting.pick(SLOW_S, 1.0))
                fast = paced(crowd, FAST_PER_S, setting.pick(FAST_S, 1.0))
                fast_ms, slow_ms = fast.latencies.quantile_ms(0.5), slow.latencies.quantile_ms(0.5)
                costs[served.name].append(cost)
                added[served.name].append(fast_ms - slow_ms)
                if served.name == "livehub":
                    shares.append(fast.generator)
                told = f"{cost.us:.2f} µs, {cost.messages} messages, p50 {fast_ms:.1f} less {slow_ms:.1f} ms"
                setting.say(f"round {number + 1}: {served.name} {told}, generator {fast.generator:.0%}")
    us = {name: [cost.us for cost in rounds] for name, rounds in costs.items()}
    of_socketio, added_ms = ratio(us["livehub"], us["socket.io"]), median(added["livehub"])
    shown = [f"{figure(us[name], 'µs')}; +{figure(added[name], 'ms', 1)}" for name in costs]
    holds = of_socketio <= OF_SOCKETIO_MAX and added_ms <= ADDED_MS_MAX
    raw = {f"{name}, µs": [round(value, 3) for value in us[name]] for name in costs}
    raw |= {f"{name}, added ms": [round(value, 2) for value in added[name]] for name in costs}
    if max(shares) > GENERATOR_SHARE_MAX:
        shown[0] = f"{figure(us['livehub'], 'µs')}; latency invalid: generator"
    return Answer(
        shown[0],
        shown[1],
        ratio=f"{of_socketio:.3f} × socket.io",
        holds=holds if max(shares) <= GENERATOR_SHARE_MAX else None,
        notes=[
            f"{name}: {median([c.messages / c.wall_s for c in rounds]):.0f} messages/s"
            for name, rounds in costs.items()
        ],
        raw=raw,
    )


POINT = Point(
    "P2",
    "the same with 50 in flight; added latency: p50 at 100/s less p50 at 5/s",
    "≤ 0.1 × socket.io, ≤ 10 ms",
    measure,
)
