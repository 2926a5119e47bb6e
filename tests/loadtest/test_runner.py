"""Whole runs against a real livehub: several processes, polite ends, verdicts, and what makes a run say nothing."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from pathlib import Path
from typing import Any

from loadtest.scenario import Scenario, shape_of
from loadtest.shapes import LoadShape, Spike
from tests.harness import Server, free_port
from tests.loadtest.runs import CHAT, SPOKEN, Runs


def test_two_processes_load_a_server_and_every_message_reaches_everybody(runs: Runs) -> None:
    folder = runs.folder
    reports = ["--html", str(folder / "r.html"), "--csv", str(folder / "r")]
    result, said = runs.run(
        CHAT, "-u", "20", "-r", "40", "-t", "2s", "--processes", "2", "--seed", "7", *reports, code=0
    )
    assert result["valid"] is True
    assert result["delivery"]["lost"] == result["delivery"]["duplicate"] == result["delivery"]["out_of_order"] == 0
    assert result["delivery"]["delivered"] > 500
    sent = result["asks"]["chat.message.send"]
    assert sent["sent"] == sent["acked"] > 50
    assert result["latencies"]["last"]["chat.message.new"]["count"] == sent["acked"]
    assert result["latencies"]["connect"]["/events"]["count"] == result["counters"]["connects"] == 20
    assert result["counters"]["bytes.in"] > result["counters"]["bytes.out"] > 0
    assert (result["run"]["seed"], result["run"]["processes"], result["run"]["users"]) == (7, 2, 20)
    assert 1.5 < result["run"]["duration_s"] < 3
    assert max(moment["users"] for moment in result["timeline"]) == 20
    assert any(moment["server_rss_mb"] for moment in result["timeline"])
    assert any(metric["delta"] for metric in result["server"])
    assert "<html" in (folder / "r.html").read_text()
    assert (folder / "r_stats.csv").exists()
    assert "Fan-out" in said


def test_the_spawn_rate_holds_over_all_processes(runs: Runs) -> None:
    scenario = """
        from loadtest.user import User
        class Late(User):
            async def on_start(self) -> None:
                self.recorder.latency("join", "since", (self.intended_ns - self.stage.shared["began_ns"]) // 1_000)
                await self.connect()
        async def at_start(stage):
            stage.shared["began_ns"] = stage.now_ns()
    """
    result, _ = runs.run(scenario, "-u", "30", "-r", "20", "-t", "2s", "--processes", "2", code=0)
    since = result["latencies"]["join"]["since"]
    assert since["count"] == 30
    assert 1_350_000 < since["max"] < 2_400_000  # the last of 30 is due 1.45 s after the first
    assert 600_000 < since["p50"] < 1_700_000


def test_a_scenarios_own_check_fails_the_run(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        async def at_end(stage):
            stage.fail(f"{stage.totals['acked.chat.message.send'] and 'some'} were acked")
    """)
    result, _ = runs.run(scenario, "-u", "2", "-r", "9", "-t", "1s", "--processes", "2", code=1)
    assert result["failures"] == ["some were acked"]


def test_a_worker_that_dies_makes_the_run_invalid(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        import os
        async def at_start(stage):
            print(f"generator process {os.getpid()} is there", flush=True)
    """)
    run = runs.start(scenario, "-u", "4", "-r", "9", "-t", "30s", "--processes", "2")
    os.kill(int(run.says(r"generator process (\d+) is there")[1]), signal.SIGKILL)
    result, said = run.end(code=2)
    assert result["valid"] is False
    assert "died (exit code -9)" in result["invalid_because"][0]
    assert len(result["invalid_because"]) == 1
    assert "Traceback" not in said


def test_ctrl_c_ends_a_run_politely_with_its_results(runs: Runs) -> None:
    scenario = """
        from loadtest.user import User, constant, task
        class Talker(User):
            wait_time = constant(0.1)
            async def on_start(self) -> None:
                await self.connect()
                await self.join("chat")
            @task
            async def talk(self) -> None:
                if (await self.say("hello")).ok:
                    print("said hello", flush=True)
    """
    run = runs.start(scenario, "-u", "4", "-r", "20")
    run.says("said hello")
    run.interrupt()
    result, said = run.end(code=0)
    assert result["valid"] is True
    assert result["delivery"]["percent"] == 100
    assert "stopping" in said


def test_a_second_ctrl_c_breaks_the_run_off(runs: Runs) -> None:
    scenario = """
        import trio
        from loadtest.user import User, constant, task
        class Stuck(User):
            wait_time = constant(0.1)
            @task
            async def hang(self) -> None:
                await self.drop()  # on its way, as far as anybody knows
                print("hangs", flush=True)
                await trio.sleep_forever()
    """
    run = runs.start(scenario, "-u", "1", "-r", "9")
    run.says("hangs")
    run.interrupt()
    run.says("stopping")
    run.interrupt()
    result, _ = run.end(code=2)
    assert "broken off" in result["invalid_because"][0]


def test_what_raises_is_counted_told_once_a_second_and_may_fail_the_run(runs: Runs) -> None:
    scenario = """
        from loadtest.user import User, constant, task
        class Clumsy(User):
            wait_time = constant(0.05)
            @task
            async def stumble(self) -> None:
                raise ZeroDivisionError("oops")
    """
    arguments = ["-u", "10", "-r", "100", "-t", "1s", "--fail-if", "failed>0", "--fail-if", "lost>0"]
    result, said = runs.run(scenario, *arguments, code=1)
    assert result["counters"]["failed.stumble"] > 80
    assert 1 <= said.count("stumble failed") <= 3
    assert [condition["holds"] for condition in result["conditions"]] == [True, False]


def test_users_who_cannot_connect_are_counted_and_try_again_and_the_run_says_nothing(
    server: Server, tmp_path: Path
) -> None:
    nobody = Runs(tmp_path, f"http://127.0.0.1:{free_port()}")
    result, said = nobody.run(CHAT, "-u", "4", "-r", "9", "-t", "1s", code=2)
    assert result["counters"]["failed.connect"] >= 4
    (why,) = result["invalid_because"]
    assert why.startswith(f"nobody could connect to {nobody.url}: ")
    assert "refused" in why
    assert result["failures"][0].startswith("4 of 4 users never connected: ")
    assert "connect failed" in said
    assert "no metrics" in said


def test_a_run_that_is_cut_short_says_so(runs: Runs) -> None:
    run = runs.start(CHAT + SPOKEN, "-u", "2", "-r", "20", "-t", "60s", "--html", str(runs.folder / "r.html"))
    run.says("said hello")
    run.interrupt()
    result, said = run.end(code=0)
    assert (result["run"]["cut_short"], result["run"]["asked_s"]) == (True, 60)
    assert re.search(r"cut short after \d s of 60 s", said)
    assert "cut short after" in (runs.folder / "r.html").read_text()


def test_a_scenario_may_import_what_lies_beside_it(runs: Runs) -> None:
    (runs.folder / "beside_mine.py").write_text('ROOM = "chat"\n')
    result, _ = runs.run("from beside_mine import ROOM\n" + CHAT, "-u", "2", "-r", "20", "-t", "1s", code=0)
    assert result["counters"]["users.connected"] == 2


def test_a_scenario_that_cannot_be_prepared_is_not_run(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        async def at_start(stage):
            raise LookupError("no stage")
    """)
    result, _ = runs.run(scenario, "-u", "1", code=2)
    assert result["failures"] == ["at_start failed: LookupError('no stage')"]


def test_the_number_of_users_follows_the_shape_down_too(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        from loadtest.shapes import Stages
        SHAPE = Stages([(1, 12, 100.0), (3.5, 4, 100.0)])
    """)
    result, _ = runs.run(scenario, "--processes", "2", code=0)
    users = [moment["users"] for moment in result["timeline"]]
    assert max(users) == 12
    assert users[3] == 4
    assert result["delivery"]["percent"] == 100


def test_a_reset_drops_what_was_measured_while_users_came(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        async def at_end(stage):
            connects, sent = stage.totals["connects"], stage.totals["sent.chat.message.send"]
            stage.fail(f"from the start there were {connects} connects and {sent} messages")
    """)
    arguments = ["-u", "6", "-r", "12", "-t", "5.5s", "--reset", "--processes", "2"]
    result, said = runs.run(scenario, *arguments, code=1)
    assert "connect" not in result["latencies"]
    assert "connects" not in result["counters"]
    assert result["delivery"]["percent"] == 100
    assert result["run"]["duration_s"] < 4
    assert "measuring anew" in said
    told = re.search(r"(\d+) connects and (\d+) messages", result["failures"][0])
    assert told is not None
    acked = result["asks"]["chat.message.send"]["acked"]
    assert int(told[1]) == 6
    assert int(told[2]) > acked
    assert 0 < result["latencies"]["last"]["chat.message.new"]["count"] <= acked


def test_a_drain_waits_for_what_is_owed_and_no_longer(runs: Runs) -> None:
    scenario = CHAT + textwrap.dedent("""
        import trio
        class Sleeper(User):
            fixed_count = 1
            async def on_start(self) -> None:
                await self.connect()
                await self.join("chat")
                self.connection.pause()
                self._nursery.start_soon(self.wake)
            async def wake(self) -> None:
                while not self.stage.stopping:
                    await trio.sleep(0.01)
                await trio.sleep(SLEEP_S)
                self.connection.resume()
    """)
    arguments = ["-u", "4", "-r", "50", "-t", "1s"]
    with_patience = runs.start(scenario.replace("SLEEP_S", "0.7"), *arguments, "--drain", "30s")
    (runs.folder / "other").mkdir()
    others = Runs(runs.folder / "other", runs.url)
    other = scenario.replace("SLEEP_S", "30").replace('"chat"', '"chat-of-the-others"')
    without = others.start(other, *arguments, "--drain", "500ms")
    result, said = with_patience.end(code=0)
    assert (result["delivery"]["percent"], "in vain" in said) == (100, False)
    assert len(result["timeline"]) < 10  # --drain is no waiting time but a limit
    result, said = without.end(code=0)
    assert "in vain: 1 members have not heard all" in said
    assert result["delivery"]["lost"] > 0


def test_a_shape_may_be_an_object_or_a_class_as_in_locust() -> None:
    def scenario(shape: Any) -> Scenario:
        return Scenario("s", "", [], shape, [], frozenset(), None, None)

    spike = Spike()
    assert shape_of(scenario(spike)) is spike
    assert isinstance(shape_of(scenario(Spike)), Spike)
    assert type(shape_of(scenario(None))) is LoadShape
