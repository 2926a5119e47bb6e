"""A request that nobody waits for is answered all the same."""

from __future__ import annotations

from livehub.errors import Refused
from livehub.feature import SYSTEM
from livehub.rooms.catalog import Catalog
from livehub.rooms.peer import Answer
from livehub.rooms.request import Request
from tests.rooms.toys import Counter


def test_by_itself_a_request_is_the_hubs_own_and_its_answer_goes_nowhere() -> None:
    request = Request(Catalog([Counter]).commands["toy.add"], None, 0, 0)
    assert request.who is SYSTEM
    assert (request.peer, request.claim, request.told, request.timer) == (None, None, None, None)
    request.reply(Answer({}))
    request.reply(Refused("No"))
