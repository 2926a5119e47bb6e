"""Audiences have names that no id from outside can imitate."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from livehub.feature import EVERYONE, user
from livehub.payload import OUTSIDE_ID
from livehub.rooms.audiences import PART, as_part, full_name
from tests.kit import ANNA, BEN, ears, open_hub, person
from tests.rooms.toys import STAFF, Counter


@pytest.mark.parametrize("part", [EVERYONE, STAFF])
def test_a_part_is_what_it_was_after_its_name(part: str) -> None:
    assert as_part(full_name("session:a:b", part)) == part


def test_a_person_is_the_same_in_every_room() -> None:
    assert full_name("session:s1", user("anna")) == user("anna")
    assert as_part(user("anna")) == user("anna")


def test_a_name_from_another_room_stays() -> None:
    assert full_name("event:e1", "session:s1") == "session:s1"


def test_no_id_holds_the_mark_of_a_part() -> None:
    assert not OUTSIDE_ID.match(f"s1{PART}staff")


async def test_a_room_named_like_a_part_is_another_room(autojump_clock: MockClock) -> None:
    staff = person("staff", "toy:staff")
    async with open_hub(Counter) as hub:
        member, spy, boss = ears(ANNA), ears(BEN), ears(staff)
        for client, session in ((member, "s1"), (spy, "s1:staff"), (boss, "s1")):
            await hub.do("toy.join", {"sessionId": session}, client)
        await hub.do("toy.whisper", {"text": "secret", "sessionId": "s1"}, boss)
    assert [client.events("toy.said") for client in (member, spy, boss)] == [[], [], [{"text": "secret", "as": STAFF}]]
