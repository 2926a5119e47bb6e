"""The life of a session and who is there: every row of the table, and every way to come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock

from livehub.contracts.events import NAMESPACE
from livehub.feature import EVERYONE, JSON, After, Ask, Cancel, Fact, Feature, Outcome, Person, Via, on
from livehub.features import lifecycle as module
from livehub.features.lifecycle import CROWD_VIEW_EVERY_S, Lifecycle, Participant, PollingSettings
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.fanout import Told
from livehub.rooms.house import HouseLimits
from livehub.rooms.recovery import Recovery, ReplayLimits
from livehub.rooms.state import Performed
from livehub.rooms.tickets import Ticket
from livehub.stores.memory import MemoryStore, open_memory
from livehub.wire.messages import event_text
from tests.kit import ANNA, BEN, CARA, MODERATOR, START_MS, Bench, Clock, Ears, HubUnderTest, ears, open_hub, person

MANAGER = person("manager", "sessions:manage")
S1 = {"sessionId": "s1"}
GRACE_S = 5.0
GRACE_MS = 5_000
AUTO = {"sessions": SessionSettings(auto_create=True)}
CAME, WENT = "participant.came", "participant.went"
NEVER = 100_000.0


@dataclass
class Closer(Feature):
    """Does at the end what polls do: it has the last word before the session ends."""

    name: ClassVar[str] = "closer"

    @on("session.ending")
    def close(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Close what is open."""
        return Outcome([Fact("closer.closed", {"at": data["at"]}, (EVERYONE,))])


@pytest.fixture
def bench() -> Bench:
    """A session that its first participant made."""
    return new_bench()


def new_bench(*, joined: tuple[Person, ...] = (), draft: bool = False) -> Bench:
    bench = Bench(Sessions, Lifecycle, Closer, settings=AUTO)
    if draft:
        bench.ask("session.create", {}, MANAGER)
    for who in joined:
        join(bench, who)
    return bench


def join(bench: Bench, who: Person) -> Performed:
    """Join, and sit: what came of sitting."""
    bench.ask("session.join", {}, who)
    return came(bench, who)


def came(bench: Bench, who: Person, *, after_ms: int = 0) -> Performed:
    bench.now_ms += after_ms
    return bench._kept(bench.state.came(Ask(None, who, bench.now_ms)))


def went(bench: Bench, who: Person, *, after_ms: int = 0) -> Performed:
    bench.now_ms += after_ms
    return bench._kept(bench.state.went(Ask(None, who, bench.now_ms)))


def reopened(bench: Bench, *here: Person) -> Performed:
    return bench._kept(bench.state.reopened(Ask(frozenset(who.id for who in here), at_ms=bench.now_ms)))


def rings(bench: Bench, done: Performed, *, after_ms: int = GRACE_MS) -> Performed:
    """The one timer that was set rings."""
    (timer,) = [effect for effect in done.effects if isinstance(effect, After)]
    return bench.ask(timer.command, timer.data, after_ms=after_ms)


def kept(done: Performed) -> list[Fact]:
    """What is in the log."""
    return [fact for fact in done.facts if fact.kept]


def life(bench: Bench) -> Lifecycle:
    return bench.feature(Lifecycle)


def present(bench: Bench) -> list[str]:
    return [user_id for user_id, one in life(bench).people.items() if one.present]


def in_status(status: str) -> Bench:
    """A session in this status, made as it is in life."""
    bench = new_bench(draft=status != "active", joined=(ANNA,))
    if status == "ended":
        bench.ask("session.end", {}, MANAGER, after_ms=1_000)
    assert life(bench).status == status
    return bench


# The life of a session


@pytest.mark.parametrize(
    ("status", "command", "to", "kinds"),
    [
        ("draft", "start", "active", ["session.started"]),
        ("draft", "end", "ended", ["session.ending", "closer.closed", "session.ended"]),
        ("active", "end", "ended", ["session.ending", "closer.closed", "session.ended"]),
    ],
)
def test_each_row_of_the_table_changes_the_status(status: str, command: str, to: str, kinds: list[str]) -> None:
    bench = in_status(status)
    done = bench.ask(f"session.{command}", {}, MANAGER, after_ms=500)
    assert [fact.kind for fact in done.facts] == kinds
    assert done.reply == {
        "sessionId": "s1", "status": to, "at": "2026-01-01T00:00:00.500Z", "participantCount": 1,
    }  # fmt: skip
    assert (life(bench).status, bench.feature(Sessions).status) == (to, to)


@pytest.mark.parametrize(
    ("status", "command", "at"),
    [("active", "start", "2026-01-01T00:00:00.000Z"), ("ended", "end", "2026-01-01T00:00:01.000Z")],
)
def test_what_is_so_already_is_no_error_and_no_news(status: str, command: str, at: str) -> None:
    bench = in_status(status)
    done = bench.ask(f"session.{command}", {}, MANAGER, after_ms=500)
    assert done.facts == []
    assert done.reply == {"sessionId": "s1", "status": status, "at": at, "participantCount": 1}


def test_what_ended_does_not_start_again() -> None:
    bench = in_status("ended")
    refusal = bench.refusal("session.start", {}, MANAGER)
    assert (refusal.message, refusal.status) == ("Session is ended: it cannot start any more", 409)
    assert refusal.code == "conflict"
    assert life(bench).status == "ended"


@pytest.mark.parametrize("command", ["session.start", "session.end"])
def test_there_must_be_a_session(bench: Bench, command: str) -> None:
    refusal = bench.refusal(command, {}, MANAGER)
    assert (refusal.message, refusal.status, refusal.code) == ("Session not found", 404, "not_found")


@pytest.mark.parametrize("command", ["session.start", "session.end"])
def test_only_who_manages_sessions_starts_and_ends_them(command: str) -> None:
    bench = in_status("draft")
    for who in (ANNA, MODERATOR):
        refusal = bench.refusal(command, {}, who)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)
    assert life(bench).status == "draft"


def test_a_session_made_by_a_first_join_or_an_agenda_is_active_from_then_on() -> None:
    assert life(new_bench(joined=(ANNA,))).changed_at == "2026-01-01T00:00:00.000Z"
    bench = Bench(Sessions, Lifecycle)
    bench.ask("session.planned", {"eventId": "e1", "title": "Keynote"})
    assert life(bench).status == "active"


def test_everybody_is_told_of_the_start(bench: Bench) -> None:
    bench.ask("session.create", {}, MANAGER)
    join(bench, ANNA)
    (fact,) = bench.ask("session.start", {}, MANAGER, after_ms=500).facts
    assert fact.to == (EVERYONE,)
    assert fact.data == {"at": "2026-01-01T00:00:00.500Z", "participantCount": 1, "sessionId": "s1"}


def test_everybody_is_told_of_the_end_after_what_had_to_be_closed() -> None:
    bench = new_bench(joined=(ANNA, BEN, MANAGER))
    rings(bench, went(bench, BEN))
    done = bench.ask("session.end", {}, MANAGER, after_ms=500)
    ending, closed, ended = done.facts
    assert (ending.data, ending.to) == ({"at": "2026-01-01T00:00:05.500Z"}, ())
    assert closed.kind == "closer.closed"
    assert ended.to == (EVERYONE,)
    assert ended.data == {"at": "2026-01-01T00:00:05.500Z", "finalParticipantCount": 2, "sessionId": "s1"}, (
        "all who took part, here or not, but for presenters"
    )


@pytest.mark.parametrize("status", ["draft", "active", "ended"])
def test_the_status_survives_a_restart(status: str) -> None:
    bench = in_status(status)
    assert bench.reopened().features == bench.state.features


def test_a_session_of_an_older_log_is_active() -> None:
    bench = Bench(Sessions, Lifecycle)
    old = {"title": "", "by": "olga", "at": "2025-12-01T00:00:00.000Z"}
    bench.state._apply("session.created", old, START_MS)
    bench.state._apply("session.joined", {"userId": "anna", "at": old["at"]}, START_MS)
    one = life(bench)
    assert (one.status, one.changed_at, one.presenter_id) == ("active", old["at"], "olga")
    assert one.people == {"anna": Participant("anna")}


# Presence, as plain functions


def test_who_comes_is_told_to_everybody_by_the_name_they_go_by() -> None:
    bench = new_bench(joined=(BEN,))
    bench.ask("session.join", {}, ANNA)
    (fact,) = came(bench, ANNA, after_ms=500).facts
    assert (fact.kind, fact.to) == (CAME, (EVERYONE,))
    assert fact.data == {
        "userId": "anna", "participantId": life(bench).people["anna"].id, "displayName": "Anna Tester",
        "at": "2026-01-01T00:00:00.500Z", "participantCount": 2,
    }  # fmt: skip
    assert fact.data["participantId"] == bench.feature(Sessions).participants["anna"]


@pytest.mark.parametrize(
    ("first", "last", "name"), [("Ada", "", "Ada"), ("", "Lovelace", "Lovelace"), ("", "", ""), ("A B", "C", "A B C")]
)
def test_a_name_is_what_there_is_of_it(bench: Bench, first: str, last: str, name: str) -> None:
    (fact,) = join(bench, Person("ada", first, last)).facts
    assert fact.data["displayName"] == name


@pytest.mark.parametrize("who", [MANAGER, MODERATOR, person("olga", "*")])
def test_presenters_are_not_counted(bench: Bench, who: Person) -> None:
    assert join(bench, who) == Performed()
    assert went(bench, who) == Performed()
    assert life(bench).present == 0


def test_who_joined_first_takes_part_like_everybody_though_the_session_is_of_their_making(bench: Bench) -> None:
    join(bench, ANNA)
    assert life(bench).presenter_id == "anna"
    assert present(bench) == ["anna"]


def test_who_has_not_joined_is_not_counted(bench: Bench) -> None:
    join(bench, ANNA)
    assert came(bench, CARA) == went(bench, CARA) == Performed()


def test_who_goes_has_the_grace_to_come_back(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    done = went(bench, BEN, after_ms=1_000)
    assert kept(done) == []
    assert done.effects == [After("grace:ben", bench.now_ms + GRACE_MS, "participant.gone", {"userId": "ben"})]
    assert present(bench) == ["ben"]
    (fact,) = rings(bench, done).facts
    assert (fact.kind, fact.to) == (WENT, (EVERYONE,))
    assert fact.data == {
        "userId": "ben", "participantId": life(bench).people["ben"].id,
        "at": "2026-01-01T00:00:06.000Z", "participantCount": 0, "lostMs": START_MS + 1_000,
    }  # fmt: skip
    assert present(bench) == []


def test_the_grace_is_a_setting() -> None:
    bench = Bench(Sessions, Lifecycle, settings={**AUTO, "polling": PollingSettings(grace_s=0.25)})
    for who in (MANAGER, BEN):
        join(bench, who)
    (timer,) = went(bench, BEN).effects
    assert isinstance(timer, After)
    assert timer.due_ms == bench.now_ms + 250


def test_who_is_back_within_the_grace_never_left(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    lost = went(bench, BEN)
    back = came(bench, BEN, after_ms=GRACE_MS - 1)
    assert kept(back) == []
    assert back.effects == [Cancel("grace:ben")]
    assert rings(bench, lost, after_ms=1) == Performed(), "it rang when its cancellation was on its way"
    assert present(bench) == ["ben"]


def test_a_ring_for_an_earlier_loss_is_not_the_end_of_a_later_one(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    first = went(bench, BEN)
    came(bench, BEN, after_ms=4_000)
    again = went(bench, BEN, after_ms=500)
    late = rings(bench, first, after_ms=500)
    assert late.facts == []
    (timer,) = late.effects
    assert isinstance(timer, After)
    assert timer.due_ms == START_MS + 4_500 + GRACE_MS, "the ring took the later timer away: it is set again"
    assert [fact.kind for fact in rings(bench, late, after_ms=4_500).facts] == [WENT]
    assert rings(bench, again, after_ms=0) == Performed()


def test_who_comes_again_is_news_again(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    rings(bench, went(bench, BEN))
    (fact,) = came(bench, BEN).facts
    assert (fact.kind, fact.data["participantCount"]) == (CAME, 1)


def test_attendance_adds_up_without_the_graces(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    rings(bench, went(bench, BEN, after_ms=60_000))
    came(bench, BEN, after_ms=600_000)
    went(bench, BEN, after_ms=30_000)
    came(bench, BEN, after_ms=2_000)
    ben = life(bench).people["ben"]
    assert (ben.attended_ms, ben.since_ms) == (60_000, START_MS + 665_000)
    rings(bench, went(bench, BEN, after_ms=8_000))
    assert life(bench).people["ben"].attended_ms == 60_000 + 40_000


def test_attendance_ends_with_the_session(bench: Bench) -> None:
    for who in (MANAGER, BEN):
        join(bench, who)
    bench.ask("session.end", {}, MANAGER, after_ms=60_000)
    assert life(bench).people["ben"].there_ms(bench.now_ms + 600_000) == 60_000
    rings(bench, went(bench, BEN, after_ms=600_000))
    came(bench, BEN, after_ms=1_000)
    assert life(bench).people["ben"].there_ms(bench.now_ms + 600_000) == 60_000


def test_nothing_is_heard_of_the_grace(bench: Bench) -> None:
    """Whether somebody is missing is known to this process only; it is neither told nor kept."""
    for who in (MANAGER, BEN):
        join(bench, who)
    for done in (went(bench, BEN), came(bench, BEN)):
        assert [(fact.to, fact.kept) for fact in done.facts] == [((), False)]


def test_the_log_rebuilds_who_was_there() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN, CARA))
    went(bench, ANNA, after_ms=1_000)
    rings(bench, went(bench, BEN, after_ms=1_000))
    live, folded = life(bench), next(one for one in bench.reopened().features if isinstance(one, Lifecycle))
    assert live.missing == {"anna": START_MS + 1_000 + GRACE_MS}
    assert folded.missing == {}
    assert {**vars(folded), "missing": None} == {**vars(live), "missing": None}


def test_when_the_room_opens_whoever_is_not_back_has_the_grace() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN, CARA))
    done = reopened(bench, ANNA, MANAGER)
    assert kept(done) == []
    assert done.effects == [
        After(f"grace:{name}", START_MS + GRACE_MS, "participant.gone", {"userId": name, "last": True})
        for name in ("ben", "cara")
    ]
    came(bench, CARA)
    gone = bench.ask("participant.gone", {"userId": "ben", "last": True}, after_ms=GRACE_MS)
    assert [(fact.kind, fact.data["userId"]) for fact in gone.facts] == [(WENT, "ben")]
    assert bench.ask("participant.gone", {"userId": "cara", "last": True}).facts == []
    assert present(bench) == ["anna", "cara"]


def test_when_the_room_opens_whoever_sits_there_unnoticed_came() -> None:
    """They took their seat again while the disk was full."""
    bench = new_bench(joined=(MANAGER, ANNA, BEN, CARA))
    for who in (ANNA, BEN):
        rings(bench, went(bench, who))
    done = reopened(bench, BEN, ANNA, CARA, MANAGER, person("stranger"))
    told = [(fact.kind, fact.data["userId"], fact.data["participantCount"]) for fact in done.facts]
    assert told == [(CAME, "anna", 2), (CAME, "ben", 3)]
    assert [fact.data["displayName"] for fact in done.facts] == ["Anna Tester", "Ben Tester"]
    assert done.effects == []
    assert life(bench).present == 3


def test_a_large_room_opens_too() -> None:
    """An ask may come to no more than so many facts, and people are more."""
    bench = new_bench(joined=(MANAGER,))
    crowd = [person(f"p{number}") for number in range(1_200)]
    for who in crowd:
        join(bench, who)
    assert len(reopened(bench).effects) == 1_200
    for who in crowd:
        bench.ask("participant.gone", {"userId": who.id, "last": True}, after_ms=GRACE_MS)
    assert life(bench).present == 0
    assert len(reopened(bench, *crowd).facts) == module.RECOUNTED_MAX


def test_a_ring_for_nobody_is_no_trouble(bench: Bench) -> None:
    assert bench.ask("participant.gone", {"userId": "nobody"}) == Performed()
    join(bench, ANNA)
    assert bench.ask("participant.gone", {"userId": "anna"}) == Performed()


def test_presenters_see_who_has_joined_and_who_is_there() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN))
    bench.ask("session.join", {}, CARA)
    rings(bench, went(bench, BEN))
    ids = bench.feature(Sessions).participants
    listed = [
        {"participantId": ids["anna"], "displayName": "Anna Tester", "isPresent": True},
        {"participantId": ids["ben"], "displayName": "Ben Tester", "isPresent": False},
        {"participantId": ids["cara"], "displayName": "", "isPresent": False},
    ]
    for who in (MANAGER, MODERATOR):
        assert bench.ask("session.participants", {}, who).reply == {"participants": listed, "participantCount": 1}
        assert life(bench).overview(who) == {"participants": listed, "participantCount": 1}
    assert bench.refusal("session.participants", {}, ANNA).message == "You do not have permission"
    assert life(bench).overview(ANNA) == {"participantCount": 1}


@pytest.fixture
def crowd_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROWD_PEOPLE", 2)


@pytest.mark.usefixtures("crowd_of_two")
def test_of_a_crowd_single_people_are_not_told() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN))
    assert bench.view("participants.crowd") is None
    (fact,) = join(bench, CARA).facts
    assert (fact.kind, fact.to, fact.data["participantCount"]) == (CAME, (), 3)
    assert bench.view("participants.crowd") == {**fact.data, "came": True}
    dora = person("dora")
    join(bench, dora)
    (fact,) = rings(bench, went(bench, dora)).facts
    assert (fact.kind, fact.to) == (WENT, ())
    assert bench.view("participants.crowd") == {**fact.data, "came": False}


@pytest.mark.usefixtures("crowd_of_two")
def test_the_size_of_a_crowd_is_told_once_and_down_to_its_last() -> None:
    """Either the fact is heard or the view is shown: never both, never neither."""
    bench = new_bench(joined=(MANAGER, ANNA))
    for who in (BEN, CARA):
        (fact,) = join(bench, who).facts
        assert (fact.to == (EVERYONE,)) == (bench.view("participants.crowd") is None)
    for who in (CARA, BEN):
        (fact,) = rings(bench, went(bench, who)).facts
        assert (fact.to == (EVERYONE,)) == (bench.view("participants.crowd") is None)
        assert fact.data["participantCount"] == life(bench).present


@pytest.mark.usefixtures("crowd_of_two")
def test_a_crowd_is_still_one_after_a_restart() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN, CARA))
    again = bench.reopened()
    ((view, key),) = [which for which in again.views if which[0].name == "participants.crowd"]
    assert again.show(view, key) == bench.view("participants.crowd")
    assert view.every_s == CROWD_VIEW_EVERY_S == 0.5


# Presence, in a room and in virtual time


class Plain:
    """A vocabulary in which everything is told as it is."""

    def fact(self, told: Told) -> bytes:
        """Every fact, by its kind."""
        return event_text(NAMESPACE, [told.name, told.data, told.offset])

    def event(self, told: Told) -> bytes:
        """Every view, by its name."""
        return event_text(NAMESPACE, [told.name, told.data])


@asynccontextmanager
async def session(
    store: MemoryStore | None = None,
    clock: Clock | None = None,
    *,
    grace_s: float = GRACE_S,
    limits: HouseLimits | None = None,
) -> AsyncIterator[tuple[HubUnderTest, Ears]]:
    """A session, and a presenter who watches."""
    settings = {**AUTO, "polling": PollingSettings(grace_s=grace_s)}
    async with open_hub(
        Sessions,
        Lifecycle,
        store=store,
        clock=clock,
        settings=settings,
        limits=limits,
        vocabularies=lambda _: {NAMESPACE: Plain()},
        watchdog_s=NEVER,
    ) as hub:
        yield hub, await sit(hub, ears(MANAGER, sid=f"watch {hub.clock()}"))


async def sit(hub: HubUnderTest, client: Ears) -> Ears:
    await hub.do("session.join", S1, client)
    return client


async def come_back(hub: HubUnderTest, client: Ears) -> Ears:
    """The same client on a new connection, having heard everything so far."""
    back = ears(client.peer.person, sid=client.peer.sid)
    ticket, offset = Ticket(client.peer.sid, START_MS), hub.fanout.offset(hub.store.head)
    await Recovery(hub.house, ReplayLimits()).recover(back.peer, ticket, offset, trio.lowlevel.checkpoint)
    back.peer.release()
    return back


def seen(watcher: Ears) -> list[str]:
    """Who came and went, and how many were there then."""
    words = {CAME: "+", WENT: "-"}
    return [
        f"{words[event]}{payload['userId']} {payload['participantCount']}"
        for event, payload in watcher.events()
        if event in words
    ]


async def count(hub: HubUnderTest) -> int:
    return next(one.present for one in hub.room().state.features if isinstance(one, Lifecycle))


async def test_several_devices_of_one_person_count_once(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        phone, laptop = await sit(hub, ears(ANNA, sid="phone")), await sit(hub, ears(ANNA, sid="laptop"))
        hub.house.vacate(phone.peer)
        await trio.sleep(GRACE_S * 10)
        assert seen(watcher) == ["+anna 1"]
        hub.house.vacate(laptop.peer)
        await trio.sleep(GRACE_S * 2)
        assert seen(watcher) == ["+anna 1", "-anna 0"]


async def test_a_drop_shorter_than_the_grace_is_no_leave(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        for _ in range(5):
            hub.house.vacate(anna.peer)
            await trio.sleep(GRACE_S - 0.1)
            anna = await come_back(hub, anna)
        hub.house.vacate(ben.peer)
        await trio.sleep(GRACE_S - 0.1)
        await sit(hub, ears(BEN, sid="a new connection"))
        await trio.sleep(GRACE_S * 10)
        assert seen(watcher) == ["+anna 1", "+ben 2"]
        assert await hub.store.timers() == []


async def test_a_drop_longer_than_the_grace_is_a_leave_and_the_return_a_new_coming(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        anna = await sit(hub, ears(ANNA))
        hub.house.vacate(anna.peer)
        await trio.sleep(GRACE_S + 0.1)
        await come_back(hub, anna)
        await trio.sleep(1)
        assert seen(watcher) == ["+anna 1", "-anna 0", "+anna 1"]


async def test_whoever_says_goodbye_has_the_grace_too(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        anna = await sit(hub, ears(ANNA))
        await hub.do("session.leave", S1, anna)
        await trio.sleep(GRACE_S - 0.1)
        assert seen(watcher) == ["+anna 1"]
        await trio.sleep(0.2)
        assert seen(watcher) == ["+anna 1", "-anna 0"]


async def test_without_a_grace_a_drop_is_a_leave(autojump_clock: MockClock) -> None:
    async with session(grace_s=0) as (hub, watcher):
        hub.house.vacate((await sit(hub, ears(ANNA))).peer)
        await trio.sleep(0.1)
        assert seen(watcher) == ["+anna 1", "-anna 0"]


async def test_presenters_come_and_go_unseen(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        hub.house.vacate((await sit(hub, ears(MODERATOR))).peer)
        await trio.sleep(GRACE_S * 2)
        assert seen(watcher) == []


async def test_after_a_crash_everybody_has_the_grace_to_come_back(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        async with session(store, clock) as (hub, watcher):
            anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        await trio.sleep(3_600)
        async with session(store, clock) as (hub, watcher):
            await trio.sleep(GRACE_S - 0.1)
            await come_back(hub, anna)
            assert await count(hub) == 2
            await trio.sleep(0.2)
            assert seen(watcher) == ["-ben 1"]
            await come_back(hub, ben)
            await trio.sleep(GRACE_S * 2)
            assert seen(watcher) == ["-ben 1", "+ben 2"]


@pytest.mark.parametrize("away_s", [1.0, 3_600.0])
async def test_after_a_stop_everybody_has_the_grace_to_come_back(autojump_clock: MockClock, away_s: float) -> None:
    """They lost their connections before the server went, and could not come back while it was away."""
    async with open_memory() as store:
        clock = Clock()
        async with session(store, clock) as (hub, watcher):
            anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
            for client in (anna, ben):
                hub.house.vacate(client.peer)
            await trio.sleep(0.1)
        await trio.sleep(away_s)
        async with session(store, clock) as (hub, watcher):
            await trio.sleep(GRACE_S - 0.1)
            await come_back(hub, anna)
            await trio.sleep(0.2)
            assert seen(watcher) == ["-ben 1"]
            await trio.sleep(GRACE_S * 10)
            assert seen(watcher) == ["-ben 1"]
            assert await store.timers() == []


async def test_after_a_stop_nobody_goes_before_anybody_asks(autojump_clock: MockClock) -> None:
    """The room is opened by the timers that became due, and by nobody else."""
    async with open_memory() as store:
        clock = Clock()
        async with session(store, clock) as (hub, _):
            hub.house.vacate((await sit(hub, ears(ANNA))).peer)
            await trio.sleep(0.1)
        await trio.sleep(3_600)
        async with open_hub(Sessions, Lifecycle, store=store, clock=clock, settings=AUTO) as hub:
            await trio.sleep(GRACE_S - 0.1)
            assert await count(hub) == 1
            await trio.sleep(0.2)
            assert await count(hub) == 0
            assert await store.timers() == []


async def test_a_room_that_closes_before_a_long_grace_is_over_still_ends_it(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        limits = HouseLimits(idle_close_s=20.0)
        async with session(store, grace_s=100.0, limits=limits) as (hub, watcher):
            hub.house.vacate((await sit(hub, ears(ANNA))).peer)
            hub.house.vacate(watcher.peer)
            await trio.sleep(60)
            assert hub.house.rooms == {}
            await trio.sleep(300)
            assert [record.kind for record in await store.read("session:s1", 0, 100)][-2:] == [CAME, WENT]
            assert await store.timers() == []


async def test_while_the_disk_is_full_nobody_goes_and_then_who_is_gone_does(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with session() as (hub, watcher):
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        hub.house.vacate(ben.peer)
        await trio.sleep(GRACE_S * 2)
        hub.store.fail_commits = True
        hub.house.vacate(anna.peer)
        await trio.sleep(1)
        await come_back(hub, ben)
        await trio.sleep(GRACE_S * 10)
        assert seen(watcher) == ["+anna 1", "+ben 2", "-ben 1"]
        hub.store.fail_commits = False
        await trio.sleep(5)
        await hub.command("session:s1", "session.read", who=MANAGER)
        await trio.sleep(1)
        assert seen(watcher)[3:] == ["+ben 2"]
        await trio.sleep(GRACE_S)
        assert seen(watcher)[3:] == ["+ben 2", "-anna 1"]


@pytest.mark.usefixtures("crowd_of_two")
async def test_a_crowd_is_a_view_twice_a_second(autojump_clock: MockClock) -> None:
    async with session() as (hub, watcher):
        for who in (ANNA, BEN):
            await sit(hub, ears(who))
        await trio.sleep(1)
        assert seen(watcher) == ["+anna 1", "+ben 2"]
        watcher.heard.clear()
        began_s = trio.current_time()
        guests = []
        for number in range(40):
            guests.append(await sit(hub, ears(person(f"guest{number}"))))
            await trio.sleep(0.05)
        await trio.sleep(1)
        assert seen(watcher) == [], "of single people nothing is heard"
        views = watcher.events("participants.crowd")
        assert 2 < len(views) <= (trio.current_time() - began_s) / CROWD_VIEW_EVERY_S
        assert (views[-1]["participantCount"], views[-1]["userId"], views[-1]["came"]) == (42, "guest39", True)
        for client in guests:
            hub.house.vacate(client.peer)
        await trio.sleep(GRACE_S * 2)
        assert seen(watcher) == ["-guest39 2"], "the last of the crowd is told: then it is none any more"


async def test_the_start_and_the_end_reach_everybody_in_the_room(autojump_clock: MockClock) -> None:
    async with session() as (hub, _):
        await hub.do("session.create", {}, who=MANAGER, door=Via.REST, room_id="s2")
        anna = ears(ANNA)
        await hub.do("session.join", {"sessionId": "s2"}, anna)
        for command in ("start", "start", "end", "end"):
            await hub.do(f"session.{command}", {}, who=MANAGER, door=Via.REST, room_id="s2")
        assert [event for event, _ in anna.events()] == ["session.started", "session.ended"]


def test_the_export_has_the_minutes_that_everybody_was_there_but_presenters() -> None:
    bench = new_bench(joined=(MANAGER, ANNA, BEN))
    went(bench, BEN, after_ms=90_000)
    bench.ask("participant.gone", {"userId": BEN.id}, after_ms=GRACE_MS)
    came(bench, BEN, after_ms=600_000)
    bench.now_ms += 30_000
    table = bench.feature(Lifecycle).export(bench.now_ms)["attendance"]
    assert table.columns == ("participantId", "userId", "displayName", "minutes", "isPresent")
    people = bench.feature(Sessions).participants
    assert list(table.rows) == [
        (people[ANNA.id], ANNA.id, "Anna Tester", 12.1, True),
        (people[BEN.id], BEN.id, "Ben Tester", 2.0, True),
    ]
    assert next(iter(bench.feature(Lifecycle).export(0)["attendance"].rows))[3] == 0  # a clock that was set back


def test_attendance_does_not_grow_for_somebody_who_has_gone() -> None:
    bench = new_bench(joined=(ANNA,))
    went(bench, ANNA, after_ms=60_000)
    bench.ask("participant.gone", {"userId": ANNA.id}, after_ms=GRACE_MS)
    for later_ms in (0, 3_600_000):
        ((*_, minutes, present),) = bench.feature(Lifecycle).export(bench.now_ms + later_ms)["attendance"].rows
        assert (minutes, present) == (1.0, False)
