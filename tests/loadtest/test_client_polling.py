"""Long polling: one GET after the other, POSTs in order, and an end that is told once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from loadtest.client import Closed, ConnectFailed
from tests.loadtest.peer import OPEN, WELCOME, Client, Peer, serving

Answers = trio.MemoryReceiveChannel[bytes]
Serve = Callable[[Peer], Awaitable[None]]


class Session:
    """The server's side: what GETs are answered with, and what POSTs brought."""

    def __init__(self) -> None:
        self.to_client, self._gets = trio.open_memory_channel[bytes](100)
        self.posted: list[bytes] = []
        self.targets: list[str] = []
        self.post_status = b"200 OK"
        self.hold_posts: trio.Event | None = None
        self.to_client.send_nowait(OPEN)

    async def serve(self, peer: Peer) -> None:
        """One HTTP connection."""
        with suppress(EOFError, trio.BrokenResourceError):
            while True:
                head = await peer.head()
                self.targets.append(head.split()[1].decode())
                if head.startswith(b"GET"):
                    await self._answer(peer, b"200 OK", await self._gets.receive())
                    continue
                size = re.search(rb"content-length: (\d+)", head.lower())
                assert size is not None
                self._take(await peer.take(int(size[1])))
                if self.hold_posts is not None:
                    await self.hold_posts.wait()
                await self._answer(peer, self.post_status, b"ok")

    def _take(self, body: bytes) -> None:
        self.posted.append(body)
        if body.startswith(b"40"):
            self.to_client.send_nowait(WELCOME)
        if body.endswith(b"1"):
            self.to_client.send_nowait(b"6")

    async def _answer(self, peer: Peer, status: bytes, body: bytes) -> None:
        await peer.send(b"HTTP/1.1 ", status, b"\r\nContent-Length: %d\r\n\r\n" % len(body), body)


async def test_packets_of_one_answer_come_in_order_and_noops_not_at_all() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        opened = await client.connection.open({})
        assert opened.sid == "s"
        session.to_client.send_nowait(b'42/events,["a",1]\x1e6\x1e42/events,["b",2,"o-9"]')
        await client.until(lambda: len(client.heard) == 2)
        assert client.names == ["a", "b"]
        assert client.connection.recovery is not None
        assert client.connection.recovery.auth() == {"pid": "p", "offset": "o-9"}
        assert client.connection.bytes_in > len(OPEN)
        assert client.connection.bytes_out > 0
        client.connection.cut()
    assert "sid=" not in session.targets[0]
    assert all("sid=e" in target for target in session.targets[1:])
    assert client.reasons == []


async def test_pings_are_answered_and_what_waits_goes_together() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        await client.connection.open({})
        session.hold_posts = trio.Event()
        session.to_client.send_nowait(b"2")
        with trio.fail_after(5):
            while b"3" not in session.posted:
                await trio.lowlevel.checkpoint()
        client.connection.emit("x")
        client.connection.emit("y")
        session.hold_posts.set()
        await client.connection.close()
    assert session.posted == [b"40/events,{}", b"3", b'42/events,["x"]\x1e42/events,["y"]\x1e41/events,\x1e1']
    assert client.reasons == []


async def test_the_servers_close_packet_ends_it() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        await client.connection.open({})
        session.to_client.send_nowait(b"1")
        await client.until(lambda: bool(client.reasons))
        with pytest.raises(Closed):
            client.connection.emit("x")
    assert client.reasons == ["closed by the server"]


async def test_a_refused_post_ends_it() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        await client.connection.open({})
        session.post_status = b"413 Too Large"
        client.connection.emit("x")
        await client.until(lambda: bool(client.reasons))
    assert client.reasons == ["HTTP 413 to a POST"]


async def test_a_refused_handshake_tells_the_status() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull")

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed, match="HTTP 503 full") as caught:
            await Client(hub, port, "polling").connection.open({})
    assert caught.value.status == 503


@pytest.mark.parametrize("said", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])
async def test_what_does_not_speak_it_is_no_connection(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(said)
        await peer.stream.aclose()

    async with serving(script) as (hub, port):
        with pytest.raises(ConnectFailed):
            await Client(hub, port, "polling").connection.open({})


async def test_a_paused_client_reads_no_answers() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        await client.connection.open({})
        client.connection.pause()
        session.to_client.send_nowait(b'42/events,["a"]')
        session.to_client.send_nowait(b'42/events,["b"]')
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(client.heard) <= 1, "what a read under way finds still comes"
        client.connection.resume()
        await client.until(lambda: client.names == ["a", "b"])
        client.connection.cut()


async def test_a_silent_client_hears_and_says_nothing_more() -> None:
    session = Session()
    async with serving(session.serve) as (hub, port):
        client = Client(hub, port, "polling")
        await client.connection.open({})
        client.connection.cut(silent=True)
        session.to_client.send_nowait(b'42/events,["a"]\x1e2')
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert client.heard == []
        assert session.posted == [b"40/events,{}"]
        await client.connection.close()
    assert client.reasons == []
