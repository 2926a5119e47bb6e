"""How polls look on the wire of `/events` and over REST, and what of their results each receiver may see.

A feature declares these types; they stand apart from it because a poll has many. Results that somebody may not see are
taken away here, in one place, whoever asks and however they are told.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from livehub.ballots import OPTION_CHARS_MAX, OPTIONS_MAX, QUESTION_CHARS_MAX, VoteData
from livehub.payload import Items, Text, Uuid, payload, setting

JSON: TypeAlias = Any

REASONS = (
    "poll_closed",
    "duplicate_vote",
    "poll_not_active",
    "invalid_option",
    "invalid_rating",
    "session_not_active",
)
"""Why a vote may be rejected (contract 4; contracts, point 28)."""
PRIZE_CHARS_MAX = 255
BLOCKED_WORDS = ("asshole", "bastard", "bitch", "cunt", "dick", "fuck", "fucking", "shit", "slut", "whore")


PLAIN = ("id", "question", "isActive", "creatorId", "sessionId", "options", "creator", "totalVotes")
"""All that contract 1 knows of a poll. A poll of one choice is shown so to its clients; others show what they need."""
RESULTS = ("totalVotes", "averageRating", "ratingDistribution", "words")
HIDDEN = (*RESULTS, "leaders")


@payload
class PollSettings:
    """`[polls]`"""

    blocked_words: tuple[str, ...] = setting(BLOCKED_WORDS, help="words that a word cloud does not take")


@payload
class OptionText:
    """One thing to choose, as contract 1 has it."""

    text: Annotated[str, Text(OPTION_CHARS_MAX)]


@payload
class CreatePoll:
    """Contract 1, §5.1."""

    question: Annotated[str, Text(QUESTION_CHARS_MAX)]
    options: Annotated[list[OptionText], Items(2, OPTIONS_MAX)]


@payload
class SubmitVote:
    """Contract 1, §5.3."""

    poll_id: Uuid
    option_id: Uuid


@payload
class CastVote:
    """Contract 4, `vote:submitted`. The server's own time counts, `submittedAt` is only looked at."""

    poll_id: Uuid
    vote_data: VoteData
    participant_id: Uuid | None = None
    submitted_at: Annotated[str, Text(40)] | None = None


@payload
class ManagePoll:
    """Contract 1, §5.5."""

    poll_id: Uuid
    action: Literal["close"]


@payload
class StartGiveaway:
    """Contract 1, §5.6."""

    poll_id: Uuid
    winning_option_id: Uuid
    prize: Annotated[str, Text(PRIZE_CHARS_MAX)]


@payload
class OnePoll:
    """Names a poll."""

    poll_id: Uuid


class TimeUp(TypedDict):
    """The time of a poll is over, if it is still the time it was opened for."""

    pollId: str
    openedMs: int


class Voter(TypedDict):
    """A person as everybody may see them."""

    id: str
    firstName: str
    lastName: str


class PollOption(TypedDict):
    """One thing to choose; counted in results only. A ranking's count is of points."""

    id: str
    text: str
    voteCount: NotRequired[int]
    percentage: NotRequired[float]


class WordCount(TypedDict):
    """A word of a word cloud."""

    word: str
    count: int


class Leader(TypedDict):
    """Somebody who answered a quiz right."""

    person: Voter
    points: int


class Poll(TypedDict):
    """Contract 1, §5.2; from `pollType` on, what polls of other types than one choice have beside."""

    id: str
    question: str
    isActive: bool
    creatorId: str
    sessionId: str
    options: list[PollOption]
    totalVotes: NotRequired[int]
    creator: Voter
    pollType: NotRequired[str]
    status: NotRequired[str]
    isAnonymous: NotRequired[bool]
    allowChange: NotRequired[bool]
    allowMultiple: NotRequired[bool]
    maxSelections: NotRequired[int]
    resultsVisibility: NotRequired[str]
    durationS: NotRequired[int | None]
    minRating: NotRequired[int]
    maxRating: NotRequired[int]
    minLabel: NotRequired[str | None]
    maxLabel: NotRequired[str | None]
    sequenceOrder: NotRequired[int]
    createdAt: NotRequired[str]
    averageRating: NotRequired[float]
    ratingDistribution: NotRequired[dict[str, int]]
    words: NotRequired[list[WordCount]]
    correctOptionId: NotRequired[str]
    leaders: NotRequired[list[Leader]]


class PollResults(TypedDict):
    """Contract 1, §5.4; counts are left out where this receiver may not see them yet."""

    poll: Poll
    userVotedForOptionId: str | None
    responses: NotRequired[list[str]]


class PollList(TypedDict):
    """All polls of a session with their results, in their order."""

    polls: list[PollResults]


class PollsSnapshot(TypedDict):
    """The poll that takes votes, as this person may see it."""

    activePoll: PollResults | None


class PollAck(TypedDict):
    """Which poll it was."""

    pollId: str


class VoteAck(TypedDict):
    """What was voted for."""

    pollId: str
    optionId: str


class AcceptedVote(TypedDict):
    """A vote that counts. The receipt finds it in the export; nobody else is told it."""

    voteId: str
    receipt: str
    pollId: str
    participantId: str
    submittedAt: str


class RejectedVote(TypedDict):
    """A vote that does not count, and why: one of `REASONS`."""

    pollId: str
    participantId: str
    reason: str
    message: str
    timestamp: str


class OptionCount(TypedDict):
    """What an option got; the percentages of a poll add up to 100.0."""

    optionId: str
    voteCount: int
    percentage: float


class VoteCounts(TypedDict):
    """Counts as contract 4 has them, by type of poll."""

    currentVoteCount: int
    voteBreakdown: NotRequired[list[OptionCount]]
    averageRating: NotRequired[float]
    ratingDistribution: NotRequired[dict[str, int]]
    words: NotRequired[list[WordCount]]


class Voted(TypedDict):
    """What became of a vote: one of these, and the counts if the voter may see them now."""

    accepted: NotRequired[AcceptedVote]
    rejected: NotRequired[RejectedVote]
    counts: NotRequired[VoteCounts]


class GiveawayWinner(TypedDict):
    """Contract 1, §5.6."""

    pollId: str
    winner: Voter
    prize: str


class Giveaway(TypedDict):
    """All that is needed to check a draw: the winner is number `seed % candidates`, from 0 in the order of votes."""

    winner: Voter
    prize: str
    winningOptionId: str
    seed: str
    candidates: int
    drawnAt: str


class GiveawayList(TypedDict):
    """The draws of a poll in their order."""

    giveaways: list[Giveaway]


def fit(results: dict[str, JSON], own: JSON) -> dict[str, JSON]:
    """`PollResults` for those who voted for `own[0]` and may see the counts if `own[1]`."""
    shown = visible(results, own)
    return {**shown, "poll": plain(shown["poll"])}


def visible(results: dict[str, JSON], own: JSON) -> dict[str, JSON]:
    """The same with everything that a poll has."""
    voted_for, sees = own
    return {**(results if sees else hidden(results)), "userVotedForOptionId": voted_for}


def hidden(results: dict[str, JSON]) -> dict[str, JSON]:
    """Results without the results."""
    poll = {name: value for name, value in results["poll"].items() if name not in HIDDEN}
    poll["options"] = [{name: option[name] for name in ("id", "text")} for option in poll["options"]]
    return {"poll": poll}


def plain(poll: dict[str, JSON]) -> dict[str, JSON]:
    """A poll as contract 1 has it, if it is of the one kind that contract 1 knows."""
    if poll["pollType"] != "multiple_choice" or poll["allowMultiple"]:
        return poll
    shown = {name: poll[name] for name in PLAIN if name in poll}
    shown["options"] = [{n: value for n, value in option.items() if n != "percentage"} for option in poll["options"]]
    return shown


def opened_poll(data: dict[str, JSON], _: str) -> JSON:
    """`poll.opened` of its fact."""
    return plain(data["poll"])


def final_results(data: dict[str, JSON], _: str) -> JSON:
    """The results in a fact; what is each receiver's own comes to it with `fit`."""
    return data["results"]


def winner(data: dict[str, JSON], _: str) -> JSON:
    """`poll.giveaway.winner` of its fact."""
    return data["shown"]
