"""The shipped scenarios, small and short, as `python -m loadtest run` runs them: against a real livehub, or the peer.

Whether the generator itself kept up depends on who else uses this machine, so it is believed; that everything arrived
and that the scenarios' own checks found nothing is looked at. The runs mostly wait, so some of them go on at the same
time: the first test that wants a result starts those of all tests that were selected.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtest.scenario import shipped
from loadtest.scenarios import conference
from tests.harness import ROOT, SECRET, Server
from tests.loadtest.patient import PATIENT
from tests.loadtest.socketiopeer import SocketIoPeer

RUN_DEADLINE_S = 60
AT_ONCE = 5

Result = dict[str, Any]


@dataclass
class Run:
    """What to run; by default against livehub."""

    scenario: str
    options: tuple[str, ...] = ()
    users: int = 30
    seconds: int = 3
    target: str = "livehub"


CONFERENCE = ("sessions=2", "pace=400", "poll-every=70")
STORM = ("at=2", "window=1", "away=1", "again=30", "talk=0.2")
READERS = ("talk=1", "p99-ms=5000")  # whether 250 ms hold is for a quiet machine to say

RUNS = {  # by the test that looks at the result, the longest first
    "test_a_restart_loses_nothing[restart-pid={}]": Run("server_restart", ("at=1", "talk=1"), seconds=5),
    "test_a_restart_loses_nothing[server-command=kill -9 {}]": Run("server_restart", ("at=1", "talk=1"), seconds=5),
    "test_a_conference_adds_up": Run("conference", CONFERENCE, users=100, seconds=5),
    "test_a_soak_watches_the_server": Run("soak", (*CONFERENCE, "look=0.4", "growth=200"), seconds=4),
    "test_whoever_is_cut_off_comes_back_with_what_they_missed": Run("reconnect_storm", STORM, users=50, seconds=6),
    "test_every_reaction_is_counted[livehub]": Run("reaction_storm", seconds=4),
    "test_every_reaction_is_counted[socketio]": Run("reaction_storm", seconds=4, target="socketio"),
    "test_sleepers_do_not_hold_up_the_readers[livehub]": Run("slow_readers", READERS),
    "test_sleepers_do_not_hold_up_the_readers[socketio]": Run("slow_readers", READERS, target="socketio"),
    "test_every_vote_is_counted": Run("vote_spike", ("at=1", "window=0.5")),
    "test_idle_keeps_everybody": Run("idle", seconds=1),
}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Result]]]:
    """The runs of the selected tests, under way."""
    selected = [name for name in RUNS if name in {item.name for item in request.session.items}]
    place = Path(tmp_path_factory.mktemp("runs"))
    with (
        Server(place / "livehub") as livehub,
        SocketIoPeer("--recovery") as peer,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        urls = {"livehub": livehub.url, "socketio": peer.url}
        yield {
            name: pool.submit(restarted, name, RUNS[name], place / str(number))
            if "{}" in name
            else pool.submit(run, RUNS[name], urls[RUNS[name].target], place / str(number))
            for number, name in enumerate(selected)
        }
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def result(request: pytest.FixtureRequest, results: dict[str, Future[Result]]) -> Result:
    """What the run of this test came to."""
    return results[request.node.name].result()


def run(what: Run, url: str, place: Path, *options: str) -> Result:
    """A run's result, which says what it said with its exit code."""
    place.mkdir(exist_ok=True)
    file = place / "result.json"
    command = [sys.executable, "-m", "loadtest", "run", what.scenario, "--host", url, "--target", what.target]
    command += ["--secret", SECRET, "-u", str(what.users), "-r", "100", "-t", f"{what.seconds}s"]
    command += ["--headless", "--seed", "1", "--json", str(file), *PATIENT]
    command += [word for option in (*what.options, *options) for word in ("-o", option)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=RUN_DEADLINE_S)
    said = (done.stdout + done.stderr).decode()
    assert file.exists(), said
    result: Result = json.loads(file.read_text())
    assert done.returncode == (2 if not result["valid"] else 1 if result["failures"] else 0), said
    return result


def restarted(name: str, what: Run, place: Path) -> Result:
    """A run against a server of its own, for which this is the supervisor: it starts it again when it has ended."""
    with Server(place / "server") as server:

        def supervise() -> None:
            server.wait()
            server.start()

        supervisor = threading.Thread(target=supervise)
        supervisor.start()
        way = name.partition("[")[2].removesuffix("]")
        try:
            return run(what, server.url, place, way.format(server.pid))
        finally:
            supervisor.join()


def check(result: Result) -> None:
    """Nothing was found wrong, and nothing is missing."""
    assert (result["valid"], result["invalid_because"], result["failures"]) == (True, [], [])
    assert (result["delivery"]["lost"], result["delivery"]["duplicate"]) == (0, 0)
    refused = {name for name in result["counters"] if name.startswith("refused.")}
    assert refused <= {conference.OVERTAKEN}


def test_all_of_them_are_shipped() -> None:
    assert [scenario.name for scenario in shipped()] == [
        "conference", "idle", "reaction_storm", "reconnect_storm",
        "server_restart", "slow_readers", "soak", "vote_spike",
    ]  # fmt: skip


@pytest.mark.parametrize("scenario", shipped(), ids=lambda scenario: scenario.name)
def test_each_tells_what_it_asks_in_one_line(scenario: Any) -> None:
    assert len(scenario.line) <= 120
    assert all(option.help for option in scenario.options)


def test_idle_keeps_everybody(result: Result) -> None:
    check(result)
    assert result["counters"]["acked.session.join"] == 30


def test_every_vote_is_counted(result: Result) -> None:
    check(result)
    assert result["asks"]["poll.vote.submit"]["acked"] == 29  # all but the speaker


@pytest.mark.parametrize("target", ["livehub", "socketio"])
def test_every_reaction_is_counted(target: str, result: Result) -> None:
    check(result)
    assert result["run"]["target"] == target
    assert result["asks"]["reaction.send"]["acked"] > 29
    assert result["counters"]["delivered.reaction.burst"] > 0


def test_whoever_is_cut_off_comes_back_with_what_they_missed(result: Result) -> None:
    check(result)
    assert result["counters"]["storm.cuts"] == 49
    assert result["counters"]["storm.cut_twice"] > 0
    assert result["latencies"]["recovery"]["/events"]["count"] >= 49
    assert result["delivery"]["delivered"] > 0


@pytest.mark.parametrize("way", ["restart-pid={}", "server-command=kill -9 {}"])
def test_a_restart_loses_nothing(way: str, result: Result) -> None:
    check(result)
    assert result["counters"]["cuts"] == 30
    assert result["counters"]["recovered"] == 30
    assert result["delivery"]["delivered"] > 0


@pytest.mark.parametrize("target", ["livehub", "socketio"])
def test_sleepers_do_not_hold_up_the_readers(target: str, result: Result) -> None:
    check(result)
    assert result["run"]["target"] == target
    assert result["counters"]["readers.in_time"] == result["delivery"]["delivered"] > 0


def test_a_conference_adds_up(result: Result) -> None:
    check(result)
    for event in (
        "chat.message.send",
        "reaction.send",
        "qa.question.ask",
        "dm.send",
        "poll.create",
        "poll.vote.submit",
    ):
        assert result["asks"][event]["acked"] > 0, event
    assert result["counters"]["recovered"] > 0
    assert result["counters"]["delivered.dashboard.update"] > 0


def test_a_soak_watches_the_server(result: Result) -> None:
    check(result)
