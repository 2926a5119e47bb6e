"""Emergency alerts: sent to an event and all its sessions, and pinned there until they end (contract 1, §11.3).

An alert is one fact for everybody in the event and in any of its sessions; who sits in both hears it once. While it is
pinned, whoever comes later is shown it at once, in a session too: that keeps its own copy, since rooms share no state.
Who got it, and who confirmed it, is counted in `livehub.features.receipts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    After,
    Ask,
    Cancel,
    Emits,
    Fact,
    Feature,
    Moment,
    Outcome,
    Person,
    Refused,
    Tell,
    Text,
    Uuid,
    Whole,
    applies,
    changing,
    internal,
    iso,
    moment_ms,
    on,
    payload,
    setting,
)

ALERT_TYPE_CHARS_MAX = 50
MESSAGE_CHARS_MAX = 1_000
LASTS_S_MAX = 86_400
PINNED_MAX = 10
"""Of one event at once: every newcomer is shown all of them."""
PINNED_PER_SESSION_MAX = 2 * PINNED_MAX
"""A session may hear late that one has ended, after it heard of the next."""
ENDED_MAX = 100
"""Alerts that an event and a session remember as over."""

PUBLISHERS = ("backend:publish", "sessions:manage")


@payload
class EmergencySettings:
    """`[emergencies]`"""

    lasts_s: int = setting(
        3_600, unit="seconds", least=1, most=LASTS_S_MAX, help="how long an alert that names no end is pinned"
    )


@payload
class PublishEmergency:
    """What `POST /api/events/{eventId}/emergencies` takes; `expiresAt` or `durationS` or neither."""

    alert_type: Annotated[str, Text(ALERT_TYPE_CHARS_MAX)]
    message: Annotated[str, Text(MESSAGE_CHARS_MAX)]
    severity: Literal["low", "medium", "high", "critical"]
    expires_at: Moment | None = None
    duration_s: Annotated[int, Whole(1, LASTS_S_MAX)] | None = None
    require_ack: bool = False


@payload
class OneAlert:
    """Names an alert by the `id` it came with."""

    notification_id: Uuid


class EmergencyAlert(TypedDict):
    """Contract 1, §11.3, with the fields of contracts, point 21; `eventId` is what `notification.ack` is sent with."""

    id: str
    eventId: str
    alertType: str
    message: str
    severity: Literal["low", "medium", "high", "critical"]
    timestamp: str
    expiresAt: str
    requireAck: bool


class EmergencySent(EmergencyAlert):
    """The alert as it was sent; `notificationId` is its `id`."""

    notificationId: str


class AlertPinned(TypedDict):
    """What a session is told of an alert; `late` if the alert was sent before the session belonged to the event."""

    alert: EmergencyAlert
    late: bool


class PinnedAlerts(TypedDict):
    """What is pinned, oldest first."""

    alerts: list[EmergencyAlert]


class AlertEnded(TypedDict):
    """Which alert is over."""

    notificationId: str


def _alert(data: dict[str, JSON], _: str) -> JSON:
    return data["alert"]


@dataclass
class Emergencies(Feature):
    """The alerts of one event."""

    name: ClassVar[str] = "emergencies"
    room: ClassVar[str] = "event"
    Settings = EmergencySettings
    emits = (
        Emits(
            "notification.emergency",
            EmergencyAlert,
            "An alert, when it is sent, and for whoever comes while it is pinned.",
            of=("notification.emergency", "alert.pinned"),
            to=(EVERYONE, "session:{sessionId}"),
            render=_alert,
        ),
    )

    settings: EmergencySettings = field(default_factory=EmergencySettings)
    pinned: dict[str, EmergencyAlert] = field(default_factory=dict)  # oldest first
    ended: dict[str, None] = field(default_factory=dict)
    sessions: dict[str, None] = field(default_factory=dict)

    @changing(
        "emergency.publish",
        needs=PUBLISHERS,
        rate="20/10s",
        returns=EmergencySent,
        rest="POST /events/{eventId}/emergencies 201",
    )
    def publish(self, ask: Ask[PublishEmergency]) -> Outcome:
        """Alert everybody in the event and its sessions, and keep the alert pinned until it expires."""
        asked, expires_ms, alert_id = ask.payload, self._expires_ms(ask), ask.new_id()
        if len(self.pinned) >= PINNED_MAX:
            text = f"An event has at most {PINNED_MAX} emergencies at once: end one first"
            raise Refused(text, 409, code="too_many")
        alert: EmergencyAlert = {
            "id": alert_id,
            "eventId": self.room_id,
            "alertType": asked.alert_type,
            "message": asked.message,
            "severity": asked.severity,
            "timestamp": ask.now,
            "expiresAt": iso(expires_ms),
            "requireAck": asked.require_ack,
        }
        to = (*(f"session:{session_id}" for session_id in self.sessions), EVERYONE)
        fact = Fact("notification.emergency", {"notificationId": alert_id, "alert": alert, "by": ask.who.id}, to)
        expiry = After(_timer(alert_id), expires_ms, "emergency.expired", {"notificationId": alert_id})
        told = [_pin(session_id, alert, late=False) for session_id in self.sessions]
        return Outcome([fact], {**alert, "notificationId": alert_id}, [expiry, *told])

    @changing(
        "emergency.end",
        needs=PUBLISHERS,
        rate="20/10s",
        returns=AlertEnded,
        rest="DELETE /events/{eventId}/emergencies/{notificationId}",
    )
    def end(self, ask: Ask[OneAlert]) -> Outcome:
        """Unpin an alert before it expires; one that has ended already is no error."""
        notification_id = ask.payload.notification_id
        if notification_id not in self.pinned and notification_id not in self.ended:
            raise Refused("Notification not found", 404, code="not_found")
        return self._end(notification_id, {"notificationId": notification_id})

    @internal("emergency.expired")
    def expired(self, ask: Ask[AlertEnded]) -> Outcome:
        """The time of an alert is over."""
        return self._end(ask.payload["notificationId"], {})

    @on("event.session.added")
    def session_added(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Tell a new session what is pinned."""
        return Outcome(effects=[_pin(data["sessionId"], alert, late=True) for alert in self.pinned.values()])

    @applies("notification.emergency")
    def _on_published(self, data: dict[str, JSON], at_ms: int) -> None:
        self.pinned[data["notificationId"]] = data["alert"]

    @applies("emergency.ended")
    def _on_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        del self.pinned[data["notificationId"]]
        _remember(self.ended, data["notificationId"])

    @applies("event.session.added")
    def _on_session_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sessions[data["sessionId"]] = None

    def snapshot(self, who: Person) -> PinnedAlerts:
        """What is pinned, oldest first."""
        return {"alerts": list(self.pinned.values())}

    def welcome(self, who: Person) -> Iterable[tuple[str, JSON]]:
        """What is pinned, as it was sent."""
        return [("notification.emergency", alert) for alert in self.pinned.values()]

    def _expires_ms(self, ask: Ask[PublishEmergency]) -> int:
        asked, latest_ms = ask.payload, ask.at_ms + LASTS_S_MAX * 1_000
        if asked.expires_at is None:
            return ask.at_ms + (asked.duration_s or self.settings.lasts_s) * 1_000
        if asked.duration_s is not None:
            raise Refused("Either expiresAt or durationS says when the alert ends, not both", code="invalid_payload")
        expires_ms = moment_ms(asked.expires_at)
        if not ask.at_ms < expires_ms <= latest_ms:
            raise Refused(f"expiresAt must be after {ask.now} and not after {iso(latest_ms)}", code="invalid_payload")
        return expires_ms

    def _end(self, notification_id: str, reply: dict[str, JSON]) -> Outcome:
        if notification_id not in self.pinned:
            return Outcome(reply=reply)
        told = {"notificationId": notification_id}
        tells = [Tell(f"session:{session_id}", "alert.unpinned", told) for session_id in self.sessions]
        return Outcome([Fact("emergency.ended", told)], reply, [Cancel(_timer(notification_id)), *tells])


@dataclass
class SessionAlerts(Feature):
    """What is pinned in one session. A session hears of alerts from its event, and of late ones shows them itself."""

    name: ClassVar[str] = "alerts"

    pinned: dict[str, EmergencyAlert] = field(default_factory=dict)  # oldest first
    ended: dict[str, None] = field(default_factory=dict)  # word of an end may overtake word of the alert

    @internal("alert.pinned")
    def pin(self, ask: Ask[AlertPinned]) -> Outcome:
        """Keep an alert for who comes later; show it, if it was sent before the session belonged to the event."""
        alert = ask.payload["alert"]
        if alert["id"] in self.pinned or alert["id"] in self.ended:
            return Outcome()
        data = {"alert": alert, "late": ask.payload["late"]}
        return Outcome([Fact("alert.pinned", data, (EVERYONE,) if ask.payload["late"] else ())])

    @internal("alert.unpinned")
    def unpin(self, ask: Ask[AlertEnded]) -> Outcome:
        """An alert is over."""
        notification_id = ask.payload["notificationId"]
        if notification_id in self.ended:
            return Outcome()
        return Outcome([Fact("alert.unpinned", {"notificationId": notification_id})])

    @applies("alert.pinned")
    def _on_pinned(self, data: dict[str, JSON], at_ms: int) -> None:
        self.pinned[data["alert"]["id"]] = data["alert"]
        while len(self.pinned) > PINNED_PER_SESSION_MAX:
            del self.pinned[next(iter(self.pinned))]

    @applies("alert.unpinned")
    def _on_unpinned(self, data: dict[str, JSON], at_ms: int) -> None:
        self.pinned.pop(data["notificationId"], None)
        _remember(self.ended, data["notificationId"])

    def snapshot(self, who: Person) -> PinnedAlerts:
        """What is pinned, oldest first."""
        return {"alerts": list(self.pinned.values())}

    def welcome(self, who: Person) -> Iterable[tuple[str, JSON]]:
        """What is pinned, as it was sent: clients that know only contract 1 do not read the snapshot."""
        return [("notification.emergency", alert) for alert in self.pinned.values()]


def _timer(notification_id: str) -> str:
    return f"emergency {notification_id}"


def _pin(session_id: str, alert: EmergencyAlert, *, late: bool) -> Tell:
    return Tell(f"session:{session_id}", "alert.pinned", {"alert": alert, "late": late})


def _remember(ended: dict[str, None], notification_id: str) -> None:
    ended[notification_id] = None
    while len(ended) > ENDED_MAX:
        del ended[next(iter(ended))]
