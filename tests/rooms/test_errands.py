"""Word to other rooms and timers arrive once, also when the process ends in between; work outside answers as an ask."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON
from livehub.ports import TellRecord, Worker
from livehub.rooms import errands as module
from livehub.rooms.errands import RETRY_S, WORK_TIMEOUT_S
from livehub.rooms.house import HouseLimits
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, BEN, Clock, Ears, HubUnderTest, ears, open_hub, settle, uuid
from tests.rooms.toys import Counter, Messenger

HERE, THERE = "session:s1", "session:s2"


@asynccontextmanager
async def hub_over(
    store: MemoryStore, clock: Clock, workers: dict[str, Worker] | None = None
) -> AsyncIterator[HubUnderTest]:
    async with open_hub(Counter, Messenger, store=store, clock=clock, workers=workers) as hub:
        yield hub


async def sit(hub: HubUnderTest, client: Ears, session: str = "s1") -> Ears:
    await hub.do("toy.join", {"sessionId": session}, client)
    return client


async def news(hub: HubUnderTest, room: str) -> list[str]:
    """What a room was told, as its log has it."""
    return [record.data.decode() for record in await hub.store.read(room, 0, 100) if record.kind == "toy.news"]


async def test_word_for_another_room_arrives_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        await hub.do("toy.tell", {"room": THERE, "text": "hello"}, anna)
        await trio.sleep(100)
        assert ben.events("toy.news") == [{"text": "hello"}]
        assert anna.events("toy.news") == []
        assert await hub.store.tells() == []


async def test_word_is_on_its_way_only_after_the_commit(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        hub.store.hold_commits = trio.Event()
        await hub.ask("toy.tell", {"room": THERE, "text": "hello"}, anna)
        await trio.sleep(100)
        assert ben.events("toy.news") == []
        hub.store.hold_commits.set()
        await trio.sleep(1)
        assert ben.events("toy.news") == [{"text": "hello"}]


async def test_word_survives_the_end_of_the_process(autojump_clock: MockClock) -> None:
    """Whenever it ends: before the other room was asked, while it was, or after."""
    for moments in range(12):
        async with open_memory() as store:
            clock = Clock()
            async with hub_over(store, clock) as hub:
                anna = await sit(hub, ears(ANNA))
                await hub.do("toy.tell", {"room": THERE, "text": "hello"}, anna)
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
            async with hub_over(store, clock) as hub:
                await trio.sleep(100)
                assert await news(hub, THERE) == ['{"text":"hello"}'], f"ended after {moments} moments"
                assert await store.tells() == []


async def test_word_waits_for_a_disk_that_is_full(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        asked = await hub.ask("toy.tell", {"room": THERE, "text": "hello"}, anna)
        asked.on_result = lambda: setattr(hub.store, "fail_commits", True)
        await asked.answer()
        await trio.sleep(20)
        assert ben.events("toy.news") == []
        hub.store.fail_commits = False
        await trio.sleep(5 + RETRY_S)
        assert ben.events("toy.news") == [{"text": "hello"}]
        assert await hub.store.tells() == []


async def test_word_that_is_refused_is_dropped_with_a_line_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.tell", {"room": THERE, "text": "no"}, anna)
        await trio.sleep(100)
        assert await hub.store.tells() == []
        assert [record.getMessage() for record in caplog.records] == [
            f"refused its own toy.told: {THERE}: Not interested"
        ]


async def test_word_for_a_command_that_is_gone_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A feature was taken away while word for it was on its way."""
    async with open_memory() as store:
        clock = Clock()
        async with hub_over(store, clock) as hub:
            anna = await sit(hub, ears(ANNA))
            await hub.do("toy.later", {"text": "tea"}, anna)
            asked = await hub.ask("toy.tell", {"room": THERE, "text": "hello"}, anna)
            asked.on_result = lambda: setattr(store, "hold_commits", trio.Event())
            await asked.answer()
        assert store.hold_commits is not None
        store.hold_commits.set()
        assert await store.tells() != []
        async with open_hub(Counter, store=store, clock=clock):
            await trio.sleep(100)
            assert await store.tells() == []
            assert await store.timers() == []
    assert "Unknown command" in caplog.text


async def test_word_for_a_room_that_cannot_be_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        for room in ("nowhere", "nowhere:", "nowhere:1", THERE):
            await hub.do("toy.tell", {"room": room, "text": "hello"}, anna)
        await trio.sleep(100)
        assert await hub.store.tells() == []
        assert ben.events("toy.news") == [{"text": "hello"}]


async def test_word_waits_while_too_many_rooms_are_open(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger, limits=HouseLimits(open_max=2, idle_close_s=60)) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s3")
        await hub.do("toy.tell", {"room": THERE, "text": "hello"}, anna)
        await trio.sleep(100)
        assert await news(hub, THERE) == []
        hub.house.vacate(ben.peer)
        await trio.sleep(100)
        assert await news(hub, THERE) == ['{"text":"hello"}']


async def test_more_word_than_memory_holds_waits_on_disk(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELLS_WAITING_MAX", 2)
    async with open_hub(Counter, Messenger) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        hub.store.hold_commits = trio.Event()
        for number in range(10):
            await hub.ask("toy.tell", {"room": THERE, "text": f"hello {number}"}, anna)
        hub.store.hold_commits.set()
        await trio.sleep(100)
        assert sorted(item["text"] for item in ben.events("toy.news")) == [f"hello {n}" for n in range(10)]
        assert await hub.store.tells() == []


async def test_word_that_was_read_from_disk_already_is_not_sent_twice(autojump_clock: MockClock) -> None:
    """It is on disk a moment before the room hears of its commit: whoever reads the disk then finds it first."""
    async with open_hub(Counter, Messenger) as hub:
        ben = await sit(hub, ears(BEN), "s2")
        for _ in range(2):
            hub.house.hub.errands.tell(TellRecord(uuid(1), THERE, "toy.told", b'{"text":"hello"}'))
        await trio.sleep(100)
        assert ben.events("toy.news") == [{"text": "hello"}]


async def test_a_timer_rings_once_at_its_time(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "tea"}, anna)
        await trio.sleep(9.9)
        assert anna.events("toy.rang") == []
        await trio.sleep(0.2)
        assert anna.events("toy.rang") == [{"text": "tea"}]
        await trio.sleep(1_000)
        assert anna.events("toy.rang") == [{"text": "tea"}]
        assert await hub.store.timers() == []


async def test_a_timer_rings_after_a_restart_also_when_it_is_late(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        async with hub_over(store, clock) as hub:
            anna = await sit(hub, ears(ANNA))
            await hub.do("toy.later", {"text": "soon"}, anna)
            await trio.sleep(8)
            await hub.do("toy.later", {"text": "late"}, anna)
        await trio.sleep(7)
        for rings in (["soon"], ["soon", "late"], ["soon", "late"]):
            async with hub_over(store, clock) as hub:
                await trio.sleep(2)
                records = await store.read(HERE, 0, 100)
                rang = [record.data.decode() for record in records if record.kind == "toy.rang"]
                assert rang == [f'{{"text":"{text}"}}' for text in rings]


async def test_a_cancelled_timer_does_not_ring(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "tea"}, anna)
        await trio.sleep(5)
        await hub.do("toy.never", {"text": "tea"}, anna)
        await trio.sleep(100)
        assert anna.events("toy.rang") == []
        assert await hub.store.timers() == []


async def test_a_timer_set_again_rings_at_the_later_time_only(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "tea"}, anna)
        await trio.sleep(5)
        await hub.do("toy.later", {"text": "tea"}, anna)
        await trio.sleep(9)
        assert anna.events("toy.rang") == []
        await trio.sleep(2)
        assert len(anna.events("toy.rang")) == 1


async def test_a_timer_may_set_itself_again(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "twice"}, anna)
        await trio.sleep(15)
        assert len(anna.events("toy.rang")) == 1
        assert len(await hub.store.timers()) == 1
        await trio.sleep(100)
        assert len(anna.events("toy.rang")) == 2
        assert await hub.store.timers() == []


async def test_an_earlier_timer_wakes_who_waits_for_a_later_one(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.clock.set_ms += 30_000
        await hub.do("toy.later", {"text": "later"}, anna)
        hub.clock.set_ms -= 30_000
        await hub.do("toy.later", {"text": "sooner"}, anna)
        await trio.sleep(11)
        assert anna.events("toy.rang") == [{"text": "sooner"}]


async def test_a_clock_that_is_set_moves_the_timers_with_it(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.clock.set_ms += 1_800_000
        await hub.do("toy.later", {"text": "tea"}, anna)
        hub.clock.set_ms -= 1_800_000
        await trio.sleep(100)
        assert anna.events("toy.rang") == []
        hub.clock.set_ms += 1_800_000
        await trio.sleep(module.CLOCK_CHECK_S + 1)
        assert anna.events("toy.rang") == [{"text": "tea"}]


async def test_a_timer_waits_for_a_disk_that_is_full(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Messenger) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "tea"}, anna)
        hub.store.fail_commits = True
        await trio.sleep(30)
        assert anna.events("toy.rang") == []
        hub.store.fail_commits = False
        await trio.sleep(5)
        assert anna.events("toy.rang") == [{"text": "tea"}]
        assert await hub.store.timers() == []


async def echo(data: JSON) -> JSON:
    await trio.sleep(3)
    return f"echo {data['n']}"


async def forever(data: JSON) -> JSON:
    await trio.sleep_forever()


async def broken(data: JSON) -> JSON:
    raise ZeroDivisionError


WORKERS: dict[str, Worker] = {"echo": echo, "forever": forever, "broken": broken}


async def test_work_outside_answers_as_an_ask(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger, workers=WORKERS) as hub:
        anna = await sit(hub, ears(ANNA))
        began_s = trio.current_time()
        await hub.do("toy.work", {"text": "echo"}, anna)
        assert trio.current_time() - began_s < 1, "whoever asked does not wait for it"
        await hub.do("toy.add", {}, anna)
        await trio.sleep(4)
        assert anna.events("toy.news") == [{"text": "echo 1 for 1"}]


@pytest.mark.parametrize(
    ("work", "error"), [("broken", "ZeroDivisionError"), ("forever", "TooSlowError"), ("unknown", "KeyError")]
)
async def test_work_that_fails_says_so(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, work: str, error: str
) -> None:
    async with open_hub(Counter, Messenger, workers=WORKERS) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.work", {"text": work}, anna)
        await trio.sleep(WORK_TIMEOUT_S + 1)
        assert anna.events("toy.news") == [{"text": f"{error} for 1"}]
        await hub.do("toy.add", {}, anna)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        f"work failed: {work}"
    ]


async def test_only_so_much_work_goes_on_at_once(autojump_clock: MockClock) -> None:
    at_once = most = 0

    async def busy(data: JSON) -> JSON:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(1)
        at_once -= 1

    async with open_hub(Counter, Messenger, workers={"busy": busy}) as hub:
        anna = await sit(hub, ears(ANNA))
        for _ in range(module.WORK_AT_ONCE_MAX * 3):
            await hub.do("toy.work", {"text": "busy"}, anna)
        await trio.sleep(10)
    assert most == module.WORK_AT_ONCE_MAX


@pytest.mark.parametrize("instead", ["toy.later", "toy.never"])
async def test_a_ring_under_way_does_not_undo_what_was_decided_before_it(
    instead: str, autojump_clock: MockClock
) -> None:
    """The disk takes its time; the timer is set anew (or cancelled) while its ring waits in the room's inbox."""
    async with open_memory(queue_max_entries=1) as store, open_hub(Counter, Messenger, store=store) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.later", {"text": "tea"}, anna)
        await trio.sleep(9.5)
        store.hold_commits = trio.Event()
        await hub.ask("toy.add", {}, anna)
        await settle()
        asked = await hub.ask(instead, {"text": "tea"}, anna)
        await trio.sleep(1)  # the ring comes behind it
        store.hold_commits.set()
        await asked.answer()
        await settle()
        assert anna.events("toy.rang") == []
        assert len(await store.timers()) == (instead == "toy.later")
        await trio.sleep(20)
        assert len(anna.events("toy.rang")) == (instead == "toy.later")
        assert await store.timers() == []
