"""Processes, and what they use."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from loadtest.bench.fanout import Share
from loadtest.bench.procs import SERVER_CORE, Others, Process, Trouble, cpu_ns, found, output, rss_bytes

GOOD = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nprint('ready', flush=True)\n"
WAITS = "signal.pause()\n"


def start(tmp_path: Path, program: str) -> Process:
    return Process([sys.executable, "-c", program], "ready", tmp_path / "log", cwd=tmp_path)


def burn(cpu_s: float) -> None:
    ends_s = time.process_time() + cpu_s
    while time.process_time() < ends_s:
        pass


def test_the_cpu_clock_of_a_process_is_that_of_all_its_threads() -> None:
    before_ns, own_ns = cpu_ns(os.getpid()), time.process_time_ns()
    burn(0.05)
    used_ns, own_used_ns = cpu_ns(os.getpid()) - before_ns, time.process_time_ns() - own_ns
    assert own_used_ns >= 50_000_000
    assert abs(used_ns - own_used_ns) < 10_000_000


def test_a_share_counts_cpu_against_the_wall() -> None:
    share = Share()
    burn(0.05)
    assert share.used_s() >= 0.05
    assert 0 < share() <= 1.1


def test_memory_is_in_bytes() -> None:
    held = rss_bytes(os.getpid())
    assert 5_000_000 < held < 50_000_000_000


def test_a_server_runs_on_its_core_and_this_process_stays_where_it_was(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    process = start(tmp_path, GOOD + WAITS)
    assert os.sched_getaffinity(process.pid) == {SERVER_CORE}
    assert os.sched_getaffinity(0) == before
    process.stop()


def test_a_server_that_never_gets_ready_is_trouble_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no disk"):
        start(tmp_path, "import sys; sys.exit('no disk')")


def test_a_server_that_ends_badly_is_trouble(tmp_path: Path) -> None:
    process = start(tmp_path, GOOD.replace("sys.exit(0)", "sys.exit(3)") + WAITS)
    with pytest.raises(Trouble, match="exit code 3"):
        process.stop()


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Trouble, match="missing: no-such-program"):
        found("no-such-program")
    assert output("git", "no-such-command") == ""


def test_what_others_use_is_no_less_than_nothing() -> None:
    others = Others()
    burn(0.05)
    assert others.share() >= 0
