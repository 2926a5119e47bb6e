"""The one place that knows everyone: what is opened, what is nested in what, and how it all closes.

The order of closing is the order of indentation, inside out: no more connections, answers to what was asked, clients
sent away to come back, rooms, the log. SIGTERM loses nothing; a second signal stops waiting for clients.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from livehub.auth import Verifier
from livehub.contracts.codes import Codes
from livehub.contracts.directory import Directory
from livehub.contracts.entrance import Entrance, EntranceLimits
from livehub.contracts.events import NAMESPACE, Events, EventsVocabulary
from livehub.contracts.polling import Polling
from livehub.contracts.pollwords import NAMESPACE as POLLING
from livehub.contracts.pollwords import PollingVocabulary
from livehub.errors import ConfigError, StoreError
from livehub.feature import JSON
from livehub.features import discover
from livehub.features.lifecycle import Lifecycle, PollingSettings
from livehub.guests import Guests
from livehub.http.app import Health, create_app
from livehub.http.delays import Delays
from livehub.http.export import Exports
from livehub.http.join import Reception, Site
from livehub.http.rest import Rest
from livehub.logs import configure
from livehub.metrics import Metrics
from livehub.payload import Rate
from livehub.ports import Store
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import Fanout, Vocabulary
from livehub.rooms.gate import Gate
from livehub.rooms.house import House, HouseLimits
from livehub.rooms.keys import KEY_LIFE_MS, Keys
from livehub.rooms.rates import Rates
from livehub.rooms.recovery import Recovery, ReplayLimits
from livehub.settings import Settings
from livehub.stores.memory import open_memory
from livehub.stores.sqlite import open_sqlite
from livehub.supervisor import feed_watchdog, handed_sockets, notify
from livehub.transports.asgi import App
from livehub.transports.backlog import Waiting
from livehub.transports.connection import Engine, Rejected
from livehub.transports.deadlines import Deadlines
from livehub.transports.handshake import EngineSettings, Handshake, client_address, read_headers
from livehub.transports.listener import Listener, ListenerSettings, open_listeners
from livehub.transports.sockets import SocketEndpoint
from livehub.transports.tls import server_context

HOUSEKEEPING_S = 60.0
SEATS_TOUCHED_EVERY = 30  # housekeepings: a seat on disk may look half an hour older than it is
SEATS_KEPT_LONGER_MS = 2 * 3_600_000
PINNED_TIMEOUT_S = 60.0
"""Reading the directory of users and the registry of sessions."""

log = logging.getLogger(__name__)


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is given the URL once clients may come."""
    _raise_descriptor_limit()
    with configure(settings.log.level, settings.log.format):
        try:
            trio.run(_serve_until_signal, settings, announce)
        except BaseExceptionGroup as group:
            raise _cause(group) from None


def _cause(error: BaseException) -> BaseException:
    """What went wrong, out of the groups that nurseries wrap it in, if it was one thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _serve_until_signal(settings: Settings, announce: Callable[[str], None]) -> None:
    stop, hurry = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear_signals, stop, hurry)
        await serve(settings, announce, stop, hurry)
        nursery.cancel_scope.cancel()


async def _hear_signals(stop: trio.Event, hurry: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            (hurry if stop.is_set() else stop).set()


async def serve(settings: Settings, announce: Callable[[str], None], stop: trio.Event, hurry: trio.Event) -> None:
    """Open everything, serve until `stop`, close everything. Raises `StoreError`, `ConfigError` (port taken).

    The port is taken first: who comes during the start waits a moment instead of being refused.
    """
    sockets = await _listen(settings)
    metrics = Metrics()
    async with _open_store(settings, metrics) as store, trio.open_nursery() as inner:
        hub = await _open_hub(settings, store, metrics, inner)
        async with trio.open_nursery() as outer:
            listener = Listener(
                {settings.server.path: hub.engine},
                hub.web(settings),
                _listener_settings(settings),
                tls=_tls(settings),
            )
            await outer.start(listener.run, sockets)
            outer.start_soon(feed_watchdog)
            _settle(settings)
            notify("READY=1")
            announce(_url(settings, sockets[0]))
            await stop.wait()
            notify("STOPPING=1")
            hub.closing = True
            await _close(settings, hub, listener, hurry)
            outer.cancel_scope.cancel()
        inner.cancel_scope.cancel()


async def _close(settings: Settings, hub: _Hub, listener: Listener, hurry: trio.Event) -> None:
    async def cut_short(scope: trio.CancelScope) -> None:
        await hurry.wait()
        scope.cancel()

    with trio.move_on_after(settings.server.shutdown_deadline_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut_short, nursery.cancel_scope)
            await listener.drain(settings.server.shutdown_jitter_s)
            await hub.house.finish()
            nursery.cancel_scope.cancel()
    listener.close()


@dataclass(slots=True)
class _Hub:
    """What serves, between the log and the port."""

    house: House
    fanout: Fanout
    gate: Gate
    entrance: Entrance
    engine: Engine
    metrics: Metrics
    store: Store
    codes: Codes
    guests: Guests
    voting: Polling
    closing: bool = False

    def web(self, settings: Settings) -> App:
        """The app for HTTP."""
        return create_app(
            Rest(self.gate, self.entrance.identify),
            self.house.hub.catalog,
            self._reception(settings),
            Health(self._not_ready, self.metrics.render),
            Exports(self.store, self.house.hub.catalog, now_ms),
            body_bytes_max=settings.engine.max_payload_bytes,
            body_timeout_s=settings.engine.handshake_timeout_s,
            origins=settings.server.origins,
        )

    def _reception(self, settings: Settings) -> Reception:
        server = settings.server
        return Reception(
            self.codes,
            self.guests,
            now_ms,
            self.metrics.refused,
            partial(address_of, trust_proxy=server.trust_proxy),
            Delays() if settings.limits.enabled else None,
            Site(server.public_url, server.certfile is not None, server.trust_proxy),
            self.voting.admitted,
        )

    def _not_ready(self) -> str | None:
        if self.closing:
            return "closing"
        return "the log cannot be written" if self.store.failing else None


async def _open_hub(settings: Settings, store: Store, metrics: Metrics, nursery: trio.Nursery) -> _Hub:
    catalog = Catalog(discover(), settings.features, share_emails=settings.privacy.share_emails)
    vocabularies: dict[str, Vocabulary] = {
        NAMESPACE: EventsVocabulary(catalog),
        POLLING: PollingVocabulary(),
    }
    fanout = Fanout(vocabularies, metrics, epoch=store.epoch, flush_s=settings.engine.flush_ms / 1000)
    deadlines, keys = Deadlines(), Keys(store, now_ms)
    rates = Rates() if settings.limits.enabled else None

    async def disconnect(data: JSON) -> None:
        entrance.cut_off(data["userId"], "user_deactivated")

    rooms = settings.rooms
    limits = HouseLimits(rooms.idle_close_s, rooms.inbox_asks_max, rooms.open_max)
    house = House(catalog, store, fanout, keys, metrics, now_ms, workers={"disconnect": disconnect}, limits=limits)
    nursery.start_soon(fanout.run)
    await nursery.start(deadlines.run)
    await nursery.start(house.run)
    directory, codes, guests = Directory(house), Codes(house), Guests(store.secret, _guest_life_s(settings))
    recovery, verifier = Recovery(house, _replay_limits(settings)), Verifier(settings.auth)
    entrance = Entrance(house, verifier, guests, directory, recovery, deadlines.at, _entrance_limits(settings))
    await _read_pinned(settings, directory, codes)
    gate = Gate(house, rates=rates, seeds={"session.create": codes.seed})
    voting = Polling(entrance, gate, house, recovery, heartbeat_s=_polling(settings).heartbeat_s)
    nursery.start_soon(voting.beat)
    endpoint = SocketEndpoint(
        {NAMESPACE: Events(entrance, gate, fanout), POLLING: voting},
        deadlines,
        metrics,
        connect_timeout_s=settings.engine.connect_timeout_ms / 1000,
    )
    admission = _Admission(settings)
    engine = Engine(_engine_settings(settings), endpoint, deadlines, metrics, admission.admit)
    admission.engine = engine
    metrics.gauge("outbox_bytes", "Bytes that wait for slow clients.", lambda: Waiting.size)
    metrics.gauge("tasks", "Trio tasks: about one for each connection and open room.", _tasks_living)
    hub = _Hub(house, fanout, gate, entrance, engine, metrics, store, codes, guests, voting)
    nursery.start_soon(metrics.watch_loop)
    nursery.start_soon(_keep_house, settings, hub, rates, admission)
    return hub


def _tasks_living() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def _read_pinned(settings: Settings, directory: Directory, codes: Codes) -> None:
    """Wait for the rooms that whoever comes first needs already."""
    with trio.move_on_after(PINNED_TIMEOUT_S) as patience:
        await directory.ready()
        await codes.ready()
    if patience.cancelled_caught:
        raise StoreError(f"users and sessions could not be read from {settings.store.data}; see the log lines above")


def address_of(scope: Mapping[str, Any], *, trust_proxy: bool) -> str:
    """Where a request came from, by the same rule as a handshake."""
    peer = (scope.get("client") or ("", 0))[0]
    return client_address(peer, read_headers(scope["headers"]), trust_proxy)


class _Admission:
    """Whether there is room for one more connection: refused before it costs anything, with HTTP 503."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self.rates = Rates()
        self.engine: Engine | None = None

    def admit(self, handshake: Handshake) -> Rejected | None:
        """None, or why not."""
        if self.engine is None or self.engine.closing:
            return Rejected("closing")
        if not self._limits.enabled:
            return None
        if len(self.engine.sessions) >= self._limits.connections_max:
            return Rejected("connections_full")
        rate = Rate(self._limits.handshakes_per_address_per_s, 1.0)
        wait_ms = self.rates.take(handshake.address, "handshake", rate, trio.current_time())
        return Rejected("address_rate", max(1, -(-wait_ms // 1000))) if wait_ms else None


async def _keep_house(settings: Settings, hub: _Hub, rates: Rates | None, admission: _Admission) -> None:
    round_number = 0
    while True:
        await trio.sleep(HOUSEKEEPING_S)
        now_s, round_number = trio.current_time(), round_number + 1
        admission.rates.prune(now_s)
        if rates is not None:
            rates.prune(now_s)
        hub.house.hub.keys.turn()
        if round_number % SEATS_TOUCHED_EVERY == 0:
            await hub.store.touch_seats(list(hub.entrance.sids()), now_ms())
            window_ms = _replay_limits(settings).window_ms + SEATS_KEPT_LONGER_MS
            await hub.store.prune(now_ms() - KEY_LIFE_MS, now_ms() - window_ms)


def now_ms() -> int:
    """The wall clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def _open_store(settings: Settings, metrics: Metrics) -> AsyncIterator[Store]:
    opened: AbstractAsyncContextManager[Store]
    if settings.store.kind == "memory":
        opened = open_memory(meter=metrics)
    else:
        opened = open_sqlite(settings.store.data, durability=settings.store.durability, clock_ms=now_ms, meter=metrics)
    async with opened as store:
        yield store


async def _listen(settings: Settings) -> list[trio.SocketListener]:
    handed = handed_sockets()
    if handed:
        return [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in handed]
    host, port = settings.server.host, settings.server.port
    try:
        return await open_listeners(host, port)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {why}. `livehub check` says who has the port") from error


def _url(settings: Settings, listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.server.certfile else 'http'}://{shown}:{port}"


def _tls(settings: Settings) -> ssl.SSLContext | None:
    server = settings.server
    if server.certfile is None or server.keyfile is None:
        return None
    return server_context(server.certfile, server.keyfile)


def _listener_settings(settings: Settings) -> ListenerSettings:
    engine = settings.engine
    return ListenerSettings(engine.handshake_timeout_s, engine.max_payload_bytes, engine.outbox_bytes_max)


def _engine_settings(settings: Settings) -> EngineSettings:
    engine, server = settings.engine, settings.server
    return EngineSettings(
        path=server.path,
        ping_interval_s=engine.ping_interval_ms / 1000,
        ping_timeout_s=engine.ping_timeout_ms / 1000,
        upgrade_timeout_s=engine.upgrade_timeout_ms / 1000,
        request_timeout_s=engine.handshake_timeout_s,
        max_payload_bytes=engine.max_payload_bytes,
        outbox_bytes_max=engine.outbox_bytes_max,
        packets_per_turn=engine.packets_per_turn,
        origins=server.origins,
        trust_proxy=server.trust_proxy,
    )


def _entrance_limits(settings: Settings) -> EntranceLimits:
    limits = settings.limits
    per_user = limits.connections_per_user_max if limits.enabled else None
    return EntranceLimits(per_user, settings.auth.expiry_grace_s, settings.engine.outbox_bytes_max)


def _guest_life_s(settings: Settings) -> float:
    return float(_polling(settings).guest_token_h) * 3_600


def _polling(settings: Settings) -> PollingSettings:
    found = settings.features.get(Lifecycle.name)
    return found if isinstance(found, PollingSettings) else PollingSettings()


def _replay_limits(settings: Settings) -> ReplayLimits:
    window_ms = round(settings.replay.window_h * 3_600_000)
    return ReplayLimits(window_ms, settings.replay.max_facts, settings.engine.outbox_bytes_max)


def _settle(settings: Settings) -> None:
    """What is there after the start stays: the collector need not look at it again."""
    sys.setswitchinterval(settings.runtime.switch_interval_ms / 1000)
    gc.collect()
    if settings.runtime.gc_freeze:
        gc.freeze()
    gc.set_threshold(*settings.runtime.gc_threshold)


def _raise_descriptor_limit() -> None:
    """Use all descriptors that the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
