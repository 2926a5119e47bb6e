"""The scenarios' own checks find what is wrong; and how they place people and time storms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

import orjson
import pytest
import trio
from trio.testing import MockClock

from loadtest.options import parsed
from loadtest.scenarios import (
    conference,
    idle,
    reaction_storm,
    reconnect_storm,
    server_restart,
    slow_readers,
    soak,
    vote_spike,
)
from loadtest.user import User
from tests.loadtest.doubles import OK, StageDouble

POLL = {"id": "p", "options": [{"id": "a", "voteCount": 3}, {"id": "b", "voteCount": 2}]}
SUMS = {"totalMessages": 8, "pollVotes": 5, "questionsAsked": 1, "questionUpvotes": 4, "reactions": 9}


def stage_of(scenario: ModuleType, totals: Mapping[str, int], *options: str) -> StageDouble:
    """A stage at the end of a run that came to this."""
    stage = StageDouble(parsed(scenario.OPTIONS, options).as_dict())
    stage.shared = {"session": "s", "event": "e"}
    stage.totals = totals
    return stage


def pushing(stage: StageDouble, on: str, event: str, payload: object) -> None:
    """Whoever asks this is pushed that, before the ack."""

    def reply(asked: str, args: Any) -> Any:
        if asked == on:
            packet = b"42/events," + orjson.dumps([event, payload, "epoch-1"])
            stage.connections[-1].user.heard_frame(event, packet)
        return OK

    stage.reply = reply


def seat(stage: StageDouble, kind: type[User], number: int, nursery: trio.Nursery) -> Any:
    user = stage.users[number] = kind(stage, number, nursery)
    return user


async def failures(scenario: ModuleType, stage: StageDouble) -> list[str]:
    await scenario.at_end(stage)
    return stage.failures


@pytest.mark.parametrize(("cuts", "found"), [(0, 0), (2, 1)])
async def test_idle_connections_must_not_break(cuts: int, found: int) -> None:
    assert len(await failures(idle, stage_of(idle, {"cuts": cuts}))) == found


VOTES = {"sent.poll.vote.submit": 5, "acked.poll.vote.submit": 5, "acked.session.join": 6, "voted.0": 3, "voted.1": 2}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ""),
        ({"voted.0": 4, "voted.1": 1}, "the tally is"),
        ({"sent.poll.vote.submit": 6}, "6 votes were sent and 5 acked"),
        ({"acked.session.join": 8}, "5 of 7 voted"),
    ],
)
async def test_votes_must_add_up(change: dict[str, int], found: str) -> None:
    stage = stage_of(vote_spike, {**VOTES, **change})
    pushing(stage, "session.join", "session.snapshot", {"activePoll": {"poll": POLL}})
    told = await failures(vote_spike, stage)
    assert (found in told[0] and len(told) == 1) if found else told == []


async def test_a_poll_that_is_gone_is_missed(autojump_clock: MockClock) -> None:
    stage = stage_of(vote_spike, VOTES)
    pushing(stage, "session.join", "session.snapshot", {"activePoll": None})
    assert await failures(vote_spike, stage) == ["the poll was not there at the end"]


async def test_a_voter_votes_once_within_the_window_and_counts_from_then(autojump_clock: MockClock) -> None:
    stage = stage_of(vote_spike, {}, "window=2")
    async with trio.open_nursery() as nursery:
        voter = seat(stage, vote_spike.Voter, 1, nursery)
        await voter.connect()
        await voter.vote(POLL)
        await voter.vote(POLL)
    assert trio.current_time() < 3
    assert stage.counts["sent.poll.vote.submit"] == 1
    assert sum(number for name, number in stage.counts.items() if name.startswith("voted.")) == 1
    assert stage.latencies("ack") == [10_000]


@pytest.mark.parametrize(
    ("counted", "sent", "found"), [(10, 10, False), (11, 12, False), (9, 10, True), (13, 12, True)]
)
async def test_reactions_must_add_up(counted: int, sent: int, found: bool, autojump_clock: MockClock) -> None:
    stage = stage_of(reaction_storm, {"acked.reaction.send": 10, "sent.reaction.send": sent})
    async with trio.open_nursery() as nursery:
        seat(stage, reaction_storm.Tallier, 0, nursery).burst({"🎉": counted})
    assert bool(await failures(reaction_storm, stage)) == found


@pytest.mark.parametrize("rate", ["0", "5"])
def test_reactions_that_a_server_may_drop_are_not_offered(rate: str) -> None:
    with pytest.raises(ValueError, match=f"-o rate={rate}: it must be from 0.1 to 4"):
        parsed(reaction_storm.OPTIONS, [f"rate={rate}"])


async def test_a_storm_without_reactions_has_tested_nothing(autojump_clock: MockClock) -> None:
    assert "nobody reacted" in (await failures(reaction_storm, stage_of(reaction_storm, {})))[0]


async def test_a_poll_without_votes_has_tested_nothing() -> None:
    nobody: dict[str, int] = {"acked.session.join": 1}
    stage = stage_of(vote_spike, nobody)
    poll = {"id": "p", "options": [{"id": "a", "voteCount": 0}]}
    pushing(stage, "session.join", "session.snapshot", {"activePoll": {"poll": poll}})
    (told,) = await failures(vote_spike, stage)
    assert "nobody voted" in told


@pytest.mark.parametrize(
    ("scenario", "given"),
    [
        (idle, "sessions=0"),
        (reconnect_storm, "again=101"),
        (reconnect_storm, "silent=-1"),
        (reconnect_storm, "talk=0"),
        (reconnect_storm, "every=0"),
        (slow_readers, "text=951"),
        (vote_spike, "choices=1"),
        (conference, "pace=nan"),
        (soak, "look=0"),
        (server_restart, "size=0"),
    ],
)
def test_options_have_bounds(scenario: ModuleType, given: str) -> None:
    with pytest.raises(ValueError, match=f"-o {given}: it must be "):
        parsed(scenario.OPTIONS, [given])


@pytest.mark.parametrize(
    ("totals", "found"),
    [
        ({"storm.cuts": 9, "storm.recovered": 8, "storm.anew": 1, "replayed": 5}, ""),
        ({"storm.cuts": 9, "storm.recovered": 8, "storm.anew": 1}, "no replay was tested"),
        ({"storm.cuts": 9, "storm.recovered": 8, "storm.refused": 1, "replayed": 5}, "1 were not recovered"),
        ({"storm.cuts": 9, "storm.recovered": 7, "storm.anew": 1, "replayed": 5}, "1 of 9 did not come back"),
        ({}, "no storm"),
    ],
)
async def test_a_storm_must_bring_everybody_back(totals: dict[str, int], found: str) -> None:
    told = await failures(reconnect_storm, stage_of(reconnect_storm, totals))
    assert (found in told[0] and len(told) == 1) if found else told == []


async def test_a_storm_reaches_a_phone_within_its_window_and_then_from_storm_to_storm(
    autojump_clock: MockClock,
) -> None:
    stage = stage_of(reconnect_storm, {}, "at=5", "every=30", "window=10")
    await reconnect_storm.at_start(cast(Any, stage))
    async with trio.open_nursery() as nursery:
        early, late = (seat(stage, reconnect_storm.Phone, number, nursery) for number in (1, 2))
        assert 5 <= reconnect_storm.storms(early) <= 15
        await trio.sleep(16)
        assert 35 - 16 <= reconnect_storm.storms(early) <= 45 - 16
        assert 35 - 16 <= reconnect_storm.storms(late) <= 45 - 16
        await trio.sleep(30)
        assert 65 - 46 <= reconnect_storm.storms(early) <= 75 - 46


@pytest.mark.parametrize(
    ("totals", "found"),
    [({"cuts": 5}, ""), ({"cuts": 5, "unrecovered": 2}, "2 clients were not recovered"), ({}, "no connection broke")],
)
async def test_a_restart_must_be_noticed_and_recovered_from(totals: dict[str, int], found: str) -> None:
    told = await failures(server_restart, stage_of(server_restart, totals))
    assert (found in told[0] and len(told) == 1) if found else told == []


async def test_whoever_does_not_come_back_is_missed(autojump_clock: MockClock) -> None:
    stage = stage_of(server_restart, {"cuts": 5})
    async with trio.open_nursery() as nursery:
        await seat(stage, server_restart.Attendee, 1, nursery).connect()
        seat(stage, server_restart.Attendee, 2, nursery)
        assert await failures(server_restart, stage) == ["1 of 2 users of the first process did not come back"]


async def test_a_command_that_fails_is_told() -> None:
    stage = stage_of(server_restart, {}, "server-command=exit 3", "at=0")
    async with trio.open_nursery() as nursery:
        await seat(stage, server_restart.Operator, 0, nursery).on_start()
    assert stage.failures == ["-o server-command=exit 3: it ended with 3"]


@pytest.mark.parametrize(
    ("late", "in_time", "found"), [(0, 100, ""), (1, 99, ""), (2, 98, "2.0 % of what"), (0, 0, "nobody heard")]
)
async def test_readers_must_hear_in_time(late: int, in_time: int, found: str) -> None:
    stage = stage_of(slow_readers, {"readers.late": late, "readers.in_time": in_time})
    told = await failures(slow_readers, stage)
    assert (found in told[0] and len(told) == 1) if found else told == []


COUNTS = {
    "chat.message.send": 8, "poll.vote.submit": 5, "qa.question.ask": 1, "qna.question.upvote": 4, "reaction.send": 9,
}  # fmt: skip
DONE = {f"{what}.{event}": number for event, number in COUNTS.items() for what in ("sent", "acked")}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ""),
        ({"acked.poll.vote.submit": 4}, ""),  # an ack was lost
        ({"acked.poll.vote.submit": 6, "sent.poll.vote.submit": 6}, "pollVotes = 5; 6 x poll.vote.submit were acked"),
        ({"sent.chat.message.send": 7, "acked.chat.message.send": 7}, "totalMessages = 8; 7 x chat.message.send"),
        ({conference.OVERTAKEN: 3}, ""),
        ({"unrecovered": 1}, "1 of those who were cut off"),
        ({"refused.qa.question.ask.invalid": 2}, "2 x refused.qa.question.ask.invalid"),
    ],
)
async def test_a_conference_must_add_up(change: dict[str, int], found: str, autojump_clock: MockClock) -> None:
    stage = stage_of(conference, {**DONE, **change})
    pushing(stage, "dashboard.join", "dashboard.update", SUMS)
    told = await failures(conference, stage)
    assert (found in told[0] and len(told) == 1) if found else told == []


async def test_a_dashboard_that_says_nothing_fails_a_conference(autojump_clock: MockClock) -> None:
    assert len(await failures(conference, stage_of(conference, DONE))) == len(conference.COUNTED)


@pytest.mark.parametrize("sessions", [0, 1, 7, 30])
def test_every_session_has_one_who_is_first(sessions: int) -> None:
    seats = [conference.place(number, sessions) for number in range(10_000)]
    sizes = Counter(session for session, _ in seats)
    firsts = [session for session, first in seats if first]
    assert sorted(firsts) == sorted(sizes)
    assert len(sizes) == (sessions or 30)
    if not sessions:
        assert {sizes[session] for session in range(29)} == set(conference.SIZES)


def test_what_ten_thousand_people_come_to_is_what_the_docstring_says() -> None:
    sizes = Counter(conference.place(number, 0)[0] for number in range(10_000)).values()
    assert sum(size**2 for size in sizes) == pytest.approx(3_600_000, rel=0.02)
    assert sum(size**2 for size in sizes) / 10_000 == pytest.approx(362, rel=0.02)


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ([100.0] * 8, ""),
        ([100, 101, 104, 103, 104, 105, 104, 105], ""),
        ([100, 101, 104, 103, 104, 108, 109, 110], "from 100 to 110"),
        ([100, 100, 180, 100, 100, 100, 100, 100], ""),  # a spike is no growth
        ([], ""),
    ],
)
def test_growth_is_from_the_first_quarter_to_the_last(values: list[float], grown: str) -> None:
    assert soak.growth(values, 0.0, 5.0) == grown


def test_a_few_files_more_are_no_growth() -> None:
    assert soak.growth([20, 20, 20, 26], 8.0, 5.0) == ""
    assert soak.growth([20, 20, 20, 40], 8.0, 5.0) == "from 20 to 40"


@pytest.mark.parametrize(("looks", "found"), [([100.0] * 8, 0), ([100.0] * 4 + [200.0] * 4, 1)])
async def test_a_soak_must_stay_flat(looks: list[float], found: int) -> None:
    stage = stage_of(soak, DONE, "settle=0")
    stage.shared["looks"] = [{"process_resident_memory_bytes": look} for look in looks]
    pushing(stage, "dashboard.join", "dashboard.update", SUMS)
    assert len(await failures(soak, stage)) == found


async def test_a_soak_that_is_too_short_says_so() -> None:
    stage = stage_of(soak, DONE, "settle=50")
    stage.shared["looks"] = [{"process_resident_memory_bytes": 100.0}] * 6
    pushing(stage, "dashboard.join", "dashboard.update", SUMS)
    (told,) = await failures(soak, stage)
    assert "run it for longer" in told


def test_a_restart_must_be_told_how() -> None:
    with pytest.raises(ValueError, match="-o server-command"):
        server_restart.check(parsed(server_restart.OPTIONS, []))
    server_restart.check(parsed(server_restart.OPTIONS, ["restart-pid=4711"]))


async def test_nobody_reacts_more_often_than_a_burst_takes(autojump_clock: MockClock) -> None:
    stage = stage_of(conference, {})
    async with trio.open_nursery() as nursery:
        fan = seat(stage, conference.Attendee, 0, nursery)
        await fan.on_start()
        for _ in range(50):
            await fan.react()
        assert stage.counts["sent.reaction.send"] == conference.BURST_MAX
        await trio.sleep(conference.BURST_S)
        await fan.react()
        assert stage.counts["sent.reaction.send"] > conference.BURST_MAX
        nursery.cancel_scope.cancel()
