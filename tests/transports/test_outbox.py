"""Outboxes and slow readers: nothing waits, nothing is cut, and what cannot wait goes first."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from livehub.transports import outbox as module
from livehub.transports.backlog import Outgoing, Waiting
from livehub.transports.outbox import (
    PollOutbox,
    PumpedOutbox,
    SocketOutbox,
    nobody_waits,
)
from livehub.wire.frames import BinaryFrame, ControlFrame, Frame, Kind, WireBytes

LIMIT = 100_000
BIG = b"x" * 40_000


def fact(text: str) -> Frame:
    return Frame(text.encode())


def view(text: str, key: str = "results") -> Frame:
    return Frame(text.encode(), kind=Kind.VIEW, key=key)


def burst(text: str) -> Frame:
    return Frame(text.encode(), kind=Kind.BURST)


@dataclass
class Line:
    """An outbox whose reader holds the other end of a socket with a small buffer."""

    outbox: SocketOutbox
    reader: trio.socket.SocketType
    full: list[int]

    def fill(self) -> bytes:
        """Write until the kernel takes no more; what was written."""
        before = b""
        while not Waiting.size:
            frame = Frame(BIG)
            self.outbox.write(frame)
            before += frame.framed
        return before

    async def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = await self.reader.recv(min(size - len(data), 10_000))
            if not piece:
                break
            data += piece
        return bytes(data)


@pytest.fixture
async def line(nursery: trio.Nursery) -> AsyncIterator[Line]:
    writer, reader = trio.socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
    full: list[int] = []
    outbox = SocketOutbox(writer, LIMIT, nursery.start_soon)
    outbox.on_full = lambda: full.append(1)
    yield Line(outbox, reader, full)
    outbox.kill()
    assert Waiting.size == 0
    writer.close()
    reader.close()


async def test_a_write_is_out_before_it_returns(line: Line) -> None:
    line.outbox.write(fact("one"))
    line.outbox.write(ControlFrame(b"2"))
    line.outbox.write_joined([fact("a"), fact("b")], b"\x81\x024a\x81\x024b")
    assert await line.reader.recv(100) == b"\x81\x044one\x81\x012\x81\x024a\x81\x024b"


async def test_what_the_kernel_refuses_follows_exactly(line: Line) -> None:
    expected = line.fill()
    assert 0 < Waiting.size < LIMIT
    for number in range(50):
        line.outbox.write(fact(f"{number}"))
        expected += fact(f"{number}").framed
    two = [fact("joined"), Frame(b"5", [b"\x00\x01"])]
    line.outbox.write_joined(two, b"not used while pressed")
    expected += two[0].framed + two[1].framed
    assert await line.read(len(expected)) == expected
    await line.outbox.drained()
    assert Waiting.size == 0
    line.outbox.write(fact("direct again"))
    assert await line.reader.recv(100) == fact("direct again").framed


async def test_while_pressed_bursts_are_dropped_and_views_take_each_others_place(line: Line) -> None:
    expected = line.fill()
    for frame in (
        fact("one"),
        view("old"),
        view("other", key="leaders"),
        burst("🎉"),
        fact("two"),
        view("new"),
        Frame(b"ack", kind=Kind.ACK),
    ):
        line.outbox.write(frame)
    told = (fact("one"), view("new"), view("other"), fact("two"), fact("ack"))
    expected += b"".join(frame.framed for frame in told)
    assert await line.read(len(expected)) == expected
    line.outbox.write(burst("🎉"))
    assert await line.reader.recv(100) == burst("🎉").framed


async def test_a_burst_that_was_begun_is_finished(line: Line) -> None:
    begun = burst("x" * 90_000)
    line.outbox.write(begun)
    assert Waiting.size
    line.outbox.write(burst("dropped"))
    line.outbox.write(fact("end"))
    expected = begun.framed + fact("end").framed
    assert await line.read(len(expected)) == expected


async def test_more_than_the_limit_calls_for_the_end(line: Line) -> None:
    line.fill()
    line.outbox.write(Frame(BIG))
    assert line.full == []
    line.outbox.write(Frame(BIG))
    line.outbox.write(Frame(BIG))
    assert line.full


async def test_a_replaced_view_does_not_fill_the_outbox(line: Line) -> None:
    line.fill()
    for number in range(100):
        line.outbox.write(view(str(number) + "x" * 40_000))
    assert line.full == []


async def test_finish_sends_what_waits_and_then_the_end(line: Line) -> None:
    expected = line.fill()
    line.outbox.write(WireBytes(b"bye"))
    line.outbox.finish()
    line.outbox.write(fact("too late"))
    assert await line.read(1 << 20) == expected + b"bye"


async def test_finish_with_nothing_waiting_is_the_end_at_once(line: Line) -> None:
    line.outbox.finish()
    line.outbox.write(fact("too late"))
    assert await line.reader.recv(100) == b""


async def test_kill_forgets_what_waits_and_wakes_who_waits_for_it(line: Line, nursery: trio.Nursery) -> None:
    line.fill()
    nursery.start_soon(line.outbox.drained)
    await wait_all_tasks_blocked()
    line.outbox.kill()
    assert Waiting.size == 0
    line.outbox.write(fact("too late"))
    line.outbox.kill()
    await line.outbox.drained()


async def test_a_reader_that_left_is_no_error(line: Line) -> None:
    line.fill()
    line.reader.close()
    await line.outbox.drained()
    line.outbox.write(fact("nobody hears"))
    assert Waiting.size == 0


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was offered to the kernel, call by call."""
    calls: list[bytes] = []

    def write(fd: int, data: bytes) -> int:
        calls.append(data)
        return os.write(fd, data)

    monkeypatch.setattr(module, "os", SimpleNamespace(write=write))
    return calls


async def test_what_is_written_while_it_is_held_goes_out_in_one_send(line: Line, sends: list[bytes]) -> None:
    assert line.outbox.hold()
    line.outbox.write(fact("one"))
    line.outbox.write_joined([fact("a"), fact("b")], fact("a").framed + fact("b").framed)
    line.outbox.write(ControlFrame(b"2"))
    line.outbox.write(WireBytes(b"raw"))
    assert sends == []
    line.outbox.release()
    expected = b"".join(fact(text).framed for text in ("one", "a", "b")) + b"\x81\x012raw"
    assert sends == [expected]
    assert await line.reader.recv(100) == expected
    assert Waiting.size == 0
    line.outbox.write(fact("at once again"))
    assert sends[1:] == [fact("at once again").framed]


async def test_holding_for_nothing_sends_nothing(line: Line, sends: list[bytes]) -> None:
    assert line.outbox.hold()
    line.outbox.release()
    assert sends == []
    await line.outbox.drained()


async def test_what_is_held_already_is_not_held_again(line: Line) -> None:
    assert line.outbox.hold()
    assert not line.outbox.hold()
    line.outbox.release()
    assert line.outbox.hold()
    line.outbox.release()


async def test_a_pressed_socket_is_not_held(line: Line) -> None:
    expected = line.fill()
    assert not line.outbox.hold()
    line.outbox.write(fact("one"))
    expected += fact("one").framed
    assert await line.read(len(expected)) == expected
    await line.outbox.drained()
    assert line.outbox.hold(), "it takes data again"
    line.outbox.release()


async def test_a_socket_that_is_pressed_at_the_release_gets_the_rest_in_order(line: Line) -> None:
    assert line.outbox.hold()
    frames = [Frame(bytes((65 + number,)) * 20_000) for number in range(4)]
    for frame in frames:
        line.outbox.write(frame)
    line.outbox.release()
    assert 0 < Waiting.size < 80_000, "the kernel took some"
    line.outbox.write(fact("later"))
    expected = b"".join(frame.framed for frame in [*frames, fact("later")])
    assert await line.read(len(expected)) == expected
    await line.outbox.drained()
    line.outbox.write(fact("direct again"))
    assert await line.reader.recv(100) == fact("direct again").framed


async def test_a_crowd_of_bytes_is_sent_piece_by_piece(
    line: Line, sends: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_BYTES", 50)
    frames = [fact("x" * 28) for _ in range(10)]
    assert line.outbox.hold()
    for frame in frames:
        line.outbox.write(frame)
    line.outbox.release()
    assert len(sends) == 1, "the rest is for the turns that follow"
    await line.outbox.drained()
    assert max(map(len, sends)) <= 50 + len(frames[0].framed)
    assert b"".join(sends) == b"".join(frame.framed for frame in frames) == await line.read(310)


async def test_killed_while_it_is_held_it_sends_nothing(line: Line, sends: list[bytes]) -> None:
    assert line.outbox.hold()
    line.outbox.write(fact("one"))
    line.outbox.kill()
    assert Waiting.size == 0
    line.outbox.write(fact("two"))
    line.outbox.release()
    assert sends == []
    assert await line.reader.recv(100) == b""
    assert not line.outbox.hold()


async def test_finished_while_it_is_held_it_sends_that_and_the_end(line: Line, sends: list[bytes]) -> None:
    assert line.outbox.hold()
    line.outbox.write(fact("one"))
    line.outbox.finish()
    line.outbox.write(fact("too late"))
    line.outbox.release()
    assert sends == [fact("one").framed]
    assert await line.read(100) == fact("one").framed


async def test_finished_with_nothing_held_the_end_is_sent_all_the_same(line: Line) -> None:
    assert line.outbox.hold()
    line.outbox.finish()
    line.outbox.release()
    assert await line.reader.recv(100) == b""


async def test_finished_while_it_is_held_and_pressed_it_sends_all_before_the_end(line: Line) -> None:
    frame = Frame(b"x" * 90_000)
    assert line.outbox.hold()
    line.outbox.write(frame)
    line.outbox.finish()
    line.outbox.release()
    assert Waiting.size
    assert await line.read(1 << 20) == frame.framed


async def test_more_than_the_limit_while_it_is_held_calls_for_the_end(line: Line, sends: list[bytes]) -> None:
    line.outbox.on_full = line.outbox.kill
    assert line.outbox.hold()
    for _ in range(3):
        line.outbox.write(Frame(BIG))
    line.outbox.release()
    assert sends == []
    assert Waiting.size == 0
    assert await line.reader.recv(100) == b""


async def test_a_reader_that_left_while_it_is_held_is_no_error(line: Line) -> None:
    assert line.outbox.hold()
    line.outbox.write(fact("one"))
    line.reader.close()
    line.outbox.release()
    assert Waiting.size == 0
    assert not line.outbox.hold(), "it is over"


async def test_drained_waits_for_the_release(line: Line, nursery: trio.Nursery) -> None:
    done: list[str] = []

    async def wait() -> None:
        await line.outbox.drained()
        done.append("drained")

    assert line.outbox.hold()
    line.outbox.write(fact("one"))
    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert done == []
    line.outbox.release()
    await wait_all_tasks_blocked()
    assert done == ["drained"]


class Carrier:
    """Takes batches when it is let."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.let = trio.Event()
        self.let.set()
        self.killed = 0

    async def send(self, frames: Sequence[Outgoing]) -> None:
        await self.let.wait()
        self.sent += [frame.framed for frame in frames]

    def kill(self) -> None:
        self.killed += 1


@pytest.fixture
async def pumped(nursery: trio.Nursery) -> AsyncIterator[tuple[PumpedOutbox, Carrier]]:
    carrier = Carrier()
    outbox = PumpedOutbox(LIMIT, carrier.send, carrier.kill)
    nursery.start_soon(outbox.pump)
    yield outbox, carrier
    outbox.kill()
    assert Waiting.size == 0


async def test_a_pump_sends_in_order_and_batches_what_waited(pumped: tuple[PumpedOutbox, Carrier]) -> None:
    outbox, carrier = pumped
    outbox.write(fact("one"))
    outbox.write_joined([fact("two"), fact("three")], b"")
    outbox.write(burst("dropped while something waits"))
    await outbox.drained()
    assert carrier.sent == [fact(text).framed for text in ("one", "two", "three")]
    outbox.write(burst("not dropped"))
    await outbox.drained()
    assert len(carrier.sent) == 4


async def test_drained_means_sent(pumped: tuple[PumpedOutbox, Carrier], nursery: trio.Nursery) -> None:
    outbox, carrier = pumped
    carrier.let = trio.Event()
    outbox.write(fact("one"))
    done: list[str] = []

    async def wait() -> None:
        await outbox.drained()
        done.append("drained")

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert done == []
    carrier.let.set()
    await wait_all_tasks_blocked()
    assert done == ["drained"]


async def test_a_pump_that_is_finished_ends_after_what_waited(pumped: tuple[PumpedOutbox, Carrier]) -> None:
    outbox, carrier = pumped
    outbox.write(fact("one"))
    outbox.finish()
    outbox.write(fact("too late"))
    await outbox.drained()
    assert carrier.sent == [fact("one").framed]


async def test_a_pump_keeps_to_the_limit(pumped: tuple[PumpedOutbox, Carrier]) -> None:
    outbox, carrier = pumped
    carrier.let = trio.Event()
    for _ in range(3):
        outbox.write(Frame(BIG))
    assert carrier.killed == 1
    await outbox.drained()


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError, OSError])
async def test_a_carrier_that_breaks_ends_the_pump(error: type[Exception]) -> None:
    carrier = Carrier()

    async def broken(frames: Sequence[Outgoing]) -> None:
        raise error

    outbox = PumpedOutbox(LIMIT, broken, carrier.kill)
    outbox.write(fact("one"))
    outbox.write(fact("two"))
    await outbox.pump()
    assert carrier.killed == 1
    outbox.write(fact("too late"))
    assert Waiting.size == 0


# What waits for a GET


@pytest.fixture
def poll() -> PollOutbox:
    return PollOutbox(LIMIT)


async def test_a_get_takes_what_fits_and_at_least_one_frame(poll: PollOutbox) -> None:
    for frame in (fact("123"), BinaryFrame(b"\x01"), Frame(b"5", [b"\x02"]), fact("x" * 50)):
        poll.write(frame)
    assert poll.take(10) == b"4123\x1ebAQ=="
    assert poll.take(7) == b"45\x1ebAg=="
    assert poll.take(10) == b"4" + b"x" * 50
    assert poll.take(10) == b""
    assert Waiting.size == 0


async def test_an_exact_fit_fits(poll: PollOutbox) -> None:
    poll.write(fact("a"))
    poll.write(fact("b"))
    assert poll.take(4) == b"4a"
    assert poll.take(5) == b"4b"
    poll.write(fact("a"))
    poll.write(fact("b"))
    assert poll.take(5) == b"4a\x1e4b"


async def test_word_is_left_with_whoever_waits(poll: PollOutbox) -> None:
    calls: list[str] = []
    poll.write(fact("nobody waits"))
    poll.arrived = lambda: calls.append("arrived")
    poll.write(fact("one"))
    poll.write(burst("dropped while something waits"))
    assert calls == ["arrived"]
    poll.arrived = nobody_waits
    assert poll.take(100) == b"4nobody waits\x1e4one"


async def test_polls_keep_to_the_same_rules(poll: PollOutbox) -> None:
    full: list[str] = []
    poll.on_full = lambda: full.append("full")
    for frame in (fact("one"), view("old"), burst("🎉"), fact("two"), view("new")):
        poll.write(frame)
    assert poll.take(1_000) == b"4one\x1e4new\x1e4two"
    poll.write_joined([Frame(BIG), Frame(BIG)], b"")
    assert full == []
    poll.write(Frame(BIG))
    assert full == ["full"]
    poll.kill()
    assert Waiting.size == 0


async def test_what_is_finished_may_still_be_taken(poll: PollOutbox, nursery: trio.Nursery) -> None:
    poll.write(fact("one"))
    poll.finish()
    poll.write(fact("too late"))
    assert poll.take(100) == b"4one"
    await poll.drained()


async def test_drained_means_taken(poll: PollOutbox, nursery: trio.Nursery) -> None:
    done: list[str] = []

    async def wait(outbox: PollOutbox, word: str) -> None:
        await outbox.drained()
        done.append(word)

    killed = PollOutbox(LIMIT)
    for outbox, word in ((poll, "taken"), (killed, "killed")):
        outbox.write(fact("one"))
        nursery.start_soon(wait, outbox, word)
    await wait_all_tasks_blocked()
    assert done == []
    poll.take(100)
    await wait_all_tasks_blocked()
    assert done == ["taken"]
    killed.kill()
    await wait_all_tasks_blocked()
    assert done == ["taken", "killed"]


async def test_everything_moves_to_the_websocket_in_order(poll: PollOutbox, line: Line) -> None:
    frames: list[Outgoing] = [fact("one"), view("two"), BinaryFrame(b"\x03"), ControlFrame(b"2")]
    for frame in frames:
        poll.write(frame)
    arrivals: list[str] = []
    poll.arrived = lambda: arrivals.append("let go")
    poll.move_to(line.outbox)
    assert arrivals == ["let go"]
    assert await line.reader.recv(1_000) == b"".join(frame.framed for frame in frames)
    assert not poll
    poll.write(fact("too late"))
    assert not poll


async def test_a_burst_within_a_hold_is_not_dropped(nursery: trio.Nursery) -> None:
    near, far = trio.socket.socketpair()
    with near, far:
        outbox = SocketOutbox(near, LIMIT, nursery.start_soon)
        outbox.hold()
        outbox.write(fact("first"))
        outbox.write(burst("boom"))
        outbox.release()
        assert (await far.recv(100)).endswith(burst("boom").framed)
