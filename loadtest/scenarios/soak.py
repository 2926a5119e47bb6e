"""The conference for a long time, at the same level: does anything grow that should not?

The same people do the same as in `conference`. Every `-o look=10` seconds one more looks at the server's `/metrics`;
after `-o settle=25` % of the looks, memory, open files and tasks must stay flat: the median of the last quarter may be
at most `-o growth=5` % above that of the first (and a few files more). Rooms keep their history in memory, so memory is
not quite flat while people chat: `-o growth` is per run, not per hour.

    python -m loadtest run soak --host http://127.0.0.1:3002 -u 2000 -r 50 -t 30m --processes 2 --fail-if 'lost>0'
"""

from __future__ import annotations

from statistics import median

from loadtest.measure.metrics import fetch
from loadtest.options import Option
from loadtest.scenarios import conference
from loadtest.shapes import Soak
from loadtest.stage import Stage
from loadtest.user import User, task

OPTIONS = [
    *conference.OPTIONS,
    Option("look", 10.0, "seconds from one look at the server's /metrics to the next", least=0.1),
    Option("settle", 25.0, "first part of the run that does not count, in %", least=0, most=99),
    Option("growth", 5.0, "how much memory, files or tasks may grow, in %", least=0),
]
NEEDS = conference.NEEDS
SHAPE = Soak()
at_start = conference.at_start

WATCHED = {"process_resident_memory_bytes": 0.0, "process_open_fds": 8.0, "livehub_tasks": 8.0}
"""Which gauges must stay flat, and how much more is always allowed."""
LOOKS_MIN = 4


def looking(user: User) -> float:
    """At a steady pace."""
    return user.options.real("look")


class Organizer(conference.Organizer):
    """Watches the dashboard; the first of them, who is in the process of `at_end`, watches the server too."""

    wait_time = looking

    @task
    async def look(self) -> None:
        url = self.target.metrics_url(self.stage.host)
        if self.number or url is None:
            return
        seen = await fetch(url, tls=self.stage.tls)
        self.stage.shared.setdefault("looks", []).append({name: seen[name] for name in WATCHED if name in seen})


class Attendee(conference.Attendee):
    """As there."""


class Phone(conference.Phone):
    """As there."""


class Speaker(conference.Speaker):
    """As there."""


async def at_end(stage: Stage) -> None:
    """What the conference checks, and that nothing grew."""
    looks = stage.shared.get("looks", [])
    looks = looks[int(len(looks) * stage.options.real("settle") / 100) :]
    if len(looks) < LOOKS_MIN:
        stage.fail(f"{len(looks)} looks at the server after it had settled; it takes {LOOKS_MIN}: run it for longer")
    else:
        for name, spare in WATCHED.items():
            if grown := growth([look[name] for look in looks if name in look], spare, stage.options.real("growth")):
                stage.fail(f"{name} grew {grown}")
    await conference.at_end(stage)


def growth(values: list[float], spare: float, allowed_percent: float) -> str:
    """Whether a gauge went up from the first to the last quarter: from what to what, or "" if it stayed flat."""
    quarter = max(1, len(values) // 4)
    if not values:
        return ""
    before, after = median(values[:quarter]), median(values[-quarter:])
    if after <= before * (1 + allowed_percent / 100) + spare:
        return ""
    return f"from {before:,.0f} to {after:,.0f}"
