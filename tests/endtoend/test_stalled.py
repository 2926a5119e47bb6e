"""One reader among 200 stops reading: the others miss nothing, memory does not grow, and it is shown out."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from tests.endtoend.crowd import Reader, pour
from tests.harness import Server

READERS = 200
GROWTH_BYTES_MAX = 5 << 20
MESSAGE_BYTES = 4_000
SECONDS_PER_MIB = 8.0
SETTINGS = {"engine": {"ping_interval_ms": 3_600_000}}


@dataclass(frozen=True)
class Outcome:
    """What a run cost."""

    growth_bytes: int
    slow_closes: float
    seconds: float


def _run(directory: Path, mib: int, *, stalled: bool) -> Outcome:
    session, messages = uuid4().hex, (mib << 20) // MESSAGE_BYTES
    with Server(directory, SETTINGS) as server, ExitStack() as stack:
        crowd = [Reader(server, session) for _ in range(READERS)]
        for reader in crowd:
            stack.enter_context(closing(reader.socket))
        if stalled:
            mute = Reader(server, session, receive_buffer_bytes=4_096)
            stack.enter_context(closing(mute.socket))
        before = server.memory_bytes()
        started_s = time.monotonic()
        pour(crowd, messages, deadline_s=60 + mib * SECONDS_PER_MIB)
        seconds = time.monotonic() - started_s
        growth = server.memory_bytes("VmHWM") - before
        if stalled:
            mute.read_to_the_end()  # it was shown out, or this waits in vain
        return Outcome(growth, trio.run(server.metric, "slow"), seconds)


def test_a_stalled_reader_costs_the_others_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    mib: int = request.config.getoption("--stall-mib")
    without = _run(tmp_path / "without", mib, stalled=False)
    beside = _run(tmp_path / "beside", mib, stalled=True)
    print(f"{mib} MiB to each of {READERS} readers", without, beside, sep="\n")
    assert without.slow_closes == 0
    assert beside.slow_closes >= 1
    assert beside.growth_bytes <= without.growth_bytes + GROWTH_BYTES_MAX
