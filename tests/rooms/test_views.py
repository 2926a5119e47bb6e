"""Views: the latest wins, four a second, a newcomer gets the latest, and none is computed when nobody listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import (
    EVERYONE,
    JSON,
    VIEW_EVERY_S,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Seating,
    Text,
    applies,
    command,
    payload,
    view,
)
from livehub.rooms import views as module
from livehub.wire.frames import Kind
from tests.kit import ANNA, BEN, Ears, HubUnderTest, ears, open_hub, person, settle
from tests.rooms.toys import STAFF, Counter, Table

STAFF_MEMBER = person("staff", "toy:staff")


@payload
class Named:
    """One of several counters."""

    name: Annotated[str, Text(10)]


@dataclass
class Counters(Feature):
    """Several counters, each a view; one of everything for staff; one that shows nothing."""

    name: ClassVar[str] = "counters"
    audiences: ClassVar[Mapping[str, str]] = {STAFF: "toy:staff", EVERYONE: ""}
    emits = tuple(Emits(name, dict[str, JSON], "Figures.") for name in ("c.count", "c.all", "c.none"))

    counts: dict[str, int] = field(default_factory=dict)
    computed: int = 0

    @command("c.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Sit down."""
        return Outcome([Fact("c.joined", {})])

    @command("c.add", key=Key.OPTIONAL, seat=Seating.FREE)
    def add(self, ask: Ask[Named]) -> Outcome:
        """Count one up."""
        return Outcome([Fact("c.added", {"name": ask.payload.name})])

    @applies("c.added")
    def _on_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.counts[data["name"]] = self.counts.get(data["name"], 0) + 1

    @view("c.count", after=("c.added",), key="name")
    def shown(self, key: str) -> JSON:
        """One counter."""
        self.computed += 1  # what a feature must not do: it is how the test sees that it was asked
        return {"name": key, "count": self.counts[key]}

    @view("c.all", after=("c.added",), to=STAFF)
    def all(self, key: str) -> JSON:
        """All counters."""
        return dict(self.counts)

    @view("c.none", after=("c.added",))
    def none(self, key: str) -> JSON:
        """Nothing to show."""
        return None


async def joined(hub: HubUnderTest, client: Ears) -> Ears:
    await hub.do("c.join", {"sessionId": "s1"}, client)
    return client


async def add(hub: HubUnderTest, name: str = "a") -> None:
    await (await hub.command("session:s1", "c.add", Named(name))).answer()


async def test_the_first_change_is_shown_at_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        began_s = trio.current_time()
        await add(hub)
        await settle()
        assert client.events("c.count") == [{"name": "a", "count": 1}]
        assert trio.current_time() == began_s
        assert client.heard[-1].frame.kind is Kind.VIEW


async def test_a_flood_is_shown_four_times_a_second_and_the_latest_wins(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        for _ in range(200):
            await add(hub)
            await trio.sleep(0.01)
        await trio.sleep(1)
        shown = [item["count"] for item in client.events("c.count")]
        assert shown[-1] == 200
        assert shown == sorted(set(shown))
        assert 8 <= len(shown) <= 10


async def test_what_stands_still_is_not_shown_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        await add(hub)
        await trio.sleep(60)
        assert len(client.events("c.count")) == 1


async def test_each_key_has_a_rhythm_of_its_own(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        for name in ("a", "b", "a", "b", "a"):
            await add(hub, name)
        await settle()
        assert [item["name"] for item in client.events("c.count")] == ["a", "b"]
        await trio.sleep(VIEW_EVERY_S * 1.5)
        assert client.events("c.count")[2:] == [{"name": "a", "count": 3}, {"name": "b", "count": 2}]
        keys = {item.frame.key for item in client.heard if item.event == "c.count"}
        assert len(keys) == 2, "so that a slow reader keeps the latest of each"


async def test_a_newcomer_gets_the_latest_of_everything_it_may_see(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        await joined(hub, ears(ANNA))
        for name in ("a", "b", "a"):
            await add(hub, name)
        await trio.sleep(5)
        late, staff = await joined(hub, ears(BEN)), await joined(hub, ears(STAFF_MEMBER))
        await settle()
        assert late.events() == [("c.count", {"name": "a", "count": 2}), ("c.count", {"name": "b", "count": 1})]
        assert staff.events("c.all") == [{"a": 2, "b": 1}]


async def test_a_view_for_a_part_of_the_room_stays_there(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client, staff = await joined(hub, ears(ANNA)), await joined(hub, ears(STAFF_MEMBER))
        await add(hub)
        await settle()
        assert client.events("c.all") == []
        assert staff.events("c.all") == [{"a": 1}]


async def test_nothing_is_computed_when_nobody_listens(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        hub.house.vacate(client.peer)
        for _ in range(10):
            await add(hub)
            await trio.sleep(1)
        (feature,) = hub.room().state.features
        assert isinstance(feature, Counters)
        assert feature.computed == 0
        late = await joined(hub, ears(BEN))
        assert late.events("c.count") == [{"name": "a", "count": 10}]


async def test_nothing_to_show_is_not_shown(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        client = await joined(hub, ears(ANNA))
        await add(hub)
        await trio.sleep(1)
        assert client.events("c.none") == []


async def test_a_view_waits_for_the_commit_of_what_it_shows(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        client = ears(ANNA)
        await hub.do("toy.join", {"sessionId": "s1"}, client)
        hub.store.hold_commits = trio.Event()
        await hub.ask("toy.add", {}, client)
        await trio.sleep(1)
        assert client.events() == []
        hub.store.hold_commits.set()
        await settle()
        assert client.events("toy.total") == [{"total": 1}]


async def test_a_view_of_what_was_not_saved_is_never_shown(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        client = ears(ANNA)
        await hub.do("toy.join", {"sessionId": "s1"}, client)
        await hub.do("toy.add", {}, client)
        await trio.sleep(1)
        hub.store.fail_commits = True
        await (await hub.ask("toy.add", {"amount": 50}, client)).refusal()
        hub.store.fail_commits = False
        await trio.sleep(10)
        assert client.events("toy.total") == [{"total": 1}]
        await hub.do("toy.add", {}, client)
        await settle()
        assert client.events("toy.total") == [{"total": 1}, {"total": 2}]


async def test_a_personal_field_is_each_receivers_own(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        anna, ben = ears(ANNA), ears(BEN)
        for client in (anna, ben):
            await hub.do("table.join", {"sessionId": "s1"}, client)
        for client in (anna, anna, ben):
            await hub.do("table.clink", {}, client)
        await trio.sleep(VIEW_EVERY_S * 2)
        again = ears(BEN, sid="ben's other device")
        await hub.do("table.join", {"sessionId": "s1"}, again)
    assert anna.events("table.count")[-1] == {"toasts": 0, "clinks": "2 of wine"}
    for client in (ben, again):
        assert client.events("table.count")[-1] == {"toasts": 0, "clinks": "1 of wine"}


async def test_those_with_the_same_value_share_one_frame(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        clients = [ears(person(f"p{n}")) for n in range(5)]
        for client in clients:
            await hub.do("table.join", {"sessionId": "s1"}, client)
        await hub.do("table.clink", {}, clients[0])
        shown = [next(item for item in client.heard if item.event == "table.count") for client in clients]
    assert [item.payload["clinks"] for item in shown] == ["1 of wine", None, None, None, None]
    assert len({id(item.frame) for item in shown[1:]}) == 1


async def test_what_is_shown_of_ones_own_is_what_was_saved(autojump_clock: MockClock) -> None:
    """The value is taken with the view, not later, when an ask that may still fail has changed it."""
    async with open_hub(Table) as hub:
        anna = ears(ANNA)
        await hub.do("table.join", {"sessionId": "s1"}, anna)
        hub.store.hold_commits = trio.Event()
        for _ in range(3):
            await hub.ask("table.clink", {}, anna)
            await trio.sleep(VIEW_EVERY_S)
        await settle()
        assert anna.events("table.count") == []
        hub.store.hold_commits.set()
        await settle()
    assert [shown["clinks"] for shown in anna.events("table.count")] == ["1 of wine", "2 of wine", "3 of wine"]


async def test_whoever_left_meanwhile_is_not_shown_it(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        anna, ben = ears(ANNA), ears(BEN)
        for client in (anna, ben):
            await hub.do("table.join", {"sessionId": "s1"}, client)
        hub.store.hold_commits = trio.Event()
        await hub.ask("table.clink", {}, anna)
        await settle()
        hub.house.vacate(ben.peer)
        hub.store.hold_commits.set()
        await settle()
    assert (len(anna.events("table.count")), ben.events("table.count")) == (1, [])


def test_up_to_a_crowd_views_are_shown_as_often_as_they_may_change_and_beyond_it_less_often() -> None:
    assert pytest.approx(VIEW_EVERY_S) == 2_500 * module.SHOWING_S / module.SHARE_MAX
    assert pytest.approx(1.0) == 10_000 * module.SHOWING_S / module.SHARE_MAX


@pytest.mark.parametrize(("listeners", "period_s"), [(1, VIEW_EVERY_S), (2, VIEW_EVERY_S), (8, 1.0), (40, 5.0)])
async def test_the_larger_the_audience_the_longer_the_period(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, listeners: int, period_s: float
) -> None:
    monkeypatch.setattr(module, "SHOWING_S", 0.0125)  # of 0.1: eight listeners take all of the share for a second
    async with open_hub(Counters) as hub:
        crowd = [await joined(hub, ears(person(f"p{number}"))) for number in range(listeners)]
        shown_s: list[float] = []

        def note() -> None:
            if crowd[0].heard[-1].event == "c.count":
                shown_s.append(trio.current_time())

        crowd[0].on_write = note
        began_s = trio.current_time()
        while len(shown_s) < 5:
            await add(hub)
            await trio.sleep(0.01)
        assert [at - began_s for at in shown_s] == pytest.approx([period_s * number for number in range(5)], abs=0.011)
        await trio.sleep(period_s * 2)
        counts = [client.events("c.count")[-1]["count"] for client in crowd]
        (feature,) = hub.room().state.features
        assert isinstance(feature, Counters)
        assert counts == [feature.counts["a"]] * listeners, "and the latest comes in the end"


async def test_the_size_of_its_own_audience_counts(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the staff in a crowd of twenty: what only the staff sees keeps its pace."""
    monkeypatch.setattr(module, "SHOWING_S", 0.0125)
    async with open_hub(Counters) as hub:
        for number in range(20):
            await joined(hub, ears(person(f"p{number}")))
        staff = await joined(hub, ears(STAFF_MEMBER))
        for _ in range(90):
            await add(hub)
            await trio.sleep(0.01)
        assert len(staff.events("c.all")) == 4
        assert len(staff.events("c.count")) == 1


def counters(hub: HubUnderTest) -> Counters:
    (feature,) = hub.room().state.features
    assert isinstance(feature, Counters)
    return feature


async def test_a_crowd_that_comes_is_shown_what_was_worked_out_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        await joined(hub, ears(ANNA))
        await add(hub)
        await trio.sleep(5)
        before = counters(hub).computed
        for number in range(20):
            late = await joined(hub, ears(person(f"p{number}")))
            assert late.events("c.count") == [{"name": "a", "count": 1}]
        assert counters(hub).computed == before + 1
        await trio.sleep(VIEW_EVERY_S)
        await joined(hub, ears(BEN))
        assert counters(hub).computed == before + 2, "after its period it is worked out again"


async def test_a_fact_drops_what_newcomers_are_shown(autojump_clock: MockClock) -> None:
    async with open_hub(Counters) as hub:
        await joined(hub, ears(ANNA))
        await add(hub, "a")
        await add(hub, "b")
        await trio.sleep(5)
        for count in range(1, 5):
            late = await joined(hub, ears(person(f"p{count}")))
            assert late.events("c.count")[:2] == [{"name": "a", "count": count}, {"name": "b", "count": 1}]
            before = counters(hub).computed
            await joined(hub, ears(person(f"q{count}")))
            assert counters(hub).computed == before
            await add(hub, "a")


async def test_what_newcomers_are_shown_of_their_own_is_not_what_the_first_was(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        anna, ben = ears(ANNA), ears(BEN)
        for client in (anna, ben):
            await hub.do("table.join", {"sessionId": "s1"}, client)
        await hub.do("table.clink", {}, anna)
        await trio.sleep(5)
        again = [ears(who, sid=f"{who.id}'s other device") for who in (ANNA, BEN)]
        for client in again:
            await hub.do("table.join", {"sessionId": "s1"}, client)
    assert [client.events("table.count")[-1]["clinks"] for client in again] == ["1 of wine", None]


async def test_what_was_not_saved_is_not_kept_for_newcomers(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counters) as hub:
        await joined(hub, ears(ANNA))
        await add(hub)
        await trio.sleep(5)
        hub.store.fail_commits = True
        await (await hub.command("session:s1", "c.add", Named("a"))).refusal()
        await (await hub.ask("c.join", {"sessionId": "s1"}, ears(BEN))).refusal()
        hub.store.fail_commits = False
        await trio.sleep(5)
        late = await joined(hub, ears(person("late")))
        assert late.events("c.count") == [{"name": "a", "count": 1}]
