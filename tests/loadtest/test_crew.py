"""A worker as its parent sees it: what it says, and that it has died."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
import trio

from loadtest import crew
from loadtest.crew import Worker
from loadtest.plan import Plan

PLAN = Plan(
    scenario="idle", target="livehub", host="http://127.0.0.1:1", secret="", seed=1, run=0, index=4, processes=5,
    users=1,
)  # fmt: skip
SAYS_AND_ENDS = """
import sys
sys.stdin.readline()
sys.stdout.write('!{"say":"ready","pid":1}\\n{"sample":1}\\n!{"say":"log","level":"WARNING","text":"slow"}\\n')
sys.stdout.flush()
sys.exit(%d)
"""


async def started(program: str) -> Worker:
    command = [sys.executable, "-c", program]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return Worker(PLAN, process)


async def test_samples_are_handed_on_and_reports_noted() -> None:
    worker = await started(SAYS_AND_ENDS % 0)
    samples: list[tuple[int, bytes]] = []
    told: list[str] = []
    await worker.order("go")
    await worker.listen(lambda index, line: samples.append((index, line)), lambda level, text: told.append(text))
    assert samples == [(4, b'{"sample":1}')]
    assert told == ["[4] slow"]


async def test_one_that_ends_before_it_is_done_is_lost_and_nobody_waits_for_its_word() -> None:
    worker = await started(SAYS_AND_ENDS % 3)
    await worker.order("go")
    await worker.listen(lambda index, line: None, lambda level, text: None)
    assert (worker.lost, worker.exit_code) == (True, 3)
    await worker.said("drained").wait()
    assert not worker.has_said("drained")
    await worker.order("drain")  # to nobody: that is no error
    await worker.end()


async def test_a_real_worker_comes_up_with_its_plan_and_ends_with_its_orders(capfd: pytest.CaptureFixture[str]) -> None:
    worker = await crew.start(PLAN)
    reports: list[bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.listen, lambda index, line: reports.append(line), lambda level, text: None)
        with trio.fail_after(30):
            await worker.said("ready").wait()
            await worker.order("prepare")
            await worker.said("prepared").wait()
            await worker.order("finish", totals={}, check=False)
            await worker.said("done").wait()
        await worker.end()
    assert (worker.lost, worker.exit_code, worker.failures) == (False, 0, [])
    assert orjson.loads(reports[-1])["final"] is True
    assert "Traceback" not in capfd.readouterr().err
