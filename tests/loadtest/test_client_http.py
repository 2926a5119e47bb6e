"""One kept-alive connection: answers whole, a new one when the old is gone, and an end at any time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from loadtest.client.http import Http, HttpLost
from loadtest.client.transport import Address
from tests.loadtest.peer import Peer

HERE = Address.of("http://here", None, None, {})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Line:
    """Dials memory streams; the other ends are peers."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    async def dial(self, _: Address) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self.peers.append(Peer(theirs))
        await trio.lowlevel.checkpoint()
        return ours


async def test_requests_share_a_connection_and_bytes_are_counted() -> None:
    line = Line()
    http = Http(line.dial, HERE)
    heads: list[bytes] = []

    async def serve() -> None:
        while not line.peers:
            await trio.lowlevel.checkpoint()
        heads.append(await line.peers[0].head())
        await line.peers[0].send(OK)
        heads.append(await line.peers[0].head() + await line.peers[0].take(4))
        await line.peers[0].send(OK[:20])
        await line.peers[0].send(OK[20:])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert await http.request("GET", "/a") == (200, b"hi")
        assert await http.request("POST", "/b", b"data") == (200, b"hi")
    assert len(line.peers) == 1
    assert heads[0].startswith(b"GET /a HTTP/1.1\r\n")
    assert heads[1].endswith(b"data")
    assert (http.bytes_in, http.bytes_out) == (2 * len(OK), sum(map(len, heads)))


async def test_an_answer_that_breaks_off_is_an_error_and_the_next_request_dials_anew() -> None:
    line = Line()
    http = Http(line.dial, HERE)

    async def serve(number: int, answer: bytes) -> None:
        while len(line.peers) <= number:
            await trio.lowlevel.checkpoint()
        await line.peers[number].head()
        await line.peers[number].send(answer)
        await line.peers[number].stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, 0, OK[:-1])
        with pytest.raises(HttpLost):
            await http.request("GET", "/")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, 1, OK)
        assert await http.request("GET", "/") == (200, b"hi")


async def test_after_a_cut_nothing_is_dialled() -> None:
    http = Http(Line().dial, HERE)
    http.cut()
    with pytest.raises(HttpLost, match="cut"):
        await http.request("GET", "/")
