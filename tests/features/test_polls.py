"""Polls: opened, voted in once, counted exactly, closed; and draws that can be checked."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import EVERYONE, JSON, Ask, Person, Via
from livehub.features.polls import POLLS_PER_SESSION_MAX, Polls
from livehub.features.sessions import Sessions, SessionSettings
from livehub.pollforms import StartGiveaway
from tests.kit import ANNA, BEN, CARA, OWNER, Bench, ears, open_hub, person, settle, uuid

SPEAKER = person("sam", "poll:create")
CHAIR = person("mia", "poll:manage")
QUESTION = {"question": "Lunch?", "options": [{"text": "Now"}, {"text": "Later"}]}


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
