"""The words of `/polling`: each event to the letter, from the facts that features make, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from livehub.contracts.pollwords import (
    FACTS,
    HEARTBEAT,
    HEARTBEATS,
    NAMESPACE,
    VIEWS,
    PollingVocabulary,
    poll_shown,
    stamped,
    state_shown,
)
from livehub.feature import JSON, Fact, Person, iso
from livehub.features import discover
from livehub.features.lifecycle import CROWD_PEOPLE, Lifecycle
from livehub.features.polls import Polls
from livehub.features.presenting import Presenting
from livehub.features.sessions import Sessions
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import NOBODYS, Told
from tests.kit import ANNA, BEN, START_MS, Bench, person, uuid

CHAIR = person("mia", "sessions:manage")
NOW = iso(START_MS)
SPEAK = PollingVocabulary()
TEA: dict[str, JSON] = {"question": "Tea or coffee?", "options": [{"text": "Tea"}, {"text": "Coffee"}]}
QUIZ: dict[str, JSON] = {**TEA, "pollType": "quiz", "options": [{"text": "3"}, {"text": "4", "isCorrect": True}]}
ALL, NOTHING = [None, True], [None, False]
"""What of a poll's results is the receiver's own: no vote, and whether the counts are shown."""


@pytest.fixture
def bench() -> Bench:
    bench = Bench(Sessions, Lifecycle, Presenting, Polls)
    bench.ask("session.create", {"title": "Keynote"}, CHAIR)
    bench.ask("session.start", {}, CHAIR)
    return bench


def told(name: str, data: JSON, own: JSON = NOBODYS) -> Told:
    return Told(name, data, "epoch-7", START_MS, "session:s1", "session:s1", own)


def said(fact: Fact, own: JSON = NOBODYS) -> tuple[str, dict[str, Any]] | None:
    """A fact as `/polling` hears it: the event and its payload without what every event carries."""
    text = SPEAK.fact(told(fact.kind, fact.data, own))
    if text is None:
        return None
    name, payload, offset = read(text)
    assert offset == payload.pop("eventId") == "epoch-7"
    assert (payload.pop("sessionId"), payload.pop("timestamp")) == ("s1", NOW)
    return name, payload


def shown(name: str, data: JSON, own: JSON = NOBODYS) -> tuple[str, dict[str, Any]] | None:
    """The same of a view, which has no offset of its own to come back with."""
    text = SPEAK.event(told(name, data, own))
    if text is None:
        return None
    event, payload = read(text)
    assert [payload.pop(field) for field in ("eventId", "sessionId", "timestamp")] == ["epoch-7", "s1", NOW]
    return event, payload


def read(text: bytes) -> Any:
    head = f"2{NAMESPACE},".encode()
    assert text.startswith(head)
    return orjson.loads(text[len(head) :])


def last(bench: Bench, command: str, data: dict[str, JSON], who: Person = CHAIR) -> Fact:
    """The last fact that an ask leads to."""
    return bench.ask(command, data, who).facts[-1]


def add(bench: Bench, **data: JSON) -> dict[str, Any]:
    poll: dict[str, Any] = bench.ask("poll.add", {**TEA, **data}, CHAIR).reply["poll"]
    return poll


def opened(bench: Bench, **data: JSON) -> dict[str, Any]:
    poll = add(bench, **data)
    bench.ask("poll.activate", {"pollId": poll["id"]}, CHAIR)
    return poll


def cast(bench: Bench, poll: dict[str, Any], place: int, who: Person) -> None:
    vote = {"selectedOptionIds": [poll["options"][place]["id"]]}
    assert "accepted" in bench.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": vote}, who).reply


def described(poll: dict[str, Any]) -> dict[str, Any]:
    """A poll of one choice as its events describe it."""
    return {
        "pollId": poll["id"],
        "question": "Tea or coffee?",
        "pollType": "multiple_choice",
        "isAnonymous": False,
        "allowChange": False,
        "allowMultiple": False,
        "maxSelections": 1,
        "resultsVisibility": "always",
        "durationS": None,
        "sequenceOrder": 0,
        "createdAt": NOW,
        "options": [
            {"optionId": option["id"], "optionText": option["text"], "sequenceOrder": place}
            for place, option in enumerate(poll["options"])
        ],
    }


def breakdown(poll: dict[str, Any], *counts: tuple[int, float]) -> list[dict[str, Any]]:
    return [
        {"optionId": option["id"], "voteCount": count, "percentage": percentage}
        for option, (count, percentage) in zip(poll["options"], counts, strict=True)
    ]


# Sessions


def test_a_new_session_is_told_with_its_code() -> None:
    bench = Bench(Sessions, Lifecycle)
    created = bench.ask("session.create", {"title": "Keynote"}, CHAIR)
    about = {"title": "Keynote", "slug": created.reply["slug"], "presenterId": "mia", "createdAt": NOW}
    assert said(created.facts[0]) == ("session:created", {**about, "status": "draft"})
    assert len(created.reply["slug"]) == 6


def test_the_life_of_a_session_is_told_with_how_many_are_there() -> None:
    bench = Bench(Sessions, Lifecycle)
    bench.ask("session.create", {}, CHAIR)
    started, ended = last(bench, "session.start", {}), last(bench, "session.end", {})
    assert said(started) == ("session:started", {"status": "active", "startedAt": NOW, "participantCount": 0})
    assert said(ended) == ("session:ended", {"status": "ended", "endedAt": NOW, "finalParticipantCount": 0})


def test_sessions_from_before_there_was_a_life_cycle_are_told_too() -> None:
    old = {"title": "", "by": "sam", "at": NOW}
    about = {"title": "", "slug": "", "presenterId": "sam", "status": "active", "createdAt": NOW}
    assert said(Fact("session.created", old)) == ("session:created", about)


# Polls


def test_a_poll_is_told_when_it_is_written_and_when_it_is_written_anew(bench: Bench) -> None:
    created = bench.ask("poll.add", TEA, CHAIR)
    poll = created.reply["poll"]
    assert said(created.facts[0]) == ("poll:created", described(poll))
    edited = bench.ask("poll.edit", {"pollId": poll["id"], **TEA, "question": "Cake?"}, CHAIR)
    assert said(edited.facts[0]) == ("poll:updated", {**described(edited.reply["poll"]), "question": "Cake?"})


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (
            {"pollType": "rating_scale", "minLabel": "bad"},
            {"minRating": 1, "maxRating": 5, "minLabel": "bad", "maxLabel": None},
        ),
        ({"pollType": "open_text"}, {}),
        ({"pollType": "word_cloud"}, {}),
    ],
)
def test_polls_without_options_have_none(data: dict[str, JSON], fields: dict[str, JSON], bench: Bench) -> None:
    created = bench.ask("poll.add", {"question": "?", **data}, CHAIR).facts[0]
    found = said(created)
    assert found is not None
    assert "options" not in found[1]
    assert {name: found[1][name] for name in fields} == fields
    assert ("minRating" in found[1]) == ("minRating" in fields)


def test_a_poll_that_is_opened_is_told_with_all_that_a_voter_needs(bench: Bench) -> None:
    poll = add(bench)
    activated = last(bench, "poll.activate", {"pollId": poll["id"]})
    assert said(activated) == ("poll:activated", {**described(poll), "activatedAt": NOW})


def test_what_becomes_of_a_poll_is_told(bench: Bench) -> None:
    first, second = opened(bench), add(bench)
    aside = bench.ask("poll.activate", {"pollId": second["id"]}, CHAIR).facts[1]
    assert said(aside, ALL) == ("poll:deactivated", {"pollId": first["id"], "deactivatedAt": NOW})
    ordered = last(bench, "poll.order", {"pollIds": [second["id"], first["id"]]})
    assert said(ordered) == ("poll:reordered", {"pollIds": [second["id"], first["id"]]})
    reset = last(bench, "poll.reset", {"pollId": second["id"], "confirm": True})
    assert said(reset) == ("poll:reset", {"pollId": second["id"], "resetAt": NOW})


def test_the_end_of_a_poll_is_told_with_counts_rejected_votes_and_the_hash(bench: Bench) -> None:
    poll = opened(bench)
    cast(bench, poll, 1, ANNA)
    data = {"pollId": poll["id"], "voteData": {"selectedOptionIds": [uuid(99)]}}
    assert "rejected" in bench.ask("poll.vote.cast", data, BEN).reply
    closed = last(bench, "poll.close", {"pollId": poll["id"]})
    final = {"finalVoteCount": 1, "currentVoteCount": 1, "rejectedVotes": {"invalid_option": 1}}
    always = {"pollId": poll["id"], "closedAt": NOW, "voteHash": closed.data["voteHash"]}
    assert said(closed, ALL) == (
        "poll:closed",
        {**always, **final, "voteBreakdown": breakdown(poll, (0, 0.0), (1, 100.0))},
    )
    for hidden in (NOTHING, NOBODYS):
        assert said(closed, hidden) == ("poll:closed", always), "no counts for who may not see them, or is unknown"
    assert len(always["voteHash"]) == 64


def test_the_right_answer_comes_with_the_end_and_the_leaders_for_who_sees_the_results(bench: Bench) -> None:
    poll = opened(bench, **QUIZ)
    cast(bench, poll, 1, ANNA)
    closed = last(bench, "poll.close", {"pollId": poll["id"]})
    all_seen, hidden = said(closed, ALL), said(closed, NOTHING)
    assert all_seen is not None
    assert hidden is not None
    assert all_seen[1]["correctOptionId"] == hidden[1]["correctOptionId"] == poll["options"][1]["id"]
    assert [leader["person"]["id"] for leader in all_seen[1]["leaders"]] == ["anna"]
    assert {*hidden[1]} == {"pollId", "closedAt", "voteHash", "correctOptionId"}


def test_counts_are_told_to_who_may_see_them(bench: Bench) -> None:
    poll = opened(bench)
    cast(bench, poll, 0, ANNA)
    view = bench.view("poll.results.updated", poll["id"])
    counts = {"pollId": poll["id"], "currentVoteCount": 1}
    assert shown("poll.results.updated", view, ALL) == (
        "vote:accepted",
        {**counts, "voteBreakdown": breakdown(poll, (1, 100.0), (0, 0.0))},
    )
    for hidden in (NOTHING, NOBODYS):
        assert shown("poll.results.updated", view, hidden) is None


@pytest.mark.parametrize(
    ("data", "vote", "fields"),
    [
        (
            {"pollType": "rating_scale"},
            {"ratingValue": 4},
            {"averageRating": 4.0, "ratingDistribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 0}},
        ),
        ({"pollType": "word_cloud"}, {"words": ["Calm"]}, {"words": [{"word": "calm", "count": 1}]}),
        ({"pollType": "open_text"}, {"textResponse": "Well."}, {}),
    ],
)
def test_counts_are_in_the_fields_of_the_type(
    data: dict[str, JSON], vote: dict[str, JSON], fields: dict[str, JSON], bench: Bench
) -> None:
    poll = bench.ask("poll.add", {"question": "?", **data}, CHAIR).reply["poll"]
    bench.ask("poll.activate", {"pollId": poll["id"]}, CHAIR)
    bench.ask("poll.vote.cast", {"pollId": poll["id"], "voteData": vote}, ANNA)
    found = shown("poll.results.updated", bench.view("poll.results.updated", poll["id"]), ALL)
    assert found == ("vote:accepted", {"pollId": poll["id"], "currentVoteCount": 1, **fields})


def test_no_event_about_votes_tells_of_a_voter(bench: Bench) -> None:
    poll = opened(bench)
    performed = bench.ask(
        "poll.vote.cast", {"pollId": poll["id"], "voteData": {"selectedOptionIds": [poll["options"][0]["id"]]}}, ANNA
    )
    assert [said(fact, ALL) for fact in performed.facts] == [None]
    closed = said(last(bench, "poll.close", {"pollId": poll["id"]}), ALL)
    assert "anna" not in str(closed)
    assert performed.reply["accepted"]["voteId"] not in str(closed)


# People


def test_who_comes_and_goes_is_told_with_how_many_are_there() -> None:
    data = {"userId": "anna", "participantId": uuid(5), "at": NOW, "participantCount": 3, "displayName": "Anna T"}
    came = {"participantId": uuid(5), "joinedAt": NOW, "participantCount": 3}
    assert said(Fact("participant.came", data)) == ("participant:joined", {**came, "displayName": "Anna T"})
    assert said(Fact("participant.came", {**data, "displayName": ""})) == ("participant:joined", came)
    went = ("participant:disconnected", {"participantId": uuid(5), "disconnectedAt": NOW, "participantCount": 3})
    assert said(Fact("participant.went", data)) == went
    assert shown("participants.crowd", {**data, "came": True}) == (
        "participant:joined",
        {**came, "displayName": "Anna T"},
    )
    assert shown("participants.crowd", {**data, "came": False}) == went


def test_a_crowd_is_a_view() -> None:
    assert CROWD_PEOPLE == 500, "in rooms over 500 the counts are a view"


def test_a_heartbeat_says_what_time_it_is() -> None:
    text = SPEAK.event(Told(HEARTBEAT, {}, "epoch-7", START_MS, "", HEARTBEATS))
    assert text is not None
    assert read(text) == [HEARTBEAT, {"eventId": "epoch-7", "sessionId": "", "timestamp": NOW}]


# The whole state


def test_the_state_shows_each_poll_as_its_asker_may_see_it(bench: Bench) -> None:
    bench.ask("session.join", {}, ANNA)
    bench.ask("session.join", {}, BEN)
    poll = opened(bench, resultsVisibility="after_vote")
    cast(bench, poll, 0, ANNA)

    def state(who: Person) -> dict[str, Any]:
        reply = bench.ask("session.state", {}, who).reply | bench.state.overview(who)
        return state_shown(reply)

    seen, hidden = state(ANNA)["polls"][0], state(BEN)["polls"][0]
    assert hidden == {
        **described(poll),
        "resultsVisibility": "after_vote",
        "status": "active",
        "votedForOptionId": None,
    }
    counts = {"currentVoteCount": 1, "voteBreakdown": breakdown(poll, (1, 100.0), (0, 0.0))}
    assert seen == {**hidden, "votedForOptionId": poll["options"][0]["id"], **counts}
    assert state(ANNA)["activePollId"] == poll["id"]
    assert state(ANNA)["session"]["status"] == "active"


def test_the_state_shows_the_right_answer_of_a_closed_quiz_alone(bench: Bench) -> None:
    poll = opened(bench, **QUIZ)
    cast(bench, poll, 1, ANNA)

    def quiz() -> dict[str, Any]:
        shown: dict[str, Any] = state_shown(bench.state.overview(BEN))["polls"][0]
        return shown

    assert not {"correctOptionId", "leaders"} & {*quiz()}
    bench.ask("poll.close", {"pollId": poll["id"]}, CHAIR)
    assert (quiz()["correctOptionId"], quiz()["status"]) == (poll["options"][1]["id"], "closed")
    assert [leader["person"]["id"] for leader in quiz()["leaders"]] == ["anna"]


# What is not said


def test_a_description_has_no_counts_even_of_results(bench: Bench) -> None:
    poll = opened(bench, **QUIZ)
    cast(bench, poll, 1, ANNA)
    bench.ask("poll.close", {"pollId": poll["id"]}, CHAIR)
    whole = bench.ask("poll.read", {"pollId": poll["id"]}, CHAIR).reply["poll"]
    assert poll_shown(whole) == poll_shown(poll)


def test_what_the_contract_has_no_name_for_is_not_said() -> None:
    for kind in ("chat.message.new", "poll.voted", "poll.vote.rejected", "poll.giveaway.winner", "session.joined"):
        assert SPEAK.fact(told(kind, {})) is None
    for view in ("slide.update", "mood.analytics.updated"):
        assert SPEAK.event(told(view, {})) is None


def test_every_word_is_for_a_fact_or_view_that_there_is() -> None:
    features = discover()
    applied = {kind for feature in features for kind, _ in feature.appliers()}
    views = {view.name for feature in features for view in feature.views()}
    assert {*FACTS} <= applied
    assert {*VIEWS} - {HEARTBEAT} <= views
    assert "poll.closed" in Catalog(features).shown


def test_what_comes_from_no_session_names_none() -> None:
    about = stamped({"x": 1}, Told("x", {}, "epoch-9", START_MS, "user:anna", "user:anna"))
    assert about == {"x": 1, "eventId": "epoch-9", "sessionId": "", "timestamp": NOW}
