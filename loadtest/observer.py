"""What is seen of the server from outside while it is under load: its process, and its own metrics before and after.

Both are a courtesy: a server on another machine has no process here, a peer may have no `/metrics`. What cannot be had
is said once and left out.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import trio

from loadtest import trust
from loadtest.measure import machine, metrics, procfs
from loadtest.measure.book import Book
from loadtest.measure.result import RunInfo, ServerMetric
from loadtest.settings import Settings
from loadtest.stage import LOOPBACK
from loadtest.targets import target

LOOK_EVERY_S = 1.0
DEFAULT_PORTS = {"http": 80, "https": 443}


class Observer:
    """Looks at the server of one run."""

    def __init__(self, settings: Settings, book: Book) -> None:
        self.pid: int | None = None
        self.notes: list[str] = []
        self._settings = settings
        self._book = book
        self._url = target(settings.target, settings.secret).metrics_url(settings.host)
        self._tls = trust.context(str(settings.ca or ""), insecure=settings.insecure)
        self._before: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._started = ""

    async def begin(self) -> None:
        """Before the first user."""
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self.pid = self._find()
        self._before = await self._metrics()

    async def watch(self) -> None:
        """Until cancelled: CPU and memory, once a second."""
        last: procfs.Usage | None = None
        last_ns = time.monotonic_ns()
        due_s = trio.current_time()
        while True:
            now_ns = time.monotonic_ns()
            usage = self._usage()
            if usage is not None and last is not None:
                wait = max(0, usage.waited_ns - last.waited_ns) / max(1, now_ns - last_ns)
                cpu = procfs.cpu_share(last, usage, now_ns - last_ns)
                self._book.server_sample(cpu, usage.rss_mb, now_ns, wait=wait)
            elif usage is None:
                self.pid = self._find()  # it may have been started anew
            last, last_ns = usage, now_ns
            due_s += LOOK_EVERY_S
            await trio.sleep_until(due_s)

    async def end(self) -> None:
        """After the last user."""
        self._after = await self._metrics()

    def changes(self) -> list[ServerMetric]:
        """The server's own numbers, if both looks at them succeeded."""
        return metrics.changes(self._before, self._after) if self._before and self._after else []

    def info(self, duration_s: float, *, cut_short: bool = False) -> RunInfo:
        """What this run is, for the reports."""
        settings = self._settings
        return RunInfo(
            scenario=settings.scenario,
            target=settings.target,
            host=settings.host,
            command=settings.command,
            seed=settings.seed,
            users=settings.users,
            rate=settings.rate,
            duration_s=round(duration_s, 3),
            asked_s=settings.run_time_s,
            cut_short=cut_short,
            processes=settings.processes,
            polling_percent=settings.polling_percent,
            max_generator_cpu=settings.limits.cpu,
            max_generator_lag_ms=settings.limits.lag_ms,
            started=self._started,
            commit=machine.commit(),
            versions=machine.versions(),
        )

    def _usage(self) -> procfs.Usage | None:
        if self.pid is None:
            return None
        try:
            return procfs.usage(self.pid)
        except procfs.NoProcess:
            return None

    def _find(self) -> int | None:
        parts = urlsplit(self._settings.host)
        if self._settings.server_pid is not None:
            return self._settings.server_pid
        if parts.hostname not in LOOPBACK:
            return None
        return procfs.listening_pid(parts.port or DEFAULT_PORTS[parts.scheme])

    async def _metrics(self) -> dict[str, float]:
        if self._url is None:
            return {}
        try:
            return await metrics.fetch(self._url, tls=self._tls)
        except metrics.NoMetrics as trouble:
            note = f"no metrics of the server: {trouble}"
            self.notes += [note] if note not in self.notes else []
            return {}
