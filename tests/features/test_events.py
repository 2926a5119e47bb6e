"""Events: who creates them, who takes part, which sessions belong to them."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from livehub.feature import JSON, Tell, Via
from livehub.features import events
from livehub.features.events import TITLE_CHARS_MAX, Events, EventSettings
from livehub.features.sessions import Sessions, SessionSettings
from tests.kit import ANNA, BEN, OWNER, Bench, ears, open_hub, person

MANAGER = person("manager", "sessions:manage")
BACKEND = person("backend", "backend:publish")


@pytest.fixture
def bench() -> Bench:
    return Bench(Events, room_id="e1")


def told(session_id: str, title: str, *, org: str = "", manager: bool = True) -> dict[str, JSON]:
    """What a session tells the event that it belongs to."""
    return {"sessionId": session_id, "title": title, "orgId": org, "byManager": manager}


def test_an_unknown_event_is_not_found(bench: Bench) -> None:
    refusal = bench.refusal("event.join", {}, ANNA)
    assert (refusal.message, refusal.status, refusal.code) == ("Event not found", 404, "not_found")
    assert not bench.state.exists


def test_with_auto_create_the_first_to_join_creates_it_for_their_organisation() -> None:
    bench = Bench(Events, room_id="e1", settings={"events": EventSettings(auto_create=True)})
    performed = bench.ask("event.join", {}, ANNA)
    assert [(fact.kind, fact.data) for fact in performed.facts] == [
        ("event.created", {"title": "", "orgId": "org1", "by": "anna", "at": "2026-01-01T00:00:00.000Z"}),
        ("event.joined", {"userId": "anna"}),
    ]
    assert performed.reply == {"eventId": "e1"}
    assert performed.effects == [Tell("org:org1", "org.event.added", {"eventId": "e1"})]
    assert [fact.kind for fact in bench.ask("event.join", {}, BEN).facts] == ["event.joined"]


def test_a_created_event_is_shown_as_it_was_answered(bench: Bench) -> None:
    created = bench.ask("event.create", {"title": "Summit"}, MANAGER)
    assert created.reply == {
        "eventId": "e1", "id": "e1", "title": "Summit", "orgId": "org1", "createdAt": "2026-01-01T00:00:00.000Z",
        "participantCount": 0, "sessions": [],
    }  # fmt: skip
    assert bench.ask("event.read", {}, MANAGER).reply == created.reply


def test_an_event_can_be_another_organisations(bench: Bench) -> None:
    created = bench.ask("event.create", {"orgId": "org2"}, BACKEND)
    assert created.reply["orgId"] == "org2"
    assert created.effects == [Tell("org:org2", "org.event.added", {"eventId": "e1"})]


def test_only_managers_and_backends_create_events(bench: Bench) -> None:
    refusal = bench.refusal("event.create", {}, ANNA)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)
    bench.ask("event.create", {}, OWNER)


def test_an_event_is_created_once(bench: Bench) -> None:
    bench.ask("event.create", {}, BACKEND)
    refusal = bench.refusal("event.create", {}, MANAGER)
    assert (refusal.message, refusal.status, refusal.code) == ("Event already exists", 409, "conflict")


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"title": " "}, "title must not be empty"),
        ({"title": "x" * (TITLE_CHARS_MAX + 1)}, "title must be at most 200 characters, not 201"),
        ({"orgId": "a b"}, "orgId must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"),
    ],
)
def test_title_and_organisation_are_checked(bench: Bench, payload: dict[str, str], told: str) -> None:
    assert bench.refusal("event.create", payload, MANAGER).message == told


def test_joining_again_is_no_error_and_no_news(bench: Bench) -> None:
    bench.ask("event.create", {}, MANAGER)
    bench.ask("event.join", {}, ANNA)
    again = bench.ask("event.join", {}, ANNA)
    assert (again.facts, again.effects, again.reply) == ([], [], {"eventId": "e1"})
    assert bench.ask("event.read", {}, MANAGER).reply["participantCount"] == 1


def test_who_leaves_still_belongs(bench: Bench) -> None:
    bench.ask("event.create", {}, MANAGER)
    bench.ask("event.join", {}, ANNA)
    assert bench.ask("event.leave", {}, ANNA).reply == {"eventId": "e1"}
    assert bench.state.admits("anna")
    assert not bench.state.admits("ben")


def test_a_session_is_added_once(bench: Bench) -> None:
    bench.ask("event.create", {}, MANAGER)
    added = bench.ask("event.session.added", told("s1", "Keynote"))
    assert [(fact.kind, fact.data) for fact in added.facts] == [
        ("event.session.added", {"sessionId": "s1", "title": "Keynote"})
    ]
    assert bench.ask("event.session.added", told("s1", "Other")).facts == []
    assert bench.ask("event.read", {}, MANAGER).reply["sessions"] == [{"id": "s1", "title": "Keynote"}]


def test_a_session_brings_its_event_into_being(bench: Bench) -> None:
    added = bench.ask("event.session.added", told("s1", "", org="org2"))
    assert [fact.kind for fact in added.facts] == ["event.created", "event.session.added"]
    assert added.effects == [Tell("org:org2", "org.event.added", {"eventId": "e1"})]
    assert bench.refusal("event.create", {}, MANAGER).message == "Event already exists"
    bench.ask("event.join", {}, ANNA)


def test_an_attendee_does_not_bring_an_event_into_being(bench: Bench) -> None:
    added = bench.ask("event.session.added", told("s1", "Keynote", org="org2", manager=False))
    assert [fact.kind for fact in added.facts] == ["event.session.added"]
    assert bench.refusal("event.join", {}, ANNA).message == "Event not found"
    made = bench.ask("event.create", {}, MANAGER).reply
    assert (made["orgId"], made["sessions"]) == ("org1", [{"id": "s1", "title": "Keynote"}])
    auto = Bench(Events, room_id="e1", settings={"events": EventSettings(auto_create=True)})
    added = auto.ask("event.session.added", told("s1", "", org="org2", manager=False))
    assert [fact.kind for fact in added.facts] == ["event.created", "event.session.added"]


def test_an_event_of_nobody_is_told_to_no_organisation(bench: Bench) -> None:
    assert bench.ask("event.session.added", told("s1", "")).effects == []


def test_an_event_has_so_many_sessions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SESSIONS_PER_EVENT_MAX", 2)
    for number in range(2):
        bench.ask("event.session.added", told(f"s{number}", ""))
    refusal = bench.refusal("event.session.added", told("s9", ""))
    assert (refusal.message, refusal.status, refusal.code) == ("An event has at most 2 sessions", 409, "too_many")
    assert bench.ask("event.session.added", told("s1", "")).facts == []


def test_joining_is_no_broadcast(bench: Bench) -> None:
    bench.ask("event.create", {}, MANAGER)
    assert bench.shown(bench.ask("event.join", {}, ANNA)) == []


def test_the_log_rebuilds_the_event(bench: Bench) -> None:
    bench.ask("event.create", {"title": "Summit"}, MANAGER)
    bench.ask("event.join", {}, ANNA)
    bench.ask("event.session.added", told("s1", "Keynote"))
    assert bench.reopened().features == bench.state.features


async def test_a_session_created_in_an_event_tells_it(autojump_clock: MockClock) -> None:
    async with open_hub(Events, Sessions) as hub:
        await hub.do("event.create", {"title": "Summit"}, who=MANAGER, door=Via.REST, room_id="e1")
        data = {"title": "Keynote", "eventId": "e1"}
        await hub.do("session.create", data, who=MANAGER, door=Via.REST, room_id="s1")
        shown = await hub.do("event.read", who=MANAGER, door=Via.REST, room_id="e1")
        assert shown["sessions"] == [{"id": "s1", "title": "Keynote"}]


async def test_an_event_is_read_by_those_who_joined_it(autojump_clock: MockClock) -> None:
    async with open_hub(Events, settings={"events": EventSettings(auto_create=True)}) as hub:
        anna = ears(ANNA)
        await hub.do("event.join", {"eventId": "e1"}, anna)
        assert (await hub.do("event.read", who=ANNA, door=Via.REST, room_id="e1"))["participantCount"] == 1
        refusal = await (await hub.ask("event.read", who=BEN, door=Via.REST, room_id="e1")).refusal()
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)
        unknown = await (await hub.ask("event.read", who=MANAGER, door=Via.REST, room_id="e2")).refusal()
        assert (unknown.message, unknown.status) == ("Event not found", 404)


async def test_the_event_of_the_first_join_is_the_sessions(autojump_clock: MockClock) -> None:
    settings = {"sessions": SessionSettings(auto_create=True), "events": EventSettings(auto_create=True)}
    async with open_hub(Events, Sessions, settings=settings) as hub:
        anna = ears(ANNA, eventId="e1")
        await hub.do("session.join", {"sessionId": "s1"}, anna)
        assert await hub.do("event.join", {}, anna) == {"eventId": "e1"}
        shown = await hub.do("event.read", who=ANNA, door=Via.REST, room_id="e1")
        assert shown["sessions"] == [{"id": "s1", "title": ""}]
