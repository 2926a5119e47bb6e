"""Access codes over a real hub: what a code opens, who is taken in, and seeds whose code nobody else gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from livehub.contracts import codes as module
from livehub.contracts.codes import REGISTRATION_S, SEED_KEPT_S, Codes
from livehub.errors import Refused, Unavailable
from livehub.feature import Person, Via
from livehub.features import discover
from livehub.features.registry import Registry
from livehub.features.sessions import SLUG_CHARS, SLUG_LETTERS, Sessions, slug_of
from livehub.rooms.gate import Gate
from livehub.stores.memory import MemoryStore, open_memory
from tests.kit import ANNA, OWNER, HubUnderTest, ears, open_hub, settle, uuid

GUEST = Person(uuid(7), first_name="Gus", role="GUEST", session="s1")


@asynccontextmanager
async def reception(store: MemoryStore | None = None) -> AsyncIterator[tuple[HubUnderTest, Codes]]:
    async with open_hub(*discover(), store=store) as hub:
        codes = Codes(hub.house)
        await codes.ready()
        hub.gate = Gate(hub.house, rates=None, seeds={"session.create": codes.seed})
        yield hub, codes


async def create(hub: HubUnderTest, session: str = "s1") -> str:
    """The code of a new session."""
    made = await hub.do("session.create", {"title": "Keynote"}, who=OWNER, door=Via.REST, room_id=session)
    return str(made["slug"])


def draw(monkeypatch: pytest.MonkeyPatch, *seeds: int) -> Iterator[int]:
    """Let these be the next seeds that are drawn."""
    drawn = iter(seeds)
    monkeypatch.setattr("livehub.contracts.codes.any_seed", lambda: next(drawn))
    return drawn


async def test_a_session_is_found_by_the_code_it_was_acknowledged_with(autojump_clock: MockClock) -> None:
    async with reception() as (hub, codes):
        slug = await create(hub)
        assert len(slug) == SLUG_CHARS
        assert set(slug) <= set(SLUG_LETTERS)
        assert (codes.find(slug), codes.find(slug.lower())) == ("s1", "s1")
        assert codes.find("A" * SLUG_CHARS) is None


async def test_a_code_that_was_given_out_just_now_is_waited_for(autojump_clock: MockClock) -> None:
    """The ack of a creation comes before the registry has heard of it."""
    async with reception() as (hub, codes):
        hub.store.hold_commits = held = trio.Event()
        reply = await hub.ask("session.create", {}, who=OWNER, door=Via.REST, room_id="s1")
        found: list[str | None] = []

        async def seek(slug: str) -> None:
            found.append(await codes.seek(slug))

        async with trio.open_nursery() as nursery:
            await settle()
            slug = next(iter(codes._kept))
            nursery.start_soon(seek, slug.lower())
            await trio.sleep(0.5)
            assert found == []
            held.set()
        assert found == ["s1"]
        assert (await reply.answer()).reply["slug"] == slug


async def test_a_code_of_nobody_is_not_waited_for_and_one_that_came_to_nothing_not_for_long(
    autojump_clock: MockClock,
) -> None:
    async with reception() as (_, codes):
        began_s = trio.current_time()
        assert await codes.seek("A" * SLUG_CHARS) is None
        assert trio.current_time() == began_s
        assert await codes.seek(slug_of(codes.seed())) is None
        assert trio.current_time() - began_s == pytest.approx(REGISTRATION_S, abs=0.03)


async def test_codes_are_known_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with reception(store) as (hub, _):
            slug = await create(hub)
        async with reception(store) as (_, codes):
            assert codes.find(slug) == "s1"


async def test_a_seed_whose_code_is_taken_is_not_given(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reception() as (hub, codes):
        with monkeypatch.context() as patch:
            draw(patch, 1 << 100, 1, 2)
            await create(hub)
        taken = hub.house.rooms["session:s1"].state.features
        slug = next(one.slug for one in taken if isinstance(one, Sessions))
        assert slug == slug_of(1 << 100)
        drawn = draw(monkeypatch, 1 << 100, 1 << 101)
        assert codes.seed() == 1 << 101
        assert list(drawn) == []


async def test_a_seed_is_kept_for_whoever_got_it_for_a_while(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who create at once never draw the same code; one that came to nothing is free again later."""
    async with reception() as (_, codes):
        draw(monkeypatch, 5, 5, 6, 5, 7, 5)
        assert (codes.seed(), codes.seed()) == (5, 6)
        await trio.sleep(SEED_KEPT_S - 1)
        assert codes.seed() == 7
        await trio.sleep(2)
        assert codes.seed() == 5


async def test_no_more_seeds_are_kept_than_so_many(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEEDS_KEPT_MAX", 2)
    async with reception() as (_, codes):
        draw(monkeypatch, 1, 2, 3, 3, 1)
        assert [codes.seed() for _ in range(4)] == [1, 2, 3, 1]


async def test_a_code_that_was_drawn_twice_all_the_same_is_drawn_again(autojump_clock: MockClock) -> None:
    """Sessions that come into being in other ways draw blindly: the registry settles it."""
    async with open_hub(*discover()) as hub:
        codes = Codes(hub.house)
        await codes.ready()
        for session in ("s1", "s2"):
            reply = await hub.command(f"session:{session}", "session.planned", {"eventId": "e1", "title": session})
            await reply.answer()
            await settle()
        registry = next(one for one in hub.house.rooms["registry:sessions"].state.features if isinstance(one, Registry))
        first, second = (registry.sessions[session]["slug"] for session in ("s1", "s2"))
        assert first == slug_of(1), "both were planned with one seed"
        assert first != second
        assert (codes.find(first), codes.find(second)) == ("s1", "s2")


async def test_a_guest_is_taken_in_under_their_own_id(autojump_clock: MockClock) -> None:
    async with reception() as (hub, codes):
        await create(hub)
        assert [await codes.admit("s1", GUEST) for _ in range(2)] == [GUEST.id, GUEST.id]
        facts = await hub.store.read("session:s1", 0, 100)
        assert [fact.kind for fact in facts].count("session.joined") == 1
        assert hub.room().state.admits(GUEST.id)


async def test_a_user_is_taken_in_under_an_id_that_stays(autojump_clock: MockClock) -> None:
    async with reception() as (hub, codes):
        await create(hub)
        first = await codes.admit("s1", ANNA)
        assert (first != ANNA.id, len(first)) == (True, 36)
        assert await codes.admit("s1", replace(ANNA, first_name="Anne")) == first
        assert hub.room().state.admits(ANNA.id)


async def test_nobody_is_taken_in_before_it_is_on_disk(autojump_clock: MockClock) -> None:
    async with reception() as (hub, codes):
        await create(hub)
        hub.store.fail_commits = True
        with pytest.raises(Unavailable):
            await codes.admit("s1", GUEST)
        hub.store.fail_commits = False
        await trio.sleep(10)
        assert not hub.room().state.admits(GUEST.id)
        assert await codes.admit("s1", GUEST) == GUEST.id


async def test_nobody_is_taken_into_a_session_that_is_not_there(autojump_clock: MockClock) -> None:
    async with reception() as (_, codes):
        with pytest.raises(Refused, match="Session not found"):
            await codes.admit("nowhere", GUEST)


async def test_people_who_are_in_can_take_a_seat(autojump_clock: MockClock) -> None:
    async with reception() as (hub, codes):
        await create(hub)
        await codes.admit("s1", GUEST)
        gus = ears(GUEST)
        assert await hub.do("session.join", {"sessionId": "s1"}, gus) == {"sessionId": "s1"}
        read = await hub.do("session.read", who=GUEST, door=Via.REST, room_id="s1")
        assert read["participantCount"] == 1
