"""The venue's Wi-Fi goes away and comes back: does everybody come back, with exactly what they missed?

`-o at=5` seconds into the run, and every 30 s from then on (`-o every`), everybody but the talkers is cut off within
`-o window=10` seconds, half of them silently: no FIN, no RST, the server has to find out (`-o silent=50`, in %; npm
socket.io recovers nobody whose old connection it believes alive, so give it 0 to see the rest). They are back within
two seconds. A share (`-o again=20`, in %) is cut off a second time while it is coming back, at any point of it.

What must hold: whoever was cut off is recovered, with every message in order and none twice (the harness counts that
for every run). One case is excepted: a connection that breaks *amid the replay* leaves open what of it arrived, so a
server may say no, and the client begins anew with a snapshot. These are counted apart, and can only be twice-cut ones.

    python -m loadtest run reconnect_storm --host http://127.0.0.1:3002 -u 5000 -r 500 -t 40s -o at=15 \\
        --fail-if 'lost>0' --fail-if 'recovery.p99>5s'
"""

from __future__ import annotations

from math import ceil

import trio

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User, task

OPTIONS = [
    Option("at", 5.0, "seconds into the run at which the first storm begins", least=0),
    Option("every", 30.0, "seconds from one storm to the next", least=1),
    Option("window", 10.0, "seconds within which everybody is cut off once", least=0),
    Option("away", 2.0, "most seconds that somebody stays away", least=0),
    Option("again", 20.0, "share that is cut off again while coming back, in %", least=0, most=100),
    Option("silent", 50.0, "share of the cuts that the server is not told of, in %", least=0, most=100),
    Option("size", 250, "people in a session", least=1),
    Option("talk", 10.0, "seconds from one message of a talker to the next", least=0.01),
]
NEEDS = frozenset({"chat", "recovery"})
NS_PER_S = 1_000_000_000
SECOND_CUT_MS = 50.0
"""A recovery takes some milliseconds, more in a storm: cut within these, it breaks at any point or just after."""


def storms(phone: Phone) -> float:
    """Until the next storm reaches this phone, at a moment of its own within the window."""
    every_s = phone.options.real("every")
    ahead_s: float = (phone.stage.shared["storm_ns"] - phone.stage.now_ns()) / NS_PER_S
    if ahead_s + phone.storm * every_s < 0:  # it came when this one had begun
        phone.storm = ceil(-ahead_s / every_s)
    phone.storm += 1
    return ahead_s + (phone.storm - 1) * every_s + phone.random.uniform(0, phone.options.real("window"))


def talking(user: User) -> float:
    """Now and then."""
    return user.options.real("talk") * user.random.uniform(0.5, 1.5)


class Phone(User):
    """Somebody on the venue's Wi-Fi."""

    weight = 49
    wait_time = storms
    storm = 0  # which one is next

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"hall-{self.number // self.options.number('size')}")

    @task
    async def lose_coverage(self) -> None:
        self.recorder.count("storm.cuts")
        twice = self.random.uniform(0, 100) < self.options.real("again")
        await self.drop(silent=self.silently())
        back_ns = self.stage.now_ns() + int(self.random.uniform(0, self.options.real("away")) * NS_PER_S)
        await trio.sleep((back_ns - self.stage.now_ns()) / NS_PER_S)
        self.at(back_ns)
        if twice:
            self.recorder.count("storm.cut_twice")
            with trio.move_on_after(self.random.uniform(0, SECOND_CUT_MS / 1000)):
                await self.resume()
            await self.drop(silent=self.silently())
        if await self.resume():
            self.recorder.count("storm.recovered")
        elif twice:
            self.recorder.count("storm.anew")
            if self.member is not None:
                self.member.restart(self.stage.now_ns())  # a snapshot stands for what was missed
        else:
            self.recorder.count("storm.refused")

    def silently(self) -> bool:
        """Whether the server is left to find out."""
        return self.random.uniform(0, 100) < self.options.real("silent")


class Talker(User):
    """Somebody on a cable, who goes on talking: these messages are what the others miss."""

    wait_time = talking

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"hall-{self.number // self.options.number('size')}")

    @task
    async def talk(self) -> None:
        await self.say("Can everybody hear me?")


async def at_start(stage: Stage) -> None:
    """When the first storm begins, for all processes: they share the machine's clock."""
    stage.shared["storm_ns"] = stage.now_ns() + int(stage.options.real("at") * NS_PER_S)


async def at_end(stage: Stage) -> None:
    """Everybody is back, and nobody who was cut off once had to begin anew."""
    totals = stage.totals
    cuts, recovered = totals.get("storm.cuts", 0), totals.get("storm.recovered", 0)
    anew, refused = totals.get("storm.anew", 0), totals.get("storm.refused", 0)
    if not cuts:
        stage.fail("no storm: -t must be longer than -o at")
    if refused:
        stage.fail(f"{refused} were not recovered though they were cut off once only; {cuts} were cut off in all")
    if cuts and not totals.get("replayed"):
        stage.fail("nobody missed anything, so no replay was tested: more users (1 in 50 talks), or a smaller -o talk")
    if recovered + anew + refused < cuts:
        stage.fail(f"{cuts - recovered - anew - refused} of {cuts} did not come back")
