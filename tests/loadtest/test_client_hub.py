"""The hub serves every ready socket, finds servers once, and leaves nothing open."""

from __future__ import annotations

import select
import socket

import pytest
import trio

from loadtest.client import ConnectFailed, Hub
from loadtest.client.transport import Address
from tests.loadtest.peer import hub_running


class Counting:
    """A watched socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = b""
        self.cuts = 0

    def ready(self, events: int) -> None:
        self.got += self.sock.recv(100)

    def cut(self, *, silent: bool = False) -> None:
        self.cuts += 1


def address(port: int, **more: str) -> Address:
    return Address("127.0.0.1", port, tls=False, path="/socket.io/", query={}, source=more.get("source"))


async def test_every_ready_socket_is_handled_and_the_rest_cut_at_the_end() -> None:
    pairs = [socket.socketpair() for _ in range(20)]
    watched = [Counting(ours) for ours, _ in pairs]
    async with hub_running() as hub:
        for one in watched:
            hub.watch(one.sock.fileno(), select.EPOLLIN, one)
        for number, (_, theirs) in enumerate(pairs):
            theirs.send(bytes([number]))
        with trio.fail_after(5):
            while not all(one.got for one in watched):
                await trio.lowlevel.checkpoint()
        hub.unwatch(watched[0].sock.fileno())
        hub.unwatch(watched[0].sock.fileno())
    assert [one.got for one in watched] == [bytes([number]) for number in range(20)]
    assert [one.cuts for one in watched] == [0] + [1] * 19
    assert hub.events >= 20
    assert hub.busy_ns > 0
    for pair in pairs:
        for sock in pair:
            sock.close()


async def test_a_connection_comes_from_the_address_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with hub_running() as hub:
            stream = await hub.stream(address(listener.getsockname()[1], source="127.0.0.7"))
            accepted, peer = listener.accept()
            with accepted:
                assert peer[0] == "127.0.0.7"
                await stream.aclose()


async def test_nobody_there_is_a_failed_connection() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with hub_running() as hub:
            with pytest.raises(ConnectFailed, match="refused"):
                await hub.wire(address(unheard.getsockname()[1]))


async def test_a_name_that_nobody_has_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*where: object, **how: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    async with hub_running() as hub:
        with pytest.raises(ConnectFailed, match="not known"):
            await hub.wire(Address("nowhere.invalid", 80, tls=False, path="/", query={}))


async def test_connecting_waits_for_the_hub_to_run() -> None:
    hub = Hub()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                wire = await hub.wire(address(listener.getsockname()[1]))
                wire.cut()
                nursery.cancel_scope.cancel()

            nursery.start_soon(connect)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(hub.run)


@pytest.mark.parametrize(
    ("url", "header", "target"),
    [
        ("http://live.example:3002", "live.example:3002", "/socket.io/?EIO=4&transport=polling&sid=a&q=1"),
        ("https://live.example/hub/", "live.example", "/hub/socket.io/?EIO=4&transport=polling&sid=a&q=1"),
        ("http://[::1]", "[::1]", "/socket.io/?EIO=4&transport=polling&sid=a&q=1"),
        ("127.0.0.1:80", "127.0.0.1", "/socket.io/?EIO=4&transport=polling&sid=a&q=1"),
    ],
)
def test_a_url_tells_where_to_go(url: str, header: str, target: str) -> None:
    where = Address.of(url, None, None, {"q": "1"})
    assert where.host_header == header
    assert where.target("polling", "a") == target


@pytest.mark.parametrize("url", ["ftp://x", "http://", ""])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL"):
        Address.of(url, None, None, {})
