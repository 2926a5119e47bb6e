"""What guessing costs: more with every wrong code, less with every quiet spell, and never a right one's way in."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.errors import Refused
from livehub.http import delays as module
from livehub.http.delays import FIRST_S, HALVED_EVERY_S, MOST_S, WAITING_MAX, Delays, network

HERE = "192.0.2.1"


async def wrong(delays: Delays, address: str = HERE) -> float:
    """How long a wrong code took."""
    began_s = trio.current_time()
    await delays.wrong(address)
    return trio.current_time() - began_s


async def right(delays: Delays, address: str = HERE) -> float:
    """How long a right code took."""
    began_s = trio.current_time()
    await delays.right(address)
    return trio.current_time() - began_s


async def test_every_wrong_code_takes_twice_as_long_up_to_a_bound(autojump_clock: MockClock) -> None:
    delays = Delays()
    assert [await wrong(delays) for _ in range(7)] == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 8])
    assert (FIRST_S, MOST_S) == (0.25, 8.0)


async def test_a_right_code_takes_no_time_where_nobody_guesses(autojump_clock: MockClock) -> None:
    delays = Delays()
    assert await right(delays) == 0
    await wrong(delays, "192.0.2.2")
    assert await right(delays) == 0


async def test_a_right_code_waits_as_long_as_the_last_wrong_one_and_makes_it_no_longer(
    autojump_clock: MockClock,
) -> None:
    delays = Delays()
    for _ in range(3):
        await wrong(delays)
    assert [await right(delays) for _ in range(3)] == pytest.approx([1, 1, 1])


async def test_every_quiet_spell_halves_it_until_it_is_forgiven(autojump_clock: MockClock) -> None:
    delays = Delays()
    for _ in range(3):
        await wrong(delays)  # the last came 1 s ago: the next halving is 9 s away
    await trio.sleep(HALVED_EVERY_S - 1.5)
    assert await right(delays) == pytest.approx(1)
    assert await right(delays) == pytest.approx(0.5)
    await trio.sleep(HALVED_EVERY_S)
    assert await right(delays) == pytest.approx(0.25)
    await trio.sleep(HALVED_EVERY_S)
    assert await right(delays) == 0
    await trio.sleep(3_600)
    assert await wrong(delays) == pytest.approx(FIRST_S)


async def test_guesses_at_once_count_each(autojump_clock: MockClock) -> None:
    delays, took = Delays(), []

    async def guess() -> None:
        took.append(await wrong(delays))

    async with trio.open_nursery() as nursery:
        for _ in range(7):
            nursery.start_soon(guess)
    assert sorted(took) == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 8])


async def test_only_so_many_answers_wait_for_one_address(autojump_clock: MockClock) -> None:
    delays = Delays()
    async with trio.open_nursery() as nursery:
        for _ in range(WAITING_MAX):
            nursery.start_soon(wrong, delays)
        await wait_all_tasks_blocked()
        with pytest.raises(Refused) as caught:
            await wrong(delays)
        refusal = caught.value
        assert refusal.message == "Too many wrong codes came from your network, please try again later"
        assert (refusal.status, refusal.code, refusal.retry_after_ms) == (429, "rate_limited", 8_000)
        assert await wrong(delays, "192.0.2.2") == pytest.approx(FIRST_S), "others are not in this"
        assert await right(delays) == pytest.approx(MOST_S), "a right code is slowed, never refused"
    assert await wrong(delays) == pytest.approx(MOST_S), "there is room again"


async def test_somebody_who_goes_away_while_waiting_makes_room(autojump_clock: MockClock) -> None:
    delays = Delays()
    for _ in range(2):
        with trio.move_on_after(0.001):
            async with trio.open_nursery() as nursery:
                for _ in range(WAITING_MAX):
                    nursery.start_soon(wrong, delays)


async def test_no_more_addresses_are_known_than_so_many(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ADDRESSES_MAX", 2)
    delays = Delays()
    for address in ("a", "b", "a", "c"):
        await wrong(delays, address)
    assert len(delays) == 2
    assert [await right(delays, address) for address in ("a", "b", "c")] == pytest.approx([0.5, 0, 0.25])


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("::1", "0::/64"),
        ("unknown", "unknown"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_address_is_what_one_subscriber_has(address: str, place: str) -> None:
    assert network(address) == place


def test_neighbours_in_one_64_are_one_and_others_are_not() -> None:
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9")
    assert network("2001:db8:1:2::1") != network("2001:db8:1:3::1")
