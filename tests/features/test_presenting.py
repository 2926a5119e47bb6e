"""Presenting: polls are written, put in order, opened, closed, opened again and emptied; and what may not be done."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import EVERYONE, JSON, Person, Via
from livehub.features.lifecycle import Lifecycle
from livehub.features.polls import Polls
from livehub.features.presenting import POLLS_MAX, Presenting
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, Bench, HubUnderTest, ears, open_hub, person, settle, uuid

SAM = person("sam", "poll:create")
CHAIR = person("mia", "sessions:manage")
TEA: dict[str, JSON] = {"question": "Tea or coffee?", "options": [{"text": "Tea"}, {"text": "Coffee"}]}
POLLSTER = person("polly", "poll:manage")
FEATURES = (Sessions, Lifecycle, Presenting, Polls)
STATUSES = ("draft", "active", "inactive", "closed")


@pytest.fixture
def bench() -> Bench:
    return Bench(*FEATURES)


def created(bench: Bench, *, started: bool = True) -> Bench:
    """A session made over REST."""
    bench.ask("session.create", {}, CHAIR)
    if started:
        bench.ask("session.start", {}, CHAIR)
    return bench


def add(bench: Bench, **data: JSON) -> dict[str, Any]:
    """A poll is written: as the presenter is shown it."""
    poll: dict[str, Any] = bench.ask("poll.add", {**TEA, **data}, SAM).reply["poll"]
    return poll


def does(bench: Bench, verb: str, poll_id: str, **data: JSON) -> Performed:
    """The presenter does something with a poll."""
    return bench.ask(f"poll.{verb}", {"pollId": poll_id, **data}, CHAIR)


def refused(bench: Bench, verb: str, poll_id: str, **data: JSON) -> tuple[str, int, str]:
    refusal = bench.refusal(f"poll.{verb}", {"pollId": poll_id, **data}, CHAIR)
    return refusal.message, refusal.status, refusal.code


def brought(bench: Bench, status: str, **data: JSON) -> str:
    """A poll with one vote (but for a draft) that stands there."""
    poll = add(bench, **data)
    if status != "draft":
        does(bench, "activate", poll["id"])
        cast(bench, poll["id"], poll["options"][0]["id"], BEN)
    if status == "inactive":
        does(bench, "activate", add(bench)["id"])
    if status == "closed":
        does(bench, "close", poll["id"])
    return str(poll["id"])


def cast(bench: Bench, poll_id: str, option_id: str, who: Person) -> dict[str, Any]:
    data = {"pollId": poll_id, "voteData": {"selectedOptionIds": [option_id]}}
    return bench.ask("poll.vote.cast", data, who).reply


def status(bench: Bench, poll_id: str) -> str:
    """Where a poll stands, by the presenter's rules and by the poll's own: they must not differ."""
    own = bench.feature(Polls).polls[poll_id].status
    assert bench.feature(Presenting).sheets[poll_id].status == own
    return own


def kinds(performed: Performed) -> list[str]:
    return [fact.kind for fact in performed.facts]


# Writing


def test_a_written_poll_is_seen_by_everybody_and_takes_no_votes(bench: Bench) -> None:
    performed = created(bench).ask("poll.add", TEA, SAM)
    poll = performed.reply["poll"]
    assert performed.reply == {"pollId": poll["id"], "status": "draft", "poll": poll}
    assert (kinds(performed), performed.facts[0].to) == (["poll.created"], (EVERYONE,))
    assert poll["creator"] == SAM.public()
    assert poll["sequenceOrder"] == 0
    assert status(bench, poll["id"]) == "draft"
    assert cast(bench, poll["id"], poll["options"][0]["id"], ANNA)["rejected"]["reason"] == "poll_not_active"


def test_polls_are_written_in_a_session_that_has_not_begun_and_in_one_that_is_over(bench: Bench) -> None:
    created(bench, started=False)
    assert add(bench)["sequenceOrder"] == 0
    bench.ask("session.end", {}, CHAIR)
    assert add(bench)["sequenceOrder"] == 1


def test_the_right_answer_is_kept_and_not_shown(bench: Bench) -> None:
    quiz = {"pollType": "quiz", "options": [{"text": "3"}, {"text": "4", "isCorrect": True}]}
    performed = created(bench).ask("poll.add", {**TEA, **quiz}, SAM)
    assert performed.facts[0].data["right"] == performed.reply["poll"]["options"][1]["id"]
    assert "orrect" not in str(performed.reply)
    assert "right" not in str(performed.reply)


def test_what_is_wrong_with_a_poll_is_told(bench: Bench) -> None:
    refusal = created(bench).refusal("poll.add", {"question": "?", "options": [{"text": "a"}]}, SAM)
    assert (refusal.message, refusal.status) == ("options must have 2 to 50 items, not 1", 400)


def test_a_draft_can_be_written_anew(bench: Bench) -> None:
    add(created(bench))
    before = add(bench)
    again = {"question": "Cake?", "pollType": "rating_scale", "maxRating": 3}
    performed = bench.ask("poll.edit", {"pollId": before["id"], **again}, CHAIR)
    poll = performed.reply["poll"]
    assert (kinds(performed), performed.facts[0].to) == (["poll.edited"], (EVERYONE,))
    assert (poll["question"], poll["pollType"], poll["options"], poll["maxRating"]) == ("Cake?", "rating_scale", [], 3)
    assert [poll[name] for name in ("id", "creator", "createdAt", "sequenceOrder")] == [
        before[name] for name in ("id", "creator", "createdAt", "sequenceOrder")
    ]
    assert bench.ask("poll.read", {"pollId": before["id"]}, CHAIR).reply["poll"]["question"] == "Cake?"


def test_a_quiz_written_anew_has_its_new_answer(bench: Bench) -> None:
    options = [{"text": "3", "isCorrect": True}, {"text": "4"}]
    quiz = add(created(bench), pollType="quiz", options=options)
    options = [{"text": "3"}, {"text": "4", "isCorrect": True}]
    asked = {"pollId": quiz["id"], **TEA, "pollType": "quiz", "options": options}
    poll = bench.ask("poll.edit", asked, CHAIR).reply["poll"]
    does(bench, "activate", quiz["id"])
    closed = does(bench, "close", quiz["id"]).facts[-1].data["results"]["poll"]
    assert closed["correctOptionId"] == poll["options"][1]["id"]


@pytest.mark.parametrize("stands", STATUSES[1:])
def test_what_people_have_read_is_not_edited(stands: str, bench: Bench) -> None:
    poll_id = brought(created(bench), stands)
    told = "Only a poll that has not been opened can be edited: reset it first"
    assert refused(bench, "edit", poll_id, **TEA) == (told, 409, "conflict")
    does(bench, "reset", poll_id, confirm=True)
    assert bench.ask("poll.edit", {"pollId": poll_id, **TEA}, CHAIR).reply["status"] == "draft"


def test_a_session_has_a_bound_of_polls(bench: Bench) -> None:
    created(bench)
    for _ in range(POLLS_MAX):
        add(bench)
    refusal = bench.refusal("poll.add", TEA, SAM)
    assert (refusal.message, refusal.status, refusal.code) == ("A session has at most 1000 polls", 409, "too_many")


# Order


def test_polls_are_put_in_another_order(bench: Bench) -> None:
    first, second, third = (add(created(bench) if not n else bench)["id"] for n in range(3))
    performed = bench.ask("poll.order", {"pollIds": [third, first, second]}, CHAIR)
    assert performed.reply == {"pollIds": [third, first, second]}
    assert (kinds(performed), performed.facts[0].to) == (["poll.ordered"], (EVERYONE,))
    listed = bench.ask("poll.list", {}, CHAIR).reply["polls"]
    assert [(one["poll"]["id"], one["poll"]["sequenceOrder"]) for one in listed] == [
        (third, 0),
        (first, 1),
        (second, 2),
    ]
    assert kinds(bench.ask("poll.order", {"pollIds": [third, first, second]}, CHAIR)) == [], "no news"


def test_an_order_names_every_poll_once(bench: Bench) -> None:
    first, second = (add(created(bench) if not n else bench)["id"] for n in range(2))
    for wrong in ([first], [first, first], [first, second, uuid(9)], [first, uuid(9)], [first, second, second]):
        refusal = bench.refusal("poll.order", {"pollIds": wrong}, CHAIR)
        told = "pollIds must name every poll of the session once"
        assert (refusal.message, refusal.status, refusal.code) == (told, 400, "invalid_payload")


# The life of a poll, row by row: what each verb makes of each status

TABLE: dict[tuple[str, str], tuple[str, list[str]] | str] = {
    ("draft", "activate"): ("active", ["poll.opening", "poll.opened"]),
    ("inactive", "activate"): ("active", ["poll.opening", "poll.set_aside", "poll.opened"]),
    ("active", "activate"): ("active", []),
    ("closed", "activate"): "Poll is closed: reopen it",
    ("draft", "reopen"): "Poll was not closed",
    ("inactive", "reopen"): "Poll was not closed",
    ("active", "reopen"): ("active", []),
    ("closed", "reopen"): ("active", ["poll.opening", "poll.opened"]),
    ("draft", "close"): "Poll was not opened",
    ("inactive", "close"): ("closed", ["poll.closing", "poll.closed"]),
    ("active", "close"): ("closed", ["poll.closing", "poll.closed"]),
    ("closed", "close"): ("closed", []),
    ("draft", "reset"): ("draft", []),
    ("inactive", "reset"): ("draft", ["poll.reset"]),
    ("active", "reset"): ("draft", ["poll.reset"]),
    ("closed", "reset"): ("draft", ["poll.reset"]),
}


def test_the_table_has_every_row() -> None:
    assert {*TABLE} == {(stands, verb) for stands in STATUSES for verb in ("activate", "reopen", "close", "reset")}


@pytest.mark.parametrize(("stands", "verb"), TABLE)
def test_the_life_of_a_poll(stands: str, verb: str, bench: Bench) -> None:
    poll_id = brought(created(bench), stands)
    confirm = {"confirm": True} if verb == "reset" else {}
    expected = TABLE[stands, verb]
    if isinstance(expected, str):
        assert refused(bench, verb, poll_id, **confirm)[:2] == (expected, 409)
        assert status(bench, poll_id) == stands
        return
    performed = does(bench, verb, poll_id, **confirm)
    to, facts = expected
    assert performed.reply == {"pollId": poll_id, "status": to}
    assert kinds(performed) == facts
    assert status(bench, poll_id) == to
    votes = bench.ask("poll.read", {"pollId": poll_id}, CHAIR).reply["poll"]["totalVotes"]
    assert votes == (0 if to == "draft" else int(stands != "draft")), "only a reset throws votes away"
    assert bench.reopened().features == bench.state.features


def test_one_poll_is_active_and_the_one_before_keeps_its_votes(bench: Bench) -> None:
    first = brought(created(bench), "active")
    second = brought(bench, "active")
    assert (status(bench, first), status(bench, second)) == ("inactive", "active")
    assert cast(bench, first, uuid(1), ANNA)["rejected"]["reason"] == "poll_not_active"
    does(bench, "activate", first)
    assert (status(bench, first), status(bench, second)) == ("active", "inactive")
    assert bench.ask("poll.read", {"pollId": first}, CHAIR).reply["poll"]["totalVotes"] == 1


def test_a_reopened_poll_goes_on_with_its_votes(bench: Bench) -> None:
    poll_id = brought(created(bench), "closed")
    does(bench, "reopen", poll_id)
    option = bench.feature(Polls).polls[poll_id].poll["options"][1]["id"]
    assert "accepted" in cast(bench, poll_id, option, ANNA)
    assert cast(bench, poll_id, option, BEN)["rejected"]["reason"] == "duplicate_vote"
    closed = does(bench, "close", poll_id).facts[-1].data
    assert (closed["results"]["poll"]["totalVotes"], closed["rejected"]) == (2, {"duplicate_vote": 1})


@pytest.mark.parametrize("stands", STATUSES)
def test_a_reset_has_to_be_meant(stands: str, bench: Bench) -> None:
    poll_id = brought(created(bench), stands)
    told = 'Resetting throws all votes away: send {"confirm": true}'
    assert refused(bench, "reset", poll_id) == (told, 400, "invalid_payload")
    assert refused(bench, "reset", poll_id, confirm=False) == (told, 400, "invalid_payload")
    assert status(bench, poll_id) == stands


def test_a_reset_poll_is_as_it_was_written(bench: Bench) -> None:
    poll_id = brought(created(bench), "active", isAnonymous=False)
    option = bench.feature(Polls).polls[poll_id].poll["options"][0]["id"]
    cast(bench, poll_id, option, BEN)  # rejected
    bench.ask("poll.giveaway.start", {"pollId": poll_id, "winningOptionId": option, "prize": "Cup"}, POLLSTER)
    performed = does(bench, "reset", poll_id, confirm=True)
    assert performed.facts[0].to == (EVERYONE,)
    assert bench.ask("poll.giveaway.list", {"pollId": poll_id}, POLLSTER).reply == {"giveaways": []}
    does(bench, "activate", poll_id)
    assert "accepted" in cast(bench, poll_id, option, BEN)
    assert does(bench, "close", poll_id).facts[-1].data["rejected"] == {}


@pytest.mark.parametrize("verb", ["activate", "reopen"])
@pytest.mark.parametrize("session", ["draft", "ended"])
def test_a_poll_is_opened_in_an_active_session_only(session: str, verb: str, bench: Bench) -> None:
    created(bench, started=session == "ended")
    poll_id = add(bench)["id"] if session == "draft" else brought(bench, "closed")
    if session == "ended":
        bench.ask("session.end", {}, CHAIR)
    expected = ("Session is not active", 409, "session_not_active")
    if (session, verb) == ("draft", "reopen"):
        expected = ("Poll was not closed", 409, "conflict")
    if (session, verb) == ("ended", "activate"):
        expected = ("Poll is closed: reopen it", 409, "poll_closed")
    assert refused(bench, verb, poll_id) == expected


def test_a_draft_poll_is_not_opened_in_an_ended_session(bench: Bench) -> None:
    poll_id = add(created(bench))["id"]
    bench.ask("session.end", {}, CHAIR)
    assert refused(bench, "activate", poll_id) == ("Session is not active", 409, "session_not_active")


@pytest.mark.parametrize("verb", ["edit", "activate", "reopen", "close", "reset"])
def test_a_poll_that_is_not_there_is_told(verb: str, bench: Bench) -> None:
    more: dict[str, dict[str, JSON]] = {"edit": TEA, "reset": {"confirm": True}}
    data = more.get(verb, {})
    assert refused(created(bench), verb, uuid(99), **data) == ("Poll not found", 404, "not_found")


def test_presenting_needs_one_of_three_permissions(bench: Bench) -> None:
    poll_id = add(created(bench))["id"]
    asked: dict[str, dict[str, JSON]] = {
        "poll.add": TEA,
        "poll.edit": {"pollId": poll_id, **TEA},
        "poll.order": {"pollIds": [poll_id]},
        "poll.activate": {"pollId": poll_id},
        "poll.reopen": {"pollId": poll_id},
        "poll.close": {"pollId": poll_id},
        "poll.reset": {"pollId": poll_id, "confirm": True},
    }
    assert {*asked} == {command.name for command in Presenting.commands()}
    for name, data in asked.items():
        refusal = bench.refusal(name, data, ANNA)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)
        for who in (SAM, CHAIR, POLLSTER):
            if name == "poll.order":
                data["pollIds"] = list(bench.feature(Presenting).sheets)
            bench.ask(name, data, who)


def test_the_log_rebuilds_what_the_rules_need(bench: Bench) -> None:
    created(bench)
    ids = [brought(bench, stands) for stands in STATUSES]
    bench.ask("poll.order", {"pollIds": ids[::-1] + [i for i in bench.feature(Polls).polls if i not in ids]}, CHAIR)
    assert bench.reopened().features == bench.state.features
    assert list(bench.feature(Presenting).sheets) == list(bench.feature(Polls).polls)


# What `/events` hears of it, in a running hub


async def rest(hub: HubUnderTest, name: str, data: JSON = None, who: Person = CHAIR) -> dict[str, Any]:
    return await hub.do(name, data, who=who, door=Via.REST, room_id="s1")


async def test_polls_that_presenters_open_are_seen_on_events(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        anna = ears(ANNA)
        await hub.do("session.join", {"sessionId": "s1"}, anna)
        poll = (await rest(hub, "poll.add", TEA))["poll"]
        assert anna.events("poll.opened") == [], "contract 1 knows of no drafts"
        await rest(hub, "poll.activate", {"pollId": poll["id"]})
        (opened,) = anna.events("poll.opened")
        assert (opened["id"], opened["isActive"], opened["creatorId"]) == (poll["id"], True, "mia")
        option = opened["options"][0]["id"]
        await hub.do("poll.vote.submit", {"pollId": poll["id"], "optionId": option}, anna)
        await rest(hub, "poll.close", {"pollId": poll["id"]})
        (closed,) = anna.events("poll.closed")
    assert (closed["userVotedForOptionId"], closed["poll"]["totalVotes"]) == (option, 1)


async def test_one_presenter_opens_while_another_closes_and_both_are_right(autojump_clock: MockClock) -> None:
    """Asks come one after the other, whoever sends them: there is no state between."""
    async with open_hub(*FEATURES, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        await hub.do("session.join", {"sessionId": "s1"}, ears(ANNA))
        ids = [(await rest(hub, "poll.add", TEA))["poll"]["id"] for _ in range(2)]
        asked = [("activate", ids[0]), ("activate", ids[1]), ("close", ids[0]), ("activate", ids[0]), ("close", ids[1])]
        replies = [
            await hub.ask(f"poll.{verb}", {"pollId": poll_id}, who=CHAIR, door=Via.REST, room_id="s1")
            for verb, poll_id in asked
        ]
        await settle()
        told = [str(reply.result) if isinstance(reply.result, Refused) else "done" for reply in replies]
        polls = hub.room("session:s1").state.features
        found = next(one for one in polls if isinstance(one, Polls)).polls
    assert told == ["done", "done", "done", "Poll is closed: reopen it", "done"]
    assert [found[poll_id].status for poll_id in ids] == ["closed", "closed"]


def test_a_quiz_whose_answer_is_known_is_asked_again_only_from_the_start(bench: Bench) -> None:
    options = [{"text": "Tea", "isCorrect": True}, {"text": "Coffee"}]
    poll_id = brought(created(bench), "closed", pollType="quiz", options=options)
    told = "The answer of this quiz is known: reset it to ask it again"
    assert refused(bench, "reopen", poll_id) == (told, 409, "conflict")
    does(bench, "reset", poll_id, confirm=True)
    does(bench, "activate", poll_id)
