"""Polls: one question, one vote a person, counted exactly; and giveaways among those who voted for an option.

A vote is a fact that nobody hears: who voted for what is never shown, only counts are, as a view. The tally is what the
votes count for and changes with them alone, so it cannot differ from what was acked. What a type of poll takes and
counts is in `livehub.ballots`; how presenters prepare polls is in `presenting`, which lets this feature know by facts.

| from            | by                | to       |                                                               |
|-----------------|-------------------|----------|---------------------------------------------------------------|
| –               | created           | draft    | shown, takes no votes                                         |
| draft, inactive | opened            | active   | takes votes; the one that was active before becomes inactive  |
| active          | another is opened | inactive | keeps its votes, takes no more                                |
| active, inactive | closed, its time is over, the session ends | closed | final results, hash, right answer       |
| closed          | opened again      | active   | goes on with its votes                                        |
| any             | reset             | draft    | without votes                                                 |

**The draw of a giveaway** can be checked by anybody who may manage polls: of the people who voted for the option, in
the order of their votes, without those who have won in this poll before, the winner is number `seed % how many`,
counted from 0. The seed is 128 random bits that came with the ask; both are in the log and in `GET …/giveaways`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from livehub.ballots import CHOICES, NewOption, NewPoll, describe_poll, read_vote
from livehub.feature import (
    EVERYONE,
    JSON,
    NOTHING,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Own,
    Person,
    Refused,
    Seating,
    Table,
    Via,
    applies,
    command,
    internal,
    on,
    reading,
    view,
)
from livehub.pollbook import Asked, Vote, check_session, exported
from livehub.pollforms import (
    REASONS,
    CastVote,
    CreatePoll,
    GiveawayList,
    GiveawayWinner,
    ManagePoll,
    OnePoll,
    Poll,
    PollAck,
    PollList,
    PollResults,
    PollSettings,
    PollsSnapshot,
    StartGiveaway,
    SubmitVote,
    TimeUp,
    VoteAck,
    Voted,
    final_results,
    fit,
    opened_poll,
    visible,
    winner,
)

POLLS_PER_SESSION_MAX = 1_000
RESPONSES_SHOWN_MAX = 1_000
VOTE_ID = 3_000
"""Ids of one ask are numbered; those below are other features'."""

OWN_VOTE = Own("userVotedForOptionId", "own_vote", key="pollId", fit=fit)


@dataclass
class Polls(Feature):
    """The polls of one session, and their votes."""

    name: ClassVar[str] = "polls"
    Settings = PollSettings
    emits = (
        Emits("poll.opened", Poll, "A poll takes votes.", render=opened_poll),
        Emits(
            "poll.results.updated",
            PollResults,
            "The counts of the active poll, at most 4 times a second; and once when another poll takes its place.",
            of=("poll.set_aside",),
            render=final_results,
            own=OWN_VOTE,
        ),
        Emits(
            "poll.closed", PollResults, "A poll takes no more votes: final counts.", render=final_results, own=OWN_VOTE
        ),
        Emits("poll.giveaway.winner", GiveawayWinner, "A giveaway was drawn.", render=winner),
    )

    settings: PollSettings = field(default_factory=PollSettings)
    session_status: str = ""
    polls: dict[str, Asked] = field(default_factory=dict)  # in the order they were made
    participants: dict[str, str] = field(default_factory=dict)  # person → participant id

    @command("poll.create", needs="poll:create", rate="10/10s", returns=PollAck)
    def create(self, ask: Ask[CreatePoll]) -> Outcome:
        """Open a poll. The one that was open before takes no more votes."""
        check_session(self.session_status)
        if len(self.polls) >= POLLS_PER_SESSION_MAX:
            raise Refused(f"A session has at most {POLLS_PER_SESSION_MAX} polls", 409, code="too_many")
        new = NewPoll(ask.payload.question, options=[NewOption(option.text) for option in ask.payload.options])
        poll, right = describe_poll(
            new, ask.new_id, creator=ask.who.public(), session_id=self.room_id, at=ask.now, place=len(self.polls)
        )
        created = Fact("poll.created", {"pollId": poll["id"], "poll": poll, "right": right, "at": ask.now}, (EVERYONE,))
        return Outcome([created, Fact("poll.opening", {"pollId": poll["id"]})], {"pollId": poll["id"]})

    @command("poll.vote.submit", rate="10/10s", returns=VoteAck)
    def vote(self, ask: Ask[SubmitVote]) -> Outcome:
        """Vote for one option, once per poll."""
        asked, option_id = self._find(ask.payload.poll_id), ask.payload.option_id
        if asked.poll["pollType"] not in CHOICES:
            raise Refused(f"A poll of type {asked.poll['pollType']} takes no option", 409, code="invalid_option")
        asked.check_open(self.session_status, ask.who.id, ask.at_ms)
        asked.check_option(option_id, "optionId")
        fact = self._voted(asked, ask, {"selectedOptionIds": [option_id]})
        return Outcome([fact], {"pollId": ask.payload.poll_id, "optionId": option_id})

    @command("poll.vote.cast", rate="10/10s", key=Key.OPTIONAL, via=Via.CONTRACT, returns=Voted)
    def cast_vote(self, ask: Ask[CastVote]) -> Outcome:
        """Vote in a poll of any type. A vote that does not count is no error: it is counted among the rejected."""
        told, asked = ask.payload, self._find(ask.payload.poll_id)
        participant_id = self.participants.get(ask.who.id, ask.who.id)
        if told.participant_id not in (None, participant_id):
            raise Refused("participantId is not yours", 403, code="forbidden")
        who = {"pollId": told.poll_id, "participantId": participant_id}
        try:
            asked.check_open(self.session_status, ask.who.id, ask.at_ms)
            data = read_vote(asked.poll, told.vote_data, self.settings.blocked_words)
        except Refused as refusal:
            if refusal.code not in REASONS:
                raise
            why = {**who, "reason": refusal.code, "message": refusal.message, "timestamp": ask.now}
            rejected = Fact("poll.vote.rejected", {"pollId": told.poll_id, "reason": refusal.code})
            return Outcome([rejected], {"rejected": why}, declined=True)
        fact = self._voted(asked, ask, data)
        vote_id = fact.data["voteId"]
        accepted = {"voteId": vote_id, "receipt": vote_id, **who, "submittedAt": ask.now}
        return Outcome([fact], {"accepted": accepted, **asked.after(fact.data, ask.who)})

    @command("poll.manage", needs="poll:manage", rate="20/10s", returns=PollAck)
    def manage(self, ask: Ask[ManagePoll]) -> Outcome:
        """Close a poll. Closing it again is no error."""
        asked = self._find(ask.payload.poll_id)
        closing = [] if asked.status == "closed" else [Fact("poll.closing", {"pollId": ask.payload.poll_id})]
        return Outcome(closing, {"pollId": ask.payload.poll_id})

    @command("poll.giveaway.start", needs="poll:manage", rate="20/10s", returns=GiveawayWinner)
    def giveaway(self, ask: Ask[StartGiveaway]) -> Outcome:
        """Draw one of those who voted for an option; nobody wins twice in the same poll."""
        asked, option_id = self._find(ask.payload.poll_id), ask.payload.winning_option_id
        asked.check_option(option_id, "winningOptionId")
        if asked.poll["isAnonymous"]:
            raise Refused("A winner would tell who voted in an anonymous poll", 409, code="conflict")
        won = {draw["winner"]["id"] for draw in asked.draws}
        voters = [vote.voter for vote in asked.votes.values() if option_id in vote.data.get("selectedOptionIds", ())]
        candidates = [voter for voter in voters if voter["id"] not in won]
        if not candidates:
            told = (
                "Everybody who voted for this option has won already" if voters else "Nobody has voted for this option"
            )
            raise Refused(told, 409, code="no_voters")
        drawn = candidates[ask.seed % len(candidates)]
        shown = {"pollId": ask.payload.poll_id, "winner": drawn, "prize": ask.payload.prize}
        draw = {
            "winner": drawn,
            "prize": ask.payload.prize,
            "winningOptionId": option_id,
            "seed": str(ask.seed),
            "candidates": len(candidates),
            "drawnAt": ask.now,
        }
        data = {"pollId": ask.payload.poll_id, "shown": shown, "draw": draw}
        return Outcome([Fact("poll.giveaway.winner", data, (EVERYONE,))], {**shown})

    @reading(
        "poll.list",
        returns=PollList,
        rest="GET /sessions/{sessionId}/polls",
    )
    def every_poll(self, ask: Ask[Empty]) -> Outcome:
        """Show every poll of a session, with results and one's own vote."""
        return Outcome(reply={"polls": self.overview(ask.who)["polls"]})

    @reading(
        "poll.read",
        returns=PollResults,
        rest="GET /sessions/{sessionId}/polls/{pollId}",
    )
    def read(self, ask: Ask[OnePoll]) -> Outcome:
        """Show a poll, with results and one's own vote; answers in free text too."""
        asked = self._find(ask.payload.poll_id)
        shown = visible(asked.results(), asked.own(ask.who))
        if asked.poll["pollType"] == "open_text" and asked.sees(ask.who):
            latest = list(asked.votes.values())[-RESPONSES_SHOWN_MAX:]
            shown["responses"] = [vote.data["textResponse"] for vote in latest]
        return Outcome(reply=shown)

    @reading(
        "poll.giveaway.list",
        needs="poll:manage",
        seat=Seating.FREE,
        returns=GiveawayList,
        rest="GET /sessions/{sessionId}/polls/{pollId}/giveaways",
    )
    def giveaways(self, ask: Ask[OnePoll]) -> Outcome:
        """Show what was drawn, with all that is needed to check it."""
        return Outcome(reply={"giveaways": [*self._find(ask.payload.poll_id).draws]})

    @internal("poll.time.up")
    def time_up(self, ask: Ask[TimeUp]) -> Outcome:
        """Close a poll whose time is over, unless it was opened again meanwhile."""
        asked = self.polls.get(ask.payload["pollId"])
        if asked is None or asked.status != "active" or asked.opened_ms != ask.payload["openedMs"]:
            return NOTHING
        return Outcome([Fact("poll.closing", {"pollId": ask.payload["pollId"]})])

    @on("poll.opening")
    def open(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Set the active poll aside, open another, and have its time end."""
        asked = self.polls[data["pollId"]]
        facts = [
            Fact("poll.set_aside", other.ended("inactive", ask.now), (EVERYONE,))
            for other in self._active()
            if other is not asked
        ]
        poll = {**asked.poll, "isActive": True, "status": "active"}
        opened = Fact("poll.opened", {"pollId": data["pollId"], "poll": poll, "at": ask.now}, (EVERYONE,))
        return Outcome([*facts, opened], effects=asked.rings(ask.at_ms))

    @on("poll.closing")
    def close(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Show the final results."""
        asked = self.polls[data["pollId"]]
        closed = Fact("poll.closed", asked.ended("closed", ask.now), (EVERYONE,))
        return Outcome([closed], effects=asked.hush())

    @on("poll.set_aside", "poll.reset")
    def stop(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Its time does not go on."""
        return Outcome(effects=self.polls[data["pollId"]].hush())

    @on("session.ending")
    def end(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Close what is open before the session ends."""
        return Outcome([Fact("poll.closing", {"pollId": asked.poll["id"]}) for asked in self._active()])

    @view("poll.results.updated", after=("poll.voted",), key="pollId", own=OWN_VOTE)
    def results(self, poll_id: str) -> JSON:
        """The counts of a poll that takes votes; those of others have been told with their end."""
        asked = self.polls[poll_id]
        return asked.results() if asked.status == "active" else None

    def own_vote(self, poll_id: str, who: Person) -> JSON:
        """What is somebody's own of a poll's results."""
        return self.polls[poll_id].own(who)

    @applies("session.created")
    def _on_session_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = str(data.get("status", "active"))

    @applies("session.started")
    def _on_session_started(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = "active"

    @applies("session.ended")
    def _on_session_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = "ended"

    @applies("session.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants[data["userId"]] = str(data.get("participantId", data["userId"]))

    @applies("poll.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]] = Asked(data["poll"], data["right"])

    @applies("poll.edited")
    def _on_edited(self, data: dict[str, JSON], at_ms: int) -> None:
        asked = self.polls[data["pollId"]]
        asked.poll, asked.right = data["poll"], data["right"]

    @applies("poll.ordered")
    def _on_ordered(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls = {poll_id: self.polls[poll_id] for poll_id in data["pollIds"]}
        for place, asked in enumerate(self.polls.values()):
            asked.poll = {**asked.poll, "sequenceOrder": place}

    @applies("poll.opened")
    def _on_opened(self, data: dict[str, JSON], at_ms: int) -> None:
        asked = self.polls[data["pollId"]]
        asked.status, asked.opened_ms = "active", at_ms

    @applies("poll.voted")
    def _on_voted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].take(Vote(data["voteId"], data["data"], data["voter"], at_ms))

    @applies("poll.vote.rejected")
    def _on_rejected(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].rejected[data["reason"]] += 1

    @applies("poll.set_aside")
    def _on_set_aside(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].status = "inactive"

    @applies("poll.closed")
    def _on_closed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].status = "closed"

    @applies("poll.reset")
    def _on_reset(self, data: dict[str, JSON], at_ms: int) -> None:
        asked = self.polls[data["pollId"]]
        asked.empty()

    @applies("poll.giveaway.winner")
    def _on_winner(self, data: dict[str, JSON], at_ms: int) -> None:
        self.polls[data["pollId"]].draws.append(data["draw"])

    def snapshot(self, who: Person) -> PollsSnapshot:
        """The poll that takes votes, with this person's own."""
        active = [fit(asked.results(), asked.own(who)) for asked in self._active()]
        return {"activePoll": cast(PollResults, active[0]) if active else None}

    def overview(self, who: Person) -> dict[str, JSON]:
        """Every poll, with what this person may see of its results."""
        shown = [visible(asked.results(), asked.own(who)) for asked in self.polls.values()]
        return {"polls": shown, "activePollId": next((asked.poll["id"] for asked in self._active()), None)}

    def export(self, at_ms: int) -> dict[str, Table]:
        """Every poll, and the votes of each."""
        return exported(self.polls.values(), self.participants)

    def _active(self) -> list[Asked]:
        """The poll that takes votes, if there is one."""
        return [asked for asked in self.polls.values() if asked.status == "active"]

    def _find(self, poll_id: str) -> Asked:
        asked = self.polls.get(poll_id)
        if asked is None:
            raise Refused("Poll not found", 404, code="not_found")
        return asked

    def _voted(self, asked: Asked, ask: Ask[Any], vote: dict[str, JSON]) -> Fact:
        data = {
            "pollId": asked.poll["id"],
            "voteId": ask.new_id(VOTE_ID),
            "data": vote,
            "voter": ask.who.public(),
            "anonymous": asked.poll["isAnonymous"],
            "again": ask.who.id in asked.votes,
        }
        return Fact("poll.voted", data)
