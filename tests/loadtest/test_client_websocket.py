"""Text frames take the short way, everything else goes through trio-websocket, and nothing overtakes anything."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from loadtest.client import ConnectFailed
from loadtest.client.websocket import Tap
from tests.loadtest.peer import OPEN, Client, Peer, frame, serving

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def said(name: str) -> bytes:
    return frame(f'42/events,["{name}",{{}}]'.encode())


class Sink:
    """A wire that only takes."""

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = 0
        self.written: list[bytes] = []
        self.closed = False

    def start(self, fed: object, gone: object) -> None:
        """Nothing comes."""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drained(self) -> None:
        await trio.lowlevel.checkpoint()

    def pause(self) -> None:
        """Nothing to stop."""

    resume = pause

    def cut(self, *, silent: bool = False) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


def tapped(heard: list[bytes], detours: list[None] | None = None) -> Tap:
    return Tap(
        Sink(),
        heard.append,
        detoured=lambda: detours.append(None) if detours is not None else None,
        closing=lambda: None,
        read_out=lambda: None,
    )


async def test_frames_are_the_same_however_the_bytes_arrive() -> None:
    texts = [b"a", b"b" * 125, b"c" * 126, b"d" * 70_000, b""]
    data = HEAD + b"".join(map(frame, texts))
    for size in (1, 2, 3, 7, 64, 5_000, len(data)):
        heard: list[bytes] = []
        tap = tapped(heard)
        for at in range(0, len(data), size):
            tap.feed(data[at : at + size])
        assert heard == texts
        assert await tap.receive_some() == HEAD


async def test_what_is_not_whole_text_is_passed_on_unchanged() -> None:
    heard: list[bytes] = []
    tap = tapped(heard)
    ping, close = frame(b"?", 0x89), frame(b"\x03\xe9", 0x88)
    tap.feed(HEAD + frame(b"one") + ping + frame(b"two") + close)
    assert heard == [b"one", b"two"]
    assert [await tap.receive_some() for _ in range(3)] == [HEAD, ping, close]
    assert tap.close_code == 1001


async def test_while_a_message_is_on_the_long_way_all_go_that_way() -> None:
    heard: list[bytes] = []
    detours: list[None] = []
    tap = tapped(heard, detours)
    pieces = [frame(b"fr", 0x01), frame(b"?", 0x89), frame(b"ag", 0x80), frame(b"after")]
    tap.feed(HEAD + b"".join(pieces))
    assert heard == []
    assert tap.detours == len(detours) == 2
    await tap.receive_some()
    assert [await tap.receive_some() for _ in pieces] == pieces
    tap.detours = 0
    tap.feed(frame(b"short way again"))
    assert heard == [b"short way again"]


async def test_an_answer_other_than_101_is_trio_websockets_to_read() -> None:
    heard: list[bytes] = []
    tap = tapped(heard)
    refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\n"
    tap.feed(refusal[:20])
    tap.feed(refusal[20:])
    tap.feed(frame(b"x"))
    assert await tap.receive_some() == refusal
    assert await tap.receive_some() == frame(b"x")
    assert heard == []


async def test_a_server_that_masks_is_left_to_trio_websocket() -> None:
    heard: list[bytes] = []
    tap = tapped(heard)
    tap.feed(HEAD + b"\x81\x81\0\0\0\0x")
    tap.feed(frame(b"x"))
    assert heard == []


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_whatever_break_the_tap(pieces: list[bytes]) -> None:
    heard: list[bytes] = []
    tap = tapped(heard)
    tap.feed(HEAD)
    for piece in pieces:
        tap.feed(piece)
    assert sum(map(len, heard)) <= sum(map(len, pieces))


async def test_the_end_of_the_wire_comes_after_what_was_passed_on() -> None:
    tap = tapped([])
    tap.feed(HEAD)
    tap.end()
    assert await tap.receive_some() == HEAD
    assert await tap.receive_some() == b""


async def test_pings_and_fragments_are_handled_in_order() -> None:
    pongs: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.send(said("a"), frame(b"beat", 0x89), frame(b'42/events,["b"', 0x01), frame(b",1]", 0x80), said("c"))
        await peer.send(frame(b"binary", 0x82), said("d"))
        pongs.append(await peer.frame())
        await peer.send(said("e"))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        await client.until(lambda: len(client.heard) == 5)
        client.connection.cut()
    assert client.names == ["a", "b", "c", "d", "e"]
    assert pongs == [(0x8A, b"beat")]


@pytest.mark.parametrize(("payload", "reason"), [(b"\x03\xe9", "1001"), (b"", "no code")])
async def test_the_server_closing_is_told_once_with_its_code(payload: bytes, reason: str) -> None:
    answers: list[int] = []
    answered = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.admit()
        await peer.frame()
        await peer.send(said("last"), frame(payload, 0x88))
        answers.append((await peer.frame())[0])
        answered.set()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        client.connection.emit("go")
        await client.until(lambda: bool(client.reasons))
        await answered.wait()
        await client.connection.close()
    assert client.reasons == [f"closed by the server: {reason}"]
    assert client.names == ["last"]
    assert answers == [0x88]


async def test_a_refused_upgrade_tells_the_status_and_the_body() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull")
        await peer.stream.aclose()

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        with pytest.raises(ConnectFailed, match="HTTP 503 full") as caught:
            await client.connection.open({})
    assert caught.value.status == 503
    assert client.reasons == []


async def test_a_server_that_goes_away_in_the_handshake_is_no_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.stream.aclose()

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed, match="connection"):
            await Client(hub, port).connection.open({})


async def test_a_websocket_that_is_no_engine_io_is_no_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(frame(b"hello"))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed, match=r"Engine\.IO"):
            await Client(hub, port).connection.open({})


async def test_a_silent_server_is_given_up_after_the_time_given() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(frame(OPEN))
        await trio.sleep_forever()

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed, match=r"within 0\.05 s"):
            await Client(hub, port).connection.open({}, timeout_s=0.05)


async def test_a_polite_close_says_goodbye_on_every_layer() -> None:
    goodbyes: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        await peer.admit()
        goodbyes.append(await peer.frame())
        goodbyes.append(await peer.frame())
        await peer.send(frame(goodbyes[-1][1], 0x88))

    async with serving(script) as (hub, port):
        client = Client(hub, port)
        await client.connection.open({})
        await client.connection.close()
        await client.connection.close()
    assert goodbyes[0] == (0x81, b"41/events,")
    assert goodbyes[1][0] == 0x88
    assert client.reasons == []
