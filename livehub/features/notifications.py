"""Notifications to one person, and to an event about its schedule (contract 1, §11.2 and §11.4).

A change of schedule is not sent by anybody: it is derived from the agenda, in the commit that changes it, so the two
cannot disagree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NotRequired, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Fact,
    Feature,
    Outcome,
    Refused,
    Text,
    Url,
    changing,
    on,
    payload,
    user,
)

TYPE_CHARS_MAX = 50
TITLE_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 2_000
URL_CHARS_MAX = 2_000
PATH_ON_SITE = re.compile(r"/(?![/\\])\S*\Z")
"""A path on the page's own site: browsers take what begins with `//` or `/\\` for another site."""


@payload
class NotifyPerson:
    """What `POST /api/users/{userId}/notifications` takes."""

    type: Annotated[str, Text(TYPE_CHARS_MAX)]
    title: Annotated[str, Text(TITLE_CHARS_MAX)]
    message: Annotated[str, Text(MESSAGE_CHARS_MAX)]
    action_url: Annotated[str, Text(URL_CHARS_MAX)] | None = None


class PersonalNotification(TypedDict):
    """Contract 1, §11.2."""

    type: str
    title: str
    message: str
    actionUrl: NotRequired[str]


class Notified(TypedDict):
    """Who was notified, and under which id the log knows it."""

    notificationId: str
    userId: str


class ScheduleChange(TypedDict):
    """Contract 1, §11.4. Values are a start time, an end time if only that moved, or the name of a room."""

    changeType: Literal["time_change", "room_change", "cancelled", "added"]
    sessionId: str
    sessionTitle: str
    oldValue: NotRequired[str]
    newValue: NotRequired[str]


def _notification(data: dict[str, JSON], _: str) -> JSON:
    return data["notification"]


@dataclass
class PersonalNotifications(Feature):
    """What a backend tells one person. Nothing is kept but the log: who is cut off gets it with the replay."""

    name: ClassVar[str] = "personal_notifications"
    room: ClassVar[str] = "user"
    emits = (Emits("notification.personal", PersonalNotification, "Something for one person.", render=_notification),)

    @changing(
        "notification.personal.send",
        needs="backend:publish",
        creates=True,
        rate="1000/10s",
        returns=Notified,
        rest="POST /users/{userId}/notifications 201",
    )
    def send(self, ask: Ask[NotifyPerson]) -> Outcome:
        """Notify a person on all their devices. `actionUrl` is an http or https address or a path on the site."""
        asked = ask.payload
        notification = {"type": asked.type, "title": asked.title, "message": asked.message}
        if asked.action_url is not None:
            notification["actionUrl"] = _checked(asked.action_url)
        notification_id = ask.new_id()
        data = {"notificationId": notification_id, "notification": notification, "by": ask.who.id}
        fact = Fact("notification.personal", data, (user(self.room_id),))
        return Outcome([fact], {"notificationId": notification_id, "userId": self.room_id})


@dataclass
class ScheduleChanges(Feature):
    """What a change of the agenda means to those who planned by it. A new title or speaker moves nobody's plans."""

    name: ClassVar[str] = "schedule_changes"
    room: ClassVar[str] = "event"
    emits = (Emits("notification.schedule_change", ScheduleChange, "A session was added, moved or cancelled."),)

    @on("agenda.created", "agenda.deleted")
    def added_or_cancelled(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Tell that there is a session more, or less."""
        update = data["update"]
        if update["updateType"] == "CREATED":
            return Outcome([_change("added", update["session"], None, update["session"]["startTime"])])
        return Outcome([_change("cancelled", update["session"], None, None)])

    @on("agenda.updated")
    def moved(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Tell when or where a session is now."""
        before, after = data["before"], data["update"]["session"]
        moved = next((name for name in ("startTime", "endTime") if before[name] != after[name]), None)
        facts = []
        if moved is not None:
            facts.append(_change("time_change", after, before[moved], after[moved]))
        if before.get("room") != after.get("room"):
            facts.append(_change("room_change", after, before.get("room"), after.get("room")))
        return Outcome(facts)


def _change(change: str, item: dict[str, JSON], old: str | None, new: str | None) -> Fact:
    data = {"changeType": change, "sessionId": item["id"], "sessionTitle": item["title"]}
    if old is not None:
        data["oldValue"] = old
    if new is not None:
        data["newValue"] = new
    return Fact("notification.schedule_change", data, (EVERYONE,))


def _checked(url: str) -> str:
    if PATH_ON_SITE.match(url):
        return url
    try:
        return Url(URL_CHARS_MAX).check(url)
    except ValueError as error:
        raise Refused(f"actionUrl {error}, or a path that begins with a single /", code="invalid_payload") from None
