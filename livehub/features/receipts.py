"""Who got an emergency alert, and who confirmed it (contract 1, §11.3; contracts, point 21).

Who got it is found by looking who listens, in the event and its sessions, right after it was sent, and then every 5 s
as long as somebody waits to be confirmed: a connection that listens later was shown the alert when it came. Who did
not get it is everybody else that the event or one of its sessions knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NotRequired, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Do,
    Emits,
    Empty,
    Fact,
    Feature,
    Outcome,
    Refused,
    Seating,
    Tell,
    Uuid,
    applies,
    command,
    every,
    internal,
    on,
    payload,
    reading,
    user,
    view,
)

ENDED_MAX = 100
"""Alerts that have ended and are still shown over REST; of them only the numbers are kept."""
LOOK_EVERY_S = 5.0

PUBLISHERS = ("backend:publish", "sessions:manage")


@payload
class OneNotification:
    """Names an alert by the `id` it came with."""

    notification_id: Uuid


class AckCounts(TypedDict):
    """How many people got an alert, confirmed it, and did not get it (contracts, point 21)."""

    notificationId: str
    delivered: int
    acknowledged: int
    offline: int


class EmergencyInfo(AckCounts):
    """An alert as REST shows it. Without `requireAck` it is looked only once who got it, when it is sent."""

    id: str
    eventId: str
    alertType: str
    message: str
    severity: Literal["low", "medium", "high", "critical"]
    timestamp: str
    expiresAt: str
    requireAck: bool
    isActive: bool


class EmergencyList(TypedDict):
    """Alerts, the newest first."""

    emergencies: list[EmergencyInfo]


class Acknowledged(TypedDict):
    """Which alert was confirmed."""

    notificationId: str


class ListenersWanted(TypedDict):
    """Where it was looked who listens, and for which alerts."""

    audiences: list[str]
    notificationIds: list[str]


class ListenersFound(TypedDict):
    """Who listens; without a `result` it could not be found."""

    data: ListenersWanted
    result: NotRequired[list[str]]


@dataclass(slots=True)
class Receipts:
    """Who got one alert. Once it has ended, `final` stands for the people."""

    alert: dict[str, JSON]
    by: str
    delivered: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    final: dict[str, int] | None = None

    @property
    def open(self) -> bool:
        """Whether the alert is still pinned."""
        return self.final is None


@dataclass
class AlertReceipts(Feature):
    """The counts of one event's alerts."""

    name: ClassVar[str] = "receipts"
    room: ClassVar[str] = "event"
    emits = (
        Emits(
            "notification.ack.updated",
            AckCounts,
            "The counts of an alert that you sent and that asks to be confirmed, at most 4 times a second.",
            to=user("{userId}"),
        ),
    )

    alerts: dict[str, Receipts] = field(default_factory=dict)  # oldest first
    sessions: dict[str, None] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)  # known to the event or to one of its sessions

    @command("notification.ack", seat=Seating.FREE, rate="20/10s", returns=Acknowledged)
    def acknowledge(self, ask: Ask[OneNotification]) -> Outcome:
        """Confirm an alert, with its `eventId`. Again, or after its end, is no error and counts no more.

        No seat in the event is needed, since alerts reach people in sessions too; only who got one knows its id.
        """
        notification_id = ask.payload.notification_id
        receipts, reply = self._find(notification_id), {"notificationId": notification_id}
        if not receipts.open or ask.who.id in receipts.acknowledged:
            return Outcome(reply=reply)
        fact = Fact("emergency.acknowledged", {"notificationId": notification_id, "userId": ask.who.id})
        return Outcome([fact], reply)

    @reading(
        "emergency.list",
        needs=PUBLISHERS,
        seat=Seating.FREE,
        rate="100/10s",
        returns=EmergencyList,
        rest="GET /events/{eventId}/emergencies",
    )
    def list_all(self, ask: Ask[Empty]) -> Outcome:
        """Show the pinned alerts and the latest that ended, with their counts."""
        return Outcome(reply={"emergencies": [self._info(receipts) for receipts in reversed(self.alerts.values())]})

    @reading(
        "emergency.read",
        needs=PUBLISHERS,
        seat=Seating.FREE,
        rate="100/10s",
        returns=EmergencyInfo,
        rest="GET /events/{eventId}/emergencies/{notificationId}",
    )
    def read(self, ask: Ask[OneNotification]) -> Outcome:
        """Show an alert with its counts."""
        return Outcome(reply=self._info(self._find(ask.payload.notification_id)))

    @internal("emergency.listeners")
    def found(self, ask: Ask[ListenersFound]) -> Outcome:
        """Whoever listens now has got these alerts."""
        wanted = ask.payload["data"]["notificationIds"]
        alerts = {id_: receipts for id_ in wanted if (receipts := self.alerts.get(id_)) is not None}
        return Outcome(_delivered(alerts, ask.payload.get("result", ())))

    @every(LOOK_EVERY_S)
    def look(self, ask: Ask[None]) -> Outcome:
        """Look who listens by now, while somebody waits to be confirmed."""
        awaited = [id_ for id_, receipts in self.alerts.items() if receipts.open and receipts.alert["requireAck"]]
        return Outcome(effects=[self._who_listens(awaited)]) if awaited else Outcome()

    @on("notification.emergency")
    def sent(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Look who listens, and ask the sessions whom they know."""
        wanted = [self._roster_wanted(session_id) for session_id in self.sessions]
        return Outcome(effects=[self._who_listens([data["notificationId"]]), *wanted])

    @on("event.joined")
    def joined(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Who joins is shown what is pinned."""
        return Outcome(_delivered(self.alerts, [data["userId"]]))

    @on("event.session.added")
    def session_added(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Whoever sits in a new session is shown what is pinned, and counts from now on."""
        pinned = any(receipts.open for receipts in self.alerts.values())
        return Outcome(effects=[self._roster_wanted(data["sessionId"])] if pinned else ())

    @on("event.roster.told")
    def recount(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """More people are known, so more of them have not got it. Nothing for the log: the roster is in it."""
        pinned = [id_ for id_, receipts in self.alerts.items() if receipts.open]
        return Outcome([Fact("emergency.recounted", {"notificationId": id_}, kept=False) for id_ in pinned])

    @applies("notification.emergency")
    def _on_sent(self, data: dict[str, JSON], at_ms: int) -> None:
        self.alerts[data["notificationId"]] = Receipts(data["alert"], data["by"])

    @applies("emergency.delivered")
    def _on_delivered(self, data: dict[str, JSON], at_ms: int) -> None:
        self.alerts[data["notificationId"]].delivered.update(data["userIds"])

    @applies("emergency.acknowledged")
    def _on_acknowledged(self, data: dict[str, JSON], at_ms: int) -> None:
        receipts = self.alerts[data["notificationId"]]
        receipts.acknowledged.add(data["userId"])
        receipts.delivered.add(data["userId"])

    @applies("emergency.ended")
    def _on_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        receipts = self.alerts[data["notificationId"]]
        receipts.final = self._numbers(receipts)
        receipts.delivered, receipts.acknowledged = set(), set()
        ended = [id_ for id_, known in self.alerts.items() if not known.open]
        for id_ in ended[:-ENDED_MAX]:
            del self.alerts[id_]

    @applies("event.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people.add(data["userId"])

    @applies("event.roster.told")
    def _on_roster(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people.update(data["userIds"])

    @applies("event.session.added")
    def _on_session_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sessions[data["sessionId"]] = None

    @view(
        "notification.ack.updated",
        after=(
            "notification.emergency",
            "emergency.delivered",
            "emergency.acknowledged",
            "emergency.recounted",
            "emergency.ended",
        ),
        key="notificationId",
        whom="sender",
    )
    def counts(self, notification_id: str) -> JSON:
        """The counts of an alert that asks to be confirmed."""
        receipts = self.alerts.get(notification_id)
        if receipts is None or not receipts.alert["requireAck"]:
            return None
        return {"notificationId": notification_id, **self._numbers(receipts)}

    def sender(self, notification_id: str) -> str:
        """The audience of whoever sent an alert; nobody's once it is forgotten."""
        receipts = self.alerts.get(notification_id)
        return user(receipts.by if receipts is not None else "")

    def _find(self, notification_id: str) -> Receipts:
        receipts = self.alerts.get(notification_id)
        if receipts is None:
            raise Refused("Notification not found", 404, code="not_found")
        return receipts

    def _who_listens(self, notification_ids: list[str]) -> Do:
        audiences = [f"event:{self.room_id}", *(f"session:{session_id}" for session_id in self.sessions)]
        data = {"audiences": audiences, "notificationIds": notification_ids}
        return Do("listeners", data, then="emergency.listeners")

    def _roster_wanted(self, session_id: str) -> Tell:
        return Tell(f"session:{session_id}", "session.roster.wanted", {"eventId": self.room_id, "purpose": {}})

    def _numbers(self, receipts: Receipts) -> dict[str, int]:
        if receipts.final is not None:
            return receipts.final
        return {
            "delivered": len(receipts.delivered),
            "acknowledged": len(receipts.acknowledged),
            "offline": len(self.people - receipts.delivered),
        }

    def _info(self, receipts: Receipts) -> dict[str, JSON]:
        named = {"notificationId": receipts.alert["id"], "isActive": receipts.open}
        return {**receipts.alert, **named, **self._numbers(receipts)}


def _delivered(alerts: dict[str, Receipts], people: Iterable[str]) -> list[Fact]:
    """Facts for what is news; alerts that have ended are not counted any more."""
    facts, people = [], dict.fromkeys(people)
    for notification_id, receipts in alerts.items():
        news = [user_id for user_id in people if receipts.open and user_id not in receipts.delivered]
        if news:
            facts.append(Fact("emergency.delivered", {"notificationId": notification_id, "userIds": news}))
    return facts
