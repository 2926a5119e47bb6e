"""Who got an alert and who confirmed it: the counts that its sender is shown."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON, SYSTEM, Ask, Do, Person, Tell, Via, user
from livehub.features import receipts
from livehub.features.alerts import Emergencies, SessionAlerts
from livehub.features.events import Events
from livehub.features.receipts import LOOK_EVERY_S, AlertReceipts
from livehub.features.reminders import Reminders
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, CARA, Bench, Ears, HubUnderTest, ears, open_hub, person, settle, uuid

BACKEND = person("backend", "backend:publish")
MANAGER = person("manager", "sessions:manage")
FIRE: dict[str, JSON] = {
    "alertType": "FIRE", "message": "Leave by the north exit.", "severity": "critical", "requireAck": True,
}  # fmt: skip
EVENT = (Events, Emergencies, AlertReceipts, Reminders)
FEATURES = (*EVENT, Sessions, SessionAlerts)
SETTINGS = {"sessions": SessionSettings(auto_create=True)}
UPDATED = "notification.ack.updated"


@pytest.fixture
def bench() -> Bench:
    bench = Bench(*EVENT, room_id="e1")
    bench.ask("event.create", {}, BACKEND)
    return bench


def publish(bench: Bench, **more: JSON) -> str:
    """Send an alert; its id."""
    return str(bench.ask("emergency.publish", {**FIRE, **more}, BACKEND).reply["id"])


def listen(bench: Bench, notification_id: str, *people: str) -> Performed:
    """Let the look find these people."""
    data = {"audiences": [], "notificationIds": [notification_id]}
    return bench.ask("emergency.listeners", {"data": data, "result": list(people)})


def ack(bench: Bench, notification_id: str, who: Person) -> Performed:
    return bench.ask("notification.ack", {"notificationId": notification_id}, who)


def end(bench: Bench, notification_id: str) -> None:
    bench.ask("emergency.end", {"notificationId": notification_id}, BACKEND)


def tell_roster(bench: Bench, *people: str) -> Performed:
    return bench.ask("event.roster", {"sessionId": "s1", "userIds": list(people), "purpose": {}})


def numbers(bench: Bench, notification_id: str) -> tuple[int, int, int]:
    """delivered, acknowledged, offline, as REST shows them."""
    shown = bench.ask("emergency.read", {"notificationId": notification_id}, BACKEND).reply
    return shown["delivered"], shown["acknowledged"], shown["offline"]


def looks(performed: Performed) -> list[Do]:
    return [effect for effect in performed.effects if isinstance(effect, Do)]


def beat(bench: Bench) -> Performed:
    place = next(n for n, feature in enumerate(bench.state.features) if isinstance(feature, AlertReceipts))
    return bench.state.beat(place, "look", Ask(None, SYSTEM, bench.now_ms, 1))


def test_right_after_an_alert_it_is_looked_who_listens_and_asked_whom_sessions_know(bench: Bench) -> None:
    for session_id in ("s1", "s2"):
        bench.ask("event.session.added", {"sessionId": session_id, "title": ""})
    performed = bench.ask("emergency.publish", FIRE, BACKEND)
    data = {"audiences": ["event:e1", "session:s1", "session:s2"], "notificationIds": [performed.reply["id"]]}
    assert looks(performed) == [Do("listeners", data, then="emergency.listeners")]
    tells = [effect for effect in performed.effects if isinstance(effect, Tell)]
    assert [tell.command for tell in tells] == ["alert.pinned"] * 2 + ["session.roster.wanted"] * 2
    assert tells[2] == Tell("session:s1", "session.roster.wanted", {"eventId": "e1", "purpose": {}})


def test_everybody_is_counted_once(bench: Bench) -> None:
    for who in (ANNA, BEN, CARA):
        bench.ask("event.join", {}, who)
    notification_id = publish(bench)
    assert numbers(bench, notification_id) == (0, 0, 3)
    listen(bench, notification_id, "anna", "ben", "anna")
    assert numbers(bench, notification_id) == (2, 0, 1)
    assert listen(bench, notification_id, "ben", "anna").facts == []
    assert [fact.data["userIds"] for fact in listen(bench, notification_id, "ben", "dora").facts] == [["dora"]]
    assert numbers(bench, notification_id) == (3, 0, 1)


def test_who_confirms_has_got_it(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    notification_id = publish(bench)
    assert ack(bench, notification_id, ANNA).reply == {"notificationId": notification_id}
    assert numbers(bench, notification_id) == (1, 1, 0)
    again = ack(bench, notification_id, ANNA)
    assert (again.facts, again.reply) == ([], {"notificationId": notification_id})
    assert numbers(bench, notification_id) == (1, 1, 0)


def test_an_unknown_alert_cannot_be_confirmed_or_read(bench: Bench) -> None:
    for command, who in (("notification.ack", ANNA), ("emergency.read", BACKEND)):
        refusal = bench.refusal(command, {"notificationId": uuid(1)}, who)
        assert (refusal.message, refusal.status, refusal.code) == ("Notification not found", 404, "not_found")
    refusal = bench.refusal("notification.ack", {"notificationId": "x"}, ANNA)
    assert refusal.message == "notificationId must be a UUID v4"


def test_who_joins_late_has_got_what_is_pinned(bench: Bench) -> None:
    over, first, second = (publish(bench) for _ in range(3))
    end(bench, over)
    performed = bench.ask("event.join", {}, ANNA)
    delivered = [fact.data for fact in performed.facts if fact.kind == "emergency.delivered"]
    assert delivered == [{"notificationId": id_, "userIds": ["anna"]} for id_ in (first, second)]
    assert [numbers(bench, id_) for id_ in (over, first, second)] == [(0, 0, 0), (1, 0, 0), (1, 0, 0)]


def test_whom_sessions_know_is_offline_until_found(bench: Bench) -> None:
    notification_id = publish(bench)
    recounted = tell_roster(bench, "anna", "ben")
    assert numbers(bench, notification_id) == (0, 0, 2)
    assert [(fact.kind, fact.kept) for fact in recounted.facts] == [
        ("event.roster.told", True),
        ("emergency.recounted", False),
    ]
    assert recounted.facts[1].data == {"notificationId": notification_id}
    listen(bench, notification_id, "ben")
    assert numbers(bench, notification_id) == (1, 0, 1)


def test_a_session_that_is_added_later_is_asked_whom_it_knows(bench: Bench) -> None:
    def asked(session_id: str) -> list[str]:
        added = bench.ask("event.session.added", {"sessionId": session_id, "title": ""})
        tells = [effect for effect in added.effects if isinstance(effect, Tell)]
        return [tell.room for tell in tells if tell.command == "session.roster.wanted"]

    assert asked("s1") == []
    notification_id = publish(bench)
    assert asked("s2") == ["session:s2"]
    end(bench, notification_id)
    assert asked("s3") == []


def test_the_sender_is_shown_the_counts(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    notification_id = publish(bench)
    ack(bench, notification_id, BEN)
    assert bench.view(UPDATED, notification_id) == {
        "notificationId": notification_id, "delivered": 1, "acknowledged": 1, "offline": 1,
    }  # fmt: skip
    (view,) = (view for view, key in bench.state.views if key == notification_id)
    assert bench.state.audience_of(view, notification_id) == user("backend")


def test_without_the_wish_for_confirmation_nobody_is_shown_counts(bench: Bench) -> None:
    notification_id = publish(bench, requireAck=False)
    ack(bench, notification_id, ANNA)
    assert bench.view(UPDATED, notification_id) is None
    assert numbers(bench, notification_id) == (1, 1, 0)


def test_it_is_looked_again_only_while_a_confirmation_is_awaited(bench: Bench) -> None:
    assert looks(beat(bench)) == []
    publish(bench, requireAck=False)
    assert looks(beat(bench)) == []
    notification_id = publish(bench)
    (look,) = looks(beat(bench))
    assert look.data == {"audiences": ["event:e1"], "notificationIds": [notification_id]}
    end(bench, notification_id)
    assert looks(beat(bench)) == []


def test_a_look_that_failed_changes_nothing(bench: Bench) -> None:
    notification_id = publish(bench)
    data = {"audiences": [], "notificationIds": [notification_id]}
    assert bench.ask("emergency.listeners", {"data": data, "error": "TooSlowError"}).facts == []


def test_after_the_end_the_numbers_stand(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    notification_id = publish(bench)
    ack(bench, notification_id, BEN)
    end(bench, notification_id)
    bench.ask("event.join", {}, CARA)
    assert listen(bench, notification_id, "anna").facts == []
    late = ack(bench, notification_id, ANNA)
    assert (late.facts, late.reply) == ([], {"notificationId": notification_id})
    assert numbers(bench, notification_id) == (1, 1, 1)
    assert bench.view(UPDATED, notification_id)["offline"] == 1
    kept = bench.feature(AlertReceipts).alerts[notification_id]
    assert (kept.delivered, kept.acknowledged) == (set(), set())


def test_rest_lists_the_newest_first(bench: Bench) -> None:
    first, second = publish(bench), publish(bench, requireAck=False)
    end(bench, first)
    listed = bench.ask("emergency.list", {}, MANAGER).reply["emergencies"]
    assert [(shown["id"], shown["isActive"]) for shown in listed] == [(second, True), (first, False)]
    assert listed[1] == bench.ask("emergency.read", {"notificationId": first}, MANAGER).reply
    assert listed[1] == {
        "id": first, "notificationId": first, "eventId": "e1", **FIRE, "timestamp": "2026-01-01T00:00:00.000Z",
        "expiresAt": "2026-01-01T01:00:00.000Z", "isActive": False, "delivered": 0, "acknowledged": 0, "offline": 0,
    }  # fmt: skip


def test_only_backends_and_managers_read_them(bench: Bench) -> None:
    notification_id = publish(bench)
    for command, data in (("emergency.list", {}), ("emergency.read", {"notificationId": notification_id})):
        assert bench.refusal(command, data, ANNA).status == 403


def test_so_many_that_ended_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "ENDED_MAX", 2)
    pinned, *ids = [publish(bench) for _ in range(4)]
    for notification_id in ids:
        end(bench, notification_id)
    assert list(bench.feature(AlertReceipts).alerts) == [pinned, *ids[1:]]
    assert bench.view(UPDATED, ids[0]) is None
    (view,) = (view for view, key in bench.state.views if key == ids[0])
    assert bench.state.audience_of(view, ids[0]) == user("")


def test_the_log_rebuilds_the_counts(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    bench.ask("event.session.added", {"sessionId": "s1", "title": ""})
    over, pinned = publish(bench), publish(bench)
    tell_roster(bench, "dora")
    for notification_id in (over, pinned):
        listen(bench, notification_id, "anna")
        ack(bench, notification_id, BEN)
    end(bench, over)
    assert bench.reopened().features == bench.state.features


async def publish_in(hub: HubUnderTest) -> str:
    sent: dict[str, Any] = await hub.do("emergency.publish", FIRE, who=BACKEND, door=Via.REST, room_id="e1")
    return str(sent["id"])


def latest(sender: Ears) -> tuple[int, int, int]:
    shown = sender.events(UPDATED)[-1]
    return shown["delivered"], shown["acknowledged"], shown["offline"]


async def test_the_sender_watches_people_get_it_and_confirm_it(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, settings=SETTINGS) as hub:
        sender, anna, ben, cara = ears(BACKEND), ears(ANNA), ears(BEN), ears(CARA)
        hub.fanout.subscribe(sender.peer, [sender.peer.user_audience])
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        await hub.do("event.join", {"eventId": "e1"}, anna)
        for client in (ben, cara):
            await hub.do("session.join", {"sessionId": "s1", "eventId": "e1"}, client)
        await hub.do("session.leave", {"sessionId": "s1"}, cara)
        notification_id = await publish_in(hub)
        await trio.sleep(1)
        assert latest(sender) == (2, 0, 1)
        (shown,) = ben.events("notification.emergency")
        acked = await hub.do("notification.ack", {"notificationId": shown["id"], "eventId": shown["eventId"]}, ben)
        assert acked == {"notificationId": notification_id}
        await trio.sleep(1)
        assert latest(sender) == (2, 1, 1)
        await hub.do("session.join", {"sessionId": "s1"}, cara)
        await trio.sleep(LOOK_EVERY_S + 1)
        assert latest(sender) == (3, 1, 0)
        for client in (anna, ben, cara):
            assert client.events(UPDATED) == []


async def test_an_alert_is_confirmed_from_the_event_that_was_joined(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, settings=SETTINGS) as hub:
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        anna, lost = ears(ANNA), ears(BEN)
        await hub.do("event.join", {"eventId": "e1"}, anna)
        notification_id = await publish_in(hub)
        assert await hub.do("notification.ack", {"notificationId": notification_id}, anna)
        refusal = await (await hub.ask("notification.ack", {"notificationId": notification_id}, lost)).refusal()
        assert refusal.message == "Event ID is required"
        await settle()
        shown = await hub.do(
            "emergency.read", {"notificationId": notification_id}, who=BACKEND, door=Via.REST, room_id="e1"
        )
        assert (shown["delivered"], shown["acknowledged"], shown["offline"]) == (1, 1, 0)
