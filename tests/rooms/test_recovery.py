"""Who comes back hears exactly what it missed, in order, once; or is told that this cannot be promised."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import Person
from livehub.ports import Entry, Record, SeatRecord, Tenure
from livehub.rooms import recovery as module
from livehub.rooms.recovery import LEFT, CannotRecover, Recovery, ReplayLimits
from livehub.rooms.tickets import Ticket
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, BEN, START_MS, Clock, Ears, HubUnderTest, ears, open_hub, person, settle
from tests.rooms.toys import Counter, Table

STAFF_MEMBER = person("staff", "toy:staff")
TICKET = Ticket("sid-1", START_MS)
HOUR_S = 3_600

pytestmark = pytest.mark.usefixtures("leavers_known")


async def nothing_to_drain() -> None:
    await trio.lowlevel.checkpoint()


async def arrive(hub: HubUnderTest, who: Person = ANNA, *sessions: str) -> Ears:
    """Connect for the first time, with `TICKET`, and join."""
    client = ears(who, sid=TICKET.sid)
    hub.fanout.subscribe(client.peer, [client.peer.user_audience])
    for session in sessions or ("s1",):
        await hub.do("toy.join", {"sessionId": session}, client)
    return client


async def come_back(
    hub: HubUnderTest,
    offset: object,
    who: Person = ANNA,
    *,
    limits: ReplayLimits | None = None,
    ticket: Ticket = TICKET,
) -> Ears:
    """Connect again; what was missed is heard, what is new waits for `release`. Raises `CannotRecover`."""
    client = ears(who, sid=TICKET.sid)
    await Recovery(hub.house, limits or ReplayLimits()).recover(client.peer, TICKET, offset, nothing_to_drain)
    return client


async def add(hub: HubUnderTest, by: Ears, times: int = 1, session: str = "s1") -> None:
    for _ in range(times):
        await hub.do("toy.add", {"sessionId": session}, by)


async def sit(hub: HubUnderTest, client: Ears, session: str = "s1") -> Ears:
    await hub.do("toy.join", {"sessionId": session}, client)
    return client


async def cannot(hub: HubUnderTest, offset: object, who: Person = ANNA, **change: object) -> str:
    """The reason why somebody cannot come back; and that nothing is left of the attempt."""
    client = ears(who, sid=TICKET.sid)
    limits, ticket = change.get("limits", ReplayLimits()), change.get("ticket", TICKET)
    assert isinstance(limits, ReplayLimits)
    assert isinstance(ticket, Ticket)
    with pytest.raises(CannotRecover) as caught:
        await Recovery(hub.house, limits).recover(client.peer, ticket, offset, nothing_to_drain)
    await settle()
    assert client.heard == [], "never a part of it"
    assert not any(client.peer in room.seats for room in hub.house.rooms.values())
    assert not hub.fanout.heard(client.peer.user_audience)
    return caught.value.reason


async def test_exactly_what_was_missed_comes_in_order_and_then_what_is_new(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        ben, anna = await sit(hub, ears(BEN)), await arrive(hub)
        await add(hub, ben, 3)
        hub.house.vacate(anna.peer)
        await add(hub, ben, 5)
        back = await come_back(hub, hub.fanout.offset(anna.seqs()[-1]))
        assert [item["total"] for item in back.events("toy.added")] == [4, 5, 6, 7, 8]
        back.peer.release()
        await add(hub, back)
        assert [item["total"] for item in back.events("toy.added")] == [4, 5, 6, 7, 8, 9]
        assert [*anna.seqs(), *back.seqs()] == ben.seqs()


async def test_it_works_again_and_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        ben, anna = await sit(hub, ears(BEN)), await arrive(hub)
        heard = list(anna.seqs())
        offset = hub.fanout.offset(hub.store.head)
        for _ in range(4):
            hub.house.vacate(anna.peer)
            await add(hub, ben, 2)
            anna = await come_back(hub, offset)
            anna.peer.release()
            await add(hub, ben, 2)
            heard += anna.seqs()
            offset = hub.fanout.offset(anna.seqs()[-1])
        assert heard == ben.seqs()
        assert len(heard) == 16


async def test_a_quiet_client_comes_back_too(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, watchdog_s=24 * HOUR_S) as hub:
        anna = await arrive(hub)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await trio.sleep(23 * HOUR_S)
        back = await come_back(hub, offset)
        assert back.heard == []
        back.peer.release()
        await add(hub, back)
        assert back.events("toy.added") == [{"total": 1}]


async def test_a_client_that_joined_nothing_comes_back_to_its_own_news(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        device = await sit(hub, ears(ANNA, sid="another"))
        await hub.do("toy.say", {"text": "to myself"}, device)
        back = await come_back(hub, offset)
        assert back.events("toy.said") == [{"text": "to myself", "as": "user:anna"}]


async def test_facts_of_several_audiences_come_once_in_the_order_of_the_log(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        staff = await arrive(hub, STAFF_MEMBER, "s1", "s2")
        device = await sit(hub, await sit(hub, ears(STAFF_MEMBER, sid="another")), "s2")
        hub.fanout.subscribe(device.peer, [device.peer.user_audience])
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(staff.peer)
        for number in range(4):
            for session in ("s1", "s2"):
                await add(hub, device, session=session)
                await hub.do("toy.whisper", {"sessionId": session, "text": f"psst {number}"}, device)
                await hub.do("toy.say", {"sessionId": session, "text": f"hello {number}"}, device)
        back = await come_back(hub, offset, STAFF_MEMBER)
        facts = [(item.event, item.payload, item.offset) for item in device.heard if item.offset is not None]
        assert [(item.event, item.payload, item.offset) for item in back.heard if item.offset is not None] == facts
        assert len(facts) == 24
        assert back.seqs() == sorted(set(back.seqs()))


async def test_what_is_shown_to_nobody_is_not_replayed(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        for text in ("hush", "hello"):
            await hub.do("toy.say", {"text": text}, ben)
        assert [item["text"] for item in (await come_back(hub, offset)).events("toy.said")] == ["hello"]


async def test_news_that_come_while_the_past_is_read_follow_it_without_gap_or_repeat(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter) as hub:
        ben, anna = await sit(hub, ears(BEN)), await arrive(hub)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await add(hub, ben, 3)
        real = MemoryStore.replay

        async def slow(self: MemoryStore, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
            await add(hub, ben, 2)
            found = await real(self, audiences, upto, limit)
            await add(hub, ben, 2)
            return found

        monkeypatch.setattr(MemoryStore, "replay", slow)
        back = await come_back(hub, offset)
        assert [item["total"] for item in back.events("toy.added")] == [1, 2, 3]
        await add(hub, ben)
        back.peer.release()
        await add(hub, ben)
        assert [item["total"] for item in back.events("toy.added")] == list(range(1, 10))


async def test_what_the_old_connection_had_asked_is_in_the_log_first(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub, trio.open_nursery() as nursery:
        anna = await arrive(hub)
        offset = hub.fanout.offset(hub.store.head)
        hub.store.hold_commits = trio.Event()
        await hub.ask("toy.add", {}, anna)
        await settle()
        hub.house.vacate(anna.peer)
        back: list[Ears] = []

        async def return_() -> None:
            back.append(await come_back(hub, offset))

        nursery.start_soon(return_)
        await trio.sleep(60)
        assert back == []
        hub.store.hold_commits.set()
        await trio.sleep(1)
        assert back[0].events("toy.added") == [{"total": 1}]


async def test_the_process_may_end_in_between(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        async with open_hub(Counter, store=store, clock=clock) as hub:
            anna, ben = await arrive(hub), await sit(hub, ears(BEN))
            await add(hub, ben, 2)
            hub.house.vacate(anna.peer)
            await add(hub, ben, 2)
        async with open_hub(Counter, store=store, clock=clock) as hub:
            ben = await sit(hub, ears(BEN))
            await add(hub, ben)
            back = await come_back(hub, hub.fanout.offset(anna.seqs()[-1]))
            assert [item["total"] for item in back.events("toy.added")] == [3, 4, 5]
            assert await hub.do("toy.add", {}, back) == {"total": 6}, "it sits there as before"


async def test_a_seat_that_was_left_is_not_taken_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub, ANNA, "s1", "s2"), await sit(hub, ears(BEN))
        await hub.do("toy.leave", {"sessionId": "s1"}, anna)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await add(hub, ben)
        back = await come_back(hub, offset)
        assert back.heard == []
        assert list(back.peer.seats) == ["session:s2"]


async def test_nothing_from_before_the_seat_was_taken_is_replayed(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        ben = await sit(hub, ears(BEN))
        early = hub.fanout.offset(hub.store.head)
        await add(hub, ben, 3)
        anna = await arrive(hub)
        hub.house.vacate(anna.peer)
        await add(hub, ben)
        assert (await come_back(hub, early)).events("toy.added") == [{"total": 4}]


async def test_the_latest_of_every_view_follows_the_replay(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        await add(hub, ben)
        hub.house.vacate(anna.peer)
        await add(hub, ben, 2)
        back = await come_back(hub, hub.fanout.offset(anna.seqs()[-1]))
        back.peer.release()
        await settle()
        assert [item.event for item in back.heard] == ["toy.added", "toy.added", "toy.total"]
        assert back.events("toy.total") == [{"total": 3}]


@pytest.mark.parametrize(
    "offset",
    [None, "", 5, ["e-1"], "nonsense", "-1", "e-", "{epoch}", "{epoch}-", "{epoch}--1", "{epoch}-1x", "{epoch}-1\n",
     "{epoch}-١", "other-1", "{epoch}-999", "{epoch}-" + "9" * 19, "{epoch}-" + "9" * 5_000],
)  # fmt: skip
async def test_an_offset_of_another_log_or_of_none_is_unknown(autojump_clock: MockClock, offset: object) -> None:
    async with open_hub(Counter) as hub:
        hub.house.vacate((await arrive(hub)).peer)
        offset = offset.replace("{epoch}", hub.store.epoch) if isinstance(offset, str) else offset
        assert await cannot(hub, offset) == "offset_unknown"


async def test_too_long_ago_cannot_be_promised(autojump_clock: MockClock) -> None:
    limits = ReplayLimits(window_ms=HOUR_S * 1_000)
    async with open_hub(Counter, watchdog_s=10 * HOUR_S) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await add(hub, ben)
        await trio.sleep(HOUR_S - 10)
        back = await come_back(hub, offset, limits=limits)
        assert back.seqs() == ben.seqs()
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(back.peer)
        await add(hub, ben)
        await trio.sleep(HOUR_S + 10)
        assert await cannot(hub, offset, limits=limits) == "offset_expired"


async def test_a_replay_that_may_have_been_heard_in_part_is_not_begun_again(autojump_clock: MockClock) -> None:
    """A stock client keeps what came before the CONNECT's answer, but comes back with its old offset."""
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await add(hub, ben, 5)
        back = await come_back(hub, offset)
        heard_to = hub.fanout.offset(back.seqs()[-1])
        hub.house.vacate(back.peer)
        await add(hub, ben)
        assert await cannot(hub, offset) == "replay_cut"
        again = await come_back(hub, heard_to)
        assert again.seqs() == ben.seqs()[5:]


async def test_too_much_cannot_be_promised(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await add(hub, ben, 5)
        back = await come_back(hub, offset, limits=ReplayLimits(max_facts=5))
        assert len(back.events("toy.added")) == 5
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(back.peer)
        await add(hub, ben, 6)
        assert await cannot(hub, offset, limits=ReplayLimits(max_facts=5)) == "offset_expired"


async def test_no_seats_on_disk_prove_nothing_for_an_old_ticket(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, watchdog_s=100 * HOUR_S) as hub:
        await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        await trio.sleep(23 * HOUR_S)
        back = await come_back(hub, offset)
        assert back.heard == []
        hub.house.vacate(back.peer)
        await trio.sleep(2 * HOUR_S)
        assert await cannot(hub, offset) == "seats_unknown"


async def test_who_said_goodbye_has_nothing_to_come_back_to(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await arrive(hub)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        goodbye = Entry(Tenure(), "", hub.clock(), lambda _: None)
        hub.house.leavers.forget(TICKET.sid)
        goodbye.takes = [SeatRecord(TICKET.sid, LEFT, "anna", (), 0, hub.clock())]
        hub.store.submit(goodbye)
        assert await cannot(hub, offset) == "seat_lost"


async def test_who_lost_a_permission_no_longer_hears_what_it_gave(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        staff = await arrive(hub, STAFF_MEMBER)
        device = await sit(hub, ears(STAFF_MEMBER, sid="another"))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(staff.peer)
        await hub.do("toy.whisper", {"text": "psst"}, device)
        await hub.do("toy.say", {"text": "hello"}, device)
        back = await come_back(hub, offset, person("staff"))
        assert back.events("toy.said") == [{"text": "hello", "as": "user:staff"}]
        back.peer.release()
        await hub.do("toy.whisper", {"text": "psst again"}, device)
        assert len(back.events("toy.said")) == 1


async def test_a_permission_that_was_lost_and_is_given_back_counts_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        staff = await arrive(hub, STAFF_MEMBER)
        heard = staff.peer.seats["session:s1"].audiences
        offset = hub.fanout.offset(hub.store.head)
        for who, hears in ((person("staff"), heard[1:]), (STAFF_MEMBER, heard)):
            hub.house.vacate(staff.peer)
            staff = await come_back(hub, offset, who)
            assert staff.peer.seats["session:s1"].audiences == hears


async def test_whoever_is_shown_out_twice_comes_back_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await arrive(hub)
        hub.house.vacate(anna.peer)
        hub.house.vacate(anna.peer)
        back = await come_back(hub, hub.fanout.offset(hub.store.head))
        assert list(back.peer.seats) == ["session:s1"]


async def test_who_gained_a_permission_must_join_anew(autojump_clock: MockClock) -> None:
    """What it would have heard with it was not meant for it then."""
    async with open_hub(Counter) as hub:
        anna = await arrive(hub, person("staff"))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        assert await cannot(hub, offset, STAFF_MEMBER) == "seat_lost"


async def test_a_large_replay_waits_for_its_reader(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLAY_CHUNK_BYTES", 1_000)
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        for _ in range(20):
            await hub.do("toy.say", {"text": "x" * 400}, ben)
        back, written = ears(ANNA, sid=TICKET.sid), []

        async def drained() -> None:
            written.append(len(back.heard))
            await trio.sleep(1)

        await Recovery(hub.house, ReplayLimits()).recover(back.peer, TICKET, offset, drained)
        assert written == [3, 6, 9, 12, 15, 18] or written == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
        assert back.seqs() == ben.seqs()


async def test_more_news_than_may_be_held_end_the_connection(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        back = await come_back(hub, offset, limits=ReplayLimits(held_bytes_max=1_000))
        for _ in range(5):
            await hub.do("toy.say", {"text": "x" * 400}, ben)
        assert back.overflows > 0


async def test_who_goes_while_coming_back_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await arrive(hub), await sit(hub, ears(BEN))
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        for moments in range(20):
            client, back = ears(ANNA, sid=TICKET.sid), False

            async def return_(client: Ears) -> None:
                nonlocal back
                await Recovery(hub.house, ReplayLimits()).recover(client.peer, TICKET, offset, nothing_to_drain)
                back = True

            async with trio.open_nursery() as nursery:
                nursery.start_soon(return_, client)
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            if back:
                hub.house.vacate(client.peer)
            await settle()
            assert list(hub.room().seats) == [ben.peer], f"after {moments} moments"
            assert not hub.fanout.heard("user:anna")


async def test_who_goes_before_the_room_was_open_is_not_seated_later(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory() as store:
        async with open_hub(Counter, store=store) as hub:
            await arrive(hub)
        opened = trio.Event()
        real = MemoryStore.read

        async def slow(self: MemoryStore, room: str, after: int, limit: int) -> list[Record]:
            await opened.wait()
            return await real(self, room, after, limit)

        async with open_hub(Counter, store=store) as hub:
            monkeypatch.setattr(MemoryStore, "read", slow)
            with trio.move_on_after(10):
                await come_back(hub, hub.fanout.offset(hub.store.head))
            opened.set()
            await settle()
            assert hub.room().seats == {}
            assert not hub.fanout.heard("user:anna")


async def test_a_peer_that_is_gone_meanwhile_cannot_recover(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter) as hub:
        anna = await arrive(hub)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        hub.house.leavers.forget(TICKET.sid)
        client = ears(ANNA, sid=TICKET.sid)
        real = MemoryStore.seats

        async def superseded(self: MemoryStore, sid: str) -> list[SeatRecord]:
            found = await real(self, sid)
            hub.house.vacate(client.peer)
            return found

        monkeypatch.setattr(MemoryStore, "seats", superseded)
        with pytest.raises(CannotRecover):
            await Recovery(hub.house, ReplayLimits()).recover(client.peer, TICKET, offset, nothing_to_drain)
        assert client.peer.gone
        assert hub.room().seats == {}


@pytest.mark.parametrize("seed", range(20))
async def test_over_any_number_of_cuts_everybody_hears_everything_once_in_order(
    autojump_clock: MockClock, seed: int
) -> None:
    """Random talk and random cuts; what a client heard over all its connections is what one that stayed heard."""
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with open_memory() as store:
        clock = Clock()
        async with open_hub(Counter, store=store, clock=clock) as hub:
            stayed, talker = await sit(hub, ears(BEN, sid="stays")), await sit(hub, ears(BEN, sid="talks"))
            heard: dict[str, list[int]] = {}
            current: dict[str, Ears] = {}
            for number in range(4):
                who = person(f"user{number}")
                client = await sit(hub, ears(who, sid=f"sid-{number}"))
                heard[who.id], current[who.id] = [], client
            began = hub.store.head
            stayed.heard.clear()
            for _ in range(60):
                name = dice.choice(list(current))
                client = current[name]
                if dice.random() < 0.5:
                    await hub.ask("toy.add", {}, talker)
                elif not client.peer.gone:
                    hub.house.vacate(client.peer)
                    heard[name] += client.seqs()
                else:
                    offset = hub.fanout.offset(heard[name][-1] if heard[name] else began)
                    back = ears(client.peer.person, sid=client.peer.sid)
                    ticket = Ticket(client.peer.sid, START_MS)
                    await Recovery(hub.house, ReplayLimits()).recover(back.peer, ticket, offset, nothing_to_drain)
                    back.peer.release()
                    current[name] = back
            await settle()
            for name, client in current.items():
                everything = heard[name] + ([] if client.peer.gone else client.seqs())
                assert everything == stayed.seqs()[: len(everything)]
                assert client.peer.gone or everything == stayed.seqs()


async def test_what_is_missed_comes_with_what_is_ones_own(autojump_clock: MockClock) -> None:
    async with open_hub(Table) as hub:
        anna, ben = ears(ANNA, sid=TICKET.sid), ears(BEN)
        hub.fanout.subscribe(anna.peer, [anna.peer.user_audience])
        for client in (anna, ben):
            await hub.do("table.join", {"sessionId": "s1"}, client)
        await hub.do("table.clink", {}, anna)
        offset = hub.fanout.offset(hub.store.head)
        hub.house.vacate(anna.peer)
        await hub.do("table.toast", {}, ben)
        assert ben.events("table.toasted") == [{"toasts": 1, "clinks": None}]
        assert (await come_back(hub, offset)).events("table.toasted") == [{"toasts": 1, "clinks": "1 of wine"}]
