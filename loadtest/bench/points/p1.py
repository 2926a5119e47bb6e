"""P1: fan-out of one chat message to 1,000 sockets, one in flight: CPU of the server per delivery.

1,000 clients sit in one session, the sender among them. A message goes once the one before was acked and has come to
all of them; payloads are 365 bytes as delivered. The figure is the server's CPU over the stretch divided by the
deliveries: it includes receiving the message, storing it (livehub), its ack and everything else that the server does
meanwhile. The bare loop does one `send()` of a frame as large to each of 1,000 connections. All three run through the
whole point and take turns.
"""

from __future__ import annotations

from contextlib import ExitStack

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import Cost, one_in_flight
from loadtest.bench.point import Answer, Point, Setting, figure, median, ratio
from loadtest.bench.servers import Served, barec, livehub, socketio

SOCKETS = 1_000
ROUND_S = 2.5
WARM_UP_S = 1.0
OF_SOCKETIO_MAX = 0.7
OF_BARE_MAX = 2.0


def measure(setting: Setting) -> Answer:
    """Take turns."""
    costs: dict[str, list[Cost]] = {"livehub": [], "socket.io": [], "bare C": []}
    with ExitStack() as stack:
        pairs: list[tuple[Served, Crowd]] = []
        for start in (livehub, socketio, barec):
            served = stack.enter_context(start())
            crowd = Crowd(served.port, bare=start is barec)
            pairs.append((served, stack.enter_context(crowd.open(SOCKETS))))
            one_in_flight(crowd, served, setting.pick(WARM_UP_S, 0.3))
        for number in range(setting.rounds):
            for served, crowd in pairs:
                crowd.quiet()
                cost = one_in_flight(crowd, served, setting.pick(ROUND_S, 0.7))
                costs[served.name].append(cost)
                setting.say(f"round {number + 1}: {served.name} {cost.us:.2f} µs, {cost.messages} messages")
    us = {name: [cost.us for cost in rounds] for name, rounds in costs.items()}
    of_socketio, of_bare = ratio(us["livehub"], us["socket.io"]), ratio(us["livehub"], us["bare C"])
    return Answer(
        figure(us["livehub"], "µs"),
        figure(us["socket.io"], "µs"),
        figure(us["bare C"], "µs"),
        ratio=f"{of_socketio:.2f} × socket.io, {of_bare:.2f} × C",
        holds=of_socketio <= OF_SOCKETIO_MAX and of_bare <= OF_BARE_MAX,
        notes=[
            f"{name}: {median([c.messages / c.wall_s for c in rounds]):.0f} messages/s"
            for name, rounds in costs.items()
        ],
        raw={f"{name}, µs": [round(value, 3) for value in values] for name, values in us.items()},
    )


POINT = Point(
    "P1",
    "fan-out to 1,000 sockets, one in flight: server CPU per delivery",
    "≤ 0.7 × socket.io, ≤ 2 × C",
    measure,
)
