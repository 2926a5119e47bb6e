"""Emergency alerts: sent to an event and its sessions, shown to whoever comes late, over when their time is."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON, After, Cancel, Effect, Tell, Via, iso
from livehub.features import alerts
from livehub.features.alerts import (
    ENDED_MAX,
    LASTS_S_MAX,
    PINNED_MAX,
    PINNED_PER_SESSION_MAX,
    Emergencies,
    EmergencySettings,
    SessionAlerts,
)
from livehub.features.events import Events
from livehub.features.receipts import AlertReceipts
from livehub.features.reminders import Reminders
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed
from livehub.stores.memory import open_memory
from tests.kit import ANNA, BEN, CARA, START_MS, Bench, Clock, HubUnderTest, Meter, ears, open_hub, person, settle, uuid

BACKEND = person("backend", "backend:publish")
MANAGER = person("manager", "sessions:manage")
FIRE: dict[str, JSON] = {"alertType": "FIRE", "message": "Leave by the north exit.", "severity": "critical"}
FEATURES = (Events, Emergencies, AlertReceipts, Reminders, Sessions, SessionAlerts)
SETTINGS = {"sessions": SessionSettings(auto_create=True)}


@pytest.fixture
def event() -> Bench:
    bench = Bench(Events, Emergencies, SessionAlerts, room_id="e1")
    bench.ask("event.create", {}, BACKEND)
    return bench


@pytest.fixture
def session() -> Bench:
    return Bench(Sessions, SessionAlerts, Emergencies, room_id="s1")


def publish(event: Bench, **more: JSON) -> Performed:
    return event.ask("emergency.publish", {**FIRE, **more}, BACKEND)


def add_session(event: Bench, session_id: str) -> Performed:
    return event.ask("event.session.added", {"sessionId": session_id, "title": ""})


def told(performed: Performed, command: str) -> list[Tell]:
    return [effect for effect in performed.effects if isinstance(effect, Tell) and effect.command == command]


def timers(performed: Performed) -> list[Effect]:
    return [effect for effect in performed.effects if isinstance(effect, After | Cancel)]


def alert(number: int) -> dict[str, JSON]:
    """An alert as a session is told of it."""
    return {
        "id": uuid(number), "eventId": "e1", **FIRE, "timestamp": iso(START_MS), "expiresAt": iso(START_MS + 60_000),
        "requireAck": False,
    }  # fmt: skip


def pin(session: Bench, number: int, *, late: bool = False) -> Performed:
    return session.ask("alert.pinned", {"alert": alert(number), "late": late})


def unpin(session: Bench, number: int) -> Performed:
    return session.ask("alert.unpinned", {"notificationId": uuid(number)})


def pinned(bench: Bench) -> list[str]:
    return [shown["id"] for shown in bench.state.snapshot(ANNA)["alerts"]]


def test_an_alert_is_shown_with_all_its_fields(event: Bench) -> None:
    performed = publish(event, durationS=60, requireAck=True)
    notification_id = performed.reply["id"]
    shown = {
        "id": notification_id,
        "eventId": "e1",
        "alertType": "FIRE",
        "message": "Leave by the north exit.",
        "severity": "critical",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "expiresAt": "2026-01-01T00:01:00.000Z",
        "requireAck": True,
    }
    assert event.shown(performed) == [("notification.emergency", shown)]
    assert performed.reply == {**shown, "notificationId": notification_id}


def test_it_goes_to_every_session_and_to_the_event(event: Bench) -> None:
    for session_id in ("s1", "s2"):
        add_session(event, session_id)
    performed = publish(event)
    (fact,) = performed.facts
    assert fact.to == ("session:s1", "session:s2", "")
    shown = fact.data["alert"]
    assert told(performed, "alert.pinned") == [
        Tell(f"session:{session_id}", "alert.pinned", {"alert": shown, "late": False}) for session_id in ("s1", "s2")
    ]


@pytest.mark.parametrize("severity", ["low", "medium", "high", "critical"])
def test_every_severity(event: Bench, severity: str) -> None:
    assert publish(event, severity=severity).reply["severity"] == severity


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"severity": "worst"}, "severity must be one of low, medium, high, critical"),
        ({"alertType": "x" * 51}, "alertType must be at most 50 characters, not 51"),
        ({"message": "x" * 1_001}, "message must be at most 1000 characters, not 1001"),
        ({"message": " "}, "message must not be empty"),
        ({"requireAck": "yes"}, "requireAck must be true or false"),
        ({"durationS": 0}, "durationS must be from 1 to 86400"),
        ({"durationS": LASTS_S_MAX + 1}, "durationS must be from 1 to 86400"),
        (
            {"durationS": 60, "expiresAt": "2026-01-01T01:00:00Z"},
            "Either expiresAt or durationS says when the alert ends, not both",
        ),
        (
            {"expiresAt": "2026-01-01T00:00:00Z"},
            "expiresAt must be after 2026-01-01T00:00:00.000Z and not after 2026-01-02T00:00:00.000Z",
        ),
        (
            {"expiresAt": "2026-01-02T00:00:00.001Z"},
            "expiresAt must be after 2026-01-01T00:00:00.000Z and not after 2026-01-02T00:00:00.000Z",
        ),
    ],
)
def test_what_an_alert_may_not_be(event: Bench, wrong: dict[str, JSON], message: str) -> None:
    refusal = event.refusal("emergency.publish", {**FIRE, **wrong}, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == (message, 400, "invalid_payload")


@pytest.mark.parametrize(
    ("given", "lasts_s"),
    [({}, 3_600), ({"durationS": 60}, 60), ({"expiresAt": "2026-01-02T01:00:00+01:00"}, LASTS_S_MAX)],
)
def test_it_has_a_timer_for_its_end(event: Bench, given: dict[str, JSON], lasts_s: int) -> None:
    performed = publish(event, **given)
    key, data = f"emergency {performed.reply['id']}", {"notificationId": performed.reply["id"]}
    assert timers(performed) == [After(key, START_MS + lasts_s * 1_000, "emergency.expired", data)]
    assert performed.reply["expiresAt"] == iso(START_MS + lasts_s * 1_000)


def test_how_long_it_lasts_is_a_setting() -> None:
    bench = Bench(Events, Emergencies, room_id="e1", settings={"emergencies": EmergencySettings(10)})
    bench.ask("event.create", {}, BACKEND)
    assert publish(bench).reply["expiresAt"] == "2026-01-01T00:00:10.000Z"


def test_who_comes_late_is_shown_what_is_pinned(event: Bench) -> None:
    shown = [event.shown(publish(event, message=str(number)))[0] for number in range(2)]
    assert event.state.snapshot(ANNA) == {"alerts": [payload for _, payload in shown]}
    assert event.state.welcome(ANNA) == shown


@pytest.mark.parametrize("early", [True, False])
def test_it_ends_once_and_for_all(event: Bench, early: bool) -> None:
    add_session(event, "s1")
    data = {"notificationId": publish(event).reply["id"]}
    name, who = ("emergency.end", BACKEND) if early else ("emergency.expired", person("system"))
    ended = event.ask(name, data, who)
    assert told(ended, "alert.unpinned") == [Tell("session:s1", "alert.unpinned", data)]
    assert timers(ended) == [Cancel(f"emergency {data['notificationId']}")]
    assert event.shown(ended) == []
    assert pinned(event) == []
    assert event.state.welcome(ANNA) == []
    for again in ("emergency.end", "emergency.expired"):
        performed = event.ask(again, data, BACKEND)
        assert (performed.facts, performed.effects) == ([], [])
    assert event.ask("emergency.end", data, BACKEND).reply == data


def test_an_unknown_alert_cannot_end(event: Bench) -> None:
    refusal = event.refusal("emergency.end", {"notificationId": uuid(1)}, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == ("Notification not found", 404, "not_found")


def test_only_backends_and_managers_alert(event: Bench) -> None:
    notification_id = event.ask("emergency.publish", FIRE, MANAGER).reply["id"]
    for command, data in (("emergency.publish", FIRE), ("emergency.end", {"notificationId": notification_id})):
        refusal = event.refusal(command, data, ANNA)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_so_many_are_pinned_at_once(event: Bench) -> None:
    ids = [publish(event).reply["id"] for _ in range(PINNED_MAX)]
    refusal = event.refusal("emergency.publish", FIRE, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == (
        f"An event has at most {PINNED_MAX} emergencies at once: end one first",
        409,
        "too_many",
    )
    event.ask("emergency.end", {"notificationId": ids[3]}, BACKEND)
    publish(event)


def test_a_session_that_is_added_later_is_told_of_what_is_pinned(event: Bench) -> None:
    first, second = publish(event), publish(event)
    event.ask("emergency.end", {"notificationId": first.reply["id"]}, BACKEND)
    shown = event.shown(second)[0][1]
    assert told(add_session(event, "s1"), "alert.pinned") == [
        Tell("session:s1", "alert.pinned", {"alert": shown, "late": True})
    ]


def test_an_event_remembers_so_many_that_ended(event: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "ENDED_MAX", 2)
    ids = [publish(event).reply["id"] for _ in range(3)]
    for notification_id in ids:
        event.ask("emergency.end", {"notificationId": notification_id}, BACKEND)
    assert list(event.feature(Emergencies).ended) == ids[1:]


def test_a_session_keeps_what_it_was_told(session: Bench) -> None:
    performed = pin(session, 1)
    assert session.shown(performed) == []  # its people heard the event's own fact
    assert session.state.snapshot(ANNA) == {"alerts": [alert(1)]}
    assert session.state.welcome(ANNA) == [("notification.emergency", alert(1))]
    assert pin(session, 1).facts == []


def test_a_session_shows_an_alert_that_is_older_than_its_belonging(session: Bench) -> None:
    assert session.shown(pin(session, 1, late=True)) == [("notification.emergency", alert(1))]
    assert session.shown(pin(session, 1, late=True)) == []


def test_in_a_session_too_it_ends(session: Bench) -> None:
    pin(session, 1)
    pin(session, 2)
    assert session.shown(unpin(session, 1)) == []
    assert pinned(session) == [uuid(2)]
    assert unpin(session, 1).facts == []


def test_word_of_the_end_may_come_first(session: Bench) -> None:
    unpin(session, 1)
    assert pin(session, 1).facts == []
    assert pinned(session) == []


def test_a_session_keeps_so_many(session: Bench) -> None:
    for number in range(PINNED_PER_SESSION_MAX + 1):
        pin(session, number)
    assert len(pinned(session)) == PINNED_PER_SESSION_MAX
    assert pinned(session)[0] == uuid(1)
    for number in range(ENDED_MAX + 1):
        unpin(session, number)
    assert len(session.feature(SessionAlerts).ended) == ENDED_MAX


def test_the_log_rebuilds_event_and_session(event: Bench, session: Bench) -> None:
    add_session(event, "s1")
    publish(event)
    event.ask("emergency.end", {"notificationId": publish(event).reply["id"]}, BACKEND)
    pin(session, 1, late=True)
    pin(session, 2)
    unpin(session, 1)
    for bench in (event, session):
        assert bench.reopened().features == bench.state.features
        assert bench.reopened().snapshot(ANNA) == bench.state.snapshot(ANNA)


async def publish_in(hub: HubUnderTest, **more: JSON) -> dict[str, Any]:
    return await hub.do("emergency.publish", {**FIRE, **more}, who=BACKEND, door=Via.REST, room_id="e1")


async def test_everybody_hears_an_alert_once_wherever_they_sit(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, settings=SETTINGS) as hub:
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        both, in_session, elsewhere = ears(ANNA), ears(BEN), ears(CARA)
        await hub.do("session.join", {"sessionId": "s1", "eventId": "e1"}, both)
        await hub.do("event.join", {"eventId": "e1"}, both)
        await hub.do("session.join", {"sessionId": "s1"}, in_session)
        await hub.do("session.join", {"sessionId": "s2", "eventId": "e2"}, elsewhere)
        sent = await publish_in(hub)
        for client, times in ((both, 1), (in_session, 1), (elsewhere, 0)):
            assert [shown["id"] for shown in client.events("notification.emergency")] == [sent["id"]] * times


async def test_late_phones_are_shown_it_until_it_expires(autojump_clock: MockClock) -> None:
    async with open_memory(meter=Meter()) as store:
        async with open_hub(*FEATURES, settings=SETTINGS, store=store) as hub:
            await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
            await hub.do("session.join", {"sessionId": "s1", "eventId": "e1"}, ears(ANNA))
            sent = await publish_in(hub, durationS=60)
        later = Clock(set_ms=START_MS + 30_000)
        async with open_hub(*FEATURES, settings=SETTINGS, store=store, clock=later) as hub:
            for command, room in (("session.join", {"sessionId": "s1"}), ("event.join", {"eventId": "e1"})):
                client = ears(BEN)
                answer = await (await hub.ask(command, room, client)).answer()
                await settle()
                assert [shown["id"] for shown in client.events("notification.emergency")] == [sent["id"]]
                assert answer.snapshot is not None
                assert [shown["id"] for shown in answer.snapshot["alerts"]] == [sent["id"]]
            await trio.sleep(40)
            for command, room in (("session.join", {"sessionId": "s1"}), ("event.join", {"eventId": "e1"})):
                client = ears(CARA)
                answer = await (await hub.ask(command, room, client)).answer()
                await settle()
                assert client.events("notification.emergency") == []
                assert answer.snapshot is not None
                assert answer.snapshot["alerts"] == []


async def test_who_sits_in_a_session_before_it_belongs_hears_what_is_pinned(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, settings=SETTINGS) as hub:
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        anna = ears(ANNA)
        await hub.do("session.join", {"sessionId": "s1"}, anna)
        sent = await publish_in(hub)
        assert anna.events("notification.emergency") == []
        await hub.do("session.join", {"sessionId": "s1", "eventId": "e1"}, ears(BEN))
        assert [shown["id"] for shown in anna.events("notification.emergency")] == [sent["id"]]
