"""A made-up run that looks like a real one: five minutes of `conference`, seeded, with a bad moment in the middle."""

import math
from functools import cache
from random import Random

import attrs

from loadtest.measure.book import Snapshot
from loadtest.measure.histograms import Distribution
from loadtest.measure.result import Asks, Delivery, Latency, Moment, Result, RunInfo, ServerMetric, Verdict

SECONDS = 300
USERS = 2_000


@cache
def sample(seconds: int = SECONDS) -> Result:
    """Valid, complete, all conditions met."""
    random = Random(7)
    timeline = [_moment(random, second, seconds) for second in range(1, seconds + 1)]
    delivered = sum(moment.delivered for moment in timeline)
    sent, acked = sum(moment.sent for moment in timeline), sum(moment.acked for moment in timeline)
    chats = sent // 5
    return Result(
        run=RunInfo(
            scenario="conference",
            target="livehub",
            host="http://127.0.0.1:4040",
            command="python -m loadtest run conference --host http://127.0.0.1:4040 -u 2000 -r 100 -t 300s",
            seed=42,
            users=USERS,
            rate=100.0,
            duration_s=float(seconds),
            processes=2,
            polling_percent=5.0,
            started="2026-11-21T14:03:22Z",
            commit="1c6c14c",
            versions={"loadtest": "0.1.0", "livehub": "0.1.0", "python": "3.13.5", "trio": "0.35.0"},
        ),
        machine={"cpu": "AMD EPYC 7763", "cores": 2, "memory_gb": 7.8, "kernel": "6.12.0", "python": "3.13.5"},
        delivery=Delivery(expected=delivered, delivered=delivered),
        latencies={
            "fanout": {"chat.message.new": latency(random, 21_000, 0.55, 60_000)},
            "last": {"chat.message.new": latency(random, 46_000, 0.4, 4_000)},
            "ack": {
                "chat.message.send": latency(random, 9_000, 0.5, 9_000),
                "poll.vote": latency(random, 7_000, 0.45, 5_000),
                "qa.question.ask": latency(random, 12_000, 0.5, 1_500),
            },
            "connect": {"/events": latency(random, 5_000, 0.5, USERS)},
            "join": {"/events": latency(random, 11_000, 0.6, USERS)},
            "recovery": {"/events": latency(random, 180_000, 0.5, 140)},
        },
        asks={
            "chat.message.send": Asks(sent=chats, acked=chats - 214, refused={"RATE_LIMITED": 209, "TOO_LARGE": 5}),
            "poll.vote": Asks(sent=9_120, acked=9_098, refused={"DUPLICATE_VOTE": 22}),
            "qa.question.ask": Asks(sent=1_480, acked=1_480),
            "reaction.send": Asks(sent=sent - chats, acked=acked - chats, failed=3),
        },
        counters={
            "connects": USERS + 140,
            "cuts": 140,
            "recovered": 140,
            "acked.chat.message.send": chats - 214,
            "refused.chat.message.send.RATE_LIMITED": 209,
            "delivered.chat.message.new": delivered,
            "bytes.in": delivered * 212,
            "bytes.out": sent * 96,
        },
        timeline=timeline,
        server=[
            metric('livehub_connections_opened_total{transport="websocket"}', 0, USERS + 33),
            metric('livehub_connections_opened_total{transport="polling"}', 0, 107),
            metric("livehub_fanout_frames_total", 0, delivered),
            metric("livehub_fanout_bytes_total", 0, delivered * 212),
            metric('livehub_refusals_total{reason="rate_limited"}', 0, 209),
            metric("livehub_facts_total", 12, chats),
            metric('livehub_commit_seconds_bucket{le="0.001"}', 3, 803),
            metric('livehub_commit_seconds_bucket{le="0.005"}', 5, 3_905),
            metric('livehub_commit_seconds_bucket{le="+Inf"}', 5, 4_005),
            metric("livehub_commit_seconds_count", 5, 4_005),
            metric("livehub_commit_seconds_sum", 0.5, 15.11234567),
            metric("process_resident_memory_bytes", 41_000_000, 68_500_000),
            metric("livehub_slow_closes_total", 0, 0),
        ],
        conditions=[
            Verdict(text="fanout.p99>250ms", value=76_290.0, holds=False),
            Verdict(text="lost>0", value=0.0, holds=False),
        ],
    )


def lossy() -> Result:
    """Valid, but some of it never arrived."""
    whole = sample()
    lost = 1_234
    delivery = attrs.evolve(whole.delivery, delivered=whole.delivery.expected - lost, lost=lost, duplicate=2)
    conditions = [whole.conditions[0], Verdict(text="lost>0", value=float(lost), holds=True)]
    return attrs.evolve(whole, delivery=delivery, conditions=conditions)


def invalid() -> Result:
    """The generator could not keep up."""
    whole = lossy()
    timeline = [
        attrs.evolve(moment, cpu=0.97, lag_ms=140.0 + moment.t % 7) if 180 <= moment.t < 240 else moment
        for moment in whole.timeline
    ]
    because = ["worker 1 used over 80 % of a core in 60 of 300 seconds (97 % at worst)"]
    return attrs.evolve(whole, valid=False, invalid_because=because, timeline=timeline)


def snapshot(result: Result) -> Snapshot:
    """The same run just before its end."""
    last = result.timeline[-1] if result.timeline else Moment()
    return Snapshot(
        t=last.t,
        users=last.users,
        connected=last.connected,
        processes=result.run.processes,
        delivery=result.delivery,
        latencies=result.latencies,
        asks=result.asks,
        counters=result.counters,
        moment=last,
        timeline=result.timeline,
        invalid_because=result.invalid_because,
    )


def empty() -> Result:
    """Nothing ever happened."""
    return Result(run=RunInfo(scenario="idle", target="livehub"))


def latency(random: Random, median_us: float, sigma: float, count: int) -> Latency:
    """A log-normal one with a short, slow tail, as servers have."""
    spread = Distribution()
    for _ in range(count):
        slow = 6 if random.random() < 0.0015 else 1
        spread.record(int(random.lognormvariate(math.log(median_us), sigma) * slow))
    return spread.latency()


def metric(name: str, before: float, after: float) -> ServerMetric:
    return ServerMetric(name=name, before=before, after=after, delta=after - before)


def _moment(random: Random, second: int, seconds: int) -> Moment:
    users = min(second * 100, USERS)
    bad = 5.0 if seconds * 0.55 < second < seconds * 0.58 else 1.0  # somebody else wants the disk for a moment
    sent = int(users * random.uniform(0.28, 0.34))
    p50 = int((4_000 + users * 8.5) * random.uniform(0.9, 1.1) * bad)
    return Moment(
        t=float(second),
        users=users,
        connected=users - (70 if bad > 1 else random.randrange(3)),
        sent=sent,
        acked=sent - random.randrange(4),
        delivered=int(sent / 5 * users * random.uniform(0.97, 1.0)),
        refused=random.randrange(3),
        fanout_p50=p50 if second > 2 else None,
        fanout_p99=int(p50 * random.uniform(3.2, 4.4)) if second > 2 else None,
        ack_p50=int(p50 * 0.45),
        ack_p99=int(p50 * random.uniform(1.6, 2.4)),
        lag_ms=random.uniform(0.3, 2.5),
        cpu=(8 + users / 45 + random.uniform(0, 6)) / 100,
        server_cpu=(6 + users / 30 + random.uniform(0, 7)) / 100,
        server_rss_mb=41 + users * 0.0128 + min(second, 60) * 0.03,
    )
