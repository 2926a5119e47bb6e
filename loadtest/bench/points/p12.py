"""P12: `session.join` of a session with 50,000 facts whose room is open: median time to the ack.

Chat messages of 20 clients fill the session (each is a fact, and so are the joins); who sent them stays, so the room
is open. Then newcomers, connected and let in before, send `session.join` one after the other; each answer is waited
for, and the snapshot with it is read before the next one asks. The figure is the median of the times from the send to
the ack.
"""

from __future__ import annotations

import time

from loadtest.bench.crowd import Crowd, Link
from loadtest.bench.fanout import in_flight
from loadtest.bench.point import Answer, Point, Setting, figure, median
from loadtest.bench.servers import livehub
from loadtest.bench.wire import emit

FACTS = 50_000
PEOPLE = 20
IN_FLIGHT = 200
NEWCOMERS = 50
FILL_S = 2.0
MS_MAX = 50.0
SESSION = "full"


def join_ms(crowd: Crowd, link: Link, session: str) -> float:
    """How long one newcomer waits."""
    answers: list[int] = []

    def answered(one: Link, _: bytes, now_ns: int) -> None:
        if one is link:
            answers.append(now_ns)

    crowd.answered = answered
    link.acks += 1
    began_ns = time.monotonic_ns()
    link.send(emit("session.join", {"sessionId": session}, link.acks))
    crowd.until(lambda: bool(answers))
    crowd.quiet(0.02)
    return (answers[0] - began_ns) / 1e6


def measure(setting: Setting) -> Answer:
    """Fill the session once, then have newcomers join, round after round."""
    facts, rounds = setting.many(FACTS, 5_000), []
    with livehub() as served, Crowd(served.port, name=SESSION).open(PEOPLE) as inside:
        while inside.sent < facts:
            in_flight(inside, served, FILL_S, IN_FLIGHT)
            setting.say(f"{inside.sent:,} messages")
        session = inside.links[0].session
        for number in range(setting.rounds):
            with Crowd(served.port, name=f"lobby{number}").open(setting.many(NEWCOMERS, 20)) as newcomers:
                newcomers.quiet()
                took = [join_ms(newcomers, link, session) for link in newcomers.links]
            inside.quiet(0.02)
            rounds.append(median(took))
            setting.say(f"round {number + 1}: {rounds[-1]:.2f} ms to join {session}")
    return Answer(
        figure(rounds, "ms"),
        holds=median(rounds) < MS_MAX,
        notes=[f"{inside.sent:,} messages in the log of the session"],
        raw={"ms, median of each round": [round(value, 3) for value in rounds]},
    )


POINT = Point("P12", "`session.join` of a session with 50,000 facts, room open: to the ack", "< 50 ms", measure)
