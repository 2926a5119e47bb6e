"""How a user stands with the server."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from loadtest.standing import SHUT_OUT_AFTER_NS, Standing


async def test_whoever_waits_or_has_dropped_out_is_busy(autojump_clock: MockClock) -> None:
    standing = Standing()
    assert not standing.busy
    with standing.waiting():
        assert standing.busy
    standing.dropped = True
    async with trio.open_nursery() as nursery:

        async def come_back() -> None:
            await trio.sleep(3)
            with standing.waiting():
                await trio.sleep(4)

        nursery.start_soon(come_back)
        await standing.idle()
        assert trio.current_time() == 7


async def test_the_last_call_ends_an_act_that_waits_for_nothing() -> None:
    standing, ended = Standing(), True
    with trio.CancelScope() as standing.act:
        with standing.waiting():
            await standing.last_call()
        assert not standing.act.cancel_called
        await standing.last_call()
        ended = False
    assert ended


@pytest.mark.parametrize(
    ("waited_ns", "turned_away", "entered", "shut_out"),
    [
        (SHUT_OUT_AFTER_NS - 1, False, False, False),  # had just come
        (SHUT_OUT_AFTER_NS, False, False, True),
        (1, True, False, True),
        (SHUT_OUT_AFTER_NS, True, True, False),
    ],
)
def test_whoever_tried_in_vain_is_shut_out(waited_ns: int, turned_away: bool, entered: bool, shut_out: bool) -> None:
    standing = Standing()
    assert not standing.shut_out(SHUT_OUT_AFTER_NS)  # never tried
    standing.tries(1_000)
    standing.turned_away, standing.entered = turned_away, entered
    assert standing.shut_out(1_000 + waited_ns) is shut_out
