"""What rooms need from the outside, as protocols: a store, a meter, listeners. Drivers live on the floors above.

Time in the log is milliseconds since 1970 (UTC); time that only runs forward is seconds of `trio.current_time`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from livehub.lean import lean
from livehub.wire.frames import Frame

JSON: TypeAlias = Any


class Tenure:
    """One opening of one room. Once a commit of it fails, nothing it submits afterwards may be committed,

    because all of that was decided on a state that the log does not hold.
    """

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False


@lean
class Line:
    """One fact on its way into the log. `data` is JSON; a listener in several `audiences` hears it as the first."""

    kind: str
    data: bytes
    audiences: tuple[str, ...] = ()


@lean
class Record:
    """One fact as the log holds it. `audience` is the one it was replayed for ("" when read by room)."""

    seq: int
    room: str
    kind: str
    at_ms: int
    data: bytes
    audience: str = ""


@lean
class KeyRecord:
    """A used idempotency key: for what (`digest` of event, room and payload), and what was answered (JSON)."""

    user: str
    key: str
    digest: bytes
    ack: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class SeatRecord:
    """One connection's place in a room, kept so that it can come back to it. It hears facts after `since` (a seq)."""

    sid: str
    room: str
    user: str
    audiences: tuple[str, ...]
    since: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TimerRecord:
    """A durable timer: at `due_ms` the room is asked `command` with `data`. A room has one timer per `key`."""

    room: str
    key: str
    due_ms: int
    command: str
    data: bytes


@dataclass(frozen=True, slots=True)
class TellRecord:
    """Word from one room to another: `room` is asked `command` with `data`, again after a crash, until it answers."""

    id: str
    room: str
    command: str
    data: bytes


@dataclass(slots=True)
class Entry:
    """All that one ask changes: committed whole or not at all. An entry may be empty: then it only waits its turn.

    `done` is called once, on the loop, in the order of `submit`: with None after the commit, else with the error.
    `seq` is the seq of its first line; `submit` sets it, also of an empty entry (the next seq to be given).
    """

    tenure: Tenure
    room: str
    at_ms: int
    done: Callable[[Exception | None], None]
    lines: Sequence[Line] = ()
    key: KeyRecord | None = None
    takes: Sequence[SeatRecord] = ()
    leaves: Sequence[tuple[str, str]] = ()  # (sid, room)
    sets: Sequence[TimerRecord] = ()
    unsets: Sequence[str] = ()  # timer keys of this room: cancelled, or rung by this very ask
    tells: Sequence[TellRecord] = ()
    told: str | None = None  # id of the tell that this ask answers: forgotten in the same commit
    seq: int = field(default=0)


class Store(Protocol):
    """The log and what must live beside it. Commits happen in the order of `submit`; `seq` rises with it, with gaps."""

    @property
    def epoch(self) -> str:
        """Name of this data directory's log: a new directory is a new epoch. 1 to 16 of `0-9a-z`."""

    @property
    def secret(self) -> bytes:
        """32 random bytes made with the epoch, for signing what clients carry (never shown)."""

    @property
    def head(self) -> int:
        """Seq of the last fact whose `done` was called; 0 in an empty log."""

    @property
    def next_seq(self) -> int:
        """Seq that the next line submitted will get."""

    @property
    def failing(self) -> bool:
        """True from a failed commit until a probe of the disk succeeds."""

    def submit(self, entry: Entry) -> None:
        """Queue an entry for the next commit. Never waits; `space` is how a producer holds back."""

    async def space(self) -> None:
        """Wait until the queue has room for more entries."""

    async def read(self, room: str, after: int, limit: int) -> list[Record]:
        """The room's facts with seq > `after`, oldest first, at most `limit`."""

    async def rooms(self, kind: str) -> list[str]:
        """Names of the rooms of this kind that have facts."""

    async def replay(self, audiences: Mapping[str, int], upto: int, limit: int) -> list[Record]:
        """Facts for any of `audiences` (name → heard so far) with seq ≤ `upto`, each once, by seq, at most `limit`.

        A fact for several of them names in `audience` the one that comes first in `audiences`.
        """

    async def find_key(self, user: str, key: str) -> KeyRecord | None:
        """The record of a used key, or None."""

    async def keys_since(self, at_ms: int) -> list[tuple[str, str]]:
        """(user, key) of every key used since."""

    async def seats(self, sid: str) -> list[SeatRecord]:
        """The seats that a connection holds, in the order it took them."""

    async def touch_seats(self, sids: Sequence[str], at_ms: int) -> None:
        """Note that these connections are still there, so that `prune` spares their seats."""

    async def timers(self) -> list[TimerRecord]:
        """Every timer that has not rung, soonest first."""

    async def tells(self) -> list[TellRecord]:
        """Every word that has not been answered, oldest first."""

    async def prune(self, keys_before_ms: int, seats_before_ms: int) -> None:
        """Forget seats last seen before one time, and in time all keys used before the other."""


class Meter(Protocol):
    """Where the hot path counts. Calls are cheap and never fail."""

    def connection_opened(self, transport: str) -> None:
        """An Engine.IO session opened; `transport` is "websocket" or "polling"."""

    def connection_moved(self, before: str, after: str) -> None:
        """A session was upgraded to another transport."""

    def connection_closed(self, transport: str, reason: str) -> None:
        """A session ended; `reason` is a snake_case code from a closed list."""

    def namespace_joined(self, namespace: str) -> None:
        """A socket was accepted in a namespace."""

    def namespace_left(self, namespace: str) -> None:
        """A socket left a namespace."""

    def slow_closed(self) -> None:
        """A reader was shown out because its outbox was full."""

    def fanned_out(self, frames: int, size: int) -> None:
        """`frames` frames, `size` bytes in all, were handed to sockets."""

    def refused(self, reason: str) -> None:
        """An ask, a handshake or a request was refused; `reason` is a snake_case code from a closed list."""

    def committed(self, facts: int, seconds: float) -> None:
        """A commit of `facts` facts took `seconds` from the first submit to the answer."""

    def rooms_open(self, count: int) -> None:
        """How many rooms are open now."""


class Outbox(Protocol):
    """Where frames go to one client."""

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Send these frames in order without waiting; `joined` is them, framed for a WebSocket, in one piece."""


class Carrier(Protocol):
    """What carries whoever hears an audience. Its outbox may become another (an upgrade), so each write looks it up."""

    @property
    def outbox(self) -> Outbox:
        """The outbox of now."""


Worker: TypeAlias = Callable[[JSON], Awaitable[JSON]]
