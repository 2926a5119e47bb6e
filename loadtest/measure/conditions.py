"""Conditions of `--fail-if`: `METRIC[.STAT] OP VALUE[UNIT]`, true when the run has failed.

    fanout.p99 > 100ms      fanout[chat.message.new].p999 > 1s      lost > 0      delivery < 100%      rss > 900MB

A latency without a name is the worst of all names of its kind (their sum for `count`). A latency that was never
measured fails its condition unless that is about `count`: a limit that could not be checked is not kept. So does
`delivery`, a share, of nothing; `lost` and the other counts can always be taken, and are 0 then.
"""

import operator
import re
from collections.abc import Callable, Iterable

import attrs

from loadtest.measure.result import LATENCY_KINDS, Latency, Result, Verdict

STATS = ("p50", "p90", "p95", "p99", "p999", "max", "mean", "count")
PLAIN: dict[str, str] = {  # metric: unit
    "lost": "", "duplicate": "", "out_of_order": "", "delivery": "%", "refused": "", "failed": "", "unrecovered": "",
    "absent": "", "unanswered": "", "rss": "MB", "cpu": "%", "users": "",
}  # fmt: skip
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
MICROSECONDS = {"us": 1.0, "ms": 1_000.0, "s": 1_000_000.0}
DEFAULT_STAT = "p99"

_GRAMMAR = re.compile(
    r"\s*(?P<metric>[a-z_]+)\s*(?:\[(?P<name>[^\]]+)\])?\s*(?:\.\s*(?P<stat>[a-z0-9]+))?"
    r"\s*(?P<op>>=|<=|==|>|<)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|%|MB)?\s*"
)
_ALLOWED = (
    f"METRIC[.STAT] OP VALUE[UNIT], where METRIC is {', '.join(LATENCY_KINDS)} (with [name] for one event), or "
    f"{', '.join(PLAIN)}; STAT is {', '.join(STATS)}; OP is {' '.join(OPERATORS)}; UNIT is us, ms, s, % or MB"
)


class BadCondition(Exception):
    """A text that is no condition; says what would be."""


@attrs.frozen
class Condition:
    """One parsed condition; `value` in microseconds for latencies."""

    text: str
    metric: str
    name: str | None
    stat: str
    op: str
    value: float

    def judge(self, result: Result) -> Verdict:
        """What was measured, and whether the run fails by it."""
        measured = self._latency(result) if self.metric in LATENCY_KINDS else _plain(self.metric, result)
        if measured is None:
            return Verdict(text=self.text, value=None, holds=True)
        return Verdict(text=self.text, value=measured, holds=OPERATORS[self.op](measured, self.value))

    def _latency(self, result: Result) -> float | None:
        names = result.latencies.get(self.metric, {})
        chosen = [latency for name, latency in names.items() if self.name in {None, name} and latency.count]
        values = [_stat(latency, self.stat) for latency in chosen]
        if self.stat == "count":
            return sum(values)
        # The worst for the condition: a floor (`<`) is broken by the smallest, a ceiling by the largest.
        worst = min if self.op.startswith("<") else max
        return worst(values, default=None)


def parse(text: str) -> Condition:
    """BadCondition, with what is allowed, when it cannot be read."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise BadCondition(f"cannot read the condition {text!r}: it must be {_ALLOWED}")
    metric, name, stat, op, value, unit = match.group("metric", "name", "stat", "op", "value", "unit")
    if metric in LATENCY_KINDS:
        return Condition(text, metric, name, _known_stat(text, stat), op, float(value) * _scale(text, stat, unit))
    if metric not in PLAIN:
        raise BadCondition(f"{text!r}: there is no metric {metric!r}; it must be {_ALLOWED}")
    if name or stat:
        raise BadCondition(f"{text!r}: {metric} is one number and takes neither [name] nor .STAT")
    if unit not in {None, PLAIN[metric]}:
        given = f"in {PLAIN[metric]}" if PLAIN[metric] else "without a unit"
        raise BadCondition(f"{text!r}: {metric} is given {given}")
    return Condition(text, metric, None, "", op, float(value))


def apply(result: Result, conditions: Iterable[Condition]) -> Result:
    """The result with a verdict for each condition."""
    return attrs.evolve(result, conditions=[condition.judge(result) for condition in conditions])


def _known_stat(text: str, stat: str | None) -> str:
    if stat is not None and stat not in STATS:
        raise BadCondition(f"{text!r}: there is no statistic {stat!r}; it must be one of {', '.join(STATS)}")
    return stat or DEFAULT_STAT


def _scale(text: str, stat: str | None, unit: str | None) -> float:
    if stat == "count":
        if unit:
            raise BadCondition(f"{text!r}: a count has no unit")
        return 1.0
    if unit not in MICROSECONDS:
        raise BadCondition(f"{text!r}: a latency needs a unit: us, ms or s")
    return MICROSECONDS[unit]


def _stat(latency: Latency, stat: str) -> float:
    value: float = getattr(latency, stat)
    return float(value)


def _plain(metric: str, result: Result) -> float | None:
    """One of PLAIN. `rss` and `cpu` are the server's highest second: None when its process was not known."""
    return _PLAIN[metric](result)


def _of_delivery(name: str) -> Callable[[Result], float]:
    return lambda result: float(getattr(result.delivery, name))


def _counted(family: str) -> Callable[[Result], float]:
    """All of `family` and `family.…`."""
    return lambda result: float(
        sum(n for name, n in result.counters.items() if name == family or name.startswith(f"{family}."))
    )


def _peak(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


_PLAIN: dict[str, Callable[[Result], float | None]] = {
    "lost": _of_delivery("lost"),
    "duplicate": _of_delivery("duplicate"),
    "out_of_order": _of_delivery("out_of_order"),
    "delivery": lambda result: result.delivery.percent if result.delivery.expected else None,
    "refused": _counted("refused"),
    "failed": _counted("failed"),
    "unrecovered": _counted("unrecovered"),
    "absent": _counted("absent"),
    "unanswered": _counted("unanswered"),
    "rss": lambda result: _peak(moment.server_rss_mb for moment in result.timeline),
    "cpu": lambda result: _peak(m.server_cpu and 100 * m.server_cpu for m in result.timeline),
    "users": lambda result: float(max((moment.users for moment in result.timeline), default=0)),
}
