"""A poll with its votes: whether it takes one now, what they come to, and who may see that.

Plain data that facts change; `livehub.features.polls` decides and this counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from livehub.ask import After, Cancel, Person, iso
from livehub.ballots import counts, marks, quiz_points, vote_hash
from livehub.errors import Refused
from livehub.exporting import Table, full_name

JSON: TypeAlias = Any
PRESENTS = ("poll:manage", "sessions:manage")
LEADERS_MAX = 10
POLL_COLUMNS = (
    *("pollId", "question", "pollType", "status", "isAnonymous", "options", "counts", "totalVotes", "rejectedVotes"),
    *("correctOptionId", "voteHash", "createdAt"),
)
VOTE_COLUMNS = ("pollId", "voteId", "voteData", "acceptedAt", "participantId", "name")


def check_session(status: str) -> None:
    """Raise `Refused` where no poll may be opened or voted in (contracts, point 28)."""
    if status in ("draft", "ended"):
        raise Refused("Session is not active", 409, code="session_not_active")


@dataclass(slots=True)
class Vote:
    """One vote that counts: what it says, who gave it and when."""

    id: str
    data: dict[str, JSON]
    voter: dict[str, str]
    at_ms: int


@dataclass(slots=True)
class Asked:
    """`votes` is person → vote, in the order of the votes; `tally` is what they count for, and nothing else."""

    poll: dict[str, JSON]
    right: str | None = None
    status: str = "draft"
    opened_ms: int = 0
    votes: dict[str, Vote] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    draws: list[dict[str, JSON]] = field(default_factory=list)

    def take(self, vote: Vote) -> None:
        """Count a vote, instead of the one that its voter gave before."""
        before = self.votes.pop(vote.voter["id"], None)
        if before is not None:
            self.tally -= marks(self.poll, before.data)
        self.votes[vote.voter["id"]] = vote
        self.tally.update(marks(self.poll, vote.data))  # unlike `+=`, which looks at all that was ever counted

    def empty(self) -> None:
        """Forget all votes: it is a draft again."""
        self.status, self.opened_ms = "draft", 0
        self.votes.clear()
        self.tally.clear()
        self.rejected.clear()
        self.draws.clear()

    def check_open(self, session_status: str, user_id: str, at_ms: int) -> None:
        """Raise `Refused` with the reason if this person's vote does not count now."""
        check_session(session_status)
        limit_ms = self.limit_ms
        if self.status == "closed" or (self.status == "active" and limit_ms and at_ms >= self.opened_ms + limit_ms):
            raise Refused("Poll is no longer active", 409, code="poll_closed")
        if self.status != "active":
            told = "Poll is no longer active" if self.opened_ms else "Poll is not active"
            raise Refused(told, 409, code="poll_not_active")
        if user_id in self.votes and not self.poll["allowChange"]:
            raise Refused("You have already voted in this poll", 409, code="duplicate_vote")

    def check_option(self, option_id: str, field: str) -> None:
        """Raise `Refused`, naming the field, if this is no option."""
        if all(option["id"] != option_id for option in self.poll["options"]):
            raise Refused(f"{field} is not an option of this poll", 404, code="not_found")

    @property
    def limit_ms(self) -> int:
        """How long the poll takes votes; 0 without a limit."""
        return (self.poll["durationS"] or 0) * 1000

    @property
    def proof(self) -> str:
        """The hash of the votes, in the order in which they were accepted."""
        return vote_hash((vote.id, vote.data) for vote in self.votes.values())

    def rings(self, at_ms: int) -> list[After]:
        """What closes the poll at the end of its time, if it is opened now and has one."""
        told = {"pollId": self.poll["id"], "openedMs": at_ms}
        return [After(self._timer, at_ms + self.limit_ms, "poll.time.up", told)] if self.limit_ms else []

    def hush(self) -> list[Cancel]:
        """What keeps its time from ending."""
        return [Cancel(self._timer)] if self.limit_ms else []

    @property
    def _timer(self) -> str:
        return f"poll:{self.poll['id']}"

    def sees(self, who: Person) -> bool:
        """Whether somebody may see the counts now. Presenters always may."""
        if who.id == self.poll["creatorId"] or any(map(who.can, PRESENTS)):
            return True
        visibility = self.poll["resultsVisibility"]
        if visibility == "after_vote":
            return self.status == "closed" or who.id in self.votes
        return bool(visibility == "always" or (visibility == "after_close" and self.status == "closed"))

    def own(self, who: Person) -> list[JSON]:
        """What is somebody's own of the results: the (first) option they voted for, and whether they see the counts."""
        vote = self.votes.get(who.id)
        chosen = vote.data.get("selectedOptionIds") if vote is not None else None
        return [chosen[0] if chosen else None, self.sees(who)]

    def results(self, *, status: str = "") -> dict[str, JSON]:
        """Description and counts, without what is each receiver's own; the right answer of a quiz once it is closed."""
        status = status or self.status
        found = counts(self.poll, self.tally, len(self.votes))
        shares = {share["optionId"]: share for share in found.pop("voteBreakdown", ())}
        options = [
            {
                **option,
                "voteCount": shares[option["id"]]["voteCount"],
                "percentage": shares[option["id"]]["percentage"],
            }
            for option in self.poll["options"]
        ]
        poll = {**self.poll, "options": options, "isActive": status == "active", "status": status}
        poll |= {"totalVotes": len(self.votes), **found}
        if status == "closed" and self.right is not None:
            poll["correctOptionId"] = self.right
            if not self.poll["isAnonymous"]:
                poll["leaders"] = self._leaders()
        return {"poll": poll}

    def after(self, vote: dict[str, JSON], who: Person) -> dict[str, JSON]:
        """The counts as they are with a vote that is about to be taken, if its voter may see them then.

        A word cloud's come with the view, a moment later: among 30,000 words, to sort them for each vote took 6 ms.
        """
        if not (self.sees(who) or self.poll["resultsVisibility"] == "after_vote"):
            return {}
        before = self.votes.get(who.id)
        votes = len(self.votes) + (before is None)
        if self.poll["pollType"] == "word_cloud":
            return {"counts": {"currentVoteCount": votes}}
        tally = self.tally + marks(self.poll, vote["data"])
        if before is not None:
            tally -= marks(self.poll, before.data)
        return {"counts": {"currentVoteCount": votes, **counts(self.poll, tally, votes)}}

    def ended(self, status: str, at: str) -> dict[str, JSON]:
        """Data of the fact that the poll takes no more votes: `inactive`, or `closed` with what proves the counts."""
        data = {"pollId": self.poll["id"], "results": self.results(status=status), "at": at}
        if status == "closed":
            data["voteHash"] = self.proof
            data["rejected"] = dict(self.rejected)
        return data

    def _leaders(self) -> list[JSON]:
        """Who was right, the quickest first."""
        right = [
            (quiz_points(vote.at_ms - self.opened_ms, self.limit_ms), vote.voter)
            for vote in self.votes.values()
            if vote.data["selectedOptionIds"] == [self.right]
        ]
        right.sort(key=lambda leader: -leader[0])  # those who were as quick stay in the order of their votes
        return [{"person": voter, "points": points} for points, voter in right[:LEADERS_MAX]]


def exported(polls: Iterable[Asked], participants: Mapping[str, str]) -> dict[str, Table]:
    """All polls, and of each all votes that count, in the order of acceptance: `voteHash` can be made of them.

    Of a vote in an anonymous poll there is neither who nor when: what else people did at that moment would tell. The
    right answer of a quiz is told once the poll is closed.
    """
    known = list(polls)
    votes = (row for asked in known for row in _votes(asked, participants))
    return {"polls": Table(POLL_COLUMNS, map(_poll, known)), "votes": Table(VOTE_COLUMNS, votes)}


def _poll(asked: Asked) -> tuple[JSON, ...]:
    poll, votes = asked.poll, len(asked.votes)
    about = (poll["id"], poll["question"], poll["pollType"], asked.status, poll["isAnonymous"], poll["options"])
    found = (counts(poll, asked.tally, votes), votes, dict(asked.rejected))
    return (*about, *found, asked.right if asked.status == "closed" else None, asked.proof, poll["createdAt"])


def _votes(asked: Asked, participants: Mapping[str, str]) -> Iterator[tuple[JSON, ...]]:
    for vote in asked.votes.values():
        who: tuple[JSON, ...] = (None, None, None)
        if not asked.poll["isAnonymous"]:
            who = (iso(vote.at_ms), participants.get(vote.voter["id"], vote.voter["id"]), full_name(vote.voter))
        yield (asked.poll["id"], vote.id, vote.data, *who)
