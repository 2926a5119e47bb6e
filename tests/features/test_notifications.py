"""Notifications to a person, and what an event hears of its schedule: contract 1 (§11.2, §11.4)."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from livehub.feature import JSON, Via, user
from livehub.features.agenda import Agenda
from livehub.features.events import Events
from livehub.features.notifications import PersonalNotifications, ScheduleChanges
from tests.kit import ANNA, BEN, MODERATOR, Bench, ears, open_hub, person

BACKEND = person("backend", "backend:publish")
NOTE: dict[str, JSON] = {"type": "INFO", "title": "Lunch", "message": "It is <b>served</b>."}
KEYNOTE: dict[str, JSON] = {
    "id": "key", "title": "Keynote", "startTime": "2026-01-01T09:00:00Z", "endTime": "2026-01-01T10:00:00Z",
    "room": "Hall 2",
}  # fmt: skip
NAMED = {"sessionId": "key", "sessionTitle": "Keynote"}


@pytest.fixture
def anna() -> Bench:
    return Bench(PersonalNotifications, room_id="anna")


@pytest.fixture
def event() -> Bench:
    bench = Bench(Events, Agenda, ScheduleChanges, room_id="e1")
    bench.ask("event.create", {}, BACKEND)
    bench.ask("agenda.create", KEYNOTE, BACKEND)
    return bench


def changes(event: Bench, **changed: JSON) -> list[JSON]:
    performed = event.ask("agenda.change", {"sessionId": "key", **changed}, BACKEND)
    return [shown for name, shown in event.shown(performed) if name == "notification.schedule_change"]


def test_a_notification_is_shown_to_its_person_as_it_was_sent(anna: Bench) -> None:
    performed = anna.ask("notification.personal.send", {**NOTE, "actionUrl": "/menu?day=1"}, BACKEND)
    assert anna.shown(performed, user("anna")) == [("notification.personal", {**NOTE, "actionUrl": "/menu?day=1"})]
    assert [fact.to for fact in performed.facts] == [("user:anna",)]
    assert performed.reply == {"notificationId": performed.facts[0].data["notificationId"], "userId": "anna"}


def test_without_an_address_there_is_no_such_field(anna: Bench) -> None:
    for missing in ({}, {"actionUrl": None}):
        performed = anna.ask("notification.personal.send", {**NOTE, **missing}, BACKEND)
        assert anna.shown(performed, user("anna")) == [("notification.personal", NOTE)]


@pytest.mark.parametrize("url", ["https://livehub.test/a?b#c", "HTTP://x", "/", "/a//b", "/a?to=https://x"])
def test_an_action_leads_to_the_web_or_on_the_site(anna: Bench, url: str) -> None:
    anna.ask("notification.personal.send", {**NOTE, "actionUrl": url}, BACKEND)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "//evil.test", "/\\evil.test", "menu", "/a b", "/\t/evil.test", "https://a@evil.test"],
)
def test_an_action_leads_nowhere_else(anna: Bench, url: str) -> None:
    refusal = anna.refusal("notification.personal.send", {**NOTE, "actionUrl": url}, BACKEND)
    told = "actionUrl must be an http or https URL, or a path that begins with a single /"
    assert (refusal.message, refusal.status, refusal.code) == (told, 400, "invalid_payload")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"type": "x" * 51}, "type must be at most 50 characters, not 51"),
        ({"title": "x" * 201}, "title must be at most 200 characters, not 201"),
        ({"message": "x" * 2_001}, "message must be at most 2000 characters, not 2001"),
        ({"message": "\n"}, "message must not be empty"),
        ({"actionUrl": "/" + "x" * 2_000}, "actionUrl must be at most 2000 characters, not 2001"),
    ],
)
def test_texts_have_a_length(anna: Bench, wrong: dict[str, JSON], told: str) -> None:
    assert anna.refusal("notification.personal.send", {**NOTE, **wrong}, BACKEND).message == told


def test_only_a_backend_notifies(anna: Bench) -> None:
    refusal = anna.refusal("notification.personal.send", NOTE, MODERATOR)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_the_log_rebuilds_nothing_for_a_person(anna: Bench) -> None:
    anna.ask("notification.personal.send", NOTE, BACKEND)
    assert anna.reopened().features == anna.state.features


async def test_every_device_of_the_person_hears_it_and_nobody_else(autojump_clock: MockClock) -> None:
    async with open_hub(PersonalNotifications) as hub:
        devices, other = [ears(ANNA, sid="phone"), ears(ANNA, sid="laptop")], ears(BEN)
        for client in (*devices, other):
            hub.fanout.subscribe(client.peer, [client.peer.user_audience])
        await hub.do("notification.personal.send", NOTE, who=BACKEND, door=Via.REST, room_id="anna")
        assert [client.events() for client in devices] == [[("notification.personal", NOTE)]] * 2
        assert other.events() == []


def test_a_new_session_is_added(event: Bench) -> None:
    performed = event.ask("agenda.create", {**KEYNOTE, "id": "late", "title": "Late show"}, BACKEND)
    assert event.shown(performed)[1:] == [
        (
            "notification.schedule_change",
            {
                "changeType": "added",
                "sessionId": "late",
                "sessionTitle": "Late show",
                "newValue": "2026-01-01T09:00:00.000Z",
            },
        )
    ]


def test_a_deleted_session_is_cancelled(event: Bench) -> None:
    performed = event.ask("agenda.delete", {"sessionId": "key"}, BACKEND)
    assert event.shown(performed)[1:] == [("notification.schedule_change", {"changeType": "cancelled", **NAMED})]


def test_a_moved_start_is_a_change_of_time(event: Bench) -> None:
    moved = {"startTime": "2026-01-01T09:30:00Z", "endTime": "2026-01-01T10:30:00Z"}
    times = {"oldValue": "2026-01-01T09:00:00.000Z", "newValue": "2026-01-01T09:30:00.000Z"}
    assert changes(event, **moved) == [{"changeType": "time_change", **NAMED, **times}]


def test_if_only_the_end_moves_that_is_told(event: Bench) -> None:
    times = {"oldValue": "2026-01-01T10:00:00.000Z", "newValue": "2026-01-01T10:30:00.000Z"}
    assert changes(event, endTime="2026-01-01T10:30:00Z") == [{"changeType": "time_change", **NAMED, **times}]


def test_another_room_is_a_change_of_room(event: Bench) -> None:
    first = {"changeType": "room_change", **NAMED, "oldValue": "Hall 2", "newValue": "Hall 3"}
    assert changes(event, room="Hall 3") == [first]
    assert changes(event, room=None) == [{"changeType": "room_change", **NAMED, "oldValue": "Hall 3"}]
    assert changes(event, room="Hall 1") == [{"changeType": "room_change", **NAMED, "newValue": "Hall 1"}]


def test_both_at_once_are_two_changes_under_the_new_title(event: Bench) -> None:
    shown = changes(event, title="Opening", endTime="2026-01-01T10:30:00Z", room="Hall 3")
    assert [(change["changeType"], change["sessionTitle"]) for change in shown] == [
        ("time_change", "Opening"),
        ("room_change", "Opening"),
    ]


def test_what_moves_nobody_is_not_told(event: Bench) -> None:
    assert changes(event, title="Opening", description="x", speakers=["Ada"]) == []
    assert changes(event, startTime="2026-01-01T09:00:00Z", room="Hall 2") == []


async def test_the_change_follows_the_update_at_everybody_in_the_event(autojump_clock: MockClock) -> None:
    async with open_hub(Events, Agenda, ScheduleChanges) as hub:
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        anna, other = ears(ANNA, eventId="e1"), ears(BEN)
        await hub.do("event.join", {}, anna)
        await hub.do("agenda.create", KEYNOTE, who=BACKEND, door=Via.REST, room_id="e1")
        assert [name for name, _ in anna.events()] == ["agenda.update", "notification.schedule_change"]
        assert anna.seqs() == sorted(anna.seqs())
        assert other.events() == []
