"""What both stores give back. The one in memory is the plain model that SQLite is held against."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from livehub.ports import Entry, KeyRecord, Line, SeatRecord, Store, TellRecord, Tenure, TimerRecord
from livehub.stores.memory import open_memory
from livehub.stores.sqlite import open_sqlite
from tests.stores.desk import Desk, open_desk, short_tails


def said(number: int, *audiences: str) -> Line:
    return Line("said", str(number).encode(), audiences)


def seat(sid: str, room: str, *, user: str = "ada", at_ms: int = 1_000, audiences: tuple[str, ...] = ()) -> SeatRecord:
    return SeatRecord(sid, room, user, audiences, 1, at_ms)


def key(name: str, at_ms: int, user: str = "ada") -> KeyRecord:
    return KeyRecord(user, name, b"digest", b'{"ok":true}', at_ms)


async def test_an_empty_log_has_nothing(desk: Desk) -> None:
    store = desk.store
    assert (store.head, store.next_seq, store.failing) == (0, 1, False)
    assert await store.read("room", 0, 10) == []
    assert await store.replay({"hall": 0}, 100, 10) == []
    assert await store.replay({}, 100, 10) == []
    assert await store.find_key("ada", "k") is None
    assert await store.keys_since(0) == []
    assert await store.seats("sid") == []
    assert await store.timers() == []
    assert await store.tells() == []


async def test_a_log_has_a_name_and_a_secret_of_its_own(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path / "a") as one, open_desk(kind, tmp_path / "b") as other:
        assert one.store.epoch != other.store.epoch
        assert one.store.secret != other.store.secret
        assert 1 <= len(one.store.epoch) <= 16
        assert set(one.store.epoch) <= set("0123456789abcdefghijklmnopqrstuvwxyz")
        assert len(one.store.secret) == 32


async def test_a_room_reads_its_own_facts_in_order(desk: Desk) -> None:
    desk.submit(said(1, "hall"), said(2), room="a", at_ms=5)
    desk.submit(said(3), room="b", at_ms=6)
    await desk.save(said(4), room="a", at_ms=7)
    store = desk.store
    found = await store.read("a", 0, 10)
    assert [(record.seq, record.data, record.at_ms) for record in found] == [(1, b"1", 5), (2, b"2", 5), (4, b"4", 7)]
    assert {(record.room, record.kind, record.audience) for record in found} == {("a", "said", "")}
    assert [record.seq for record in await store.read("a", 1, 10)] == [2, 4]
    assert [record.seq for record in await store.read("a", 0, 2)] == [1, 2]
    assert await store.read("a", 4, 10) == []
    assert await store.read("a", 0, 0) == []
    assert await store.read("c", 0, 10) == []


async def replayed(desk: Desk, audiences: dict[str, int], upto: int = 1_000, limit: int = 1_000) -> list[str]:
    return [f"{record.seq}{record.audience}" for record in await desk.store.replay(audiences, upto, limit)]


async def test_replay_gives_each_fact_once_for_the_first_of_its_audiences_asked_for(desk: Desk) -> None:
    desk.submit(said(1, "a"), said(2, "b"), said(3, "b", "a"), said(4), said(5, "c"), said(6, "a", "b", "c"))
    await desk.submit().answer()
    assert await replayed(desk, {"a": 0}) == ["1a", "3a", "6a"]
    assert await replayed(desk, {"a": 0, "b": 0}) == ["1a", "2b", "3a", "6a"]
    assert await replayed(desk, {"b": 0, "a": 0}) == ["1a", "2b", "3b", "6b"]
    assert await replayed(desk, {"x": 0, "c": 0}) == ["5c", "6c"]
    assert await replayed(desk, {"x": 0}) == []


async def test_replay_begins_after_what_each_audience_heard(desk: Desk) -> None:
    desk.submit(*[said(n, "a") for n in (1, 2)], said(3, "a", "b"), said(4, "b"), said(5, "a", "b"))
    await desk.submit().answer()
    assert await replayed(desk, {"a": 1, "b": 4}) == ["2a", "3a", "5a"]
    assert await replayed(desk, {"a": 3, "b": 0}) == ["3b", "4b", "5a"]
    assert await replayed(desk, {"a": 5, "b": 5}) == []
    assert await replayed(desk, {"a": 900, "b": 3}) == ["4b", "5b"]


async def test_replay_ends_at_upto_and_at_the_limit(desk: Desk) -> None:
    desk.submit(*[said(n, "a" if n % 2 else "b") for n in range(1, 11)])
    await desk.submit().answer()
    both = {"a": 0, "b": 0}
    assert await replayed(desk, both, upto=4) == ["1a", "2b", "3a", "4b"]
    assert await replayed(desk, both, limit=3) == ["1a", "2b", "3a"]
    assert await replayed(desk, both, upto=2, limit=3) == ["1a", "2b"]
    assert await replayed(desk, {"a": 0, "b": 4}, limit=4) == ["1a", "3a", "5a", "6b"]
    assert await replayed(desk, both, upto=0) == []
    assert await replayed(desk, both, limit=0) == []


async def test_replay_in_pieces_is_the_whole(desk: Desk) -> None:
    desk.submit(*[said(n, *("abc"[n % 3 :])) for n in range(1, 60)])
    await desk.submit().answer()
    whole = await replayed(desk, {"c": 3, "a": 0, "b": 7})
    pieces: list[str] = []
    after = 0
    while piece := await desk.store.replay({"c": max(3, after), "a": after, "b": max(7, after)}, 1_000, 4):
        pieces += [f"{record.seq}{record.audience}" for record in piece]
        after = piece[-1].seq
    assert pieces == whole


async def test_replay_takes_any_number_of_audiences_with_any_name(desk: Desk) -> None:
    names = [f"user:{number}" for number in range(2_000)]
    odd = ['quo"te', "x' or 1=1", "é😀\u2028", "", "back\\slash", "[0]"]
    desk.submit(*[said(n, name) for n, name in enumerate([*odd, *names[::100]], 1)])
    await desk.submit().answer()
    found = await desk.store.replay(dict.fromkeys([*names, *odd], 0), 1_000, 1_000)
    assert [record.audience for record in found] == [*odd, *names[::100]]


async def test_an_audience_named_twice_hears_once(desk: Desk) -> None:
    await desk.save(said(1, "a", "b", "a"))
    assert await replayed(desk, {"b": 0, "a": 0}) == ["1b"]
    assert await replayed(desk, {"a": 0}) == ["1a"]


async def test_a_used_key_is_found_by_its_user(desk: Desk) -> None:
    used = KeyRecord("ada", "k1", b"\x00\xff", b'{"id":1}', 5_000)
    await desk.save(said(1), key=used)
    assert await desk.store.find_key("ada", "k1") == used
    assert await desk.store.find_key("bob", "k1") is None
    assert await desk.store.find_key("ada", "k2") is None
    later = KeyRecord("ada", "k1", b"\x01", b"null", 6_000)
    await desk.save(key=later)
    assert await desk.store.find_key("ada", "k1") == later


async def test_keys_are_listed_since_a_time(desk: Desk) -> None:
    for name, at_ms in (("a", 1_000), ("b", 2_000), ("c", 3_000)):
        desk.submit(key=key(name, at_ms))
    await desk.submit().answer()
    assert sorted(await desk.store.keys_since(2_000)) == [("ada", "b"), ("ada", "c")]
    assert await desk.store.keys_since(3_001) == []


async def test_seats_come_back_in_the_order_they_were_taken(desk: Desk) -> None:
    taken = [seat("sid", room, audiences=("x:é", room)) for room in ("c", "a", "b")]
    for one in taken:
        desk.submit(takes=[one])
    await desk.save(takes=[seat("other", "a")])
    assert await desk.store.seats("sid") == taken


async def test_a_seat_taken_again_is_changed_in_its_place_and_one_left_is_gone(desk: Desk) -> None:
    desk.submit(takes=[seat("sid", room) for room in ("a", "b", "c")])
    desk.submit(takes=[seat("sid", "a", audiences=("a", "a:moderation"), at_ms=2_000)])
    await desk.save(leaves=[("sid", "b"), ("sid", "never"), ("nobody", "a")])
    assert await desk.store.seats("sid") == [
        seat("sid", "a", audiences=("a", "a:moderation"), at_ms=2_000),
        seat("sid", "c"),
    ]


@pytest.mark.parametrize("together", [True, False])
async def test_a_seat_left_and_taken_again_comes_last(desk: Desk, together: bool) -> None:
    await desk.save(takes=[seat("sid", "a"), seat("sid", "b")])
    if together:
        await desk.save(leaves=[("sid", "a")], takes=[seat("sid", "a")])
    else:
        desk.submit(leaves=[("sid", "a")])
        await desk.save(takes=[seat("sid", "a")])
    assert [found.room for found in await desk.store.seats("sid")] == ["b", "a"]


async def test_a_seat_taken_and_left_in_one_batch_is_gone(desk: Desk) -> None:
    desk.submit(takes=[seat("sid", "a"), seat("sid", "b")])
    desk.submit(leaves=[("sid", "a")])
    await desk.submit().answer()
    assert [found.room for found in await desk.store.seats("sid")] == ["b"]


async def test_touched_seats_outlive_pruning(desk: Desk) -> None:
    await desk.save(takes=[seat("here", "a", at_ms=1_000), seat("gone", "a", at_ms=1_000), seat("gone", "b", at_ms=5)])
    await desk.store.touch_seats(["here", "nobody"], 9_000)
    await desk.store.touch_seats([], 9_999)
    await desk.store.prune(0, 1_000)
    assert [found.room for found in await desk.store.seats("gone")] == ["a"]
    await desk.store.prune(0, 9_000)
    assert await desk.store.seats("gone") == []
    assert await desk.store.seats("here") == [seat("here", "a", at_ms=9_000)]


async def test_old_keys_are_pruned_and_the_log_is_not(desk: Desk) -> None:
    desk.submit(said(1), key=key("old", 1_000))
    await desk.save(said(2), key=key("new", 2_000))
    await desk.store.prune(2_000, 0)
    assert await desk.store.find_key("ada", "old") is None
    assert await desk.store.keys_since(0) == [("ada", "new")]
    assert len(await desk.store.read("room", 0, 10)) == 2


async def test_timers_are_listed_soonest_first(desk: Desk) -> None:
    timers = [TimerRecord("room", name, due, "poll.close", b'{"id":1}') for name, due in (("b", 20), ("a", 30))]
    other = TimerRecord("other", "a", 10, "poll.close", b"{}")
    desk.submit(sets=timers)
    await desk.save(sets=[other], room="other")
    assert await desk.store.timers() == [other, *timers]


async def test_a_timer_is_set_again_and_cancelled_by_its_room_only(desk: Desk) -> None:
    first, again = (TimerRecord("room", "k", due, "ring", b"{}") for due in (10, 20))
    await desk.save(sets=[first])
    await desk.save(unsets=["k"], room="other")
    assert await desk.store.timers() == [first]
    await desk.save(sets=[again])
    assert await desk.store.timers() == [again]
    await desk.save(unsets=["k", "unknown"])
    assert await desk.store.timers() == []


async def test_a_timer_that_rings_may_set_itself_again(desk: Desk) -> None:
    first, again = (TimerRecord("room", "k", due, "ring", b"{}") for due in (10, 20))
    await desk.save(sets=[first])
    await desk.save(unsets=["k"], sets=[again])
    assert await desk.store.timers() == [again]


async def test_words_are_listed_oldest_first_until_they_are_answered(desk: Desk) -> None:
    words = [TellRecord(id_, "room", "score.add", b"1") for id_ in ("z", "a", "m")]
    desk.submit(tells=words[:2])
    await desk.save(tells=words[2:])
    assert await desk.store.tells() == words
    await desk.save(told="a", room="room")
    await desk.save(told="unknown")
    assert await desk.store.tells() == [words[0], words[2]]


async def test_the_first_word_of_an_id_stands(desk: Desk) -> None:
    first, second, third = (TellRecord("id", "room", "score.add", data) for data in (b"1", b"2", b"3"))
    desk.submit(tells=[first, second])
    await desk.submit().answer()
    await desk.save(tells=[third])
    assert await desk.store.tells() == [first]


async def test_an_entry_is_saved_whole(desk: Desk) -> None:
    word, timer = TellRecord("id", "other", "go", b"{}"), TimerRecord("room", "k", 10, "ring", b"{}")
    await desk.save(
        said(1, "a"), key=key("k", 7), takes=[seat("sid", "room")], sets=[timer], tells=[word], told="unknown"
    )
    store = desk.store
    assert [record.seq for record in await store.replay({"a": 0}, 1, 1)] == [1]
    assert await store.find_key("ada", "k") == key("k", 7)
    assert await store.seats("sid") == [seat("sid", "room")]
    assert (await store.timers(), await store.tells()) == ([timer], [word])


async def test_an_entry_is_refused_whole(desk: Desk) -> None:
    await desk.fill()
    await desk.submit(
        said(1, "a"),
        Line("big", b"x" * 400_000, ("a",)),
        key=key("k", 7),
        takes=[seat("sid", "room")],
        sets=[TimerRecord("room", "k", 10, "ring", b"{}")],
        tells=[TellRecord("id", "other", "go", b"{}")],
    ).answer()
    store = desk.store
    assert await store.replay({"a": 0}, 10, 10) == []
    assert await store.find_key("ada", "k") is None
    assert (await store.seats("sid"), await store.timers(), await store.tells()) == ([], [], [])


NAMES = st.sampled_from(["a", "b", "c", "d"])
TIMES = st.integers(0, 9)
DATA = st.binary(max_size=8)
AUDIENCES = st.lists(NAMES, max_size=3).map(tuple)


def entries(room: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"room": st.just(room), "at_ms": TIMES},
        optional={
            "lines": st.lists(st.builds(Line, NAMES, DATA, AUDIENCES), max_size=4),
            "key": st.builds(KeyRecord, NAMES, NAMES, DATA, DATA, TIMES),
            "takes": st.lists(st.builds(SeatRecord, NAMES, NAMES, NAMES, AUDIENCES, TIMES, TIMES), max_size=3),
            "leaves": st.lists(st.tuples(NAMES, NAMES), max_size=3),
            "sets": st.lists(st.builds(TimerRecord, st.just(room), NAMES, TIMES, NAMES, DATA), max_size=2),
            "unsets": st.lists(NAMES, max_size=2),
            "tells": st.lists(st.builds(TellRecord, NAMES, NAMES, NAMES, DATA), max_size=2),
            "told": NAMES,
        },
    )


CHORES = st.one_of(st.tuples(st.just("touch_seats"), st.lists(NAMES), TIMES), st.tuples(st.just("prune"), TIMES, TIMES))
ASKED = st.dictionaries(NAMES, st.integers(0, 30), max_size=4)


async def history(store: Store, steps: list[Any], asked: list[dict[str, int]]) -> list[Any]:
    """Everything that can be seen of a store that lived through these steps, one each millisecond.

    Keys that were pruned may still be there: nobody asks for one that is older than that.
    """
    seen: list[Any] = []
    pruned_ms = 0
    for now_ms, step in enumerate(steps):
        if isinstance(step, tuple):
            await getattr(store, step[0])(*step[1:])
            if step[0] == "prune":
                pruned_ms = max(pruned_ms, step[1])
        else:
            entry = Entry(Tenure(), done=seen.append, **step)
            if entry.key is not None:
                entry.key = replace(entry.key, at_ms=now_ms)
            store.submit(entry)
            seen.append(entry.seq)
    last = trio.Event()
    store.submit(Entry(Tenure(), "", 0, lambda _: last.set()))
    await last.wait()
    seen += [store.head, store.next_seq, await store.timers(), await store.tells()]
    seen += [sorted(set(await store.keys_since(max(3, pruned_ms))))]
    for name in "abcd":
        key = await store.find_key(name, name)
        seen += [await store.seats(name), None if key is None or key.at_ms < pruned_ms else key]
        seen += [await store.read(f"room {name}", after, limit) for after in (0, 3) for limit in (2, 100)]
    for audiences in asked:
        seen += [await store.replay(audiences, upto, limit) for upto in (5, 100) for limit in (0, 3, 100)]
    return seen


@given(
    steps=st.lists(st.one_of(NAMES.flatmap(lambda name: entries(f"room {name}")), CHORES), max_size=15),
    asked=st.lists(ASKED, max_size=3),
    recent=st.sampled_from([0, 1, 3, 100]),
)
def test_memory_and_sqlite_cannot_be_told_apart(steps: list[Any], asked: list[dict[str, int]], recent: int) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as directory, short_tails():
            async with open_memory() as memory:
                async with open_sqlite(Path(directory), durability="os", recent_facts_max=recent) as sqlite:
                    assert await history(sqlite, steps, asked) == await history(memory, steps, asked)
                async with open_sqlite(Path(directory), durability="os") as reopened:
                    pruned = [step for step in steps if isinstance(step, tuple) and step[0] == "prune"]
                    assert await history(reopened, pruned, asked) == await history(memory, pruned, asked)

    trio.run(live)


async def test_the_rooms_of_a_kind_are_known(desk: Desk) -> None:
    assert await desk.store.rooms("user") == []
    for number, room in enumerate(
        ["user:ben", "session:a", "users:x", "user:anna", "user:ben", "use:r", "user:\u00e4"]
    ):
        await desk.save(said(number), room=room)
    assert sorted(await desk.store.rooms("user")) == ["user:anna", "user:ben", "user:\u00e4"]
    assert await desk.store.rooms("users") == ["users:x"]
