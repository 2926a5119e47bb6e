"""The result of a run: one JSON document, the only thing that reports, conditions and comparisons read.

It is plain data: written once at the end of a run, read back years later by a newer harness. So reading is lenient
(unknown keys are ignored, missing ones take their default) and writing is strict.
"""

import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import orjson

LATENCY_KINDS = ("fanout", "last", "ack", "connect", "join", "recovery")
T = TypeVar("T")


class BadResult(Exception):
    """A file that is not a result of this harness."""


@attrs.frozen(kw_only=True)
class RunInfo:
    """What was asked for: enough to run it again."""

    scenario: str = ""
    target: str = ""
    host: str = ""
    command: str = ""
    seed: int = 0
    users: int = 0
    rate: float = 0.0
    duration_s: float = 0.0
    asked_s: float = 0.0  # -t; 0 is until somebody stops it
    cut_short: bool = False  # somebody stopped it before -t was over
    processes: int = 1
    polling_percent: float = 0.0
    max_generator_cpu: float = 0.8  # share of a core; a second above it, or later than the next, counts as bad
    max_generator_lag_ms: float = 100.0
    started: str = ""  # UTC, ISO 8601
    commit: str = ""
    versions: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Delivery:
    """What members had to hear, and what they heard; `expected` is `delivered + lost`."""

    expected: int = 0
    delivered: int = 0
    lost: int = 0
    duplicate: int = 0
    out_of_order: int = 0

    @property
    def percent(self) -> float:
        """Delivered of expected; 100 when nothing was expected."""
        return 100.0 * self.delivered / self.expected if self.expected else 100.0

    @property
    def complete(self) -> bool:
        """Whether latencies may be printed without a word on loss."""
        return self.lost == 0


@attrs.frozen(kw_only=True)
class Latency:
    """One distribution in whole microseconds; `hdr` is the whole histogram (HdrHistogram V2, base64)."""

    count: int = 0
    p50: int = 0
    p90: int = 0
    p95: int = 0
    p99: int = 0
    p999: int = 0
    max: int = 0
    mean: float = 0.0
    hdr: str = ""


@attrs.frozen(kw_only=True)
class Asks:
    """What became of one event's requests."""

    sent: int = 0
    acked: int = 0
    failed: int = 0
    refused: dict[str, int] = attrs.field(factory=dict)

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())


@attrs.frozen(kw_only=True)
class Moment:
    """One second of the run; latencies in microseconds, None where nothing was measured."""

    t: float = 0.0
    users: int = 0
    connected: int = 0
    sent: int = 0
    acked: int = 0
    delivered: int = 0
    refused: int = 0
    fanout_p50: int | None = None
    fanout_p99: int | None = None
    ack_p50: int | None = None
    ack_p99: int | None = None
    lag_ms: float = 0.0
    cpu: float = 0.0
    wait: float = 0.0  # of the generators, for a core that others had
    server_cpu: float | None = None
    server_rss_mb: float | None = None
    server_wait: float | None = None


@attrs.frozen(kw_only=True)
class ServerMetric:
    """One sample of the server's own `/metrics`, before and after the run."""

    name: str = ""
    before: float = 0.0
    after: float = 0.0
    delta: float = 0.0


@attrs.frozen(kw_only=True)
class Verdict:
    """A condition of `--fail-if`, what was measured, and whether the condition (a failure) holds."""

    text: str = ""
    value: float | None = None
    holds: bool = False


@attrs.frozen(kw_only=True)
class Regression:
    """A figure that is worse than in the baseline by more than was allowed."""

    name: str = ""
    before: float = 0.0
    now: float = 0.0
    change_percent: float = 0.0
    text: str = ""


@attrs.frozen(kw_only=True)
class Result:
    """The whole document."""

    run: RunInfo = attrs.field(factory=RunInfo)
    machine: dict[str, Any] = attrs.field(factory=dict)
    valid: bool = True
    invalid_because: list[str] = attrs.field(factory=list)
    delivery: Delivery = attrs.field(factory=Delivery)
    latencies: dict[str, dict[str, Latency]] = attrs.field(factory=dict)
    asks: dict[str, Asks] = attrs.field(factory=dict)
    counters: dict[str, int] = attrs.field(factory=dict)
    timeline: list[Moment] = attrs.field(factory=list)
    server: list[ServerMetric] = attrs.field(factory=list)
    conditions: list[Verdict] = attrs.field(factory=list)
    regressions: list[Regression] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)  # who was absent, what was unanswered, what `at_end` found wrong
    notes: list[str] = attrs.field(factory=list)  # what to know before these figures are compared

    @property
    def exit_code(self) -> int:
        """2: the run says nothing; 1: it says no; 0: it says yes."""
        if not self.valid:
            return 2
        failed = self.failures or self.regressions or any(verdict.holds for verdict in self.conditions)
        return 1 if failed else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with `delivery.percent` spelled out for readers that are not this program."""
        plain = attrs.asdict(self)
        plain["delivery"]["percent"] = round(self.delivery.percent, 6)
        return plain

    def to_json(self) -> bytes:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, text: "bytes | str | Mapping[str, object]") -> "Result":
        """From the document's text, or from the same as a dict. BadResult when it is neither."""
        try:
            plain = orjson.loads(text) if isinstance(text, (bytes, str)) else text
            return _read(cls, plain)
        except (ValueError, TypeError, KeyError, AttributeError) as wrong:
            raise BadResult(f"not a loadtest result: {wrong}") from wrong


def _read(cls: type[T], plain: object) -> T:
    """An attrs class from a dict: known keys only, each by its annotation."""
    if not isinstance(plain, Mapping):
        raise TypeError(f"{cls.__name__} must be an object, not {type(plain).__name__}")
    hints = get_type_hints(cls)
    return cls(**{key: _value(hint, plain[key]) for key, hint in hints.items() if key in plain})


def _value(hint: Any, plain: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {types.UnionType, Union}:
        return None if plain is None else _value(inner[0], plain)
    if origin is dict:
        return {str(key): _value(inner[1], item) for key, item in plain.items()}
    if origin is list:
        return [_value(inner[0], item) for item in plain]
    if attrs.has(hint):
        return _read(hint, plain)
    return plain if hint is Any else _scalar(hint, plain)


def _scalar(hint: type, plain: Any) -> Any:
    """A number where a number is promised: a text here would fail much later, in a chart."""
    if hint is float and type(plain) is int:
        return float(plain)
    if type(plain) is not hint:
        raise TypeError(f"{plain!r} is not {hint.__name__}")
    return plain
