"""The agenda of an event: which session is when and where (contract 1, §13). It is written over REST, by a backend.

A fact carries the item as it is now and as it was before. What follows from a change (notifications, reminders) is
derived from these two by the features that listen, in the same commit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, NotRequired, TypedDict, cast

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Items,
    Moment,
    Outcome,
    OutsideId,
    Person,
    Refused,
    Seating,
    Tell,
    Text,
    applies,
    changing,
    payload,
    reading,
)

TITLE_CHARS_MAX = 200
ROOM_CHARS_MAX = 200
DESCRIPTION_CHARS_MAX = 2_000
SPEAKERS_MAX = 50
SPEAKER_CHARS_MAX = 100
AGENDA_SESSIONS_MAX = 1_000
AGENDA_BYTES_MAX = 262_144
"""All of it as JSON: whoever joins is sent the whole agenda, which must fit the smallest outbox (512 KiB) twice."""

PUBLISHERS = ("backend:publish", "sessions:manage")
KEPT = ""
"""Default of an optional text in an update: not sent, so it stays. `null` takes it away; "" itself is never valid."""


@payload
class AddToAgenda:
    """What `POST /api/events/{eventId}/agenda` takes; `id` is the session's, made here if it is missing."""

    title: Annotated[str, Text(TITLE_CHARS_MAX)]
    start_time: Moment
    end_time: Moment
    id: OutsideId | None = None
    room: Annotated[str, Text(ROOM_CHARS_MAX)] | None = None
    description: Annotated[str, Text(DESCRIPTION_CHARS_MAX)] | None = None
    speakers: Annotated[list[Annotated[str, Text(SPEAKER_CHARS_MAX)]], Items(0, SPEAKERS_MAX)] | None = None


@payload
class ChangeAgenda:
    """What `PUT /api/events/{eventId}/agenda/{sessionId}` takes: only what is sent changes."""

    session_id: OutsideId
    title: Annotated[str, Text(TITLE_CHARS_MAX)] | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    room: Annotated[str, Text(ROOM_CHARS_MAX)] | None = KEPT
    description: Annotated[str, Text(DESCRIPTION_CHARS_MAX)] | None = KEPT
    speakers: Annotated[list[Annotated[str, Text(SPEAKER_CHARS_MAX)]], Items(0, SPEAKERS_MAX)] | None = None


@payload
class OneAgendaSession:
    """Names a session of the agenda."""

    session_id: OutsideId


class AgendaSession(TypedDict):
    """One item of an agenda; `room` and `description` only if they are known."""

    id: str
    title: str
    startTime: str
    endTime: str
    speakers: list[str]
    room: NotRequired[str]
    description: NotRequired[str]


class AgendaUpdate(TypedDict):
    """Contract 1, §13.1."""

    eventId: str
    updateType: Literal["CREATED", "UPDATED", "DELETED"]
    session: AgendaSession


class AgendaChanged(TypedDict):
    """An item of the agenda after it was written."""

    sessionId: str
    session: AgendaSession


class AgendaRemoved(TypedDict):
    """Which session is off the agenda."""

    sessionId: str


class AgendaList(TypedDict):
    """The agenda in the order of its start times."""

    eventId: str
    agenda: list[AgendaSession]


class AgendaSnapshot(TypedDict):
    """The whole agenda in the order of its start times."""

    agenda: list[AgendaSession]


def _update(data: dict[str, JSON], _: str) -> JSON:
    return data["update"]


@dataclass
class Agenda(Feature):
    """The agenda of one event. A session that was taken off it still belongs to the event."""

    name: ClassVar[str] = "agenda"
    room: ClassVar[str] = "event"
    emits = (
        Emits(
            "agenda.update",
            AgendaUpdate,
            "A session was put on the agenda, changed or taken off it.",
            of=("agenda.created", "agenda.updated", "agenda.deleted"),
            render=_update,
        ),
    )

    items: dict[str, AgendaSession] = field(default_factory=dict)
    size_bytes: int = 0
    participants: set[str] = field(default_factory=set)  # who may read: `instead` names one permission, here are two

    @changing(
        "agenda.create",
        needs=PUBLISHERS,
        returns=AgendaChanged,
        rest="POST /events/{eventId}/agenda 201",
    )
    def create(self, ask: Ask[AddToAgenda]) -> Outcome:
        """Put a session on the agenda. The session itself exists from then on, and belongs to the event."""
        asked = ask.payload
        session_id = asked.id or ask.new_id()
        if session_id in self.items:
            raise Refused("Session is on the agenda already", 409, code="conflict")
        if len(self.items) >= AGENDA_SESSIONS_MAX:
            raise Refused(f"An agenda has at most {AGENDA_SESSIONS_MAX} sessions", 409, code="too_many")
        item: AgendaSession = {
            "id": session_id,
            "title": asked.title,
            "startTime": asked.start_time,
            "endTime": asked.end_time,
            "speakers": asked.speakers or [],
        }
        if asked.room is not None:
            item["room"] = asked.room
        if asked.description is not None:
            item["description"] = asked.description
        self._check(item)
        told = Tell(f"session:{session_id}", "session.planned", {"eventId": self.room_id, "title": asked.title})
        return Outcome([self._fact("CREATED", item, None)], {"sessionId": session_id, "session": item}, [told])

    @changing(
        "agenda.change",
        needs=PUBLISHERS,
        returns=AgendaChanged,
        rest="PUT /events/{eventId}/agenda/{sessionId}",
    )
    def change(self, ask: Ask[ChangeAgenda]) -> Outcome:
        """Change what is sent of a session; nobody hears of a change that changes nothing."""
        before = self._find(ask.payload.session_id)
        after = _merged(before, ask.payload)
        reply = {"sessionId": before["id"], "session": after}
        if after == before:
            return Outcome(reply=reply)
        self._check(after)
        return Outcome([self._fact("UPDATED", after, before)], reply)

    @changing(
        "agenda.delete",
        needs=PUBLISHERS,
        returns=AgendaRemoved,
        rest="DELETE /events/{eventId}/agenda/{sessionId}",
    )
    def delete(self, ask: Ask[OneAgendaSession]) -> Outcome:
        """Take a session off the agenda."""
        item = self._find(ask.payload.session_id)
        return Outcome([self._fact("DELETED", item, item)], {"sessionId": item["id"]})

    @reading(
        "agenda.read",
        seat=Seating.FREE,
        rate="100/10s",
        returns=AgendaList,
        rest="GET /events/{eventId}/agenda",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show the agenda to participants of the event, and to those who write it."""
        if ask.who.id not in self.participants and not any(map(ask.who.can, PUBLISHERS)):
            raise Refused("You do not have permission", 403, code="forbidden")
        return Outcome(reply={"eventId": self.room_id, "agenda": self._sorted()})

    @applies("agenda.created", "agenda.updated")
    def _on_written(self, data: dict[str, JSON], at_ms: int) -> None:
        item = data["update"]["session"]
        self.size_bytes += _size_bytes(item) - _size_bytes(self.items.get(item["id"]))
        self.items[item["id"]] = item

    @applies("agenda.deleted")
    def _on_deleted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.size_bytes -= _size_bytes(self.items.pop(data["update"]["session"]["id"]))

    @applies("event.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.participants.add(data["userId"])

    def snapshot(self, who: Person) -> AgendaSnapshot:
        """The whole agenda."""
        return {"agenda": self._sorted()}

    def _find(self, session_id: str) -> AgendaSession:
        item = self.items.get(session_id)
        if item is None:
            raise Refused("Session not found", 404, code="not_found")
        return item

    def _check(self, item: AgendaSession) -> None:
        if item["endTime"] <= item["startTime"]:  # both are UTC text of one length, which sorts as time does
            raise Refused("endTime must be after startTime", code="invalid_payload")
        size = self.size_bytes + _size_bytes(item) - _size_bytes(self.items.get(item["id"]))
        if size > AGENDA_BYTES_MAX:
            raise Refused(f"The agenda would be {size} bytes, of at most {AGENDA_BYTES_MAX}", 409, code="too_large")

    def _fact(self, update_type: str, item: AgendaSession, before: AgendaSession | None) -> Fact:
        update = {"eventId": self.room_id, "updateType": update_type, "session": item}
        return Fact(f"agenda.{update_type.lower()}", {"update": update, "before": before}, (EVERYONE,))

    def _sorted(self) -> list[AgendaSession]:
        return sorted(self.items.values(), key=lambda item: (item["startTime"], item["endTime"], item["id"]))


def _merged(before: AgendaSession, asked: ChangeAgenda) -> AgendaSession:
    after: dict[str, JSON] = {**before}
    given = {
        "title": asked.title,
        "startTime": asked.start_time,
        "endTime": asked.end_time,
        "speakers": asked.speakers,
    }
    after |= {name: value for name, value in given.items() if value is not None}
    for name, text in (("room", asked.room), ("description", asked.description)):
        if text is None:
            after.pop(name, None)
        elif text != KEPT:
            after[name] = text
    return cast(AgendaSession, after)


def _size_bytes(item: AgendaSession | None) -> int:
    """At least what the item adds to a frame: here it is written with spaces, there without."""
    return 0 if item is None else len(json.dumps(item, ensure_ascii=False).encode())
