"""What a worker says reaches the parent whole, and not ten thousand times."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
import trio
from trio.testing import memory_stream_one_way_pair

from loadtest.worker import REPORT_MARK, OneASecond, Outlet, Told


def record(template: str, *arguments: Any) -> logging.LogRecord:
    return logging.LogRecord("x", logging.WARNING, "", 0, template, arguments, None)


def test_one_line_per_template_and_second_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("loadtest.worker.time.monotonic", lambda: now_s)
    told = OneASecond()
    assert told.filter(record("user %d failed", 1))
    assert not told.filter(record("user %d failed", 2))
    assert told.filter(record("connect failed"))
    now_s += 1.0
    assert told.filter(record("user %d failed", 3))


async def test_log_lines_travel_as_reports_and_are_dropped_when_nobody_takes_them() -> None:
    sender, receiver = trio.open_memory_channel[dict[str, Any]](1)
    handler = Told(sender)
    handler.handle(record("user %d failed", 7))
    handler.handle(record("user %d failed", 8))
    assert receiver.receive_nowait() == {"say": "log", "level": "WARNING", "text": "user 7 failed"}
    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()


async def test_reports_are_marked_and_every_line_has_its_end() -> None:
    sender, receiver = memory_stream_one_way_pair()
    outlet = Outlet(sender)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.line, b'{"a":1}')
        nursery.start_soon(outlet.report, {"say": "ready"})
    lines = (await receiver.receive_some(1_000)).splitlines()
    assert sorted(lines) == sorted([b'{"a":1}', REPORT_MARK + orjson.dumps({"say": "ready"})])
