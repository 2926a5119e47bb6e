"""A crowd of readers in one loop, as cheap as Python allows: they take gigabytes and look at every message's number.

Load is paced by the slowest of them, so that whoever reads at all is never slow; who does not read is somebody's fault.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from contextlib import suppress
from uuid import uuid4

from loadtest.bench.wire import frame_end
from tests.endtoend.wire import UPGRADE, WEBSOCKET, masked
from tests.harness import Server

WINDOW_MESSAGES = 128
RECEIVE_BYTES = 1 << 20
SETUP_DEADLINE_S = 10.0
MESSAGE = b'42/events,["chat.message.new",'
REFUSED = b'"success":false'
TEXT = b'"text":"'
DIGITS = 6
FILLER = "👍" * (1_000 - DIGITS)  # the largest message there is: 4,000 bytes


class Reader:
    """One client that has joined a session and then only counts."""

    def __init__(self, server: Server, session: str, *, receive_buffer_bytes: int | None = None) -> None:
        self.seen = 0
        self._pending = b""
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(SETUP_DEADLINE_S)
        self.socket.connect(("127.0.0.1", server.port))
        self._say(UPGRADE.format(target=WEBSOCKET, host="x").encode())
        self._wait_for(b'"sid"')
        self._say(masked(b"40/events," + json.dumps({"token": server.token(uuid4().hex)}).encode()))
        self._wait_for(b'"connectionAcknowledged"')
        self._say(masked(f'42/events,0["session.join",{{"sessionId":"{session}"}}]'.encode()))
        self._wait_for(b"43/events,0[")
        self.socket.setblocking(False)

    def ask_to_send(self, number: int) -> bytes:
        """The frame that sends message number so-and-so."""
        payload = {"text": f"{number:0{DIGITS}}{FILLER}", "idempotencyKey": str(uuid4())}
        text = f"42/events,{number + 1}{json.dumps(['chat.message.send', payload], ensure_ascii=False)}"
        return masked(text.encode())

    def take(self) -> None:
        """Read what is there; every message must be the next one."""
        try:
            piece = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        assert piece, f"cut off after {self.seen} messages"
        data, at = self._pending + piece, 0
        while (frame := frame_end(data, at)) is not None:
            start, end = frame
            if data.startswith(MESSAGE, start):
                place = data.index(TEXT, start) + len(TEXT)
                number = int(data[place : place + DIGITS])
                assert number == self.seen, f"message {number} instead of {self.seen}"
                self.seen += 1
            else:
                assert REFUSED not in data[start:end], data[start:end]
            at = end
        self._pending = data[at:]

    def read_to_the_end(self) -> None:
        """Read on until the server's end of it; what is still there is thrown away."""
        self.socket.settimeout(SETUP_DEADLINE_S)
        with suppress(ConnectionResetError):
            while self.socket.recv(RECEIVE_BYTES):
                pass

    def _say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _wait_for(self, text: bytes) -> None:
        """Read on until this was said; nothing else is expected meanwhile."""
        said = b""
        while text not in said:
            piece = self.socket.recv(RECEIVE_BYTES)
            assert piece, said
            said += piece


def pour(readers: list[Reader], messages: int, deadline_s: float) -> None:
    """Have the first reader send so many messages, and all of them read."""
    sender, unsent = readers[0], b""
    asked = 0
    ends_s = time.monotonic() + deadline_s
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        while (slowest := min(reader.seen for reader in readers)) < messages:
            assert time.monotonic() < ends_s, f"only {slowest} of {messages} messages within {deadline_s:g} s"
            while asked < min(messages, slowest + WINDOW_MESSAGES):
                unsent += sender.ask_to_send(asked)
                asked += 1
            unsent = unsent[_send(sender.socket, unsent) :]
            for key, _ in selector.select(timeout=0 if unsent else 0.1):
                key.data.take()


def _send(sock: socket.socket, data: bytes) -> int:
    try:
        return sock.send(data) if data else 0
    except BlockingIOError:
        return 0
