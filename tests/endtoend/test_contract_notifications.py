"""Contract 1, §11: reminders, personal notifications, emergencies and their receipts (contracts, points 13, 21, 26)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_TIME, AN_ID
from tests.endtoend.node import Client
from tests.endtoend.stage import key

FORBIDDEN = (403, "You do not have permission")
NOT_FOUND = (404, "Notification not found")
PERSONAL, REMINDER, EMERGENCY = "notification.personal", "notification.session_reminder", "notification.emergency"
COUNTS = "notification.ack.updated"
REMINDED_BEFORE_S = 60.0


async def joins_event(cast: Cast, *clients: Client) -> None:
    """Have clients join the event."""
    for client in clients:
        await cast.asks(client, "event.join", {"eventId": cast.event}, eventId=cast.event)
    await cast.overlooks()


async def alarmed(cast: Cast, who: Client | None = None, **more: Any) -> dict[str, Any]:
    """Publish an emergency: the alert as everybody is shown it."""
    wanted = {"alertType": "fire", "message": "Leave the hall", "severity": "critical", **more}
    sent = await cast.rest("POST", f"/events/{cast.event}/emergencies", wanted, who=who, status=201)
    alert = {name: value for name, value in sent.items() if name not in ("success", "notificationId")}
    shown = {"id": sent["notificationId"], "eventId": cast.event, "timestamp": A_TIME, "expiresAt": A_TIME}
    assert AN_ID.fits(alert["id"])
    assert alert == {
        **wanted,
        "requireAck": False,
        **more,
        **shown,
        "timestamp": alert["timestamp"],
        "expiresAt": alert["expiresAt"],
    }
    return alert


async def test_a_personal_notification_reaches_one_person(cast: Cast) -> None:
    path = f"/users/{cast.id(cast.ada)}/notifications"
    told = {"type": "seat", "title": "Your seat", "message": "Row 3, seat 7"}
    for who in (cast.ada, cast.moderator, cast.speaker):
        await cast.rest_refuses("POST", path, told, *FORBIDDEN, who=who)
    for bad, named in (
        ({"type": ""}, "type"),
        ({"title": "x" * 201}, "200"),
        ({"message": None}, "message"),
        ({"actionUrl": "javascript:alert(1)"}, "actionUrl"),
        ({"actionUrl": "//example.com"}, "actionUrl"),
    ):
        refused = await cast.rest("POST", path, {**told, **bad}, status=400)
        assert named in refused["error"]["message"], refused
    await cast.hears()
    for more in ({}, {"actionUrl": "https://example.com/seat"}, {"actionUrl": "/seat"}):
        done = await cast.rest("POST", path, {**told, **more}, status=201)
        assert done == {"success": True, "notificationId": done["notificationId"], "userId": cast.id(cast.ada)}
        await cast.hears(Line(cast.devices(cast.ada), PERSONAL, {**told, **more}))


async def test_whoever_joined_is_reminded_of_the_start(cast: Cast) -> None:
    """Who joined the session or its event, on every device, once."""
    await joins_event(cast, cast.nowhere, cast.bob)
    start = datetime.now(UTC) + timedelta(seconds=REMINDED_BEFORE_S + 0.5)
    talk = {"id": cast.session, "title": "Keynote", "startTime": start.isoformat()}
    talk["endTime"] = (start + timedelta(hours=1)).isoformat()
    await cast.rest("POST", f"/events/{cast.event}/agenda", talk, status=201)
    reminder = {"sessionId": cast.session, "sessionTitle": "Keynote", "startsIn": 1}
    reminded = (*cast.seated, cast.tablet, cast.nowhere)
    await cast.hears(Line(reminded, REMINDER, reminder), only=(REMINDER,))


async def test_an_emergency_reaches_the_event_and_its_sessions(cast: Cast) -> None:
    await joins_event(cast, cast.bob, cast.nowhere)  # bob sits in a session of it, too, and hears it once
    path = f"/events/{cast.event}/emergencies"
    wanted = {"alertType": "fire", "message": "Leave the hall", "severity": "high"}
    for who in (cast.ada, cast.moderator, cast.speaker):
        await cast.rest_refuses("POST", path, wanted, *FORBIDDEN, who=who)
    for bad, named in (
        ({"severity": "mild"}, "severity"),
        ({"message": " "}, "message"),
        ({"message": "x" * 1_001}, "1000"),
        ({"alertType": ""}, "alertType"),
        ({"durationS": 0}, "durationS"),
        ({"expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
    ):
        refused = await cast.rest("POST", path, {**wanted, **bad}, status=400)
        assert named in refused["error"]["message"], refused
    await cast.hears()
    alerts = []
    for severity in ("low", "medium", "high", "critical"):
        alerts.append(await alarmed(cast, severity=severity))
        await cast.hears(Line((*cast.seated, cast.nowhere), EMERGENCY, alerts[-1]))
    ended = alerts.pop(0)
    assert await cast.rest("DELETE", f"{path}/{ended['id']}") == {"success": True, "notificationId": ended["id"]}
    await cast.hears()
    await cast.asks(cast.tablet, "event.join", {"eventId": cast.event}, eventId=cast.event)  # who comes late
    snapshot = {"eventId": cast.event, "agenda": [], "alerts": alerts}
    pinned = [Line((cast.tablet,), EMERGENCY, alert) for alert in alerts]
    await cast.hears(Line((cast.tablet,), "event.snapshot", snapshot), *pinned)
    carol = cast.connect("carol", query={"sessionId": cast.session})
    await cast.hears(Line((carol,), "connectionAcknowledged", {"userId": cast.id(carol)}))
    await cast.asks(carol, "session.join", None, sessionId=cast.session)
    await cast.hears(*(Line((carol,), EMERGENCY, alert) for alert in alerts), only=(EMERGENCY,))
    assert carol.payloads("session.snapshot")[0]["alerts"] == alerts


async def test_the_sender_of_an_emergency_sees_who_confirmed_it(cast: Cast) -> None:
    carol = cast.connect("carol", query={"sessionId": cast.session, "eventId": cast.event})
    await carol.acknowledged()
    await carol.ask("session.join", None)
    await joins_event(cast, cast.nowhere)
    carol.disconnect()
    await carol.reported("disconnect")
    cast.dismiss(carol)
    alert = await alarmed(cast, cast.owner, requireAck=True)
    naming, listening = {"notificationId": alert["id"]}, (*cast.seated, cast.nowhere)

    def counted(acknowledged: int) -> Line:
        counts = {"delivered": len(listening), "acknowledged": acknowledged, "offline": 1}
        return Line((cast.owner,), COUNTS, {**naming, **counts})

    await cast.hears(Line(listening, EMERGENCY, alert), counted(0))
    await cast.does(cast.ada, "notification.ack", naming, **naming)  # its event is in the handshake
    await cast.hears(counted(1))
    await cast.does(cast.nowhere, "notification.ack", {**naming, "eventId": cast.event}, **naming)
    await cast.hears(counted(2))
    await cast.does(cast.tablet, "notification.ack", {**naming, "eventId": cast.event}, **naming)  # is Ada again
    await cast.refuses(cast.bob, "notification.ack", {"notificationId": UNKNOWN_ID}, *NOT_FOUND)
    await cast.refuses(cast.elsewhere, "notification.ack", naming, *NOT_FOUND)
    await cast.refuses(cast.tablet, "notification.ack", naming, 400, "Event ID is required")
    unheard_of = {**naming, "eventId": "unheard-of", "idempotencyKey": key()}
    await cast.refuses(cast.bob, "notification.ack", unheard_of, 404, "Event not found")
    await cast.hears()
    read = await cast.rest("GET", f"/events/{cast.event}/emergencies/{alert['id']}")
    assert read == {**alert, **counted(2).payload, "isActive": True}
