"""A namespace over a real hub in virtual time, with sockets that note what they are told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import trio

from livehub.auth import Verifier, mint
from livehub.contracts.codes import Codes
from livehub.contracts.directory import Directory
from livehub.contracts.entrance import Entrance, EntranceLimits
from livehub.contracts.events import NAMESPACE, Events, EventsVocabulary
from livehub.contracts.polling import Polling
from livehub.contracts.pollwords import NAMESPACE as POLLING
from livehub.contracts.pollwords import PollingVocabulary
from livehub.feature import JSON, Person
from livehub.features import discover
from livehub.features.sessions import SessionSettings
from livehub.guests import Guests
from livehub.ports import Worker
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import Vocabulary
from livehub.rooms.recovery import Recovery, ReplayLimits
from livehub.settings import AuthSection
from livehub.stores.memory import MemoryStore
from livehub.transports.deadlines import Deadlines
from livehub.wire.frames import Frame, Kind
from tests.kit import HubUnderTest, open_hub, settle, uuid

ACK = re.compile(r"3/\w+,(\d+)")
HEARTBEAT_S = 30.0
AUTH = AuthSection(secret="a secret of at least thirty-two bytes")


@dataclass
class FakeConnection:
    """An Engine.IO session that only notes its end."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    socket: FakeSocket
    ended: list[str] = field(default_factory=list)

    @property
    def handshake(self) -> FakeConnection:
        """It is its own handshake."""
        return self

    def close(self, reason: str) -> None:
        self.ended.append(f"closed {reason}")

    def abort(self, reason: str) -> None:
        self.ended.append(f"aborted {reason}")

    @property
    def outbox(self) -> FakeSocket:
        """Its socket takes the frames."""
        return self.socket

    def at_once(self, say: Callable[[], None]) -> None:
        say()

    async def drained(self) -> None:
        await trio.lowlevel.checkpoint()


class FakeSocket:
    """One client in one namespace: `told` is what it got, in order."""

    def __init__(self, headers: Mapping[str, str], query: Mapping[str, str], namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self.connection = FakeConnection(query, headers, self)
        self.connected = False
        self.data: object = None
        self.sid = ""
        self.pid: str | None = None
        self.told: list[tuple[str, Any]] = []

    def accept(self, sid: str | None = None, pid: str | None = None) -> None:
        self.connected = True
        self.sid, self.pid = sid or "made", pid
        self.told.append(("CONNECT", sid))

    def refuse(self, message: str, data: JSON = None) -> None:
        self.told.append(("CONNECT_ERROR", {"message": message, "data": data}))

    def emit(self, name: str, *args: JSON, kind: Kind = Kind.FACT, key: str | None = None) -> None:
        self.told.append((name, *args))

    def acknowledge(self, ack_id: int, *args: JSON) -> None:
        self.told.append(("ACK", (ack_id, *args)))

    def disconnect(self) -> None:
        self.connected = False
        self.told.append(("DISCONNECT", None))

    def write_joined(self, frames: Sequence[Frame], joined: bytes) -> None:
        for frame in frames:
            text = frame.text.decode()
            if frame.kind is Kind.ACK and (ack := ACK.match(text)) is not None:
                self.acknowledge(int(ack[1]), *orjson.loads(text[ack.end() :]))
                continue
            name, *args = orjson.loads(text[text.index(",") + 1 :])
            self.told.append((name, *args))

    def events(self, name: str) -> list[Any]:
        """Payloads of one event."""
        return [told[1] for told in self.told if told[0] == name]


@dataclass
class Stage:
    """A hub with its entrance, `/events` and `/polling`."""

    hub: HubUnderTest
    directory: Directory
    guests: Guests
    entrance: Entrance
    events: Events
    codes: Codes
    polling: Polling
    asked: int = 0

    def token(self, user: str, **claims: Any) -> str:
        """A token that is believed for an hour from now."""
        now_s = self.hub.clock() / 1000
        return mint(AUTH, **{"user": user, "org": "org", "ttl_s": 3_600, "now_s": now_s, **claims})

    def guest_token(self, session: str, guest_id: str = uuid(900)) -> str:
        """A guest's token for a session."""
        guest = Person(guest_id, first_name="Gus", session=session)
        return self.guests.token(guest, self.hub.clock() / 1000)

    async def connect(self, user: str = "anna", **auth: Any) -> FakeSocket:
        """A client connects; it may be turned away."""
        headers, query = auth.pop("headers", {}), auth.pop("query", {})
        claims = auth.pop("claims", {})
        socket = FakeSocket(headers, query)
        if user:
            auth.setdefault("token", self.token(user, **claims))
        await self.events.connect(socket, auth)
        await settle()
        return socket

    async def ask(self, socket: FakeSocket, name: JSON, data: JSON = None, ack_id: int | None = 1) -> Any:
        """An event with a fresh key; its ack, or None if there was none."""
        self.asked += 1
        if isinstance(data, dict) and "idempotencyKey" not in data:
            data = {**data, "idempotencyKey": uuid(self.asked)}
        before = len(socket.told)
        await self.events.event(socket, name, [data], ack_id)
        await settle()
        acks = [told[1][1] for told in socket.told[before:] if told[0] == "ACK"]
        return acks[0] if acks else None

    def drop(self, socket: FakeSocket, reason: str = "transport_close") -> None:
        """The client goes away."""
        socket.connected = False
        self.events.gone(socket, reason)


def _spoken(catalog: Catalog) -> Mapping[str, Vocabulary]:
    return {NAMESPACE: EventsVocabulary(catalog), POLLING: PollingVocabulary()}


@asynccontextmanager
async def stage(
    store: MemoryStore | None = None,
    limits: EntranceLimits | None = None,
    window_ms: int = 24 * 3_600_000,
    *,
    auto_create: bool = True,
    flush_s: float = 0.0,
) -> AsyncIterator[Stage]:
    """A stage; sessions come into being when somebody joins. With a store given, its end is a crash of the process."""
    expel: list[Callable[[str, str], None]] = []

    async def disconnect(data: JSON) -> None:
        expel[0](data["userId"], "user_deactivated")

    workers: dict[str, Worker] = {"disconnect": disconnect}
    settings = {"sessions": SessionSettings(auto_create=auto_create)}
    opened = open_hub(
        *discover(),
        store=store,
        settings=settings,
        workers=workers,
        vocabularies=_spoken,
        flush_s=flush_s,
        watchdog_s=1e6,
    )
    async with opened as hub, trio.open_nursery() as nursery:
        deadlines = Deadlines()
        await nursery.start(deadlines.run)
        directory, codes = Directory(hub.house), Codes(hub.house)
        await directory.ready()
        await codes.ready()
        recovery = Recovery(hub.house, ReplayLimits(window_ms=window_ms))
        verifier = _at(Verifier(AUTH), hub)
        guests = Guests(hub.store.secret)
        entrance = Entrance(hub.house, verifier, guests, directory, recovery, deadlines.at, limits or EntranceLimits())
        expel.append(entrance.cut_off)
        events = Events(entrance, hub.gate, hub.fanout)
        polling = Polling(entrance, hub.gate, hub.house, recovery, heartbeat_s=HEARTBEAT_S)
        yield Stage(hub, directory, guests, entrance, events, codes, polling)
        nursery.cancel_scope.cancel()


def _at(verifier: Verifier, hub: HubUnderTest) -> Verifier:
    """The verifier, told the hub's time."""
    real = verifier.verify
    verifier.verify = lambda token, now_s=None: real(token, hub.clock() / 1000)  # type: ignore[method-assign]  # the clock of the test
    return verifier
