"""Polls: opened, voted in once, counted exactly, closed; who is shown what; and draws that can be checked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock

from livehub.ballots import vote_hash
from livehub.contracts.events import NAMESPACE as EVENTS
from livehub.contracts.events import EventsVocabulary
from livehub.contracts.pollwords import NAMESPACE as POLLING
from livehub.contracts.pollwords import PollingVocabulary, state_shown
from livehub.errors import Refused
from livehub.feature import EVERYONE, JSON, After, Ask, Cancel, Person, Via, iso, moment_ms
from livehub.features.dashboard import Totals
from livehub.features.gamification import Gamification
from livehub.features.lifecycle import Lifecycle
from livehub.features.polls import POLLS_PER_SESSION_MAX, Polls
from livehub.features.presenting import Presenting
from livehub.features.sessions import Sessions, SessionSettings
from livehub.pollforms import BLOCKED_WORDS, StartGiveaway
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import NOBODYS, Told, Vocabulary
from livehub.rooms.state import Performed
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, BEN, CARA, OWNER, Bench, Ears, HubUnderTest, ears, open_hub, person, settle, uuid
from tests.test_ballots import VOTES

SPEAKER = person("sam", "poll:create")
CHAIR = person("mia", "poll:manage")
CHAIR_OF_ALL = person("pia", "poll:manage", "sessions:manage")
QUESTION: dict[str, JSON] = {"question": "Lunch?", "options": [{"text": "Now"}, {"text": "Later"}]}


@pytest.fixture
def bench() -> Bench:
    return Bench(Polls)


def opened(bench: Bench, **data: JSON) -> tuple[str, list[str]]:
    """A new poll: its id and those of its options."""
    performed = bench.ask("poll.create", {**QUESTION, **data}, SPEAKER)
    return performed.reply["pollId"], [option["id"] for option in performed.facts[-1].data["poll"]["options"]]


def vote(bench: Bench, poll_id: str, option_id: str, who: Person) -> None:
    bench.ask("poll.vote.submit", {"pollId": poll_id, "optionId": option_id}, who)


def test_a_poll_is_shown_to_everybody_as_the_contract_has_it(bench: Bench) -> None:
    performed = bench.ask("poll.create", QUESTION, SPEAKER)
    [(event, poll)] = bench.shown(performed)
    ids = [option.pop("id") for option in poll["options"]]
    assert len({*ids, poll["id"]}) == 3
    assert event == "poll.opened"
    assert performed.reply == {"pollId": poll.pop("id")}
    assert poll == {
        "question": "Lunch?", "isActive": True, "creatorId": "sam", "sessionId": "s1",
        "options": [{"text": "Now"}, {"text": "Later"}],
        "creator": {"id": "sam", "firstName": "Sam", "lastName": "Tester"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"question": "x" * 501}, "question must be at most 500 characters, not 501"),
        ({"question": " "}, "question must not be empty"),
        ({"options": [{"text": "one"}]}, "options must have 2 to 50 items, not 1"),
        ({"options": [{"text": "x"}, {"text": "x" * 201}]}, "options[1].text must be at most 200 characters, not 201"),
        ({"options": [{"text": "x"}, {"txt": "y"}]}, "options[1].text is required"),
        ({"options": "ab"}, "options must be a list"),
    ],
)
def test_a_poll_has_limits(data: dict[str, JSON], told: str, bench: Bench) -> None:
    assert bench.refusal("poll.create", {**QUESTION, **data}, SPEAKER).message == told
    assert not bench.state.exists


def test_permissions_are_the_contracts(bench: Bench) -> None:
    poll_id, options = opened(bench)
    give = {"pollId": poll_id, "winningOptionId": options[0], "prize": "Ticket"}
    for command, data, who in (
        ("poll.create", QUESTION, CHAIR),
        ("poll.manage", {"pollId": poll_id, "action": "close"}, SPEAKER),
        ("poll.giveaway.start", give, SPEAKER),
        ("poll.giveaway.list", {"pollId": poll_id}, ANNA),
    ):
        refusal = bench.refusal(command, data, who)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_a_vote_counts_and_is_shown_to_nobody(bench: Bench) -> None:
    poll_id, (_now, later) = opened(bench)
    performed = bench.ask("poll.vote.submit", {"pollId": poll_id, "optionId": later}, ANNA)
    assert performed.reply == {"pollId": poll_id, "optionId": later}
    assert [fact.to for fact in performed.facts] == [()]
    results = bench.view("poll.results.updated", poll_id)["poll"]
    assert [option["voteCount"] for option in results["options"]] == [0, 1]
    assert (results["totalVotes"], results["isActive"]) == (1, True)
    assert "anna" not in str(results)


def test_a_person_votes_once(bench: Bench) -> None:
    poll_id, (now, later) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    refusal = bench.refusal("poll.vote.submit", {"pollId": poll_id, "optionId": later}, ANNA)
    assert (refusal.message, refusal.status) == ("You have already voted in this poll", 409)
    assert bench.view("poll.results.updated", poll_id)["poll"]["totalVotes"] == 1


def test_wrong_ids_are_told(bench: Bench) -> None:
    poll_id, (now, _) = opened(bench)
    other_id, (_other, _) = opened(bench)
    assert bench.refusal("poll.vote.submit", {"pollId": uuid(9), "optionId": now}, ANNA).message == "Poll not found"
    refusal = bench.refusal("poll.vote.submit", {"pollId": other_id, "optionId": now}, ANNA)
    assert (refusal.message, refusal.status) == ("optionId is not an option of this poll", 404)
    refusal = bench.refusal("poll.manage", {"pollId": poll_id, "action": "open"}, CHAIR)
    assert refusal.message == "action must be one of close"
    refusal = bench.refusal("poll.vote.submit", {"pollId": "p1", "optionId": now}, ANNA)
    assert refusal.message == "pollId must be a UUID v4"


def test_a_closed_poll_shows_its_final_results_and_takes_no_votes(bench: Bench) -> None:
    poll_id, (now, _) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    performed = bench.ask("poll.manage", {"pollId": poll_id, "action": "close"}, CHAIR)
    [(event, results)] = bench.shown(performed)
    assert event == "poll.closed"
    assert (results["poll"]["isActive"], results["poll"]["totalVotes"]) == (False, 1)
    refusal = bench.refusal("poll.vote.submit", {"pollId": poll_id, "optionId": now}, BEN)
    assert (refusal.message, refusal.status) == ("Poll is no longer active", 409)
    assert bench.view("poll.results.updated", poll_id) is None
    again = bench.ask("poll.manage", {"pollId": poll_id, "action": "close"}, CHAIR)
    assert (again.facts, again.reply) == ([], {"pollId": poll_id})


def test_a_new_poll_sets_the_one_before_aside(bench: Bench) -> None:
    first, (now, _) = opened(bench)
    vote(bench, first, now, ANNA)
    performed = bench.ask("poll.create", QUESTION, SPEAKER)
    assert [event for event, _ in bench.shown(performed)] == ["poll.results.updated", "poll.opened"]
    assert bench.shown(performed)[0][1]["poll"]["isActive"] is False
    assert (
        bench.refusal("poll.vote.submit", {"pollId": first, "optionId": now}, BEN).message == "Poll is no longer active"
    )
    read = bench.ask("poll.read", {"pollId": first}, ANNA).reply
    assert (read["poll"]["totalVotes"], read["userVotedForOptionId"]) == (1, now)
    assert [
        event for event, _ in bench.shown(bench.ask("poll.manage", {"pollId": first, "action": "close"}, CHAIR))
    ] == ["poll.closed"]


def test_the_snapshot_has_the_active_poll_and_ones_own_vote(bench: Bench) -> None:
    assert bench.state.snapshot(ANNA) == {"activePoll": None}
    poll_id, (now, _) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    assert bench.state.snapshot(ANNA)["activePoll"]["userVotedForOptionId"] == now
    assert bench.state.snapshot(BEN)["activePoll"]["userVotedForOptionId"] is None
    bench.ask("poll.manage", {"pollId": poll_id, "action": "close"}, CHAIR)
    assert bench.state.snapshot(ANNA) == {"activePoll": None}


def test_a_winner_is_one_of_the_voters_and_can_be_checked(bench: Bench) -> None:
    poll_id, (now, later) = opened(bench)
    for who in (ANNA, BEN, CARA):
        vote(bench, poll_id, now if who is not CARA else later, who)
    give = {"pollId": poll_id, "winningOptionId": now, "prize": "Ticket"}
    winners = []
    for _ in range(2):
        performed = bench.ask("poll.giveaway.start", give, CHAIR)
        [(event, shown)] = bench.shown(performed)
        assert (event, shown, performed.reply["winner"]) == (
            "poll.giveaway.winner",
            {"pollId": poll_id, "winner": shown["winner"], "prize": "Ticket"},
            shown["winner"],
        )
        winners.append(shown["winner"]["id"])
    assert sorted(winners) == ["anna", "ben"], "nobody wins twice, nobody else can win"
    refusal = bench.refusal("poll.giveaway.start", give, CHAIR)
    assert (refusal.message, refusal.status) == ("Everybody who voted for this option has won already", 409)
    listed = bench.ask("poll.giveaway.list", {"pollId": poll_id}, CHAIR).reply["giveaways"]
    assert [draw["candidates"] for draw in listed] == [2, 1]
    assert ["anna", "ben"][int(listed[0]["seed"]) % 2] == winners[0]


def test_without_voters_there_is_no_winner(bench: Bench) -> None:
    poll_id, (now, later) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    give = {"pollId": poll_id, "winningOptionId": later, "prize": "Ticket"}
    assert bench.refusal("poll.giveaway.start", give, CHAIR).message == "Nobody has voted for this option"
    refusal = bench.refusal("poll.giveaway.start", {**give, "winningOptionId": uuid(5)}, CHAIR)
    assert refusal.message == "winningOptionId is not an option of this poll"
    refusal = bench.refusal("poll.giveaway.start", {**give, "prize": "x" * 256}, CHAIR)
    assert refusal.message == "prize must be at most 255 characters, not 256"


def test_a_closed_poll_can_still_be_drawn_from(bench: Bench) -> None:
    poll_id, (now, _) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    bench.ask("poll.manage", {"pollId": poll_id, "action": "close"}, CHAIR)
    give = {"pollId": poll_id, "winningOptionId": now, "prize": "Ticket"}
    assert bench.ask("poll.giveaway.start", give, CHAIR).reply["winner"]["id"] == "anna"


def test_every_voter_is_as_likely_to_win(bench: Bench) -> None:
    """Chi-square over 4,000 draws among 8 people: 29.9 is passed by chance once in 10,000 (7 degrees of freedom)."""
    poll_id, (now, _) = opened(bench)
    people = [person(f"p{n}") for n in range(8)]
    for who in people:
        vote(bench, poll_id, now, who)
    dice, won, polls = random.Random(7), Counter[str](), bench.feature(Polls)
    for _ in range(4_000):
        ask = Ask(StartGiveaway(poll_id, now, "Ticket"), CHAIR, seed=dice.getrandbits(128))
        won[polls.giveaway(ask).reply["winner"]["id"]] += 1
    assert sum((won[who.id] - 500) ** 2 / 500 for who in people) < 29.9


def test_a_session_has_a_bound_of_polls(bench: Bench) -> None:
    for _ in range(POLLS_PER_SESSION_MAX):
        opened(bench)
    refusal = bench.refusal("poll.create", QUESTION, SPEAKER)
    assert (refusal.message, refusal.status) == (f"A session has at most {POLLS_PER_SESSION_MAX} polls", 409)


def test_the_log_rebuilds_polls_and_votes(bench: Bench) -> None:
    poll_id, (now, _later) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    opened(bench)
    bench.ask("poll.giveaway.start", {"pollId": poll_id, "winningOptionId": now, "prize": "Ticket"}, CHAIR)
    bench.ask("poll.manage", {"pollId": poll_id, "action": "close"}, CHAIR)
    assert bench.reopened().features == bench.state.features


async def test_the_tally_is_the_accepted_acks(autojump_clock: MockClock) -> None:
    """5,000 people on two devices each, all at once: every person counts once, and the total is the accepted acks."""
    async with open_hub(Sessions, Polls, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        owner = ears(OWNER)
        await hub.do("session.join", {"sessionId": "s1"}, owner)
        poll_id = (await hub.do("poll.create", {**QUESTION}, owner))["pollId"]
        options = [option["id"] for option in owner.events("poll.opened")[0]["options"]]
        dice, people = random.Random(5), [person(f"p{n}") for n in range(5_000)]
        devices = [ears(who, sid=f"{who.id}-{n}") for who in people for n in range(2)]
        for device in devices:
            await hub.ask("session.join", {"sessionId": "s1"}, device)
        await settle()
        dice.shuffle(devices)
        chosen = [(device, dice.choice(options)) for device in devices]
        replies = [
            (option, await hub.ask("poll.vote.submit", {"pollId": poll_id, "optionId": option}, device))
            for device, option in chosen
        ]
        await settle()
        accepted = Counter(option for option, reply in replies if not isinstance(reply.result, Refused))
        results = (await hub.do("poll.read", {"pollId": poll_id}, owner, door=Via.REST, room_id="s1"))["poll"]
    assert accepted.total() == results["totalVotes"] == 5_000
    assert [option["voteCount"] for option in results["options"]] == [accepted[option] for option in options]


async def test_everybody_is_shown_their_own_vote(autojump_clock: MockClock) -> None:
    async with open_hub(Sessions, Polls, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        owner, anna, ben = ears(OWNER), ears(ANNA), ears(BEN)
        for who in (owner, anna, ben):
            await hub.do("session.join", {"sessionId": "s1"}, who)
        poll_id = (await hub.do("poll.create", {**QUESTION}, owner))["pollId"]
        now, later = (option["id"] for option in anna.events("poll.opened")[0]["options"])
        await hub.do("poll.vote.submit", {"pollId": poll_id, "optionId": later}, anna)
        await hub.do("poll.vote.submit", {"pollId": poll_id, "optionId": now}, ben)
        await hub.do("poll.manage", {"pollId": poll_id, "action": "close"}, owner)
        last = [client.events("poll.closed")[-1] for client in (owner, anna, ben)]
        shown = [client.events("poll.results.updated")[0] for client in (owner, anna)]
    assert [one["userVotedForOptionId"] for one in last] == [None, later, now]
    assert [one["poll"] for one in last] == [last[0]["poll"]] * 3
    assert [one["userVotedForOptionId"] for one in shown] == [None, later]


def test_results_are_for_everybody_in_the_session(bench: Bench) -> None:
    poll_id, (now, _) = opened(bench)
    vote(bench, poll_id, now, ANNA)
    [(view, key)] = bench.state.views
    assert (key, bench.state.audience_of(view, key)) == (poll_id, f"session:s1{EVERYONE}")


# Polls of every type, in a session with a life cycle


@pytest.fixture
def room() -> Bench:
    """A session that has begun, with all that hears of polls."""
    bench = Bench(Sessions, Lifecycle, Presenting, Polls, Gamification, Totals)
    bench.ask("session.create", {}, CHAIR_OF_ALL)
    bench.ask("session.start", {}, CHAIR_OF_ALL)
    return bench


def written(bench: Bench, *, active: bool = True, **data: JSON) -> dict[str, Any]:
    """A poll that a presenter wrote, and opened."""
    asked: dict[str, JSON] = {"question": "Which?", **data}
    if data.get("pollType", "multiple_choice") in ("multiple_choice", "ranking", "quiz") and "options" not in data:
        asked["options"] = [{"text": letter} for letter in "ABC"]
        if data.get("pollType") == "quiz":
            asked["options"][1]["isCorrect"] = True
    poll: dict[str, Any] = bench.ask("poll.add", asked, CHAIR_OF_ALL).reply["poll"]
    if active:
        bench.ask("poll.activate", {"pollId": poll["id"]}, CHAIR_OF_ALL)
    return poll


def choose(poll: dict[str, Any], *places: int) -> dict[str, JSON]:
    """A vote for options of a poll, by their places."""
    return {"selectedOptionIds": [poll["options"][place]["id"] for place in places]}


def cast(
    bench: Bench, poll: dict[str, Any], data: dict[str, JSON], who: Person, *, after_ms: int = 0, **more: JSON
) -> dict[str, Any]:
    """What becomes of a vote: `accepted` or `rejected`."""
    asked = {"pollId": poll["id"], "voteData": data, **more}
    return bench.ask("poll.vote.cast", asked, who, after_ms=after_ms).reply


def reason(bench: Bench, poll: dict[str, Any], data: dict[str, JSON], who: Person, *, after_ms: int = 0) -> str:
    """Why a vote does not count."""
    return str(cast(bench, poll, data, who, after_ms=after_ms)["rejected"]["reason"])


def closed(bench: Bench, poll: dict[str, Any]) -> dict[str, Any]:
    """Close a poll: the data of the fact."""
    performed = bench.ask("poll.close", {"pollId": poll["id"]}, CHAIR_OF_ALL)
    return next(fact.data for fact in performed.facts if fact.kind == "poll.closed")


def awards(performed: Performed) -> list[str]:
    return [fact.data["reason"] for fact in performed.facts if fact.kind == "gamification.points.awarded"]


def test_the_right_answer_is_not_contract_1s_to_mark(bench: Bench) -> None:
    options = [{"text": "3"}, {"text": "4", "isCorrect": True}]
    refusal = bench.refusal("poll.create", {"question": "2 + 2?", "options": options}, SPEAKER)
    assert (refusal.code, "isCorrect" in refusal.message) == ("invalid_payload", True)
    assert not bench.state.exists


@pytest.mark.parametrize("poll_type", VOTES)
def test_a_vote_of_each_type_is_counted_and_kept_from_everybody(poll_type: str, room: Bench) -> None:
    poll = written(room, pollType=poll_type)
    data = VOTES[poll_type]
    if poll_type in ("multiple_choice", "quiz", "ranking"):
        data = {next(iter(data)): [poll["options"][0]["id"]]}
    performed = room.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": data}, ANNA)
    accepted = performed.reply["accepted"]
    assert performed.facts[0].to == ()
    assert performed.facts[0].data["data"] == data
    assert room.shown(performed) == []
    assert accepted["receipt"] == accepted["voteId"] == performed.facts[0].data["voteId"]
    assert (accepted["submittedAt"], accepted["pollId"]) == (iso(room.now_ms), poll["id"])
    assert room.ask("poll.read", {"pollId": poll["id"]}, ANNA).reply["poll"]["totalVotes"] == 1
    assert performed.reply["counts"]["currentVoteCount"] == 1
    assert reason(room, poll, data, ANNA) == "duplicate_vote"


def test_a_vote_over_events_is_for_one_option_of_a_choice(room: Bench) -> None:
    several = written(room, allowMultiple=True)
    ballot = {"pollId": several["id"], "optionId": several["options"][2]["id"]}
    assert room.ask("poll.vote.submit", ballot, ANNA).reply == ballot
    for poll_type in ("ranking", "rating_scale", "open_text", "word_cloud"):
        poll = written(room, pollType=poll_type)
        refusal = room.refusal("poll.vote.submit", {"pollId": poll["id"], "optionId": uuid(1)}, ANNA)
        told = f"A poll of type {poll_type} takes no option"
        assert (refusal.message, refusal.status, refusal.code) == (told, 409, "invalid_option")


def test_a_malformed_vote_is_refused_and_not_counted_among_the_rejected(room: Bench) -> None:
    poll = written(room)
    refusal = room.refusal("poll.vote.cast", {"pollId": poll["id"], "voteData": {"ratingValue": 3}}, ANNA)
    assert (refusal.code, "selectedOptionIds" in refusal.message) == ("invalid_payload", True)
    assert closed(room, poll)["rejected"] == {}


def test_rejected_votes_are_counted_by_reason_and_told_at_the_end(room: Bench) -> None:
    poll = written(room, durationS=60)
    cast(room, poll, choose(poll, 0), ANNA)
    for who, data in (
        (ANNA, choose(poll, 1)),
        (ANNA, choose(poll, 0)),
        (BEN, {"selectedOptionIds": [uuid(99)]}),
        (BEN, choose(poll, 0, 1)),
    ):
        assert "rejected" in cast(room, poll, data, who)
    assert reason(room, poll, choose(poll, 1), BEN, after_ms=60_000) == "poll_closed"
    fact = closed(room, poll)
    assert fact["rejected"] == {"duplicate_vote": 2, "invalid_option": 2, "poll_closed": 1}
    assert fact["results"]["poll"]["totalVotes"] == 1
    assert room.reopened().features == room.state.features


def test_a_rejected_vote_tells_its_voter_alone(room: Bench) -> None:
    poll = written(room, active=False)
    performed = room.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": choose(poll, 0)}, ANNA)
    assert [fact.to for fact in performed.facts] == [()]
    assert performed.reply == {
        "rejected": {
            "pollId": poll["id"],
            "participantId": "anna",
            "reason": "poll_not_active",
            "message": "Poll is not active",
            "timestamp": iso(room.now_ms),
        }
    }


def test_nobody_votes_as_another_participant(room: Bench) -> None:
    poll = written(room)
    mine = room.ask("session.join", {}, ANNA).facts[0].data["participantId"]
    others = room.ask("session.join", {}, BEN).facts[0].data["participantId"]
    asked = {"pollId": poll["id"], "voteData": choose(poll, 0)}
    refusal = room.refusal("poll.vote.cast", {**asked, "participantId": others}, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("participantId is not yours", 403, "forbidden")
    assert cast(room, poll, choose(poll, 0), ANNA, participantId=mine)["accepted"]["participantId"] == mine


def test_a_changed_vote_is_one_vote_that_counts_last(room: Bench) -> None:
    poll = written(room, allowChange=True)
    first = room.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": choose(poll, 0)}, ANNA)
    cast(room, poll, choose(poll, 1), BEN)
    again = room.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": choose(poll, 2)}, ANNA)
    assert (awards(first), awards(again)) == (["POLL_VOTED"], []), "points are for voting, not for changing one's mind"
    assert again.reply["counts"]["currentVoteCount"] == 2
    assert again.reply["accepted"]["receipt"] != first.reply["accepted"]["receipt"]
    fact = closed(room, poll)
    assert [option["voteCount"] for option in fact["results"]["poll"]["options"]] == [0, 1, 1]
    rows = [(vote.id, vote.data) for vote in room.feature(Polls).polls[poll["id"]].votes.values()]
    assert [data for _, data in rows] == [choose(poll, 1), choose(poll, 2)]
    assert (rows[1][0], fact["voteHash"]) == (again.reply["accepted"]["receipt"], vote_hash(rows))
    assert room.feature(Totals).counts["pollVotes"] == 2, "a dashboard counts the person once"
    assert room.reopened().features == room.state.features


def test_the_first_of_several_choices_is_ones_own_and_each_counts(room: Bench) -> None:
    poll = written(room, allowMultiple=True, maxSelections=2)
    cast(room, poll, choose(poll, 2, 0), ANNA)
    shown = room.ask("poll.read", {"pollId": poll["id"]}, ANNA).reply
    assert shown["userVotedForOptionId"] == poll["options"][2]["id"]
    assert [option["voteCount"] for option in shown["poll"]["options"]] == [1, 0, 1]
    assert [option["percentage"] for option in shown["poll"]["options"]] == [50.0, 0.0, 50.0]
    assert shown["poll"]["totalVotes"] == 1, "one voter"


def test_an_anonymous_poll_earns_no_points_and_cannot_be_drawn_from(room: Bench) -> None:
    poll = written(room, isAnonymous=True)
    performed = room.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": choose(poll, 0)}, ANNA)
    assert awards(performed) == []
    give = {"pollId": poll["id"], "winningOptionId": poll["options"][0]["id"], "prize": "Cup"}
    refusal = room.refusal("poll.giveaway.start", give, CHAIR_OF_ALL)
    told = "A winner would tell who voted in an anonymous poll"
    assert (refusal.message, refusal.status, refusal.code) == (told, 409, "conflict")
    quiz = written(room, pollType="quiz", isAnonymous=True)
    cast(room, quiz, choose(quiz, 1), ANNA)
    assert "leaders" not in closed(room, quiz)["results"]["poll"]


def test_a_winner_is_one_of_those_who_chose_the_option_among_others(room: Bench) -> None:
    poll = written(room, allowMultiple=True)
    cast(room, poll, choose(poll, 0, 2), ANNA)
    cast(room, poll, choose(poll, 1, 2), BEN)
    cast(room, poll, choose(poll, 0, 1), CARA)
    give = {"pollId": poll["id"], "winningOptionId": poll["options"][2]["id"], "prize": "Cup"}
    winners = {room.ask("poll.giveaway.start", give, CHAIR_OF_ALL).reply["winner"]["id"] for _ in range(2)}
    assert winners == {"anna", "ben"}
    refusal = room.refusal("poll.giveaway.start", give, CHAIR_OF_ALL)
    assert refusal.message == "Everybody who voted for this option has won already"


@pytest.mark.parametrize("poll_type", ["rating_scale", "word_cloud", "open_text"])
def test_polls_without_options_have_nothing_to_draw_from(poll_type: str, room: Bench) -> None:
    poll = written(room, pollType=poll_type)
    cast(room, poll, VOTES[poll_type], ANNA)
    give = {"pollId": poll["id"], "winningOptionId": uuid(1), "prize": "Cup"}
    refusal = room.refusal("poll.giveaway.start", give, CHAIR_OF_ALL)
    assert refusal.message == "winningOptionId is not an option of this poll"


def test_answers_in_words_are_read_by_those_who_see_the_results(room: Bench) -> None:
    poll = written(room, pollType="open_text", resultsVisibility="after_vote")
    for who, text in ((ANNA, "More breaks."), (BEN, "More tea.")):
        cast(room, poll, {"textResponse": text}, who)
    shown = room.ask("poll.read", {"pollId": poll["id"]}, ANNA).reply
    assert (shown["responses"], shown["poll"]["totalVotes"]) == (["More breaks.", "More tea."], 2)
    assert "responses" not in room.ask("poll.read", {"pollId": poll["id"]}, CARA).reply
    assert "responses" not in str(room.ask("poll.list", {}, ANNA).reply)


def test_a_word_cloud_takes_no_blocked_words(room: Bench) -> None:
    poll = written(room, pollType="word_cloud")
    assert reason(room, poll, {"words": ["Nice", BLOCKED_WORDS[0].upper() + "!"]}, ANNA) == "invalid_option"
    cast(room, poll, {"words": ["Nice", "nice!", "calm"]}, ANNA)
    words = room.ask("poll.read", {"pollId": poll["id"]}, ANNA).reply["poll"]["words"]
    assert words == [{"word": "calm", "count": 1}, {"word": "nice", "count": 1}]


# The session's life and the poll's


@pytest.mark.parametrize("session", ["draft", "ended"])
def test_nothing_votes_in_a_session_that_has_not_begun_or_is_over(session: str) -> None:
    bench = Bench(Sessions, Lifecycle, Presenting, Polls)
    bench.ask("session.create", {}, CHAIR_OF_ALL)
    poll = written(bench, active=False)
    if session == "ended":
        bench.ask("session.start", {}, CHAIR_OF_ALL)
        bench.ask("poll.activate", {"pollId": poll["id"]}, CHAIR_OF_ALL)
        bench.ask("session.end", {}, CHAIR_OF_ALL)
    assert reason(bench, poll, choose(poll, 0), ANNA) == "session_not_active"
    ballot = {"pollId": poll["id"], "optionId": poll["options"][0]["id"]}
    for command, data, who in (("poll.vote.submit", ballot, ANNA), ("poll.create", QUESTION, SPEAKER)):
        refusal = bench.refusal(command, data, who)
        assert (refusal.message, refusal.status, refusal.code) == ("Session is not active", 409, "session_not_active")
    shown = bench.ask("poll.read", {"pollId": poll["id"]}, ANNA).reply["poll"]
    assert shown["status"] == ("draft" if session == "draft" else "closed"), "it can still be read"


def test_what_is_open_closes_before_the_session_ends(room: Bench) -> None:
    before, poll = written(room), written(room, durationS=60)
    cast(room, poll, choose(poll, 1), ANNA)
    performed = room.ask("session.end", {}, CHAIR_OF_ALL)
    kinds = [fact.kind for fact in performed.facts if fact.to]
    assert kinds == ["poll.closed", "session.ended"]
    fact = next(fact for fact in performed.facts if fact.kind == "poll.closed")
    assert (fact.data["pollId"], fact.data["results"]["poll"]["totalVotes"]) == (poll["id"], 1)
    assert Cancel(f"poll:{poll['id']}") in performed.effects
    polls = room.feature(Polls).polls
    assert [polls[one["id"]].status for one in (before, poll)] == ["inactive", "closed"]
    assert room.reopened().features == room.state.features


def test_a_poll_with_a_time_rings_at_its_end_and_is_hushed_before(room: Bench) -> None:
    poll, other = written(room, active=False, durationS=30), written(room, active=False)
    key = f"poll:{poll['id']}"
    rings = After(key, room.now_ms + 30_000, "poll.time.up", {"pollId": poll["id"], "openedMs": room.now_ms})
    asked = {"pollId": poll["id"]}
    assert room.ask("poll.activate", asked, CHAIR_OF_ALL).effects == [rings]
    assert room.ask("poll.activate", {"pollId": other["id"]}, CHAIR_OF_ALL).effects == [Cancel(key)]
    room.ask("poll.activate", asked, CHAIR_OF_ALL)
    assert room.ask("poll.close", asked, CHAIR_OF_ALL).effects == [Cancel(key)]
    room.ask("poll.reopen", asked, CHAIR_OF_ALL)
    assert room.ask("poll.reset", {**asked, "confirm": True}, CHAIR_OF_ALL).effects == [Cancel(key)]


@pytest.mark.parametrize("meanwhile", ["close", "reset", "set aside", "reopen"])
def test_a_ring_of_an_opening_that_is_over_does_nothing(meanwhile: str, room: Bench) -> None:
    poll = written(room, durationS=30)
    told = {"pollId": poll["id"], "openedMs": room.now_ms}
    asked = {"pollId": poll["id"]}
    if meanwhile in ("close", "reopen"):
        room.ask("poll.close", asked, CHAIR_OF_ALL, after_ms=10_000)
    if meanwhile == "reopen":
        room.ask("poll.reopen", asked, CHAIR_OF_ALL, after_ms=1)
    if meanwhile == "reset":
        room.ask("poll.reset", {**asked, "confirm": True}, CHAIR_OF_ALL)
    if meanwhile == "set aside":
        written(room)
    before = room.feature(Polls).polls[poll["id"]].status
    assert room.ask("poll.time.up", told, after_ms=30_000).facts == []
    assert room.ask("poll.time.up", {**told, "pollId": uuid(99)}).facts == []
    assert room.feature(Polls).polls[poll["id"]].status == before


def test_a_vote_in_flight_at_the_end_is_rejected_before_the_ring(room: Bench) -> None:
    poll = written(room, durationS=30)
    told = {"pollId": poll["id"], "openedMs": room.now_ms}
    assert "accepted" in cast(room, poll, choose(poll, 0), ANNA, after_ms=29_999)
    ballot = {"pollId": poll["id"], "optionId": poll["options"][0]["id"]}
    refusal = room.refusal("poll.vote.submit", ballot, CARA, after_ms=1)
    assert (refusal.message, refusal.code) == ("Poll is no longer active", "poll_closed")
    assert reason(room, poll, choose(poll, 0), BEN) == "poll_closed"
    performed = room.ask("poll.time.up", told)
    assert [fact.kind for fact in performed.facts] == ["poll.closing", "poll.closed"]
    assert performed.facts[-1].data["results"]["poll"]["totalVotes"] == 1


# Who is shown the counts, on every way out

WAYS: dict[str, tuple[set[str], set[str]]] = {
    "always": ({"voter", "other", "presenter"}, {"voter", "other", "presenter"}),
    "after_vote": ({"voter", "presenter"}, {"voter", "other", "presenter"}),
    "after_close": ({"presenter"}, {"voter", "other", "presenter"}),
    "never": ({"presenter"}, {"presenter"}),
}
"""Who sees the counts while the poll takes votes, and once it is closed."""
COUNTS = ("voteCount", "percentage", "totalVotes", "currentVoteCount", "finalVoteCount", "voteBreakdown", "leaders")


@dataclass
class Watch:
    """Two clients of everybody, one of each vocabulary, and what they can ask for over REST."""

    hub: HubUnderTest
    events: dict[str, Ears]
    polling: dict[str, Ears]

    async def present(self, name: str, data: JSON = None) -> dict[str, Any]:
        return await self.rest(name, data, CHAIR_OF_ALL)

    async def rest(self, name: str, data: JSON, who: Person) -> dict[str, Any]:
        return await self.hub.do(name, data, who=who, door=Via.REST, room_id="s1")

    async def told(self, role: str, poll_id: str) -> dict[str, str]:
        """All that somebody was told or can ask for, as text, by the way it comes; what they heard is forgotten."""
        who = self.events[role].peer.person
        state = await self.rest("session.state", {}, who)
        found: dict[str, Any] = {
            "read": await self.rest("poll.read", {"pollId": poll_id}, who),
            "list": await self.rest("poll.list", {}, who),
            "state": state,
            "session:state": state_shown(state),
            "snapshot": self.hub.room().state.snapshot(who),
        }
        for ways in (self.events, self.polling):
            for heard in ways[role].heard:
                found[heard.event] = [*found.get(heard.event, []), heard.payload]
            ways[role].heard.clear()
        return {way: str(said) for way, said in found.items()}


@asynccontextmanager
async def watched(store: MemoryStore | None = None) -> AsyncIterator[Watch]:
    """A session with a voter, somebody else and a presenter."""

    def spoken(catalog: Catalog) -> dict[str, Vocabulary]:
        return {EVENTS: EventsVocabulary(catalog), POLLING: PollingVocabulary()}

    people = {"voter": ANNA, "other": BEN, "presenter": CHAIR_OF_ALL}
    settings = {"sessions": SessionSettings(auto_create=True)}
    features = (Sessions, Lifecycle, Presenting, Polls, Gamification, Totals)
    async with open_hub(*features, store=store, settings=settings, vocabularies=spoken) as hub:
        found = [
            {role: ears(who, sid=f"{role}-{way}", vocabulary=way) for role, who in people.items()}
            for way in (EVENTS, POLLING)
        ]
        for ways in found:
            for client in ways.values():
                await hub.do("session.join", {"sessionId": "s1"}, client)
        yield Watch(hub, *found)


def counted(told: dict[str, str]) -> dict[str, bool]:
    """Whether there are counts in what was told, by way."""
    return {way: any(f"'{field}'" in text for field in COUNTS) for way, text in told.items()}


@pytest.mark.parametrize("visibility", WAYS)
@pytest.mark.parametrize("end", ["close", "set aside"])
async def test_hidden_counts_are_hidden_on_every_way_out(visibility: str, end: str, autojump_clock: MockClock) -> None:
    async with watched() as watch:
        asked = {"question": "Which?", "options": [{"text": "A"}, {"text": "B"}], "resultsVisibility": visibility}
        poll = (await watch.present("poll.add", {**asked, "allowMultiple": True}))["poll"]
        about = {"pollId": poll["id"]}
        await watch.present("poll.activate", about)
        for role in watch.events:
            await watch.told(role, poll["id"])
        ballot = {**about, "voteData": choose(poll, 1)}
        voter = watch.polling["voter"]
        reply = await watch.hub.do("poll.vote.cast", ballot, voter, door=Via.CONTRACT)
        assert ("counts" in reply) == ("voter" in WAYS[visibility][0])
        await trio.sleep(1)
        await settle()
        ways = {"read", "list", "state", "session:state", "snapshot", "poll.results.updated", "vote:accepted"}
        for role in watch.events:
            sees = role in WAYS[visibility][0]
            told = await watch.told(role, poll["id"])
            assert ("vote:accepted" in told) == sees, "there is nothing in it but counts"
            assert counted(told) == {way: sees and way in ways for way in told}, role
            assert ways - {"vote:accepted"} <= {*told}
        if end == "close":
            await watch.present("poll.close", about)
        else:
            await watch.present("poll.activate", {"pollId": (await watch.present("poll.add", asked))["pollId"]})
        for role in watch.events:
            sees = role in WAYS[visibility][end == "close"]
            told = await watch.told(role, poll["id"])
            named = {"poll.closed", "poll:closed"} if end == "close" else {"poll.results.updated"}
            assert named <= {*told}
            for way in named | {"read", "list", "state", "session:state"}:
                assert counted(told)[way] == sees, (role, way)


async def test_the_right_answer_is_told_to_nobody_before_the_end(autojump_clock: MockClock) -> None:
    async with open_memory() as store, watched(store) as watch:
        options = [{"text": "3"}, {"text": "4", "isCorrect": True}]
        poll = (await watch.present("poll.add", {"question": "2 + 2?", "pollType": "quiz", "options": options}))["poll"]
        about = {"pollId": poll["id"]}
        await watch.present("poll.activate", about)
        for role, place in (("voter", 1), ("other", 0)):
            ballot = {**about, "voteData": choose(poll, place)}
            reply = await watch.hub.do("poll.vote.cast", ballot, watch.polling[role], door=Via.CONTRACT)
            assert not tells(str(reply)), "right and wrong votes are answered alike"
        await trio.sleep(1)
        await settle()
        for role in watch.events:
            told = await watch.told(role, poll["id"])
            assert not [way for way, text in told.items() if tells(text)], role
        assert not tells(str(await replayed(store)))
        await watch.present("poll.close", about)
        for role in watch.events:
            told = await watch.told(role, poll["id"])
            assert {way for way in told if poll["options"][1]["id"] in revealed(told[way])} >= {
                *("poll.closed", "poll:closed", "read", "list", "state", "session:state")
            }, role
        assert tells(str(await replayed(store)))


def tells(text: str) -> bool:
    """Whether a text could say which answer is right. Of what is right, everything has one of these names."""
    return any(name in text for name in ("correctOptionId", "isCorrect", "'right'", "leaders"))


def revealed(text: str) -> str:
    """What follows the name of the right answer."""
    return text.partition("'correctOptionId': '")[2][:36]


async def replayed(store: MemoryStore) -> list[bytes]:
    """All that a client of either vocabulary could have replayed."""
    catalog = Catalog((Sessions, Lifecycle, Presenting, Polls, Gamification, Totals))
    records = await store.replay({"session:s1": 0, "user:anna": 0}, store.head, 1_000)
    found = []
    for speak in (EventsVocabulary(catalog), PollingVocabulary()):
        for record in records:
            own = [None, True] if record.kind in ("poll.closed", "poll.set_aside") else NOBODYS
            data = orjson.loads(record.data)
            told = Told(record.kind, data, "e-1", record.at_ms, record.room, record.audience, own)
            found.append(speak.fact(told) or b"")
    return found


async def test_a_receipt_is_told_to_its_voter_alone(autojump_clock: MockClock) -> None:
    async with watched() as watch:
        poll = (await watch.present("poll.add", {**QUESTION, "isAnonymous": True}))["poll"]
        await watch.present("poll.activate", {"pollId": poll["id"]})
        ballot = {"pollId": poll["id"], "voteData": choose(poll, 1)}
        voter = watch.polling["voter"]
        receipt = (await watch.hub.do("poll.vote.cast", ballot, voter, door=Via.CONTRACT))["accepted"]["receipt"]
        await watch.present("poll.close", {"pollId": poll["id"]})
        await trio.sleep(1)
        await settle()
        for role in watch.events:
            told = await watch.told(role, poll["id"])
            assert not [way for way, text in told.items() if receipt in text], role
            assert not [way for way, text in told.items() if "poll" in way and "anna" in text], role


# Its time, in a running hub


async def test_a_poll_closes_by_itself(autojump_clock: MockClock) -> None:
    async with watched() as watch:
        poll = (await watch.present("poll.add", {**QUESTION, "durationS": 30}))["poll"]
        await watch.present("poll.activate", {"pollId": poll["id"]})
        began_ms = watch.hub.clock()
        await trio.sleep(29.9)
        assert watch.events["voter"].events("poll.closed") == []
        await trio.sleep(1)
        await settle()
        (told,) = watch.polling["voter"].events("poll:closed")
        assert 30_000 <= moment_ms(told["closedAt"]) - began_ms <= 30_500
        (shown,) = watch.events["voter"].events("poll.closed")
        assert shown["poll"]["isActive"] is False


async def test_a_poll_closes_by_itself_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with watched(store) as watch:
            poll = (await watch.present("poll.add", {**QUESTION, "durationS": 30}))["poll"]
            await watch.present("poll.activate", {"pollId": poll["id"]})
            clock = watch.hub.clock
        async with open_hub(Sessions, Lifecycle, Presenting, Polls, store=store, clock=clock) as hub:
            await trio.sleep(31)
            await settle()
            state = await hub.do("session.state", {}, who=CHAIR_OF_ALL, door=Via.REST, room_id="s1")
    assert [one["poll"]["status"] for one in state["polls"]] == ["closed"]


async def test_a_poll_that_is_opened_again_has_its_whole_time(autojump_clock: MockClock) -> None:
    async with watched() as watch:
        poll = (await watch.present("poll.add", {**QUESTION, "durationS": 30}))["poll"]
        about = {"pollId": poll["id"]}
        await watch.present("poll.activate", about)
        await trio.sleep(20)
        await watch.present("poll.close", about)
        await watch.present("poll.reopen", about)
        began_ms = watch.hub.clock()
        await trio.sleep(25)
        assert (await watch.present("poll.read", about))["poll"]["isActive"] is True, "the first time is over"
        await trio.sleep(6)
        await settle()
        told = watch.polling["voter"].events("poll:closed")
        assert len(told) == 2
        assert 30_000 <= moment_ms(told[-1]["closedAt"]) - began_ms <= 30_500
