"""A poll opens and everybody votes at once: is every vote answered, in time, and counted exactly once?

A speaker opens one poll (`-o at=5`: after so many seconds; leave everybody time to come), and every other user votes
at a moment of their own within `-o window=2` seconds. Whoever comes later finds the poll in their snapshot and votes.

    python -m loadtest run vote_spike --host http://127.0.0.1:3002 -u 10000 -r 1000 -t 30s -o at=15 \\
        --fail-if 'ack[poll.vote.submit].p99>1s'
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import trio

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User, on

OPTIONS = [
    Option("at", 5.0, "seconds from the speaker's arrival to the opening of the poll", least=0),
    Option("window", 2.0, "seconds within which everybody votes", least=0),
    Option("choices", 4, "options of the poll", least=2, most=50),
]
NEEDS = frozenset({"polls"})
NS_PER_S = 1_000_000_000
TALLY_DEADLINE_S = 10.0


class Speaker(User):
    """Opens the poll."""

    fixed_count = 1
    role = "organizer"

    async def on_start(self) -> None:
        await self.connect()
        await self.join(self.stage.shared["session"])
        await trio.sleep(self.options.real("at"))
        choices = [{"text": f"Option {number + 1}"} for number in range(self.options.number("choices"))]
        question = {"question": "Which one?", "options": choices, "idempotencyKey": self.key()}
        answer = await self.ask("poll.create", question)
        if not answer.ok:
            self.stage.fail(f"the poll was not opened: {answer.code}")


class Voter(User):
    """Votes once, for any option."""

    voted = False

    async def on_start(self) -> None:
        await self.connect()
        await self.join(self.stage.shared["session"])

    @on("poll.opened")
    async def opened(self, poll: dict[str, Any]) -> None:
        await self.vote(poll)

    @on("session.snapshot")
    async def came_late(self, snapshot: dict[str, Any]) -> None:
        if snapshot["activePoll"]:
            await self.vote(snapshot["activePoll"]["poll"])

    async def vote(self, poll: dict[str, Any]) -> None:
        if self.voted:
            return
        self.voted = True
        due_ns = self.intended_ns + int(self.random.uniform(0, self.options.real("window")) * NS_PER_S)
        await trio.sleep((due_ns - self.stage.now_ns()) / NS_PER_S)
        place = self.random.randrange(len(poll["options"]))
        ballot = {"pollId": poll["id"], "optionId": poll["options"][place]["id"], "idempotencyKey": self.key()}
        self.at(due_ns)
        answer = await self.ask("poll.vote.submit", ballot)
        if answer.ok:
            self.recorder.count(f"voted.{place}")


class Teller(User):
    """Comes at the end and reads the result."""

    abstract = True  # a guest of at_end, not one of the crowd
    role = "organizer"
    must_hear = False

    async def on_start(self) -> None:
        self.read = trio.Event()
        self.poll: dict[str, Any] | None = None
        await self.connect()
        await self.join(self.stage.shared["session"])

    @on("session.snapshot")
    def snapshot(self, snapshot: dict[str, Any]) -> None:
        if snapshot["activePoll"]:
            self.poll = snapshot["activePoll"]["poll"]
        self.read.set()


async def at_start(stage: Stage) -> None:
    """A session of its own for every run."""
    stage.shared["session"] = f"vote-{uuid4().hex[:8]}"


async def at_end(stage: Stage) -> None:
    """The tally must be what was acked, option by option; everybody must have been answered."""
    totals = stage.totals
    sent, acked = totals.get("sent.poll.vote.submit", 0), totals.get("acked.poll.vote.submit", 0)
    voters = totals.get("acked.session.join", 0) - Speaker.fixed_count
    if sent != acked:
        stage.fail(f"{sent} votes were sent and {acked} acked")
    if not acked:
        stage.fail("nobody voted: it takes two users, and a -t longer than -o at plus -o window")
    elif acked < voters:
        stage.fail(f"{acked} of {voters} voted; is -t longer than -o at plus -o window?")
    async with stage.guest(Teller) as teller:
        with trio.move_on_after(TALLY_DEADLINE_S):
            await teller.read.wait()
        if teller.poll is None:
            stage.fail("the poll was not there at the end")
            return
        counted = [option["voteCount"] for option in teller.poll["options"]]
    voted = [totals.get(f"voted.{place}", 0) for place in range(len(counted))]
    if counted != voted:
        stage.fail(f"the tally is {counted}, but acked was {voted}")
