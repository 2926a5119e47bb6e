"""Contract 1, §9: points for every deed of its table, achievements, the leaderboard, teams (contracts, point 23)."""

from __future__ import annotations

from typing import Any, TypeAlias

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_TIME, AN_ID
from tests.endtoend.node import Client
from tests.endtoend.stage import key

AWARD = "gamification.points.awarded"
BADGE = "achievement.unlocked"
PERSONAL = (AWARD, BADGE)

Entry: TypeAlias = tuple[int, Client, int]
Entries: TypeAlias = tuple[Entry, ...]
"""Rank, person and score of those on the leaderboard."""


async def act(who: Client, event: str, **payload: Any) -> dict[str, Any]:
    """Do something whose own events are proven elsewhere: the ack."""
    answer: dict[str, Any] = await who.ask(event, {**payload, "idempotencyKey": key()})
    assert answer["success"] is True, answer
    return answer


async def settle(cast: Cast, *lines: Line) -> None:
    """As `Cast.hears`, for points and achievements alone: what else was heard is proven elsewhere."""
    await cast.hears(*lines, only=PERSONAL)


def badge(cast: Cast, who: Client, name: str, description: str) -> Line:
    """An achievement, on every device of whoever unlocked it."""
    shown = {"id": AN_ID, "badgeName": name, "description": description, "unlockedAt": A_TIME}
    return Line(cast.devices(who), BADGE, shown)


def asker(cast: Cast, who: Client) -> Line:
    """What a first question unlocks."""
    return badge(cast, who, "Question Asker", "Asked a first question")


async def poll(cast: Cast, creator: Client) -> dict[str, str]:
    """A new poll: what a vote for its first option is."""
    answer = await act(creator, "poll.create", question="?", options=[{"text": "Yes"}, {"text": "No"}])

    def opened() -> list[dict[str, Any]]:
        return [poll for poll in creator.payloads("poll.opened") if poll["id"] == answer["pollId"]]

    (shown,) = await creator.until(opened)
    return {"pollId": answer["pollId"], "optionId": shown["options"][0]["id"]}


async def test_every_deed_is_worth_its_points_to_its_doer_alone(cast: Cast) -> None:
    message = await act(cast.ada, "chat.message.send", text="Hello")
    await settle(cast, cast.earns(cast.ada, 1, "MESSAGE_SENT"))
    await act(cast.bob, "chat.message.react", messageId=message["messageId"], emoji="👍")
    await settle(cast, cast.earns(cast.bob, 2, "MESSAGE_REACTED"))
    question = await act(cast.ada, "qa.question.ask", text="Why?")
    await settle(cast, cast.earns(cast.ada, 5, "QUESTION_ASKED"), asker(cast, cast.ada))
    await act(cast.moderator, "qna.question.upvote", questionId=question["questionId"])
    await settle(cast, cast.earns(cast.moderator, 2, "QUESTION_UPVOTED"))
    ballot = await poll(cast, cast.speaker)
    await settle(cast, cast.earns(cast.speaker, 10, "POLL_CREATED"))
    await act(cast.bob, "poll.vote.submit", **ballot)
    await settle(cast, cast.earns(cast.bob, 1, "POLL_VOTED"))


async def test_nobody_earns_from_themselves_and_what_is_undone_is_given_back(cast: Cast) -> None:
    message = (await act(cast.ada, "chat.message.send", text="Hello"))["messageId"]
    question = (await act(cast.ada, "qa.question.ask", text="Why?"))["questionId"]
    sent, wrote = cast.earns(cast.ada, 1, "MESSAGE_SENT"), cast.earns(cast.ada, 5, "QUESTION_ASKED")
    await settle(cast, sent, wrote, asker(cast, cast.ada))
    for who, points in ((cast.ada, 0), (cast.bob, 2), (cast.bob, -2), (cast.ada, 0)):
        await act(who, "chat.message.react", messageId=message, emoji="👍")
        await settle(cast, *([cast.earns(who, points, "MESSAGE_REACTED")] if points else []))
        await act(who, "qna.question.upvote", questionId=question)
        await settle(cast, *([cast.earns(who, points, "QUESTION_UPVOTED")] if points else []))
    ballot = await poll(cast, cast.speaker)
    await settle(cast, cast.earns(cast.speaker, 10, "POLL_CREATED"))
    await act(cast.speaker, "poll.vote.submit", **ballot)
    await act(cast.bob, "qa.question.ask", text="Whose is this?", isAnonymous=True)
    await settle(cast)


async def test_achievements_are_unlocked_once_and_told_to_nobody_else(cast: Cast) -> None:
    for question in range(2):
        await act(cast.bob, "qa.question.ask", text="Why?")
        first = [] if question else [asker(cast, cast.bob)]
        await settle(cast, cast.earns(cast.bob, 5, "QUESTION_ASKED"), *first)
    for n in range(1, 7):
        ballot = await poll(cast, cast.speaker)
        engaged = [badge(cast, cast.speaker, "Engaged Attendee", "Reached 50 points")] if n == 5 else []
        await settle(cast, cast.earns(cast.speaker, 10, "POLL_CREATED"), *engaged)
        await act(cast.ada, "poll.vote.submit", **ballot)
        voter = [badge(cast, cast.ada, "Super Voter", "Voted in 5 polls")] if n == 5 else []
        await settle(cast, cast.earns(cast.ada, 1, "POLL_VOTED"), *voter)


async def test_the_leaderboard_ranks_who_earned_something(cast: Cast) -> None:
    async def requested(who: Client, current: dict[str, Any], *entries: Entry) -> None:
        board = {"topEntries": listed(entries), "currentUser": current}
        await cast.asks(who, "leaderboard.request", None, event="leaderboard.data", data=board)

    def listed(entries: Entries) -> list[dict[str, Any]]:
        return [{"rank": rank, "user": cast.person(who), "score": score} for rank, who, score in entries]

    async def shown(earned: Line, *entries: Entry) -> None:
        board = Line(cast.seated, "leaderboard.updated", {"topEntries": listed(entries)})
        await cast.hears(earned, board, only=(*PERSONAL, "leaderboard.updated"))

    await requested(cast.ada, {"rank": None, "score": 0})
    await act(cast.bob, "chat.message.send", text="One")
    await shown(cast.earns(cast.bob, 1, "MESSAGE_SENT"), (1, cast.bob, 1))
    await act(cast.ada, "chat.message.send", text="Two")
    await shown(cast.earns(cast.ada, 1, "MESSAGE_SENT"), (1, cast.bob, 1), (1, cast.ada, 1))
    await act(cast.speaker, "chat.message.send", text="Three")
    tied: Entries = ((1, cast.bob, 1), (1, cast.ada, 1), (1, cast.speaker, 1))
    await shown(cast.earns(cast.speaker, 1, "MESSAGE_SENT"), *tied)
    await act(cast.ada, "chat.message.send", text="Four")
    ranked: Entries = ((1, cast.ada, 2), (2, cast.bob, 1), (2, cast.speaker, 1))  # 1, 2, 2 and then 4
    await shown(cast.earns(cast.ada, 1, "MESSAGE_SENT"), *ranked)
    await poll(cast, cast.owner)
    ranked = ((1, cast.owner, 10), (2, cast.ada, 2), (3, cast.bob, 1), (3, cast.speaker, 1))
    await shown(cast.earns(cast.owner, 10, "POLL_CREATED"), *ranked)
    await requested(cast.bob, {"rank": 3, "score": 1}, *ranked)
    await requested(cast.moderator, {"rank": None, "score": 0}, *ranked)
    await requested(cast.elsewhere, {"rank": None, "score": 0})  # points are per session
    board = {"topEntries": listed(ranked), "currentUser": {"rank": 2, "score": 2}}
    await cast.does(cast.ada, "leaderboard.request", event="leaderboard.data", data=board)


async def test_teams_have_the_points_of_their_members(cast: Cast) -> None:
    def teams(*scores: tuple[int, str, str, int, int]) -> Line:
        fields = ("rank", "teamId", "name", "memberCount", "score")
        listed = [dict(zip(fields, score, strict=True)) for score in scores]
        return Line(cast.seated, "team.leaderboard.updated", {"teamScores": listed})

    await act(cast.ada, "chat.message.send", text="Before there were teams")
    await settle(cast, cast.earns(cast.ada, 1, "MESSAGE_SENT"))
    reds = (await cast.does(cast.ada, "team.create", {"name": "Reds"}, teamId=AN_ID, name="Reds"))["teamId"]
    await cast.hears(teams((1, reds, "Reds", 1, 1)))
    blues = (await cast.does(cast.bob, "team.create", {"name": "Blues"}, teamId=AN_ID, name="Blues"))["teamId"]
    await cast.hears(teams((1, reds, "Reds", 1, 1), (2, blues, "Blues", 1, 0)))
    await cast.does(cast.speaker, "team.join", {"teamId": blues}, teamId=blues)
    await cast.hears(teams((1, reds, "Reds", 1, 1), (2, blues, "Blues", 2, 0)))
    await poll(cast, cast.speaker)
    scored = teams((1, blues, "Blues", 2, 10), (2, reds, "Reds", 1, 1))
    await cast.hears(cast.earns(cast.speaker, 10, "POLL_CREATED"), scored, only=(*PERSONAL, scored.event))
    again = "You are in the team Blues already, leave it first"
    await cast.refuses(cast.speaker, "team.join", {"teamId": reds}, 409, again)
    await cast.refuses(cast.speaker, "team.create", {"name": "Greens"}, 409, again)
    await cast.refuses(cast.owner, "team.create", {"name": " REDS"}, 409, "A team with this name exists already")
    for who, team_id in ((cast.owner, UNKNOWN_ID), (cast.elsewhere, reds)):
        await cast.refuses(who, "team.join", {"teamId": team_id}, 404, "Team not found")
    await cast.refuses(cast.owner, "team.leave", {}, 409, "You are not in a team")
    await cast.hears()
    await cast.does(cast.speaker, "team.leave", {}, teamId=blues)
    await cast.hears(teams((1, reds, "Reds", 1, 1), (2, blues, "Blues", 1, 0)))
