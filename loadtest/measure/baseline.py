"""A run against an earlier one (`--baseline`): what got worse by more than was allowed (`--max-regress`).

Compared are p50 and p99 of every latency that both runs measured often enough, and what went wrong: the lost,
duplicate, out-of-order, failed and unrecovered. Of those any that a clean baseline did not have is a regression. Two
runs of which no latency can be compared are no proof that nothing got worse, so that is one, too.
"""

import math

from loadtest.measure.result import Latency, Regression, Result

SAMPLES_MIN = 100  # below, a p99 is one unlucky sample
NOISE_US = 200  # less than this is the scheduler, however many percent it is
WRONGS = ("lost", "duplicate", "out_of_order", "failed", "unrecovered")


def compare(result: Result, before: Result, max_regress_percent: float) -> list[Regression]:
    """What is worse than before by more than `max_regress_percent`, in the order of the document."""
    worse: list[Regression] = []
    compared = False
    for kind, names in result.latencies.items():
        for name, latency in names.items():
            old = before.latencies.get(kind, {}).get(name)
            if old is not None and min(old.count, latency.count) >= SAMPLES_MIN:
                compared = True
                worse += _slower(f"{kind}[{name}]", old, latency, max_regress_percent)
    if not compared:
        text = f"nothing to compare: no latency has {SAMPLES_MIN} samples in both runs"
        worse.append(Regression(name="baseline", text=text))
    for wrong in WRONGS:
        was, now = _wrong(before, wrong), _wrong(result, wrong)
        if now > was * (1 + max_regress_percent / 100):
            worse.append(_regression(wrong, was, now, f"{wrong}: {was:,.0f} before, {now:,.0f} now"))
    return worse


def differences(result: Result, before: Result) -> list[str]:
    """What was asked for otherwise than before, in words: figures of such runs need a second look."""
    now, was = result.run, before.run
    pairs = (("users", was.users, now.users), ("host", was.host, now.host), ("seed", was.seed, now.seed))
    told = [f"{name} {old}, now {new}" for name, old, new in pairs if old != new]
    notes = [f"the baseline was made with {'; '.join(told)}"] if told else []
    return notes if before.valid else ["the baseline is itself an invalid run", *notes]


def _slower(name: str, old: Latency, new: Latency, max_regress_percent: float) -> list[Regression]:
    worse = []
    for stat in ("p50", "p99"):
        was, now = getattr(old, stat), getattr(new, stat)
        if now > was * (1 + max_regress_percent / 100) and now - was > NOISE_US:
            text = f"{name}.{stat}: {was / 1000:,.1f} ms before, {now / 1000:,.1f} ms now"
            worse.append(_regression(f"{name}.{stat}", was, now, text))
    return worse


def _regression(name: str, was: float, now: float, text: str) -> Regression:
    change = 100.0 * (now - was) / was if was else math.inf
    if math.isfinite(change):
        return Regression(name=name, before=was, now=now, change_percent=change, text=f"{text} (+{change:.0f} %)")
    # JSON has no infinity: from nothing to something is told as 100 %, and by the text.
    return Regression(name=name, before=was, now=now, change_percent=100.0, text=text)


def _wrong(result: Result, name: str) -> float:
    if name == "failed":
        return float(sum(n for counter, n in result.counters.items() if counter.startswith("failed.")))
    if name == "unrecovered":
        return float(result.counters.get(name, 0))
    return float(getattr(result.delivery, name))
