"""Log lines are whole, few, and give nothing away; the loop never waits for them."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import Any, Literal

import pytest

from livehub import logs
from livehub.logs import KINDS_MAX, MESSAGE_CHARS_MAX, OneLinePerSecond, blot, configure

log = logging.getLogger("livehub.test")


def record(template: str = "malformed packet: %s", name: str = "livehub.a") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, template, ("x",), None)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def written(form: Literal["text", "json"] = "json", level: str = "info") -> tuple[Any, io.StringIO]:
    stream = io.StringIO()
    return configure(level, form, stream), stream


def fail(text: str) -> None:
    raise ValueError(text)


def test_json_lines_carry_level_logger_time_and_message() -> None:
    logging_on, stream = written()
    with logging_on:
        log.info("listening on port %d", 3002)
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "listening on port 3002", "level": "info", "logger": "livehub.test"}


def test_text_lines_are_for_people_and_without_colours_in_a_file() -> None:
    logging_on, stream = written("text")
    with logging_on:
        log.warning("room %s is full", "session:1")
    assert "[warning  ] room session:1 is full [livehub.test]" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_tracebacks_are_written_whole(form: Literal["text", "json"]) -> None:
    logging_on, stream = written(form)
    with logging_on:
        try:
            fail("odd \x1b[31m thing")
        except ValueError:
            log.exception("a room crashed")
    assert "Traceback (most recent call last)" in stream.getvalue()
    assert "ValueError: odd" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_levels_below_are_not_written() -> None:
    logging_on, stream = written(level="warning")
    with logging_on:
        log.info("quiet")
        log.error("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_flood_is_one_line_and_a_count() -> None:
    logging_on, stream = written()
    with logging_on:
        for n in range(1_000):
            log.warning("malformed packet: %s", n)
        log.warning("something else")
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == [
        "malformed packet: 0",
        "something else",
        "999 more were not shown of: malformed packet: %s",
    ]


def test_the_next_line_says_how_many_were_held_back() -> None:
    clock = Clock()
    limit = OneLinePerSecond(clock)
    assert limit.filter(record())
    assert not limit.filter(record())
    assert not limit.filter(record())
    clock.now_s += 0.999
    assert not limit.filter(record())
    clock.now_s += 0.001
    late = record()
    assert limit.filter(late)
    assert vars(late)["held_back"] == 3
    assert limit.rest() == []


def test_kinds_of_line_do_not_hold_each_other_back() -> None:
    limit = OneLinePerSecond(Clock())
    assert limit.filter(record())
    assert limit.filter(record(template="another: %s"))
    assert limit.filter(record(name="livehub.b"))


def test_kinds_of_line_are_bounded() -> None:
    limit = OneLinePerSecond(Clock())
    for n in range(KINDS_MAX + 1):
        limit.filter(record(template=f"made at run time {n}"))
    assert limit.filter(record(template="made at run time 0"))
    assert not limit.filter(record(template=f"made at run time {KINDS_MAX}"))


def test_a_message_is_one_line_of_bounded_length() -> None:
    logging_on, stream = written("text")
    with logging_on:
        log.warning("name: %s", "eve\nERROR all is lost\x1b[2J")
        log.warning("long: %s", "x" * 100_000)
    first, second = stream.getvalue().splitlines()
    assert r"name: eve\x0aERROR all is lost\x1b[2J" in first
    assert MESSAGE_CHARS_MAX < len(second) < MESSAGE_CHARS_MAX + 100


def test_a_template_that_does_not_fit_is_written_all_the_same() -> None:
    logging_on, stream = written()
    with logging_on:
        log.warning("%d packets", "many")
    assert "%d packets (not formatted" in stream.getvalue()


def test_arguments_are_taken_as_they_were() -> None:
    logging_on, stream = written()
    rooms = ["a"]
    with logging_on:
        log.info("rooms: %s", rooms)
        rooms.append("b")
    assert "rooms: ['a']" in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2lnbmF0dXJl",
        "authorization: Bearer c2lnbmF0dXJl",
        "GET /socket.io/?EIO=4&sid=c2lnbmF0dXJl&t=1",
        "token=c2lnbmF0dXJl",
        "auth.secret=c2lnbmF0dXJl!",
    ],
)
def test_what_lets_people_in_is_blotted_out(text: str) -> None:
    assert "c2lnbmF0dXJl" not in blot(text)
    assert "<hidden>" in blot(text)


def test_ordinary_text_is_left_alone() -> None:
    text = "room session:1 closed: pid 42, token expired"
    assert blot(text) == text


def test_tokens_in_tracebacks_are_blotted_out_too() -> None:
    logging_on, stream = written()
    with logging_on:
        try:
            fail("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2ln")
        except ValueError:
            log.exception("oops")
    assert "c2ln" not in stream.getvalue()


class StuckStream(io.StringIO):
    """A terminal that stops reading."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.writing = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        self.reading.wait()
        return super().write(text)


def test_a_stuck_reader_holds_nobody_up_and_lost_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "QUEUED_LINES_MAX", 10)
    stream = StuckStream()
    with configure("info", "json", stream):
        log.warning("first")
        stream.writing.wait()
        for n in range(30):
            log.warning(f"line {n}")
        stream.reading.set()
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert [event for event in events if "lost" not in event] == ["first", *(f"line {n}" for n in range(10))]
    assert [event for event in events if "lost" in event] == [
        "20 lines were lost here: standard error was read too slowly"
    ]


def test_a_stuck_reader_cannot_keep_the_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FLUSH_DEADLINE_S", 0.01)
    stream = StuckStream()
    with configure("info", "json", stream):
        log.warning("first")
        stream.writing.wait()
    assert stream.getvalue() == ""
    stream.reading.set()


def test_everything_is_put_back_at_the_end() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    logging_on, _ = written(level="error")
    with logging_on:
        assert root.level == logging.ERROR
    assert (root.handlers, root.level) == before
