"""Doubles for users without a server: connections that answer from a script, and a recorder that can be read.

They have the signatures of the real ones; what the real ones do is tested in their own files and end to end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import trio

from loadtest.client import Closed, ConnectFailed, Connection, ConnectRefused, Opened, Recovery
from loadtest.options import Options
from loadtest.stage import Stage
from loadtest.targets import target
from loadtest.user import User

Reply = Callable[[str, Sequence[Any]], Any]
OK: dict[str, Any] = {"success": True}
REFUSED: dict[str, Any] = {"success": False, "error": {"message": "no", "statusCode": 403}}


def now_ns() -> int:
    """Trio's clock, so that a MockClock rules what is measured."""
    return round(trio.current_time() * 1e9)


class SeatDouble:
    """A member of the ledger that notes what it is told."""

    def __init__(self, notes: list[tuple[Any, ...]]) -> None:
        self.notes = notes

    def heard(self, message: int, intended_ns: int, at_ns: int) -> None:
        self.notes.append(("heard", message, intended_ns))

    def left(self, at_ns: int) -> None:
        self.notes.append(("left",))

    def cut(self, at_ns: int) -> None:
        self.notes.append(("cut",))

    def resumed(self, recovered: bool, at_ns: int) -> None:
        self.notes.append(("resumed", recovered))


class LedgerDouble:
    """Notes who joined and what was acked."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []

    def joined(self, room: str, user: int, at_ns: int) -> SeatDouble:
        self.notes.append(("joined", room, user))
        return SeatDouble(self.notes)

    def acked(self, room: str, message: int, intended_ns: int) -> None:
        self.notes.append(("acked", room, message, intended_ns))


class RecorderDouble:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies: list[tuple[str, str, int]] = []
        self.ledger = LedgerDouble()

    def latency(self, kind: str, name: str, us: int) -> None:
        self.latencies.append((kind, name, us))

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] += n


class ConnectionDouble:
    """Opens as the script says, answers what `reply` returns after `delay_s`."""

    bytes_in = 100
    bytes_out = 10

    def __init__(self, stage: StageDouble, user: User, namespace: str, transport: str) -> None:
        self.user = user
        self.namespace, self.transport = namespace, transport
        self.auth: Mapping[str, object] = {}
        self.said: list[tuple[Any, ...]] = []
        self.over = trio.Event()
        self._stage = stage

    @property
    def recovery(self) -> Recovery:
        return Recovery("pid", "epoch-1")

    async def open(self, auth: Mapping[str, object]) -> Opened:
        await trio.lowlevel.checkpoint()
        self.auth = auth
        for event, packet in self._stage.replay:
            self.user.heard_frame(event, packet)
        if isinstance(trouble := next(self._stage.openings, None), Exception):
            raise trouble
        return Opened("sid", self._stage.recovers and "pid" in auth, "pid", {})

    async def ask(self, event: str, *args: Any, timeout_s: float = 30) -> list[Any]:
        if self.over.is_set():
            raise Closed("over")
        self.said.append((event, *args))
        with trio.move_on_after(self._stage.delay_s):
            await self.over.wait()
            raise Closed("over")
        return [self._stage.reply(event, args)]

    def emit(self, event: str, *args: Any) -> None:
        if self.over.is_set():
            raise Closed("over")
        self.said.append((event, *args))

    def cut(self, *, silent: bool = False) -> None:
        self.over.set()

    async def close(self) -> None:
        self.over.set()

    def breaks(self) -> None:
        """The other side is gone."""
        self.over.set()
        self.user.lost("reset by peer")


class StageDouble(Stage):
    """A stage whose users talk to doubles."""

    def __init__(
        self, options: Mapping[str, Any] | None = None, *, seed: int = 1, run: int = 0, polling_percent: float = 0
    ) -> None:
        self.notes = RecorderDouble()
        self.connections: list[ConnectionDouble] = []
        self.openings: Iterator[Exception | None] = iter(())
        self.recovers = True
        self.replay: list[tuple[str, bytes]] = []  # what comes before the CONNECT reply
        self.delay_s = 0.010
        self.reply: Reply = lambda event, args: OK
        super().__init__(
            target=target("livehub"),
            options=Options(options or {}),
            recorder=cast(Any, self.notes),
            hub=None,
            host="http://127.0.0.1:1",
            seed=seed,
            run=run,
            polling_percent=polling_percent,
            now_ns=now_ns,
        )

    def dial(self, user: User, namespace: str, transport: str) -> Connection:
        self.connections.append(ConnectionDouble(self, user, namespace, transport))
        return cast(Connection, self.connections[-1])

    @property
    def counts(self) -> Counter[str]:
        """What was counted."""
        return self.notes.counts

    def latencies(self, kind: str) -> list[int]:
        """What was measured of a kind, in microseconds."""
        return [us for measured, _, us in self.notes.latencies if measured == kind]


FAILED = ConnectFailed("nobody listens")
NOT_YOU = ConnectRefused("Authentication required", {})
