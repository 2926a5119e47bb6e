"""The registry: which sessions there are, which code opens which, and who is told of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from livehub.feature import Person, Tell
from livehub.features import registry
from livehub.features.registry import PAGE_SESSIONS_MAX, Registry
from livehub.rooms.state import Performed, State
from tests.kit import ANNA, BEN, Bench, person

MANAGER = person("manager", "sessions:manage")


@pytest.fixture
def bench() -> Bench:
    return Bench(Registry, room_id="sessions")


def told(number: int, **more: str) -> dict[str, str]:
    """What a session says of itself; those of higher numbers are newer."""
    return {
        "sessionId": f"s{number}",
        "slug": f"CODE{number:02}",
        "title": f"Session {number}",
        "status": "draft",
        "presenterId": "anna",
        "createdAt": f"2026-01-01T00:{number:02}:00.000Z",
        "eventId": "",
        **more,
    }


def register(bench: Bench, number: int, **more: str) -> Performed:
    return bench.ask("session.registered", told(number, **more))


def find(bench: Bench, slug: str) -> str | None:
    return bench.feature(Registry).find(slug)


def page(bench: Bench, who: Person = MANAGER, **query: Any) -> tuple[list[str], bool]:
    """Ids, and whether there are more."""
    reply = bench.ask("session.list", query, who).reply
    return [one["sessionId"] for one in reply["sessions"]], reply["hasMore"]


def state_of(state: State) -> dict[str, Any]:
    feature = next(one for one in state.features if isinstance(one, Registry))
    return {one.name: getattr(feature, one.name) for one in fields(feature)}


def test_a_code_opens_its_session_however_it_is_capitalised(bench: Bench) -> None:
    register(bench, 1)
    assert [find(bench, slug) for slug in ("CODE01", "code01", "Code01", "CODE02", "")] == [
        "s1",
        "s1",
        "s1",
        None,
        None,
    ]
    assert bench.feature(Registry).taken("code01")
    assert not bench.feature(Registry).taken("CODE02")


def test_the_first_to_have_a_code_keeps_it_and_the_other_is_told(bench: Bench) -> None:
    register(bench, 1)
    performed = register(bench, 2, slug="code01")
    assert performed.facts == []
    assert performed.effects == [Tell("session:s2", "session.code.taken", {"slug": "code01"})]
    assert page(bench) == (["s1"], False)
    assert find(bench, "CODE01") == "s1"
    assert register(bench, 2).effects == []
    assert find(bench, "CODE02") == "s2"


def test_a_session_that_tells_the_same_again_is_no_news(bench: Bench) -> None:
    assert len(register(bench, 1).facts) == 1
    assert register(bench, 1).facts == []
    changed = register(bench, 1, status="active", title="Renamed")
    assert [fact.data for fact in changed.facts] == [told(1, status="active", title="Renamed")]
    assert bench.ask("session.list", {}, MANAGER).reply == {
        "sessions": [{**told(1, status="active", title="Renamed"), "id": "s1"}],
        "hasMore": False,
    }


def test_a_code_that_was_given_up_is_free(bench: Bench) -> None:
    register(bench, 1)
    register(bench, 1, slug="FRESH1")
    assert [find(bench, slug) for slug in ("CODE01", "FRESH1")] == [None, "s1"]
    assert register(bench, 2, slug="CODE01").effects == []
    assert find(bench, "CODE01") == "s2"


def test_sessions_without_a_code_do_not_stand_in_each_others_way(bench: Bench) -> None:
    """Those of logs from before there were codes."""
    for number in (1, 2):
        assert len(register(bench, number, slug="").facts) == 1
    assert page(bench) == (["s2", "s1"], False)
    assert find(bench, "") is None


def test_the_newest_are_listed_first_whenever_they_registered(bench: Bench) -> None:
    for number in (2, 3, 1):
        register(bench, number)
    register(bench, 1, title="Renamed")
    assert page(bench) == (["s3", "s2", "s1"], False)


def test_people_see_their_own_sessions_and_managers_all(bench: Bench) -> None:
    register(bench, 1)
    register(bench, 2, presenterId="ben")
    register(bench, 3)
    assert page(bench, ANNA) == (["s3", "s1"], False)
    assert page(bench, BEN) == (["s2"], False)
    assert page(bench, person("cara")) == ([], False)
    assert page(bench, MANAGER) == (["s3", "s2", "s1"], False)


def test_a_session_that_changes_hands_changes_lists(bench: Bench) -> None:
    register(bench, 1)
    register(bench, 1, presenterId="ben")
    assert (page(bench, ANNA), page(bench, BEN)) == (([], False), (["s1"], False))
    assert "anna" not in bench.feature(Registry).own


def test_the_list_comes_in_pages(bench: Bench) -> None:
    for number in range(1, 6):
        register(bench, number)
    assert page(bench, ANNA, limit=2) == (["s5", "s4"], True)
    assert page(bench, ANNA, limit=2, before="s4") == (["s3", "s2"], True)
    assert page(bench, ANNA, limit=2, before="s2") == (["s1"], False)
    assert page(bench, ANNA, limit=5) == (["s5", "s4", "s3", "s2", "s1"], False)


def test_the_list_can_be_of_one_status(bench: Bench) -> None:
    for number, status in enumerate(("draft", "active", "ended", "active"), 1):
        register(bench, number, status=status)
    assert page(bench, status="active") == (["s4", "s2"], False)
    assert page(bench, status="active", limit=1) == (["s4"], True)
    assert page(bench, status="ended", before="s4") == (["s3"], False)
    refusal = bench.refusal("session.list", {"status": "over"}, MANAGER)
    assert refusal.message == "status must be one of draft, active, ended"


@pytest.mark.parametrize(("limit", "fits"), [(1, True), (PAGE_SESSIONS_MAX, True), (0, False), (201, False)])
def test_a_page_has_a_size(bench: Bench, limit: int, fits: bool) -> None:
    if fits:
        assert page(bench, limit=limit) == ([], False)
    else:
        assert bench.refusal("session.list", {"limit": limit}, MANAGER).message == "limit must be from 1 to 200"


@pytest.mark.parametrize("before", ["nowhere", "s2"])
def test_a_page_begins_at_a_session_that_the_asker_sees(bench: Bench, before: str) -> None:
    register(bench, 1)
    register(bench, 2, presenterId="ben")
    refusal = bench.refusal("session.list", {"before": before}, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("Session not found", 404, "not_found")
    assert page(bench, MANAGER, before="s2") == (["s1"], False)


def test_beyond_its_bound_the_oldest_is_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SESSIONS_MAX", 2)
    for number in (2, 1, 3):
        register(bench, number, presenterId=f"presenter{number}")
    assert page(bench) == (["s3", "s2"], False)
    assert find(bench, "CODE01") is None
    assert list(bench.feature(Registry).own) == ["presenter2", "presenter3"]


def test_the_log_holds_all_of_it(bench: Bench) -> None:
    for number in (2, 3, 1):
        register(bench, number)
    register(bench, 2, slug="FRESH1", presenterId="ben")
    register(bench, 4, slug="CODE01")
    assert state_of(bench.reopened()) == state_of(bench.state)
