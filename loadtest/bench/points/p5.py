"""P5: connecting, checking the JWT and joining a session: CPU of the server, each.

2,000 clients come, 50 at a time, each step after the answer to the one before, as stock clients do: HTTP upgrade,
CONNECT with a token, `session.join`, its ack. Tokens are made before. The figure is the server's CPU from the first
connection until nothing more comes (snapshots included), divided by the clients. A fresh server each round, warmed up
by 300 clients who stay: the first ones pay for what is made once.
"""

from __future__ import annotations

from loadtest.bench.crowd import Crowd
from loadtest.bench.point import Answer, Point, Setting, figure, ratio
from loadtest.bench.servers import Starter, livehub, socketio

CLIENTS = 2_000
WARM_UP = 300
OF_SOCKETIO_MAX = 0.8


def cost_us(start: Starter, clients: int) -> float:
    """What one client costs to come in."""
    with start() as served, Crowd(served.port).open(WARM_UP) as crowd:
        crowd.quiet()
        before_ns = served.cpu_ns()
        crowd.grow(WARM_UP + clients)
        crowd.quiet()
        return (served.cpu_ns() - before_ns) / clients / 1000


def measure(setting: Setting) -> Answer:
    """Take turns, each on a fresh server."""
    clients = setting.many(CLIENTS, 500)
    us: dict[str, list[float]] = {"livehub": [], "socket.io": []}
    for number in range(setting.rounds):
        for name, start in (("livehub", livehub), ("socket.io", socketio)):
            us[name].append(cost_us(start, clients))
            setting.say(f"round {number + 1}: {name} {us[name][-1]:.0f} µs")
    of_socketio = ratio(us["livehub"], us["socket.io"])
    return Answer(
        figure(us["livehub"], "µs", 0),
        figure(us["socket.io"], "µs", 0),
        ratio=f"{of_socketio:.2f} × socket.io",
        holds=of_socketio <= OF_SOCKETIO_MAX,
        raw={f"{name}, µs": [round(value, 1) for value in values] for name, values in us.items()},
    )


POINT = Point("P5", "connect + JWT + join: server CPU each", "≤ 0.8 × socket.io", measure)
