"""Wires keep order and bounds, whether over a socket in the epoll or over a Trio stream."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from loadtest.client import wires
from loadtest.client.hub import Hub
from loadtest.client.wires import ENDED, LOST, OUTBOX_FULL, SocketWire, StreamWire
from tests.loadtest.peer import hub_running

MIB = 1 << 20
BUFFER_BYTES = 16_384  # so that a socket is soon full


class Ears:
    """What a wire told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reasons: list[str] = []

    def fed(self, data: bytes) -> None:
        self.data += data


@asynccontextmanager
async def socket_wire() -> AsyncIterator[tuple[Hub, SocketWire, socket.socket, Ears]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        ours = socket.create_connection(listener.getsockname())
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        theirs, _ = listener.accept()
    ours.setblocking(False)
    theirs.settimeout(5)
    async with hub_running() as hub:
        wire, ears = SocketWire(hub, ours), Ears()
        wire.start(ears.fed, ears.reasons.append)
        with theirs:
            yield hub, wire, theirs, ears
        wire.cut()


async def heard(ears: Ears, size: int) -> None:
    with trio.fail_after(5):
        while len(ears.data) < size:
            await trio.lowlevel.checkpoint()


async def told(ears: Ears) -> None:
    with trio.fail_after(5):
        while not ears.reasons:
            await trio.lowlevel.checkpoint()


def drain(theirs: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = theirs.recv(MIB)
        assert piece
        got += piece
    return bytes(got)


async def test_bytes_come_and_are_counted() -> None:
    async with socket_wire() as (_hub, wire, theirs, ears):
        theirs.sendall(b"hello")
        await heard(ears, 5)
        assert wire.bytes_in == 5
        wire.write(b"hi")
        assert theirs.recv(10) == b"hi"
        assert wire.bytes_out == 2


async def test_what_the_kernel_refuses_follows_in_order() -> None:
    async with socket_wire() as (_, wire, theirs, _ears):
        pieces = [bytes([number]) * 300_000 for number in range(12)]
        for piece in pieces:
            wire.write(piece)
        whole = b"".join(pieces)
        assert wire.bytes_out < len(whole), "the test needs a full socket"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.drained)
            got = await trio.to_thread.run_sync(drain, theirs, len(whole))
        assert got == whole
        assert wire.bytes_out == len(whole)


async def test_a_server_that_does_not_read_is_left_at_the_bound() -> None:
    async with socket_wire() as (_, wire, _theirs, ears):
        for _ in range(100):
            wire.write(b"x" * MIB)
        assert ears.reasons == [OUTBOX_FULL]
        wire.write(b"after the end nothing happens")


async def test_a_paused_wire_reads_nothing_until_it_resumes() -> None:
    async with socket_wire() as (_, wire, theirs, ears):
        wire.pause()
        theirs.sendall(b"later")
        await wait_all_tasks_blocked(0.02)
        assert not ears.data
        wire.resume()
        await heard(ears, 5)


async def test_the_servers_end_is_told_once() -> None:
    async with socket_wire() as (_, wire, theirs, ears):
        theirs.shutdown(socket.SHUT_WR)
        await told(ears)
        wire.cut()
        assert ears.reasons == [ENDED]


async def test_a_reset_is_a_lost_connection() -> None:
    async with socket_wire() as (_, _wire, theirs, ears):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        await told(ears)
        assert ears.reasons == [LOST]


async def test_a_cut_resets() -> None:
    async with socket_wire() as (_, wire, theirs, ears):
        wire.cut()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)
        assert ears.reasons == []


async def test_a_silent_wire_neither_reads_nor_writes_nor_ends() -> None:
    async with socket_wire() as (_, wire, theirs, ears):
        wire.cut(silent=True)
        wire.write(b"unsaid")
        theirs.sendall(b"unheard")
        await wait_all_tasks_blocked(0.02)
        assert not ears.data
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        wire.cut()
        theirs.settimeout(5)
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


@asynccontextmanager
async def stream_wire() -> AsyncIterator[tuple[StreamWire, trio.testing.MemoryReceiveStream, trio.abc.Stream, Ears]]:
    ours, theirs = memory_stream_pair()
    ears = Ears()
    async with trio.open_nursery() as nursery:
        wire = StreamWire(nursery, ours)
        wire.start(ears.fed, ears.reasons.append)
        yield wire, ours.receive_stream, theirs, ears
        nursery.cancel_scope.cancel()


async def test_a_stream_wire_carries_both_ways() -> None:
    async with stream_wire() as (wire, _, theirs, ears):
        wire.write(b"a")
        wire.write(b"b")
        await wire.drained()
        assert bytes(await theirs.receive_some()) == b"ab"
        await theirs.send_all(b"hello")
        await heard(ears, 5)
        assert (wire.bytes_in, wire.bytes_out) == (5, 2)


async def test_a_stream_wire_pauses() -> None:
    async with stream_wire() as (wire, _, theirs, ears):
        wire.pause()
        await theirs.send_all(b"1")
        await wait_all_tasks_blocked()
        await theirs.send_all(b"2")
        await wait_all_tasks_blocked()
        assert len(ears.data) <= 1, "what a read under way finds still comes"
        wire.resume()
        await heard(ears, 2)


async def test_a_stream_wire_tells_its_end_and_closes() -> None:
    async with stream_wire() as (wire, _, theirs, ears):
        await theirs.aclose()
        await told(ears)
        assert ears.reasons == [ENDED]
        wire.write(b"nothing")


async def test_a_silent_stream_wire_stays_open_until_cut() -> None:
    async with stream_wire() as (wire, _, theirs, ears):
        wire.cut(silent=True)
        await theirs.send_all(b"unheard")
        wire.write(b"unsaid")
        await wait_all_tasks_blocked()
        assert not ears.data
        with trio.move_on_after(0) as waited:
            await theirs.receive_some()
        assert waited.cancelled_caught, "it is open, and says nothing"
        wire.cut()
        assert await theirs.receive_some() == b""
        assert ears.reasons == []


async def test_a_stream_wire_has_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "OUTBOX_MAX_BYTES", 10)
    async with stream_wire() as (wire, _, _theirs, ears):
        wire.write(b"x" * 11)
        assert ears.reasons == [OUTBOX_FULL]
