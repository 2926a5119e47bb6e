"""Lines come out whole and in order, however the pipe cut them."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_one_way_pair

from loadtest.lines import Lines


@given(
    st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=10),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_every_line_is_read_once_and_in_order(lines: list[bytes], cuts: list[int]) -> None:
    async def check() -> None:
        sender, receiver = memory_stream_one_way_pair()
        data, at, turn = b"".join(line + b"\n" for line in lines) + b"half a line", 0, 0
        read: list[bytes] = []

        async def write() -> None:
            nonlocal at, turn
            while at < len(data):
                size = cuts[turn % len(cuts)]
                await sender.send_all(data[at : at + size])
                at, turn = at + size, turn + 1
            await sender.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            reader = Lines(receiver)
            while (line := await reader.next()) is not None:
                read.append(line)
        assert read == lines

    trio.run(check)
