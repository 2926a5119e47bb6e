"""The life of a session, and who is there: `draft → active → ended`, participants who come and go.

| from   | by    | to     | what follows                                                  |
|--------|-------|--------|---------------------------------------------------------------|
| –      | made over REST | draft  | can be joined and prepared; takes no votes           |
| –      | made by the first join or an agenda | active | as if started at once           |
| draft  | start | active | `session:started`; polls can be activated and take votes      |
| active | end   | ended  | open polls close first, then `session:ended`; results stay    |
| draft  | end   | ended  | a session that never took place                               |

There is no way back: what ended is evidence. Starting or ending again is no error and no news.

**Presence.** A participant is present while one of their connections has a seat, and for a grace after the last one is
gone: a phone that changes cells is no leave. Presenters are not counted. In a crowd the comings and goings of single
people are noise, and a thousand of them at once a storm: beyond `CROWD_PEOPLE` they are a view, twice a second.

A timer may ring while its cancellation is on its way, and one that became due while the server was away rings before
anybody could come back. So a ring counts only for somebody who is still `missing`, whose grace is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NotRequired, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    NOTHING,
    After,
    Ask,
    Cancel,
    Empty,
    Fact,
    Feature,
    Outcome,
    Person,
    Refused,
    Seating,
    Table,
    applies,
    changing,
    internal,
    iso,
    payload,
    reading,
    setting,
    view,
)

CROWD_PEOPLE = 500
CROWD_VIEW_EVERY_S = 0.5
RECOUNTED_MAX = 500
"""One ask may not write more facts than a room bears; whoever is beyond is counted when they next connect."""
ATTENDANCE = ("participantId", "userId", "displayName", "minutes", "isPresent")
MANAGES = "sessions:manage"
PRESENTS = ("sessions:manage", "poll:manage")
TRANSITIONS = {("draft", "start"): "active", ("draft", "end"): "ended", ("active", "end"): "ended"}
"""Status and command → status. What is missing is refused, unless it is so already."""


@payload
class PollingSettings:
    """`[polling]`"""

    grace_s: float = setting(
        5.0,
        unit="seconds",
        least=0,
        most=3_600,
        help="how long who lost connection still counts as there",
    )
    heartbeat_s: float = setting(
        30.0, unit="seconds", least=0.1, most=3_600, help="from one connection:heartbeat to the next"
    )
    guest_token_h: float = setting(24.0, unit="hours", least=0.1, most=720, help="how long a guest's token is good for")


class SessionStatus(TypedDict):
    """Where a session stands."""

    sessionId: str
    status: str
    at: str
    participantCount: int


class ParticipantInfo(TypedDict):
    """Somebody who has joined; `displayName` is "" until they were first there."""

    participantId: str
    displayName: str
    isPresent: bool


class Participants(TypedDict):
    """Who has joined, in that order, without presenters; `participantCount` of them are there."""

    participants: list[ParticipantInfo]
    participantCount: int


class Gone(TypedDict):
    """The grace of somebody who lost connection is over; `last` if it was already given anew."""

    userId: str
    last: NotRequired[bool]


@dataclass(slots=True)
class Participant:
    """Somebody who has joined."""

    id: str
    name: str = ""
    presents: bool = False
    present: bool = False
    since_ms: int | None = None  # None: not there, or the session is over
    attended_ms: int = 0  # before `since_ms`

    def there_ms(self, at_ms: int) -> int:
        """How long they were there in all, up to a time."""
        return self.attended_ms + (0 if self.since_ms is None else max(at_ms - self.since_ms, 0))

    def count_until(self, at_ms: int) -> None:
        """From this time on they are not there, or it no longer counts."""
        self.attended_ms, self.since_ms = self.there_ms(at_ms), None


@dataclass
class Lifecycle(Feature):
    """`session.start`, `session.end`, and presence."""

    name: ClassVar[str] = "polling"
    Settings = PollingSettings
    forgets = frozenset({"missing"})

    settings: PollingSettings = field(default_factory=PollingSettings)
    status: str = ""
    changed_at: str = ""
    presenter_id: str = ""
    people: dict[str, Participant] = field(default_factory=dict)
    present: int = 0
    missing: dict[str, int] = field(default_factory=dict)  # present without a connection → until when (ms)
    latest: dict[str, JSON] = field(default_factory=dict)  # who came or went last, for the view of a crowd

    @changing(
        "session.start",
        needs=MANAGES,
        returns=SessionStatus,
        rest="POST /sessions/{sessionId}/start",
    )
    def start(self, ask: Ask[Empty]) -> Outcome:
        """Start a session: from now on polls can be activated and take votes."""
        if not self._changes("start", "active"):
            return Outcome(reply={**self._shown()})
        data = {"at": ask.now, "participantCount": self.present, "sessionId": self.room_id}
        return Outcome([Fact("session.started", data, (EVERYONE,))], {**self._shown("active", ask.now)})

    @changing(
        "session.end",
        needs=MANAGES,
        returns=SessionStatus,
        rest="POST /sessions/{sessionId}/end",
    )
    def end(self, ask: Ask[Empty]) -> Outcome:
        """End a session: open polls close, nobody votes any more, results can still be read."""
        if not self._changes("end", "ended"):
            return Outcome(reply={**self._shown()})
        total = sum(not one.presents for one in self.people.values())
        data = {"at": ask.now, "finalParticipantCount": total, "sessionId": self.room_id}
        ending = Fact("session.ending", {"at": ask.now})  # polls answer it, so that they close before the session ends
        return Outcome([ending, Fact("session.ended", data, (EVERYONE,))], {**self._shown("ended", ask.now)})

    @reading(
        "session.participants",
        needs=PRESENTS,
        seat=Seating.FREE,
        returns=Participants,
        rest="GET /sessions/{sessionId}/participants",
    )
    def everybody(self, ask: Ask[Empty]) -> Outcome:
        """Show who has joined, and who of them is there."""
        return Outcome(reply={"participants": self._listed(), "participantCount": self.present})

    def overview(self, who: Person) -> dict[str, JSON]:
        """How many are there; to presenters, who."""
        shown: dict[str, JSON] = {"participantCount": self.present}
        if any(map(who.can, PRESENTS)):
            shown["participants"] = self._listed()
        return shown

    def export(self, at_ms: int) -> dict[str, Table]:
        """How long everybody was there, in the order they joined, without presenters."""
        rows = (
            (one.id, user_id, one.name, round(one.there_ms(at_ms) / 60_000, 1), one.present)
            for user_id, one in self.people.items()
            if not one.presents
        )
        return {"attendance": Table(ATTENDANCE, rows)}

    def came(self, ask: Ask[None]) -> Outcome:
        """Somebody is here, again or for the first time."""
        one = self.people.get(ask.who.id)
        if one is None or one.presents:
            return NOTHING
        back = [Cancel(_grace(ask.who.id))]
        if one.present:
            found = Fact("participant.found", {"userId": ask.who.id}, kept=False)
            return Outcome([found] if ask.who.id in self.missing else [], effects=back)
        name = " ".join(part for part in (ask.who.first_name, ask.who.last_name) if part)
        return Outcome([self._came(ask.who.id, name, ask.at_ms, self.present + 1)], effects=back)

    def went(self, ask: Ask[None]) -> Outcome:
        """Somebody's last connection is gone: they may be back in a moment."""
        one = self.people.get(ask.who.id)
        return NOTHING if one is None or not one.present else self._wait([ask.who.id], ask.at_ms)

    def reopened(self, ask: Ask[frozenset[str]]) -> Outcome:
        """After a restart nobody sits yet: whoever was here has the grace to come back, whatever was left of theirs.

        After a trouble people sit of whom nobody was told, or have gone.
        """
        here = [(user_id, one) for user_id in sorted(ask.payload) if (one := self.people.get(user_id)) is not None]
        new = [(user_id, one) for user_id, one in here if not (one.present or one.presents)][:RECOUNTED_MAX]
        came = [self._came(who, one.name, ask.at_ms, self.present + n) for n, (who, one) in enumerate(new, 1)]
        gone = [user_id for user_id, one in self.people.items() if one.present and user_id not in ask.payload]
        waiting = self._wait(gone, ask.at_ms, last=True)
        return Outcome([*came, *waiting.facts], effects=waiting.effects)

    @internal("participant.gone")
    def gone(self, ask: Ask[Gone]) -> Outcome:
        """The grace is over, unless it was given anew meanwhile; or they are back."""
        user_id = ask.payload["userId"]
        one, due_ms = self.people.get(user_id), self.missing.get(user_id)
        if one is None or due_ms is None:
            return NOTHING
        if due_ms > ask.at_ms and not ask.payload.get("last"):
            return Outcome(effects=[_ring(user_id, due_ms, last=True)])
        lost_ms = due_ms - round(self.settings.grace_s * 1000)
        data = {**self._moved(user_id, one, ask.at_ms, self.present - 1), "lostMs": lost_ms}
        return Outcome([Fact("participant.went", data, _to(self.present - 1))])

    @view("participants.crowd", after=("participant.came", "participant.went"), every_s=CROWD_VIEW_EVERY_S)
    def crowd(self, key: str) -> JSON:
        """Who came or went last, and how many are here, where there are too many to tell of each."""
        return None if self.present <= CROWD_PEOPLE else {**self.latest, "participantCount": self.present}

    @applies("session.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status, self.changed_at = data.get("status", "active"), data["at"]
        self.presenter_id = data["by"]

    @applies("session.started")
    def _on_started(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status, self.changed_at = "active", data["at"]

    @applies("session.ended")
    def _on_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status, self.changed_at = "ended", data["at"]
        for one in self.people.values():
            one.count_until(at_ms)

    @applies("session.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        participant_id = str(data.get("participantId", data["userId"]))
        one = Participant(participant_id, presents=data.get("presents") is True)
        self.people[data["userId"]] = one

    @applies("participant.came")
    def _on_came(self, data: dict[str, JSON], at_ms: int) -> None:
        one = self.people[data["userId"]]
        one.present, one.name = True, data["displayName"]
        one.since_ms = None if self.status == "ended" else at_ms
        self.present += 1
        self.missing.pop(data["userId"], None)
        self.latest = {**data, "came": True}

    @applies("participant.went")
    def _on_went(self, data: dict[str, JSON], at_ms: int) -> None:
        one = self.people[data["userId"]]
        one.present = False
        one.count_until(data.get("lostMs", at_ms))
        self.present -= 1
        self.missing.pop(data["userId"], None)
        self.latest = {**data, "came": False}

    @applies("participants.missed")
    def _on_missed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.missing |= dict.fromkeys(data["userIds"], data["dueMs"])

    @applies("participant.found")
    def _on_found(self, data: dict[str, JSON], at_ms: int) -> None:
        self.missing.pop(data["userId"], None)

    def _changes(self, by: str, to: str) -> bool:
        """Whether a command changes the status. Raises `Refused` where it may not."""
        if not self.status:
            raise Refused("Session not found", 404, code="not_found")
        if self.status == to:
            return False
        if (self.status, by) not in TRANSITIONS:
            raise Refused(f"Session is {self.status}: it cannot {by} any more", 409, code="conflict")
        return True

    def _shown(self, status: str = "", at: str = "") -> SessionStatus:
        return SessionStatus(
            sessionId=self.room_id,
            status=status or self.status,
            at=at or self.changed_at,
            participantCount=self.present,
        )

    def _listed(self) -> list[dict[str, JSON]]:
        return [
            {"participantId": one.id, "displayName": one.name, "isPresent": one.present}
            for one in self.people.values()
            if not one.presents
        ]

    def _came(self, user_id: str, name: str, at_ms: int, present: int) -> Fact:
        data = {**self._moved(user_id, self.people[user_id], at_ms, present), "displayName": name}
        return Fact("participant.came", data, _to(present))

    def _wait(self, user_ids: list[str], at_ms: int, *, last: bool = False) -> Outcome:
        """Give these people the grace, from now."""
        due_ms = at_ms + round(self.settings.grace_s * 1000)
        missed = Fact("participants.missed", {"userIds": user_ids, "dueMs": due_ms}, kept=False)
        return Outcome(
            [missed] if user_ids else [], effects=[_ring(user_id, due_ms, last=last) for user_id in user_ids]
        )

    def _moved(self, user_id: str, one: Participant, at_ms: int, present: int) -> dict[str, JSON]:
        return {"userId": user_id, "participantId": one.id, "at": iso(at_ms), "participantCount": present}


def _to(present: int) -> tuple[str, ...]:
    """Everybody, unless there are too many to tell of each: then the view has it."""
    return (EVERYONE,) if present <= CROWD_PEOPLE else ()


def _grace(user_id: str) -> str:
    return f"grace:{user_id}"


def _ring(user_id: str, due_ms: int, *, last: bool) -> After:
    told = Gone(userId=user_id, last=True) if last else Gone(userId=user_id)
    return After(_grace(user_id), due_ms, "participant.gone", told)
