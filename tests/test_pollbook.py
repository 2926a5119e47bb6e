"""A poll with its votes: when it takes one, what they come to, who sees that, and what is left of them at the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from livehub.ballots import QUIZ_POINTS, vote_hash
from livehub.errors import Refused
from livehub.exporting import Table
from livehub.feature import JSON, After, Cancel, Person, iso
from livehub.pollbook import LEADERS_MAX, Asked, Vote, exported
from tests.kit import ANNA, BEN, CARA, MODERATOR, OWNER, START_MS, person, uuid
from tests.test_ballots import VOTES, A, B, C, of

SAM = person("sam")
"""Who wrote the poll, with no permission at all."""
OPENED_MS = START_MS


def asked(poll_type: str = "multiple_choice", status: str = "active", **data: JSON) -> Asked:
    """A poll of a type; its right answer is B where it has one."""
    poll = of(poll_type, **data)
    return Asked(poll, B if poll_type == "quiz" else None, status, opened_ms=OPENED_MS if status != "draft" else 0)


def choose(book: Asked, who: Person, *options: str, after_ms: int = 0) -> str:
    """Take a vote for options: its id."""
    return take(book, who, {"selectedOptionIds": [*options]}, after_ms=after_ms)


def take(book: Asked, who: Person, data: dict[str, JSON], *, after_ms: int = 0) -> str:
    vote = Vote(uuid(random.Random(f"{who.id} {data} {after_ms}").getrandbits(60)), data, who.public(), 0)
    vote.at_ms = OPENED_MS + after_ms
    book.take(vote)
    return vote.id


def check(
    book: Asked, who: Person = ANNA, *, session: str = "active", after_ms: int = 0
) -> tuple[str, str, int] | None:
    """Why a vote does not count now; None if it does."""
    try:
        book.check_open(session, who.id, OPENED_MS + after_ms)
    except Refused as refusal:
        return refusal.code, refusal.message, refusal.status
    return None


# Whether it takes a vote


@pytest.mark.parametrize(
    ("session", "status", "why"),
    [
        ("active", "active", None),
        ("", "active", None),  # a session whose first fact is from before sessions had a status
        ("draft", "active", "session_not_active"),
        ("ended", "active", "session_not_active"),
        ("ended", "closed", "session_not_active"),
        ("active", "draft", "poll_not_active"),
        ("active", "inactive", "poll_not_active"),
        ("active", "closed", "poll_closed"),
    ],
)
def test_a_poll_takes_votes_while_it_and_its_session_are_active(session: str, status: str, why: str | None) -> None:
    found = check(asked(status=status), session=session)
    assert (found and found[0]) == why
    assert found is None or found[2] == 409


def test_a_second_vote_is_a_duplicate_unless_it_may_be_changed() -> None:
    for allowed in (False, True):
        book = asked(allowChange=allowed)
        choose(book, ANNA, A)
        why = None if allowed else ("duplicate_vote", "You have already voted in this poll", 409)
        assert check(book) == why
        assert check(book, BEN) is None


def test_the_texts_tell_a_poll_that_was_open_from_one_that_was_not() -> None:
    assert check(asked(status="draft")) == ("poll_not_active", "Poll is not active", 409)
    assert check(asked(status="inactive")) == ("poll_not_active", "Poll is no longer active", 409)
    assert check(asked(status="closed")) == ("poll_closed", "Poll is no longer active", 409)


def test_a_vote_at_the_very_end_is_too_late() -> None:
    book = asked(durationS=10)
    assert check(book, after_ms=9_999) is None
    assert check(book, after_ms=10_000) == ("poll_closed", "Poll is no longer active", 409)
    assert check(asked(), after_ms=10**12) is None, "without a limit there is no end"


def test_an_option_that_is_none_is_told_with_its_field() -> None:
    asked().check_option(A, "optionId")
    with pytest.raises(Refused) as caught:
        asked().check_option(uuid(99), "winningOptionId")
    told = "winningOptionId is not an option of this poll"
    assert (caught.value.message, caught.value.status, caught.value.code) == (told, 404, "not_found")


def test_its_end_rings_for_the_opening_that_it_was_made_for() -> None:
    book = asked(durationS=10)
    key, about = f"poll:{book.poll['id']}", {"pollId": book.poll["id"], "openedMs": OPENED_MS}
    assert book.rings(OPENED_MS) == [After(key, OPENED_MS + 10_000, "poll.time.up", about)]
    assert book.hush() == [Cancel(key)]
    assert (asked().rings(OPENED_MS), asked().hush()) == ([], [])


# What the votes come to


@pytest.mark.parametrize("poll_type", VOTES)
def test_a_vote_that_is_replaced_leaves_nothing_behind(poll_type: str) -> None:
    others: dict[str, dict[str, JSON]] = {
        "multiple_choice": {"selectedOptionIds": [C]},
        "quiz": {"selectedOptionIds": [C]},
        "ranking": {"rankedOptionIds": [B]},
        "rating_scale": {"ratingValue": 1},
        "word_cloud": {"words": ["dull"]},
        "open_text": {"textResponse": "Fewer."},
    }
    changed, fresh = asked(poll_type, allowChange=True), asked(poll_type, allowChange=True)
    take(changed, ANNA, VOTES[poll_type])
    take(changed, ANNA, others[poll_type], after_ms=5)
    take(fresh, ANNA, others[poll_type], after_ms=5)
    assert (changed, changed.results()) == (fresh, fresh.results())
    assert all(changed.tally.values())


def test_the_tally_is_always_that_of_the_votes() -> None:
    dice, people = random.Random(4), [person(f"p{n}") for n in range(12)]
    book = asked(allowMultiple=True, allowChange=True)
    options = [option["id"] for option in book.poll["options"]]
    for _ in range(300):
        choose(book, dice.choice(people), *dice.sample(options, dice.randint(1, 4)))
        counted = Counter(option for vote in book.votes.values() for option in vote.data["selectedOptionIds"])
        assert book.tally == counted
    assert book.results()["poll"]["totalVotes"] == len(book.votes) <= len(people)


def test_results_are_the_description_with_counts_and_status() -> None:
    book = asked()
    choose(book, ANNA, A)
    choose(book, BEN, A)
    choose(book, CARA, C)
    poll = book.results()["poll"]
    assert [(option["voteCount"], option["percentage"]) for option in poll["options"]] == [
        (2, 66.7), (0, 0.0), (1, 33.3), (0, 0.0),
    ]  # fmt: skip
    assert (poll["totalVotes"], poll["status"], poll["isActive"]) == (3, "active", True)
    assert {name: poll[name] for name in book.poll if name not in ("options", "isActive")} == {
        name: book.poll[name] for name in book.poll if name not in ("options", "isActive")
    }
    assert (book.results(status="closed")["poll"]["isActive"], book.status) == (False, "active")


@pytest.mark.parametrize(
    ("poll_type", "fields"),
    [
        ("rating_scale", {"averageRating": 4.0, "ratingDistribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 0}}),
        ("word_cloud", {"words": [{"word": "bright", "count": 1}, {"word": "calm", "count": 1}]}),
        ("open_text", {}),
    ],
)
def test_results_have_the_fields_of_their_type(poll_type: str, fields: dict[str, JSON]) -> None:
    book = asked(poll_type)
    take(book, ANNA, VOTES[poll_type])
    poll = book.results()["poll"]
    more = {"totalVotes": 1, "isActive": True, "status": "active", "options": []}
    assert poll == {**book.poll, **more, **fields}


def test_nobody_who_voted_is_in_the_results() -> None:
    for poll_type in VOTES:
        book = asked(poll_type, isAnonymous=True)
        vote_id = take(book, ANNA, VOTES[poll_type])
        book.status = "closed"
        told = str(book.ended("closed", "now"))
        assert "anna" not in told
        assert vote_id not in told


def test_a_voter_is_told_the_counts_with_their_own_vote_in_them() -> None:
    book = asked(allowChange=True)
    choose(book, BEN, A)
    before = book.results()
    told = book.after({"data": {"selectedOptionIds": [B]}}, ANNA)["counts"]
    assert told["currentVoteCount"] == 2
    assert [option["voteCount"] for option in told["voteBreakdown"]] == [1, 1, 0, 0]
    told = book.after({"data": {"selectedOptionIds": [C]}}, BEN)["counts"]
    assert (told["currentVoteCount"], [one["voteCount"] for one in told["voteBreakdown"]]) == (1, [0, 0, 1, 0])
    assert book.results() == before


def test_a_voter_is_told_of_words_with_the_view_alone() -> None:
    book = asked("word_cloud")
    take(book, BEN, VOTES["word_cloud"])
    assert book.after({"data": {"words": ["dull"]}}, ANNA) == {"counts": {"currentVoteCount": 2}}
    assert len(book.results()["poll"]["words"]) == 2


# Who sees that

SEES = {
    "always": {"active": "voter other presenter", "closed": "voter other presenter"},
    "after_vote": {"active": "voter presenter", "closed": "voter other presenter"},
    "after_close": {"active": "presenter", "closed": "voter other presenter"},
    "never": {"active": "presenter", "closed": "presenter"},
}


@pytest.mark.parametrize("visibility", SEES)
@pytest.mark.parametrize("status", ["draft", "active", "inactive", "closed"])
def test_who_may_see_the_counts(visibility: str, status: str) -> None:
    book = asked(resultsVisibility=visibility)
    choose(book, ANNA, A)
    book.status = status
    sees = SEES[visibility]["closed" if status == "closed" else "active"].split()
    assert book.sees(ANNA) == ("voter" in sees)
    assert book.sees(BEN) == ("other" in sees)
    for presenter in (SAM, MODERATOR, OWNER, person("m", "sessions:manage")):
        assert book.sees(presenter) is True
    assert book.own(ANNA) == [A, "voter" in sees]
    assert book.own(BEN) == [None, "other" in sees]


@pytest.mark.parametrize(
    ("visibility", "told"), [("always", True), ("after_vote", True), ("after_close", False), ("never", False)]
)
def test_a_voter_is_told_the_counts_with_the_ack_where_they_may_see_them_then(visibility: str, told: bool) -> None:
    book = asked(resultsVisibility=visibility)
    data = {"data": {"selectedOptionIds": [B]}}
    assert bool(book.after(data, ANNA)) is told
    assert book.after(data, SAM)["counts"]["currentVoteCount"] == 1


def test_ones_own_is_the_option_or_the_first_of_several() -> None:
    several = asked(allowMultiple=True)
    choose(several, ANNA, C, A)
    assert several.own(ANNA)[0] == C
    rating = asked("rating_scale")
    take(rating, ANNA, {"ratingValue": 2})
    assert rating.own(ANNA)[0] is None


# A quiz


def test_the_right_answer_is_shown_once_the_quiz_is_closed() -> None:
    for status in ("draft", "active", "inactive"):
        book = asked("quiz", status)
        choose(book, ANNA, B)
        poll = book.results()["poll"]
        assert "correctOptionId" not in poll
        assert "leaders" not in poll
    assert book.results(status="closed")["poll"]["correctOptionId"] == B
    assert "correctOptionId" not in book.ended("inactive", "now")["results"]["poll"]
    assert book.ended("closed", "now")["results"]["poll"]["correctOptionId"] == B


def test_the_quickest_right_answers_lead_and_equals_stay_in_the_order_of_their_votes() -> None:
    book = asked("quiz", durationS=10)
    for who, option, after_ms in ((ANNA, B, 5_000), (BEN, A, 100), (CARA, B, 2_500), (SAM, B, 5_000)):
        choose(book, who, option, after_ms=after_ms)
    book.status = "closed"
    leaders = book.results()["poll"]["leaders"]
    assert [(one["person"]["id"], one["points"]) for one in leaders] == [("cara", 875), ("anna", 750), ("sam", 750)]
    assert leaders[0]["person"] == CARA.public()


def test_without_a_limit_every_right_answer_is_worth_the_same() -> None:
    book = asked("quiz")
    for n in range(LEADERS_MAX + 3):
        choose(book, person(f"p{n}"), B, after_ms=n * 60_000)
    book.status = "closed"
    leaders = book.results()["poll"]["leaders"]
    assert [one["person"]["id"] for one in leaders] == [f"p{n}" for n in range(LEADERS_MAX)]
    assert {one["points"] for one in leaders} == {QUIZ_POINTS}


def test_an_anonymous_quiz_has_no_leaders() -> None:
    book = asked("quiz", isAnonymous=True)
    choose(book, ANNA, B)
    book.status = "closed"
    poll = book.results()["poll"]
    assert (poll["correctOptionId"], "leaders" in poll) == (B, False)


# Its end


def test_the_end_proves_the_counts_with_the_hash_of_the_votes_in_their_order() -> None:
    book = asked(allowChange=True)
    ids = [choose(book, who, A) for who in (ANNA, BEN, CARA)]
    ids.append(choose(book, ANNA, C, after_ms=9))  # replaced: what counts now was accepted last
    book.rejected["duplicate_vote"] = 2
    ended = book.ended("closed", "now")
    votes = [(ids[1], [A]), (ids[2], [A]), (ids[3], [C])]
    assert ended["voteHash"] == vote_hash((vote_id, {"selectedOptionIds": chosen}) for vote_id, chosen in votes)
    assert (ended["pollId"], ended["at"], ended["rejected"]) == (book.poll["id"], "now", {"duplicate_vote": 2})
    assert ended["results"]["poll"]["totalVotes"] == 3


def test_a_poll_that_is_set_aside_proves_nothing_yet() -> None:
    ended = asked().ended("inactive", "now")
    assert {*ended} == {"pollId", "results", "at"}
    assert ended["results"]["poll"]["status"] == "inactive"


def test_an_emptied_poll_is_as_it_was_written() -> None:
    book = asked("quiz", durationS=5)
    choose(book, ANNA, B)
    book.rejected["poll_closed"] += 1
    book.draws.append({"winner": ANNA.public()})
    book.empty()
    assert book == asked("quiz", "draft", durationS=5)


# What is left of them


def rows(table: Table) -> list[dict[str, JSON]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_the_export_has_every_vote_in_the_order_that_is_hashed() -> None:
    book, other = asked(allowChange=True), asked("rating_scale")
    other.poll = {**other.poll, "id": uuid(77)}
    choose(book, ANNA, A)
    choose(book, BEN, B, after_ms=1_000)
    changed = choose(book, ANNA, C, after_ms=2_000)
    take(other, CARA, {"ratingValue": 2})
    tables = exported([book, other], {"anna": uuid(5)})
    polls, votes = rows(tables["polls"]), rows(tables["votes"])
    assert [(one["pollId"], one["totalVotes"], one["status"]) for one in polls] == [
        (book.poll["id"], 2, "active"), (uuid(77), 1, "active"),
    ]  # fmt: skip
    mine = [(vote["voteId"], vote["voteData"]) for vote in votes if vote["pollId"] == book.poll["id"]]
    assert polls[0]["voteHash"] == vote_hash(mine) == book.ended("closed", "now")["voteHash"]
    assert votes[1] == {
        "pollId": book.poll["id"],
        "voteId": changed,
        "voteData": {"selectedOptionIds": [C]},
        "acceptedAt": iso(OPENED_MS + 2_000),
        "participantId": uuid(5),
        "name": "Anna Tester",
    }
    assert votes[0]["participantId"] == "ben", "who never joined is known by the id of their token"


def test_the_export_of_an_anonymous_poll_says_neither_who_nor_when() -> None:
    book = asked(isAnonymous=True)
    receipt = choose(book, ANNA, A)
    tables = exported([book], {"anna": uuid(5)})
    (vote,) = rows(tables["votes"])
    assert vote == {
        "pollId": book.poll["id"],
        "voteId": receipt,
        "voteData": {"selectedOptionIds": [A]},
        **dict.fromkeys(("acceptedAt", "participantId", "name")),
    }
    assert "anna" not in str(rows(exported([book], {"anna": "anna"})["polls"]))


def test_the_export_tells_the_right_answer_of_a_closed_quiz_alone() -> None:
    book = asked("quiz")
    for status in ("draft", "active", "inactive", "closed"):
        book.status = status
        (poll,) = rows(exported([book], {})["polls"])
        assert poll["correctOptionId"] == (B if status == "closed" else None)
