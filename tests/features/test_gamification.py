"""Gamification: what contract 1 (§9) and the contracts' point 23 promise, among the features that it listens to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

import pytest
from trio.testing import MockClock

from livehub.feature import JSON, SYSTEM, Ask, Fact, Feature, Outcome, Person, internal, user
from livehub.features.chat import Chat
from livehub.features.gamification import BADGES, ENTRIES_MAX, IDS_FROM, POINTS, TOP_ENTRIES, Gamification, Standing
from livehub.features.polls import Polls
from livehub.features.presenting import Presenting
from livehub.features.qa import Qa, QaSettings
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.gate import Knock
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, CARA, OWNER, Bench, Reply, ears, open_hub, person, uuid

CROWD = 10_000


class Deed(TypedDict):
    """A fact that a feature may write."""

    kind: str
    data: dict[str, JSON]


@dataclass
class Deeds(Feature):
    """Stands for a feature that writes facts which no feature here writes."""

    name: ClassVar[str] = "deeds"

    @internal("deed.done")
    def done(self, ask: Ask[Deed]) -> Outcome:
        """Write it."""
        return Outcome([Fact(ask.payload["kind"], ask.payload["data"])])


@pytest.fixture
def bench() -> Bench:
    return Bench(Chat, Qa, Polls, Deeds, Gamification)


def awards(bench: Bench, performed: Performed, who: Person) -> list[tuple[int, str, int]]:
    """(points, reason, new total) of what somebody is shown."""
    return [
        (shown["points"], shown["reason"], shown["newTotalScore"])
        for event, shown in bench.shown(performed, user(who.id))
        if event == "gamification.points.awarded"
    ]


def unlocked(bench: Bench, performed: Performed, who: Person) -> list[str]:
    """The badges that somebody is shown."""
    shown = bench.shown(performed, user(who.id))
    return [achievement["badgeName"] for event, achievement in shown if event == "achievement.unlocked"]


def say(bench: Bench, who: Person = ANNA, times: int = 1) -> str:
    """Send messages; the id of the last."""
    for _ in range(times):
        performed = bench.ask("chat.message.send", {"text": "hello"}, who)
    return str(performed.reply["messageId"])


def react(bench: Bench, message_id: str, who: Person = BEN, emoji: str = "👍") -> Performed:
    return bench.ask("chat.message.react", {"messageId": message_id, "emoji": emoji}, who)


def question(bench: Bench, who: Person = ANNA, *, anonymous: bool = False) -> tuple[str, Performed]:
    performed = bench.ask("qa.question.ask", {"text": "why?", "isAnonymous": anonymous}, who)
    return str(performed.reply["questionId"]), performed


def upvote(bench: Bench, question_id: str, who: Person = BEN) -> Performed:
    return bench.ask("qna.question.upvote", {"questionId": question_id}, who)


def poll(bench: Bench, who: Person = OWNER) -> tuple[dict[str, str], Performed]:
    """Open a poll; what a vote for its first option is, and what it came to."""
    performed = bench.ask("poll.create", {"question": "which?", "options": [{"text": "a"}, {"text": "b"}]}, who)
    shown = next(fact.data["poll"] for fact in performed.facts if fact.kind == "poll.opened")
    return {"pollId": shown["id"], "optionId": shown["options"][0]["id"]}, performed


def vote(bench: Bench, ballot: dict[str, str], who: Person = ANNA) -> Performed:
    return bench.ask("poll.vote.submit", ballot, who)


def done(bench: Bench, kind: str, data: JSON, who: Person) -> Performed:
    """Write a fact as another feature would."""
    return bench.ask("deed.done", {"kind": kind, "data": data}, who)


def board(bench: Bench, who: Person = ANNA) -> JSON:
    reply = bench.ask("leaderboard.request", None, who).reply
    assert reply.keys() == {"event", "data"}
    assert reply["event"] == "leaderboard.data"
    return reply["data"]


def lines(entries: Iterable[dict[str, JSON]]) -> list[tuple[int, str, int]]:
    return [(entry["rank"], entry["user"]["id"], entry["score"]) for entry in entries]


def test_the_points_are_those_of_the_contract() -> None:
    assert POINTS == {
        "MESSAGE_SENT": 1,
        "MESSAGE_REACTED": 2,
        "QUESTION_ASKED": 5,
        "QUESTION_UPVOTED": 2,
        "POLL_CREATED": 10,
        "POLL_VOTED": 1,
        "WAITLIST_JOINED": 3,
    }


def test_each_act_earns_its_points_and_tells_the_new_total(bench: Bench) -> None:
    sent = bench.ask("chat.message.send", {"text": "hello"}, ANNA)
    assert awards(bench, sent, ANNA) == [(1, "MESSAGE_SENT", 1)]
    assert awards(bench, react(bench, sent.reply["messageId"], BEN), BEN) == [(2, "MESSAGE_REACTED", 2)]
    question_id, asked = question(bench, ANNA)
    assert awards(bench, asked, ANNA) == [(5, "QUESTION_ASKED", 6)]
    assert awards(bench, upvote(bench, question_id, BEN), BEN) == [(2, "QUESTION_UPVOTED", 4)]
    ballot, opened = poll(bench, OWNER)
    assert awards(bench, opened, OWNER) == [(10, "POLL_CREATED", 10)]
    assert awards(bench, vote(bench, ballot, ANNA), ANNA) == [(1, "POLL_VOTED", 7)]
    waited = done(bench, "waitlist.joined", {"userId": "anna"}, ANNA)
    assert awards(bench, waited, ANNA) == [(3, "WAITLIST_JOINED", 10)]


def test_an_award_is_shown_to_the_actor_alone(bench: Bench) -> None:
    performed = react(bench, say(bench, ANNA), BEN)
    award = performed.facts[-1]
    assert (award.kind, award.to, award.kept) == ("gamification.points.awarded", ("user:ben",), True)
    assert bench.shown(performed, "user:ben") == [
        ("gamification.points.awarded", {"points": 2, "reason": "MESSAGE_REACTED", "newTotalScore": 2})
    ]
    assert bench.shown(performed, "user:anna") == []
    assert [event for event, _ in bench.shown(performed)] == ["chat.message.updated"]


def test_nobody_earns_from_their_own_content(bench: Bench) -> None:
    message_id = say(bench, ANNA)
    assert awards(bench, react(bench, message_id, ANNA), ANNA) == []
    assert awards(bench, react(bench, message_id, ANNA), ANNA) == []  # and gives nothing back
    question_id, _ = question(bench, ANNA)
    assert awards(bench, upvote(bench, question_id, ANNA), ANNA) == []
    assert awards(bench, upvote(bench, question_id, ANNA), ANNA) == []
    ballot, _ = poll(bench, OWNER)
    assert awards(bench, vote(bench, ballot, OWNER), OWNER) == []
    assert board(bench)["currentUser"] == {"rank": 2, "score": 6}


def test_taking_a_reaction_back_takes_its_points_back(bench: Bench) -> None:
    message_id = say(bench, ANNA)
    react(bench, message_id, BEN)
    react(bench, message_id, BEN, "🔥")
    assert awards(bench, react(bench, message_id, BEN), BEN) == [(-2, "MESSAGE_REACTED", 2)]
    assert awards(bench, react(bench, message_id, BEN), BEN) == [(2, "MESSAGE_REACTED", 4)]
    assert awards(bench, react(bench, message_id, BEN, "🔥"), BEN) == [(-2, "MESSAGE_REACTED", 2)]


def test_taking_an_upvote_back_takes_its_points_back(bench: Bench) -> None:
    question_id, _ = question(bench, ANNA)
    upvote(bench, question_id, BEN)
    assert awards(bench, upvote(bench, question_id, BEN), BEN) == [(-2, "QUESTION_UPVOTED", 0)]
    assert lines(board(bench)["topEntries"]) == [(1, "anna", 5)]
    assert board(bench, BEN)["currentUser"] == {"rank": None, "score": 0}


def test_only_what_was_given_is_taken_back() -> None:
    """A reaction from before there were points is taken back for nothing."""
    bench = Bench(Deeds, Gamification)
    message = {"id": uuid(1), "authorId": "anna"}
    data = {"message": message, "emoji": "👍", "userId": "ben", "added": False}
    assert awards(bench, done(bench, "chat.message.reacted", data, BEN), BEN) == []
    assert awards(bench, done(bench, "chat.message.reacted", {**data, "added": True}, BEN), BEN) != []
    assert awards(bench, done(bench, "chat.message.reacted", data, BEN), BEN) == [(-2, "MESSAGE_REACTED", 0)]
    assert awards(bench, done(bench, "chat.message.reacted", data, BEN), BEN) == []


def test_a_reaction_to_a_message_that_is_gone_keeps_its_points_and_is_forgotten(bench: Bench) -> None:
    message_id = say(bench, ANNA)
    react(bench, message_id, BEN)
    assert message_id in bench.feature(Gamification).given
    bench.ask("chat.message.delete", {"messageId": message_id}, ANNA)
    assert bench.feature(Gamification).given == {}
    assert lines(board(bench)["topEntries"]) == [(1, "ben", 2), (2, "anna", 1)]


@pytest.mark.parametrize("moderation", ["post", "pre"])
def test_an_anonymous_question_earns_and_unlocks_nothing(moderation: Literal["post", "pre"]) -> None:
    bench = Bench(Qa, Gamification, settings={"qa": QaSettings(moderation=moderation)})
    _, asked = question(bench, ANNA, anonymous=True)
    assert bench.shown(asked, "user:anna") == []
    assert "gamification.points.awarded" not in {fact.kind for fact in asked.facts}
    assert board(bench)["currentUser"] == {"rank": None, "score": 0}
    _, named = question(bench, ANNA)
    assert (awards(bench, named, ANNA), unlocked(bench, named, ANNA)) == (
        [(5, "QUESTION_ASKED", 5)],
        ["Question Asker"],
    )


def test_an_upvote_for_an_anonymous_question_earns_unless_it_is_ones_own(bench: Bench) -> None:
    question_id, _ = question(bench, ANNA, anonymous=True)
    assert awards(bench, upvote(bench, question_id, BEN), BEN) == [(2, "QUESTION_UPVOTED", 2)]
    assert awards(bench, upvote(bench, question_id, ANNA), ANNA) == []


def test_a_poll_that_is_opened_again_earns_nothing_more() -> None:
    bench = Bench(Deeds, Gamification)
    data = {"poll": {"id": uuid(1), "creatorId": "olga"}}
    assert awards(bench, done(bench, "poll.opened", data, OWNER), OWNER) == [(10, "POLL_CREATED", 10)]
    assert awards(bench, done(bench, "poll.opened", data, OWNER), OWNER) == []


def test_somebody_who_is_not_asking_is_named_as_in_their_last_award() -> None:
    bench = Bench(Chat, Deeds, Gamification)
    done(bench, "waitlist.joined", {"userId": "anna"}, SYSTEM)
    assert board(bench)["topEntries"][0]["user"] == {"id": "anna", "firstName": "", "lastName": ""}
    say(bench, ANNA)
    done(bench, "waitlist.joined", {"userId": "anna"}, SYSTEM)
    assert board(bench)["topEntries"] == [
        {"rank": 1, "user": {"id": "anna", "firstName": "Anna", "lastName": "Tester"}, "score": 7}
    ]


def test_the_first_question_unlocks_question_asker_once(bench: Bench) -> None:
    _, first = question(bench, ANNA)
    ((event, shown),) = [one for one in bench.shown(first, "user:anna") if one[0] == "achievement.unlocked"]
    assert event == "achievement.unlocked"
    assert shown == {
        "id": shown["id"],
        "badgeName": "Question Asker",
        "description": "Asked a first question",
        "unlockedAt": "2026-01-01T00:00:00.000Z",
    }
    assert bench.shown(first, "user:ben") == []
    _, second = question(bench, ANNA)
    assert unlocked(bench, second, ANNA) == []
    _, others = question(bench, BEN)
    assert unlocked(bench, others, BEN) == ["Question Asker"]


def test_fifty_points_unlock_engaged_attendee_once(bench: Bench) -> None:
    say(bench, ANNA, 49)
    message_id = say(bench, BEN)
    performed = react(bench, message_id, ANNA)  # 49 and 2: reached, not met exactly
    assert unlocked(bench, performed, ANNA) == ["Engaged Attendee"]
    assert awards(bench, react(bench, message_id, ANNA), ANNA) == [(-2, "MESSAGE_REACTED", 49)]
    assert unlocked(bench, react(bench, message_id, ANNA), ANNA) == []  # 51 again


def test_exactly_fifty_points_are_enough(bench: Bench) -> None:
    say(bench, ANNA, 49)
    performed = bench.ask("chat.message.send", {"text": "fifty"}, ANNA)
    assert unlocked(bench, performed, ANNA) == ["Engaged Attendee"]


def test_five_votes_unlock_super_voter_once(bench: Bench) -> None:
    came = [unlocked(bench, vote(bench, poll(bench)[0], ANNA), ANNA) for _ in range(7)]
    assert came == [[], [], [], [], ["Super Voter"], [], []]


def test_votes_in_ones_own_polls_make_no_super_voter(bench: Bench) -> None:
    own = [unlocked(bench, vote(bench, poll(bench, OWNER)[0], OWNER), OWNER) for _ in range(6)]
    assert own == [[]] * 6


def test_one_act_may_unlock_two_achievements_with_ids_of_their_own(bench: Bench) -> None:
    say(bench, ANNA, 45)
    _, performed = question(bench, ANNA)
    assert unlocked(bench, performed, ANNA) == ["Question Asker", "Engaged Attendee"]
    ids = [fact.data["achievement"]["id"] for fact in performed.facts if fact.kind == "achievement.unlocked"]
    assert len({*ids, performed.reply["questionId"]}) == 3


def test_the_ids_of_achievements_do_not_meet_those_of_commands() -> None:
    ask = Ask(None, seed=7)
    of_commands = {ask.new_id(n) for n in range(IDS_FROM)}
    assert of_commands.isdisjoint(ask.new_id(IDS_FROM + n) for n in range(len(BADGES)))


def test_equal_scores_share_a_rank_and_the_next_rank_counts_them(bench: Bench) -> None:
    for who, messages in ((ANNA, 3), (BEN, 5), (CARA, 3), (OWNER, 1)):
        say(bench, who, messages)
    assert lines(board(bench)["topEntries"]) == [(1, "ben", 5), (2, "anna", 3), (2, "cara", 3), (4, "olga", 1)]
    assert [board(bench, who)["currentUser"]["rank"] for who in (BEN, ANNA, CARA, OWNER)] == [1, 2, 2, 4]


def test_two_at_the_top_are_both_first_and_the_next_is_third(bench: Bench) -> None:
    for who, messages in ((ANNA, 2), (BEN, 2), (CARA, 1)):
        say(bench, who, messages)
    assert [entry["rank"] for entry in board(bench)["topEntries"]] == [1, 1, 3]


def test_of_equal_scores_who_reached_it_first_is_listed_first(bench: Bench) -> None:
    for who in (ANNA, BEN, BEN, ANNA):
        say(bench, who)
    assert lines(board(bench)["topEntries"]) == [(1, "ben", 2), (1, "anna", 2)]


def test_the_leaderboard_is_what_the_contract_says(bench: Bench) -> None:
    say(bench, ANNA)
    assert bench.ask("leaderboard.request", None, BEN).reply == {
        "event": "leaderboard.data",
        "data": {
            "topEntries": [{"rank": 1, "user": {"id": "anna", "firstName": "Anna", "lastName": "Tester"}, "score": 1}],
            "currentUser": {"rank": None, "score": 0},
        },
    }


def test_nobody_is_listed_while_nobody_has_points(bench: Bench) -> None:
    assert board(bench) == {"topEntries": [], "currentUser": {"rank": None, "score": 0}}


def test_the_leaderboard_lists_ten_and_tells_everybody_their_rank(bench: Bench) -> None:
    people = [person(f"guest{n}") for n in range(TOP_ENTRIES + 3)]
    for place, who in enumerate(people):
        say(bench, who, len(people) - place)
    shown = board(bench, people[-1])
    assert [entry["rank"] for entry in shown["topEntries"]] == list(range(1, 11))
    assert shown["currentUser"] == {"rank": 13, "score": 1}


def test_ten_are_listed_also_when_more_share_the_last_rank(bench: Bench) -> None:
    for n in range(TOP_ENTRIES + 3):
        say(bench, person(f"guest{n}"))
    shown = board(bench, person("guest12"))
    assert lines(shown["topEntries"]) == [(1, f"guest{n}", 1) for n in range(10)]
    assert shown["currentUser"] == {"rank": 1, "score": 1}


@pytest.mark.parametrize(("query", "listed"), [({}, 10), ({"limit": 1}, 1), ({"limit": 12}, 12), ({"limit": 100}, 15)])
def test_rest_lists_as_many_as_it_is_asked_for(bench: Bench, query: JSON, listed: int) -> None:
    for n in range(15):
        say(bench, person(f"guest{n}"))
    reply = bench.ask("leaderboard.read", query, ANNA).reply
    assert reply.keys() == {"topEntries", "currentUser"}
    assert len(reply["topEntries"]) == listed


@pytest.mark.parametrize("limit", [0, -1, ENTRIES_MAX + 1])
def test_rest_refuses_another_number_of_entries(bench: Bench, limit: int) -> None:
    assert bench.refusal("leaderboard.read", {"limit": limit}, ANNA).message == "limit must be from 1 to 100"


def test_the_view_and_the_snapshot_show_the_same_top(bench: Bench) -> None:
    assert bench.view("leaderboard.updated") is None
    say(bench, ANNA, 2)
    say(bench, BEN)
    assert bench.view("leaderboard.updated") == {"topEntries": board(bench)["topEntries"]}
    assert bench.state.snapshot(BEN)["leaderboard"] == board(bench, BEN)
    assert board(bench, BEN)["currentUser"] == {"rank": 2, "score": 1}


def test_the_log_rebuilds_points_achievements_and_order(bench: Bench) -> None:
    question_id, _ = question(bench, ANNA)
    upvote(bench, question_id, BEN)
    message_id = say(bench, CARA, 3)
    react(bench, message_id, BEN)
    react(bench, message_id, BEN)
    for _ in range(5):
        vote(bench, poll(bench)[0], BEN)
    live = bench.feature(Gamification)
    folded = next(one for one in bench.reopened().features if isinstance(one, Gamification))
    assert folded == live
    assert [list(people) for people in folded.by_score.values()] == [list(people) for people in live.by_score.values()]
    assert folded.people["ben"].badges == ("Super Voter",)


class Counted(dict[str, Standing]):
    """People who can be looked up and not walked through."""

    lookups = 0

    def __getitem__(self, key: str) -> Standing:
        self.lookups += 1
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("walked through everybody")

    values = items = keys = __iter__  # type: ignore[assignment]  # each of them is a walk


def test_looking_takes_no_longer_the_more_people_have_points() -> None:
    """The top and a rank cost a walk over the scores, not over the people."""
    bench = Bench(Deeds, Gamification)
    feature = bench.feature(Gamification)
    for n in (*range(CROWD), *range(0, CROWD, 3)):
        done(bench, "waitlist.joined", {"userId": f"guest{n}"}, SYSTEM)
    feature.people = people = Counted(feature.people)
    assert len(people) == CROWD
    assert len(bench.view("leaderboard.updated")["topEntries"]) == TOP_ENTRIES
    assert people.lookups == TOP_ENTRIES
    assert len(bench.state.snapshot(person("guest3"))["leaderboard"]["topEntries"]) == TOP_ENTRIES
    assert people.lookups == 2 * TOP_ENTRIES + 1
    assert len(feature.by_score) == 2


async def test_a_client_asks_with_null_and_hears_the_leaderboard_change(autojump_clock: MockClock) -> None:
    settings = {"sessions": SessionSettings(auto_create=True)}
    async with open_hub(Sessions, Chat, Gamification, settings=settings) as hub:
        anna, ben = ears(ANNA), ears(BEN)
        await hub.do("session.join", {"sessionId": "s1"}, anna)
        await hub.do("session.join", {"sessionId": "s1"}, ben)
        await hub.do("chat.message.send", {"text": "hello"}, anna)
        entries = [{"rank": 1, "user": ANNA.public(), "score": 1}]
        assert ben.events("leaderboard.updated") == [{"topEntries": entries}]
        assert ben.events("gamification.points.awarded") == []
        reply = Reply()
        await hub.gate.ask("leaderboard.request", None, Knock(reply=reply, who=ANNA, peer=anna.peer))
        answer = await reply.answer()
        assert answer.reply["data"] == {"topEntries": entries, "currentUser": {"rank": 1, "score": 1}}


def test_the_export_has_everybodys_points_and_badges(bench: Bench) -> None:
    message_id = say(bench, BEN)
    question(bench, ANNA)
    react(bench, message_id, CARA)
    react(bench, message_id, CARA)
    table = bench.feature(Gamification).export(0)["points"]
    assert table.columns == ("userId", "name", "points", "badges")
    assert list(table.rows) == [
        ("ben", "Ben Tester", 1, []),
        ("anna", "Anna Tester", 5, ["Question Asker"]),
        ("cara", "Cara Tester", 0, []),
    ]


def test_a_vote_earns_once_though_all_votes_are_thrown_away() -> None:
    bench = Bench(Polls, Presenting, Gamification)
    ballot, _ = poll(bench, OWNER)
    assert awards(bench, vote(bench, ballot), ANNA) == [(1, "POLL_VOTED", 1)]
    bench.ask("poll.reset", {"pollId": ballot["pollId"], "confirm": True}, OWNER)
    bench.ask("poll.activate", {"pollId": ballot["pollId"]}, OWNER)
    assert awards(bench, vote(bench, ballot), ANNA) == []
    assert awards(bench, vote(bench, ballot, BEN), BEN) == [(1, "POLL_VOTED", 1)]
