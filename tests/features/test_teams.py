"""Teams: what contract 1 (§9.3) and the contracts' point 19 promise, together with the points they add up."""

from __future__ import annotations

import pytest

from livehub.feature import JSON, Person
from livehub.features.chat import Chat
from livehub.features.gamification import Gamification
from livehub.features.teams import NAME_CHARS_MAX, TEAMS_PER_SESSION_MAX, Teams
from tests.kit import ANNA, BEN, CARA, OWNER, Bench, person, uuid


@pytest.fixture
def bench() -> Bench:
    return Bench(Chat, Gamification, Teams)


def create(bench: Bench, name: str = "Red", who: Person = ANNA) -> str:
    return str(bench.ask("team.create", {"name": name}, who).reply["teamId"])


def join(bench: Bench, team_id: str, who: Person = BEN) -> None:
    assert bench.ask("team.join", {"teamId": team_id}, who).reply == {"teamId": team_id}


def leave(bench: Bench, who: Person = ANNA) -> str:
    return str(bench.ask("team.leave", {}, who).reply["teamId"])


def earn(bench: Bench, who: Person = ANNA, points: int = 1) -> str:
    """Write as many messages as it takes points; the id of the last."""
    for _ in range(points):
        performed = bench.ask("chat.message.send", {"text": "hello"}, who)
    return str(performed.reply["messageId"])


def scores(bench: Bench) -> list[tuple[int, str, int, int]]:
    """(rank, name, members, score) of every team."""
    shown = bench.ask("team.read", None, OWNER).reply["teamScores"]
    return [(one["rank"], one["name"], one["memberCount"], one["score"]) for one in shown]


def test_who_creates_a_team_is_in_it(bench: Bench) -> None:
    performed = bench.ask("team.create", {"name": "Red"}, ANNA)
    team_id = performed.reply["teamId"]
    assert performed.reply == {"teamId": team_id, "name": "Red"}
    assert bench.view("team.leaderboard.updated") == {
        "teamScores": [{"rank": 1, "teamId": team_id, "name": "Red", "memberCount": 1, "score": 0}]
    }


def test_white_space_around_a_name_is_not_part_of_it(bench: Bench) -> None:
    assert bench.ask("team.create", {"name": "  Red Foxes \n"}, ANNA).reply["name"] == "Red Foxes"


@pytest.mark.parametrize("command", ["team.create", "team.add"])
@pytest.mark.parametrize("name", ["Red", "RED", " red "])
def test_a_name_is_taken_once_in_any_case(bench: Bench, command: str, name: str) -> None:
    create(bench, "Red")
    refusal = bench.refusal(command, {"name": name}, OWNER)
    assert (refusal.message, refusal.status, refusal.code) == (
        "A team with this name exists already",
        409,
        "conflict",
    )
    assert len(scores(bench)) == 1


def test_case_is_compared_as_unicode_has_it(bench: Bench) -> None:
    create(bench, "Straße")
    assert bench.refusal("team.create", {"name": "STRASSE"}, BEN).status == 409


@pytest.mark.parametrize("command", ["team.create", "team.add"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "name is required"),
        ({"name": " \n"}, "name must not be empty"),
        ({"name": "x" * (NAME_CHARS_MAX + 1)}, "name must be at most 60 characters, not 61"),
    ],
)
def test_a_name_has_a_length(bench: Bench, command: str, data: JSON, told: str) -> None:
    assert bench.refusal(command, data, OWNER).message == told
    bench.ask(command, {"name": "😀" * NAME_CHARS_MAX}, OWNER)


def test_a_session_has_a_bounded_number_of_teams(bench: Bench) -> None:
    for n in range(TEAMS_PER_SESSION_MAX):
        bench.ask("team.add", {"name": f"team {n}"}, OWNER)
    for command in ("team.create", "team.add"):
        refusal = bench.refusal(command, {"name": "one more"}, OWNER)
        assert (refusal.message, refusal.status) == ("A session has at most 200 teams", 409)


def test_a_person_is_in_one_team_only(bench: Bench) -> None:
    create(bench, "Red", ANNA)
    blue = create(bench, "Blue", BEN)
    for command, data in (("team.join", {"teamId": blue}), ("team.create", {"name": "Green"})):
        refusal = bench.refusal(command, data, ANNA)
        assert (refusal.message, refusal.status, refusal.code) == (
            "You are in the team Red already, leave it first",
            409,
            "conflict",
        )
    assert [name for _, name, _, _ in scores(bench)] == ["Red", "Blue"]


def test_joining_ones_own_team_again_changes_nothing(bench: Bench) -> None:
    red = create(bench)
    performed = bench.ask("team.join", {"teamId": red}, ANNA)
    assert (performed.reply, performed.facts) == ({"teamId": red}, [])
    assert scores(bench) == [(1, "Red", 1, 0)]


def test_a_team_that_is_not_there_is_not_found(bench: Bench) -> None:
    refusal = bench.refusal("team.join", {"teamId": uuid(1)}, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("Team not found", 404, "not_found")


def test_who_is_in_no_team_has_none_to_leave(bench: Bench) -> None:
    create(bench, "Red", ANNA)
    refusal = bench.refusal("team.leave", {}, BEN)
    assert (refusal.message, refusal.status, refusal.code) == ("You are not in a team", 409, "conflict")


def test_an_empty_team_stays_and_can_be_joined(bench: Bench) -> None:
    red = create(bench)
    assert leave(bench) == red
    assert scores(bench) == [(1, "Red", 0, 0)]
    assert bench.refusal("team.create", {"name": "red"}, ANNA).status == 409
    join(bench, red, BEN)
    assert scores(bench) == [(1, "Red", 1, 0)]


def test_a_score_is_what_the_members_of_now_have_earned(bench: Bench) -> None:
    red = create(bench, "Red", ANNA)
    earn(bench, BEN, 3)
    assert scores(bench) == [(1, "Red", 1, 0)]
    join(bench, red, BEN)
    earn(bench, ANNA, 2)
    assert scores(bench) == [(1, "Red", 2, 5)]
    leave(bench, BEN)
    earn(bench, BEN)
    assert scores(bench) == [(1, "Red", 1, 2)]
    blue = create(bench, "Blue", BEN)
    assert scores(bench) == [(1, "Blue", 1, 4), (2, "Red", 1, 2)]
    assert bench.state.snapshot(BEN)["teams"]["myTeamId"] == blue


def test_points_that_are_taken_back_are_taken_from_the_team(bench: Bench) -> None:
    create(bench, "Red", ANNA)
    reaction = {"messageId": earn(bench, BEN), "emoji": "👍"}
    bench.ask("chat.message.react", reaction, ANNA)
    assert scores(bench) == [(1, "Red", 1, 2)]
    bench.ask("chat.message.react", reaction, ANNA)
    assert scores(bench) == [(1, "Red", 1, 0)]


def test_equal_scores_share_a_rank_in_the_order_the_teams_were_made(bench: Bench) -> None:
    for name, who, points in (("Red", ANNA, 1), ("Blue", BEN, 2), ("Green", CARA, 2), ("Grey", OWNER, 0)):
        create(bench, name, who)
        if points:
            earn(bench, who, points)
    assert scores(bench) == [(1, "Blue", 1, 2), (1, "Green", 1, 2), (3, "Red", 1, 1), (4, "Grey", 1, 0)]


def test_the_leaderboard_of_teams_is_shown_once_there_are_teams(bench: Bench) -> None:
    earn(bench)
    assert bench.view("team.leaderboard.updated") is None
    create(bench)
    assert bench.view("team.leaderboard.updated")["teamScores"][0]["score"] == 1


def test_the_leaderboard_changes_with_teams_members_and_points(bench: Bench) -> None:
    (shown,) = Teams.views()
    red = create(bench)
    for command, data, who in (
        ("team.join", {"teamId": red}, BEN),
        ("team.leave", {}, BEN),
        ("chat.message.send", {"text": "hello"}, ANNA),
        ("team.add", {"name": "Blue"}, OWNER),
    ):
        touched = bench.state.touched(bench.ask(command, data, who).facts)
        assert (shown.name, "") in [(view.name, key) for view, key in touched], command


def test_a_manager_makes_a_team_without_being_in_it(bench: Bench) -> None:
    performed = bench.ask("team.add", {"name": "Red"}, OWNER)
    assert performed.reply == {"teamId": performed.reply["teamId"], "name": "Red"}
    assert scores(bench) == [(1, "Red", 0, 0)]
    bench.ask("team.add", {"name": "Blue"}, OWNER)
    refusal = bench.refusal("team.add", {"name": "Green"}, ANNA)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_everybody_sees_all_teams_and_their_own(bench: Bench) -> None:
    red = create(bench, "Red", ANNA)
    line = {"rank": 1, "teamId": red, "name": "Red", "memberCount": 1, "score": 0}
    for who, mine in ((ANNA, red), (BEN, None)):
        seen = {"teamScores": [line], "myTeamId": mine}
        assert bench.ask("team.read", None, who).reply == seen
        assert bench.state.snapshot(who)["teams"] == seen


def test_a_team_knows_its_members_by_nothing_but_their_number(bench: Bench) -> None:
    performed = bench.ask("team.create", {"name": "Red"}, person("secret"))
    assert bench.shown(performed) == []
    assert "secret" not in str(bench.view("team.leaderboard.updated"))


def test_the_log_rebuilds_the_teams(bench: Bench) -> None:
    red = create(bench, "Red", ANNA)
    earn(bench, BEN, 2)
    join(bench, red, BEN)
    join(bench, red, CARA)
    earn(bench, CARA)
    leave(bench, ANNA)
    create(bench, "Blue", ANNA)
    folded = next(one for one in bench.reopened().features if isinstance(one, Teams))
    assert folded == bench.feature(Teams)
    assert folded.teams[red].score == 3
