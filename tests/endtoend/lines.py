"""Stock clients in this process, over lines that break: what `socket.io-client` 4.8 keeps and does, without a network.

It keeps `pid`, the last offset and, over a cut, the events that came before the CONNECT's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from livehub.feature import JSON
from livehub.wire.frames import Frame, Kind
from tests.contracts.stage import FakeSocket, Stage
from tests.kit import uuid

SESSION = "s1"
ASKS_WAITING_MAX = 10_000


class Line(FakeSocket):
    """One connection as the server sees it: in order, one thing at a time, nothing after its end."""

    def __init__(self, stage: Stage) -> None:
        super().__init__({}, {})
        self.over = False
        self._stage = stage
        self._asks, self._asked = trio.open_memory_channel[tuple[int, str, JSON]](ASKS_WAITING_MAX)
        self.connection.abort = self.end  # type: ignore[method-assign]  # the fake only notes it
        self.connection.close = self.end  # type: ignore[method-assign]  # the fake only notes it

    async def serve(self, auth: dict[str, JSON]) -> None:
        """Be a connection's task."""
        await self._stage.events.connect(self, auth)
        async for number, name, data in self._asked:
            if not self.connected:
                return
            await self._stage.events.event(self, name, [data], number)

    def ask(self, number: int, name: str, data: JSON) -> None:
        """An event is on its way to the server."""
        self._asks.send_nowait((number, name, data))

    def end(self, reason: str) -> None:
        """The transport is over, and the server knows."""
        was_in, self.connected, self.over = self.connected, False, True
        if was_in:
            self._stage.events.gone(self, reason)

    def accept(self, sid: str | None = None, pid: str | None = None) -> None:
        if not self.over and not self.connected:
            super().accept(sid, pid)

    def emit(self, name: str, *args: JSON, kind: Kind = Kind.FACT, key: str | None = None) -> None:
        if not self.over:
            super().emit(name, *args, kind=kind, key=key)

    def acknowledge(self, ack_id: int, *args: JSON) -> None:
        if self.connected:  # with what was in the log by then
            super().acknowledge(ack_id, *args, self._stage.hub.store.head)

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        if not self.over:
            super().write_joined(frames, joined)


@dataclass
class Client:
    """One person's client, and what it heard since it was last told that its past is lost."""

    name: str
    heard: list[str] = field(default_factory=list)
    since: int | None = None  # what was in the log when its first join was acknowledged
    acked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    recoveries: int = 0
    _pid: str | None = None
    _offset: str | None = None
    _early: list[list[Any]] = field(default_factory=list)
    _line: Line | None = None
    _read: int = 0
    _answered: bool = False
    _asks: dict[int, str] = field(default_factory=dict)
    _said: int = 0
    _numbers: int = 0

    def come(self, stage: Stage, nursery: trio.Nursery) -> None:
        """Connect, unless it is connected; join as soon as it is let in, as the quick start does."""
        if self._line is not None and not self._line.over:
            return
        self.lose(0, noticed=True)
        self._line = Line(stage)
        auth: dict[str, JSON] = {"token": stage.token(self.name)}
        if self._pid is not None:
            auth |= {"pid": self._pid, "offset": self._offset}
        nursery.start_soon(self._line.serve, auth)
        self.join()

    def join(self) -> None:
        """Join; twice is no error."""
        if self._line is not None and not self._line.over:
            self._ask("session.join", {"sessionId": SESSION}, "")

    def say(self, times: int) -> None:
        """Send messages, if there is a connection to send them on."""
        for _ in range(times):
            if self._line is None or self._line.over:
                return
            self._said += 1
            text = f"{self.name} {self._said}"
            self._ask("chat.message.send", {"text": text, "sessionId": SESSION}, text)

    def lose(self, lost: int, *, noticed: bool) -> None:
        """The connection is over; the last few things that were sent never came. The server may notice."""
        if self._line is None:
            return
        self.take(lost)
        line, self._line = self._line, None
        self._read, self._answered = 0, False
        self._asks.clear()
        if noticed:
            line.end("transport_close")

    def take(self, lost: int = 0) -> None:
        """Read what came, but for the last few things."""
        if self._line is None:
            return
        upto = max(self._read, len(self._line.told) - lost)
        told, self._read = self._line.told[self._read : upto], upto
        for name, *args in told:
            if name == "CONNECT":
                self._let_in(self._line)
            elif name == "DISCONNECT":
                self._line.end("server_disconnect")
            elif name == "ACK":
                self._acknowledged(*args[0])
            elif self._answered:
                self._emit(name, args)
            else:
                self._early.append([name, args])

    def _let_in(self, line: Line) -> None:
        self._answered = True
        recovered = self._pid is not None and line.pid == self._pid
        self._pid = line.pid
        early, self._early = self._early, []
        if recovered:
            self.recoveries += 1
        else:
            self.heard, self.since = [], None
        for name, args in early:
            self._emit(name, args)

    def _emit(self, name: str, args: list[Any]) -> None:
        if self._pid is not None and isinstance(args[-1], str):
            self._offset = args[-1]
        if name == "chat.message.new":
            self.heard.append(args[0]["text"])

    def _acknowledged(self, number: int, answer: dict[str, JSON], head: int) -> None:
        text = self._asks.pop(number)
        if text:
            (self.acked if answer["success"] else self.refused).append(text)
        elif answer["success"] and self.since is None:
            self.since = head

    def _ask(self, name: str, data: dict[str, JSON], text: str) -> None:
        assert self._line is not None
        self._numbers += 1
        self._asks[self._numbers] = text
        key = uuid(hash((self.name, self._numbers)) & 0xFFFFFFFF)
        self._line.ask(self._numbers, name, {**data, "idempotencyKey": key})
