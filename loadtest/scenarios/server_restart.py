"""The server is restarted under load: does everybody come back, and is everything still there that was acked?

Restarting is the operator's business, so say how: a command that returns once the new server is on its way, or the id
of the process that a supervisor (systemd, `livehub serve` in a loop) starts again when it has ended.

    python -m loadtest run server_restart --host http://127.0.0.1:3002 -u 1000 -r 200 -t 40s \\
        -o server-command='systemctl restart livehub' --fail-if 'lost>0' --fail-if 'duplicate>0'
    python -m loadtest run server_restart --host http://127.0.0.1:3002 -u 1000 -r 200 -t 40s -o restart-pid=4711

Clients do what stock ones do: they come back by themselves after 0.5 to 1.5 s, then ever more slowly, with the offset
of what they heard last. A message whose ack got lost with the connection may or may not have been kept, and is not
looked for; one that was acked must reach everybody who was there, before or after the restart.
"""

from __future__ import annotations

import os
import signal

import trio

from loadtest.options import Option, Options
from loadtest.stage import Stage
from loadtest.user import User, task

OPTIONS = [
    Option("server-command", "", "shell command that restarts the server"),
    Option("restart-pid", 0, "process to be stopped, which a supervisor starts again", least=0),
    Option("kill", False, "stop it with SIGKILL, not SIGTERM"),
    Option("at", 5.0, "seconds from the operator's arrival to the restart", least=0),
    Option("size", 100, "people in a session", least=1),
    Option("talk", 10.0, "seconds from one message of an attendee to the next", least=0.01),
]
NEEDS = frozenset({"chat", "recovery", "restart"})
COMMAND_DEADLINE_S = 60.0
RETURN_DEADLINE_S = 10.0


def talking(user: User) -> float:
    """Now and then."""
    return user.options.real("talk") * user.random.uniform(0.5, 1.5)


class Operator(User):
    """Restarts the server, once."""

    fixed_count = 1

    async def on_start(self) -> None:
        await self.connect()
        await trio.sleep(self.options.real("at"))
        if command := self.options.text("server-command"):
            done = None
            with trio.move_on_after(COMMAND_DEADLINE_S):
                done = await trio.run_process(["sh", "-c", command], check=False)
            if done is None or done.returncode:
                why = "took too long" if done is None else f"ended with {done.returncode}"
                self.stage.fail(f"-o server-command={command}: it {why}")
        else:
            number = signal.SIGKILL if self.options.flag("kill") else signal.SIGTERM
            os.kill(self.options.number("restart-pid"), number)


class Attendee(User):
    """Chats, before and after."""

    wait_time = talking

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"room-{self.number // self.options.number('size')}")

    @task
    async def chat(self) -> None:
        await self.say("Still there?")


def check(options: Options) -> None:
    """Without a way to restart the server there is nothing to see."""
    if not (options.text("server-command") or options.number("restart-pid")):
        raise ValueError("say how to restart the server: -o server-command='...' or -o restart-pid=...")


async def at_end(stage: Stage) -> None:
    """Everybody is back, by recovery; what was acked and did not arrive, the harness counts as lost."""
    with trio.move_on_after(RETURN_DEADLINE_S):
        for user in stage.users.values():
            await user.present()
    away = sum(not user.connected for user in stage.users.values())
    if away:
        stage.fail(f"{away} of {len(stage.users)} users of the first process did not come back")
    if not stage.totals.get("cuts"):
        stage.fail("no connection broke: was this server restarted?")
    if anew := stage.totals.get("unrecovered", 0):
        stage.fail(f"{anew} clients were not recovered: they had to begin anew")
