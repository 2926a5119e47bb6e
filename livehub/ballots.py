"""Ballots: what a vote in each type of poll may say, what it counts for, and how the counts are shown.

| type            | a vote is           | it counts                                                       |
|-----------------|---------------------|-----------------------------------------------------------------|
| multiple_choice | `selectedOptionIds` | 1 for each option                                               |
| quiz            | `selectedOptionIds` | 1 for the option; who was right is known at the end             |
| ranking         | `rankedOptionIds`   | of n options, n points for the first, n - 1 for the next (Borda) |
| rating_scale    | `ratingValue`       | 1 for the rating                                                |
| word_cloud      | `words`, up to 3    | 1 for each word, as `normal_word` writes it                     |
| open_text       | `textResponse`      | nothing: answers are read, not counted                          |

A poll's tally is a `Counter` of what its votes count for, so a vote is counted, replaced and taken back in the same way
whatever its type. No I/O, no state: rooms, exports and tests share these functions.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from livehub.errors import Refused
from livehub.payload import Items, Text, Uuid, Whole, payload

JSON: TypeAlias = Any
PollType: TypeAlias = Literal["multiple_choice", "rating_scale", "open_text", "word_cloud", "ranking", "quiz"]
Visibility: TypeAlias = Literal["always", "after_vote", "after_close", "never"]

QUESTION_CHARS_MAX = 500
OPTION_CHARS_MAX = 200
OPTIONS_MAX = 50
LABEL_CHARS_MAX = 50
RATING_MAX = 100
TEXT_RESPONSE_CHARS_MAX = 1_000
WORDS_PER_VOTE_MAX = 3
WORD_CHARS_MAX = 30
WORDS_SHOWN_MAX = 100
DURATION_S_MAX = 86_400
QUIZ_POINTS = 1_000
"""For a right answer at once; half of it at the end of the time."""

SPOKEN = re.compile(r"\w+")
"""What of an entry for a word cloud is a word: people write two or three."""
CHOICES = ("multiple_choice", "quiz")
WITH_OPTIONS = (*CHOICES, "ranking")
FIELDS = {
    "multiple_choice": "selectedOptionIds",
    "quiz": "selectedOptionIds",
    "ranking": "rankedOptionIds",
    "rating_scale": "ratingValue",
    "word_cloud": "words",
    "open_text": "textResponse",
}


@payload
class VoteData:
    """What a vote says: the one field that its poll's type takes (contract 4; contracts, point 30)."""

    selected_option_ids: Annotated[list[Uuid], Items(1, OPTIONS_MAX)] | None = None
    ranked_option_ids: Annotated[list[Uuid], Items(1, OPTIONS_MAX)] | None = None
    rating_value: Annotated[int, Whole(-1_000, 1_000)] | None = None
    words: Annotated[list[Annotated[str, Text(WORD_CHARS_MAX)]], Items(1, WORDS_PER_VOTE_MAX)] | None = None
    text_response: Annotated[str, Text(TEXT_RESPONSE_CHARS_MAX)] | None = None


@payload
class NewOption:
    """One thing to choose; `isCorrect` marks the right answer of a quiz."""

    text: Annotated[str, Text(OPTION_CHARS_MAX)]
    is_correct: bool = False


@payload
class NewPoll:
    """A poll as a presenter writes it."""

    question: Annotated[str, Text(QUESTION_CHARS_MAX)]
    poll_type: PollType = "multiple_choice"
    options: Annotated[list[NewOption], Items(0, OPTIONS_MAX)] | None = None
    allow_multiple: bool = False
    max_selections: Annotated[int, Whole(1, OPTIONS_MAX)] | None = None
    min_rating: Annotated[int, Whole(0, RATING_MAX)] = 1
    max_rating: Annotated[int, Whole(1, RATING_MAX)] = 5
    min_label: Annotated[str, Text(LABEL_CHARS_MAX)] | None = None
    max_label: Annotated[str, Text(LABEL_CHARS_MAX)] | None = None
    is_anonymous: bool = False
    allow_change: bool = False
    results_visibility: Visibility = "always"
    duration_s: Annotated[int, Whole(1, DURATION_S_MAX)] | None = None


def settings_of(new: NewPoll) -> dict[str, JSON]:
    """What a poll's description says beside question and options. Raises `Refused` where it contradicts itself."""
    options = new.options or []
    _check_options(new, options)
    told: dict[str, JSON] = {"pollType": new.poll_type, "isAnonymous": new.is_anonymous}
    told |= {"allowChange": new.allow_change, "resultsVisibility": new.results_visibility, "durationS": new.duration_s}
    if new.poll_type == "multiple_choice":
        told |= {"allowMultiple": new.allow_multiple, "maxSelections": _most_selections(new, len(options))}
    if new.poll_type == "rating_scale":
        if new.min_rating >= new.max_rating:
            raise Refused("minRating must be less than maxRating", code="invalid_payload")
        told |= {"minRating": new.min_rating, "maxRating": new.max_rating}
        told |= {"minLabel": new.min_label, "maxLabel": new.max_label}
    return told


def describe_poll(
    new: NewPoll, new_id: Callable[[int], str], *, creator: dict[str, str], session_id: str, at: str, place: int
) -> tuple[dict[str, JSON], str | None]:
    """A poll as everybody may know it, and the id of its right answer, if it has one. Raises `Refused`."""
    told = settings_of(new)
    options = [{"id": new_id(n), "text": option.text} for n, option in enumerate(new.options or (), 1)]
    right = next((options[n]["id"] for n, option in enumerate(new.options or ()) if option.is_correct), None)
    poll = {
        "id": new_id(0),
        "question": new.question,
        "isActive": False,
        "creatorId": creator["id"],
        "sessionId": session_id,
        "options": options,
        "creator": creator,
        **told,
        "sequenceOrder": place,
        "createdAt": at,
    }
    return poll, right


def _check_options(new: NewPoll, options: Sequence[NewOption]) -> None:
    if new.poll_type in WITH_OPTIONS and len(options) < 2:
        raise Refused(f"options must have 2 to {OPTIONS_MAX} items, not {len(options)}", code="invalid_payload")
    if new.poll_type not in WITH_OPTIONS and options:
        raise Refused(f"A poll of type {new.poll_type} has no options", code="invalid_payload")
    right = sum(option.is_correct for option in options)
    if new.poll_type == "quiz" and right != 1:
        raise Refused("A quiz has exactly one option with isCorrect", code="invalid_payload")
    if new.poll_type != "quiz" and right:
        raise Refused("Only a quiz has an option with isCorrect", code="invalid_payload")
    if new.allow_multiple and new.poll_type != "multiple_choice":
        raise Refused("Only a multiple_choice poll has allowMultiple", code="invalid_payload")


def _most_selections(new: NewPoll, options: int) -> int:
    if not new.allow_multiple:
        return 1
    most = new.max_selections or options
    if most > options:
        raise Refused(f"maxSelections must be at most the number of options, {options}", code="invalid_payload")
    return most


def read_vote(poll: Mapping[str, JSON], vote: VoteData, blocked: Iterable[str] = ()) -> dict[str, JSON]:
    """A vote as it is kept. Raises `Refused`: `invalid_payload` for another type's vote, else why it does not count."""
    kind, field = poll["pollType"], FIELDS[poll["pollType"]]
    given = {
        "selectedOptionIds": vote.selected_option_ids,
        "rankedOptionIds": vote.ranked_option_ids,
        "ratingValue": vote.rating_value,
        "words": vote.words,
        "textResponse": vote.text_response,
    }
    if [name for name, value in given.items() if value is not None] != [field]:
        raise Refused(f"voteData in a poll of type {kind} has {field} and nothing else", code="invalid_payload")
    value: JSON = given[field]
    if kind in WITH_OPTIONS:
        _check_choice(poll, value)
    elif kind == "rating_scale" and not poll["minRating"] <= value <= poll["maxRating"]:
        raise Refused(f"ratingValue must be from {poll['minRating']} to {poll['maxRating']}", code="invalid_rating")
    elif kind == "word_cloud":
        value = list(dict.fromkeys(filter(None, map(normal_word, value))))
        never = set(map(normal_word, blocked))
        if not value or any(never & {word, *SPOKEN.findall(word)} for word in value):
            raise Refused("Please choose other words", code="invalid_option")
    return {field: value}


def _check_choice(poll: Mapping[str, JSON], chosen: Sequence[str]) -> None:
    options = {option["id"] for option in poll["options"]}
    if not set(chosen) <= options:
        raise Refused("An option is not one of this poll", code="invalid_option")
    if len(set(chosen)) < len(chosen):
        raise Refused("An option was chosen twice", code="invalid_option")
    most = {"multiple_choice": poll.get("maxSelections", 1), "quiz": 1}.get(poll["pollType"], len(options))
    if len(chosen) > most:
        raise Refused(f"At most {most} of the options can be chosen", code="invalid_option")


def normal_word(word: str) -> str:
    """A word as it is counted: one form of each character, no case, no space or punctuation around it."""
    text = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
    start, end = 0, len(text)
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return text[start:end]


def marks(poll: Mapping[str, JSON], data: Mapping[str, JSON]) -> Counter[str]:
    """What a vote counts for."""
    kind = poll["pollType"]
    value = data[FIELDS[kind]]
    if kind == "ranking":
        most = len(poll["options"])
        return Counter({option: most - place for place, option in enumerate(value)})
    if kind == "rating_scale":
        return Counter({str(value): 1})
    return Counter() if kind == "open_text" else Counter(value)


def counts(poll: Mapping[str, JSON], tally: Mapping[str, int], votes: int) -> dict[str, JSON]:
    """A poll's results in the fields that its type has (contract 4, `vote:accepted`)."""
    kind = poll["pollType"]
    if kind == "rating_scale":
        values = range(poll["minRating"], poll["maxRating"] + 1)
        total = sum(value * tally.get(str(value), 0) for value in values)
        distribution = {str(value): tally.get(str(value), 0) for value in values}
        return {"averageRating": round(total / votes, 2) if votes else 0.0, "ratingDistribution": distribution}
    if kind == "word_cloud":
        most = sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:WORDS_SHOWN_MAX]
        return {"words": [{"word": word, "count": count} for word, count in most]}
    if kind == "open_text":
        return {}
    amounts = [tally.get(option["id"], 0) for option in poll["options"]]
    return {
        "voteBreakdown": [
            {"optionId": option["id"], "voteCount": amount, "percentage": percentage}
            for option, amount, percentage in zip(poll["options"], amounts, percentages(amounts), strict=True)
        ]
    }


def percentages(amounts: Sequence[int]) -> list[float]:
    """Shares in tenths of a percent that add up to 100.0, by largest remainder; all 0.0 when there is nothing."""
    total = sum(amounts)
    if not total:
        return [0.0] * len(amounts)
    tenths = [amount * 1_000 // total for amount in amounts]
    by_remainder = sorted(range(len(amounts)), key=lambda place: (-(amounts[place] * 1_000 % total), place))
    for place in by_remainder[: 1_000 - sum(tenths)]:
        tenths[place] += 1
    return [count / 10 for count in tenths]


def vote_hash(votes: Iterable[tuple[str, Mapping[str, JSON]]]) -> str:
    """SHA-256 over one line per vote in the order of acceptance (contracts, point 20)."""
    digest = hashlib.sha256()
    for vote_id, data in votes:
        text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        digest.update(f"{vote_id} {text}\n".encode())
    return digest.hexdigest()


def quiz_points(took_ms: int, limit_ms: int | None) -> int:
    """Points for a right answer: all at once, half at the end of the time; all where there is no limit."""
    if not limit_ms:
        return QUIZ_POINTS
    return round(QUIZ_POINTS * (1 - min(max(took_ms / limit_ms, 0.0), 1.0) / 2))
