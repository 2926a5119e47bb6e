"""A room decides at once, and shows and answers after the commit; what goes wrong in it stays in it."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused, Unavailable
from livehub.feature import JSON, Ask
from livehub.ports import Entry, Record
from livehub.rooms import room as module
from livehub.rooms.commit import Written
from livehub.rooms.gate import Knock
from livehub.rooms.peer import Answer
from livehub.rooms.request import Request
from livehub.rooms.state import Performed
from livehub.stores.memory import MemoryStore, open_memory
from tests.garbage import Tally, garbage
from tests.kit import ANNA, BEN, Ears, HubUnderTest, Reply, ears, open_hub, person, settle, uuid
from tests.rooms.toys import STAFF, Counter, Doorman, Echo, Faulty, Porch, Word

STAFF_MEMBER = person("staff", "toy:staff")


async def sit(hub: HubUnderTest, client: Ears, session: str = "s1") -> Ears:
    await hub.do("toy.join", {"sessionId": session}, client)
    return client


def full_disk(hub: HubUnderTest) -> None:
    hub.store.fail_commits = True


async def disk_again(hub: HubUnderTest) -> None:
    hub.store.fail_commits = False
    await trio.sleep(5)


async def test_broadcast_and_ack_come_only_after_the_commit(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.add", {}, anna)
        await trio.sleep(60)
        assert asked.result is None
        assert anna.events() == []
        hub.store.hold_commits.set()
        assert (await asked.answer()).reply == {"total": 1}
        await settle()
        assert anna.events("toy.added") == [{"total": 1}]
        assert anna.heard[0].seq == hub.store.head


async def test_asks_share_a_commit_and_each_sees_the_one_before(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = [await hub.ask("toy.add", {}, anna) for _ in range(200)]
        await settle()
        assert hub.room().busy
        hub.store.hold_commits.set()
        assert [(await one.answer()).reply["total"] for one in asked] == list(range(1, 201))
        await settle()
        assert anna.seqs() == sorted(anna.seqs())
        assert len(anna.events("toy.added")) == 200


async def test_answers_come_in_the_order_of_the_asks_refusals_and_reads_too(autojump_clock: MockClock) -> None:
    """A refusal or a read may tell of what is not saved yet, so it waits its turn."""
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        order: list[int] = []
        asks = ["toy.add", "toy.refuse", "toy.read", "toy.add", "toy.leave", "toy.add"]
        replies = []
        for number, name in enumerate(asks):
            reply = await hub.ask(name, {"sessionId": "s1"}, anna)
            reply.on_result = partial(order.append, number)
            replies.append(reply)
        await trio.sleep(60)
        assert order == []
        hub.store.hold_commits.set()
        await replies[-1].refusal()
        assert order == [0, 1, 2, 3, 4, 5]
        assert (await replies[1].refusal()).message == "Not at 1"
        assert (await replies[2].answer()).reply == {"total": 1}
        assert (await replies[5].refusal()).message == "You must join the session first"


async def test_a_read_in_a_quiet_room_is_answered_at_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = await hub.command("session:s1", "toy.read", None, who=ANNA)
        await settle()
        assert asked.result == Answer({"total": 0})


async def test_a_failed_commit_refuses_the_asks_in_flight_and_shows_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.add", {}, anna)
        full_disk(hub)
        asked = [await hub.ask(name, {}, anna) for name in ("toy.add", "toy.add", "toy.refuse", "toy.read", "toy.add")]
        for one in asked:
            assert isinstance(await one.refusal(), Unavailable)
            assert (await one.refusal()).status == 503
        await disk_again(hub)
        assert anna.events("toy.added") == [{"total": 1}]
        assert await hub.do("toy.add", {}, anna) == {"total": 2}, "the state is the log's again"
        assert hub.meter.counts["refused unavailable"] == 5


async def test_while_the_disk_is_full_reads_are_answered_and_changes_refused(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        await hub.do("toy.add", {}, anna)
        full_disk(hub)
        await (await hub.ask("toy.add", {}, anna)).refusal()
        await settle()
        began_s = trio.current_time()
        assert isinstance(await (await hub.ask("toy.add", {}, anna)).refusal(), Unavailable)
        read = await hub.command("session:s1", "toy.read", None, who=ANNA)
        assert (await read.answer()).reply == {"total": 1}
        assert trio.current_time() == began_s, "nobody waits for the disk"


async def test_a_join_that_was_not_saved_did_not_happen(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await sit(hub, ears(ANNA)), ears(BEN)
        full_disk(hub)
        assert isinstance(await (await hub.ask("toy.join", {"sessionId": "s1"}, ben)).refusal(), Unavailable)
        await disk_again(hub)
        assert ben.peer.seats == {}
        assert (await (await hub.ask("toy.add", {"sessionId": "s1"}, ben)).refusal()).code == "not_joined"
        await hub.do("toy.add", {}, anna)
        assert ben.heard == []
        await sit(hub, ben)
        await hub.do("toy.add", {}, ben)
        assert ben.events("toy.added") == [{"total": 2}]


async def test_a_leave_that_was_not_saved_did_not_happen(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        full_disk(hub)
        asked = await hub.ask("toy.leave", {}, anna), await hub.ask("toy.join", {"sessionId": "s1"}, anna)
        for one in asked:
            assert isinstance(await one.refusal(), Unavailable)
        await disk_again(hub)
        await hub.do("toy.add", {}, anna)
        assert anna.events("toy.added") == ben.events("toy.added") == [{"total": 1}]
        for client in (anna, ben):
            hub.house.vacate(client.peer)
        await settle()
        assert not hub.fanout.heard("session:s1")
        assert hub.room().seats == {}


async def test_a_leave_that_was_not_saved_of_somebody_who_is_gone_leaves_nothing_behind(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.leave", {}, anna)
        await settle()
        hub.house.vacate(anna.peer)
        full_disk(hub)
        hub.store.hold_commits.set()
        await asked.refusal()
        await settle()
        assert not hub.fanout.heard("session:s1")
        assert hub.room().seats == {}


async def test_a_join_and_a_leave_that_were_not_saved_did_not_happen(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter) as hub:
        await sit(hub, ears(ANNA))
        ben = ears(BEN)
        full_disk(hub)
        for name in ("toy.join", "toy.leave"):
            asked = await hub.ask(name, {"sessionId": "s1"}, ben)
        await asked.refusal()
        await disk_again(hub)
        assert ben.peer not in hub.room().seats
        assert ben.peer.seats == {}


async def test_a_command_that_fails_changes_nothing_and_the_room_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Faulty) as hub:
        anna = await sit(hub, ears(ANNA))
        state = hub.room().state
        refusal = await (await hub.ask("bad.command", {}, anna)).refusal()
        assert (refusal.message, refusal.status, refusal.code) == ("Internal error", 500, "internal")
        assert await hub.do("toy.add", {}, anna) == {"total": 1}
        assert hub.room().state is state
    assert [record.getMessage() for record in caplog.records] == ["command failed: bad.command"]


@pytest.mark.parametrize("command", ["bad.apply", "bad.json", "bad.endless"])
async def test_a_broken_room_is_built_again_from_the_log_and_no_other_notices(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    async with open_hub(Counter, Faulty) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN), "s2")
        await hub.do("toy.add", {"amount": 5}, anna)
        elsewhere = hub.room("session:s2").state
        asked = [await hub.ask(name, {}, anna) for name in ("toy.add", command, "toy.add", "toy.add")]
        assert (await asked[0].answer()).reply == {"total": 6}
        assert (await asked[1].refusal()).status == 500
        assert [(await one.answer()).reply for one in asked[2:]] == [{"total": 7}, {"total": 8}]
        await settle()
        assert [item["total"] for item in anna.events("toy.added")] == [5, 6, 7, 8]
        assert await hub.do("toy.add", {}, ben) == {"total": 1}
        assert hub.room("session:s2").state is elsewhere
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "room reopens from the log: session:s1"
    ]


async def test_a_room_that_breaks_while_commits_wait_misses_none_of_them(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Faulty) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.store.hold_commits = trio.Event()
        first = await hub.ask("toy.add", {"amount": 5}, anna)
        await hub.ask("bad.apply", {}, anna)
        last = await hub.ask("toy.add", {}, anna)
        await trio.sleep(60)
        hub.store.hold_commits.set()
        assert (await first.answer()).reply == {"total": 5}
        assert (await last.answer()).reply == {"total": 6}


async def test_a_join_that_breaks_the_room_seats_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_hub(Counter, Faulty) as hub:
        await sit(hub, ears(ANNA))
        ben = ears(BEN)
        assert (await (await hub.ask("bad.join", {"sessionId": "s1"}, ben)).refusal()).status == 500
        assert ben.peer.seats == {}
        assert ben.peer not in hub.room().seats


async def test_a_room_that_cannot_be_built_refuses_and_tries_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter) as hub:
        anna = ears(ANNA)

        async def broken(self: MemoryStore, room: str, after: int, limit: int) -> list[Record]:
            raise OSError("the disk is gone")

        with monkeypatch.context() as weather:
            weather.setattr(MemoryStore, "read", broken)
            asked = await hub.ask("toy.join", {"sessionId": "s1"}, anna)
            assert isinstance(await asked.refusal(), Unavailable)
        await trio.sleep(module.REOPEN_PAUSE_S * 2)
        assert await hub.do("toy.join", {"sessionId": "s1"}, anna) == {"sessionId": "s1"}
    assert [record.getMessage() for record in caplog.records] == ["room cannot be built from the log: session:s1"]


async def test_an_ask_that_finds_the_room_broken_is_answered_even_if_it_cannot_be_built_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))

        async def broken(self: MemoryStore, room: str, after: int, limit: int) -> list[Record]:
            raise OSError("the disk is gone")

        with monkeypatch.context() as weather:
            weather.setattr(MemoryStore, "read", broken)
            full_disk(hub)
            await (await hub.ask("toy.add", {}, anna)).refusal()
            await disk_again(hub)
            asked = await hub.ask("toy.add", {}, anna)
            assert isinstance(await asked.refusal(), Unavailable)
        await trio.sleep(module.REOPEN_PAUSE_S * 2)
        assert await hub.do("toy.add", {}, anna) == {"total": 1}


async def test_a_room_is_folded_from_its_log_in_pieces(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLD_CHUNK_FACTS", 3)
    async with open_hub(Counter, Echo) as hub:
        anna = await sit(hub, ears(ANNA))
        for _ in range(10):
            await hub.do("toy.add", {}, anna)
        async with open_hub(Counter, Echo, store=hub.store) as again:
            await again.command("session:s1", "toy.read", None, who=ANNA)
            await settle()
            assert again.room().state.features == hub.room().state.features


async def test_only_who_sits_here_may_ask(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await sit(hub, ears(ANNA)), ears(BEN)
        refusal = await (await hub.ask("toy.add", {"sessionId": "s1"}, ben)).refusal()
        assert (refusal.message, refusal.status) == ("You must join the session first", 403)
        await hub.do("toy.leave", {}, anna)
        refusal = await (await hub.ask("toy.add", {"sessionId": "s1"}, anna)).refusal()
        assert refusal.code == "not_joined"
        await hub.do("toy.leave", {"sessionId": "s1"}, anna)


async def test_a_room_that_does_not_exist_is_not_found(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        refusal = await (await hub.ask("toy.add", {"sessionId": "s9"}, ears(ANNA))).refusal()
        assert (refusal.message, refusal.status, refusal.code) == ("Session not found", 404, "not_found")


async def test_members_may_ask_without_a_seat_and_a_permission_stands_in(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        hub.house.vacate(anna.peer)
        for who in (ANNA, STAFF_MEMBER):
            read = await hub.command("session:s1", "toy.read", None, who=who)
            assert (await read.answer()).reply == {"total": 0}
        refusal = await (await hub.command("session:s1", "toy.read", None, who=BEN)).refusal()
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


async def test_only_a_connection_can_join(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        refusal = await (await hub.command("session:s1", "toy.join", None, who=ANNA)).refusal()
        assert (refusal.message, refusal.code) == ("Only a connection can join", "not_connected")
        anna = ears(ANNA)
        hub.house.vacate(anna.peer)
        assert (await (await hub.ask("toy.join", {"sessionId": "s1"}, anna)).refusal()).code == "not_connected"


async def test_joining_twice_is_no_error_and_nothing_is_heard_twice(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, await sit(hub, ears(ANNA)))
        await hub.do("toy.add", {}, anna)
        assert anna.events("toy.added") == [{"total": 1}]


async def test_two_devices_of_one_person_both_sit_and_hear(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        one, other = await sit(hub, ears(ANNA, sid="1")), await sit(hub, ears(ANNA, sid="2"))
        await hub.do("toy.leave", {}, one)
        await hub.do("toy.add", {}, other)
        assert one.events("toy.added") == []
        assert other.events("toy.added") == [{"total": 1}]


async def test_staff_hears_what_others_do_not_and_nothing_twice(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, staff = await sit(hub, ears(ANNA)), await sit(hub, ears(STAFF_MEMBER))
        await hub.do("toy.whisper", {"text": "psst"}, staff)
        await hub.do("toy.say", {"text": "hello"}, staff)
        assert anna.events("toy.said") == [{"text": "hello", "as": ""}]
        assert [item["text"] for item in staff.events("toy.said")] == ["psst", "hello"]
        assert staff.events("toy.said")[1]["as"] == STAFF


async def test_what_is_not_kept_is_heard_and_forgotten(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        before = hub.store.head
        await (await hub.command("session:s1", "toy.wave", Word("hi"), who=ANNA, peer=anna.peer)).answer()
        await settle()
        assert [(item.event, item.offset) for item in anna.heard] == [("toy.said", None), ("toy.waved", None)]
        assert hub.store.head == before


async def test_whoever_takes_a_seat_gets_a_snapshot_and_whoever_has_one_none(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        await hub.do("toy.add", {"amount": 7}, await sit(hub, ears(ANNA)))
        ben = ears(BEN)
        for snapshot in ({"total": 7}, None):
            joined = await (await hub.ask("toy.join", {"sessionId": "s1"}, ben)).answer()
            assert joined.snapshot == snapshot
        await hub.do("toy.leave", {}, ben)
        again = await (await hub.ask("toy.join", {"sessionId": "s1"}, ben)).answer()
        assert again.snapshot == {"total": 7}


async def test_a_seat_is_on_disk_with_the_seq_it_hears_from(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(STAFF_MEMBER))
        (seat,) = await hub.store.seats(anna.peer.sid)
        assert (seat.room, seat.user, seat.since) == ("session:s1", "staff", hub.store.head)
        assert seat.audiences == ("session:s1#staff", "session:s1")
        await hub.do("toy.leave", {}, anna)
        assert await hub.store.seats(anna.peer.sid) == []


async def test_somebody_who_goes_while_joining_sits_nowhere(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        await sit(hub, ears(BEN))
        anna = ears(ANNA)
        hub.store.hold_commits = trio.Event()
        asked = await hub.ask("toy.join", {"sessionId": "s1"}, anna)
        await settle()
        hub.house.vacate(anna.peer)
        hub.store.hold_commits.set()
        await asked.answer()
        await settle()
        assert anna.peer not in hub.room().seats
        await hub.do("toy.add", {}, await sit(hub, ears(BEN, sid="again")))
        assert anna.heard == []


async def test_what_a_peer_asked_before_it_went_still_happens(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, ben = await sit(hub, ears(ANNA)), await sit(hub, ears(BEN))
        asked = await hub.ask("toy.add", {}, anna)
        hub.house.vacate(anna.peer)
        await asked.answer()
        await settle()
        assert ben.events("toy.added") == [{"total": 1}]


async def test_a_flood_gives_others_their_turn(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        last = Reply()
        for _ in range(module.ASKS_PER_TURN * 5):
            last = await hub.ask("toy.add", {}, anna)
        turns = 0
        while last.result is None:
            turns += 1
            await trio.lowlevel.checkpoint()
        assert turns > 5
        assert isinstance(last.result, Answer)


async def test_a_full_log_queue_holds_the_room_back(autojump_clock: MockClock) -> None:
    async with open_memory(queue_max_entries=10) as store, open_hub(Counter, store=store) as hub:
        anna = await sit(hub, ears(ANNA))
        store.hold_commits = trio.Event()
        asked = [await hub.ask("toy.add", {}, anna) for _ in range(module.ASKS_PER_TURN * 3)]
        await settle()
        assert hub.room().inbox.statistics().current_buffer_used > module.ASKS_PER_TURN
        store.hold_commits.set()
        assert (await asked[-1].answer()).reply == {"total": len(asked)}


async def test_a_refusal_is_counted_by_its_code(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        await (await hub.ask("toy.refuse", {}, anna)).refusal()
        assert hub.meter.counts["refused refused"] == 1
        with pytest.raises(Refused, match="Not at 0"):
            await hub.do("toy.refuse", {}, anna)


async def test_an_overview_is_what_every_feature_has_for_this_person(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Porch, Doorman) as hub:
        await sit(hub, ears(ANNA))
        for who, notes in ((BEN, []), (STAFF_MEMBER, ["anna came"])):
            shown = await (await hub.command("session:s1", "porch.look", who=who)).answer()
            assert shown.reply == {"for": who.id, "notes": notes, "greeted": ["anna after 1"]}


async def test_an_overview_that_fails_is_refused_and_the_room_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter, Porch) as hub:
        anna = await sit(hub, ears(ANNA))
        state = hub.room().state
        with monkeypatch.context() as weather:
            weather.setattr(Porch, "overview", None)
            refusal = await (await hub.command("session:s1", "porch.look", who=ANNA)).refusal()
        assert (refusal.status, refusal.code) == (500, "internal")
        assert await hub.do("toy.add", {}, anna) == {"total": 1}
        assert hub.room().state is state
    assert [record.getMessage() for record in caplog.records] == ["command failed: porch.look"]


async def knock(hub: HubUnderTest, client: Ears, name: str, number: int, reply: Tally) -> None:
    """Bring an ask to the gate, which tells only how often it was answered."""
    data: JSON = {"sessionId": "s1", "idempotencyKey": uuid(1_000 + number)}
    await hub.gate.ask(name, data, Knock(client.peer.person, reply, peer=client.peer))


ASKS = (Entry, Request, Written, Performed, Ask)


@pytest.mark.parametrize("name", ["toy.add", "toy.refuse", "toy.read", "toy.join", "toy.leave"])
async def test_an_ask_that_was_answered_leaves_nothing_to_the_collector(autojump_clock: MockClock, name: str) -> None:
    """Pauses of 100 ms came of it: of each ask 34 objects in a cycle."""
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        answers = Tally()
        with garbage() as found:
            for number in range(10):
                await knock(hub, anna, name, number, answers)
                await settle()
        assert answers.count == 10
        assert [thing for thing in found if isinstance(thing, ASKS)] == []


async def test_asks_that_share_a_commit_leave_nothing_to_the_collector(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        answers = Tally()
        with garbage() as found:
            hub.store.hold_commits = trio.Event()
            for number, name in enumerate(["toy.add", "toy.refuse", "toy.read", "toy.add", "toy.leave", "toy.add"]):
                await knock(hub, anna, name, number, answers)
            await settle()
            assert answers.count == 0
            hub.store.hold_commits.set()
            await settle()
        assert answers.count == 6
        assert [thing for thing in found if isinstance(thing, ASKS)] == []


async def test_an_answered_entry_calls_nobody_again(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        entries: list[Entry] = []
        submit = hub.store.submit

        def noted(entry: Entry) -> None:
            entries.append(entry)
            submit(entry)

        monkeypatch.setattr(hub.store, "submit", noted)
        reply = await hub.ask("toy.add", {}, anna)
        await settle()
        (entry,) = [entry for entry in entries if entry.lines]
        entry.done(None)
        entry.done(OSError("again"))
        assert len(reply.results) == 1
        assert not hub.room().busy
