"""A client of `/events` that keeps every frame it was sent, as it came: for tests that look at all of it.

Unlike the stock client it reads all the time by itself, over as many connections as it makes, and it comes back when it
is told to. What it hears is kept twice: as text, to be searched, and as events, to be waited for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import trio

from tests.endtoend.wire import UPGRADE, WEBSOCKET, Gone, Wire, connected, masked
from tests.harness import Server

ANSWER_DEADLINE_S = 15.0
"""What comes by the clock comes every 10 s or more often."""


class Listener:
    """One person's client. `frames` are the texts of its Engine.IO messages, the private ones too."""

    def __init__(self, server: Server, name: str, token: str, **query: str) -> None:
        self.name = name
        self.frames: list[str] = []
        self.heard: list[tuple[str, Any]] = []
        self.private: list[str] = []  # ids that would let others take its place
        self.sids: list[str] = []
        self._server = server
        self._token = token
        self._target = WEBSOCKET + "".join(f"&{field}={value}" for field, value in query.items())
        self._wire: Wire | None = None
        self._scope = trio.CancelScope()
        self._acks: dict[int, Any] = {}
        self._news = trio.Event()
        self._writing = trio.Lock()
        self._pid = ""
        self._offset = ""
        self._over = trio.Event()

    async def come(self, nursery: trio.Nursery) -> None:
        """Connect, and be let in or turned away. After a cut, ask for what was missed."""
        await nursery.start(self._live)

    async def cut(self) -> None:
        """Lose the connection without a goodbye."""
        self._scope.cancel()
        await self._over.wait()

    @property
    def recovered(self) -> bool:
        """Whether the last connection went on where the one before it was cut."""
        return len(self.sids) > 1 and self.sids[-1] == self.sids[-2]

    async def ask(self, event: str, payload: Any) -> dict[str, Any]:
        """Emit and wait for the ack."""
        assert self._wire is not None, f"{self.name} is not connected"
        async with self._writing:
            number = await self._wire.ask(event, payload)
        await self.until(lambda: number in self._acks, f"ack of {event}")
        answer: dict[str, Any] = self._acks.pop(number)
        return answer

    def payloads(self, event: str) -> list[Any]:
        """Payloads of every such event so far."""
        return [payload for name, payload in self.heard if name == event]

    async def hears(self, event: str, fits: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for an event whose payload fits: the first of them."""
        await self.until(lambda: any(map(fits, self.payloads(event))), event)
        return next(filter(fits, self.payloads(event)))

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait until this holds, looking again at whatever comes."""
        with trio.move_on_after(ANSWER_DEADLINE_S) as patience:
            while not holds():
                await self._news.wait()
        if patience.cancelled_caught:
            heard = [name for name, _ in self.heard]
            raise AssertionError(f"{self.name} waited for {what} in vain; it heard {heard}")

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._over, self._acks = trio.Event(), {}
        try:
            with trio.CancelScope() as self._scope:
                async with connected(self._server) as plain:
                    await self._enter(Wire(plain.stream))
                    while True:
                        known = len(self.heard)
                        await self._take(await self._next())
                        if len(self.heard) > known and self.heard[-1][0] in ("connectionAcknowledged", "systemError"):
                            task_status.started()
                            task_status = trio.TASK_STATUS_IGNORED
        except Gone:
            pass  # the server was killed, or showed this client out
        finally:
            self._wire = None
            self._over.set()

    async def _enter(self, wire: Wire) -> None:
        await wire.write(UPGRADE.format(target=self._target, host=f"127.0.0.1:{self._server.port}").encode())
        assert (await wire.response())[0] == 101
        self._wire = wire
        opened = await self._next()
        self.private.append(json.loads(opened[1:])["sid"])
        come_back = {"pid": self._pid, "offset": self._offset} if self._pid else {}
        await wire.send("0/events," + json.dumps({"token": self._token, **come_back}))

    async def _next(self) -> str:
        assert self._wire is not None
        text = (await self._wire.frame())[1].decode()
        self.frames.append(text)
        return text

    async def _take(self, text: str) -> None:
        assert self._wire is not None
        if text == "2":
            async with self._writing:
                await self._wire.write(masked(b"3"))
        elif text.startswith("40/events,"):
            answer = json.loads(text[10:])
            self._pid = answer.get("pid", "")
            self.sids.append(answer.get("sid", ""))
            self.private.append(self._pid)
        elif text.startswith("42/events,"):
            name, payload, *offset = json.loads(text[10:])
            self._offset = offset[0] if offset else self._offset
            self.heard.append((name, payload))
        elif text.startswith("43/events,"):
            number, _, answers = text[10:].partition("[")
            self._acks[int(number)] = json.loads("[" + answers)[0]
        self._news.set()
        self._news = trio.Event()
