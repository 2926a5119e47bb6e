"""Thousands of clients in one epoll loop, as cheap as Python allows, the same for every server.

The points compare servers, so the generator must never be what is measured: there is no task per client, pushes are
counted without decoding them, and a read that holds nothing but whole chat frames of the expected size is counted by
its length. Whatever else comes is cut into frames and told to `heard`.

**Sizes.** A chat message is padded until its payload, as delivered, has `PAYLOAD_BYTES`, whatever a server adds to
it. Offsets grow a digit now and then: then the padding is corrected for the messages to come.
"""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loadtest.bench import wire
from loadtest.bench.latency import Latencies
from loadtest.bench.procs import Trouble

PAYLOAD_BYTES = 365
FRAME_BYTES = PAYLOAD_BYTES + 4
HEAD = bytes((0x81, 126)) + PAYLOAD_BYTES.to_bytes(2, "big") + wire.CHAT
RECEIVE_BYTES = 1 << 16  # more would have every read map and unmap memory
SOURCES = 16
"""Local addresses that clients come from, 127.0.0.2 upwards: one has some 28,000 ports, also for closed connections."""
CONNECTING_AT_ONCE = 50
CONNECT_DEADLINE_S = 120.0
DELIVERY_DEADLINE_S = 60.0
IP_BIND_ADDRESS_NO_PORT = 24  # takes the port at connect(), so that one may serve several destinations
UPGRADING, OPENING, ENTERING, JOINING, JOINED = range(5)
JOIN_ACK = 0


def client_socket(port: int, number: int) -> socket.socket:
    """A connection to a port of this machine, from one of many addresses."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((f"127.0.0.{2 + number % SOURCES}", 0))
        sock.settimeout(CONNECT_DEADLINE_S)
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def all_chat(data: bytes, size: int) -> bool:
    """Whether there is a chat frame of the expected size at every place; acks between two may be as long as others."""
    startswith = data.startswith
    for at in range(0, size, FRAME_BYTES):  # noqa: SIM110 - all() of a generator takes twice as long
        if not startswith(HEAD, at):
            return False
    return True


class Link:
    """One client."""

    __slots__ = ("acks", "number", "pending", "seen", "session", "sock", "stage", "user")

    def __init__(self, sock: socket.socket, number: int, session: str, user: str) -> None:
        self.sock = sock
        self.number = number
        self.session = session
        self.user = user
        self.stage = UPGRADING
        self.pending = b""
        self.seen = 0  # chat messages
        self.acks = 0  # asked for

    def send(self, frame: bytes) -> None:
        """Send at once. Raises `Trouble` when the kernel does not take all of it: the server does not read."""
        try:
            taken = self.sock.send(frame)
        except BlockingIOError:
            taken = 0
        if taken != len(frame):
            raise Trouble("the server does not read what a client sends")


class Crowd:
    """Clients of one server, all joined, in one session or several."""

    def __init__(
        self, port: int, *, sessions: int = 1, name: str = "bench", bare: bool = False, role: str | None = None
    ) -> None:
        self.port = port
        self.links: list[Link] = []
        self.sent = 0
        self.delivered = 0
        self.acked = 0
        self.refused: list[bytes] = []
        self.intended_ns: list[int] = []  # of the messages sent, in order
        self.arrivals: Latencies | None = None  # of every delivery, while somebody wants them
        self.heard: Callable[[Link, bytes], None] | None = None  # frames that are neither chat nor setting up
        self.answered: Callable[[Link, bytes, int], None] | None = None  # acks, with the time
        self.keys = wire.Keys()
        self._names = [f"{name}-{number}" for number in range(sessions)]
        self._bare = bare
        self._role = role
        self._pad = PAYLOAD_BYTES - 250
        self._pad_from = 0
        self._joined = 0
        self._epoll = select.epoll()
        self._by_fd: dict[int, Link] = {}
        self._control: socket.socket | None = None

    @contextmanager
    def open(self, clients: int) -> Iterator[Crowd]:
        """So many clients, until the end of the block."""
        try:
            self.grow(clients)
            yield self
        finally:
            self.close()

    def grow(self, clients: int, users: str = "user") -> None:
        """Have so many clients in all."""
        if self._bare and self._control is None:
            self._control = client_socket(self.port, 0)
        first, tokens = len(self.links), {}
        if not self._bare:
            tokens = {n: wire.token(f"{users}-{n:05d}", self._role) for n in range(first, clients)}
        self._tokens = tokens
        ends_s = time.monotonic() + CONNECT_DEADLINE_S
        while self._joined < clients:
            while len(self.links) < min(clients, self._joined + CONNECTING_AT_ONCE):
                self._connect(len(self.links), users)
            if self._joined < clients:
                self.pump(1.0)
            if time.monotonic() > ends_s:
                raise Trouble(f"only {self._joined} of {clients} clients joined within {CONNECT_DEADLINE_S:g} s")
        if self.refused:
            raise Trouble(f"refused: {self.refused[0].decode()}")
        for link in self.links[first:]:
            link.seen = self.links[0].seen if first else 0

    def close(self) -> None:
        """Leave, all of them at once."""
        for link in self.links:
            link.sock.close()
        if self._control is not None:
            self._control.close()
        self._epoll.close()

    def say(self, link: Link, intended_ns: int | None = None) -> None:
        """Send one chat message of the agreed size."""
        self.intended_ns.append(time.monotonic_ns() if intended_ns is None else intended_ns)
        number = self.sent
        self.sent += 1
        if self._control is not None:
            self.acked += 1  # there is nobody to ack
            self._control.send(b"1")
            return
        link.acks += 1
        head = f'42/events,{link.acks}["chat.message.send",{{"text":"{number:08d}'
        link.send(wire.masked(f'{head}{"x" * self._pad}","idempotencyKey":"{self.keys.next()}"}}]'.encode()))

    def pump(self, timeout_s: float) -> None:
        """Read whatever has come, after waiting for it at most so long."""
        by_fd = self._by_fd
        for fd, _ in self._epoll.poll(timeout_s):
            self._read(by_fd[fd])

    def until(self, holds: Callable[[], bool], deadline_s: float = DELIVERY_DEADLINE_S) -> None:
        """Read until this holds. Raises `Trouble` if that takes too long."""
        ends_s = time.monotonic() + deadline_s
        while not holds():
            self.pump(0.05)
            if time.monotonic() > ends_s:
                told = f"{self.delivered} deliveries of {self.sent} messages, {self.acked} acks"
                raise Trouble(f"not done within {deadline_s:g} s: {told}")

    def quiet(self, still_s: float = 0.3) -> None:
        """Read until nothing has come for a while, pings and views included."""
        ends_s = time.monotonic() + DELIVERY_DEADLINE_S
        while time.monotonic() < ends_s and (events := self._epoll.poll(still_s)):
            for fd, _ in events:
                self._read(self._by_fd[fd])

    def add(self, link: Link) -> None:
        """Read a socket from now on."""
        self._by_fd[link.sock.fileno()] = link
        self._epoll.register(link.sock.fileno(), select.EPOLLIN)

    def forget(self, link: Link) -> None:
        """Read a socket no longer; it stays open."""
        self._epoll.unregister(link.sock.fileno())
        del self._by_fd[link.sock.fileno()]

    def _connect(self, number: int, users: str) -> None:
        session = self._names[number % len(self._names)]
        link = Link(client_socket(self.port, number), number, session, f"{users}-{number:05d}")
        self.links.append(link)
        self.add(link)
        if self._bare:
            link.stage = JOINED
            self._joined += 1
        else:
            link.send(wire.upgrade(self.port, session))

    def _read(self, link: Link) -> None:
        try:
            data = link.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        now_ns = time.monotonic_ns()
        if not data:
            raise Trouble(f"client {link.number} was cut off")
        if link.pending:
            data = link.pending + data
        size = len(data)
        if size % FRAME_BYTES == 0 and all_chat(data, size):
            link.pending = b""
            messages = size // FRAME_BYTES
        else:
            messages = self._cut(link, data, now_ns)
        if messages:
            first = link.seen
            link.seen = first + messages
            self.delivered += messages
            if self.arrivals is not None:
                self.arrivals.took(now_ns, self.intended_ns[first : first + messages])

    def _cut(self, link: Link, data: bytes, now_ns: int) -> int:
        at = messages = 0
        if link.stage == UPGRADING:
            at = self._upgraded(link, data)
        while link.stage != UPGRADING:
            while data.startswith(HEAD, at) and at + FRAME_BYTES <= len(data):
                messages += 1
                at += FRAME_BYTES
            if (frame := wire.frame_end(data, at)) is None:
                break
            start, at = frame
            if data.startswith(wire.CHAT, start):
                messages += 1
                self._measure(at - start, link.seen + messages)
            else:
                self._other(link, data[start:at], now_ns)
        link.pending = data[at:]
        return messages

    def _other(self, link: Link, text: bytes, now_ns: int) -> None:
        if text == wire.PING:
            link.send(wire.masked(wire.PONG))
        elif link.stage < JOINED:
            self._enter(link, text)
        elif text.startswith(wire.ACK):
            self.acked += 1
            if wire.REFUSED in text:
                self.refused.append(text)
            if self.answered is not None:
                self.answered(link, text, now_ns)
        elif self.heard is not None:
            self.heard(link, text)

    def _upgraded(self, link: Link, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if not data.startswith(b"HTTP/1.1 101"):
            raise Trouble(f"not upgraded: {data[:300]!r}")
        link.stage = OPENING
        return end + 4

    def _enter(self, link: Link, text: bytes) -> None:
        if link.stage == OPENING and text.startswith(b"0{"):
            link.stage = ENTERING
            link.send(wire.connect({"token": self._tokens.pop(link.number)}))
        elif link.stage == ENTERING and text.startswith(wire.ENTERED):
            link.stage = JOINING
            link.send(wire.emit("session.join", {"sessionId": link.session}, JOIN_ACK))
        elif link.stage == JOINING and text.startswith(wire.ACK):
            link.stage = JOINED
            self._joined += 1
            if wire.REFUSED in text:
                self.refused.append(text)
        elif text.startswith(b"44/"):
            raise Trouble(f"not let in: {text.decode()}")

    def _measure(self, payload_bytes: int, messages_heard: int) -> None:
        """Have the messages to come be of the agreed size. Those under way were padded before."""
        if payload_bytes != PAYLOAD_BYTES and messages_heard > self._pad_from:
            self._pad += PAYLOAD_BYTES - payload_bytes
            self._pad_from = self.sent


def rota(links: list[Link], senders: int) -> Iterator[Link]:
    """The first so many clients, in turn, for ever."""
    return itertools.cycle(links[:senders])
