"""A key that comes again: the same ask is answered again, another one is refused, and nothing happens twice."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.ports import Entry, KeyRecord, Tenure
from livehub.rooms import keys as module
from livehub.rooms.keys import KEY_LIFE_MS, Claim, Keys, digest
from livehub.rooms.peer import Answer
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import START_MS, Clock, Reply, settle, uuid

KEY = uuid(1)
SAME = digest("chat.send", "session:s1", {"text": "hi"})
OTHER = digest("chat.send", "session:s1", {"text": "ho"})
HOUR_S = 3_600


async def use(store: MemoryStore, keys: Keys, clock: Clock, wanted: bytes = SAME) -> Claim:
    """Claim a key for an ask, commit it, and settle it."""
    claim = await keys.claim("anna", KEY, wanted, Reply())
    assert claim is not None
    await commit(store, claim.record({"id": "m1"}, clock()))
    keys.settle(claim, Answer({"id": "m1"}))
    return claim


async def commit(store: MemoryStore, record: KeyRecord) -> None:
    done = trio.Event()
    store.submit(Entry(Tenure(), "session:s1", record.at_ms, lambda _: done.set(), key=record))
    await done.wait()


async def test_a_new_key_is_claimed_without_a_look_at_the_disk(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryStore, "find_key", None)
    async with open_memory() as store:
        assert await Keys(store, Clock()).claim("anna", KEY, SAME, Reply()) is not None


async def test_only_a_key_that_is_surely_new_is_claimed_without_waiting(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys = Keys(store, clock := Clock())
        claim = keys.claim_new("anna", KEY, SAME)
        assert claim is not None
        assert keys.claim_new("anna", KEY, SAME) is None, "it is in use"
        again = Reply()
        assert await keys.claim("anna", KEY, SAME, again) is None
        await commit(store, claim.record({"id": "m1"}, clock()))
        keys.settle(claim, Answer({"id": "m1"}))
        assert again.result == Answer({"id": "m1"}, replayed=True)
        assert keys.claim_new("anna", KEY, SAME) is None, "it was used"
        assert keys.claim_new("ben", KEY, SAME) is not None


async def test_the_same_ask_again_is_answered_again(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys, again = Keys(store, clock := Clock()), Reply()
        await use(store, keys, clock)
        assert await keys.claim("anna", KEY, SAME, again) is None
        assert again.result == Answer({"id": "m1"}, replayed=True)


async def test_another_ask_with_a_used_key_is_a_duplicate(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys = Keys(store, clock := Clock())
        await use(store, keys, clock)
        with pytest.raises(Refused, match=r"^Duplicate request$") as caught:
            await keys.claim("anna", KEY, OTHER, Reply())
        assert (caught.value.status, caught.value.code) == (409, "duplicate")
        again = Reply()
        assert await keys.claim("anna", KEY, SAME, again) is None
        assert again.result == Answer({"id": "m1"}, replayed=True), "a duplicate takes nothing away"


async def test_while_the_first_is_in_flight_the_same_ask_waits_for_its_answer(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys, again = Keys(store, Clock()), Reply()
        claim = await keys.claim("anna", KEY, SAME, Reply())
        assert claim is not None
        assert await keys.claim("anna", KEY, SAME, again) is None
        with pytest.raises(Refused, match="Duplicate request"):
            await keys.claim("anna", KEY, OTHER, Reply())
        assert again.result is None
        keys.settle(claim, Answer({"id": "m1"}))
        assert again.result == Answer({"id": "m1"}, replayed=True)


async def test_a_refused_ask_does_not_use_up_its_key(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys, again = Keys(store, Clock()), Reply()
        claim = await keys.claim("anna", KEY, SAME, Reply())
        assert claim is not None
        await keys.claim("anna", KEY, SAME, again)
        refusal = Refused("Not now")
        keys.settle(claim, refusal)
        assert again.result is refusal
        assert await keys.claim("anna", KEY, OTHER, Reply()) is not None


async def test_a_key_belongs_to_a_person(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        keys = Keys(store, clock := Clock())
        await use(store, keys, clock)
        assert await keys.claim("ben", KEY, OTHER, Reply()) is not None


async def test_a_used_key_is_known_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        await use(store, Keys(store, clock := Clock()), clock)
        keys, again = Keys(store, clock), Reply()
        await keys.load()
        assert await keys.claim("anna", KEY, SAME, again) is None
        assert again.result == Answer({"id": "m1"}, replayed=True)
        with pytest.raises(Refused, match="Duplicate request"):
            await keys.claim("anna", KEY, OTHER, Reply())


async def test_a_key_is_kept_for_a_day_and_no_longer(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        keys = Keys(store, clock)
        await trio.sleep(10 * HOUR_S)
        await use(store, keys, clock)
        for _ in range(24):
            await trio.sleep(HOUR_S - 1)
            keys.turn()
            again = Reply()
            assert await keys.claim("anna", KEY, SAME, again) is None
            assert again.result is not None
        await trio.sleep(60)
        assert await keys.claim("anna", KEY, OTHER, Reply()) is not None


async def test_keys_of_the_day_before_yesterday_are_forgotten(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        clock = Clock()
        keys = Keys(store, clock)
        await use(store, keys, clock)
        assert keys._maybe_used(("anna", KEY))
        for _ in range(2):
            await trio.sleep(KEY_LIFE_MS / 1_000)
            keys.turn()
        assert not keys._maybe_used(("anna", KEY))


async def test_more_keys_than_memory_holds_are_looked_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEYS_IN_MEMORY_MAX", 0)
    async with open_memory() as store:
        keys, again = Keys(store, clock := Clock()), Reply()
        await use(store, keys, clock)
        assert await keys.claim("anna", KEY, SAME, again) is None
        assert again.result == Answer({"id": "m1"}, replayed=True)
        assert await keys.claim("ben", KEY, SAME, Reply()) is not None, "a new key is still new"


class SlowShelf(MemoryStore):
    """A store whose look-ups see the log as it was, and come back when they like."""

    def __init__(self) -> None:
        super().__init__(None, 10, 10)
        self.looks: list[trio.Event] = []

    async def find_key(self, user: str, key: str) -> KeyRecord | None:
        found = await super().find_key(user, key)
        self.looks.append(trio.Event())
        await self.looks[-1].wait()
        return found


async def test_a_key_that_is_being_looked_up_is_not_claimed_beside_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory() as store, trio.open_nursery() as nursery:
        keys = Keys(store, clock := Clock())
        await use(store, keys, clock)
        looking, go_on = trio.Event(), trio.Event()

        async def find(*_: str) -> None:
            looking.set()
            await go_on.wait()

        monkeypatch.setattr(store, "find_key", find)
        monkeypatch.setattr(keys, "_maybe_used", lambda pair: not looking.is_set())
        nursery.start_soon(keys.claim, "anna", KEY, SAME, Reply())
        await looking.wait()
        assert keys.claim_new("anna", KEY, SAME) is None
        go_on.set()


async def test_of_two_that_look_a_key_up_at_once_only_one_goes_ahead(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a look-up takes, it does not report a key as new that was used meanwhile."""
    monkeypatch.setattr(module, "KEYS_IN_MEMORY_MAX", 0)
    store = SlowShelf()
    keys = Keys(store, Clock())
    keys._remember(("somebody", "else"))  # from now on every key is looked up
    claims: list[Claim | None] = []
    replies = [Reply(), Reply()]

    async def claim(reply: Reply) -> None:
        claim = await keys.claim("anna", KEY, SAME, reply)
        claims.append(claim)
        if claim is not None:
            store._keys["anna", KEY] = claim.record({"id": "m1"}, START_MS)
            keys.settle(claim, Answer({"id": "m1"}))

    async with trio.open_nursery() as nursery:
        for reply in replies:
            nursery.start_soon(claim, reply)
        await settle()
        while store.looks:
            store.looks.pop(0).set()
            await settle()
    assert len([found for found in claims if found is not None]) == 1
    assert [reply.result for reply in replies if reply.results] == [Answer({"id": "m1"}, replayed=True)]


async def test_a_look_up_that_is_given_up_is_taken_over(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEYS_IN_MEMORY_MAX", 0)
    store = SlowShelf()
    keys = Keys(store, Clock())
    keys._remember(("somebody", "else"))
    claims: list[Claim | None] = []

    async def claim(task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            claims.append(await keys.claim("anna", KEY, SAME, Reply()))

    async with trio.open_nursery() as nursery:
        first = await nursery.start(claim)
        await settle()
        nursery.start_soon(claim)
        await settle()
        first.cancel()
        await settle()
        assert len(store.looks) == 2
        store.looks[1].set()
    assert len(claims) == 1
    assert claims[0] is not None


def test_two_asks_are_the_same_if_event_room_and_payload_are() -> None:
    assert digest("e", "r", {"a": 1, "b": 2}) == digest("e", "r", {"b": 2, "a": 1})
    assert digest("e", "r", {"a": 1}) != digest("f", "r", {"a": 1})
    assert digest("e", "r", {"a": 1}) != digest("e", "q", {"a": 1})
    assert digest("e", "r", {"a": 1}) != digest("e", "r", {"a": 1.0})
    assert digest("er", "", {}) != digest("e", "r", {})
