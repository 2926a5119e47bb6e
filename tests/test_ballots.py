"""Ballots: what each type of poll takes, what a vote counts for, and that the counts add up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.ballots import (
    FIELDS,
    OPTIONS_MAX,
    QUIZ_POINTS,
    TEXT_RESPONSE_CHARS_MAX,
    WORDS_SHOWN_MAX,
    NewPoll,
    VoteData,
    counts,
    describe_poll,
    marks,
    normal_word,
    percentages,
    quiz_points,
    read_vote,
    settings_of,
    vote_hash,
)
from livehub.errors import Refused
from livehub.feature import JSON
from livehub.rooms.payloads import structure
from tests.kit import uuid

A, B, C, D = (uuid(n) for n in range(1, 5))
NOWHERE = uuid(99)
CREATOR = {"id": "sam", "firstName": "Sam", "lastName": "Tester"}
VOTES: dict[str, dict[str, JSON]] = {
    "multiple_choice": {"selectedOptionIds": [A]},
    "quiz": {"selectedOptionIds": [B]},
    "ranking": {"rankedOptionIds": [C, A]},
    "rating_scale": {"ratingValue": 4},
    "word_cloud": {"words": ["calm", "bright"]},
    "open_text": {"textResponse": "More breaks, please."},
}
"""A good vote of each type."""


def written(**data: JSON) -> NewPoll:
    """A poll as it comes over the wire. Raises `Refused`."""
    return structure({"question": "Which?", **data}, NewPoll)


def of(poll_type: str, **data: JSON) -> dict[str, JSON]:
    """A poll of a type, described; one with options has A, B, C and D."""
    texts: list[dict[str, JSON]] = []
    if poll_type in ("multiple_choice", "quiz", "ranking"):
        texts = [{"text": letter} for letter in "ABCD"]
        if poll_type == "quiz":
            texts[1]["isCorrect"] = True
    new = written(pollType=poll_type, **({"options": texts} if texts else {}), **data)
    poll, _ = describe_poll(new, uuid, creator=CREATOR, session_id="s1", at="2026-01-01T00:00:00.000Z", place=3)
    return poll


def vote(poll: Mapping[str, JSON], data: JSON, blocked: Sequence[str] = ()) -> dict[str, JSON]:
    """A vote as it comes over the wire, read. Raises `Refused`."""
    return read_vote(poll, structure(data, VoteData), blocked)


def refused(poll: Mapping[str, JSON], data: JSON, blocked: Sequence[str] = ()) -> tuple[str, str]:
    """Why a vote is refused: code and text."""
    with pytest.raises(Refused) as caught:
        vote(poll, data, blocked)
    return caught.value.code, caught.value.message


# A poll as it is written


def test_a_poll_is_described_with_all_that_everybody_may_know() -> None:
    new = written(options=[{"text": "Tea"}, {"text": "Coffee"}], durationS=30)
    poll, right = describe_poll(new, uuid, creator=CREATOR, session_id="s1", at="now", place=2)
    assert right is None
    assert poll == {
        "id": uuid(0),
        "question": "Which?",
        "isActive": False,
        "creatorId": "sam",
        "sessionId": "s1",
        "options": [{"id": uuid(1), "text": "Tea"}, {"id": uuid(2), "text": "Coffee"}],
        "creator": CREATOR,
        "pollType": "multiple_choice",
        "isAnonymous": False,
        "allowChange": False,
        "resultsVisibility": "always",
        "durationS": 30,
        "allowMultiple": False,
        "maxSelections": 1,
        "sequenceOrder": 2,
        "createdAt": "now",
    }


def test_the_right_answer_of_a_quiz_stands_beside_its_description() -> None:
    new = written(pollType="quiz", options=[{"text": "3"}, {"text": "4", "isCorrect": True}])
    poll, right = describe_poll(new, uuid, creator=CREATOR, session_id="s1", at="now", place=0)
    assert right == poll["options"][1]["id"]
    assert "orrect" not in str(poll)


@pytest.mark.parametrize(
    ("poll_type", "fields"),
    [
        ("multiple_choice", {"allowMultiple": False, "maxSelections": 1}),
        ("rating_scale", {"minRating": 1, "maxRating": 5, "minLabel": None, "maxLabel": None}),
        ("open_text", {}),
        ("word_cloud", {}),
        ("ranking", {}),
        ("quiz", {}),
    ],
)
def test_each_type_has_its_own_settings(poll_type: str, fields: dict[str, JSON]) -> None:
    common = {"isAnonymous": False, "allowChange": False, "resultsVisibility": "always", "durationS": None}
    settings = {name: of(poll_type)[name] for name in settings_of(written_of(poll_type))}
    assert settings == {"pollType": poll_type, **common, **fields}


def written_of(poll_type: str) -> NewPoll:
    """The least that a poll of a type has to say."""
    options = {
        "multiple_choice": [{"text": "a"}, {"text": "b"}],
        "ranking": [{"text": "a"}, {"text": "b"}],
        "quiz": [{"text": "a", "isCorrect": True}, {"text": "b"}],
    }
    more = {"options": options[poll_type]} if poll_type in options else {}
    return written(pollType=poll_type, **more)


def test_a_rating_scale_has_its_range_and_labels() -> None:
    poll = of("rating_scale", minRating=0, maxRating=10, minLabel="bad", maxLabel="good")
    assert [poll[name] for name in ("minRating", "maxRating", "minLabel", "maxLabel")] == [0, 10, "bad", "good"]


@pytest.mark.parametrize(("asked", "kept"), [(None, 4), (3, 3), (4, 4)])
def test_with_several_choices_all_can_be_chosen_or_as_many_as_it_says(asked: int | None, kept: int) -> None:
    more = {} if asked is None else {"maxSelections": asked}
    assert of("multiple_choice", allowMultiple=True, **more)["maxSelections"] == kept


TWO = [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "options must have 2 to 50 items, not 0"),
        ({"options": [{"text": "a"}]}, "options must have 2 to 50 items, not 1"),
        ({"options": TWO * 26}, "options must have 0 to 50 items, not 52"),
        ({"pollType": "ranking", "options": []}, "options must have 2 to 50 items, not 0"),
        ({"pollType": "open_text", "options": TWO}, "A poll of type open_text has no options"),
        ({"pollType": "rating_scale", "options": TWO}, "A poll of type rating_scale has no options"),
        ({"pollType": "word_cloud", "options": TWO}, "A poll of type word_cloud has no options"),
        ({"pollType": "quiz", "options": TWO}, "A quiz has exactly one option with isCorrect"),
        (
            {"pollType": "quiz", "options": [{"text": "a", "isCorrect": True}] * 2},
            "A quiz has exactly one option with isCorrect",
        ),
        (
            {"options": [{"text": "a", "isCorrect": True}, {"text": "b"}]},
            "Only a quiz has an option with isCorrect",
        ),
        (
            {"pollType": "ranking", "options": TWO, "allowMultiple": True},
            "Only a multiple_choice poll has allowMultiple",
        ),
        ({"pollType": "open_text", "allowMultiple": True}, "Only a multiple_choice poll has allowMultiple"),
        (
            {"options": TWO, "allowMultiple": True, "maxSelections": 3},
            "maxSelections must be at most the number of options, 2",
        ),
        ({"pollType": "rating_scale", "minRating": 5}, "minRating must be less than maxRating"),
        ({"pollType": "rating_scale", "maxRating": 101}, "maxRating must be from 1 to 100"),
        ({"pollType": "rating_scale", "minLabel": "x" * 51}, "minLabel must be at most 50 characters, not 51"),
        ({"pollType": "open_text", "durationS": 0}, "durationS must be from 1 to 86400"),
        (
            {"pollType": "essay"},
            "pollType must be one of multiple_choice, rating_scale, open_text, word_cloud, ranking, quiz",
        ),
        (
            {"pollType": "open_text", "resultsVisibility": "soon"},
            "resultsVisibility must be one of always, after_vote, after_close, never",
        ),
    ],
)
def test_a_poll_that_contradicts_itself_is_refused_with_the_field(data: dict[str, JSON], told: str) -> None:
    with pytest.raises(Refused) as caught:
        describe_poll(written(**data), uuid, creator=CREATOR, session_id="s1", at="now", place=0)
    assert (caught.value.message, caught.value.code, caught.value.status) == (told, "invalid_payload", 400)


# What a vote may say


@pytest.mark.parametrize("poll_type", FIELDS)
def test_each_type_takes_its_own_kind_of_vote(poll_type: str) -> None:
    assert vote(of(poll_type), VOTES[poll_type]) == VOTES[poll_type]


@pytest.mark.parametrize("poll_type", FIELDS)
@pytest.mark.parametrize("other", FIELDS)
def test_a_vote_of_another_type_is_refused_and_the_field_named(poll_type: str, other: str) -> None:
    if FIELDS[poll_type] != FIELDS[other]:
        told = f"voteData in a poll of type {poll_type} has {FIELDS[poll_type]} and nothing else"
        assert refused(of(poll_type), VOTES[other]) == ("invalid_payload", told)
        assert refused(of(poll_type), VOTES[poll_type] | VOTES[other]) == ("invalid_payload", told)


@pytest.mark.parametrize("poll_type", FIELDS)
def test_a_vote_that_says_nothing_is_refused(poll_type: str) -> None:
    code, told = refused(of(poll_type), {})
    assert (code, FIELDS[poll_type] in told) == ("invalid_payload", True)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"selectedOptionIds": []}, "selectedOptionIds must have 1 to 50 items, not 0"),
        ({"selectedOptionIds": ["first"]}, "selectedOptionIds[0] must be a UUID v4"),
        ({"selectedOptionIds": A}, "selectedOptionIds must be a list"),
        ({"rankedOptionIds": [A] * (OPTIONS_MAX + 1)}, "rankedOptionIds must have 1 to 50 items, not 51"),
        ({"ratingValue": "4"}, "ratingValue must be a whole number"),
        ({"ratingValue": 3.5}, "ratingValue must be a whole number"),
        ({"ratingValue": True}, "ratingValue must be a whole number"),
        ({"ratingValue": 1_001}, "ratingValue must be from -1000 to 1000"),
        ({"words": ["a", "b", "c", "d"]}, "words must have 1 to 3 items, not 4"),
        ({"words": [" "]}, "words[0] must not be empty"),
        ({"words": ["x" * 31]}, "words[0] must be at most 30 characters, not 31"),
        ({"textResponse": "\n"}, "textResponse must not be empty"),
        (
            {"textResponse": "x" * (TEXT_RESPONSE_CHARS_MAX + 1)},
            "textResponse must be at most 1000 characters, not 1001",
        ),
        (
            {"optionId": A},
            "'optionId' is not a field here;"
            " allowed: selectedOptionIds, rankedOptionIds, ratingValue, words, textResponse",
        ),
    ],
)
def test_a_malformed_vote_is_refused_with_the_field_and_the_limit(data: dict[str, JSON], told: str) -> None:
    assert refused(of("multiple_choice"), data) == ("invalid_payload", told)


def test_text_of_a_thousand_characters_is_kept_as_it_came() -> None:
    text = "é" * TEXT_RESPONSE_CHARS_MAX
    assert vote(of("open_text"), {"textResponse": text}) == {"textResponse": text}
    assert vote(of("open_text"), {"textResponse": "  <b>so</b> "}) == {"textResponse": "  <b>so</b> "}


@pytest.mark.parametrize(
    ("poll", "data", "told"),
    [
        (of("multiple_choice"), {"selectedOptionIds": [NOWHERE]}, "An option is not one of this poll"),
        (of("quiz"), {"selectedOptionIds": [NOWHERE]}, "An option is not one of this poll"),
        (of("ranking"), {"rankedOptionIds": [A, NOWHERE]}, "An option is not one of this poll"),
        (of("multiple_choice"), {"selectedOptionIds": [A, A]}, "An option was chosen twice"),
        (of("ranking"), {"rankedOptionIds": [A, B, A]}, "An option was chosen twice"),
        (of("multiple_choice"), {"selectedOptionIds": [A, B]}, "At most 1 of the options can be chosen"),
        (of("quiz"), {"selectedOptionIds": [A, B]}, "At most 1 of the options can be chosen"),
        (
            of("multiple_choice", allowMultiple=True, maxSelections=2),
            {"selectedOptionIds": [A, B, C]},
            "At most 2 of the options can be chosen",
        ),
    ],
)
def test_options_are_the_polls_own_each_once_and_not_too_many(
    poll: dict[str, JSON], data: dict[str, JSON], told: str
) -> None:
    assert refused(poll, data) == ("invalid_option", told)


def test_several_options_can_be_chosen_and_a_ranking_may_be_partial_or_whole() -> None:
    several = of("multiple_choice", allowMultiple=True, maxSelections=3)
    assert vote(several, {"selectedOptionIds": [C, A, B]}) == {"selectedOptionIds": [C, A, B]}
    assert vote(of("ranking"), {"rankedOptionIds": [B]}) == {"rankedOptionIds": [B]}
    assert vote(of("ranking"), {"rankedOptionIds": [D, C, B, A]}) == {"rankedOptionIds": [D, C, B, A]}


def test_an_option_is_meant_however_its_id_is_written() -> None:
    assert vote(of("multiple_choice"), {"selectedOptionIds": [A.upper()]}) == {"selectedOptionIds": [A]}


@pytest.mark.parametrize("rating", [1, 5])
def test_ratings_at_the_ends_of_the_range_count(rating: int) -> None:
    assert vote(of("rating_scale"), {"ratingValue": rating}) == {"ratingValue": rating}


@pytest.mark.parametrize("rating", [0, 6, -1])
def test_ratings_out_of_the_range_do_not(rating: int) -> None:
    assert refused(of("rating_scale"), {"ratingValue": rating}) == ("invalid_rating", "ratingValue must be from 1 to 5")


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("Calm", "calm"),
        ("  CALM!  ", "calm"),
        ("#calm", "calm"),
        ("ｃａｌｍ", "calm"),
        ("Straße", "strasse"),
        ("e\u0301te\u0301", "été"),
        ("long   days", "long days"),
        ("rock'n'roll", "rock'n'roll"),
        ("C++", "c"),
        ("«déjà vu»", "déjà vu"),
        ("...", ""),
        ("🎉", ""),
    ],
)
def test_words_are_counted_in_one_form(word: str, normal: str) -> None:
    assert normal_word(word) == normal


@given(st.text(max_size=30))
def test_a_word_in_its_normal_form_has_no_space_or_sign_around_it(text: str) -> None:
    word = normal_word(text)
    assert word == "" or (word[0].isalnum() and word[-1].isalnum())
    assert "  " not in word


def test_the_same_word_twice_is_one() -> None:
    assert vote(of("word_cloud"), {"words": ["Calm", "calm!", "Bright"]}) == {"words": ["calm", "bright"]}


@pytest.mark.parametrize("words", [["shit"], ["calm", "SHIT!"], ["holy shit"], ["ｓｈｉｔ"], ["shit-show"], ["..."]])
def test_blocked_words_and_no_words_are_refused(words: list[str]) -> None:
    assert refused(of("word_cloud"), {"words": words}, ["Shit"]) == ("invalid_option", "Please choose other words")


def test_a_word_that_only_contains_a_blocked_one_counts() -> None:
    assert vote(of("word_cloud"), {"words": ["Scunthorpe"]}, ["cunt"]) == {"words": ["scunthorpe"]}


def test_a_blocked_phrase_is_blocked_as_a_whole() -> None:
    assert refused(of("word_cloud"), {"words": ["Get Lost"]}, ["get lost"])[0] == "invalid_option"
    assert vote(of("word_cloud"), {"words": ["lost"]}, ["get lost"]) == {"words": ["lost"]}


# What votes count for


@pytest.mark.parametrize(
    ("poll_type", "counted"),
    [
        ("multiple_choice", {A: 1}),
        ("quiz", {B: 1}),
        ("ranking", {C: 4, A: 3}),
        ("rating_scale", {"4": 1}),
        ("word_cloud", {"calm": 1, "bright": 1}),
        ("open_text", {}),
    ],
)
def test_what_a_vote_counts_for(poll_type: str, counted: dict[str, int]) -> None:
    assert marks(of(poll_type), VOTES[poll_type]) == Counter(counted)


def test_a_ranking_is_counted_as_borda_would() -> None:
    """His own example of three: n points for the first, one less for each that follows, and the sum decides."""
    poll = of("ranking")
    tally = Counter[str]()
    for ranked in ([A, B, C, D], [B, A, C, D], [B, C, A, D]):
        tally += marks(poll, {"rankedOptionIds": ranked})
    assert tally == {A: 4 + 3 + 2, B: 3 + 4 + 4, C: 2 + 2 + 3, D: 1 + 1 + 1}
    shown = counts(poll, tally, 3)["voteBreakdown"]
    assert [(option["optionId"], option["voteCount"]) for option in shown] == [(A, 9), (B, 11), (C, 7), (D, 3)]
    assert sum(option["percentage"] for option in shown) == 100.0


def test_choices_are_shown_in_the_order_of_the_poll_with_their_shares() -> None:
    shown = counts(of("multiple_choice"), Counter({C: 2, A: 1}), 3)
    assert shown == {
        "voteBreakdown": [
            {"optionId": A, "voteCount": 1, "percentage": 33.3},
            {"optionId": B, "voteCount": 0, "percentage": 0.0},
            {"optionId": C, "voteCount": 2, "percentage": 66.7},
            {"optionId": D, "voteCount": 0, "percentage": 0.0},
        ]
    }


def test_a_poll_without_votes_has_no_shares_and_no_average() -> None:
    assert {one["percentage"] for one in counts(of("multiple_choice"), {}, 0)["voteBreakdown"]} == {0.0}
    assert counts(of("rating_scale"), {}, 0) == {
        "averageRating": 0.0,
        "ratingDistribution": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0},
    }
    assert counts(of("word_cloud"), {}, 0) == {"words": []}
    assert counts(of("open_text"), {}, 5) == {}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=60))
def test_the_average_is_that_of_all_ratings(ratings: list[int]) -> None:
    poll, tally = of("rating_scale"), Counter[str]()
    for rating in ratings:
        tally += marks(poll, {"ratingValue": rating})
    shown = counts(poll, tally, len(ratings))
    assert abs(Fraction(shown["averageRating"]) - Fraction(sum(ratings), len(ratings))) <= Fraction(51, 10_000)
    assert shown["ratingDistribution"] == {str(value): ratings.count(value) for value in range(1, 6)}


def test_a_word_cloud_shows_the_most_frequent_words_and_equals_by_the_alphabet() -> None:
    shown = counts(of("word_cloud"), {"calm": 1, "bright": 3, "apt": 1}, 5)
    assert shown["words"] == [
        {"word": "bright", "count": 3},
        {"word": "apt", "count": 1},
        {"word": "calm", "count": 1},
    ]
    many = {f"w{n:03}": 1 for n in range(WORDS_SHOWN_MAX + 1)}
    assert len(counts(of("word_cloud"), {**many, "top": 2}, 200)["words"]) == WORDS_SHOWN_MAX
    assert counts(of("word_cloud"), {**many, "top": 2}, 200)["words"][0]["word"] == "top"


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=OPTIONS_MAX))
def test_percentages_add_up_to_a_hundred_and_are_the_nearest_tenths(amounts: list[int]) -> None:
    shares, total = percentages(amounts), sum(amounts)
    tenths = [round(share * 10) for share in shares]
    assert [count / 10 for count in tenths] == shares, "no more than one digit behind the point"
    assert sum(tenths) == (1_000 if total else 0)
    for amount, count in zip(amounts, tenths, strict=True):
        exact = Fraction(amount * 1_000, total) if total else Fraction(0)
        assert abs(count - exact) < 1, "less than 0.1 from the exact share"
    remainders = [(Fraction(amount * 1_000, total or 1) % 1, -place) for place, amount in enumerate(amounts)]
    got_one = [place for place, amount in enumerate(amounts) if total and tenths[place] > amount * 1_000 // total]
    left = [place for place in range(len(amounts)) if place not in got_one]
    for place in got_one:
        assert all(remainders[place] > remainders[other] for other in left), "largest first, then the first"


@given(st.integers(2, OPTIONS_MAX), st.integers(1, 1_000))
def test_equals_differ_by_a_tenth_at_most_and_the_first_is_not_less(options: int, votes: int) -> None:
    shares = percentages([votes] * options)
    assert all(0 <= round((before - after) * 10) <= 1 for before, after in pairwise(shares))


def test_three_equals_add_up_to_a_hundred() -> None:
    assert percentages([1, 1, 1]) == [33.4, 33.3, 33.3]
    assert percentages([]) == []


# What proves the counts


def compact(value: JSON) -> str:
    """Compact JSON with sorted keys, written by hand."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(key)}:{compact(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def test_the_hash_is_that_of_the_published_recipe() -> None:
    """Contracts, point 20, done once more by hand."""
    rows: list[tuple[str, dict[str, JSON]]] = [(uuid(number), data) for number, data in enumerate(VOTES.values(), 1)]
    rows.append((uuid(9), {"words": ["été", "\u2028", 'a"b\\c', "😀"], "ratingValue": 2}))
    lines = "".join(f"{vote_id} {compact(data)}\n" for vote_id, data in rows)
    assert vote_hash(rows) == hashlib.sha256(lines.encode()).hexdigest()
    assert vote_hash([*rows[1:], rows[0]]) != vote_hash(rows), "the order counts"


def test_the_hash_of_known_votes_is_known() -> None:
    """Made with `printf 'v1 {"ratingValue":4}\\nv2 {"words":["été"]}\\n' | sha256sum`."""
    votes: list[tuple[str, dict[str, JSON]]] = [("v1", {"ratingValue": 4}), ("v2", {"words": ["été"]})]
    assert vote_hash(votes) == "b0982f998ab0a6806e56b112490d1cc1824544e4ffb8f65a18fd503c366c3223"
    assert vote_hash([]) == hashlib.sha256().hexdigest()


def test_a_right_answer_is_worth_less_the_later_it_comes() -> None:
    assert quiz_points(0, 20_000) == QUIZ_POINTS
    assert quiz_points(10_000, 20_000) == QUIZ_POINTS * 3 // 4
    assert quiz_points(20_000, 20_000) == QUIZ_POINTS // 2
    assert quiz_points(-5, 20_000) == QUIZ_POINTS, "a clock that was set back gives nobody more"
    assert quiz_points(99_000, 20_000) == QUIZ_POINTS // 2
    assert quiz_points(99_000, None) == quiz_points(99_000, 0) == QUIZ_POINTS
