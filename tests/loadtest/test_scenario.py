"""Scenarios are found by name or path, looked at before they run, and dealt out by the seed alone."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from loadtest.scenario import Scenario, ScenarioTrouble, load, shipped
from loadtest.user import User


class Often(User):
    weight = 30


class Seldom(User):
    weight = 10


class Speaker(User):
    fixed_count = 2


def scenario(*classes: type[User]) -> Scenario:
    return Scenario("s", "", list(classes), None, [], frozenset(), None, None)


def test_users_are_dealt_in_proportion_to_their_weights() -> None:
    deal = scenario(Often, Seldom).dealer(1)
    assert Counter(deal(number) for number in range(400)) == {Often: 300, Seldom: 100}


def test_a_fixed_count_comes_first_and_is_kept() -> None:
    deal = scenario(Often, Speaker).dealer(1)
    assert [deal(0), deal(1)] == [Speaker, Speaker]
    assert Speaker not in {deal(number) for number in range(2, 200)}


def test_only_fixed_counts_are_dealt_again_and_again() -> None:
    deal = scenario(Speaker).dealer(1)
    assert {deal(number) for number in range(10)} == {Speaker}


def test_the_seed_and_the_number_alone_decide_the_class() -> None:
    one, again, other = (scenario(Often, Seldom).dealer(seed) for seed in (1, 1, 2))
    assert [one(number) for number in range(100)] == [again(number) for number in reversed(range(100))][::-1]
    assert [one(number) for number in range(100)] != [other(number) for number in range(100)]


def test_two_processes_get_a_fair_share_of_every_class() -> None:
    deal = scenario(Often, Seldom).dealer(1)
    even = Counter(deal(number) for number in range(0, 4_000, 2))
    assert 400 < even[Seldom] < 600


def test_all_shipped_scenarios_load_and_say_what_they_are_for() -> None:
    found = shipped()
    names = {each.name for each in found}
    wanted = "conference vote_spike reaction_storm reconnect_storm server_restart slow_readers idle soak"
    assert names >= set(wanted.split())
    assert all(each.line and each.classes for each in found)


def test_a_file_of_ones_own_is_a_scenario_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        '"""What it does."""\n'
        "from loadtest.user import User\n"
        "class Base(User):\n    abstract = True\n"
        "class Mine(Base):\n    weight = 3\n"
    )
    found = load(str(path))
    assert (found.name, found.line) == ("mine", "What it does.")
    assert [cls.__name__ for cls in found.classes] == ["Mine"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no class in it derives from User"),
        ("raise KeyError('x')", "cannot be imported"),
        ("from loadtest.user import User\nclass A(User):\n    weight = 0\n", "needs a weight"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_with_the_reason(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(ScenarioTrouble, match=told):
        load(str(path))


def test_a_file_may_import_what_lies_beside_it_and_the_path_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "helper_of_mine.py").write_text("WEIGHT = 3\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "import helper_of_mine\nfrom loadtest.user import User\nclass Mine(User):\n    weight = helper_of_mine.WEIGHT\n"
    )
    before = list(sys.path)
    assert load(str(path)).classes[0].weight == 3
    assert sys.path == before


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ScenarioTrouble, match="idle"):
        load("idel")
    with pytest.raises(ScenarioTrouble, match="no file"):
        load("./nowhere.py")
