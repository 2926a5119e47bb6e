"""Sessions: who creates them, who takes part, what REST knows of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.feature import JSON, UUID_V4, Ask, Person, Tell
from livehub.features.lifecycle import Lifecycle
from livehub.features.sessions import (
    MODERATION,
    SLUG_CHARS,
    SLUG_LETTERS,
    TITLE_CHARS_MAX,
    Sessions,
    SessionSettings,
    slug_of,
)
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, CARA, MODERATOR, OWNER, START_MS, Bench, person, uuid

MANAGER = person("manager", "sessions:manage")
AUTO = {"sessions": SessionSettings(auto_create=True)}
SEEDS = st.integers(0, (1 << 128) - 1)


@pytest.fixture
def bench() -> Bench:
    return Bench(Sessions)


def info(bench: Bench, who: Person = MANAGER) -> dict[str, object]:
    return dict(bench.ask("session.read", {}, who).reply)


def session(bench: Bench) -> Sessions:
    return bench.feature(Sessions)


def admit(bench: Bench, who: Person, *, guest: bool = False) -> Performed:
    """Let somebody in who brought the code."""
    told = {"userId": who.id, "firstName": who.first_name, "lastName": who.last_name, "guest": guest}
    return bench.ask("session.admit", told, who)


def registered(done: Performed) -> list[JSON]:
    """What the registry is told."""
    return [
        effect.data
        for effect in done.effects
        if isinstance(effect, Tell) and (effect.room, effect.command) == ("registry:sessions", "session.registered")
    ]


def test_an_unknown_session_is_not_found(bench: Bench) -> None:
    refusal = bench.refusal("session.join", {}, ANNA)
    assert (refusal.message, refusal.status) == ("Session not found", 404)
    assert not bench.state.exists


def test_with_auto_create_the_first_to_join_creates_it() -> None:
    bench = Bench(Sessions, settings=AUTO)
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


# The code


@given(SEEDS)
def test_a_code_is_made_of_six_letters_that_nobody_mistakes(seed: int) -> None:
    slug = slug_of(seed)
    assert len(slug) == SLUG_CHARS == 6
    assert set(slug) <= set(SLUG_LETTERS)


def test_the_letters_make_no_words_and_are_all_capital() -> None:
    assert len(set(SLUG_LETTERS)) == len(SLUG_LETTERS) == 20
    assert not set(SLUG_LETTERS) & set("AEIOU" + "L" + "0123456789")
    assert SLUG_LETTERS.isupper()
    assert SLUG_LETTERS.isascii()


@given(SEEDS, SEEDS)
def test_a_code_depends_on_the_seed_alone(one: int, other: int) -> None:
    codes = len(SLUG_LETTERS) ** SLUG_CHARS
    assert (slug_of(one) == slug_of(other)) == (one % codes == other % codes)


def test_the_code_comes_with_the_ask_that_creates() -> None:
    for command, settings in (("session.create", None), ("session.join", AUTO)):
        bench = Bench(Sessions, settings=settings)
        fact = bench.ask(command, {}, MANAGER).facts[0]
        assert fact.data["slug"] == session(bench).slug == slug_of(1)


def test_a_code_that_another_session_has_is_drawn_again(bench: Bench) -> None:
    before = bench.ask("session.create", {"title": "Keynote"}, MANAGER).reply["slug"]
    done = bench.ask("session.code.taken", {"slug": before})
    slug = info(bench)["slug"]
    assert slug == slug_of(2) != before
    assert [(fact.kind, fact.data, fact.to) for fact in done.facts] == [("session.recoded", {"slug": slug}, ())]
    assert [told["slug"] for told in registered(done)] == [slug]


def test_word_of_a_code_that_the_session_no_longer_has_is_out_of_date(bench: Bench) -> None:
    before = bench.ask("session.create", {}, MANAGER).reply["slug"]
    bench.ask("session.code.taken", {"slug": before})
    assert bench.ask("session.code.taken", {"slug": before}) == Performed()
    assert bench.ask("session.code.taken", {"slug": ""}) == Performed()


# Status


def test_made_over_rest_a_session_is_a_draft(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    bench.ask("session.join", {}, ANNA)
    assert info(bench)["status"] == "draft"


def test_made_by_the_first_join_a_session_is_active() -> None:
    bench = Bench(Sessions, settings=AUTO)
    bench.ask("session.join", {}, ANNA)
    assert (info(bench)["status"], info(bench)["presenterId"]) == ("active", "anna")


def test_planned_by_an_agenda_a_session_is_active(bench: Bench) -> None:
    bench.ask("session.planned", {"eventId": "e1", "title": "Keynote"})
    shown = info(bench)
    assert (shown["status"], shown["title"], shown["eventId"]) == ("active", "Keynote", "e1")


def test_planning_a_session_that_is_there_changes_neither_status_nor_title(bench: Bench) -> None:
    bench.ask("session.create", {"title": "Mine"}, MANAGER)
    bench.ask("session.planned", {"eventId": "e1", "title": "Keynote"})
    shown = info(bench)
    assert (shown["status"], shown["title"], shown["eventId"]) == ("draft", "Mine", "e1")


def test_starting_and_ending_are_known_here_too() -> None:
    bench = Bench(Sessions, Lifecycle)
    bench.ask("session.create", {}, MANAGER)
    for command, status in (("session.start", "active"), ("session.end", "ended")):
        bench.ask(command, {}, MANAGER)
        assert info(bench)["status"] == status


# Who is let in by the code


def test_a_user_who_brings_the_code_gets_an_id_that_is_not_their_own(bench: Bench) -> None:
    """Others are shown it; the user's own id may be an address."""
    bench.ask("session.create", {}, MANAGER)
    done = admit(bench, ANNA)
    participant_id = done.reply["participantId"]
    assert done.reply == {"participantId": participant_id, "sessionId": "s1"}
    assert UUID_V4.match(participant_id)
    (fact,) = done.facts
    assert (fact.kind, fact.to) == ("session.joined", ())
    assert fact.data == {
        "userId": "anna", "participantId": participant_id, "presents": False, "at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert bench.state.admits("anna")
    assert admit(bench, BEN).reply["participantId"] != participant_id


def test_guests_are_known_by_their_own_id(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    guest = person(uuid(7))
    assert admit(bench, guest, guest=True).reply["participantId"] == uuid(7)
    assert admit(bench, person("g1"), guest=True).reply["participantId"] == "g1"


def test_a_user_whose_id_is_a_uuid_keeps_it(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    assert admit(bench, person(uuid(7))).reply["participantId"] == uuid(7)
    bench.ask("session.join", {}, person(uuid(8)))
    assert session(bench).participants[uuid(8)] == uuid(8)


def test_who_was_let_in_keeps_their_id_for_ever(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    first = admit(bench, ANNA).reply
    again = admit(bench, ANNA)
    assert (again.reply, again.facts) == (first, [])
    assert bench.ask("session.join", {}, ANNA).facts == []
    bench.ask("session.join", {}, BEN)
    assert admit(bench, BEN).reply["participantId"] == session(bench).participants["ben"]
    assert info(bench)["participantCount"] == 2


def test_nobody_is_let_into_a_session_that_is_not_there(bench: Bench) -> None:
    told = {"userId": "anna", "firstName": "", "lastName": "", "guest": False}
    refusal = bench.refusal("session.admit", told, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("Session not found", 404, "not_found")
    assert not bench.state.exists


def test_presenters_are_not_counted_whichever_way_they_come(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    admit(bench, person("manager"))
    admit(bench, MODERATOR)
    bench.ask("session.join", {}, OWNER)
    admit(bench, ANNA)
    bench.ask("session.join", {}, BEN)
    assert info(bench)["participantCount"] == 2
    assert session(bench).presenters == {"manager", "mo", "olga"}


def test_whoever_admits_lends_nobody_their_permissions(bench: Bench) -> None:
    bench.ask("session.planned", {"eventId": "e1", "title": "Keynote"})
    bench.ask("session.admit", {"userId": "anna", "firstName": "", "lastName": "", "guest": False})
    assert session(bench).presenters == set()


# What REST and the registry know


def test_a_title_can_be_changed(bench: Bench) -> None:
    created = bench.ask("session.create", {"title": "Keynote"}, MANAGER).reply
    done = bench.ask("session.update", {"title": "Closing"}, MANAGER, after_ms=500)
    assert done.reply == {**created, "title": "Closing"} == info(bench)
    assert [(fact.kind, fact.data, fact.to) for fact in done.facts] == [("session.retitled", {"title": "Closing"}, ())]
    assert bench.ask("session.update", {"title": "Closing"}, MANAGER) == Performed(reply=done.reply)


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("", "title must not be empty"),
        (" \n", "title must not be empty"),
        ("x" * 201, "title must be at most 200 characters, not 201"),
        (None, "title must be a string"),
        (7, "title must be a string"),
    ],
)
def test_a_new_title_has_a_length_and_is_needed(bench: Bench, title: JSON, told: str) -> None:
    bench.ask("session.create", {"title": "Keynote"}, MANAGER)
    refusal = bench.refusal("session.update", {"title": title}, MANAGER)
    assert (refusal.message, refusal.status) == (told, 400)
    assert bench.refusal("session.update", {}, MANAGER).message == "title is required"
    assert info(bench)["title"] == "Keynote"


def test_only_managers_change_a_title(bench: Bench) -> None:
    assert bench.refusal("session.update", {"title": "x"}, MANAGER).message == "Session not found"
    bench.ask("session.create", {}, MANAGER)
    for who in (ANNA, MODERATOR):
        refusal = bench.refusal("session.update", {"title": "x"}, who)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_a_session_is_read_and_overlooked(bench: Bench) -> None:
    for command in ("session.read", "session.state"):
        assert bench.refusal(command, {}, MANAGER).message == "Session not found"
    bench.ask("session.create", {}, MANAGER)
    joined = admit(bench, ANNA).reply
    assert bench.ask("session.state", {}, ANNA).reply == {**joined}
    assert bench.ask("session.state", {}, MANAGER).reply == {"sessionId": "s1", "participantId": None}
    assert bench.state.overview(ANNA) == {"session": info(bench)}


def test_the_registry_is_told_of_every_change_and_of_nobody_who_joins() -> None:
    bench = Bench(Sessions, Lifecycle)
    (told,) = registered(bench.ask("session.create", {"title": "Keynote"}, MANAGER))
    assert told == {
        "sessionId": "s1", "title": "Keynote", "slug": slug_of(1), "status": "draft", "eventId": "",
        "presenterId": "manager", "createdAt": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert registered(bench.ask("session.join", {}, ANNA)) == registered(admit(bench, BEN)) == []
    for command, data, change in (
        ("session.update", {"title": "Closing"}, {"title": "Closing"}),
        ("session.start", {}, {"status": "active"}),
        ("session.planned", {"eventId": "e1", "title": "x"}, {"eventId": "e1"}),
        ("session.code.taken", {"slug": slug_of(1)}, {"slug": slug_of(7)}),
        ("session.end", {}, {"status": "ended"}),
    ):
        told = told | change
        assert registered(bench.ask(command, data, MANAGER)) == [told]


def test_the_last_word_to_the_registry_is_the_whole_of_it() -> None:
    """Made and put into an event in one ask, a session tells twice, in this order."""
    bench = Bench(Sessions, settings=AUTO)
    ask: Ask[None] = Ask(None, ANNA, START_MS, 5, "e1")
    told = registered(bench.state.perform("session.join", ask))
    assert [(one["eventId"], one["slug"]) for one in told] == [("", slug_of(5)), ("e1", slug_of(5))]


# Older logs


def test_what_was_written_before_there_were_codes_still_folds() -> None:
    bench = Bench(Sessions, Lifecycle, settings=AUTO)
    for kind, data in (
        ("session.created", {"title": "Old", "by": "olga", "at": "2025-12-01T00:00:00.000Z"}),
        ("session.joined", {"userId": "anna", "at": "2025-12-01T00:00:01.000Z"}),
    ):
        bench.state._apply(kind, data, START_MS)
    assert info(bench) == {
        "sessionId": "s1", "id": "s1", "title": "Old", "slug": "", "status": "active", "eventId": "",
        "presenterId": "olga", "createdAt": "2025-12-01T00:00:00.000Z", "participantCount": 1,
    }  # fmt: skip
    assert bench.state.admits("anna")
    assert admit(bench, ANNA).reply == {"participantId": "anna", "sessionId": "s1"}
    assert bench.ask("session.join", {}, ANNA).facts == []
    assert [fact.kind for fact in bench.ask("session.join", {}, CARA).facts] == ["session.joined"]
    assert bench.ask("session.end", {}, MANAGER).reply["status"] == "ended"


def test_the_log_rebuilds_codes_and_participants() -> None:
    bench = Bench(Sessions, Lifecycle)
    bench.ask("session.create", {"title": "Keynote"}, MANAGER)
    bench.ask("session.code.taken", {"slug": slug_of(1)})
    bench.ask("session.update", {"title": "Closing"}, MANAGER)
    admit(bench, ANNA)
    admit(bench, person(uuid(3)), guest=True)
    bench.ask("session.join", {}, MODERATOR)
    bench.ask("session.start", {}, MANAGER)
    assert bench.reopened().features == bench.state.features
