"""What is seen of the server from outside: its process once a second, its metrics at both ends, or a word why not."""

from __future__ import annotations

import os
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from loadtest.measure import metrics, procfs
from loadtest.measure.book import Book
from loadtest.observer import Observer
from loadtest.settings import Settings


def observer(book: Book, server_pid: int | None = None) -> Observer:
    return Observer(Settings(scenario="idle", host="http://127.0.0.1:1", seed=7, server_pid=server_pid), book)


async def test_a_server_without_metrics_is_said_once_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(url: str, **_: object) -> dict[str, float]:
        raise metrics.NoMetrics(f"{url} answered 404")

    monkeypatch.setattr(metrics, "fetch", fetch)
    seen = observer(Book(0), server_pid=os.getpid())
    await seen.begin()
    assert seen.changes() == []
    assert seen.notes == ["no metrics of the server: http://127.0.0.1:1/metrics answered 404"]


async def test_metrics_are_compared_from_the_first_to_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{"x": 1.0}, {"x": 4.0, "y": 2.0}])

    async def fetch(url: str, **_: object) -> dict[str, float]:
        return next(looks)

    monkeypatch.setattr(metrics, "fetch", fetch)
    seen = observer(Book(0), server_pid=os.getpid())
    await seen.begin()
    await seen.end()
    assert [(change.name, change.delta) for change in seen.changes()] == [("x", 3.0), ("y", 2.0)]


async def test_the_process_is_watched_once_a_second(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    samples: list[tuple[float, float, float]] = []
    book = Book(0)
    clock = iter(range(0, 100_000_000_000, 1_000_000_000))
    looks = iter(procfs.Usage(n * 500_000_000, 80_000_000, 9, 1, n * 250_000_000) for n in range(100))
    monkeypatch.setattr("loadtest.observer.time.monotonic_ns", partial(next, clock))
    monkeypatch.setattr(procfs, "usage", lambda pid: next(looks))

    def sample(cpu: float, rss_mb: float, at_ns: int, *, wait: float) -> None:
        samples.append((cpu, rss_mb, wait))

    monkeypatch.setattr(book, "server_sample", sample)
    seen = observer(book, server_pid=4711)
    seen.pid = 4711
    with trio.move_on_after(3.5):
        await seen.watch()
    assert samples == [(0.5, 80.0, 0.25)] * 3


def test_what_was_asked_for_is_in_the_report() -> None:
    info = observer(Book(0)).info(2.5)
    assert (info.scenario, info.seed, info.duration_s, info.max_generator_lag_ms) == ("idle", 7, 2.5, 100.0)
