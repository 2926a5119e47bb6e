"""What users stand on: names that do not collide, bytes of all connections, and guests."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from loadtest.client import Connection
from loadtest.stage import GUEST_NUMBERS_FROM, TRACES_MAX
from loadtest.user import User
from tests.loadtest.doubles import StageDouble


class Guest(User):
    """Connects."""


def test_ids_and_keys_are_the_users_own_and_go_on_counting() -> None:
    stage = StageDouble()
    first, second, other = stage.next_id(3), stage.next_id(3), stage.next_id(4)
    assert (second - first, other >> 24) == (1, 4)
    assert stage.key(first) == stage.key(first) != stage.key(second)


def test_two_runs_in_one_room_count_only_their_own() -> None:
    one, other = StageDouble(run=1), StageDouble(run=2)
    packet = f'2["chat.message.new",{{"text":"{one.trace(7, 9)}hello"}}]'.encode()
    assert one.trace_of(packet) == (7, 9)
    assert other.trace_of(packet) is None


def test_the_same_users_poll_in_every_run_with_a_seed() -> None:
    def polling(seed: int) -> list[int]:
        stage = StageDouble(seed=seed, polling_percent=25)
        return [number for number in range(400) if stage.transport(number) == "polling"]

    assert polling(1) == polling(1) != polling(2)
    assert 60 < len(polling(1)) < 140
    assert StageDouble().transport(1) == "websocket"


async def test_bytes_are_those_of_connections_that_are_and_that_were() -> None:
    stage = StageDouble()
    async with trio.open_nursery() as nursery:
        user = Guest(stage, 1, nursery)
        stage.users[1] = user
        await user.connect()
        assert stage.bytes() == (100, 10)
        stage.account(cast(Connection, stage.connections[0]))
        assert stage.bytes() == (200, 20)


async def test_guests_are_not_among_the_users_and_leave_with_the_block() -> None:
    stage = StageDouble()
    async with stage.guest(Guest) as guest:
        assert guest.number > GUEST_NUMBERS_FROM
        assert guest.connected
        assert stage.users == {}
    assert stage.connections[0].over.is_set()
    with pytest.raises(LookupError, match="no such poll"):
        async with stage.guest(Guest):
            raise LookupError("no such poll")


async def test_answers_are_waited_for() -> None:
    stage = StageDouble()
    done: list[str] = []

    async def wait() -> None:
        await stage.answered()
        done.append("answered")

    async with trio.open_nursery() as nursery:
        with stage.asking():
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert (done, stage.under_way) == ([], 1)
    assert (done, stage.under_way) == (["answered"], 0)


def test_a_mark_is_found_once_and_only_so_many_are_kept() -> None:
    stage = StageDouble()
    packet = b'2["chat.message.new",{"text":"[lt 0000 0000000000000007 0000000000000009] hello"}]'
    assert stage.trace_of(packet) == stage.trace_of(bytes(bytearray(packet))) == (7, 9)
    for number in range(2 * TRACES_MAX):
        assert stage.trace_of(b"%d" % number) is None
    assert stage.trace_of(packet) == (7, 9)
