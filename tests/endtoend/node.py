"""Clients from npm, driven from Python: one Node process, any number of `socket.io-client`s in it.

What a client was told is kept in order; a test waits for what it expects to be there and then looks at all of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

INTEROP = Path(__file__).parents[1] / "interop"
READ_BYTES = 1 << 16


class NodeMissing(AssertionError):
    """Real clients cannot be run here; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that a client was told: `kind` is event, or what the client itself reports (see client.mjs)."""

    kind: str
    args: list[Any]


class Client:
    """One `socket.io-client`."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self.told: list[Told] = []
        self._node = node
        self._news = trio.Event()

    def emit(self, event: str, *args: Any) -> None:
        """`socket.emit(event, …)`."""
        self._node.send("emit", client=self.name, args=[event, *args])

    async def ask(self, event: str, *args: Any) -> Any:
        """`socket.emit(event, …, callback)`: what the callback got."""
        return (await self.start_ask(event, *args)())[0]

    def start_ask(self, event: str, *args: Any) -> Callable[[], Any]:
        """Emit with a callback now; call the result to wait for what the callback got."""
        return self._node.ask(self.name, [event, *args])

    def drop(self) -> None:
        """End the transport under the client's feet."""
        self._node.send("drop", client=self.name)

    def disconnect(self) -> None:
        """`socket.disconnect()`."""
        self._node.send("disconnect", client=self.name)

    def connect(self, auth: dict[str, Any] | None = None) -> None:
        """`socket.connect()`, with another `auth` if given."""
        if auth is not None:
            self._node.send("auth", client=self.name, auth=auth)
        self._node.send("connect", client=self.name)

    def hears(self, told: Told) -> None:
        """The Node process reports."""
        self.told.append(told)
        self._news.set()
        self._news = trio.Event()

    def payloads(self, event: str) -> list[Any]:
        """First argument of every such event so far, in order."""
        return [told.args[1] for told in self.told if told.kind == "event" and told.args[0] == event]

    def reports(self, kind: str) -> list[list[Any]]:
        """What the client itself reported so far: connect, disconnect, …"""
        return [told.args for told in self.told if told.kind == kind]

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until this holds, looking again whenever the client is told something: its value."""
        while not (value := holds()):
            await self._news.wait()
        return value

    async def heard(self, event: str, count: int = 1) -> list[Any]:
        """Wait for this many such events: the payloads of all of them."""
        await self.until(lambda: len(self.payloads(event)) >= count)
        return self.payloads(event)

    async def reported(self, kind: str, count: int = 1) -> list[Any]:
        """Wait until the client reported this so often: the arguments of the last time."""
        await self.until(lambda: len(self.reports(kind)) >= count)
        return self.reports(kind)[-1]

    async def acknowledged(self, count: int = 1) -> dict[str, Any]:
        """Wait until the server has let the client in so often: the last `connect` report."""
        await self.heard("connectionAcknowledged", count)
        report: dict[str, Any] = (await self.reported("connect", count))[0]
        return report


class Node:
    """The Node process."""

    def __init__(self, process: trio.Process) -> None:
        self.clients: dict[str, Client] = {}
        self._process = process
        self._answers: dict[int, list[Any]] = {}
        self._asked: dict[int, trio.Event] = {}
        self._out = bytearray()
        self._more = trio.Event()

    def open(self, name: str, url: str, **options: Any) -> Client:
        """`io(url, options)`."""
        client = self.clients[name] = Client(self, name)
        self.send("open", client=name, url=url, options=options)
        return client

    def send(self, command: str, **arguments: Any) -> None:
        """Give a command; they are carried out in order."""
        self._out += json.dumps({"do": command, **arguments}).encode() + b"\n"
        self._more.set()

    def ask(self, client: str, args: list[Any]) -> Callable[[], Any]:
        """Emit with a callback."""
        number = len(self._asked)
        event = self._asked[number] = trio.Event()
        self.send("ask", client=client, id=number, args=args)

        async def answer() -> list[Any]:
            await event.wait()
            return self._answers[number]

        return answer

    async def write(self) -> None:
        """Pass commands on until cancelled."""
        assert self._process.stdin is not None
        while True:
            await self._more.wait()
            self._more = trio.Event()
            piece, self._out = bytes(self._out), bytearray()
            await self._process.stdin.send_all(piece)

    async def read(self) -> None:
        """Take in reports until cancelled; an end of them is the end of the process, and of the test."""
        assert self._process.stdout is not None
        pending = b""
        async for piece in self._process.stdout:
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        raise AssertionError("the Node process ended by itself; see standard error")

    def _take(self, report: dict[str, Any]) -> None:
        if report["kind"] == "ack":
            self._answers[report["id"]] = report["args"]
            self._asked[report["id"]].set()
        self.clients[report["client"]].hears(Told(report["kind"], report["args"]))


def node_command(script: str) -> list[str]:
    """How to run a script of tests/interop. Raises `NodeMissing`."""
    program = shutil.which("node")
    if program is None:
        raise NodeMissing("missing: node, for the tests with real clients. Install Node.js 20 or later")
    if not (INTEROP / "node_modules" / "socket.io-client").is_dir():
        raise NodeMissing(f"missing: {INTEROP / 'node_modules'}. Run `npm ci` in {INTEROP}, or `make test`")
    return [program, str(INTEROP / script)]


@asynccontextmanager
async def running_node() -> AsyncIterator[Node]:
    """A Node process for the length of the block."""
    command = node_command("client.mjs")
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        async with trio.open_nursery() as nursery:
            node = Node(process)
            nursery.start_soon(node.read)
            nursery.start_soon(node.write)
            yield node
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
