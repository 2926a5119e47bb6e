"""Gamification: points for taking part, achievements and the leaderboard of a session (contract 1, §9).

Nobody asks for points. This feature listens to the facts of others and awards in the same commit: to whoever acted,
never for acting on their own content, a vote in one's own poll included. Taking a reaction or an upvote back takes its
points back, and only if it had earned any. An anonymous question earns nothing and unlocks nothing, since the moment
of the award would tell whose it was (contracts, point 23). Achievements answer to awards, so what earns nothing
unlocks nothing either; an achievement stays when points are taken back.

The standing is kept as score → people, those who reached a score first before the others. So neither the top of the
list nor anybody's rank takes a look at every person, and thousands can join while thousands play.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nlargest
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Person,
    Table,
    Whole,
    applies,
    command,
    full_name,
    on,
    payload,
    reading,
    user,
    view,
)

TOP_ENTRIES = 10
ENTRIES_MAX = 100
EXPORTED = ("userId", "name", "points", "badges")
IDS_FROM = 1_000
"""Ids that a listener draws are counted from here: those below are for the command that was asked."""

Reason: TypeAlias = Literal[
    "MESSAGE_SENT",
    "MESSAGE_REACTED",
    "QUESTION_ASKED",
    "QUESTION_UPVOTED",
    "POLL_CREATED",
    "POLL_VOTED",
    "WAITLIST_JOINED",
]

POINTS: dict[Reason, int] = {
    "MESSAGE_SENT": 1,
    "MESSAGE_REACTED": 2,
    "QUESTION_ASKED": 5,
    "QUESTION_UPVOTED": 2,
    "POLL_CREATED": 10,
    "POLL_VOTED": 1,
    "WAITLIST_JOINED": 3,
}
"""Contract 1, §9.6."""


@dataclass(frozen=True, slots=True)
class Badge:
    """An achievement: for `least` awards of a reason, or (without a reason) for `least` points."""

    name: str
    description: str
    least: int
    reason: Reason | None = None


BADGES = (
    Badge("Question Asker", "Asked a first question", 1, "QUESTION_ASKED"),
    Badge("Engaged Attendee", "Reached 50 points", 50),
    Badge("Super Voter", "Voted in 5 polls", 5, "POLL_VOTED"),
)
"""Contract 1, §9.7."""


@payload
class ReadLeaderboard:
    """Query of `GET /api/sessions/{id}/leaderboard`."""

    limit: Annotated[int, Whole(1, ENTRIES_MAX)] = TOP_ENTRIES


class Player(TypedDict):
    """A person as everybody may see them."""

    id: str
    firstName: str
    lastName: str


class LeaderboardEntry(TypedDict):
    """One line; equal scores share a rank, and the next rank counts them all (1, 1, 3)."""

    rank: int
    user: Player
    score: int


class CurrentUser(TypedDict):
    """Where somebody stands; no rank without points."""

    rank: int | None
    score: int


class LeaderboardUpdate(TypedDict):
    """Contract 1, §9.2."""

    topEntries: list[LeaderboardEntry]


class Leaderboard(LeaderboardUpdate):
    """The top and where the asker stands."""

    currentUser: CurrentUser


class LeaderboardSnapshot(TypedDict):
    """The top 10 and where the receiver stands."""

    leaderboard: Leaderboard


class LeaderboardReply(TypedDict):
    """Contract 1, §9.1."""

    event: Literal["leaderboard.data"]
    data: Leaderboard


class Achievement(TypedDict):
    """Contract 1, §9.4."""

    id: str
    badgeName: str
    description: str
    unlockedAt: str


class PointsAwarded(TypedDict):
    """Contract 1, §9.5; `points` is negative when they are taken back."""

    points: int
    reason: Reason
    newTotalScore: int


@dataclass(slots=True)
class Standing:
    """What one person earned."""

    user: dict[str, str]
    score: int = 0
    times: dict[str, int] = field(default_factory=dict)  # reason → awards, less those taken back
    badges: tuple[str, ...] = ()  # few have any: an empty set is 216 bytes


def _awarded(data: dict[str, JSON], _: str) -> JSON:
    return {name: data[name] for name in ("points", "reason", "newTotalScore")}


def _unlocked(data: dict[str, JSON], _: str) -> JSON:
    return data["achievement"]


@dataclass
class Gamification(Feature):
    """Who earned what in one session."""

    name: ClassVar[str] = "gamification"
    emits = (
        Emits(
            "gamification.points.awarded",
            PointsAwarded,
            "You earned points, or gave some back.",
            to=user("{userId}"),
            render=_awarded,
        ),
        Emits(
            "achievement.unlocked",
            Achievement,
            "You unlocked an achievement.",
            to=user("{userId}"),
            render=_unlocked,
        ),
        Emits("leaderboard.updated", LeaderboardUpdate, "The top 10, at most 4 times a second."),
    )

    people: dict[str, Standing] = field(default_factory=dict)
    by_score: dict[int, dict[str, None]] = field(default_factory=dict)  # score above 0 → people, first come first
    given: dict[str, set[str]] = field(default_factory=dict)  # message, question or poll → deeds that earned points
    creators: dict[str, str] = field(default_factory=dict)  # poll → person

    @command("leaderboard.request", key=Key.OPTIONAL, rate="20/10s", reads=True, returns=LeaderboardReply)
    def request(self, ask: Ask[Empty]) -> Outcome:
        """Show the top 10 and where the asker stands."""
        return Outcome(reply={"event": "leaderboard.data", "data": self._board(ask.who.id, TOP_ENTRIES)})

    @reading(
        "leaderboard.read",
        rate="60/10s",
        returns=Leaderboard,
        rest="GET /sessions/{sessionId}/leaderboard",
    )
    def read(self, ask: Ask[ReadLeaderboard]) -> Outcome:
        """Show the top of the leaderboard and where the asker stands."""
        return Outcome(reply={**self._board(ask.who.id, ask.payload.limit)})

    @view("leaderboard.updated", after=("gamification.points.awarded",))
    def updated(self, key: str) -> JSON:
        """The top 10."""
        return {"topEntries": self._top(TOP_ENTRIES)}

    def snapshot(self, who: Person) -> LeaderboardSnapshot:
        """The top 10 and where this person stands."""
        return {"leaderboard": self._board(who.id, TOP_ENTRIES)}

    def export(self, at_ms: int) -> dict[str, Table]:
        """What everybody earned, in the order of their first points."""
        rows = (
            (user_id, full_name(one.user), one.score, [badge.name for badge in BADGES if badge.name in one.badges])
            for user_id, one in self.people.items()
        )
        return {"points": Table(EXPORTED, rows)}

    @on("chat.message.new")
    def message_sent(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever writes earns."""
        return self._earned(data["message"]["author"], "MESSAGE_SENT")

    @on("chat.message.reacted")
    def message_reacted(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever reacts to another's message earns, until they take the reaction back."""
        message = data["message"]
        deed = f"{data['userId']} {data['emoji']}"
        return self._toggled(data, message["authorId"], "MESSAGE_REACTED", message["id"], deed, ask)

    @on("qa.question.asked")
    def question_asked(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever asks under their name earns."""
        return Outcome() if data["anonymous"] else self._earned(data["question"]["author"], "QUESTION_ASKED")

    @on("qa.question.upvoted")
    def question_upvoted(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever is for another's question earns, until they take that back."""
        question_id = data["question"]["id"]
        return self._toggled(data, data["authorId"], "QUESTION_UPVOTED", question_id, data["userId"], ask)

    @on("poll.opened")
    def poll_created(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever creates a poll earns, once, however often it is opened."""
        poll = data["poll"]
        if poll["id"] in self.given:
            return Outcome()
        return self._earned(self._player(poll["creatorId"], ask), "POLL_CREATED", poll["id"], poll["creatorId"])

    @on("poll.voted")
    def poll_voted(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever votes in another's poll earns, once; not where nobody is to know."""
        own = self.creators.get(data["pollId"]) == data["voter"]["id"]
        voter_id, poll_id = data["voter"]["id"], data["pollId"]
        again = voter_id in self.given.get(poll_id, ())  # the vote was changed, or all votes were thrown away since
        quiet = own or again or data["anonymous"]  # an award at that moment would tell who voted
        return Outcome() if quiet else self._earned(data["voter"], "POLL_VOTED", poll_id, voter_id)

    @on("waitlist.joined")
    def waitlist_joined(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Whoever queues for a place earns."""
        return self._earned(self._player(data["userId"], ask), "WAITLIST_JOINED")

    @on("gamification.points.awarded")
    def unlock(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Unlock the achievements that this award completes."""
        user_id = data["userId"]
        standing = self.people[user_id]
        facts = []
        for n, badge in enumerate(BADGES):
            reached = standing.times.get(badge.reason, 0) if badge.reason else standing.score
            if reached >= badge.least and badge.name not in standing.badges:
                shown = Achievement(
                    id=ask.new_id(IDS_FROM + n),
                    badgeName=badge.name,
                    description=badge.description,
                    unlockedAt=ask.now,
                )
                facts.append(Fact("achievement.unlocked", {"userId": user_id, "achievement": shown}, (user(user_id),)))
        return Outcome(facts)

    @applies("gamification.points.awarded")
    def _on_awarded(self, data: dict[str, JSON], at_ms: int) -> None:
        user_id, points, reason = data["userId"], data["points"], data["reason"]
        standing = self.people.setdefault(user_id, Standing(data["user"]))
        standing.user = data["user"]
        standing.times[reason] = standing.times.get(reason, 0) + (1 if points > 0 else -1)
        self._move(user_id, standing.score, standing.score + points)
        standing.score += points
        if target := data.get("target"):
            deeds = self.given.setdefault(target, set())
            if points > 0:
                deeds.add(data["deed"])
            else:
                deeds.discard(data["deed"])
                if not deeds:
                    del self.given[target]

    @applies("achievement.unlocked")
    def _on_unlocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people[data["userId"]].badges += (data["achievement"]["badgeName"],)

    @applies("poll.opened")
    def _on_poll_opened(self, data: dict[str, JSON], at_ms: int) -> None:
        self.creators[data["poll"]["id"]] = data["poll"]["creatorId"]

    @applies("chat.message.deleted")
    def _on_message_deleted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.given.pop(data["gone"]["messageId"], None)  # no reaction to it can be taken back any more

    def _toggled(
        self, data: dict[str, JSON], author_id: str, reason: Reason, target: str, deed: str, ask: Ask[Any]
    ) -> Outcome:
        user_id = data["userId"]
        if not data["added"]:
            gave = deed in self.given.get(target, ())
            return self._earned(self._player(user_id, ask), reason, target, deed, back=True) if gave else Outcome()
        return Outcome() if user_id == author_id else self._earned(self._player(user_id, ask), reason, target, deed)

    def _earned(
        self, player: dict[str, str], reason: Reason, target: str = "", deed: str = "", *, back: bool = False
    ) -> Outcome:
        """Award, or take back. A `deed` on a `target` is remembered."""
        user_id, points = player["id"], -POINTS[reason] if back else POINTS[reason]
        score = self.people[user_id].score if user_id in self.people else 0
        data = {"userId": user_id, "user": player, "points": points, "reason": reason, "newTotalScore": score + points}
        if target:
            data |= {"target": target, "deed": deed}
        return Outcome([Fact("gamification.points.awarded", data, (user(user_id),))])

    def _player(self, user_id: str, ask: Ask[Any]) -> dict[str, str]:
        """A person by id, with the names they have in this ask, else in their last award."""
        if ask.who.id == user_id:
            return ask.who.public()
        known = self.people.get(user_id)
        return known.user if known is not None else Person(user_id).public()

    def _move(self, user_id: str, before: int, after: int) -> None:
        if before > 0:
            del self.by_score[before][user_id]
            if not self.by_score[before]:
                del self.by_score[before]
        if after > 0:
            self.by_score.setdefault(after, {})[user_id] = None

    def _top(self, most: int) -> list[LeaderboardEntry]:
        entries: list[LeaderboardEntry] = []
        rank = 1
        for score in nlargest(most, self.by_score):
            for user_id in self.by_score[score]:
                if len(entries) == most:
                    return entries
                entries.append({"rank": rank, "user": _shown(self.people[user_id].user), "score": score})
            rank += len(self.by_score[score])
        return entries

    def _board(self, user_id: str, most: int) -> Leaderboard:
        score = self.people[user_id].score if user_id in self.people else 0
        above = sum(len(people) for others, people in self.by_score.items() if others > score)
        return {
            "topEntries": self._top(most),
            "currentUser": {"rank": above + 1 if score > 0 else None, "score": score},
        }


def _shown(player: dict[str, str]) -> Player:
    return Player(id=player["id"], firstName=player["firstName"], lastName=player["lastName"])
