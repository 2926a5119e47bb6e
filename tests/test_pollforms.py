"""What polls look like: what each receiver may see of their results, and what contract 1 knows of them."""

from __future__ import annotations

from typing import Any, get_type_hints

import orjson
import pytest

from livehub.ballots import QUESTION_CHARS_MAX
from livehub.errors import Refused
from livehub.feature import JSON
from livehub.pollforms import (
    BLOCKED_WORDS,
    HIDDEN,
    PLAIN,
    REASONS,
    RESULTS,
    CastVote,
    CreatePoll,
    ManagePoll,
    Poll,
    PollResults,
    PollSettings,
    final_results,
    fit,
    hidden,
    opened_poll,
    plain,
    visible,
    winner,
)
from livehub.rooms.payloads import structure
from tests.kit import uuid
from tests.test_ballots import of

A, B = uuid(1), uuid(2)


def results(poll_type: str = "multiple_choice", **more: JSON) -> dict[str, JSON]:
    """Results with everything that could be in them, as `Asked.results` makes them."""
    poll = of(poll_type)
    options = [{**option, "voteCount": 3, "percentage": 25.0} for option in poll["options"]]
    return {"poll": {**poll, "options": options, "status": "closed", "totalVotes": 12, **more}}


EVERYTHING: dict[str, JSON] = {
    "averageRating": 4.2,
    "ratingDistribution": {"4": 3},
    "words": [{"word": "calm", "count": 2}],
    "leaders": [{"person": {"id": "anna", "firstName": "Anna", "lastName": "Tester"}, "points": 900}],
}


def test_whoever_may_see_the_results_sees_all_of_them_and_their_own_vote() -> None:
    whole = results(**EVERYTHING)
    assert visible(whole, [A, True]) == {**whole, "userVotedForOptionId": A}


def test_whoever_may_not_sees_what_was_asked_and_their_own_vote_alone() -> None:
    shown = visible(results(**EVERYTHING, correctOptionId=B), [A, False])
    assert shown["userVotedForOptionId"] == A
    assert not {*RESULTS, "leaders"} & {*shown["poll"]}
    assert shown["poll"]["options"] == of("multiple_choice")["options"]
    assert shown["poll"]["correctOptionId"] == B, "what was right is no count (contracts, point 30)"
    assert {name: value for name, value in of("multiple_choice").items() if name not in shown["poll"]} == {}


def test_nothing_that_counts_is_left_in_what_is_hidden() -> None:
    text = orjson.dumps(hidden(results(**EVERYTHING))).decode()
    for told in ("voteCount", "percentage", "totalVotes", "4.2", "calm", "anna", "900", ":12"):
        assert told not in text, told


def test_hiding_leaves_the_results_as_they_are_for_the_next_receiver() -> None:
    whole = results(**EVERYTHING)
    before = orjson.dumps(whole)
    fit(whole, [A, False])
    visible(whole, [None, False])
    assert orjson.dumps(whole) == before


def test_every_count_that_a_poll_can_have_is_known_as_one() -> None:
    """A field added to `Poll` must be decided on: description, or hidden with the results."""
    description = {
        *("id", "question", "isActive", "creatorId", "sessionId", "options", "creator", "pollType", "status"),
        *("isAnonymous", "allowChange", "allowMultiple", "maxSelections", "resultsVisibility", "durationS"),
        *("minRating", "maxRating", "minLabel", "maxLabel", "sequenceOrder", "createdAt", "correctOptionId"),
    }
    assert {*get_type_hints(Poll)} == description | {*HIDDEN}
    assert {*get_type_hints(PollResults)} == {"poll", "userVotedForOptionId", "responses"}


@pytest.mark.parametrize("sees", [True, False])
def test_a_poll_of_one_choice_is_shown_as_contract_1_has_it(sees: bool) -> None:
    shown = fit(results(), [B, sees])
    counted = {"voteCount": 3} if sees else {}
    assert [*shown] == ["poll", "userVotedForOptionId"]
    assert {*shown["poll"]} == {*PLAIN} - (set() if sees else {"totalVotes"})
    assert shown["poll"]["options"] == [{**option, **counted} for option in of("multiple_choice")["options"]]


def test_other_polls_are_shown_with_what_their_clients_need() -> None:
    several = of("multiple_choice", allowMultiple=True)
    assert plain(several) == several
    for poll_type in ("rating_scale", "open_text", "word_cloud", "ranking", "quiz"):
        assert plain(of(poll_type)) == of(poll_type)


def test_facts_are_rendered_from_their_data() -> None:
    poll = of("multiple_choice")
    assert opened_poll({"poll": poll, "pollId": poll["id"]}, "") == plain(poll)
    assert final_results({"results": results(), "rejected": {}}, "") == results()
    assert winner({"shown": {"prize": "Ticket"}, "draw": {"seed": "7"}}, "") == {"prize": "Ticket"}


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (CastVote, {"voteData": {"ratingValue": 1}}, "pollId is required"),
        (CastVote, {"pollId": A}, "voteData is required"),
        (CastVote, {"pollId": A, "voteData": [1]}, "voteData must be an object"),
        (CastVote, {"pollId": A, "voteData": {"ratingValue": "x"}}, "voteData.ratingValue must be a whole number"),
        (CastVote, {"pollId": A, "voteData": {}, "participantId": "me"}, "participantId must be a UUID v4"),
        (
            CastVote,
            {"pollId": A, "voteData": {}, "submittedAt": "x" * 41},
            "submittedAt must be at most 40 characters, not 41",
        ),
        (ManagePoll, {"pollId": A, "action": "reopen"}, "action must be one of close"),
        (
            CreatePoll,
            {"question": "?" * (QUESTION_CHARS_MAX + 1), "options": [{"text": "a"}] * 2},
            "question must be at most 500 characters, not 501",
        ),
    ],
)
def test_payloads_say_what_is_wrong_with_them(kind: type[Any], data: dict[str, JSON], told: str) -> None:
    with pytest.raises(Refused) as caught:
        structure(data, kind)
    assert (caught.value.message, caught.value.code) == (told, "invalid_payload")


def test_a_vote_may_say_when_it_was_made_in_any_way() -> None:
    data = {"pollId": A, "voteData": {"ratingValue": 1}, "submittedAt": "long ago"}
    assert structure(data, CastVote).submitted_at == "long ago"


def test_a_vote_is_rejected_for_the_contracts_reasons() -> None:
    contract = {"poll_closed", "duplicate_vote", "poll_not_active", "invalid_option", "invalid_rating"}
    assert {*REASONS} == {*contract, "session_not_active"}


def test_blocked_words_are_a_setting() -> None:
    assert PollSettings().blocked_words == BLOCKED_WORDS
    assert PollSettings(blocked_words=("dull",)).blocked_words == ("dull",)
