"""The directory: names put over REST win, news of people is remembered, the deactivated stay out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trio.testing import MockClock

from livehub.errors import AuthFailed
from livehub.feature import Person
from livehub.features.users import OneUser, PutUser
from livehub.stores.memory import open_memory
from tests.contracts.stage import stage
from tests.kit import ANNA, settle, uuid

ROOM = "directory:users"


async def test_a_person_is_known_by_their_token_until_somebody_knows_better(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        assert set_up.directory.recognise(ANNA) == ANNA
        await set_up.directory.meet(ANNA)
        renamed = replace(ANNA, first_name="Anne")
        assert set_up.directory.recognise(renamed).first_name == "Anne"
        await set_up.hub.command(ROOM, "user.put", PutUser(user_id="anna", first_name="Annabel", last_name="Lee"))
        await settle()
        known = set_up.directory.recognise(ANNA)
        assert (known.first_name, known.last_name, known.email) == ("Annabel", "Lee", ANNA.email)


async def test_meeting_somebody_twice_is_no_news(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        for _ in range(3):
            await set_up.directory.meet(ANNA)
            await settle()
        facts = await set_up.hub.store.read(ROOM, 0, 10)
        assert [fact.kind for fact in facts] == ["user.met"]


async def test_the_deactivated_are_remembered_across_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with stage(store) as set_up:
            await set_up.hub.command(ROOM, "user.deactivate", OneUser(user_id="anna"))
            await settle()
        async with stage(store) as set_up:
            with pytest.raises(AuthFailed, match="user_deactivated"):
                set_up.directory.recognise(ANNA)
            await set_up.hub.command(ROOM, "user.put", PutUser(user_id="anna", first_name="Anna"))
            await settle()
            assert set_up.directory.recognise(ANNA).first_name == "Anna"


async def test_guests_are_not_in_it_and_it_has_no_say_about_them(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        guest = Person(uuid(1), first_name="Gus", session="s1")
        await set_up.directory.meet(guest)
        await set_up.hub.command(ROOM, "user.put", PutUser(user_id=guest.id, first_name="Other", active=False))
        await settle()
        assert set_up.directory.recognise(guest) == guest
        facts = await set_up.hub.store.read(ROOM, 0, 10)
        assert [fact.kind for fact in facts] == ["user.put"]
