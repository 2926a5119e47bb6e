"""A conference day: talks of 200 to 500 people who mostly listen, chat now and then, vote, ask and applaud.

Every session has its chat, reactions, a speaker's poll from time to time, questions with upvotes; people write to each
other, two organizers watch the dashboard, and every tenth is on a phone that loses coverage now and then (half the time
without the server hearing of it) and comes back within some seconds. All waits are exponential: acts come at random
and independently, at the same rate from the first second on. `-o pace=10` makes people ten times as lively.

    python -m loadtest run conference --host http://127.0.0.1:3002 -u 10000 -r 200 -t 5m --processes 2 \\
        --fail-if 'lost>0' --fail-if 'fanout.p99>500ms'

What `-u 10000` comes to. Sessions of 500, 430, 370, 320, 270, 230, 200, 500, … are 30 sessions; the sizes squared add
up to 3.6 million, so an act of a random person reaches 362 people, and points for it bring all of them one more event,
the leaderboard (at most 4 a second per session). A minute of a session of 331 sees 17 messages.

    chat       one message in 1,200 s each:   8.3/s x 362 x 2                          6,000 deliveries/s
    reactions  a flurry in 900 s each: a burst in half of all 2 s, and the mood        3,600
    polls      one in 10 min a session, half vote within 15 s: 2 x 4/s for 15 s        2,000
    upvotes    one in 4,000 s each:           2.5/s x 362 x 2                          1,800
    questions  one in 40,000 s each, half of them answered                               200
    direct messages, one in 600 s each; dashboards                                        50

That is at most 14,000 deliveries and some 100 asks per second; before there are questions and polls it is 10,000.
Measured with 3,000 users: 3,000 deliveries/s, for which one generator process needs 5 to 15 % of a core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import trio

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User, on, task

OPTIONS = [
    Option("sessions", 0, "how many sessions; 0: as many as sizes of 200 to 500 make", least=0),
    Option("pace", 1.0, "how lively people are; 2 is twice as much of everything", least=0.01),
    Option("poll-every", 600.0, "seconds from one poll of a session to the next, on average", least=1),
    Option("poll-votes", 50.0, "share of a session that votes in a poll, in %", least=0, most=100),
]
NEEDS = frozenset({"chat", "polls", "reactions", "recovery", "qa", "dms", "dashboard"})

SIZES = (500, 430, 370, 320, 270, 230, 200)
SKEW = (5, 4, 4, 3, 3, 2, 2)
"""The same, roughly, as shares: how `-o sessions` are filled."""

ACT_EVERY_S = 252.0  # of one attendee; the weights of the tasks make this 1,200 s for chat and so on
WALK_EVERY_S = 120.0  # from a phone's one loss of coverage to the next, and other acts
SPEAKERS_PER_SESSION = 331 / 50  # as the weights of the classes have it
POLLS_SHARE = 0.7  # of what a speaker does; the rest is answering questions
VOTE_WITHIN_S = 15.0
AWAY_S = (1.0, 8.0)
NS_PER_S = 1_000_000_000
LINES = ("That is a good point.", "Could you show that slide again?", "Same here.", "Greetings from row 12!", "👏👏👏")
EMOJIS = ("👍", "❤️", "🎉", "💡", "😂", "👏", "🔥")
FLURRY_MAX = 3
BURST_MAX = 10
BURST_S = 3.0  # 2 s, and what a burst may be late
"""So many reactions of one person a server counts in a burst; by contract it drops the rest without a word."""
DASHBOARD_DEADLINE_S = 10.0
OVERTAKEN = "refused.poll.vote.submit.conflict"
"""A vote that met the opening of the next poll on its way; all other refusals are wrong."""


def exponential(mean_s: float) -> Callable[[User], float]:
    """Waits of this mean that know nothing of each other, so that a run needs no time to get into its stride."""

    def wait(user: User) -> float:
        return user.random.expovariate(user.options.real("pace") / mean_s)

    return wait


def speaking(user: User) -> float:
    """As often as it takes all speakers of a session to open its polls."""
    mean_s = user.options.real("poll-every") * SPEAKERS_PER_SESSION * POLLS_SHARE
    return user.random.expovariate(user.options.real("pace") / mean_s)


def place(number: int, sessions: int) -> tuple[int, bool]:
    """In which session somebody sits, and whether they are the first there."""
    sizes = SIZES if not sessions else [SKEW[each % len(SKEW)] for each in range(sessions)]
    rounds, rest = divmod(number, sum(sizes))
    for session, size in enumerate(sizes):
        if rest < size:
            return (session, rounds + rest == 0) if sessions else (rounds * len(sizes) + session, rest == 0)
        rest -= size
    raise AssertionError("a remainder is less than the sum")


class Person(User):
    """What everybody at the conference does."""

    abstract = True
    wait_time = exponential(ACT_EVERY_S)
    name = ""
    poll = ""  # the one that takes votes

    async def on_start(self) -> None:
        session, first = place(self.number, self.options.number("sessions"))
        self.questions: deque[str] = deque(maxlen=5)
        self.reacted_ns: deque[int] = deque(maxlen=BURST_MAX)
        self.name = f"{self.stage.shared['event']}-{session}"
        await self.connect()
        if first:  # the first to name the event makes the session a part of it
            await self.ask("session.join", {"sessionId": self.name, "eventId": self.stage.shared["event"]})
        await self.join(self.name)

    @on("qa.question.new")
    def asked(self, question: dict[str, Any]) -> None:
        if question["authorId"] != self.target.user_id(self.number):
            self.questions.append(question["id"])

    @on("poll.opened")
    async def opened(self, poll: dict[str, Any]) -> None:
        self.poll = poll["id"]
        if self.random.uniform(0, 100) >= self.options.real("poll-votes"):
            return
        due_ns = self.intended_ns + int(self.random.uniform(0, VOTE_WITHIN_S) * NS_PER_S)
        await trio.sleep((due_ns - self.stage.now_ns()) / NS_PER_S)
        if not self.connected or self.stage.stopping or self.poll != poll["id"]:  # another one took its place
            return
        option = self.random.choice(poll["options"])
        self.at(due_ns)
        vote = {"pollId": poll["id"], "optionId": option["id"], "idempotencyKey": self.key()}
        await self.ask("poll.vote.submit", vote)

    @on("dm.new")
    async def written_to(self, message: dict[str, Any]) -> None:
        await self.ask("dm.delivered", {"messageId": message["id"], "idempotencyKey": self.key()})


class Attendee(Person):
    """Mostly listens."""

    weight = 43

    @task(100)
    async def chat(self) -> None:
        await self.say(self.random.choice(LINES))

    @task(133)
    async def react(self) -> None:
        for _ in range(self.random.randint(1, FLURRY_MAX)):
            now_ns = self.stage.now_ns()
            if len(self.reacted_ns) == BURST_MAX and now_ns - self.reacted_ns[0] < BURST_S * NS_PER_S:
                return
            self.reacted_ns.append(now_ns)
            await self.ask("reaction.send", {"emoji": self.random.choice(EMOJIS)})

    @task(40)
    async def upvote(self) -> None:
        if self.questions:  # each once: a second time would take it back
            await self.ask(
                "qna.question.upvote", {"questionId": self.questions.popleft(), "idempotencyKey": self.key()}
            )

    @task(3)
    async def ask_question(self) -> None:
        await self.ask("qa.question.ask", {"text": "How does that scale?", "idempotencyKey": self.key()})

    @task(200)
    async def write(self) -> None:
        if self.number:
            other = self.target.user_id(self.random.randrange(self.number))
            await self.ask(
                "dm.send", {"recipientId": other, "text": "Coffee afterwards?", "idempotencyKey": self.key()}
            )


class Phone(Person):
    """Walks through the building with the conference's app open."""

    weight = 5
    wait_time = exponential(WALK_EVERY_S)

    @task(1)
    async def chat(self) -> None:
        await self.say(self.random.choice(LINES))

    @task(9)
    async def lose_coverage(self) -> None:
        await self.drop(silent=self.random.random() < 0.5)
        back_ns = self.stage.now_ns() + int(self.random.uniform(*AWAY_S) * NS_PER_S)
        await trio.sleep((back_ns - self.stage.now_ns()) / NS_PER_S)
        self.at(back_ns)
        await self.resume()


class Speaker(Person):
    """Opens polls and answers questions."""

    role = "organizer"
    wait_time = speaking

    @task(7)
    async def open_poll(self) -> None:
        choices = [{"text": text} for text in ("Yes", "No", "It depends")]
        question = {"question": "Have you tried it?", "options": choices, "idempotencyKey": self.key()}
        await self.ask("poll.create", question)

    @task(3)
    async def answer(self) -> None:
        if self.questions:
            text = {"answerText": "Up to a point.", "idempotencyKey": self.key()}
            await self.ask("qna.question.answer", {"questionId": self.questions.popleft(), **text})


class Organizer(Person):
    """Watches the dashboard."""

    fixed_count = 2
    role = "organizer"

    async def on_start(self) -> None:
        await super().on_start()
        await self.ask("dashboard.join", {"eventId": self.stage.shared["event"]})


class Auditor(User):
    """Comes at the end and reads the dashboard's sums."""

    abstract = True  # a guest of at_end, not one of the crowd
    role = "organizer"

    async def on_start(self) -> None:
        self.read = trio.Event()
        self.sums: dict[str, Any] = {}
        await self.connect()
        await self.ask("dashboard.join", {"eventId": self.stage.shared["event"]})

    @on("dashboard.update")
    def update(self, sums: dict[str, Any]) -> None:
        self.sums = sums
        self.read.set()

    async def until(self, sums: dict[str, int]) -> None:
        """Wait until the dashboard says at least so much: it is brought up to date now and then, not at once."""
        while any(self.sums.get(name, -1) < number for name, number in sums.items()):
            self.read = trio.Event()
            await self.read.wait()


async def at_start(stage: Stage) -> None:
    """An event of its own for every run, so that its sums are this run's."""
    stage.shared["event"] = f"conf-{uuid4().hex[:8]}"


async def at_end(stage: Stage) -> None:
    """Nothing was refused, everybody was recovered, and the dashboard's sums are what was acked."""
    totals = stage.totals
    for name, number in sorted(totals.items()):
        if number and name.startswith("refused.") and name != OVERTAKEN:
            stage.fail(f"{number} x {name}")
    if anew := totals.get("unrecovered", 0):
        stage.fail(f"{anew} of those who were cut off were not recovered")
    async with stage.guest(Auditor) as auditor:
        with trio.move_on_after(DASHBOARD_DEADLINE_S):
            await auditor.until({name: totals.get(f"acked.{event}", 0) for name, event in COUNTED.items()})
        sums = auditor.sums
    for name, event in COUNTED.items():
        # An ack that got lost with its connection leaves open whether the server counted what it was for.
        sent, acked = totals.get(f"sent.{event}", 0), totals.get(f"acked.{event}", 0)
        if not acked <= sums.get(name, -1) <= sent:
            stage.fail(f"the dashboard says {name} = {sums.get(name)}; {acked} x {event} were acked, {sent} sent")


COUNTED = {
    "totalMessages": "chat.message.send",
    "pollVotes": "poll.vote.submit",
    "questionsAsked": "qa.question.ask",
    "questionUpvotes": "qna.question.upvote",
    "reactions": "reaction.send",
}
"""The dashboard's sums, and what they count."""
