"""The live dashboard of an event: sums over its sessions, check-ins, capacity, figures of the system (contract 1, §10).

Three kinds of rooms take part. Each session counts for itself (`Totals`), by listening to the facts of other features.
The dashboard of an event knows its sessions and asks them all every 5 s, but only while somebody watches: without
watchers it costs nothing. The organisation (`Orgs`) passes its figures on to the dashboards of its events.

Sums can always be asked for again, so they are not in the log. A session that does not answer counts as it was last
known. Check-ins, capacity and figures come from outside once, so they are facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict, cast

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Burst,
    Do,
    Emits,
    Empty,
    Fact,
    Feature,
    Fields,
    Key,
    Moment,
    Outcome,
    OutsideId,
    Person,
    Refused,
    Seating,
    Tell,
    Text,
    Via,
    Whole,
    applies,
    command,
    every,
    internal,
    iso,
    payload,
    view,
)

WATCH = "dashboard:read:live"
PUBLISH = "backend:publish"
TICK_S = 5
NAME_CHARS_MAX = 200
CHECK_INS_SHOWN = 10
COUNT_MAX = 1_000_000_000
METRICS_BYTES_MAX = 16_384
SESSIONS_PER_DASHBOARD_MAX = 1_000
RESOURCES_PER_EVENT_MAX = 200
EVENTS_PER_ORG_MAX = 200
"""Figures go to the dashboard of every event, a fact in each: to the newest events only."""


@payload
class CheckInGuest:
    """Somebody arrived; now, unless `timestamp` says when."""

    name: Annotated[str, Text(NAME_CHARS_MAX)]
    timestamp: Moment | None = None


@payload
class SetCapacity:
    """How full something is. More than fit is possible: a room may be overbooked."""

    resource_id: OutsideId
    current_count: Annotated[int, Whole(0, COUNT_MAX)]
    max_capacity: Annotated[int, Whole(1, COUNT_MAX)]


@payload
class PostMetrics:
    """Figures of an organisation's systems; their names are its own."""

    metrics: Annotated[dict[str, Any], Fields(METRICS_BYTES_MAX)]


class OfEvent(TypedDict):
    """Which event it is."""

    eventId: str


class OfOrg(TypedDict):
    """Which organisation it is."""

    orgId: str


class OfSession(TypedDict):
    """Which session it is."""

    sessionId: str


class SessionTotals(TypedDict):
    """What happened in one session, or in all of them. `questionUpvotes` are those that were not taken back."""

    totalMessages: int
    pollVotes: int
    questionsAsked: int
    questionUpvotes: int
    reactions: int


class CheckIn(TypedDict):
    """Who arrived and when."""

    name: str
    timestamp: str


class DashboardData(SessionTotals):
    """Contract 1, §10.2. The check-in that came in last is first."""

    recentCheckIns: list[CheckIn]


class CapacityUpdate(OfEvent):
    """Contract 1, §10.3."""

    resourceId: str
    currentCount: int
    maxCapacity: int


class MetricsUpdate(OfOrg):
    """Contract 1, §10.4."""

    metrics: dict[str, JSON]


class DashboardSnapshot(DashboardData):
    """The figures as they were last known, and every capacity."""

    capacity: list[CapacityUpdate]


class DashboardInfo(DashboardSnapshot, OfEvent):
    """A dashboard as REST shows it. `countedAt` is when the sums were made; null if they have to be made anew."""

    countedAt: str | None


class Gathering(TypedDict):
    """Which rooms were asked."""

    rooms: list[str]


class Gathered(TypedDict):
    """What the rooms answered, each in its place."""

    data: Gathering
    result: NotRequired[list[SessionTotals | None]]
    error: NotRequired[str]


class MetricsTold(MetricsUpdate):
    """An organisation's figures on their way to a dashboard; those with the highest number are the latest."""

    number: int


class Nothing(TypedDict):
    """No fields."""


@dataclass
class Totals(Feature):
    """What the dashboard wants to know of one session."""

    name: ClassVar[str] = "totals"

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SessionTotals.__annotations__, 0))

    @internal("session.totals")
    def totals(self, ask: Ask[Nothing]) -> Outcome:
        """Say what happened here so far."""
        return Outcome(reply={**self.counts})

    @applies("chat.message.new")
    def _on_message(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts["totalMessages"] += 1

    @applies("poll.voted")
    def _on_vote(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts["pollVotes"] += not data["again"]

    @applies("qa.question.asked")
    def _on_question(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts["questionsAsked"] += 1

    @applies("qa.question.upvoted")
    def _on_upvote(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts["questionUpvotes"] += 1 if data["added"] else -1

    @applies("reaction.counted")
    def _on_reactions(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts["reactions"] += sum(data["counts"].values())


@dataclass
class Dashboard(Feature):
    """The dashboard of one event."""

    name: ClassVar[str] = "dashboard"
    room: ClassVar[str] = "dashboard"
    named_by: ClassVar[str] = "eventId"
    audiences: ClassVar[Mapping[str, str]] = {EVERYONE: WATCH}
    forgets = frozenset({"known", "counted_ms"})
    emits = (
        Emits("dashboard.update", DashboardData, "The event in figures, every 5 s while you watch."),
        Emits("dashboard.capacity.updated", CapacityUpdate, "How full something is; of all resources after a join."),
        Emits("dashboard.metrics.updated", MetricsUpdate, "The latest figures of the organisation's systems."),
    )

    opened: bool = False
    sessions: dict[str, None] = field(default_factory=dict)  # in the order they came to belong
    known: dict[str, SessionTotals] = field(default_factory=dict)  # session → what it answered last
    counted_ms: int = 0  # when they answered
    check_ins: list[dict[str, JSON]] = field(default_factory=list)  # newest first
    capacity: dict[str, dict[str, JSON]] = field(default_factory=dict)  # resource → latest
    metrics: dict[str, JSON] | None = None
    metrics_number: int = 0

    @command(
        "dashboard.join", needs=WATCH, key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, rate="20/10s",
        returns=OfEvent,
    )  # fmt: skip
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Watch the dashboard of an event."""
        # A room without a fact has no beat, so the first watcher leaves one.
        facts = [] if self.opened else [Fact("dashboard.opened", {"by": ask.who.id})]
        return Outcome(facts, {"eventId": self.room_id}, [self._gather()])

    @command("dashboard.leave", needs=WATCH, key=Key.OPTIONAL, seat=Seating.LEAVES, rate="20/10s", returns=OfEvent)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Stop watching."""
        return Outcome(reply={"eventId": self.room_id})

    @command(
        "dashboard.check_in", needs=PUBLISH, key=Key.OPTIONAL, seat=Seating.FREE, via=Via.REST, creates=True,
        rate="1000/10s", returns=CheckIn, rest="POST /events/{eventId}/check-ins 201",
    )  # fmt: skip
    def check_in(self, ask: Ask[CheckInGuest]) -> Outcome:
        """Tell that somebody arrived; dashboards show it with their next update."""
        came = {"name": ask.payload.name, "timestamp": ask.payload.timestamp or ask.now}
        return Outcome([Fact("dashboard.checked_in", came)], {**came})

    @command(
        "dashboard.capacity.set", needs=PUBLISH, key=Key.OPTIONAL, seat=Seating.FREE, via=Via.REST, creates=True,
        rate="1000/10s", returns=CapacityUpdate, rest="PUT /events/{eventId}/capacity/{resourceId}",
    )  # fmt: skip
    def set_capacity(self, ask: Ask[SetCapacity]) -> Outcome:
        """Tell how full something is. The same again is no news."""
        resource_id = ask.payload.resource_id
        if resource_id not in self.capacity and len(self.capacity) >= RESOURCES_PER_EVENT_MAX:
            raise Refused(f"An event has at most {RESOURCES_PER_EVENT_MAX} resources", 409, code="too_many")
        update: dict[str, JSON] = {"eventId": self.room_id, "resourceId": resource_id}
        update |= {"currentCount": ask.payload.current_count, "maxCapacity": ask.payload.max_capacity}
        facts = [Fact("dashboard.capacity.updated", update, (EVERYONE,))]
        return Outcome([] if self.capacity.get(resource_id) == update else facts, update)

    @command(
        "dashboard.read", needs=WATCH, key=Key.OPTIONAL, seat=Seating.FREE, via=Via.REST, reads=True,
        rate="30/10s", returns=DashboardInfo, rest="GET /events/{eventId}/dashboard",
    )  # fmt: skip
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show a dashboard as it was last known, and have it made anew for whoever reads next."""
        shown = {"eventId": self.room_id, "countedAt": iso(self.counted_ms) if self.counted_ms else None}
        effects = [self._gather()] if ask.at_ms - self.counted_ms >= TICK_S * 1000 else []
        return Outcome(reply={**shown, **self.snapshot(ask.who)}, effects=effects)

    @every(TICK_S, heard_by=EVERYONE)
    def tick(self, ask: Ask[None]) -> Outcome:
        """Ask the sessions how they stand."""
        return Outcome(effects=[self._gather()])

    @internal("dashboard.gathered")
    def gathered(self, ask: Ask[Gathered]) -> Outcome:
        """Show what the sessions answered."""
        told, asked = ask.payload, (room.removeprefix("session:") for room in ask.payload["data"]["rooms"])
        answered = zip(asked, told.get("result", ()), strict=False)  # nothing was, after an error
        new = {session: totals for session, totals in answered if totals is not None and session in self.sessions}
        facts = [] if "error" in told else [Fact("dashboard.counted", {"totals": new, "atMs": ask.at_ms}, kept=False)]
        return Outcome(facts, bursts=[Burst("dashboard.update", self._data(self.known | new))])

    @internal("dashboard.session.added")
    def session_added(self, ask: Ask[OfSession]) -> Outcome:
        """A session says that it belongs to the event; said again, it is no news."""
        session_id = ask.payload["sessionId"]
        if session_id in self.sessions:
            return Outcome()
        if len(self.sessions) >= SESSIONS_PER_DASHBOARD_MAX:
            raise Refused(f"A dashboard has at most {SESSIONS_PER_DASHBOARD_MAX} sessions", 409, code="too_many")
        return Outcome([Fact("dashboard.session.added", {"sessionId": session_id})])

    @internal("dashboard.metrics")
    def metrics_told(self, ask: Ask[MetricsTold]) -> Outcome:
        """The organisation tells its figures; what a later word has overtaken is no news."""
        overtaken = ask.payload["number"] <= self.metrics_number
        return Outcome([] if overtaken else [Fact("dashboard.metrics.told", {**ask.payload})])

    @view("dashboard.metrics.updated", after=("dashboard.metrics.told",))
    def metrics_shown(self, key: str) -> JSON:
        """The latest figures."""
        return self.metrics

    @applies("dashboard.opened")
    def _on_opened(self, data: dict[str, JSON], at_ms: int) -> None:
        self.opened = True

    @applies("dashboard.session.added")
    def _on_session_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sessions[data["sessionId"]] = None

    @applies("dashboard.counted")
    def _on_counted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.known |= data["totals"]
        self.counted_ms = data["atMs"]

    @applies("dashboard.checked_in")
    def _on_checked_in(self, data: dict[str, JSON], at_ms: int) -> None:
        self.check_ins = [data, *self.check_ins[: CHECK_INS_SHOWN - 1]]

    @applies("dashboard.capacity.updated")
    def _on_capacity(self, data: dict[str, JSON], at_ms: int) -> None:
        self.capacity[data["resourceId"]] = data

    @applies("dashboard.metrics.told")
    def _on_metrics(self, data: dict[str, JSON], at_ms: int) -> None:
        self.metrics, self.metrics_number = {"orgId": data["orgId"], "metrics": data["metrics"]}, data["number"]

    def snapshot(self, who: Person) -> DashboardSnapshot:
        """The figures as they were last known, and every capacity."""
        return cast(DashboardSnapshot, {**self._data(self.known), "capacity": list(self.capacity.values())})

    def welcome(self, who: Person) -> Iterable[tuple[str, JSON]]:
        """Every capacity as it was told: clients that know only contract 1 do not read the snapshot."""
        return [("dashboard.capacity.updated", update) for update in self.capacity.values()]

    def _gather(self) -> Do:
        rooms = [f"session:{session_id}" for session_id in self.sessions]
        return Do("gather", {"rooms": rooms, "command": "session.totals", "data": {}}, then="dashboard.gathered")

    def _data(self, known: Mapping[str, Mapping[str, Any]]) -> dict[str, JSON]:
        sums = {name: sum(totals[name] for totals in known.values()) for name in SessionTotals.__annotations__}
        return {**sums, "recentCheckIns": list(self.check_ins)}


@dataclass
class Orgs(Feature):
    """An organisation: its events, and the figures for their dashboards."""

    name: ClassVar[str] = "orgs"
    room: ClassVar[str] = "org"

    events: dict[str, None] = field(default_factory=dict)  # the newest last
    metrics: dict[str, JSON] | None = None
    posts: int = 0

    @command(
        "org.metrics.post", needs=PUBLISH, key=Key.OPTIONAL, seat=Seating.FREE, via=Via.REST, creates=True,
        rate="20/10s", returns=OfOrg, rest="POST /orgs/{orgId}/metrics 201",
    )  # fmt: skip
    def post(self, ask: Ask[PostMetrics]) -> Outcome:
        """Show figures on the dashboards of all events of an organisation."""
        tells = [self._tell(event_id, ask.payload.metrics, self.posts + 1) for event_id in self.events]
        return Outcome([Fact("org.metrics.posted", {"metrics": ask.payload.metrics})], {"orgId": self.room_id}, tells)

    @internal("org.event.added")
    def event_added(self, ask: Ask[OfEvent]) -> Outcome:
        """An event says whose it is. Its dashboard gets the latest figures at once."""
        event_id = ask.payload["eventId"]
        if event_id in self.events:
            return Outcome()
        tells = [] if self.metrics is None else [self._tell(event_id, self.metrics, self.posts)]
        return Outcome([Fact("org.event.added", {"eventId": event_id})], effects=tells)

    @applies("org.metrics.posted")
    def _on_posted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.metrics, self.posts = data["metrics"], self.posts + 1

    @applies("org.event.added")
    def _on_event_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.events[data["eventId"]] = None
        if len(self.events) > EVENTS_PER_ORG_MAX:
            del self.events[next(iter(self.events))]

    def _tell(self, event_id: str, metrics: dict[str, JSON], number: int) -> Tell:
        told = {"orgId": self.room_id, "metrics": metrics, "number": number}
        return Tell(f"dashboard:{event_id}", "dashboard.metrics", told)
