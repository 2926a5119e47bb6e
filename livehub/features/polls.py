"""Polls: one question, one vote a person, counted exactly; and giveaways among those who voted for an option.

A vote is a fact that nobody hears: who voted for what is never shown, only counts are, as a view. The tally is not kept
beside the votes but is the votes, so it cannot differ from what was acked. At most one poll of a session takes votes
(contracts, point 25): opening one sets the one before it aside, whose results stay readable.

**The draw of a giveaway** can be checked by anybody who may manage polls: of the people who voted for the option, in
the order of their votes, without those who have won in this poll before, the winner is number `seed % how many`,
counted from 0. The seed is 128 random bits that came with the ask; both are in the log and in `GET …/giveaways`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NotRequired, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Items,
    Key,
    Outcome,
    Own,
    Person,
    Refused,
    Seating,
    Text,
    Uuid,
    Via,
    applies,
    command,
    payload,
    view,
)

QUESTION_CHARS_MAX = 500
OPTION_CHARS_MAX = 200
OPTIONS_MAX = 50
PRIZE_CHARS_MAX = 255
POLLS_PER_SESSION_MAX = 1_000


@payload
class NewOption:
    """One thing to choose."""

    text: Annotated[str, Text(OPTION_CHARS_MAX)]


@payload
class CreatePoll:
    """Contract 1, §5.1."""

    question: Annotated[str, Text(QUESTION_CHARS_MAX)]
    options: Annotated[list[NewOption], Items(2, OPTIONS_MAX)]


@payload
class SubmitVote:
    """Contract 1, §5.3."""

    poll_id: Uuid
    option_id: Uuid


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


class Voter(TypedDict):
    """A person as everybody may see them."""

    id: str
    firstName: str
    lastName: str


class PollOption(TypedDict):
    """One thing to choose; counted in results only."""

    id: str
    text: str
    voteCount: NotRequired[int]


class Poll(TypedDict):
    """Contract 1, §5.2; `totalVotes` in results only."""

    id: str
    question: str
    isActive: bool
    creatorId: str
    sessionId: str
    options: list[PollOption]
    totalVotes: NotRequired[int]
    creator: Voter


class PollResults(TypedDict):
    """Contract 1, §5.4."""

    poll: Poll
    userVotedForOptionId: str | None


class PollList(TypedDict):
    """All polls of a session with their results, oldest first."""

    polls: list[PollResults]


class PollAck(TypedDict):
    """Which poll it was."""

    pollId: str


class VoteAck(TypedDict):
    """What was voted for."""

    pollId: str
    optionId: str


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


@dataclass(slots=True)
class Asked:
    """A poll as the session keeps it: `votes` is person → option, in the order of the votes."""

    poll: dict[str, JSON]
    active: bool = True
    votes: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # option → votes, in the order of the options
    draws: list[dict[str, JSON]] = field(default_factory=list)


def _poll(data: dict[str, JSON], _: str) -> JSON:
    return data["poll"]


def _results(data: dict[str, JSON], _: str) -> JSON:
    return data["results"]


def _winner(data: dict[str, JSON], _: str) -> JSON:
    return data["shown"]


OWN_VOTE = Own("userVotedForOptionId", "voted_for", key="pollId")


@dataclass
class Polls(Feature):
    """The polls of one session."""

    name: ClassVar[str] = "polls"
    emits = (
        Emits("poll.opened", Poll, "A poll takes votes.", render=_poll),
        Emits(
            "poll.results.updated",
            PollResults,
            "The counts of the active poll, at most 4 times a second; and once when another poll takes its place.",
            of=("poll.set_aside",),
            render=_results,
            own=OWN_VOTE,
        ),
        Emits(
            "poll.closed", PollResults, "A poll takes no more votes: the final counts.", render=_results, own=OWN_VOTE
        ),
        Emits("poll.giveaway.winner", GiveawayWinner, "A giveaway was drawn.", render=_winner),
    )

    polls: dict[str, Asked] = field(default_factory=dict)  # in the order they were opened
    voters: dict[str, dict[str, str]] = field(default_factory=dict)  # person → names, of everybody who has voted

    @command("poll.create", needs="poll:create", rate="10/10s", returns=PollAck)
    def create(self, ask: Ask[CreatePoll]) -> Outcome:
        """Open a poll. The one that was open before takes no more votes."""
        if len(self.polls) >= POLLS_PER_SESSION_MAX:
            raise Refused(f"A session has at most {POLLS_PER_SESSION_MAX} polls", 409, code="too_many")
        poll_id = ask.new_id()
        options = [{"id": ask.new_id(n), "text": option.text} for n, option in enumerate(ask.payload.options, 1)]
        poll = {
            "id": poll_id,
            "question": ask.payload.question,
            "isActive": True,
            "creatorId": ask.who.id,
            "sessionId": self.room_id,
            "options": options,
            "creator": ask.who.public(),
        }
        facts = [
            Fact("poll.set_aside", {"pollId": id_, "results": self._shown(asked, active=False)}, (EVERYONE,))
            for id_, asked in self.polls.items()
            if asked.active
        ]
        return Outcome(
            [*facts, Fact("poll.opened", {"pollId": poll_id, "poll": poll}, (EVERYONE,))], {"pollId": poll_id}
        )

    @command("poll.vote.submit", rate="10/10s", returns=VoteAck)
    def vote(self, ask: Ask[SubmitVote]) -> Outcome:
        """Vote, once per poll."""
        asked, option_id = self._find(ask.payload.poll_id), ask.payload.option_id
        if not asked.active:
            raise Refused("Poll is no longer active", 409, code="poll_not_active")
        if ask.who.id in asked.votes:
            raise Refused("You have already voted in this poll", 409, code="already_voted")
        _check_option(asked, option_id, "optionId")
        data = {"pollId": ask.payload.poll_id, "optionId": option_id, "voteId": ask.new_id(), "voter": ask.who.public()}
        return Outcome([Fact("poll.voted", data)], {"pollId": ask.payload.poll_id, "optionId": option_id})

    @command("poll.manage", needs="poll:manage", rate="20/10s", returns=PollAck)
    def manage(self, ask: Ask[ManagePoll]) -> Outcome:
        """Close a poll. Closing it again is no error."""
        asked, reply = self._find(ask.payload.poll_id), {"pollId": ask.payload.poll_id}
        if asked.poll["isActive"] is False:
            return Outcome(reply=reply)
        data = {"pollId": ask.payload.poll_id, "results": self._shown(asked, active=False)}
        return Outcome([Fact("poll.closed", data, (EVERYONE,))], reply)

    @command("poll.giveaway.start", needs="poll:manage", rate="20/10s", returns=GiveawayWinner)
    def giveaway(self, ask: Ask[StartGiveaway]) -> Outcome:
        """Draw one of those who voted for an option; nobody wins twice in the same poll."""
        asked, option_id = self._find(ask.payload.poll_id), ask.payload.winning_option_id
        _check_option(asked, option_id, "winningOptionId")
        won = {draw["winner"]["id"] for draw in asked.draws}
        candidates = [person for person, chosen in asked.votes.items() if chosen == option_id and person not in won]
        if not candidates:
            if asked.counts[option_id]:
                raise Refused("Everybody who voted for this option has won already", 409, code="no_voters")
            raise Refused("Nobody has voted for this option", 409, code="no_voters")
        winner = self.voters[candidates[ask.seed % len(candidates)]]
        shown = {"pollId": ask.payload.poll_id, "winner": winner, "prize": ask.payload.prize}
        draw = {
            "winner": winner,
            "prize": ask.payload.prize,
            "winningOptionId": option_id,
            "seed": str(ask.seed),
            "candidates": len(candidates),
            "drawnAt": ask.now,
        }
        data = {"pollId": ask.payload.poll_id, "shown": shown, "draw": draw}
        return Outcome([Fact("poll.giveaway.winner", data, (EVERYONE,))], {**shown})

    @command(
        "poll.list",
        key=Key.OPTIONAL,
        seat=Seating.MEMBER,
        instead="sessions:manage",
        via=Via.REST,
        reads=True,
        returns=PollList,
        rest="GET /sessions/{sessionId}/polls",
    )
    def every_poll(self, ask: Ask[Empty]) -> Outcome:
        """Show every poll of a session, with results and one's own vote."""
        return Outcome(reply={"polls": [self._mine(asked, ask.who) for asked in self.polls.values()]})

    @command(
        "poll.read",
        key=Key.OPTIONAL,
        seat=Seating.MEMBER,
        instead="sessions:manage",
        via=Via.REST,
        reads=True,
        returns=PollResults,
        rest="GET /sessions/{sessionId}/polls/{pollId}",
    )
    def read(self, ask: Ask[OnePoll]) -> Outcome:
        """Show a poll, with results and one's own vote."""
        return Outcome(reply=self._mine(self._find(ask.payload.poll_id), ask.who))

    @command(
        "poll.giveaway.list",
        needs="poll:manage",
        key=Key.OPTIONAL,
        seat=Seating.FREE,
        via=Via.REST,
        reads=True,
        returns=GiveawayList,
        rest="GET /sessions/{sessionId}/polls/{pollId}/giveaways",
    )
    def giveaways(self, ask: Ask[OnePoll]) -> Outcome:
        """Show what was drawn, with all that is needed to check it."""
        return Outcome(reply={"giveaways": [*self._find(ask.payload.poll_id).draws]})

    @view("poll.results.updated", after=("poll.voted",), key="pollId", own=OWN_VOTE)
    def results(self, poll_id: str) -> JSON:
        """The counts of a poll that takes votes; those of others have been told with their end."""
        asked = self.polls[poll_id]
        return self._shown(asked) if asked.active else None

    def voted_for(self, poll_id: str, who: Person) -> str | None:
        """What a person voted for."""
        return self.polls[poll_id].votes.get(who.id)

    @applies("poll.opened")
    def _on_opened(self, data: dict[str, JSON], at_ms: int) -> None:
        counts = {option["id"]: 0 for option in data["poll"]["options"]}
        self.polls[data["pollId"]] = Asked({**data["poll"]}, counts=counts)

    @applies("poll.voted")
    def _on_voted(self, data: dict[str, JSON], at_ms: int) -> None:
        asked, voter = self.polls[data["pollId"]], data["voter"]
        asked.votes[voter["id"]] = data["optionId"]
        asked.counts[data["optionId"]] += 1
        self.voters[voter["id"]] = voter

    @applies("poll.set_aside")
    def _on_set_aside(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].active = False

    @applies("poll.closed")
    def _on_closed(self, data: dict[str, JSON], at_ms: int) -> None:
        asked = self.polls[data["pollId"]]
        asked.active = False
        asked.poll["isActive"] = False

    @applies("poll.giveaway.winner")
    def _on_winner(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].draws.append(data["draw"])

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """The poll that takes votes, with this person's own."""
        active = next((asked for asked in self.polls.values() if asked.active), None)
        return {"activePoll": None if active is None else self._mine(active, who)}

    def _find(self, poll_id: str) -> Asked:
        asked = self.polls.get(poll_id)
        if asked is None:
            raise Refused("Poll not found", 404, code="not_found")
        return asked

    def _mine(self, asked: Asked, who: Person) -> dict[str, JSON]:
        return {**self._shown(asked), "userVotedForOptionId": asked.votes.get(who.id)}

    def _shown(self, asked: Asked, *, active: bool | None = None) -> dict[str, JSON]:
        """`PollResults` without what is each receiver's own."""
        options = [{**option, "voteCount": asked.counts[option["id"]]} for option in asked.poll["options"]]
        poll: dict[str, Any] = {**asked.poll, "isActive": asked.active if active is None else active}
        return {"poll": {**poll, "options": options, "totalVotes": len(asked.votes)}}


def _check_option(asked: Asked, option_id: str, field: str) -> None:
    if option_id not in asked.counts:
        raise Refused(f"{field} is not an option of this poll", 404, code="not_found")
