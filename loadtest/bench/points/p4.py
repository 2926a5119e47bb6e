"""P4: memory per joined, authenticated, idle WebSocket connection: the slope of RSS between 1,000 and 5,000.

A fresh server each round. RSS (`/proc/PID/statm`) is read when 1,000 clients have joined one session and nothing has
come for a while, and again with 5,000; the difference is divided by the 4,000 between. Units of
1,000 bytes. It is memory as an operator sees it, with whatever a runtime has not given back.
"""

from __future__ import annotations

from loadtest.bench.crowd import Crowd
from loadtest.bench.point import Answer, Point, Setting, figure, median, ratio
from loadtest.bench.servers import Starter, livehub, socketio

FEW, MANY = 1_000, 5_000
STILL_S = 2.5
"""Longer than the longest beat of a view, so that nothing is being made when memory is read."""
KB_MAX = 15.0


def slope_kb(start: Starter, few: int, many: int, still_s: float) -> float:
    """Memory for one more connection, in 1,000 bytes."""
    with start() as served, Crowd(served.port).open(few) as crowd:
        crowd.quiet(still_s)
        before = served.rss_bytes()
        crowd.grow(many)
        crowd.quiet(still_s)
        return (served.rss_bytes() - before) / (many - few) / 1000


def measure(setting: Setting) -> Answer:
    """Take turns, each on a fresh server."""
    few, many = setting.many(FEW, 500), setting.many(MANY, 1_500)
    kb: dict[str, list[float]] = {"livehub": [], "socket.io": []}
    for number in range(setting.rounds):
        for name, start in (("livehub", livehub), ("socket.io", socketio)):
            kb[name].append(slope_kb(start, few, many, setting.pick(STILL_S, 1.0)))
            setting.say(f"round {number + 1}: {name} {kb[name][-1]:.2f} kB")
    ours, theirs = median(kb["livehub"]), median(kb["socket.io"])
    return Answer(
        figure(kb["livehub"], "kB"),
        figure(kb["socket.io"], "kB"),
        ratio=f"{ratio(kb['livehub'], kb['socket.io']):.2f} × socket.io",
        holds=ours <= KB_MAX and ours < theirs,
        raw={f"{name}, kB": [round(value, 2) for value in values] for name, values in kb.items()},
    )


POINT = Point("P4", "RSS per joined idle connection (slope 1,000 to 5,000)", "≤ 15 kB, below socket.io", measure)
