"""P6: `reaction.send` inbound, validated and counted: CPU of the server, each.

1,000 people sit in one session. In a spike each of them sends one valid reaction, without an ack, as clients do; all
are sent within some milliseconds. The figure is the server's CPU from before the spike until it has been still for
`STILL_S`, divided by 1,000. Spikes begin right after a `reaction.burst` was shown and lie within the 2 s to the next
one, so that showing it (output, not input) is not in the figure; no person comes near the 10 of one burst. The counts
of the bursts must add up to what was sent, exactly.
"""

from __future__ import annotations

import json
import time

from loadtest.bench.crowd import Crowd, Link
from loadtest.bench.point import Answer, Point, Setting, figure, median, ratio
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import Served, livehub
from loadtest.bench.wire import emit
from loadtest.bench.yardstick import yardstick

PEOPLE = 1_000
SPIKES = 8  # within one burst
BURST = b'42/events,["reaction.burst",'
BURST_DEADLINE_S = 6.0
BURST_S = 2.0
STILL_S = 0.02
STILL_NS = 200_000
"""CPU within STILL_S below which a server is still: timers take some of it always."""
US_MAX = 25.0
EMOJI = ("👍", "❤️", "🎉", "👏")


class Counting:
    """What one of the people has been shown."""

    def __init__(self, crowd: Crowd) -> None:
        self.counted = 0
        self.bursts = 0
        self._watcher = crowd.links[0]
        crowd.heard = self._heard

    def _heard(self, link: Link, text: bytes) -> None:
        if link is self._watcher and text.startswith(BURST):
            self.counted += sum(json.loads(text[text.index(b"[") :])[1].values())
            self.bursts += 1


def until_still(crowd: Crowd, served: Served) -> int:
    """Wait until a server does nothing more: the CPU that it had used when it began to do nothing."""
    used_ns = served.cpu_ns()
    while True:
        ends_s = time.monotonic() + STILL_S
        while (left_s := ends_s - time.monotonic()) > 0:
            crowd.pump(left_s)
        now_ns = served.cpu_ns()
        if now_ns - used_ns < STILL_NS:
            return used_ns
        used_ns = now_ns


def burst_of_spikes(crowd: Crowd, served: Served, counting: Counting) -> list[float]:
    """As many spikes as fit between two bursts: what one reaction of each cost, in microseconds."""
    frames = [emit("reaction.send", {"emoji": EMOJI[link.number % len(EMOJI)]}) for link in crowd.links]
    shown = counting.bursts
    crowd.links[0].send(frames[0])  # has the next burst shown, whose end is the beginning
    crowd.until(lambda: counting.bursts > shown, BURST_DEADLINE_S)
    crowd.quiet(0.05)
    costs, counted, began_s = [], counting.counted, time.monotonic()
    for _ in range(SPIKES):
        before_ns = until_still(crowd, served)
        for link, frame in zip(crowd.links, frames, strict=True):
            link.send(frame)
        costs.append((until_still(crowd, served) - before_ns) / len(frames) / 1000)
        if time.monotonic() - began_s > BURST_S * 0.7:
            break
    due = counted + len(costs) * len(frames)
    crowd.until(lambda: counting.counted >= due, BURST_DEADLINE_S)
    if counting.counted != due or crowd.refused:
        raise Trouble(f"{counting.counted - counted} reactions were counted of {due - counted}")
    return costs


def measure(setting: Setting) -> Answer:
    """Round after round on one server, each as many spikes as fit between two bursts."""
    rounds: list[list[float]] = []
    sends: list[float] = []
    with yardstick(setting) as send_us, livehub() as served, Crowd(served.port).open(PEOPLE) as crowd:
        crowd.quiet()
        counting = Counting(crowd)
        burst_of_spikes(crowd, served, counting)
        for number in range(setting.rounds):
            sends.append(send_us())
            rounds.append(burst_of_spikes(crowd, served, counting))
            told = f"{median(rounds[-1]):.1f} µs, {len(rounds[-1])} spikes, a bare send {sends[-1]:.2f} µs"
            setting.say(f"round {number + 1}: {told}")
    us = [median(spikes) for spikes in rounds]
    spikes = sum(len(one) for one in rounds)
    return Answer(
        figure(us, "µs", 1),
        bare=f"{figure(sends, 'µs')} a send",
        ratio=f"{ratio(us, sends):.1f} sends of C",
        holds=median(us) <= US_MAX,
        notes=[f"{spikes * PEOPLE:,} reactions sent, {spikes * PEOPLE:,} counted"],
        raw={
            "µs, median of each round's spikes": [round(value, 2) for value in us],
            "µs of a bare send": [round(value, 2) for value in sends],
        },
    )


POINT = Point("P6", "`reaction.send` in spikes of 1,000, validated and counted: server CPU each", "≤ 25 µs", measure)
