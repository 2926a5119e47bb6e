"""What an ask came to, as the log is given it; and what the world is shown of it, under the right seqs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from trio.testing import MockClock

from livehub.contracts.events import NAMESPACE, EventsVocabulary
from livehub.feature import EVERYONE, After, Ask, Burst, Cancel, Do, Effect, Fact, Tell
from livehub.ports import Entry, SeatRecord, TellRecord, Tenure, TimerRecord
from livehub.rooms.catalog import Catalog
from livehub.rooms.commit import Hub, Written, publish, write
from livehub.rooms.fanout import Fanout
from livehub.rooms.keys import Claim, Keys
from livehub.rooms.peer import Seat
from livehub.rooms.request import Request
from livehub.rooms.state import Performed, State
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, START_MS, Clock, Ears, Meter, ears
from tests.rooms.toys import STAFF, Counter

CATALOG = Catalog([Counter])


@dataclass
class Notes:
    """Errands that are only noted."""

    done: list[tuple[Any, ...]] = field(default_factory=list)

    def tell(self, record: TellRecord) -> None:
        self.done.append(("tell", record.room, record.command, record.data))

    def set_timer(self, record: TimerRecord) -> None:
        self.done.append(("set", record.key))

    def unset_timer(self, room: str, key: str) -> None:
        self.done.append(("unset", room, key))

    def do(self, room: str, work: Do) -> None:
        self.done.append(("do", room, work.work))


def carried_out(*facts: Fact, request: Request | None = None, **came: Any) -> Written:
    ask = Ask(None, ANNA, START_MS, 7)
    return Written(State(CATALOG, "session", "s1"), ask, Performed(list(facts), **came), request)


def asked(client: Ears | None = None, **more: Any) -> Request:
    command = CATALOG.commands["toy.join"]
    return Request(command, None, START_MS, 7, who=ANNA, peer=client.peer if client else None, **more)


def entry_of(written: Written, store: MemoryStore) -> Entry:
    entry = write(written, Tenure(), store)
    assert entry is not None
    assert written.entry is entry
    return entry


async def test_an_ask_that_changes_nothing_writes_nothing(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        fleeting = Fact("toy.said", {"text": "x"}, (EVERYONE,), kept=False)
        for written in (carried_out(), carried_out(fleeting, bursts=[Burst("b", {})], effects=[Do("work", {})])):
            assert write(written, Tenure(), store) is None


async def test_a_line_holds_the_fact_and_the_full_names_of_who_hears_it(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        said = Fact("toy.said", {"text": "é"}, ("user:anna", STAFF, EVERYONE))
        quiet, fleeting = Fact("toy.joined", {"userId": "anna"}), Fact("toy.said", {}, (EVERYONE,), kept=False)
        entry = entry_of(carried_out(said, fleeting, quiet), store)
        assert [(line.kind, orjson.loads(line.data), line.audiences) for line in entry.lines] == [
            ("toy.said", {"text": "é"}, ("user:anna", "session:s1#staff", "session:s1")),
            ("toy.joined", {"userId": "anna"}, ()),
        ]
        assert (entry.room, entry.at_ms) == ("session:s1", START_MS)


async def test_a_used_key_is_kept_with_the_answer(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        request = asked(claim=Claim("anna", "key", b"digest"))
        entry = entry_of(carried_out(request=request, reply={"id": "m1"}), store)
        assert entry.key is not None
        assert (entry.key.user, entry.key.key, entry.key.digest) == ("anna", "key", b"digest")
        assert (orjson.loads(entry.key.ack), entry.key.at_ms) == ({"id": "m1"}, START_MS)


async def test_a_seat_hears_from_behind_the_facts_of_its_own_ask(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        client = ears(ANNA)
        written = carried_out(Fact("toy.joined", {}), Fact("toy.joined", {}), request=asked(client))
        written.taken = Seat("session:s1", ("session:s1",))
        entry = entry_of(written, store)
        store.submit(entry)
        assert entry.seq + len(entry.lines) - 1 == 2
        assert entry.takes == [SeatRecord("sid-anna", "session:s1", "anna", ("session:s1",), 2, START_MS)]
        later = carried_out(request=asked(client))
        later.taken = Seat("session:s1", ("session:s1",))
        assert [seat.since for seat in entry_of(later, store).takes] == [2], "without facts of its own as well"


async def test_a_seat_that_was_left_is_forgotten(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        written = carried_out(request=asked(ears(ANNA)))
        written.left = Seat("session:s1", ("session:s1",))
        assert entry_of(written, store).leaves == [("sid-anna", "session:s1")]


async def test_a_client_that_cannot_come_back_has_no_seat_on_disk(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        client = ears(ANNA)
        client.peer.recoverable = False
        written = carried_out(request=asked(client))
        written.taken = Seat("session:s1", ("session:s1",))
        assert write(written, Tenure(), store) is None


async def test_effects_are_written_with_ids_that_no_feature_draws(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        effects: list[Effect] = [
            Tell("session:s2", "toy.told", {"n": 1}), After("tea", 5, "toy.ring", {"n": 2}), Cancel("old"),
            Tell("session:s2", "toy.told", {"n": 3}), Do("work", {}),
        ]  # fmt: skip
        written = carried_out(effects=effects)
        entry = entry_of(written, store)
        assert [(tell.room, tell.command, tell.data) for tell in entry.tells] == [
            ("session:s2", "toy.told", b'{"n":1}'),
            ("session:s2", "toy.told", b'{"n":3}'),
        ]
        assert not {tell.id for tell in entry.tells} & {written.ask.new_id(n) for n in range(1_000)}
        assert len({tell.id for tell in entry.tells}) == 2
        assert entry.sets == [TimerRecord("session:s1", "tea", 5, "toy.ring", b'{"n":2}')]
        assert entry.unsets == ["old"]


async def test_what_an_ask_answers_is_done_with_in_the_same_commit(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        entry = entry_of(carried_out(request=asked(told="tell-1")), store)
        assert entry.told == "tell-1"
        entry = entry_of(
            carried_out(request=asked(timer=TimerRecord("session:s1", "tea", 5, "toy.ring", b"{}"))), store
        )
        assert entry.unsets == ["tea"]


async def test_facts_are_shown_under_their_seqs_and_effects_begin(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        meter, errands = Meter(), Notes()
        fanout = Fanout({NAMESPACE: EventsVocabulary(CATALOG)}, meter, epoch="e", flush_s=0)
        hub = Hub(CATALOG, store, fanout, Keys(store, Clock()), errands, meter, Clock())
        client = ears(ANNA)
        fanout.subscribe(client.peer, ["session:s1"])
        written = carried_out(
            Fact("toy.joined", {"userId": "anna"}),
            Fact("toy.said", {"text": "fleeting"}, (EVERYONE,), kept=False),
            Fact("toy.said", {"text": "kept"}, (EVERYONE,)),
            Fact("toy.added", {"total": 1}, (STAFF, EVERYONE)),
            effects=[Tell("session:s2", "toy.told", {}), After("tea", 5, "toy.ring"), Cancel("tea"), Do("work", {})],
            bursts=[Burst("toy.waved", {"text": "hi"})],
        )
        store.submit(entry_of(written, store))
        publish(hub, written)
        fanout.flush()
        assert [(item.event, item.offset) for item in client.heard] == [
            ("toy.said", None), ("toy.said", "e-2"), ("toy.added", "e-3"), ("toy.waved", None),
        ]  # fmt: skip
        assert errands.done == [
            ("unset", "session:s1", "tea"), ("set", "tea"), ("tell", "session:s2", "toy.told", b"{}"),
            ("do", "session:s1", "work"),
        ]  # fmt: skip
