"""Logging that never makes the loop wait and that no client can flood.

A record is put in a bounded queue; a thread formats and writes it, because a slow reader of standard error would
otherwise hold up every client. Of each kind of line (logger and message template) one passes per second, and says how
many did not. Tokens and ids that work as tokens are blotted out of whatever is written.
"""

from __future__ import annotations

import copy
import io
import logging
import queue
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from typing import Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from livehub.feature import iso

QUEUED_LINES_MAX = 10_000
MESSAGE_CHARS_MAX = 2_000
KINDS_MAX = 1_000
"""Kinds of line remembered by the limit; a logger that builds its templates at run time must not fill the memory."""

QUIET_S = 1.0
FLUSH_DEADLINE_S = 2.0

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}
_SECRETS = re.compile(
    r"eyJ[\w-]*\.[\w-]*\.[\w-]*"  # anything like a JWT
    r"|(?<=Bearer )[\w.~+/=-]+"
    r"|(?<=sid=)[\w-]+|(?<=pid=)[\w.-]+|(?<=token=)[\w.-]+|(?<=secret=)[^\s&]+"
)

Clock: TypeAlias = Callable[[], float]


@contextmanager
def configure(
    level: str = "info",
    format: Literal["text", "json"] = "text",  # noqa: A002 - as the setting is called
    stream: TextIO | None = None,
) -> Iterator[None]:
    """Send the logs of all libraries to standard error, as text or JSON lines, until the block ends."""
    lines: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUED_LINES_MAX)
    limit = OneLinePerSecond()
    handler = _Enqueue(lines)
    handler.addFilter(limit)
    writer = _Writer(lines, _handler(format, sys.stderr if stream is None else stream), handler)
    root = logging.getLogger()
    before = (root.handlers, root.level)
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    writer.start()
    try:
        yield
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        logging.captureWarnings(False)
        for record in limit.rest():
            handler.emit(record)
        writer.stop()


class OneLinePerSecond(logging.Filter):
    """Lets one record per logger and message template pass each second, with a count of those held back before it."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()
        self._lock = threading.Lock()  # threads of the store and of workers log too

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes."""
        key = (record.name, str(record.msg))
        now_s = self._clock()
        with self._lock:
            kind = self._kinds.get(key)
            if kind is not None and now_s < kind.until_s:
                kind.held_back += 1
                return False
            record.held_back = 0 if kind is None else kind.held_back
            self._kinds[key] = _Kind(record.levelno, now_s + QUIET_S)
            self._kinds.move_to_end(key)
            if len(self._kinds) > KINDS_MAX:
                self._kinds.popitem(last=False)
        return True

    def rest(self) -> list[logging.LogRecord]:
        """A record for each kind of which some were held back and not told of since."""
        with self._lock:
            kinds = [(key, kind) for key, kind in self._kinds.items() if kind.held_back]
            self._kinds.clear()
        return [
            logging.LogRecord(
                name, kind.level, "", 0, "%d more were not shown of: %s", (kind.held_back, template), None
            )
            for (name, template), kind in kinds
        ]


class _Kind:
    """What has become of one kind of line. It keeps no record: that would keep tracebacks and their frames alive."""

    __slots__ = ("held_back", "level", "until_s")

    def __init__(self, level: int, until_s: float) -> None:
        self.level = level
        self.until_s = until_s
        self.held_back = 0


class _Enqueue(QueueHandler):
    """Puts finished messages in the queue without waiting; when it is full, counts them instead."""

    lost = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Make the message now: its arguments may change before the thread comes to it."""
        try:
            message = record.getMessage()
        except Exception as error:  # a template that does not fit its arguments is no reason to stop
            message = f"{record.msg} (not formatted: {error})"
        if len(message) > MESSAGE_CHARS_MAX:
            message = f"{message[:MESSAGE_CHARS_MAX]}…"
        if held_back := getattr(record, "held_back", 0):
            message += f" ({held_back} more like this were not shown)"
        prepared = copy.copy(record)
        prepared.msg = message.translate(_CONTROL)
        prepared.args = None
        return prepared

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never wait, never fail."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1


class _Writer(threading.Thread):
    """Formats and writes. A daemon, so that a terminal that reads no more cannot keep the process alive."""

    def __init__(
        self, lines: queue.Queue[logging.LogRecord | None], handler: logging.Handler, source: _Enqueue
    ) -> None:
        super().__init__(name="livehub-log", daemon=True)
        self._lines = lines
        self._handler = handler
        self._source = source

    def run(self) -> None:
        while (record := self._lines.get()) is not None:
            self._handler.handle(record)
            if lost := self._source.lost:
                self._source.lost = 0
                text = f"{lost} lines were lost here: standard error was read too slowly"
                self._handler.handle(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None))

    def stop(self) -> None:
        """Write what is queued, within a deadline."""
        try:
            self._lines.put(None, timeout=FLUSH_DEADLINE_S)
        except queue.Full:
            return
        self.join(FLUSH_DEADLINE_S)


def _handler(format: Literal["text", "json"], stream: TextIO) -> logging.Handler:  # noqa: A002 - as in `configure`
    handler = logging.StreamHandler(stream)
    before: list[Processor] = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, _add_time]
    last: list[Processor]
    if format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        colors = stream.isatty()
        last = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=_traceback)]
    shape = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(_Formatter(foreign_pre_chain=before, processors=shape))
    return handler


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return blot(super().format(record))


def _traceback(out: TextIO, error: ExcInfo) -> None:
    """A traceback whose message cannot steer the terminal."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    out.write(text.getvalue().translate({code: shown for code, shown in _CONTROL.items() if code != ord("\n")}))


def blot(text: str) -> str:
    """The text without anything that would let a reader of the log in."""
    return _SECRETS.sub("<hidden>", text)


def _add_time(_: object, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = iso(int(event["_record"].created * 1000))
    return event
