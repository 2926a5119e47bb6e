"""P9: 10,000 connections with the `conference` mix for 5 minutes.

Run by the harness itself (`python -m loadtest run conference`, two processes on the generators' core), since the mix
is its scenario and its ledger is what knows every message that somebody should have heard. Nothing may be lost,
doubled or out of order; p99 of a chat message to each receiver counts from its intended time; the server's RSS in the
last 3 minutes must lie within ± 2 % of the middle of its range. One round: it is long. A run that the harness calls
invalid is none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadtest.bench.point import Answer, Point, Setting
from loadtest.bench.procs import GENERATOR_CORE, Trouble
from loadtest.bench.servers import ROOT, Served, livehub
from loadtest.targets import DEVELOPMENT_SECRET

USERS, SPAWNED_PER_S, LASTS_S = 10_000, 200, 300
QUICK_USERS, QUICK_LASTS_S = 300, 20
FLAT_S = 180
FLAT_SHARE = 0.02
P99_MS_MAX = 500.0
SPARE_S = 300  # for coming, leaving and reporting
EVENT = "chat.message.new"
RUN_INVALID, RUN_FAILED = 2, 1


def run(served: Served, users: int, lasts_s: int) -> dict[str, Any]:
    """The harness's result. Its time begins with the first user's coming, `lasts_s` with the last one's."""
    coming_s = users // SPAWNED_PER_S
    out = served.directory / "result.json"
    command = [sys.executable, "-m", "loadtest", "run", "conference", "--headless"]
    command += ["--host", f"http://127.0.0.1:{served.port}", "-u", str(users), "-r", str(SPAWNED_PER_S)]
    command += ["-t", f"{coming_s + lasts_s}s", "--processes", "2", "--affinity", str(GENERATOR_CORE)]
    command += ["--secret", DEVELOPMENT_SECRET, "--server-pid", str(served.process.pid), "--json", str(out)]
    log = served.directory / "run.log"
    with log.open("wb") as errors:
        spare_s = coming_s + lasts_s + SPARE_S
        done = subprocess.run(  # noqa: S603 - all ours
            command, cwd=ROOT, stdout=errors, stderr=errors, timeout=spare_s, check=False
        )
    if done.returncode not in {0, RUN_FAILED, RUN_INVALID} or not out.exists():
        raise Trouble(f"the harness ended with exit code {done.returncode}: {_tail(log)}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def flatness(timeline: list[dict[str, Any]], lasts_s: float, users: int) -> float:
    """How far memory strayed from the middle of its range, as a share of it, while everybody was there.

    What comes after the run's time is the drain and the leaving: 10,000 who go at once take another 70 MB of work.
    """
    ended_s = users // SPAWNED_PER_S + lasts_s
    full = [at for at in timeline if at["users"] >= 0.99 * users and at.get("server_rss_mb") and at["t"] <= ended_s]
    if not full:
        raise Trouble("the harness saw no moment with everybody there")
    ends = max(at["t"] for at in full)
    values = [float(at["server_rss_mb"]) for at in full if at["t"] > ends - min(FLAT_S, lasts_s)]
    return (max(values) - min(values)) / (max(values) + min(values))


def judge(result: dict[str, Any], users: int, lasts_s: int) -> Answer:
    """What the result says about the target."""
    if not result["valid"]:
        return Answer(livehub="invalid: generator", notes=[*result["invalid_because"]])
    delivery = result["delivery"]
    faults = {what: delivery[what] for what in ("lost", "duplicate", "out_of_order")}
    p99_ms = result["latencies"]["fanout"][EVENT]["p99"] / 1000
    strays = flatness(result["timeline"], lasts_s, users)
    told = "nothing lost" if not any(faults.values()) else ", ".join(f"{n} {what}" for what, n in faults.items())
    return Answer(
        f"{told}; p99 {p99_ms:.0f} ms; RSS ± {strays:.1%}",
        holds=not any(faults.values()) and p99_ms < P99_MS_MAX and strays <= FLAT_SHARE,
        notes=[f"{users:,} users, {lasts_s} s, {delivery['delivered']:,} of {delivery['expected']:,} delivered"],
        raw={"p99, ms": [p99_ms], "RSS strays by, %": [round(strays * 100, 2)]},
    )


def measure(setting: Setting) -> Answer:
    """One run."""
    users, lasts_s = setting.many(USERS, QUICK_USERS), setting.many(LASTS_S, QUICK_LASTS_S)
    with livehub() as served:
        return judge(run(served, users, lasts_s), users, lasts_s)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:]


POINT = Point(
    "P9", "10,000 connections, `conference`, 5 minutes", "nothing lost, p99 < 500 ms, RSS ± 2 % in the last 3", measure
)
