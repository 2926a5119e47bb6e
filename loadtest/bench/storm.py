"""Clients that are cut off and come back, as stock clients do, and who notice everything that is not as it should be.

A client keeps its `pid` and the offset of the last event that had one (its last argument, a string), and connects with
both. Messages are numbered: each must be the next one, over all connections, or it is a fault. A recovery takes from
when the client was due to come back until the server's answer to its CONNECT; what was missed has come before it.

**Cuts** are of three kinds: closed (FIN), reset (RST), and silent, as a phone out of coverage: nothing is read or
answered any more, but the connection stays open, also while the client comes back on another one.
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from loadtest.bench import wire
from loadtest.bench.crowd import CONNECT_DEADLINE_S, CONNECTING_AT_ONCE, client_socket
from loadtest.bench.latency import Latencies
from loadtest.bench.procs import Trouble

RECEIVE_BYTES = 1 << 16
TEXT = b'"text":"'
DIGITS = 8
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
AWAY, UPGRADING, OPENING, ENTERING, JOINING, IN = range(6)


class Client:
    """One client, with one connection at a time."""

    __slots__ = ("due_ns", "last", "left", "next", "number", "pending", "pid", "sid", "sock", "stage", "token")

    def __init__(self, number: int, sock: socket.socket, token: str) -> None:
        self.number = number
        self.sock = sock
        self.token = token
        self.stage = UPGRADING
        self.pending = b""
        self.pid = self.sid = ""
        self.last = b""  # the last event with an offset
        self.next = 0  # message
        self.due_ns = 0  # when it was to come back
        self.left: socket.socket | None = None  # a silent connection

    def auth(self) -> dict[str, str]:
        """As a stock client connects, the first time and later."""
        if not self.pid:
            return {"token": self.token}
        offset = self.last[self.last.rindex(b'"', 0, -2) + 1 : -2].decode()
        return {"token": self.token, "pid": self.pid, "offset": offset}


class Storm:
    """Clients in one session."""

    def __init__(self, port: int, session: str, seed: int) -> None:
        self.clients: list[Client] = []
        self.recovery = Latencies()
        self.faults: Counter[str] = Counter()
        self.recovered = 0
        self._port = port
        self._session = session
        self._dice = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._epoll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        self._inside = 0
        self._due: list[tuple[int, int, Callable[[Client], None]]] = []  # when, who, what

    def enter(self, clients: int) -> None:
        """Have so many come in and join."""
        tokens = [wire.token(f"stormy-{number}") for number in range(clients)]
        ends_s = time.monotonic() + CONNECT_DEADLINE_S
        while self._inside < clients:
            while len(self.clients) < min(clients, self._inside + CONNECTING_AT_ONCE):
                number = len(self.clients)
                client = Client(number, client_socket(self._port, number), tokens[number])
                self.clients.append(client)
                self._greet(client)
            self.pump(0.5)
            if time.monotonic() > ends_s:
                raise Trouble(f"only {self._inside} of {clients} clients joined")

    def plan_cuts(self, within_s: float, away_s: tuple[float, float]) -> None:
        """Have everybody cut off once within this time, and back after a while."""
        now_ns = time.monotonic_ns()
        for client in self.clients:
            cut_ns = now_ns + int(self._dice.uniform(0, within_s) * 1e9)
            back_ns = cut_ns + int(self._dice.uniform(*away_s) * 1e9)
            heapq.heappush(self._due, (cut_ns, client.number, self._cut_silently if client.number % 2 else self._cut))
            heapq.heappush(self._due, (back_ns, client.number, self._come_back))
            client.due_ns = back_ns

    @property
    def calm(self) -> bool:
        """Whether everybody is in, and nobody is about to be cut off."""
        return not self._due and self._inside == len(self.clients)

    def pump(self, timeout_s: float) -> None:
        """Do what is due, and read what has come."""
        now_ns = time.monotonic_ns()
        while self._due and self._due[0][0] <= now_ns:
            _, number, act = heapq.heappop(self._due)
            act(self.clients[number])
        if self._due:
            timeout_s = min(timeout_s, max(0.0, (self._due[0][0] - now_ns) / 1e9))
        for fd, _ in self._epoll.poll(timeout_s):
            client = self._by_fd.get(fd)
            if client is not None:
                self._read(client)

    def close(self) -> None:
        """Leave, all of them at once."""
        for client in self.clients:
            client.sock.close()
            if client.left is not None:
                client.left.close()
        self._epoll.close()

    def _cut(self, client: Client) -> None:
        self._leave(client)
        if self._dice.random() < 0.5:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.sock.close()

    def _cut_silently(self, client: Client) -> None:
        self._leave(client)
        client.left = client.sock

    def _leave(self, client: Client) -> None:
        if client.stage != IN:
            raise Trouble(f"client {client.number} was to be cut off again before it was back")
        self._drop(client)
        self._inside -= 1

    def _drop(self, client: Client) -> None:
        self._epoll.unregister(client.sock.fileno())
        del self._by_fd[client.sock.fileno()]
        client.stage, client.pending = AWAY, b""

    def _come_back(self, client: Client) -> None:
        client.sock = client_socket(self._port, client.number)
        client.stage = UPGRADING
        self._greet(client)

    def _greet(self, client: Client) -> None:
        self._by_fd[client.sock.fileno()] = client
        self._epoll.register(client.sock.fileno(), select.EPOLLIN)
        client.sock.send(wire.upgrade(self._port, self._session))

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise Trouble(f"client {client.number} was cut off by the server")
        data, at = client.pending + data, 0
        if client.stage == UPGRADING:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                if not data.startswith(b"HTTP/1.1 101"):
                    raise Trouble(f"not upgraded: {data[:300]!r}")
                client.stage, at = OPENING, end + 4
        while client.stage != UPGRADING and (frame := wire.frame_end(data, at)) is not None:
            start, at = frame
            if data.startswith(wire.CHAT, start):
                place = data.index(TEXT, start) + len(TEXT)
                self._numbered(client, int(data[place : place + DIGITS]))
            self._hear(client, data[start:at])
        client.pending = data[at:]

    def _numbered(self, client: Client, number: int) -> None:
        if number == client.next:
            client.next += 1
        elif number > client.next:
            self.faults["lost"] += number - client.next
            client.next = number + 1
        else:
            self.faults["duplicate or out of order"] += 1

    def _hear(self, client: Client, text: bytes) -> None:
        if text.startswith(wire.EVENT):
            if text.endswith(b'"]'):
                client.last = text
        elif text == wire.PING:
            client.sock.send(wire.masked(wire.PONG))
        elif client.stage == OPENING and text.startswith(b"0{"):
            client.stage = ENTERING
            client.sock.send(wire.connect(client.auth()))
        elif client.stage == ENTERING and text.startswith(wire.ENTERED):
            self._entered(client, json.loads(text[len(wire.ENTERED) :]))
        elif client.stage == JOINING and text.startswith(wire.ACK):
            if wire.REFUSED in text:
                raise Trouble(f"refused: {text.decode()}")
            self._in(client)
        elif text.startswith((b"41", b"44")):
            raise Trouble(f"shown out: {text.decode()}")

    def _entered(self, client: Client, told: dict[str, str]) -> None:
        if not client.pid:
            client.sid, client.pid, client.stage = told["sid"], told["pid"], JOINING
            client.sock.send(wire.emit("session.join", {"sessionId": self._session}, 0))
            return
        if (told["sid"], told.get("pid")) == (client.sid, client.pid):
            self.recovered += 1
            self.recovery.took(time.monotonic_ns(), (client.due_ns,))
        else:
            self.faults["not recovered"] += 1
        if client.left is not None:
            with suppress(OSError):
                client.left.close()
            client.left = None
        self._in(client)

    def _in(self, client: Client) -> None:
        client.stage = IN
        self._inside += 1
