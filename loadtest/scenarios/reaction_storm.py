"""A talk ends and everybody sends hearts: is every acked reaction counted in what the room is shown?

Every user reacts three times a second (`-o rate=3`) in one session; the first one only adds up the bursts that the room
is shown every two seconds. A server counts at most 10 reactions of one person in a burst and drops the rest without a
word, which is why the rate may be 4 at most.

    python -m loadtest run reaction_storm --host http://127.0.0.1:3002 -u 1000 -r 200 -t 30s
"""

from __future__ import annotations

from uuid import uuid4

import trio

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User, on, task

RATE_MAX = 4.0
OPTIONS = [Option("rate", 3.0, "reactions of one person per second", least=0.1, most=RATE_MAX)]
NEEDS = frozenset({"reactions"})
EMOJIS = ("👍", "❤️", "🎉", "👏", "🔥", "🚀", "🙌")
TALLIER_FIRST_S = 1.0
"""Nobody reacts before the tallier sits."""
BURST_S = 2.0
LATE_S = 1.0
"""A burst may be this late before it counts as lost."""


def often(user: User) -> float:
    """Evenly, so that nobody exceeds what a burst takes of one person; the first time at a moment of one's own."""
    pace_s = 1 / user.options.real("rate")
    return pace_s if getattr(user, "began", True) else TALLIER_FIRST_S + user.random.uniform(0, pace_s)


class Tallier(User):
    """Adds up what the room is shown. As the first user it hears all of it, and is where `at_end` looks: process 0."""

    fixed_count = 1
    counted = 0

    async def on_start(self) -> None:
        await self.connect()
        await self.join(self.stage.shared["session"])

    @on("reaction.burst")
    def burst(self, counts: dict[str, int]) -> None:
        self.counted += sum(counts.values())


class Reactor(User):
    """Cannot stop."""

    wait_time = often
    began = False

    async def on_start(self) -> None:
        await self.connect()
        await self.join(self.stage.shared["session"])

    @task
    async def react(self) -> None:
        self.began = True
        await self.ask("reaction.send", {"emoji": self.random.choice(EMOJIS)})


async def at_start(stage: Stage) -> None:
    """A session of its own for every run."""
    stage.shared["session"] = f"storm-{uuid4().hex[:8]}"


async def at_end(stage: Stage) -> None:
    """Whatever was acked must have been shown, and whatever was shown must have been sent."""
    await trio.sleep(BURST_S + LATE_S)
    acked, sent = stage.totals.get("acked.reaction.send", 0), stage.totals.get("sent.reaction.send", 0)
    counted = sum(user.counted for user in stage.users.values() if isinstance(user, Tallier))
    if not acked:
        stage.fail("nobody reacted: it takes two users, and some seconds")
    elif not acked <= counted <= sent:
        stage.fail(f"{sent} reactions were sent and {acked} acked, but the bursts add up to {counted}")
