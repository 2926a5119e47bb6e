"""What livehub counts, in Prometheus' format: an implementation of `ports.Meter` and the page that shows it.

The hot path only adds to counters whose label children were looked up before (0.3 µs; a look-up costs 1.4 µs more).
Labels come from closed lists, so that no client can make series; every series is there from the start, at zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from livehub import __version__

OTHER = "other"
TRANSPORTS = ("websocket", "polling")
COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_INTERVAL_S = 0.5
LAGS_KEPT = 60
"""Half a minute: two scrapes of most collectors."""

REFUSALS = (
    # who
    "token_missing", "token_malformed", "token_invalid", "token_expired", "token_not_yet_valid", "token_audience",
    "token_issuer", "token_claims", "user_deactivated", "unauthenticated", "too_many_connections",
    # before there is anybody
    "origin", "handshake", "closing", "connections_full", "address_rate",
    # coming back
    "offset_unknown", "offset_expired", "seats_unknown", "seat_lost", "replay_cut",
    # asks
    "refused", "invalid_payload", "forbidden", "not_found", "not_joined", "not_connected", "conflict", "duplicate",
    "rate_limited", "unknown_event", "room_missing", "too_large", "too_many", "no_voters",
    "poll_closed", "poll_not_active", "duplicate_vote", "invalid_option", "invalid_rating", "session_not_active",
    "wrong_code",
    # the hub itself
    "unavailable", "rooms_full", "timeout", "internal",
)  # fmt: skip

CLOSES = (
    "client_close", "ping_timeout", "slow", "superseded", "token_expired", "user_deactivated", "parse_error",
    "internal_error", "transport_close", "shutdown", "connect_timeout", "overlapping_poll", "overlapping_post",
)  # fmt: skip

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there; these series double the page for nothing


class Metrics:
    """One process's figures, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # process_resident_memory_bytes and others, named as everywhere
        Info("livehub_build", "What is running", registry=self._registry).info({"version": __version__})
        self._connections = self._gauges("connections", "Engine.IO sessions open now", "transport", TRANSPORTS)
        self._opened = self._counters("connections_opened", "Engine.IO sessions opened", "transport", TRANSPORTS)
        self._closed = self._counters("connections_closed", "Engine.IO sessions ended, by why", "reason", CLOSES)
        self._slow = self._counter("slow_closes", "Readers shown out because their outbox was full")
        self._sockets = Gauge("livehub_sockets", "Sockets by namespace", ["namespace"], registry=self._registry)
        self._namespaces: dict[str, Gauge] = {}
        self._frames = self._counter("fanout_frames", "Frames handed to sockets by broadcasts")
        self._bytes = self._counter("fanout_bytes", "Bytes handed to sockets by broadcasts")
        self._refused = self._counters("refusals", "Asks, handshakes and requests refused, by why", "reason", REFUSALS)
        self._facts = self._counter("facts", "Facts committed to the log")
        self._commits = self._histogram("commit_seconds", "From submitting to the end of the commit", COMMIT_BUCKETS_S)
        self._rooms = Gauge("livehub_rooms", "Rooms open now", registry=self._registry)
        self._lag = self._histogram("loop_lag_seconds", "How late the event loop wakes", LAG_BUCKETS_S)
        self._lags: deque[float] = deque(maxlen=LAGS_KEPT)
        self.gauge("loop_lag_worst_seconds", "Latest that the event loop woke in half a minute", lambda: self.lag_s)

    def connection_opened(self, transport: str) -> None:
        self._connections[transport].inc()
        self._opened[transport].inc()

    def connection_moved(self, before: str, after: str) -> None:
        self._connections[before].dec()
        self._connections[after].inc()

    def connection_closed(self, transport: str, reason: str) -> None:
        self._connections[transport].dec()
        self._closed.get(reason, self._closed[OTHER]).inc()

    def namespace_joined(self, namespace: str) -> None:
        self._namespace(namespace).inc()

    def namespace_left(self, namespace: str) -> None:
        self._namespace(namespace).dec()

    def slow_closed(self) -> None:
        self._slow.inc()

    def fanned_out(self, frames: int, size: int) -> None:
        self._frames.inc(frames)
        self._bytes.inc(size)

    def refused(self, reason: str) -> None:
        self._refused.get(reason, self._refused[OTHER]).inc()

    def committed(self, facts: int, seconds: float) -> None:
        self._facts.inc(facts)
        self._commits.observe(seconds)

    def rooms_open(self, count: int) -> None:
        self._rooms.set(count)

    def gauge(self, name: str, purpose: str, read: Callable[[], float]) -> None:
        """Show a figure that is read when the page is made, such as the bytes in all outboxes."""
        Gauge(f"livehub_{name}", purpose, registry=self._registry).set_function(read)

    @property
    def lag_s(self) -> float:
        """The latest that the event loop woke lately."""
        return max(self._lags, default=0.0)

    async def watch_loop(self, interval_s: float = LAG_INTERVAL_S) -> None:
        """Measure how late the event loop wakes, until cancelled."""
        while True:
            due = trio.current_time() + interval_s
            await trio.sleep_until(due)
            late_s = max(0.0, trio.current_time() - due)
            self._lags.append(late_s)
            self._lag.observe(late_s)

    def render(self) -> tuple[bytes, str]:
        """The page and its content type. May run in a thread: listing 15,000 file descriptors takes some 10 ms."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _namespace(self, namespace: str) -> Gauge:
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = self._sockets.labels(namespace)
        return found

    def _counter(self, name: str, purpose: str) -> Counter:
        return Counter(f"livehub_{name}", purpose, registry=self._registry)

    def _histogram(self, name: str, purpose: str, buckets_s: tuple[float, ...]) -> Histogram:
        return Histogram(f"livehub_{name}", purpose, buckets=buckets_s, registry=self._registry)

    def _counters(self, name: str, purpose: str, label: str, values: tuple[str, ...]) -> dict[str, Counter]:
        family = Counter(f"livehub_{name}", purpose, [label], registry=self._registry)
        return {value: family.labels(value) for value in (*values, OTHER)}

    def _gauges(self, name: str, purpose: str, label: str, values: tuple[str, ...]) -> dict[str, Gauge]:
        family = Gauge(f"livehub_{name}", purpose, [label], registry=self._registry)
        return {value: family.labels(value) for value in values}
