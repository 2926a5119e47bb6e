"""A request that nobody waits for is answered all the same; who waits gets the one answer."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import SYSTEM
from livehub.rooms.catalog import Catalog
from livehub.rooms.peer import Answer
from livehub.rooms.request import Awaited, Request
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
