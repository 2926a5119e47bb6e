"""One epoll for all sockets of a process, under Trio: a push to thousands of clients costs no task switch per socket.

A Trio task waits until the epoll itself is readable, then handles every ready socket in turn. The road not taken is a
task per connection that waits in `receive_some`: 25 µs a message, where the server needs 4 to send it.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Protocol

import trio

from loadtest.client.errors import ConnectFailed
from loadtest.client.transport import Address
from loadtest.client.wires import SocketWire, StreamWire, Wire

EVENTS_PER_POLL = 512
SLICE_NS = 2_000_000
"""So long may sockets be handled before other tasks get their turn: senders must not fall behind their plan."""
RECENT_MAX = 256
RECENT_BYTES = 4_096
IP_BIND_ADDRESS_NO_PORT = 24
"""From <linux/in.h>: choose the port when connecting, so that a source address has one range per destination."""


class Watched(Protocol):
    """Somebody whose socket is in the epoll."""

    def ready(self, events: int) -> None:
        """Its socket is ready for these."""

    def cut(self, *, silent: bool = False) -> None:
        """The hub ends."""


class Event:
    """A push, as far as it has to be looked into."""

    __slots__ = ("has_offset", "name", "packet")

    def __init__(self, name: str, packet: bytes, has_offset: bool) -> None:
        self.name = name
        self.packet = packet  # Socket.IO's
        self.has_offset = has_offset


class Latest:
    """The events that anybody in a namespace heard lately, by the bytes they came in.

    A broadcast is the same bytes for everybody: whoever hears it next finds it here, and keeps the same object. That
    takes 0.03 µs if it is the very last one, and 0.2 µs if others came in between, where looking into it takes 0.8.
    """

    __slots__ = ("event", "recent", "text")

    def __init__(self) -> None:
        self.text: bytes | None = None  # of the last one, with Engine.IO's type
        self.event = Event("", b"", False)
        self.recent: dict[bytes, Event] = {}

    def keep(self, text: bytes, event: Event) -> None:
        """It is new. What is long is meant for one person, as snapshots are."""
        if len(text) <= RECENT_BYTES:
            if len(self.recent) >= RECENT_MAX:
                self.recent.clear()
            self.recent[text] = event


class Hub:
    """What the connections of one process share. `run` must be running while any of them is open."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is for `https://` hosts; without it the system's certificates are trusted."""
        self._tls = tls
        self._epoll: select.epoll | None = None
        self._watched: dict[int, Watched] = {}
        self._nursery: trio.Nursery | None = None
        self._started = trio.Event()
        self._addresses: dict[tuple[str, int], tuple[int, tuple[object, ...]]] = {}
        self._latest: dict[str, Latest] = {}
        self.names: dict[bytes, str] = {}
        """Event names as text, so that each is decoded once."""
        self.events = 0
        """Times that a socket was found ready."""
        self.busy_ns = 0
        """Time spent handling sockets; over the time passed, the share of the loop that receiving takes."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve connections until cancelled; whatever is still open then is cut."""
        with select.epoll() as epoll:
            self._epoll = epoll
            try:
                async with trio.open_nursery() as self._nursery:
                    self._started.set()
                    task_status.started()
                    while True:
                        await trio.lowlevel.wait_readable(epoll.fileno())
                        self._turn(epoll)
            finally:
                for watched in list(self._watched.values()):
                    watched.cut()
                self._epoll = self._nursery = None

    def _turn(self, epoll: select.epoll) -> None:
        begun_ns = time.monotonic_ns()
        watched = self._watched
        while events := epoll.poll(0, EVENTS_PER_POLL):
            self.events += len(events)
            for number, flags in events:
                found = watched.get(number)
                if found is not None:
                    found.ready(flags)
            if time.monotonic_ns() - begun_ns > SLICE_NS:
                break
        self.busy_ns += time.monotonic_ns() - begun_ns

    @property
    def nursery(self) -> trio.Nursery:
        """Where connections run what they cannot do without a task."""
        assert self._nursery is not None, "Hub.run is not running"
        return self._nursery

    def latest(self, namespace: str) -> Latest:
        """What all connections to a namespace share."""
        return self._latest.setdefault(namespace, Latest())

    def watch(self, number: int, flags: int, watched: Watched) -> None:
        """Have `watched.ready` called when the socket with this descriptor is ready."""
        assert self._epoll is not None, "Hub.run is not running"
        self._epoll.register(number, flags)
        self._watched[number] = watched

    def change(self, number: int, flags: int) -> None:
        """Watch for something else."""
        if self._epoll is not None:
            self._epoll.modify(number, flags)

    def unwatch(self, number: int) -> None:
        """Forget a socket; call it before the socket is closed."""
        if self._watched.pop(number, None) is not None and self._epoll is not None:
            self._epoll.unregister(number)

    async def wire(self, address: Address) -> Wire:
        """Connect: through the epoll, or under TLS with a task. Raises `ConnectFailed`."""
        if address.tls:
            stream = await self.stream(address)
            return StreamWire(self.nursery, stream)
        return SocketWire(self, await self._connect(address))

    async def stream(self, address: Address) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        """Connect: a Trio stream. Raises `ConnectFailed`."""
        plain = trio.SocketStream(trio.socket.from_stdlib_socket(await self._connect(address)))
        if not address.tls:
            return plain
        if self._tls is None:
            self._tls = ssl.create_default_context()
        secure = trio.SSLStream(plain, self._tls, server_hostname=address.host, https_compatible=True)
        try:
            await secure.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            await trio.aclose_forcefully(secure)
            raise ConnectFailed(f"TLS: {error.__cause__ or error}") from error
        except BaseException:
            await trio.aclose_forcefully(secure)
            raise
        return secure

    async def _connect(self, address: Address) -> socket.socket:
        await self._started.wait()
        try:
            family, where = await self._resolve(address)
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectFailed(str(error)) from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.receive_buffer_bytes is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, address.receive_buffer_bytes)
            sock.setblocking(False)
            if address.source is not None:
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((address.source, 0))
            await trio.socket.from_stdlib_socket(sock).connect(where)
        except OSError as error:
            sock.close()
            raise ConnectFailed(str(error)) from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def _resolve(self, address: Address) -> tuple[int, tuple[object, ...]]:
        """Looked up once per process: thousands of clients must not measure the name server."""
        key = (address.host, address.port)
        if key not in self._addresses:
            found = await trio.socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
            self._addresses[key] = (found[0][0], found[0][4])
        return self._addresses[key]
