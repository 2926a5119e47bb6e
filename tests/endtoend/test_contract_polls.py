"""Contract 1, §5: polls, votes, results as each voter sees them, and giveaways."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import AN_ID, one_of
from tests.endtoend.node import Client

OPTIONS = ["React Performance", "TypeScript Advanced", "Testing Strategies"]
FORBIDDEN = (403, "You do not have permission")
NOT_FOUND = (404, "Poll not found")
OVER = (409, "Poll is no longer active")
VOTED = (409, "You have already voted in this poll")


async def opened(cast: Cast, creator: Client, question: str = "What next?", *lines: Line) -> dict[str, Any]:
    """Have a poll opened and heard, after `lines`: as it is shown."""
    asked = {"question": question, "options": [{"text": text} for text in OPTIONS]}
    poll_id = (await cast.does(creator, "poll.create", asked, pollId=AN_ID))["pollId"]
    poll = {
        "id": poll_id,
        "question": question,
        "isActive": True,
        "creatorId": cast.id(creator),
        "sessionId": cast.session,
        "options": [{"id": AN_ID, "text": text} for text in OPTIONS],
        "creator": cast.person(creator),
    }
    await cast.hears(*lines, Line(cast.seated, "poll.opened", poll), cast.earns(creator, 10, "POLL_CREATED"))
    shown: dict[str, Any] = cast.ada.payloads("poll.opened")[-1]
    assert len({option["id"] for option in shown["options"]}) == len(OPTIONS)
    return shown


class Votes:
    """Who voted for what in a poll, and how its results look."""

    def __init__(self, cast: Cast, poll: dict[str, Any]) -> None:
        self.cast = cast
        self.poll = poll
        self.votes: dict[Client, str] = {}

    def ballot(self, option: int) -> dict[str, str]:
        """A vote for an option."""
        return {"pollId": self.poll["id"], "optionId": self.poll["options"][option]["id"]}

    def lines(self, event: str, *, active: bool = True) -> list[Line]:
        """`PollResults` as each in the session hears them, with their own vote."""
        chosen = list(self.votes.values())
        options = [{**option, "voteCount": chosen.count(option["id"])} for option in self.poll["options"]]
        poll = {**self.poll, "isActive": active, "options": options, "totalVotes": len(chosen)}
        own = {client: {"poll": poll, "userVotedForOptionId": self.votes.get(client)} for client in self.cast.seated}
        return [Line((client,), event, results) for client, results in own.items()]

    async def vote(self, who: Client, option: int) -> None:
        """Vote, and have the results heard."""
        ballot = self.ballot(option)
        await self.cast.does(who, "poll.vote.submit", ballot, **ballot)
        self.votes[who] = ballot["optionId"]
        lines = self.lines("poll.results.updated")
        if self.poll["creatorId"] != self.cast.id(who):  # nobody earns from themselves
            lines.append(self.cast.earns(who, 1, "POLL_VOTED"))
        await self.cast.hears(*lines)


async def test_a_poll_is_opened_to_everybody_in_the_session(cast: Cast) -> None:
    await opened(cast, cast.speaker)


async def test_votes_are_counted_and_each_sees_their_own(cast: Cast) -> None:
    votes = Votes(cast, await opened(cast, cast.speaker))
    await votes.vote(cast.ada, 1)
    await votes.vote(cast.bob, 1)
    await votes.vote(cast.speaker, 2)
    for option in (1, 2):
        await cast.refuses(cast.ada, "poll.vote.submit", votes.ballot(option), *VOTED)
    ballot = votes.ballot(0)
    unknown = "optionId is not an option of this poll"
    await cast.refuses(cast.moderator, "poll.vote.submit", {**ballot, "optionId": UNKNOWN_ID}, 404, unknown)
    await cast.refuses(cast.moderator, "poll.vote.submit", {**ballot, "pollId": UNKNOWN_ID}, *NOT_FOUND)
    await cast.refuses(cast.elsewhere, "poll.vote.submit", ballot, *NOT_FOUND)
    await cast.hears()


async def test_a_vote_counts_once_on_all_devices_of_a_person(cast: Cast) -> None:
    votes = Votes(cast, await opened(cast, cast.speaker))
    await cast.joins(cast.tablet)
    await cast.does(cast.ada, "poll.vote.submit", votes.ballot(0), **votes.ballot(0))
    votes.votes[cast.ada] = votes.ballot(0)["optionId"]
    lines = {line.whom[0]: line for line in votes.lines("poll.results.updated")}
    both = Line((cast.ada, cast.tablet), "poll.results.updated", lines[cast.ada].payload)
    rest = [line for client, line in lines.items() if client not in both.whom]
    await cast.hears(both, *rest, cast.earns(cast.ada, 1, "POLL_VOTED"))
    await cast.refuses(cast.tablet, "poll.vote.submit", votes.ballot(1), *VOTED)
    await cast.hears()


async def test_a_closed_poll_shows_its_final_results_and_takes_no_votes(cast: Cast) -> None:
    votes = Votes(cast, await opened(cast, cast.speaker))
    await votes.vote(cast.ada, 0)
    close = {"pollId": votes.poll["id"], "action": "close"}
    for who in (cast.ada, cast.bob, cast.speaker):
        await cast.refuses(who, "poll.manage", close, *FORBIDDEN)
    await cast.refuses(cast.moderator, "poll.manage", {**close, "pollId": UNKNOWN_ID}, *NOT_FOUND)
    await cast.refuses(cast.elsewhere, "poll.manage", close, *NOT_FOUND)
    await cast.hears()
    await cast.does(cast.moderator, "poll.manage", close, pollId=votes.poll["id"])
    await cast.hears(*votes.lines("poll.closed", active=False))
    for who in (cast.bob, cast.ada):
        await cast.refuses(who, "poll.vote.submit", votes.ballot(1), *OVER)
    await cast.does(cast.owner, "poll.manage", close, pollId=votes.poll["id"])  # closing it again is no news
    await cast.hears()


async def test_a_new_poll_sets_the_one_before_it_aside(cast: Cast) -> None:
    first = Votes(cast, await opened(cast, cast.speaker, "First?"))
    await first.vote(cast.bob, 2)
    second = Votes(cast, await opened(cast, cast.owner, "Second?", *first.lines("poll.results.updated", active=False)))
    await cast.refuses(cast.ada, "poll.vote.submit", first.ballot(0), *OVER)
    await second.vote(cast.ada, 0)
    read = await cast.rest("GET", f"/sessions/{cast.session}/polls/{first.poll['id']}", who=cast.bob)
    assert (read["poll"]["isActive"], read["poll"]["totalVotes"]) == (False, 1)
    assert [option["voteCount"] for option in read["poll"]["options"]] == [0, 0, 1]
    assert read["userVotedForOptionId"] == first.ballot(2)["optionId"]


async def test_a_giveaway_draws_each_voter_of_the_option_once(cast: Cast) -> None:
    votes = Votes(cast, await opened(cast, cast.speaker))
    for who, option in ((cast.ada, 0), (cast.bob, 0), (cast.moderator, 1)):
        await votes.vote(who, option)
    poll_id, options = votes.poll["id"], [option["id"] for option in votes.poll["options"]]
    draw = {"pollId": poll_id, "winningOptionId": options[0], "prize": "Free conference ticket!"}
    for who in (cast.ada, cast.bob, cast.speaker):
        await cast.refuses(who, "poll.giveaway.start", draw, *FORBIDDEN)
    unknown = "winningOptionId is not an option of this poll"
    await cast.refuses(cast.moderator, "poll.giveaway.start", {**draw, "winningOptionId": UNKNOWN_ID}, 404, unknown)
    await cast.refuses(cast.moderator, "poll.giveaway.start", {**draw, "pollId": UNKNOWN_ID}, *NOT_FOUND)
    nobody = {**draw, "winningOptionId": options[2]}
    await cast.refuses(cast.moderator, "poll.giveaway.start", nobody, 409, "Nobody has voted for this option")
    await cast.hears()
    eligible = [cast.person(cast.ada), cast.person(cast.bob)]
    while eligible:  # first from an open poll, then from a closed one
        winner = one_of(*eligible)
        drawn = await cast.does(
            cast.moderator, "poll.giveaway.start", draw, pollId=poll_id, winner=winner, prize=draw["prize"]
        )
        shown = {"pollId": poll_id, "winner": drawn["winner"], "prize": draw["prize"]}
        await cast.hears(Line(cast.seated, "poll.giveaway.winner", shown))
        eligible.remove(drawn["winner"])
        if eligible:
            await cast.does(cast.moderator, "poll.manage", {"pollId": poll_id, "action": "close"}, pollId=poll_id)
            await cast.hears(*votes.lines("poll.closed", active=False))
    done = "Everybody who voted for this option has won already"
    await cast.refuses(cast.moderator, "poll.giveaway.start", draw, 409, done)
    await cast.hears()
