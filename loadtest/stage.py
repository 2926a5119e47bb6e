"""What all users of one process stand on: the target, the recorder, the hub, and what makes them repeatable.

A scenario's `at_start(stage)` and `at_end(stage)` get it too: `stage.guest(Speaker)` brings somebody in for a moment,
`stage.shared` takes what was prepared to the users of all processes, `stage.totals` holds the counts of all of them at
the end, and `stage.fail` says what does not add up.
"""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

import trio

from loadtest.client import Connection, Hub, TransportName
from loadtest.measure.trace import find_trace, mark, message_id, trace

if TYPE_CHECKING:
    from loadtest.measure.recorder import Recorder
    from loadtest.options import Options
    from loadtest.targets import Target
    from loadtest.user import User

U = TypeVar("U", bound="User")

GUEST_NUMBERS_FROM = 1 << 30  # above every user's
GUEST_CLOSE_S = 2.0
SOURCES = 16  # local addresses to connect from; each has about 28,000 ports
TRACES_MAX = 256  # of packets heard lately
LOOPBACK = ("127.0.0.1", "localhost")


class Stage:
    """One per process."""

    def __init__(
        self,
        *,
        target: Target,
        options: Options,
        recorder: Recorder,
        hub: Hub | None,
        host: str,
        seed: int,
        run: int = 0,
        polling_percent: float = 0.0,
        tls: ssl.SSLContext | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.target = target
        self.options = options
        self.recorder = recorder
        self.host = host
        self.seed = seed
        self.polling_percent = polling_percent
        self.tls = tls  # whom to trust, for scenarios that ask the server for something themselves
        self.now_ns = now_ns
        self.users: dict[int, User] = {}
        self.connected = 0
        self.stopping = False
        self.shared: dict[str, Any] = {}
        self.totals: Mapping[str, int] = {}
        self.failures: list[str] = []
        self.counted = False  # who is absent and what is unanswered, at the end
        self._asking = 0
        self.returning = 0  # users who were cut off and are on the way back by themselves
        self._bytes_in = 0  # of connections that are gone
        self._bytes_out = 0
        self._none_asks = trio.Event()
        self._traces: dict[bytes, tuple[int, int] | None] = {}
        self._hub = hub
        self._run = run
        self._mark = mark(run)
        self._running: Counter[int] = Counter()
        self._guests = 0
        self._delivered: dict[str, str] = {}
        self._local = urlsplit(host).hostname in LOOPBACK

    def dial(self, user: User, namespace: str, transport: str) -> Connection:
        """A new connection for a user, not yet open."""
        assert self._hub is not None
        return Connection(
            self._hub,
            host=self.host,
            namespace=namespace,
            transport=cast(TransportName, transport),
            source=f"127.0.0.{2 + user.number % SOURCES}" if self._local else None,
            heard=user.heard_frame,
            closed=user.lost,
            receive_buffer_bytes=user.receive_buffer_bytes,
            query=self.target.query(user.session or ""),
        )

    def transport(self, number: int) -> TransportName:
        """Polling for the share of users that the command line says, the same ones in every run with this seed."""
        if not self.polling_percent:
            return "websocket"
        dice = Random(f"{self.seed}:polling:{number}")  # noqa: S311 - dice, no secret
        return "polling" if dice.uniform(0, 100) < self.polling_percent else "websocket"

    def next_id(self, number: int) -> int:
        """The name of a user's next message; a user who leaves and comes again goes on counting."""
        self._running[number] += 1
        return message_id(number, self._running[number])

    def trace(self, message: int, intended_ns: int) -> str:
        """What makes a chat text one of this run."""
        return trace(message, intended_ns, self._run)

    def key(self, message: int) -> str:
        """An idempotency key. It holds the run, so that the same seed can be played twice against the same server."""
        return str(UUID(int=(self._run & (1 << 64) - 1) << 64 | message, version=4))

    def heard(self, event: str) -> None:
        """Count a push."""
        name = self._delivered.get(event)
        if name is None:
            name = self._delivered[event] = f"delivered.{event}"
        self.recorder.count(name)

    def trace_of(self, packet: bytes) -> tuple[int, int] | None:
        """`find_trace`, once for a broadcast: the hub hands everybody who hears it the same object."""
        traces = self._traces
        if packet in traces:
            return traces[packet]
        if len(traces) >= TRACES_MAX:
            traces.clear()
        found = traces[packet] = find_trace(packet, self._mark)
        return found

    def account(self, connection: Connection) -> None:
        """A connection is over: keep its bytes."""
        self._bytes_in += connection.bytes_in
        self._bytes_out += connection.bytes_out

    def bytes(self) -> tuple[int, int]:
        """Bytes in and out of all connections there have been."""
        now = [user.connection for user in self.users.values() if user.connection is not None]
        return (
            self._bytes_in + sum(connection.bytes_in for connection in now),
            self._bytes_out + sum(connection.bytes_out for connection in now),
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Somebody waits for an ack."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._none_asks.set()
                self._none_asks = trio.Event()

    @property
    def under_way(self) -> int:
        """What ends by itself: asks without an answer yet, and users on their way back."""
        return self._asking + self.returning

    def unanswered(self, asks: int = 1) -> None:
        """Asks got no answer. One that was open when the end was counted is in that count."""
        if asks and not self.counted:
            self.recorder.count("unanswered", asks)

    def count_the_end(self) -> None:
        """Who should be there and is not, and which asks are still open: for good, now that the drain is over."""
        if absent := sum(map(_absent, self.users.values())):
            self.recorder.count("absent", absent)
        for user in self.users.values():
            self.count_entry(user)
        self.unanswered(self._asking)
        self.counted = True

    def count_entry(self, user: User) -> None:
        """A user goes, or the run ends: has it ever been in?"""
        if not self.counted and user.standing.shut_out(self.now_ns()):
            self.recorder.count("users.never_connected")

    async def answered(self) -> None:
        """Wait until nobody waits for an ack."""
        while self._asking:
            await self._none_asks.wait()

    def fail(self, text: str) -> None:
        """Something does not add up: the run fails, and its report says so."""
        self.failures.append(text)

    @asynccontextmanager
    async def guest(self, kind: type[U]) -> AsyncIterator[U]:
        """Somebody who is there for the length of the block and is not counted among the users; `on_start` has run."""
        self._guests += 1
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            guest = kind(self, GUEST_NUMBERS_FROM + self._guests, nursery)
            try:
                await guest.on_start()
                yield guest
            except Exception as error:
                failure = error
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + GUEST_CLOSE_S):
                    await guest.close()
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _absent(user: User) -> bool:
    """Whether it has been in and is out, though nobody dropped it on purpose and it is one who comes back."""
    standing = user.standing
    return standing.entered and not user.connected and not standing.dropped and user.reconnect
