"""Rooms by name: opened when they are asked, closed when nobody needs them, each harmed only by itself."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import JSON
from livehub.rooms.gate import Knock
from livehub.rooms.house import HOUSEKEEPING_S, NOBODY_HOME_S, HouseLimits
from livehub.rooms.request import Request
from livehub.rooms.room import Room
from livehub.stores.memory import open_memory
from tests.garbage import Tally, garbage
from tests.kit import ANNA, BEN, START_MS, Ears, HubUnderTest, ears, open_hub, settle, uuid
from tests.rooms.toys import Counter, Letters, Metronome, Table

IDLE_S = 300.0
LIMITS = HouseLimits(idle_close_s=IDLE_S)


async def sit(hub: HubUnderTest, client: Ears, session: str = "s1") -> Ears:
    await hub.do("toy.join", {"sessionId": session}, client)
    return client


async def test_a_room_opens_when_it_is_asked(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        assert hub.house.rooms == {}
        await sit(hub, ears(ANNA))
        await sit(hub, ears(BEN))
        assert list(hub.house.rooms) == ["session:s1"]
        assert hub.meter.rooms == 1


async def test_an_idle_room_closes_and_comes_back_as_it_was(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=LIMITS) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.add", {"amount": 7}, anna)
        await trio.sleep(IDLE_S * 2)
        assert "session:s1" in hub.house.rooms, "somebody sits there"
        hub.house.vacate(anna.peer)
        await trio.sleep(IDLE_S - HOUSEKEEPING_S)
        assert "session:s1" in hub.house.rooms
        await trio.sleep(HOUSEKEEPING_S * 3)
        assert hub.house.rooms == {}
        assert hub.meter.rooms == 0
        read = await hub.command("session:s1", "toy.read", None, who=ANNA)
        assert (await read.answer()).reply == {"total": 7}


async def test_a_room_that_closed_leaves_nothing_to_the_collector(autojump_clock: MockClock) -> None:
    """A direct message opens three rooms: as cycles they were 50 MB of a conference of 10,000."""
    async with open_hub(Counter, Letters, limits=LIMITS) as hub:
        anna, answers = await sit(hub, ears(ANNA)), Tally()
        with garbage() as found:
            for number in range(3):
                data: JSON = {"sessionId": f"t{number}", "idempotencyKey": uuid(number)}
                await hub.gate.ask("toy.join", data, Knock(anna.peer.person, answers, peer=anna.peer))
                await hub.gate.ask("toy.leave", data, Knock(anna.peer.person, answers, peer=anna.peer))
                await settle()
            assert len(hub.house.rooms) == 4
            await trio.sleep(IDLE_S * 2)
            assert len(hub.house.rooms) == 1
        assert answers.count == 6
        assert found == []


async def test_a_room_that_is_asked_now_and_then_stays_open(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=LIMITS) as hub:
        hub.house.vacate((await sit(hub, ears(ANNA))).peer)
        room = hub.room()
        for _ in range(10):
            await trio.sleep(IDLE_S * 0.9)
            await (await hub.command("session:s1", "toy.read", None, who=ANNA)).answer()
        assert hub.room() is room


async def test_a_wrong_name_does_not_keep_a_room_open(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=LIMITS) as hub:
        await (await hub.command("session:wrong", "toy.add", None)).refusal()
        assert "session:wrong" in hub.house.rooms
        await trio.sleep(NOBODY_HOME_S + HOUSEKEEPING_S * 2)
        assert hub.house.rooms == {}


async def test_a_room_with_something_on_its_way_to_the_log_stays(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=LIMITS) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.add", {}, anna)
        await settle()
        hub.house.vacate(anna.peer)
        await trio.sleep(IDLE_S * 3)
        assert "session:s1" in hub.house.rooms
        hub.store.hold_commits.set()
        assert (await asked.answer()).reply == {"total": 1}


async def test_a_pinned_room_never_closes(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=LIMITS) as hub:
        room = hub.house.pin("session:s1")
        await room.ready.wait()
        await trio.sleep(IDLE_S * 3)
        assert hub.house.rooms == {"session:s1": room}


async def test_too_many_rooms_are_refused_and_the_open_ones_live_on(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=HouseLimits(open_max=1)) as hub:
        anna = await sit(hub, ears(ANNA))
        refusal = await (await hub.ask("toy.join", {"sessionId": "s2"}, ears(BEN))).refusal()
        assert (refusal.message, refusal.status, refusal.code) == (
            "Too many rooms are open, please try again later", 503, "rooms_full",
        )  # fmt: skip
        assert await hub.do("toy.add", {}, anna) == {"total": 1}


async def test_a_name_without_kind_and_id_is_no_room(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        for name in ("nowhere", "session:", ""):
            with pytest.raises(Refused, match="No room can be called"):
                hub.house.room(name)


async def test_a_full_inbox_holds_back_who_asks_and_nobody_else(autojump_clock: MockClock) -> None:
    async with (
        open_memory(queue_max_entries=1) as store,
        open_hub(Counter, store=store, limits=HouseLimits(inbox_asks_max=5)) as hub,
        trio.open_nursery() as nursery,
    ):
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        store.hold_commits = trio.Event()
        let_in = 0

        async def flood() -> None:
            nonlocal let_in
            for _ in range(100):
                await hub.ask("toy.add", {}, anna)
                let_in += 1

        nursery.start_soon(flood)
        await trio.sleep(60)
        assert 5 <= let_in < 100
        with trio.fail_after(1):
            asked = await hub.ask("toy.add", {}, ben)
        assert not hub.room().idle
        store.hold_commits.set()
        assert (await asked.answer()).reply == {"total": 1}
        await trio.sleep(60)
        assert let_in == 100
        assert len(anna.events("toy.added")) == 100


async def test_an_ask_that_does_not_fit_is_not_put(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=HouseLimits(inbox_asks_max=2)) as hub:
        room = hub.house.room("session:s1")
        await settle()  # its task waits for asks: the first goes past the inbox
        asks = [Request(hub.catalog.commands["toy.add"], None, 0, 1) for _ in range(4)]
        assert [hub.house.put(room.name, ask) for ask in asks] == [True, True, True, False]
        await settle()
        assert hub.house.put(room.name, asks[3])


async def test_a_room_that_ends_takes_no_other_with_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(self: Room) -> None:
        raise ZeroDivisionError

    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        with monkeypatch.context() as weather:
            weather.setattr(Room, "run", defect)
            hub.house.room("session:s2")
            await settle()
        assert list(hub.house.rooms) == ["session:s1"]
        assert await hub.do("toy.add", {}, anna) == {"total": 1}
        await sit(hub, ears(BEN), "s2")
    assert [record.getMessage() for record in caplog.records] == ["room ended: session:s2"]


async def test_who_is_gone_sits_and_hears_nowhere(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, await sit(hub, ears(ANNA), "s1"), "s2")
        hub.fanout.subscribe(anna.peer, [anna.peer.user_audience])
        hub.house.vacate(anna.peer)
        await settle()
        assert not any(map(hub.fanout.heard, ("session:s1", "session:s2", "user:anna")))
        assert hub.room("session:s1").seats == hub.room("session:s2").seats == {}
        assert anna.peer.gone
        assert anna.peer.seats == {}


async def test_finishing_waits_for_every_ask_that_was_let_in(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub, trio.open_nursery() as nursery:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = [await hub.ask("toy.add", {}, anna) for _ in range(10)]
        nursery.start_soon(hub.house.finish)
        await trio.sleep(60)
        assert len(nursery.child_tasks) == 1
        hub.store.hold_commits.set()
        await trio.sleep(1)
        assert not nursery.child_tasks
        assert all(one.result is not None for one in asked)


async def ticks(hub: HubUnderTest, kind: str) -> list[int]:
    """Times (ms since the start) of a beat's facts."""
    records = await hub.store.read("session:s1", 0, 10_000)
    return [record.at_ms - START_MS for record in records if record.kind == kind]


async def test_beats_do_not_drift(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Metronome) as hub:
        await trio.sleep(0.5)
        await sit(hub, ears(ANNA))
        await trio.sleep(1_000)
        assert await ticks(hub, "toy.ticked") == list(range(2_000, 1_000_001, 2_000))


async def test_a_loop_that_was_stuck_does_not_catch_up_on_every_beat(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Metronome) as hub:
        await sit(hub, ears(ANNA))
        await trio.sleep(5)
        autojump_clock.jump(100)
        await trio.sleep(4.5)
        at = await ticks(hub, "toy.ticked")
        assert at[:2] == [2_000, 4_000]
        assert len(at) <= 7


async def test_a_beat_for_listeners_is_silent_without_them(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Metronome) as hub:
        anna = await sit(hub, ears(ANNA))
        await trio.sleep(5)
        hub.house.vacate(anna.peer)
        await trio.sleep(6)
        assert await ticks(hub, "toy.ticked.heard") == [2_000, 4_000]
        assert await ticks(hub, "toy.ticked") == [2_000, 4_000, 6_000, 8_000, 10_000]


async def test_a_room_that_does_not_exist_has_no_beats(autojump_clock: MockClock) -> None:
    """Else a wrong name would come into being by itself."""
    async with open_hub(Counter, Metronome, limits=HouseLimits(idle_close_s=IDLE_S)) as hub:
        await (await hub.command("session:s1", "toy.add", None)).refusal()
        await trio.sleep(5)
        assert not hub.room().state.exists
        assert await ticks(hub, "toy.ticked") == []


async def test_a_beat_does_not_wait_for_a_full_inbox(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_memory(queue_max_entries=1) as store,
        open_hub(Counter, Metronome, store=store, limits=HouseLimits(inbox_asks_max=2)) as hub,
    ):
        await sit(hub, ears(ANNA))
        await sit(hub, ears(BEN), "s2")
        store.hold_commits = trio.Event()
        await trio.sleep(9)
        store.hold_commits.set()
        await trio.sleep(2)
        assert await ticks(hub, "toy.ticked") != []
    assert {record.getMessage() for record in caplog.records if record.levelno == logging.WARNING} == {
        "room too busy for its beat: session:s1",
        "room too busy for its beat: session:s2",
    }


async def test_beats_pause_while_the_disk_is_full(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_hub(Counter, Metronome) as hub:
        await sit(hub, ears(ANNA))
        hub.store.fail_commits = True
        await trio.sleep(9)
        hub.store.fail_commits = False
        await trio.sleep(6)
        at = await ticks(hub, "toy.ticked")
        assert at
        assert at[0] > 9_000


async def greeted(hub: HubUnderTest, client: Ears) -> list[object]:
    """What waits for somebody who connects."""

    def subscribe() -> None:
        hub.fanout.subscribe(client.peer, [client.peer.user_audience])

    return list(await hub.house.greet(client.peer, subscribe))


async def post(hub: HubUnderTest, text: str) -> None:
    await (await hub.command("user:anna", "letter.post", {"text": text})).answer()
    await settle()


async def test_whoever_connects_gets_what_waits_in_their_own_room(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Letters) as hub:
        await post(hub, "one")
        anna = ears(ANNA)
        assert await greeted(hub, anna) == [("letter.new", {"text": "one"})]
        await post(hub, "two")
        assert anna.events("letter.new") == [{"text": "two"}]


async def test_a_letter_on_its_way_is_either_waiting_or_heard(autojump_clock: MockClock) -> None:
    """Greeting and subscribing are one step in the order of the log: nothing twice, nothing lost."""
    async with open_hub(Counter, Letters) as hub, trio.open_nursery() as nursery:
        await post(hub, "zero")
        hub.store.hold_commits = trio.Event()
        await hub.command("user:anna", "letter.post", {"text": "one"})
        anna, waiting = ears(ANNA), list[object]()

        async def greet() -> None:
            waiting.extend(await greeted(hub, anna))

        nursery.start_soon(greet)
        await settle()
        await hub.command("user:anna", "letter.post", {"text": "two"})
        await settle()
        hub.store.hold_commits.set()
        await settle()
        assert waiting == [("letter.new", {"text": text}) for text in ("zero", "one")]
        assert anna.events("letter.new") == [{"text": "two"}]


async def test_who_has_no_room_of_their_own_is_not_given_one(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Letters) as hub:
        ben = ears(BEN)
        assert await greeted(hub, ben) == []
        assert hub.house.rooms == {}
        assert hub.fanout.heard("user:ben")


async def test_own_rooms_are_known_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with open_hub(Counter, Letters, store=store) as hub:
            await post(hub, "one")
        async with open_hub(Counter, Letters, store=store) as hub:
            assert await greeted(hub, ears(ANNA)) == [("letter.new", {"text": "one"})]


async def test_whoever_joins_is_welcomed_after_the_ack(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        anna, ben = ears(ANNA), ears(BEN)
        for client in (anna, ben):
            reply = await hub.ask("table.join", {"sessionId": "s1"}, client)
            assert client.heard == []
            await reply.answer()
            await settle()
    assert [client.events("table.letter") for client in (anna, ben)] == [
        [{"text": "Dear Anna"}],
        [{"text": "Dear Ben"}],
    ]
