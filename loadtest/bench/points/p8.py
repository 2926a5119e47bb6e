"""P8: 10,000 votes offered within 2 s: all answered, all counted.

10,000 people sit in one session; one of them, who may, opens a poll of four options. Votes are due at even distances
over 2 s, one of each person, with an ack (`poll.vote.submit`); the time of an answer counts from when the vote was
due. When all are answered the poll is closed, and its final counts must be exactly what was voted, option by option.
Everybody is sent the results meanwhile, at most 4 times a second. A new poll each round, with the same people.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import attrs

from loadtest.bench.crowd import Crowd, Link
from loadtest.bench.fanout import GENERATOR_SHARE_MAX, Share
from loadtest.bench.latency import Latencies
from loadtest.bench.point import Answer, Point, Setting, figure, invalid_generator, median
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import Served, livehub
from loadtest.bench.wire import emit

PEOPLE = 10_000
OFFERED_S = 2.0
OPTIONS = 4
P99_MS_MAX = 1_000.0
ANSWER_DEADLINE_S = 30.0
OPENED = b'42/events,["poll.opened",'
CLOSED = b'42/events,["poll.closed",'


@attrs.frozen
class Vote:
    """What a poll came to."""

    p99_ms: float
    generator: float
    server: float
    cpu_s: float


class Hall:
    """People before one poll after the other."""

    def __init__(self, crowd: Crowd, served: Served) -> None:
        self._crowd = crowd
        self._served = served
        self._host = crowd.links[0]
        self._told: dict[bytes, dict[str, Any]] = {}
        crowd.heard = self._heard

    def vote(self) -> Vote:
        """Have a poll, everybody's votes, and its end. Raises `Trouble` if a vote is not answered or not counted."""
        poll, crowd = self._open(), self._crowd
        options = [option["id"] for option in poll["options"]]
        due_ns: dict[int, int] = {}
        latencies, chosen = Latencies(), Counter[str]()

        def answered(link: Link, _: bytes, now_ns: int) -> None:
            latencies.took(now_ns, (due_ns.pop(link.number),))

        crowd.answered = answered
        began_ns, step_ns, share = time.monotonic_ns(), OFFERED_S * 1e9 / len(crowd.links), Share()
        server = Share(self._served.cpu_ns)
        for number, link in enumerate(crowd.links):
            due = began_ns + int(number * step_ns)
            while (left_ns := due - time.monotonic_ns()) > 0:
                crowd.pump(left_ns / 1e9)
            option = options[number % OPTIONS]
            chosen[option] += 1
            due_ns[link.number] = due
            self._ask(link, "poll.vote.submit", {"pollId": poll["id"], "optionId": option})
            if number % 64 == 0:
                crowd.pump(0)  # answers are read also while sending is late
        crowd.until(lambda: not due_ns, ANSWER_DEADLINE_S)
        done = Vote(latencies.quantile_ms(0.99), share(), server(), server.used_s())
        crowd.answered = None
        self._check(poll["id"], chosen)
        return done

    def _open(self) -> dict[str, Any]:
        choices = [{"text": f"Option {number}"} for number in range(OPTIONS)]
        self._told.clear()
        self._ask(self._host, "poll.create", {"question": "What next?", "options": choices})
        self._crowd.until(lambda: OPENED in self._told)
        self._crowd.quiet()
        return self._told[OPENED]

    def _check(self, poll_id: str, chosen: Counter[str]) -> None:
        if self._crowd.refused:
            raise Trouble(f"refused: {self._crowd.refused[0].decode()}")
        self._ask(self._host, "poll.manage", {"pollId": poll_id, "action": "close"})
        self._crowd.until(lambda: CLOSED in self._told)
        counted = {one["id"]: one["voteCount"] for one in self._told[CLOSED]["poll"]["options"]}
        if counted != chosen:
            raise Trouble(f"counted {counted}, voted {dict(chosen)}")
        self._crowd.quiet()

    def _ask(self, link: Link, event: str, payload: dict[str, object]) -> None:
        link.acks += 1
        link.send(emit(event, {**payload, "idempotencyKey": self._crowd.keys.next()}, link.acks))

    def _heard(self, link: Link, text: bytes) -> None:
        if link is self._host and text.startswith((OPENED, CLOSED)):
            kind = OPENED if text.startswith(OPENED) else CLOSED
            self._told[kind] = json.loads(text[text.index(b"[") :])[1]


def measure(setting: Setting) -> Answer:
    """Poll after poll."""
    people, polls = setting.many(PEOPLE, 1_000), []
    with livehub() as served, Crowd(served.port, role="OWNER").open(people) as crowd:
        crowd.quiet()
        hall = Hall(crowd, served)
        for number in range(setting.rounds):
            polls.append(done := hall.vote())
            told = f"p99 {done.p99_ms:.0f} ms, generator {done.generator:.0%}, server {done.server:.0%}"
            setting.say(f"round {number + 1}: {told}")
    generator = median([one.generator for one in polls])
    if generator > GENERATOR_SHARE_MAX:
        return invalid_generator(generator, GENERATOR_SHARE_MAX)
    p99_ms = [one.p99_ms for one in polls]
    return Answer(
        f"all counted; p99 {figure(p99_ms, 'ms', 0)}",
        holds=median(p99_ms) < P99_MS_MAX,
        notes=[
            f"{people:,} votes in each of {len(polls)} polls, server CPU {median([one.cpu_s for one in polls]):.2f} s",
            f"generator {generator:.0%} of its core, server {median([one.server for one in polls]):.0%}",
        ],
        raw={"p99, ms": p99_ms},
    )


POINT = Point("P8", "10,000 votes offered within 2 s", "all answered and counted, p99 < 1 s", measure)
