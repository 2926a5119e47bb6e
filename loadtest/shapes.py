"""Load shapes: how many users there are as a run goes on. They can rise and fall; without a shape `-u` is kept.

A shape is asked some times a second for the users there should be now and the rate at which to get there, as Locust's
`tick` is. The shipped ones speak in shares of `-u` and of `-t`, so that one scenario serves a laptop and a big machine.
A shape of one's own overrides `tick`; `None` ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence

Goal = tuple[int, float] | None


class LoadShape:
    """The base: `-u` users, spawned at `-r` a second, until `-t` is over."""

    users: int = 1  # -u
    rate: float = 1.0  # -r, in users per second
    run_time_s: float = 0.0  # -t; 0 is without an end
    run_s: float = 0.0  # how long the run has been going

    def begin(self, *, users: int, rate: float, run_time_s: float) -> None:
        """Told once, before the first tick, what the command line said."""
        self.users, self.rate, self.run_time_s = users, rate, run_time_s

    def get_run_time(self) -> float:
        """Seconds since the first user was due."""
        return self.run_s

    def tick(self) -> Goal:
        """Users there should be now and users per second to get there; None: the run is over."""
        return self.users, self.rate

    def at(self, run_s: float) -> Goal:
        """What `tick` says at that time; the run is over after `-t` whatever it says."""
        self.run_s = run_s
        if self.run_time_s and run_s >= self.run_time_s:
            return None
        return self.tick()

    @property
    def part(self) -> float:
        """How much of the run time is over, from 0 to 1."""
        if not self.run_time_s:
            raise ValueError(f"the shape {type(self).__name__} is made of shares of the run time: say one with -t")
        return min(1.0, self.run_s / self.run_time_s)

    def share(self, share: float) -> int:
        """So much of `-u`, at least one."""
        return max(1, round(self.users * share))


class Ramp(LoadShape):
    """Rises evenly to all users during the first part of the run, then stays; `-r` plays no role."""

    def __init__(self, rise: float = 0.5) -> None:
        _check_shares(rise=rise)
        self.rise = rise

    def tick(self) -> Goal:
        """All are wanted from the start: the rate makes the slope."""
        self.part  # noqa: B018 - a ramp without a run time is refused
        return self.users, self.users / (self.rise * self.run_time_s)


class Steps(LoadShape):
    """Goes up in equal steps, one after the other; each lasts equally long, climbed at `-r`."""

    def __init__(self, steps: int = 4) -> None:
        if steps < 1:
            raise ValueError("a shape has at least one step")
        self.steps = steps

    def tick(self) -> Goal:
        """The step of now."""
        step = min(self.steps, int(self.part * self.steps) + 1)
        return self.share(step / self.steps), self.rate


class Spike(LoadShape):
    """A few users, then suddenly all of them, then few again: `-r` says how suddenly."""

    def __init__(self, base: float = 0.1, start: float = 0.4, length: float = 0.2) -> None:
        _check_shares(base=base, start=start, length=length)
        self.base, self.start, self.length = base, start, length

    def tick(self) -> Goal:
        """All of them within the spike, the base before and after."""
        inside = self.start <= self.part < self.start + self.length
        return self.share(1.0 if inside else self.base), self.rate


class Soak(LoadShape):
    """A gentle way up, a long plateau to watch memory on, a gentle way down."""

    def __init__(self, rise: float = 0.05, fall: float = 0.05) -> None:
        _check_shares(rise=rise, fall=fall)
        self.rise, self.fall = rise, fall

    def tick(self) -> Goal:
        """Up, flat, down."""
        if self.part < 1 - self.fall:
            return self.users, self.users / (self.rise * self.run_time_s)
        return 0, self.users / (self.fall * self.run_time_s)


class Stages(LoadShape):
    """Stages written out, as in Locust's examples: until second `end_s` there are `users`, reached at `rate`."""

    def __init__(self, stages: Sequence[tuple[float, int, float]]) -> None:
        self.stages = sorted(stages)

    def tick(self) -> Goal:
        """The stage of now; the run ends with the last one."""
        for end_s, users, rate in self.stages:
            if self.run_s < end_s:
                return users, rate
        return None


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise ValueError(f"{name} is a share of the whole, above 0 and up to 1, not {share}")
