"""Each fact is rendered once per vocabulary and audience, framed once, heard once by everybody, in order of the log."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from livehub.feature import JSON
from livehub.rooms import fanout as module
from livehub.rooms.fanout import Fanout, Published, Told
from livehub.rooms.peer import Peer
from livehub.wire.frames import Frame, Kind
from tests.kit import ANNA, Ears, Meter, ears, settle

HALL = ("hall",)
STAFF_AND_HALL = ("staff", "hall")
FLUSH_S = 0.01


class Voice:
    """A vocabulary that counts what it is asked to say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[tuple[str, str]] = []

    def fact(self, told: Told) -> bytes | None:
        self.said.append((told.name, told.audience))
        if told.data.get("secret") and told.audience != "staff":
            return None
        shown = [told.name, {**told.data, "as": told.audience}, told.offset]
        return b"2%s," % self.name.encode() + orjson.dumps(shown)

    def event(self, told: Told) -> bytes | None:
        self.said.append((told.name, ""))
        return None if told.name == "foreign" else b"2%s," % self.name.encode() + orjson.dumps([told.name, told.data])


def told(name: str, data: JSON) -> Told:
    """A view or burst for the hall."""
    return Told(name, data, "e-0", 0, "room", "hall")


class Studio:
    """A fan-out with two vocabularies."""

    def __init__(self) -> None:
        self.a, self.b, self.meter = Voice("/a"), Voice("/b"), Meter()
        self.fanout = Fanout({"/a": self.a, "/b": self.b}, self.meter, epoch="e", flush_s=FLUSH_S)

    def listener(self, *audiences: str, vocabulary: str = "/a") -> Ears:
        client = ears(ANNA, vocabulary=vocabulary)
        self.fanout.subscribe(client.peer, audiences)
        return client

    def publish(self, seq: int, audiences: tuple[str, ...] = HALL, **data: JSON) -> None:
        self.fanout.publish(Published(seq, "room", 0, audiences, f"fact {seq}", data))


@pytest.fixture
def studio() -> Studio:
    return Studio()


@asynccontextmanager
async def running(studio: Studio) -> AsyncIterator[None]:
    assert isinstance(trio.lowlevel.current_clock(), MockClock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(studio.fanout.run)
        yield
        nursery.cancel_scope.cancel()


async def test_a_fact_is_rendered_once_per_vocabulary(studio: Studio) -> None:
    clients = [studio.listener("hall", vocabulary=name) for name in ("/a", "/b") for _ in range(50)]
    studio.publish(1)
    studio.fanout.flush()
    assert studio.a.said == studio.b.said == [("fact 1", "hall")]
    assert all(client.seqs() == [1] for client in clients)
    assert len({id(client.heard[0].frame) for client in clients}) == 2, "the frame is shared"
    assert studio.meter.counts["frames"] == 100


async def test_what_nobody_hears_is_not_rendered(studio: Studio) -> None:
    studio.listener("elsewhere")
    studio.publish(1)
    studio.fanout.show(told("view", {}), key="k")
    assert studio.a.said == []


async def test_the_offset_ends_a_fact(studio: Studio) -> None:
    client = studio.listener("hall")
    studio.publish(7)
    studio.fanout.flush()
    assert client.heard[0].offset == studio.fanout.offset(7) == "e-7"
    assert client.heard[0].frame.kind is Kind.FACT


async def test_whoever_sits_in_several_audiences_hears_a_fact_once_as_the_first(studio: Studio) -> None:
    both, hall, staff = studio.listener("hall", "staff"), studio.listener("hall"), studio.listener("staff")
    studio.publish(1, STAFF_AND_HALL)
    studio.fanout.flush()
    assert [item["as"] for item in both.events("fact 1")] == ["staff"]
    assert [item["as"] for item in hall.events("fact 1")] == ["hall"]
    assert [item["as"] for item in staff.events("fact 1")] == ["staff"]


async def test_a_listener_in_several_audiences_hears_the_order_of_the_log(studio: Studio) -> None:
    both, hall = studio.listener("hall", "staff", "user:anna"), studio.listener("hall")
    told = [HALL, ("staff",), STAFF_AND_HALL, ("user:anna",), HALL, ("staff",)]
    for seq, audiences in enumerate(told, 1):
        studio.publish(seq, audiences)
    studio.fanout.flush()
    assert both.seqs() == [1, 2, 3, 4, 5, 6]
    assert len(both.writes) == 1, "and all of it in one write"
    assert hall.seqs() == [1, 3, 5]


async def test_one_frame_serves_several_audiences_of_a_vocabulary_each(studio: Studio) -> None:
    many = [studio.listener("hall", "staff") for _ in range(20)] + [studio.listener("hall") for _ in range(20)]
    studio.publish(1, STAFF_AND_HALL)
    studio.fanout.flush()
    assert studio.a.said == [("fact 1", "staff"), ("fact 1", "hall")]
    assert len({id(client.heard[0].frame) for client in many}) == 2


async def test_what_is_not_for_an_audience_is_not_sent_there(studio: Studio) -> None:
    hall, staff = studio.listener("hall"), studio.listener("staff")
    studio.publish(1, STAFF_AND_HALL, secret=True)
    studio.publish(2, STAFF_AND_HALL)
    studio.fanout.flush()
    assert hall.seqs() == [2]
    assert staff.seqs() == [1, 2]


async def test_an_idle_fan_out_flushes_at_once(studio: Studio, autojump_clock: MockClock) -> None:
    client = studio.listener("hall")
    async with running(studio):
        await trio.sleep(5)
        before_s = trio.current_time()
        studio.publish(1)
        await settle()
        assert client.seqs() == [1]
        assert trio.current_time() == before_s


async def test_within_a_tick_frames_are_joined(studio: Studio, autojump_clock: MockClock) -> None:
    client = studio.listener("hall")
    async with running(studio):
        studio.publish(1)
        await settle()
        for seq in range(2, 50):
            studio.publish(seq)
            await trio.sleep(FLUSH_S / 100)
        assert client.seqs() == [1]
        await trio.sleep(FLUSH_S)
        assert client.seqs() == list(range(1, 50))
        assert [len(write) for write in client.writes] == [1, 48]


async def test_no_frame_waits_longer_than_a_tick(studio: Studio, autojump_clock: MockClock) -> None:
    client = studio.listener("hall")
    async with running(studio):
        late_s = []
        for seq in range(1, 100):
            came = trio.Event()
            client.on_write = came.set
            sent_s = trio.current_time()
            studio.publish(seq)
            await came.wait()
            late_s.append(trio.current_time() - sent_s)
            await trio.sleep(FLUSH_S / 7)
        assert max(late_s) <= FLUSH_S
        assert client.seqs() == list(range(1, 100))


async def test_a_large_crowd_of_frames_does_not_wait_for_the_tick(studio: Studio) -> None:
    client = studio.listener("hall")
    for seq in range(1, 4):
        studio.publish(seq, text="x" * (module.PENDING_BYTES_MAX // 2))
    assert client.seqs() == [1, 2]


async def test_whoever_subscribes_in_the_middle_hears_nothing_older(studio: Studio) -> None:
    early = studio.listener("hall")
    studio.publish(1)
    late = studio.listener("hall")
    studio.publish(2)
    studio.fanout.flush()
    assert early.seqs() == [1, 2]
    assert late.seqs() == [2]


async def test_whoever_unsubscribes_still_hears_what_was_before(studio: Studio) -> None:
    client = studio.listener("hall", "staff")
    studio.publish(1)
    studio.fanout.unsubscribe(client.peer, ["hall", "nowhere"])
    studio.publish(2)
    studio.publish(3, ("staff",))
    studio.fanout.flush()
    assert client.seqs() == [1, 3]


@pytest.mark.parametrize("audiences", [HALL, STAFF_AND_HALL], ids=["one audience", "several"])
async def test_those_who_come_and_go_cut_nobodys_tick_short(studio: Studio, audiences: tuple[str, ...]) -> None:
    """When a crowd comes back, each of them would have a whole venue written to."""
    staff, hall, goer = studio.listener("hall", "staff"), studio.listener("hall"), studio.listener("hall")
    studio.publish(1, audiences)
    late = studio.listener("hall")
    studio.fanout.unsubscribe(goer.peer, ["hall"])
    studio.fanout.show_to(hall.peer, told("total", {}))
    assert [len(client.writes) for client in (staff, hall, goer, late)] == [0, 2, 1, 0]
    studio.publish(2, audiences)
    studio.fanout.flush()
    assert [client.seqs() for client in (staff, hall, goer, late)] == [[1, 2], [1, 2], [1], [2]]
    assert [len(client.writes) for client in (staff, hall, goer, late)] == [1, 3, 1, 1]


async def test_nobody_who_is_gone_is_written_to(studio: Studio) -> None:
    client = studio.listener("hall")
    studio.publish(1)
    client.peer.leave()
    studio.fanout.unsubscribe(client.peer, ["hall"])
    studio.fanout.flush()
    assert client.heard == []
    assert studio.meter.counts["frames"] == 0


async def test_an_audience_is_forgotten_with_its_last_listener(studio: Studio) -> None:
    one, other = studio.listener("hall"), studio.listener("hall", vocabulary="/b")
    assert studio.fanout.heard("hall")
    studio.fanout.unsubscribe(one.peer, ["hall"])
    assert studio.fanout.heard("hall")
    studio.fanout.unsubscribe(other.peer, ["hall"])
    assert not studio.fanout.heard("hall")


@pytest.mark.parametrize("audiences", [HALL, STAFF_AND_HALL], ids=["one audience", "several"])
async def test_a_reader_that_is_shown_out_while_it_is_written_to_harms_nobody(
    studio: Studio, audiences: tuple[str, ...]
) -> None:
    """A full outbox ends a connection within the write: its subscriptions end while the flush is under way."""
    alone, before, after = (studio.listener("hall", vocabulary=name) for name in ("/a", "/b", "/b"))
    for client in (alone, before):
        client.on_write = lambda client=client: studio.fanout.unsubscribe(client.peer, ["hall"])
    studio.publish(1, audiences)
    studio.publish(2, audiences)
    studio.fanout.flush()
    studio.publish(3, audiences)
    studio.fanout.flush()
    assert after.seqs() == [1, 2, 3]
    assert alone.seqs() == before.seqs() == [1, 2]


async def test_a_view_carries_its_key_and_no_offset_and_a_burst_neither(studio: Studio) -> None:
    client = studio.listener("hall")
    studio.fanout.show(told("total", {"n": 1}), key="k")
    studio.fanout.show(told("wave", {"n": 2}))
    studio.fanout.flush()
    view, burst = client.heard
    assert (view.frame.kind, view.frame.key, view.offset) == (Kind.VIEW, "/a k", None)
    assert (burst.frame.kind, burst.frame.key, burst.offset) == (Kind.BURST, None, None)


async def test_a_view_for_one_follows_what_already_waits(studio: Studio) -> None:
    client, other = studio.listener("hall"), studio.listener("hall")
    studio.publish(1)
    studio.fanout.show_to(client.peer, told("total", {}), key="k")
    assert [item.event for item in client.heard] == ["fact 1", "total"]
    assert other.heard == [], "nobody else's tick is cut short"
    studio.fanout.flush()
    assert [item.event for item in client.heard] == ["fact 1", "total"]
    assert other.seqs() == [1]


async def test_every_listener_of_random_traffic_hears_what_it_should_in_order(studio: Studio) -> None:
    """Against a plain model: who sits where when a fact is published hears it, once, as its first audience."""
    dice = random.Random(20_260_101)
    rooms = ["hall", "staff", "user:anna"]
    clients = [studio.listener(vocabulary=dice.choice(["/a", "/b"])) for _ in range(12)]
    sits: list[set[str]] = [set() for _ in clients]
    expected: list[list[tuple[str, str]]] = [[] for _ in clients]
    for seq in range(1, 400):
        which, audience = dice.randrange(len(clients)), dice.choice(rooms)
        if dice.random() < 0.5:
            studio.fanout.subscribe(clients[which].peer, [audience])
            sits[which].add(audience)
        elif dice.random() < 0.3:
            studio.fanout.unsubscribe(clients[which].peer, [audience])
            sits[which].discard(audience)
        told = tuple(dice.sample(rooms, dice.randint(1, 3)))
        studio.publish(seq, told)
        for place, seat in enumerate(sits):
            first = next((name for name in told if name in seat), None)
            if first is not None:
                expected[place].append((f"fact {seq}", first))
        if dice.random() < 0.2:
            which = dice.randrange(len(clients))
            studio.fanout.show_to(clients[which].peer, Told(f"one {seq}", {"as": ""}, "e-0", 0, "room", "hall"))
            expected[which].append((f"one {seq}", ""))
        if dice.random() < 0.2:
            studio.fanout.flush()
    studio.fanout.flush()
    for client, wanted in zip(clients, expected, strict=True):
        assert [(item.event, item.payload["as"]) for item in client.heard] == wanted


async def test_what_a_vocabulary_does_not_speak_is_not_sent(studio: Studio) -> None:
    client = studio.listener("hall")
    studio.fanout.show(told("foreign", {}))
    studio.fanout.show_to(client.peer, told("foreign", {}))
    studio.fanout.show_variants(studio.fanout.variants(HALL, lambda who: 1), told("foreign", {}), key="k")
    studio.fanout.flush()
    assert client.heard == []


async def test_whoever_hears_the_largest_audience_alone_shares_its_write(studio: Studio) -> None:
    crowd = [studio.listener("hall") for _ in range(20)]
    both, staff = studio.listener("staff", "hall"), studio.listener("staff")
    for seq, audiences in enumerate([HALL, ("staff",), HALL, ("staff",), HALL], 1):
        studio.publish(seq, audiences)
    studio.fanout.flush()
    assert all(client.seqs() == [1, 3, 5] and len(client.writes) == 1 for client in crowd)
    assert len({tuple(map(id, client.writes[0])) for client in crowd}) == 1
    assert (both.seqs(), len(both.writes)) == ([1, 2, 3, 4, 5], 1)
    assert (staff.seqs(), len(staff.writes)) == ([2, 4], 1)
    assert studio.meter.counts["frames"] == 20 * 3 + 5 + 2


async def test_a_crowd_is_not_looked_at_one_by_one_for_the_sake_of_a_few(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(50):
        studio.listener("hall")
    studio.listener("staff", "hall")
    looked_at: list[tuple[str, ...]] = []
    first_heard = studio.fanout._first_heard

    def noted(audiences: tuple[str, ...]) -> dict[Peer, str]:
        looked_at.append(audiences)
        return first_heard(audiences)

    monkeypatch.setattr(studio.fanout, "_first_heard", noted)
    studio.publish(1)
    studio.publish(2, ("staff",))
    studio.fanout.flush()
    assert looked_at == [("staff",)]


async def test_facts_views_and_bursts_keep_their_order_across_audiences(studio: Studio) -> None:
    both, hall = studio.listener("hall", "staff"), studio.listener("hall")
    studio.publish(1)
    studio.fanout.show(told("view", {}), key="k")
    studio.publish(2, ("staff",))
    studio.fanout.show(told("burst", {}))
    studio.publish(3, STAFF_AND_HALL)
    studio.fanout.flush()
    assert [item.event for item in both.heard] == ["fact 1", "view", "fact 2", "burst", "fact 3"]
    assert [item.event for item in hall.heard] == ["fact 1", "view", "burst", "fact 3"]


async def test_audiences_in_another_order_are_heard_as_their_own_first(studio: Studio) -> None:
    both = studio.listener("hall", "staff")
    for seq, audiences in enumerate([("staff", "hall"), ("hall", "staff"), ("hall",), ("staff", "hall")], 1):
        studio.publish(seq, audiences)
    studio.fanout.flush()
    assert [(item.seq, item.payload["as"]) for item in both.heard] == [
        (1, "staff"),
        (2, "hall"),
        (3, "hall"),
        (4, "staff"),
    ]


async def test_a_reader_shown_out_of_a_crowd_hears_no_more_and_the_crowd_does(studio: Studio) -> None:
    crowd = [studio.listener("hall", vocabulary=name) for name in ("/a", "/b") * 3]
    for client in crowd[:2]:
        client.on_write = lambda client=client: studio.fanout.unsubscribe(client.peer, ["hall"])
    staff = studio.listener("staff", "hall")
    for seq, audiences in enumerate([HALL, ("staff",), HALL], 1):
        studio.publish(seq, audiences)
    studio.fanout.flush()
    studio.publish(4)
    studio.fanout.flush()
    assert [client.seqs() for client in crowd] == [[1, 3]] * 2 + [[1, 3, 4]] * 4
    assert staff.seqs() == [1, 2, 3, 4]


async def test_the_size_of_audiences_counts_every_listener_of_each(studio: Studio) -> None:
    for audiences in (("hall",), ("hall", "staff"), ("staff",)):
        for name in ("/a", "/b"):
            studio.listener(*audiences, vocabulary=name)
    assert studio.fanout.size(("hall",)) == 4
    assert studio.fanout.size(("hall", "staff")) == 8
    assert studio.fanout.size(("nowhere",)) == 0


AUDIENCES = ("hall", "staff", "stage", "user:anna")
seated = st.lists(
    st.tuples(st.sampled_from(["/a", "/b"]), st.sets(st.sampled_from(AUDIENCES))), min_size=1, max_size=12
)
happens = st.one_of(
    st.tuples(st.just("fact"), st.lists(st.sampled_from(AUDIENCES), min_size=1, max_size=4, unique=True)),
    st.tuples(st.just("secret"), st.lists(st.sampled_from(AUDIENCES), min_size=1, max_size=4, unique=True)),
    st.tuples(st.just("view"), st.sampled_from(AUDIENCES).map(lambda name: [name])),
)


@given(seated, st.lists(st.lists(happens, min_size=1, max_size=8), max_size=4))
async def test_any_mix_in_one_flush_is_what_each_would_hear_one_by_one(
    seats: list[tuple[str, set[str]]], flushes: list[list[tuple[str, list[str]]]]
) -> None:
    """Against a naive model: each listener goes through all that happened and picks what it hears, as its first."""
    studio = Studio()
    clients = [studio.listener(*sorted(audiences), vocabulary=name) for name, audiences in seats]
    expected: list[list[tuple[str, str]]] = [[] for _ in clients]
    number = writes = 0
    for flush in flushes:
        before = [len(one) for one in expected]
        for kind, audiences in flush:
            number += 1
            if kind == "view":
                studio.fanout.show(Told(f"view {number}", {"as": ""}, "e-0", 0, "room", audiences[0]), key="k")
            else:
                studio.publish(number, tuple(audiences), secret=kind == "secret")
            for (_, sits), hears in zip(seats, expected, strict=True):
                first = next((name for name in audiences if name in sits), None)
                if first is not None and not (kind == "secret" and first != "staff"):
                    hears.append((f"view {number}", "") if kind == "view" else (f"fact {number}", first))
        studio.fanout.flush()
        writes += sum(len(hears) > count for hears, count in zip(expected, before, strict=True))
    heard = [[(item.event, item.payload["as"]) for item in client.heard] for client in clients]
    assert heard == expected
    assert sum(len(client.writes) for client in clients) == writes, "whoever hears anything of a flush gets one write"


def answer(word: str) -> Frame:
    return Frame(b'2/a,["%s",null]' % word.encode(), kind=Kind.ACK)


def talk(studio: Studio) -> None:
    """So much waits for the flush that answers wait, too."""
    for seq in range(1, module.ANSWERS_WAIT_FROM_ITEMS + 1):
        studio.publish(seq)


async def test_an_answer_goes_out_at_once_while_little_waits(studio: Studio) -> None:
    anna = studio.listener("hall")
    studio.publish(1)
    studio.fanout.answer(anna.peer, answer("done"))
    assert anna.events() == [("done", None)]


async def test_in_a_crowd_that_talks_an_answer_leaves_with_the_flush_in_one_write(studio: Studio) -> None:
    anna, ben = studio.listener("hall"), studio.listener("hall")
    talk(studio)
    studio.fanout.answer(anna.peer, answer("first"))
    studio.fanout.answer(anna.peer, answer("second"))
    assert anna.writes == []
    studio.fanout.flush()
    assert len(anna.writes) == len(ben.writes) == 1
    assert [event for event, _ in anna.events()][:3] == ["first", "second", "fact 1"]
    assert anna.seqs() == ben.seqs() == list(range(1, module.ANSWERS_WAIT_FROM_ITEMS + 1))
    studio.publish(99)
    studio.fanout.flush()
    assert len(anna.events("first")) == 1


async def test_an_answer_waits_no_longer_for_who_hears_several_audiences_or_none(studio: Studio) -> None:
    anna, ben = studio.listener("hall", "anna"), studio.listener("kitchen")
    talk(studio)
    studio.publish(50, ("anna",))
    for client in (anna, ben):
        studio.fanout.answer(client.peer, answer("done"))
    studio.fanout.flush()
    assert [len(anna.writes), len(ben.writes)] == [1, 1]
    assert ben.events() == [("done", None)]
    assert anna.events()[0] == ("done", None)


async def test_an_answer_waits_a_tick_at_most(studio: Studio, autojump_clock: MockClock) -> None:
    anna, hall, answered = studio.listener("kitchen"), studio.listener("hall"), trio.Event()
    anna.on_write = answered.set
    async with running(studio):
        studio.publish(100)
        await settle()
        began_s = trio.current_time()
        talk(studio)
        studio.fanout.answer(anna.peer, answer("done"))
        assert anna.writes == []
        await answered.wait()
        assert trio.current_time() - began_s <= FLUSH_S
    assert len(hall.writes) == 2


async def test_an_answer_that_cannot_be_written_holds_up_no_other(studio: Studio) -> None:
    anna, ben = studio.listener("kitchen"), studio.listener("kitchen")

    def fail() -> None:
        raise RuntimeError("broken")

    anna.on_write = fail
    studio.listener("hall")
    talk(studio)
    for client in (anna, ben):
        studio.fanout.answer(client.peer, answer("done"))
    studio.fanout.flush()
    assert ben.events() == [("done", None)]


async def test_an_answer_to_who_is_gone_is_dropped(studio: Studio) -> None:
    anna = studio.listener("hall")
    talk(studio)
    studio.fanout.answer(anna.peer, answer("done"))
    anna.peer.leave()
    studio.fanout.unsubscribe(anna.peer, ("hall",))
    assert anna.writes == []
