"""What a run was asked for, as it comes from the command line: checked once, then plain data."""

from __future__ import annotations

import math
import re
import secrets
from pathlib import Path
from typing import Any

import attrs

from loadtest.measure.pulse import DEFAULT_LIMITS, Limits
from loadtest.plan import Plan

UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}
MILLI_S = 0.001
WHOLE_PERCENT = 100
SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
PLAIN_SECONDS = re.compile(r"\d+(?:\.\d+)?")
MAX_REGRESS_PERCENT = 10.0
SHORT_SPAN = re.compile(r"(\d+(?:\.\d+)?)ms")


@attrs.frozen(kw_only=True)
class Settings:
    """One run."""

    scenario: str
    host: str
    users: int = 1
    rate: float = 1.0
    run_time_s: float = 0.0  # 0: until somebody stops it
    processes: int = 1
    seed: int = 0
    target: str = "livehub"
    secret: str = ""
    polling_percent: float = 0.0
    options: dict[str, Any] = attrs.field(factory=dict)
    reset: bool = False
    drain_s: float = 10.0
    server_pid: int | None = None
    cores: list[int] = attrs.field(factory=list)
    headless: bool = False
    web: bool = False
    web_host: str = "127.0.0.1"
    web_port: int = 8089
    csv: Path | None = None
    html: Path | None = None
    json: Path | None = None
    fail_if: tuple[str, ...] = ()
    baseline: Path | None = None
    max_regress_percent: float = MAX_REGRESS_PERCENT
    ca: Path | None = None
    insecure: bool = False
    limits: Limits = DEFAULT_LIMITS
    command: str = ""

    def plans(self) -> list[Plan]:
        """What each process is told."""
        run = secrets.randbits(62)
        return [
            Plan(
                scenario=self.scenario,
                target=self.target,
                host=self.host,
                secret=self.secret,
                seed=self.seed,
                run=run,
                index=index,
                processes=self.processes,
                users=self.users,
                polling_percent=self.polling_percent,
                options=self.options,
                cores=self.cores,
                ca="" if self.ca is None else str(self.ca),
                insecure=self.insecure,
            )
            for index in range(self.processes)
        ]


def seconds(text: str) -> float:
    """Locust's times: `90`, `90s`, `5m`, `1h30m`; and `250ms`. A ValueError says so."""
    if short := SHORT_SPAN.fullmatch(text.strip()):
        return float(short[1]) * MILLI_S
    if PLAIN_SECONDS.fullmatch(text.strip()):
        return float(text)
    found = SPAN.fullmatch(text.strip())
    parts = [float(part or 0) for part in found.groups()] if found and text.strip() else []
    if not parts:
        raise ValueError(f"{text!r} is no time: write 90s, 5m or 1h30m")
    return parts[0] * UNITS_S["h"] + parts[1] * UNITS_S["m"] + parts[2]


def run_time(text: str) -> float:
    """A time that comes to an end, and not before it has begun. A ValueError says so."""
    if not (value := seconds(text)):
        raise ValueError(f"{text!r} is no time to run: write 90s, 5m or 1h30m, or leave it out to run until Ctrl-C")
    return value


def rate(text: str) -> float:
    """Users per second. A ValueError says so."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no rate: write 50 or 0.5") from None
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r}: a rate is above 0, and not without end")
    return value


def prefix(text: str) -> Path:
    """What names of files begin with. A ValueError says so."""
    if not text or text.endswith("/"):
        raise ValueError(f"{text!r} is no prefix: write out/run, and out/run_stats.csv is one of the files")
    return Path(text)


def percent(text: str) -> float:
    """`10%` or `10`. A ValueError says so."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is no percentage: write 10%") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{text!r}: a percentage here is not negative, and not without end")
    return value


def share(text: str) -> float:
    """A percentage of people. A ValueError says so."""
    if (value := percent(text)) > WHOLE_PERCENT:
        raise ValueError(f"{text!r} is more than all of them: at most 100%")
    return value


def cores(text: str) -> list[int]:
    """`1`, `1,3` or `2-5`: processor cores. A ValueError says so."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"{text!r} names no cores: write 1 or 1,3 or 2-5")
        found += range(int(first), int(last or first) + 1)
    return found
