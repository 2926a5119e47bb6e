"""Users: names as tokens tell them, until somebody sets them here; and who is not let in any more."""

from __future__ import annotations

import pytest

from livehub.feature import JSON
from livehub.features.users import Profile, Users
from tests.kit import ANNA, Bench, person

MANAGER = person("manager", "users:manage")


@pytest.fixture
def bench() -> Bench:
    return Bench(Users, room_id="users")


def met(first: str = "Anna", last: str = "Berg", user: str = "anna") -> dict[str, JSON]:
    return {"userId": user, "firstName": first, "lastName": last, "email": f"{user}@mail.test"}


def known(bench: Bench, user: str = "anna") -> Profile | None:
    return bench.feature(Users).people.get(user)


def test_who_comes_is_remembered(bench: Bench) -> None:
    bench.ask("user.met", met())
    assert known(bench) == Profile("Anna", "Berg", "anna@mail.test")


def test_who_comes_again_is_no_news_unless_the_name_changed(bench: Bench) -> None:
    bench.ask("user.met", met())
    assert bench.ask("user.met", met()).facts == []
    assert len(bench.ask("user.met", met(last="Berg-Olsen")).facts) == 1
    assert known(bench) == Profile("Anna", "Berg-Olsen", "anna@mail.test")


def test_a_name_set_here_is_not_changed_by_a_token(bench: Bench) -> None:
    bench.ask("user.put", {"userId": "anna", "firstName": "Annie", "lastName": "Hall"}, MANAGER)
    assert bench.ask("user.met", met()).facts == []
    profile = known(bench)
    assert profile is not None
    assert (profile.first_name, profile.last_name, profile.set_here) == ("Annie", "Hall", True)


def test_setting_a_name_shows_the_user(bench: Bench) -> None:
    bench.ask("user.met", met())
    performed = bench.ask("user.put", {"userId": "anna", "firstName": "Annie"}, MANAGER)
    assert performed.reply == {
        "userId": "anna", "id": "anna", "firstName": "Annie", "lastName": "", "email": "anna@mail.test",
        "isActive": True,
    }  # fmt: skip
    performed = bench.ask("user.put", {"userId": "ben", "firstName": "Ben", "email": "b@mail.test"}, MANAGER)
    assert performed.reply["email"] == "b@mail.test"


def test_only_managers_manage_users(bench: Bench) -> None:
    for command, data in (
        ("user.put", {"userId": "anna", "firstName": "A"}),
        ("user.deactivate", {"userId": "anna"}),
    ):
        assert bench.refusal(command, data, ANNA).message == "You do not have permission"


def test_a_deactivated_user_is_cut_off_and_stays_out(bench: Bench) -> None:
    bench.ask("user.met", met())
    performed = bench.ask("user.deactivate", {"userId": "anna"}, MANAGER)
    assert performed.reply == {"userId": "anna"}
    (effect,) = performed.effects
    assert (getattr(effect, "work", ""), getattr(effect, "data", None)) == ("disconnect", {"userId": "anna"})
    bench.ask("user.met", met(first="Other"))
    profile = known(bench)
    assert profile is not None
    assert not profile.active


def test_somebody_never_met_can_be_kept_out(bench: Bench) -> None:
    bench.ask("user.deactivate", {"userId": "stranger"}, MANAGER)
    profile = known(bench, "stranger")
    assert profile is not None
    assert not profile.active


def test_setting_a_name_lets_in_again_or_keeps_out(bench: Bench) -> None:
    bench.ask("user.deactivate", {"userId": "anna"}, MANAGER)
    assert bench.ask("user.put", {"userId": "anna", "firstName": "A"}, MANAGER).effects == []
    profile = known(bench)
    assert profile is not None
    assert profile.active
    performed = bench.ask("user.put", {"userId": "anna", "firstName": "A", "active": False}, MANAGER)
    assert len(performed.effects) == 1
    assert performed.reply["isActive"] is False


def test_nothing_of_a_user_is_broadcast(bench: Bench) -> None:
    performed = [
        bench.ask("user.met", met()),
        bench.ask("user.put", {"userId": "anna", "firstName": "A"}, MANAGER),
        bench.ask("user.deactivate", {"userId": "anna"}, MANAGER),
    ]
    assert [fact.to for one in performed for fact in one.facts] == [(), (), ()]


def test_the_log_rebuilds_the_directory(bench: Bench) -> None:
    bench.ask("user.met", met())
    bench.ask("user.put", {"userId": "ben", "firstName": "Ben"}, MANAGER)
    bench.ask("user.deactivate", {"userId": "anna"}, MANAGER)
    assert bench.reopened().features == bench.state.features
