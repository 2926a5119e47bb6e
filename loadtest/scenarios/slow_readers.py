"""A tenth of the room stops reading, as phones in pockets do: does anybody else notice?

Sleepers take the room's messages into a small buffer and never read them. A server that waits for them makes everybody
wait; one that buffers without a bound runs out of memory. The rest of the room chats with long messages, and all of
them must hear 99 % within `-o p99-ms=250`. Sleepers may be shown out, and do not come back.

    python -m loadtest run slow_readers --host http://127.0.0.1:3002 -u 1000 -r 200 -t 60s --fail-if 'lost>0'
"""

from __future__ import annotations

from typing import Any

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User, on, task

OPTIONS = [
    Option("p99-ms", 250, "what the readers' 99th percentile must hold, in milliseconds", least=1),
    Option("talk", 10.0, "seconds from one message of a reader to the next", least=0.01),
    Option("text", 900, "length of a message in characters", least=0, most=950),
    Option("size", 500, "people in a session", least=1),
]
NEEDS = frozenset({"chat"})
NS_PER_MS = 1_000_000
BUFFER_BYTES = 4_096
ALLOWED_LATE = 0.01


def talking(user: User) -> float:
    """Now and then."""
    return user.options.real("talk") * user.random.uniform(0.5, 1.5)


class Reader(User):
    """Reads and writes, and looks at the clock."""

    weight = 9
    wait_time = talking

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"room-{self.number // self.options.number('size')}")

    @task
    async def talk(self) -> None:
        await self.say("." * self.options.number("text"))

    @on("chat.message.new")
    def heard(self, message: dict[str, Any]) -> None:
        found = self.stage.trace_of(message["text"].encode())
        if found is not None:
            late = self.stage.now_ns() - found[1] > self.options.number("p99-ms") * NS_PER_MS
            self.recorder.count("readers.late" if late else "readers.in_time")


class Sleeper(User):
    """Sits in the room with the phone in the pocket."""

    must_hear = False
    reconnect = False
    receive_buffer_bytes = BUFFER_BYTES

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"room-{self.number // self.options.number('size')}")
        assert self.connection is not None
        self.connection.pause()


async def at_end(stage: Stage) -> None:
    """The readers' 99th percentile, by count: the harness's own histogram says how late the others were."""
    late, in_time = stage.totals.get("readers.late", 0), stage.totals.get("readers.in_time", 0)
    if not in_time:
        stage.fail("nobody heard anything: is -t longer than -o talk?")
    elif late > ALLOWED_LATE * (late + in_time):
        share = 100 * late / (late + in_time)
        stage.fail(f"{share:.1f} % of what the readers heard came later than {stage.options.number('p99-ms')} ms")
