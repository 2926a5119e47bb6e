"""P10: 5,000 clients cut off and back within 10 s, half of them silently; and all of it a second time.

5,000 clients sit in a session to which somebody, who is never cut off, sends `RATE_PER_S` messages. Each client is
cut off at a random time within 5 s, and comes back after 0.5 to 5 s on a new connection with its `pid` and offset
(`storm.py`). When all are back they are cut off again: a recovered connection must be able to recover. Exact means:
every client was recovered both times, and has heard every message once, in order. The time of a recovery is from when
the client was due to come back to the answer to its CONNECT.
"""

from __future__ import annotations

import time

from loadtest.bench.crowd import Crowd
from loadtest.bench.fanout import GENERATOR_SHARE_MAX, Share
from loadtest.bench.latency import Latencies
from loadtest.bench.point import Answer, Point, Setting, figure, invalid_generator, median
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import livehub
from loadtest.bench.storm import Storm

CLIENTS = 5_000
RATE_PER_S = 5
CUT_WITHIN_S = 5.0
AWAY_S = (0.5, 5.0)
CUTS = 2
SETTLE_S = 60.0
SEED = 10
P99_MS_MAX = 5_000.0


def weather(storm: Storm, speaker: Crowd, deadline_s: float = SETTLE_S) -> float:
    """One cut of everybody, and their return: the generator's share."""
    share, began_s = Share(), time.monotonic()
    storm.plan_cuts(CUT_WITHIN_S, AWAY_S)
    due_s = began_s
    while not storm.calm:
        now_s = time.monotonic()
        if now_s >= due_s:
            speaker.say(speaker.links[0])
            due_s += 1 / RATE_PER_S
        storm.pump(0.02)
        speaker.pump(0)
        if now_s > began_s + deadline_s:
            raise Trouble(f"not everybody was back after {deadline_s:g} s")
    return share()


def complete(storm: Storm, speaker: Crowd) -> None:
    """Wait until everybody has heard everything that was sent, for as long as there is hope."""
    ends_s = time.monotonic() + SETTLE_S
    while any(client.next < speaker.sent for client in storm.clients):
        storm.pump(0.05)
        speaker.pump(0)
        if time.monotonic() > ends_s:
            behind = sum(client.next < speaker.sent for client in storm.clients)
            raise Trouble(f"{behind} clients never heard the last messages")


def measure(setting: Setting) -> Answer:
    """Two cuts a round, with the same clients on the same server."""
    clients, p99_ms, shares, servers = setting.many(CLIENTS, 500), [], [], []
    with livehub() as served, Crowd(served.port).open(1) as speaker:
        storm = Storm(served.port, speaker.links[0].session, SEED)
        try:
            storm.enter(clients)
            speaker.quiet()
            for number in range(setting.rounds):
                storm.recovery, server = Latencies(), Share(served.cpu_ns)
                shares += [weather(storm, speaker) for _ in range(CUTS)]
                complete(storm, speaker)
                servers.append(server())
                p99_ms.append(storm.recovery.quantile_ms(0.99))
                told = f"p99 {p99_ms[-1]:.0f} ms, {dict(storm.faults) or 'exact'}"
                setting.say(f"round {number + 1}: {told}, generator {shares[-1]:.0%}, server {servers[-1]:.0%}")
        finally:
            storm.close()
    if median(shares) > GENERATOR_SHARE_MAX:
        return invalid_generator(median(shares), GENERATOR_SHARE_MAX)
    due = clients * CUTS * setting.rounds
    exact = not storm.faults and storm.recovered == due
    told = "all exact" if exact else ", ".join(f"{count} {what}" for what, count in storm.faults.items())
    return Answer(
        f"{told}; p99 {figure(p99_ms, 'ms', 0)}",
        holds=exact and median(p99_ms) < P99_MS_MAX,
        notes=[
            f"{storm.recovered:,} of {due:,} recovered, half of them cut silently; {speaker.sent} messages each",
            f"generator {median(shares):.0%} of its core, server {median(servers):.0%}",
        ],
        raw={"p99 of recovery, ms": p99_ms},
    )


POINT = Point("P10", "5,000 clients cut off and back within 10 s, twice", "all exact, p99 of recovery < 5 s", measure)
