"""A request that nobody waits for is answered all the same; who waits gets the one answer."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import SYSTEM
from livehub.rooms import request as module
from livehub.rooms.catalog import Catalog
from livehub.rooms.peer import Answer
from livehub.rooms.request import Awaited, Request, any_seed
from tests.kit import settle
from tests.rooms.toys import Counter


def test_by_itself_a_request_is_the_hubs_own_and_its_answer_goes_nowhere() -> None:
    request = Request(Catalog([Counter]).commands["toy.add"], None, 0, 0)
    assert request.who is SYSTEM
    assert (request.peer, request.claim, request.told, request.timer) == (None, None, None, None)
    request.reply(Answer({}))
    request.reply(Refused("No"))


async def test_an_answer_is_waited_for_or_there_already(autojump_clock: MockClock) -> None:
    early, late = Awaited(), Awaited()
    early(Answer({"n": 1}))
    assert await early.answer() == Answer({"n": 1})
    heard: list[Answer | Refused] = []

    async def wait() -> None:
        heard.append(await late.answer())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await settle()
        assert heard == []
        late(Refused("No"))
    assert [str(result) for result in heard] == ["No"]


def test_a_seed_is_the_systems_own_128_bits_each_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bytes] = []

    def urandom(size: int) -> bytes:
        given.append(random.Random(len(given)).randbytes(size))
        return given[-1]

    monkeypatch.setattr("livehub.rooms.request.os.urandom", urandom)
    seeds = module._Seeds()
    drawn = [seeds() for _ in range(module.SEEDS_AT_ONCE)]
    assert len(given) == 1
    drawn += [seeds() for _ in range(module.SEEDS_AT_ONCE + 1)]
    assert [len(pool) for pool in given] == [module.SEEDS_AT_ONCE * 16] * 3, "one call for many, and then the next"
    pool = b"".join(given)
    assert drawn == [int.from_bytes(pool[at * 16 : at * 16 + 16], "big") for at in range(len(drawn))]


def test_seeds_of_all_128_bits_come_and_none_comes_twice() -> None:
    drawn = [any_seed() for _ in range(3 * module.SEEDS_AT_ONCE)]
    assert len(set(drawn)) == len(drawn)
    ever, always = 0, (1 << 128) - 1
    for seed in drawn:
        ever |= seed
        always &= seed
    assert (ever, always) == ((1 << 128) - 1, 0), "each bit is sometimes set and sometimes not"
