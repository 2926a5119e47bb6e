"""Sessions: who creates them, who takes part, what REST knows of them."""

from __future__ import annotations

import pytest

from livehub.feature import Person
from livehub.features.sessions import MODERATION, SLUG_CHARS, SLUG_LETTERS, TITLE_CHARS_MAX, Sessions, SessionSettings
from tests.kit import ANNA, BEN, MODERATOR, OWNER, Bench, person

MANAGER = person("manager", "sessions:manage")


@pytest.fixture
def bench() -> Bench:
    return Bench(Sessions)


def info(bench: Bench, who: Person = MANAGER) -> dict[str, object]:
    return dict(bench.ask("session.read", {}, who).reply)


def test_an_unknown_session_is_not_found(bench: Bench) -> None:
    refusal = bench.refusal("session.join", {}, ANNA)
    assert (refusal.message, refusal.status) == ("Session not found", 404)
    assert not bench.state.exists


def test_with_auto_create_the_first_to_join_creates_it() -> None:
    bench = Bench(Sessions, settings={"sessions": SessionSettings(auto_create=True)})
    performed = bench.ask("session.join", {}, ANNA)
    assert [fact.kind for fact in performed.facts] == ["session.created", "session.joined"]
    assert performed.reply == {"sessionId": "s1"}
    assert [fact.kind for fact in bench.ask("session.join", {}, BEN).facts] == ["session.joined"]


def test_a_created_session_can_be_joined_by_everybody(bench: Bench) -> None:
    created = bench.ask("session.create", {"title": "Keynote"}, MANAGER)
    slug = created.reply["slug"]
    assert created.reply == {
        "sessionId": "s1", "id": "s1", "title": "Keynote", "slug": slug, "status": "draft", "eventId": "",
        "presenterId": "manager", "createdAt": "2026-01-01T00:00:00.000Z", "participantCount": 0,
    }  # fmt: skip
    assert len(slug) == SLUG_CHARS
    assert set(slug) <= set(SLUG_LETTERS)
    for who in (ANNA, BEN):
        assert bench.ask("session.join", {}, who).reply == {"sessionId": "s1"}
    assert info(bench)["participantCount"] == 2


def test_only_managers_create_sessions(bench: Bench) -> None:
    assert bench.refusal("session.create", {}, ANNA).message == "You do not have permission"
    bench.ask("session.create", {}, OWNER)


def test_a_session_is_created_once(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    refusal = bench.refusal("session.create", {}, MANAGER)
    assert (refusal.message, refusal.status) == ("Session already exists", 409)


def test_a_title_has_a_length(bench: Bench) -> None:
    for title in ("", "x" * (TITLE_CHARS_MAX + 1)):
        assert bench.refusal("session.create", {"title": title}, MANAGER).message.startswith("title must ")
    bench.ask("session.create", {"title": None}, MANAGER)
    assert info(bench)["title"] == ""


def test_joining_again_is_no_error_and_no_news(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    bench.ask("session.join", {}, ANNA)
    again = bench.ask("session.join", {}, ANNA, after_ms=1_000)
    assert again.facts == []
    assert again.reply == {"sessionId": "s1"}
    assert info(bench)["participantCount"] == 1


def test_who_leaves_still_belongs(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    bench.ask("session.join", {}, ANNA)
    assert bench.ask("session.leave", {}, ANNA).reply == {"sessionId": "s1"}
    assert bench.state.admits("anna")
    assert not bench.state.admits("ben")


def test_joining_is_no_broadcast(bench: Bench) -> None:
    """Who is there is a figure, not news for a thousand phones."""
    bench.ask("session.create", {}, MANAGER)
    assert bench.shown(bench.ask("session.join", {}, ANNA)) == []


def test_moderators_also_hear_what_is_for_moderators(bench: Bench) -> None:
    assert bench.catalog.seats("session", MODERATOR.can) == (MODERATION, "")
    assert bench.catalog.seats("session", ANNA.can) == ("",)


def test_the_log_rebuilds_the_session(bench: Bench) -> None:
    bench.ask("session.create", {"title": "Keynote"}, MANAGER)
    bench.ask("session.join", {}, ANNA, after_ms=500)
    assert bench.reopened().features == bench.state.features
