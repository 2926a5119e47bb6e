"""Who just left is remembered exactly as the log has it, or not at all."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from livehub.ports import SeatRecord
from livehub.rooms import leavers as module
from livehub.rooms.commit import UNSEEN
from livehub.rooms.leavers import KEPT_S, Leavers
from livehub.rooms.peer import Seat
from livehub.rooms.recovery import CannotRecover, Recovery, ReplayLimits
from livehub.rooms.tickets import Ticket
from livehub.stores.memory import MemoryStore
from tests.kit import ANNA, BEN, START_MS, Ears, ears, open_hub, person, settle
from tests.rooms.toys import Counter


def left(sid: str = "sid", *, seated: bool = True) -> Ears:
    """Somebody who is about to leave a room."""
    client = ears(ANNA, sid=sid)
    if seated:
        client.peer.seats["room"] = Seat("room", ("room",), 7, taken=True, granted=("room", "room:staff"))
    return client


def at_no_time(records: list[SeatRecord]) -> list[SeatRecord]:
    """Without when they were last seen, in one order."""
    return sorted((replace(record, at_ms=0) for record in records), key=lambda record: record.room)


async def test_it_is_told_once_what_the_log_holds(autojump_clock: MockClock) -> None:
    leavers, client = Leavers(), left()
    client.peer.unseen = 9
    leavers.note(client.peer)
    client.peer.seats.clear()
    assert leavers.take("sid") == [
        SeatRecord("sid", "room", "anna", ("room", "room:staff"), 7, 0),
        SeatRecord("sid", UNSEEN, "anna", (), 9, 0),
    ]
    assert leavers.take("sid") is None


async def test_who_sat_nowhere_is_known_to_sit_nowhere(autojump_clock: MockClock) -> None:
    leavers = Leavers()
    leavers.note(left(seated=False).peer)
    assert leavers.take("sid") == []


async def test_who_said_goodbye_is_forgotten(autojump_clock: MockClock) -> None:
    leavers = Leavers()
    leavers.note(left().peer)
    leavers.forget("sid")
    leavers.forget("nobody")
    assert leavers.take("sid") is None


@pytest.mark.parametrize("doubt", ["asking", "unknown", "untaken", "unrecoverable"])
async def test_where_there_is_a_doubt_only_the_log_can_tell(autojump_clock: MockClock, doubt: str) -> None:
    leavers, client = Leavers(), left()
    if doubt == "asking":
        await client.peer.ask()
    client.peer.known = doubt != "unknown"
    client.peer.seats["room"].taken = doubt != "untaken"
    client.peer.recoverable = doubt != "unrecoverable"
    leavers.note(client.peer)
    assert leavers.take("sid") is None


async def test_whoever_left_long_ago_is_forgotten(autojump_clock: MockClock) -> None:
    leavers = Leavers()
    for sid in ("one", "two"):
        leavers.note(left(sid).peer)
    await trio.sleep(KEPT_S - 1)
    assert leavers.take("one") is not None
    await trio.sleep(2)
    assert leavers.take("two") is None


async def test_so_many_are_remembered_and_no_more(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVERS_MAX", 3)
    leavers = Leavers()
    for number in range(5):
        leavers.note(left(f"sid-{number}").peer)
    assert [leavers.take(f"sid-{number}") is not None for number in range(5)] == [False, False, True, True, True]


async def test_whoever_comes_back_at_once_is_not_looked_up_in_the_log(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hub(Counter) as hub:
        client = ears(ANNA, sid="sid")
        await hub.do("toy.join", {"sessionId": "s1"}, client)
        offset = hub.fanout.offset(hub.store.head)
        monkeypatch.setattr(MemoryStore, "seats", None)
        for _ in range(3):
            hub.house.vacate(client.peer)
            client = ears(ANNA, sid="sid")
            await Recovery(hub.house, ReplayLimits()).recover(client.peer, Ticket("sid", START_MS), offset, settle)
            assert list(client.peer.seats) == ["session:s1"]


async def remembered(leavers: Leavers, store: MemoryStore, sid: str) -> bool:
    """Whether a sid is remembered; then it is as the log has it."""
    kept = dict(leavers._left)
    if (records := leavers.take(sid)) is None:
        return False
    assert at_no_time(records) == at_no_time(await store.seats(sid))
    leavers._left.update(kept)
    return True


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happened_it_is_what_the_log_holds(autojump_clock: MockClock, seed: int) -> None:
    """Joins and leaves, a disk that is slow or full, cuts in the middle of it all, and returns that are cut again."""
    print(f"seed {seed}")
    dice, sids = random.Random(seed), count()
    checked = returned = 0
    async with open_hub(Counter, watchdog_s=100_000) as hub:
        store, leavers = hub.store, hub.house.leavers
        ben = ears(BEN, sid="talks")
        await hub.do("toy.join", {"sessionId": "s1"}, ben)
        clients = [ears(person(f"user{number}", "toy:staff"), sid=f"{next(sids)}") for number in range(3)]
        offsets = {client.peer.sid: hub.fanout.offset(store.head) for client in clients}
        for _ in range(150):
            place = dice.randrange(len(clients))
            client, weather = clients[place], dice.random()
            sid = client.peer.sid
            store.fail_commits = weather < 0.1
            store.hold_commits = trio.Event() if weather > 0.8 else None
            await hub.ask("toy.add", {}, ben)
            if client.peer.gone:
                back = clients[place] = ears(client.peer.person, sid=sid)
                coming = Recovery(hub.house, ReplayLimits())
                with trio.move_on_after(dice.choice((0, 1, 5))) as scope:
                    try:
                        await coming.recover(back.peer, Ticket(sid, START_MS), offsets[sid], settle)
                        back.peer.release()
                        returned += 1
                    except CannotRecover:
                        clients[place] = ears(client.peer.person, sid=f"{next(sids)}")
                        offsets[clients[place].peer.sid] = hub.fanout.offset(store.head)
                if scope.cancelled_caught:
                    assert back.peer.gone
            elif dice.random() < 0.6:
                name = dice.choice(("toy.join", "toy.join", "toy.leave"))
                await hub.ask(name, {"sessionId": dice.choice(("s1", "s2"))}, client)
                if dice.random() < 0.5:
                    await settle()
            if not clients[place].peer.gone and dice.random() < 0.4:
                client = clients[place]
                if seqs := client.seqs():
                    offsets[client.peer.sid] = hub.fanout.offset(seqs[-1])
                hub.house.vacate(client.peer)
            if store.hold_commits is not None:
                store.hold_commits.set()
            store.fail_commits = False
            await trio.sleep(5)
            for sid in offsets:
                checked += await remembered(leavers, store, sid)
    assert checked > 20
    assert returned > 5
