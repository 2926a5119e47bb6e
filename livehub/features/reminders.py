"""Reminders: before a session of the agenda starts, whoever has joined it or its event is told (contract 1, §11.1).

An item has one durable timer, for its next reminder; ringing sets the one after. When it rings, the session is asked
who has joined, and its answer is what is written: one fact for everybody. A server that was down rings late, and then
tells what is true now: nothing of a session that has started, and of several reminders only the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NotRequired, TypedDict

from livehub.feature import (
    JSON,
    After,
    Ask,
    Cancel,
    Effect,
    Emits,
    Fact,
    Feature,
    Outcome,
    Tell,
    applies,
    internal,
    moment_ms,
    on,
    payload,
    setting,
    user,
)

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
REMINDED_MAX = 10_000
"""Reminders remembered as sent; by the time one is forgotten, its session has long started."""


@payload
class NotificationSettings:
    """`[notifications]`"""

    reminder_minutes: tuple[int, ...] = setting(
        (15, 5, 1),
        unit="minutes",
        least=1,
        most=DAY_MINUTES,
        help="how long before a session starts its people are reminded; empty: never",
    )


class SessionReminder(TypedDict):
    """Contract 1, §11.1; `startsIn` is in minutes."""

    sessionId: str
    sessionTitle: str
    startsIn: int


class ReminderDue(TypedDict):
    """For which session a timer rings, and the start it was set for."""

    sessionId: str
    startTime: str


class RosterPurpose(TypedDict):
    """Why a session was asked who has joined: with a start time, to remind them of it."""

    startTime: NotRequired[str]


class RosterTold(TypedDict):
    """Who has joined a session."""

    sessionId: str
    userIds: list[str]
    purpose: RosterPurpose


@dataclass(slots=True)
class PlannedSession:
    """What a reminder tells of a session."""

    title: str
    start: str


def _reminder(data: dict[str, JSON], _: str) -> JSON:
    return data["reminder"]


@dataclass
class Reminders(Feature):
    """Reminders of one event, and whom its sessions know."""

    name: ClassVar[str] = "notifications"
    room: ClassVar[str] = "event"
    Settings = NotificationSettings
    emits = (
        Emits(
            "notification.session_reminder",
            SessionReminder,
            "A session starts soon.",
            to=user("{userId}"),
            render=_reminder,
        ),
    )

    settings: NotificationSettings = field(default_factory=NotificationSettings)
    planned: dict[str, PlannedSession] = field(default_factory=dict)
    participants: set[str] = field(default_factory=set)  # who has joined the event
    roster: set[str] = field(default_factory=set)  # who is known only because sessions told
    reminded: dict[tuple[str, str, int], None] = field(default_factory=dict)  # (session, start, minutes), oldest first

    @on("agenda.created", "agenda.updated")
    def plan(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Set the timer of a session, or move it with the session."""
        item = data["update"]["session"]
        if data["before"] is not None and data["before"]["startTime"] == item["startTime"]:
            return Outcome()
        return Outcome(effects=[self._timer(item["id"], item["startTime"], ask.at_ms - 1)])

    @on("agenda.deleted")
    def forget(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Nobody is reminded of what was cancelled."""
        return Outcome(effects=[Cancel(_key(data["update"]["session"]["id"]))])

    @internal("reminder.due")
    def due(self, ask: Ask[ReminderDue]) -> Outcome:
        """Ask the session who has joined it, and set the timer anew.

        That is done also when the session has moved meanwhile: ringing used up the timer that was set for the move.
        """
        session_id = ask.payload["sessionId"]
        planned = self.planned.get(session_id)
        if planned is None:
            return Outcome()
        effects = [self._timer(session_id, planned.start, ask.at_ms)]
        if planned.start == ask.payload["startTime"] and self._reminder_due(session_id, ask.at_ms) is not None:
            wanted = {"eventId": self.room_id, "purpose": {"startTime": planned.start}}
            effects.append(Tell(f"session:{session_id}", "session.roster.wanted", wanted))
        return Outcome(effects=effects)

    @internal("event.roster")
    def roster_told(self, ask: Ask[RosterTold]) -> Outcome:
        """A session tells who has joined it. If it was asked for a reminder that is still due, remind them."""
        told, facts = ask.payload, []
        joined = list(dict.fromkeys(told["userIds"]))
        known = (self.participants, self.roster)
        if news := [user_id for user_id in joined if not any(user_id in some for some in known)]:
            facts.append(Fact("event.roster.told", {"userIds": news}))
        planned = self.planned.get(told["sessionId"])
        if planned is not None and planned.start == told["purpose"].get("startTime"):
            minutes = self._reminder_due(told["sessionId"], ask.at_ms)
            if minutes is not None:
                facts.append(self._remind(told["sessionId"], planned, minutes, joined, ask.at_ms))
        return Outcome(facts)

    @applies("agenda.created", "agenda.updated")
    def _on_planned(self, data: dict[str, JSON], at_ms: int) -> None:
        item = data["update"]["session"]
        self.planned[item["id"]] = PlannedSession(item["title"], item["startTime"])

    @applies("agenda.deleted")
    def _on_deleted(self, data: dict[str, JSON], at_ms: int) -> None:
        del self.planned[data["update"]["session"]["id"]]

    @applies("event.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants.add(data["userId"])
        self.roster.discard(data["userId"])

    @applies("event.roster.told")
    def _on_roster(self, data: dict[str, JSON], at_ms: int) -> None:
        self.roster.update(data["userIds"])

    @applies("notification.session_reminder")
    def _on_reminded(self, data: dict[str, JSON], at_ms: int) -> None:
        self.reminded[data["reminder"]["sessionId"], data["startTime"], data["minutes"]] = None
        while len(self.reminded) > REMINDED_MAX:
            del self.reminded[next(iter(self.reminded))]

    def _timer(self, session_id: str, start: str, after_ms: int) -> Effect:
        """The timer of the first reminder after a time; none if all are past."""
        dues = (moment_ms(start) - minutes * MINUTE_MS for minutes in self.settings.reminder_minutes)
        due_ms = min((due_ms for due_ms in dues if due_ms > after_ms), default=None)
        if due_ms is None:
            return Cancel(_key(session_id))
        return After(_key(session_id), due_ms, "reminder.due", {"sessionId": session_id, "startTime": start})

    def _reminder_due(self, session_id: str, now_ms: int) -> int | None:
        """The nearest reminder that is due, by its minutes; None if there is none, or it was sent."""
        start = self.planned[session_id].start
        left_ms = moment_ms(start) - now_ms
        due = (minutes for minutes in self.settings.reminder_minutes if left_ms <= minutes * MINUTE_MS)
        minutes = min(due, default=None) if left_ms > 0 else None
        return None if minutes is None or (session_id, start, minutes) in self.reminded else minutes

    def _remind(self, session_id: str, planned: PlannedSession, minutes: int, joined: list[str], now_ms: int) -> Fact:
        starts_in = -((now_ms - moment_ms(planned.start)) // MINUTE_MS)  # rounded up
        reminder = {"sessionId": session_id, "sessionTitle": planned.title, "startsIn": starts_in}
        data = {"reminder": reminder, "startTime": planned.start, "minutes": minutes}
        to = tuple(map(user, sorted(self.participants.union(joined))))
        return Fact("notification.session_reminder", data, to)


def _key(session_id: str) -> str:
    return f"reminder {session_id}"
