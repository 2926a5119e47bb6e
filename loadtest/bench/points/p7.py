"""P7: durable chat messages acked per second: 200 senders in 20 sessions, `synchronous=FULL`.

Every sender sends the next message of 60 characters when the one before is acked (closed loop), for `ROUND_S`.
livehub acks after the commit is on disk, its default (`[store] durability = "disk"`, SQLite with `synchronous=FULL`);
the data directory is on disk. Acks per second are counted by the wall's clock; p99 is from the send to the ack. Every
message goes to all ten members of its session, which is part of the work.
"""

from __future__ import annotations

import time

import attrs

from loadtest.bench.crowd import Crowd, Link
from loadtest.bench.fanout import GENERATOR_SHARE_MAX, Share
from loadtest.bench.latency import Latencies
from loadtest.bench.point import Answer, Point, Setting, figure, invalid_generator, median
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import livehub
from loadtest.bench.wire import masked
from loadtest.bench.yardstick import yardstick

SENDERS = 200
SESSIONS = 20
TEXT = "x" * 60
ROUND_S = 5.0
WARM_UP_S = 1.0
PER_S_MIN = 5_000
P99_MS_MAX = 50.0
SETTLE_S = 30.0


@attrs.frozen
class Chatter:
    """What a stretch of it came to."""

    per_s: float
    p99_ms: float
    generator: float


def chatter(crowd: Crowd, seconds: float) -> Chatter:
    """Everybody sends as fast as they are acked."""
    latencies, since_ns = Latencies(), dict.fromkeys(range(len(crowd.links)), 0)
    going = True

    def send(link: Link) -> None:
        link.acks += 1
        payload = f'{{"text":"{TEXT}","idempotencyKey":"{crowd.keys.next()}"}}'
        since_ns[link.number] = time.monotonic_ns()
        link.send(masked(f'42/events,{link.acks}["chat.message.send",{payload}]'.encode()))

    def answered(link: Link, _: bytes, now_ns: int) -> None:
        latencies.took(now_ns, (since_ns.pop(link.number),))
        if going:
            send(link)

    crowd.answered = answered
    acked, began_s, share = crowd.acked, time.monotonic(), Share()
    for link in crowd.links:
        send(link)
    while time.monotonic() < began_s + seconds:
        crowd.pump(0.05)
    per_s, generator = (crowd.acked - acked) / (time.monotonic() - began_s), share()
    going = False
    crowd.until(lambda: not since_ns, SETTLE_S)
    if crowd.refused:
        raise Trouble(f"refused: {crowd.refused[0].decode()}")
    return Chatter(per_s, latencies.quantile_ms(0.99), generator)


def measure(setting: Setting) -> Answer:
    """Round after round on one server."""
    rounds: list[Chatter] = []
    sends: list[float] = []
    with (
        yardstick(setting) as send_us,
        livehub() as served,
        Crowd(served.port, sessions=SESSIONS).open(SENDERS) as crowd,
    ):
        crowd.quiet()
        chatter(crowd, setting.pick(WARM_UP_S, 0.5))
        for number in range(setting.rounds):
            sends.append(send_us())
            rounds.append(done := chatter(crowd, setting.pick(ROUND_S, 1.5)))
            told = f"{done.per_s:,.0f} acked/s, p99 {done.p99_ms:.1f} ms"
            setting.say(f"round {number + 1}: {told}, generator {done.generator:.0%}, a bare send {sends[-1]:.2f} µs")
    generator = median([one.generator for one in rounds])
    if generator > GENERATOR_SHARE_MAX:
        return invalid_generator(generator, GENERATOR_SHARE_MAX)
    per_s, p99_ms = [one.per_s for one in rounds], [one.p99_ms for one in rounds]
    return Answer(
        f"{figure(per_s, '/s', 0)}; p99 {figure(p99_ms, 'ms', 1)}",
        bare=f"{figure(sends, 'µs')} a send",
        holds=median(per_s) >= PER_S_MIN and median(p99_ms) < P99_MS_MAX,
        notes=[f"generator {generator:.0%} of its core"],
        raw={
            "acked/s": [round(value) for value in per_s],
            "p99, ms": p99_ms,
            "µs of a bare send": [round(value, 2) for value in sends],
        },
    )


POINT = Point("P7", "acked chat messages on disk: 200 senders in 20 sessions", "≥ 5,000/s, p99 < 50 ms", measure)
