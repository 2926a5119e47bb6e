"""Everybody connects, sits down and says nothing: what a connection costs that only waits.

Watch the server's memory and CPU in the report. Two runs with different `-u` give the price of one connection; the
server's pings are answered, so a run longer than its ping interval also shows whether connections hold.
"""

from __future__ import annotations

from loadtest.options import Option
from loadtest.stage import Stage
from loadtest.user import User

OPTIONS = [Option("sessions", 1, "sessions that people are spread over", least=1)]
NEEDS: frozenset[str] = frozenset()


class Listener(User):
    """Somebody who has the page open in a tab that they do not look at."""

    async def on_start(self) -> None:
        await self.connect()
        await self.join(f"idle-{self.number % self.options.number('sessions')}")


async def at_end(stage: Stage) -> None:
    """Nobody may have been cut off."""
    if cuts := stage.totals.get("cuts", 0):
        stage.fail(f"{cuts} connections broke although nothing was going on")
