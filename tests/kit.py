"""What tests of features, rooms and contracts share: people, a room's state without a task, a hub in virtual time.

`Bench` asks features as plain functions. `open_hub` runs rooms over the memory store, with a watchdog in virtual time:
a room always has a next tick, so a test that awaits news which never come would jump through time for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import orjson
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.contracts.events import NAMESPACE, EventsVocabulary
from livehub.errors import Refused
from livehub.feature import JSON, SYSTEM, Ask, Feature, Person, Via
from livehub.ports import Record, Worker
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import Fanout, Vocabulary
from livehub.rooms.gate import Gate, Knock
from livehub.rooms.house import House, HouseLimits
from livehub.rooms.keys import Keys
from livehub.rooms.payloads import structure
from livehub.rooms.peer import Answer, Peer
from livehub.rooms.rates import Rates
from livehub.rooms.request import Request
from livehub.rooms.room import Room
from livehub.rooms.state import Performed, State
from livehub.stores.memory import MemoryStore, open_memory
from livehub.wire.frames import Frame

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when every test begins."""
WATCHDOG_S = 3_600.0
"""Virtual seconds that a test may take."""

F = TypeVar("F", bound=Feature)


def person(name: str, *permissions: str, tier: str = "default") -> Person:
    """Somebody with an id, names and an e-mail address made from one word."""
    return Person(
        id=name,
        first_name=name.capitalize(),
        last_name="Tester",
        email=f"{name}@mail.test",
        org="org1",
        role="MEMBER",
        permissions=frozenset(permissions),
        tier=tier,
    )


ANNA = person("anna", "chat:delete:own")
BEN = person("ben", "chat:delete:own")
CARA = person("cara", "chat:delete:own")
MODERATOR = person("mo", "qna:moderate", "chat:delete:any", "poll:manage")
OWNER = person("olga", "*")


def uuid(number: int) -> str:
    """The same UUID v4 for the same number: keys and ids that a test chooses."""
    return str(UUID(int=number, version=4))


class Bench:
    """One room's features, asked without task, clock or store. Facts are applied as a room would."""

    def __init__(
        self, *features: type[Feature], room_id: str = "s1", settings: Mapping[str, Any] | None = None
    ) -> None:
        self.catalog = Catalog(features, settings)
        self.kind = features[0].room
        self.state = State(self.catalog, self.kind, room_id)
        self.now_ms = START_MS
        self.log: list[Record] = []
        self._seeds = count(1)

    def ask(self, command: str, data: JSON = None, who: Person = SYSTEM, *, after_ms: int = 0) -> Performed:
        """Ask a command with a payload as the wire carries it. Raises `Refused`."""
        declared = self.catalog.commands[command]
        self.now_ms += after_ms
        payload: Any = data if declared.via is Via.INSIDE else structure(data or {}, declared.payload)
        if declared.needs and not any(map(who.can, declared.needs)):
            raise Refused("You do not have permission", 403, code="forbidden")
        return self._kept(self.state.perform(command, Ask(payload, who, self.now_ms, next(self._seeds))))

    def refusal(self, command: str, data: JSON = None, who: Person = SYSTEM, *, after_ms: int = 0) -> Refused:
        """Why an ask is refused. Fails the test if it is not."""
        try:
            performed = self.ask(command, data, who, after_ms=after_ms)
        except Refused as refusal:
            return refusal
        raise AssertionError(f"{command} was not refused: {performed}")

    def feature(self, kind: type[F]) -> F:
        """The room's feature of this type, to look at its state."""
        return next(feature for feature in self.state.features if isinstance(feature, kind))

    def shown(self, performed: Performed, audience: str = "") -> list[tuple[str, JSON]]:
        """(event, payload) of each fact as an audience of the room is shown it."""
        found = []
        for fact in performed.facts:
            shown = self.catalog.shown.get(fact.kind)
            if shown is not None and audience in fact.to:
                payload = shown.payload(fact.data, self.state.audiences((audience,))[0])
                found += [] if payload is None else [(shown.event, payload)]
        return found

    def view(self, name: str, key: str = "") -> JSON:
        """A view's payload now; None when there is nothing to show."""
        return next(
            (self.state.show(view, of) for view, of in self.state.views if (view.name, of) == (name, key)), None
        )

    def reopened(self) -> State:
        """The room as it is folded from its log."""
        state = State(self.catalog, self.kind, self.state.name.split(":", 1)[1])
        state.fold(self.log)
        return state

    def _kept(self, performed: Performed) -> Performed:
        for fact in performed.facts:
            if fact.kept:
                seq = len(self.log) + 1
                self.log.append(Record(seq, self.state.name, fact.kind, self.now_ms, orjson.dumps(fact.data)))
        return performed


class Meter:
    """Counts what rooms report."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rooms = 0

    def connection_opened(self, transport: str) -> None:
        self.counts["opened"] += 1

    def connection_moved(self, before: str, after: str) -> None:
        self.counts["moved"] += 1

    def connection_closed(self, transport: str, reason: str) -> None:
        self.counts[f"closed {reason}"] += 1

    def namespace_joined(self, namespace: str) -> None:
        self.counts["joined"] += 1

    def namespace_left(self, namespace: str) -> None:
        self.counts["left"] += 1

    def slow_closed(self) -> None:
        self.counts["slow"] += 1

    def fanned_out(self, frames: int, size: int) -> None:
        self.counts["frames"] += frames
        self.counts["bytes"] += size

    def refused(self, reason: str) -> None:
        self.counts[f"refused {reason}"] += 1

    def committed(self, facts: int, seconds: float) -> None:
        self.counts["facts"] += facts

    def rooms_open(self, count: int) -> None:
        self.rooms = count


@dataclass
class Heard:
    """One event as a client hears it."""

    event: str
    payload: JSON
    offset: str | None
    frame: Frame

    @property
    def seq(self) -> int:
        """The seq in the offset."""
        assert self.offset is not None
        return int(self.offset.rpartition("-")[2])


class Ears:
    """A peer that notes what it is sent."""

    def __init__(self, peer_of: Callable[[Ears], Peer]) -> None:
        self.heard: list[Heard] = []
        self.writes: list[list[Frame]] = []
        self.overflows = 0
        self.on_write: Callable[[], None] | None = None
        self.peer = peer_of(self)

    @property
    def outbox(self) -> Ears:
        """It is its own line, and its own outbox."""
        return self

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        """Take frames as a socket would."""
        assert joined == b"".join(frame.framed for frame in frames)
        self.writes.append(list(frames))
        self.heard += map(heard, frames)
        if self.on_write is not None:
            self.on_write()

    def overflow(self) -> None:
        """Note that more was held than may be."""
        self.overflows += 1

    def events(self, name: str | None = None) -> list[JSON]:
        """Payloads of one event, or (event, payload) of all."""
        if name is None:
            return [(item.event, item.payload) for item in self.heard]
        return [item.payload for item in self.heard if item.event == name]

    def seqs(self) -> list[int]:
        """Seqs of the facts that were heard."""
        return [item.seq for item in self.heard if item.offset is not None]


def heard(frame: Frame) -> Heard:
    """What a client makes of an event's frame."""
    text = frame.text.decode()
    assert text.startswith("2/"), text
    name, payload, *offset = orjson.loads(text[text.index(",") + 1 :])
    return Heard(name, payload, offset[0] if offset else None, frame)


def ears(who: Person = ANNA, *, sid: str = "", vocabulary: str = NAMESPACE, **query: str) -> Ears:
    """A client of one namespace, not yet in any room."""
    return Ears(
        lambda self: Peer(
            sid or f"sid-{who.id}", who, self, self.overflow, vocabulary=vocabulary, query=query, recoverable=True
        )
    )


class Reply:
    """Waits for the one answer to an ask."""

    def __init__(self) -> None:
        self.results: list[Answer | Refused] = []
        self.on_result: Callable[[], object] = bool  # called within the answer
        self._came = trio.Event()

    def __call__(self, result: Answer | Refused) -> None:
        self.results.append(result)
        self.on_result()
        self._came.set()

    @property
    def result(self) -> Answer | Refused | None:
        """What came, if it came."""
        assert len(self.results) <= 1, "answered twice"
        return self.results[0] if self.results else None

    async def answer(self) -> Answer:
        """Wait for the answer; raises the refusal if that is what came."""
        await self._came.wait()
        result = self.result
        if isinstance(result, Refused):
            raise result
        assert result is not None
        return result

    async def refusal(self) -> Refused:
        """Wait for the refusal; fails the test if it was none."""
        await self._came.wait()
        assert isinstance(self.result, Refused), self.result
        return self.result


@dataclass
class Clock:
    """The wall clock of a test: it goes with the virtual one, and may be set."""

    began_s: float = field(default_factory=trio.current_time)
    set_ms: int = START_MS

    def __call__(self) -> int:
        return self.set_ms + round((trio.current_time() - self.began_s) * 1000)


@dataclass
class HubUnderTest:
    """A house with everything around it but sockets."""

    store: MemoryStore
    catalog: Catalog
    house: House
    fanout: Fanout
    keys: Keys
    gate: Gate
    meter: Meter
    clock: Clock
    _keys: Iterable[int] = field(default_factory=lambda: count(1))

    async def ask(self, name: str, data: JSON = None, by: Ears | None = None, **knock: Any) -> Reply:
        """Bring an ask to the gate; it gets an idempotency key unless it has one. The answer may still be coming."""
        reply = Reply()
        data = dict(data or {})
        if by is not None:
            data.setdefault("idempotencyKey", uuid(next(iter(self._keys))))
            knock = {"who": by.peer.person, "peer": by.peer, **knock}
            by.peer._asking += 1  # as `Peer.ask` does, without its wait: some tests flood rooms
            knock.setdefault("reply", partial(_answered, by.peer, reply))
        await self.gate.ask(name, data, Knock(**{"reply": reply, **knock}))
        return reply

    async def do(self, name: str, data: JSON = None, by: Ears | None = None, **knock: Any) -> dict[str, JSON]:
        """Ask, wait for the reply and until everybody has heard of it. Raises `Refused`."""
        answer = await (await self.ask(name, data, by, **knock)).answer()
        await settle()
        return answer.reply

    async def command(self, room: str, command: str, payload: Any = None, **request: Any) -> Reply:
        """Put a request straight into a room's inbox, past the gate."""
        reply = Reply()
        declared = self.catalog.commands[command]
        await self.house.ask(room, Request(declared, payload, self.clock(), 1, reply, **request))
        return reply

    def room(self, name: str = "session:s1") -> Room:
        """An open room."""
        return self.house.rooms[name]


def _answered(peer: Peer, reply: Reply, result: Answer | Refused) -> None:
    """As a contract answers: the peer's ask is over."""
    peer.answered()
    reply(result)


async def settle() -> None:
    """Wait until everybody waits for something. Virtual time stands still meanwhile."""
    await wait_all_tasks_blocked()


@asynccontextmanager
async def open_hub(
    *features: type[Feature],
    store: MemoryStore | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: Mapping[str, Worker] | None = None,
    limits: HouseLimits | None = None,
    rates: Rates | None = None,
    vocabularies: Callable[[Catalog], Mapping[str, Vocabulary]] | None = None,
    flush_s: float = 0.0,
    clock: Clock | None = None,
    watchdog_s: float = WATCHDOG_S,
) -> AsyncIterator[HubUnderTest]:
    """A hub in virtual time. Leaving it is the end of the process, except for the store if one was given."""
    assert isinstance(trio.lowlevel.current_clock(), MockClock), "rooms are tested in virtual time: take autojump_clock"
    meter = Meter()
    clock = clock or Clock()
    catalog = Catalog(features, settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(watchdog_s))
        log = store if store is not None else await stack.enter_async_context(open_memory(meter=meter))
        spoken = vocabularies(catalog) if vocabularies else {NAMESPACE: EventsVocabulary(catalog)}
        fanout = Fanout(spoken, meter, epoch=log.epoch, flush_s=flush_s)
        keys = Keys(log, clock)
        house = House(catalog, log, fanout, keys, meter, clock, workers=workers, limits=limits)
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(fanout.run)
        await nursery.start(house.run)
        yield HubUnderTest(log, catalog, house, fanout, keys, Gate(house, rates=rates), meter, clock)
        nursery.cancel_scope.cancel()
