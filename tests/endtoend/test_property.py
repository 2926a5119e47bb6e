"""Whatever happens in whatever order: every client hears all of a session once, in order, from its join to the end.

Everything above the wire is real and in this process, in virtual time. Networks lose the end of what was sent to them,
connections die unnoticed, the process ends, the disk is full for a while. The clients here keep what stock clients
keep: `pid`, the last offset, and events that came before the CONNECT's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from livehub.stores.memory import MemoryStore, open_memory
from tests.contracts.stage import FakeSocket, Stage, stage
from tests.kit import settle, uuid

CLIENTS = 4
SESSION = "s1"
EVERYTHING_FACTS = 100_000
PROBED_AFTER_S = 3.0
VIRTUAL_DEADLINE_S = 1e5


class Line(FakeSocket):
    """A connection: the server's end of it goes at once when the server ends it."""

    def __init__(self, stage: Stage, asked: str) -> None:
        super().__init__({}, {})
        self.stage = stage
        self.over = False
        self.asked = asked  # the ticket that the client came with
        self.connection.close = self.connection.abort = self.end  # type: ignore[method-assign]  # what a transport does

    def end(self, reason: str) -> None:
        """The transport is over."""
        if not self.over:
            self.over = True
            self.connected = False
            self.stage.events.gone(self, reason)


@dataclass
class Client:
    """A stock client, and what it must have heard."""

    name: str
    pid: str | None = None
    offset: str | None = None
    line: Line | None = None
    read: int = 0
    early: list[Any] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    due: int = 0  # how many messages there were when its last join was acknowledged
    joined: bool = False
    said: int = 0
    acked: list[str] = field(default_factory=list)
    asked: dict[int, str] = field(default_factory=dict)

    def take(self, lost: int = 0) -> None:
        """Read what came, but for the last few things, which the network lost."""
        if self.line is None:
            return
        told = self.line.told
        upto = max(self.read, len(told) - lost)
        for name, *args in told[self.read : upto]:
            self._hear(name, args)
        self.read = upto

    def lose(self, lost: int = 0) -> None:
        """The connection is over for the client; the server may not know."""
        self.take(lost)
        self.line, self.read = None, 0
        self.asked.clear()

    def _hear(self, name: str, args: list[Any]) -> None:
        assert self.line is not None
        if name == "CONNECT":
            recovered = self.pid is not None and self.line.pid == self.pid
            self.pid = self.line.pid
            if not recovered:
                self.heard, self.early, self.joined, self.offset = [], [], False, None
            early, self.early = self.early, []
            for event in early:
                self._emit(*event)
            self.connected = True
        elif name == "ACK":
            number, answer = args[0]
            text = self.asked.pop(number)
            if answer["success"] and text:
                self.acked.append(text)
            elif answer["success"]:
                self.joined = True
        elif self.line.sid:
            (self._emit if self._answered() else self._keep)(name, args)

    def _answered(self) -> bool:
        assert self.line is not None
        return ("CONNECT", self.line.sid) in self.line.told[: self.read + 1]

    def _keep(self, name: str, args: list[Any]) -> None:
        self.early.append((name, args))

    def _emit(self, name: str, args: list[Any]) -> None:
        if len(args) > 1 and isinstance(args[-1], str):
            self.offset = args[-1]
        if name == "chat.message.new":
            self.heard.append(args[0]["text"])
