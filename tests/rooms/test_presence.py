"""A room tells its features who comes and goes: persons, not connections, and never what was not saved."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Unavailable
from livehub.feature import Ask, Outcome
from livehub.ports import Record
from livehub.rooms import room as module
from livehub.rooms.house import HouseLimits
from livehub.rooms.recovery import Recovery, ReplayLimits
from livehub.rooms.request import Vacate
from livehub.rooms.tickets import Ticket
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, BEN, CARA, START_MS, Clock, Ears, HubUnderTest, ears, open_hub, settle
from tests.rooms.toys import Amount, Counter, Doorman, Faulty, Messenger, Porch

S1 = {"sessionId": "s1"}


async def sit(hub: HubUnderTest, client: Ears) -> Ears:
    await hub.do("toy.join", S1, client)
    return client


def notes(hub: HubUnderTest) -> list[str]:
    """Who came and went, as the room's feature knows it."""
    return next(feature.notes for feature in hub.room().state.features if isinstance(feature, Porch))


async def logged(hub: HubUnderTest) -> list[str]:
    """The kinds of the room's facts."""
    return [record.kind for record in await hub.store.read("session:s1", 0, 1_000)]


async def nothing_to_drain() -> None:
    await trio.lowlevel.checkpoint()


async def come_back(hub: HubUnderTest, client: Ears) -> Ears:
    """The same client on a new connection, having heard everything so far."""
    back = ears(client.peer.person, sid=client.peer.sid)
    offset = hub.fanout.offset(hub.store.head)
    ticket = Ticket(client.peer.sid, START_MS)
    await Recovery(hub.house, ReplayLimits()).recover(back.peer, ticket, offset, nothing_to_drain)
    back.peer.release()
    await settle()
    return back


async def disk_again(hub: HubUnderTest) -> None:
    hub.store.fail_commits = False
    await trio.sleep(5)


async def test_a_person_comes_with_the_first_connection_and_goes_with_the_last(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        phone, laptop = await sit(hub, ears(ANNA, sid="phone")), await sit(hub, ears(ANNA, sid="laptop"))
        await sit(hub, phone)
        assert notes(hub) == ["anna came"]
        await hub.do("toy.leave", S1, phone)
        await hub.do("toy.leave", S1, phone)
        assert notes(hub) == ["anna came"]
        await hub.do("toy.leave", S1, laptop)
        assert notes(hub) == ["anna came", "anna went"]


async def test_a_lost_connection_goes_after_what_it_had_asked(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        anna = await sit(hub, ears(ANNA))
        asked = await hub.ask("toy.add", S1, anna)
        hub.house.vacate(anna.peer)
        assert (await asked.answer()).reply == {"total": 1}
        await settle()
        assert notes(hub) == ["anna came", "anna went"]
        assert await logged(hub) == ["toy.joined", "porch.noted", "toy.added", "porch.noted"]


async def test_the_others_hear_who_comes_and_goes(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben, anna = await sit(hub, ears(BEN)), await sit(hub, ears(ANNA))
        hub.house.vacate(anna.peer)
        await settle()
        assert [item["text"] for item in ben.events("porch.noted")] == ["anna came", "anna went"]
        assert anna.events("porch.noted") == [], "nobody is told of themselves"


async def test_who_comes_is_told_in_the_commit_of_the_join(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben = await sit(hub, ears(BEN))
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.join", S1, ears(ANNA))
        await trio.sleep(60)
        assert ben.heard == []
        assert await logged(hub) == ["toy.joined", "porch.noted"]
        hub.store.hold_commits.set()
        await asked.answer()
        assert await logged(hub) == ["toy.joined", "porch.noted"] * 2


async def test_features_draw_other_ids_than_the_command_that_seats(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben = await sit(hub, ears(BEN))
        await (await hub.command("session:s1", "toy.join", who=ANNA, peer=ears(ANNA).peer)).answer()
        await settle()
        ask: Ask[None] = Ask(None, seed=1)
        assert ben.events("porch.noted")[0]["id"] not in [ask.new_id(n) for n in range(100)]


async def test_what_features_do_about_it_is_done(autojump_clock: MockClock) -> None:
    """Each sees what the one before it wrote, and what was answered; effects go out with the commit."""
    async with open_hub(Counter, Porch, Doorman, Messenger) as hub:
        await sit(hub, ears(ANNA))
        doorman = next(feature for feature in hub.room().state.features if isinstance(feature, Doorman))
        assert doorman.greeted == ["anna after 1"]
        await trio.sleep(1)
        (told,) = await hub.store.read("session:lodge", 0, 100)
        assert told.data == b'{"text":"anna is here"}'


async def test_who_comes_back_to_their_seat_came_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben, anna = await sit(hub, ears(BEN)), await sit(hub, ears(ANNA))
        hub.house.vacate(anna.peer)
        await settle()
        back = await come_back(hub, anna)
        assert notes(hub) == ["ben came", "anna came", "anna went", "anna came"]
        assert [item["text"] for item in ben.events("porch.noted")] == notes(hub)[1:]
        hub.house.vacate(back.peer)
        await settle()
        assert notes(hub)[4:] == ["anna went"]


async def test_coming_back_beside_another_device_is_no_news(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        phone = await sit(hub, ears(ANNA, sid="phone"))
        await sit(hub, ears(ANNA, sid="laptop"))
        hub.house.vacate(phone.peer)
        await come_back(hub, phone)
        assert notes(hub) == ["anna came"]


async def test_a_join_that_was_not_saved_is_told_to_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Porch) as hub:
        await sit(hub, ears(BEN))
        anna = ears(ANNA)
        hub.store.fail_commits = True
        assert isinstance(await (await hub.ask("toy.join", S1, anna)).refusal(), Unavailable)
        await disk_again(hub)
        await sit(hub, anna)
        assert notes(hub) == ["ben came", "here: ben", "anna came"]
        assert hub.room().seats.people == {"anna", "ben"}


async def test_two_joins_of_one_person_that_were_not_saved_leave_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben = await sit(hub, ears(BEN))
        hub.store.fail_commits = True
        asked = [await hub.ask("toy.join", S1, ears(ANNA, sid=sid)) for sid in ("phone", "laptop")]
        for one in asked:
            assert isinstance(await one.refusal(), Unavailable)
        assert hub.room().seats.people == {"ben"}
        await disk_again(hub)
        await hub.do("toy.add", S1, ben)
        assert notes(hub) == ["ben came", "here: ben"]


async def test_a_leave_that_was_not_saved_is_told_to_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Porch) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.fail_commits = True
        assert isinstance(await (await hub.ask("toy.leave", S1, anna)).refusal(), Unavailable)
        await disk_again(hub)
        await hub.do("toy.add", S1, anna)
        assert notes(hub) == ["anna came", "here: anna"]
        await hub.do("toy.leave", S1, anna)
        assert notes(hub) == ["anna came", "here: anna", "anna went"]


async def test_a_lost_connection_that_could_not_be_noted_is_missed_when_the_room_opens_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben, anna = await sit(hub, ears(BEN)), await sit(hub, ears(ANNA))
        hub.store.fail_commits = True
        hub.house.vacate(anna.peer)
        await settle()
        assert [item["text"] for item in ben.events("porch.noted")] == ["anna came"]
        await disk_again(hub)
        await hub.do("toy.add", S1, ben)
        assert notes(hub) == ["ben came", "anna came", "here: ben"]
        assert [item["text"] for item in ben.events("porch.noted")] == ["anna came", "here: ben"]


async def test_who_goes_or_comes_while_the_disk_is_full_is_noticed_once_it_is_not(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Porch) as hub:
        anna, ben, phone = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN)), await sit(hub, ears(ANNA, sid="p"))
        hub.house.vacate(phone.peer)
        hub.house.vacate(anna.peer)
        await settle()
        before = notes(hub)
        hub.store.fail_commits = True
        await (await hub.ask("toy.add", S1, ben)).refusal()
        await settle()
        await come_back(hub, anna)
        hub.house.vacate(ben.peer)
        await settle()
        assert hub.room().seats.people == {"anna"}
        assert notes(hub) == before
        await disk_again(hub)
        read = await hub.command("session:s1", "toy.read", who=ANNA)
        await read.answer()
        await settle()
        assert notes(hub) == [*before, "here: anna"]
        await hub.command("session:s1", "toy.read", who=ANNA)
        await settle()
        assert notes(hub) == [*before, "here: anna"], "once"


async def test_after_a_restart_nobody_is_here(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            await sit(hub, ears(ANNA))
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            await sit(hub, ears(BEN))
            assert notes(hub) == ["anna came", "here:", "ben came"]


async def test_whoever_recovers_after_a_restart_came(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            anna = await sit(hub, ears(ANNA))
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            await come_back(hub, anna)
            assert notes(hub) == ["anna came", "here:", "anna came"]


async def test_a_room_that_was_built_again_is_told_who_is_here(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Faulty, Porch) as hub:
        anna = await sit(hub, ears(ANNA))
        await sit(hub, ears(BEN))
        assert (await (await hub.ask("bad.apply", S1, anna)).refusal()).status == 500
        await settle()
        assert notes(hub) == ["anna came", "ben came", "here: anna ben"]


async def test_a_room_without_facts_is_told_nothing(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        read = await hub.command("session:s1", "toy.read", who=ANNA)
        assert (await read.refusal()).code == "not_found"
        assert notes(hub) == []
        assert await logged(hub) == []


async def test_a_full_inbox_keeps_nobody_in_their_seat(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch, limits=HouseLimits(inbox_asks_max=2)) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        asked = [
            await hub.command("session:s1", "toy.add", Amount(), who=client.peer.person, peer=client.peer)
            for client in (ben, anna)
        ]
        hub.room().inbox.send_nowait(Vacate(ears(CARA).peer))
        with pytest.raises(trio.WouldBlock):
            hub.room().inbox.send_nowait(Vacate(ears(CARA).peer))
        hub.house.vacate(anna.peer)
        assert notes(hub) == ["anna came", "ben came", "anna went"], "at once: there is no place to wait"
        assert hub.room().seats.people == {"ben"}
        assert (await asked[0].answer()).reply == {"total": 1}
        assert (await asked[1].refusal()).code == "not_joined"
        await settle()
        assert [item["text"] for item in ben.events("porch.noted")] == ["anna went"]
        assert notes(hub) == ["anna came", "ben came", "anna went"]


async def test_who_goes_while_the_room_cannot_be_built_is_missed_afterwards(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter, Porch) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))

        async def broken(self: MemoryStore, room: str, after: int, limit: int) -> list[Record]:
            raise OSError("the disk is gone")

        with monkeypatch.context() as weather:
            weather.setattr(MemoryStore, "read", broken)
            hub.store.fail_commits = True
            await (await hub.ask("toy.add", S1, anna)).refusal()
            await disk_again(hub)
            await (await hub.ask("toy.add", S1, anna)).refusal()
            hub.house.vacate(anna.peer)
            await settle()
            assert hub.room().seats.people == {"ben"}
        await trio.sleep(module.REOPEN_PAUSE_S * 2)
        await hub.do("toy.add", S1, ben)
        assert notes(hub) == ["anna came", "ben came", "here: ben"]


class Defect(Exception):
    """What a feature with a defect raises."""


def fails(self: Porch, ask: Ask[None]) -> Outcome:
    raise Defect


async def test_a_join_that_a_feature_fails_at_seats_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben, anna = await sit(hub, ears(BEN)), ears(ANNA)
        with monkeypatch.context() as weather:
            weather.setattr(Porch, "came", fails)
            assert (await (await hub.ask("toy.join", S1, anna)).refusal()).status == 500
        assert anna.peer.seats == {}
        await sit(hub, anna)
        assert notes(hub) == ["ben came", "here: ben", "anna came"]
        assert ben.events("porch.noted")[-1]["text"] == "anna came"


async def test_a_feature_that_fails_at_who_goes_keeps_nobody_in_their_seat(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter, Porch) as hub:
        ben, anna = await sit(hub, ears(BEN)), await sit(hub, ears(ANNA))
        with monkeypatch.context() as weather:
            weather.setattr(Porch, "went", fails)
            hub.house.vacate(anna.peer)
            await settle()
        assert hub.room().seats.people == {"ben"}
        assert await hub.do("toy.add", S1, ben) == {"total": 1}
        assert notes(hub) == ["ben came", "anna came", "here: ben"]
    assert [record.getMessage() for record in caplog.records] == ["room reopens from the log: session:s1"]


async def test_a_feature_that_fails_whenever_the_room_opens_costs_its_room_and_no_other(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room tries again after a pause, and not as fast as it can."""
    async with open_memory() as store:
        clock = Clock()
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            await sit(hub, ears(ANNA))
        async with open_hub(Counter, Porch, store=store, clock=clock) as hub:
            with monkeypatch.context() as weather:
                weather.setattr(Porch, "reopened", fails)
                asked = await hub.ask("toy.join", S1, ears(BEN))
                with trio.move_on_after(module.REOPEN_PAUSE_S * 10):
                    assert isinstance(await asked.refusal(), Unavailable)
                assert asked.result is not None, "it is answered"
                assert len(caplog.records) < 10
                await hub.do("toy.join", {"sessionId": "s2"}, ears(BEN, sid="elsewhere"))
            await trio.sleep(module.REOPEN_PAUSE_S * 2)
            await sit(hub, ears(BEN))
            assert notes(hub) == ["anna came", "here:", "ben came"]


async def test_somebody_who_is_gone_before_their_join_is_answered_came_and_went(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch) as hub:
        await sit(hub, ears(BEN))
        anna = ears(ANNA)
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.join", S1, anna)
        await settle()
        hub.house.vacate(anna.peer)
        hub.store.hold_commits.set()
        await asked.answer()
        await settle()
        assert notes(hub) == ["ben came", "anna came", "anna went"]
        assert hub.room().seats.people == {"ben"}
