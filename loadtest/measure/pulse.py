"""The generator's own pulse: a load generator that is late itself measures itself, not the server.

A beat of 20 ms shows how late the process's own loop runs; CPU time over wall time shows how near it is to its limit.
So does the time for which it was ready to run but had no core, because somebody else was on it: on a crowded machine
that is most of the second while its CPU share looks innocent, so both count together as busy.

A run in which either was over its limit for more than a tenth of the seconds is invalid (exit code 2): it is not
averaged in, and no figure of it may be compared. A tenth, since starting thousands of users costs a short burst.

One bad second is not enough, unless there is no other: in a run of less than ten seconds each is more than a tenth, and
one stall of the machine (another process, a page fault, the collector) would void a run whose percentiles it hardly
moves. Two are a generator that cannot keep up.
"""

import time
from collections.abc import Sequence

import attrs
import trio

from loadtest.measure import procfs
from loadtest.measure.recorder import Recorder

BEAT_S = 0.020
SECOND_MIN_NS = 900_000_000  # samples come every second, now and then a little early
CPU_LIMIT = 0.80  # of one core: each process of the generator is one thread
LAG_LIMIT_MS = 100.0  # the worst beat of a second
SECONDS_SHARE_LIMIT = 0.10
BAD_SECONDS_MIN = 2  # of a run that has so many


@attrs.frozen
class Limits:
    """What a second may take before it counts as bad (`--max-generator-cpu`, `--max-generator-lag`)."""

    cpu: float = CPU_LIMIT
    lag_ms: float = LAG_LIMIT_MS


DEFAULT_LIMITS = Limits()


@attrs.frozen
class Second:
    """One second of one process."""

    lag_ms: float
    cpu: float  # share of a core, 0 to 1
    wait: float = 0.0  # share of the second in which it was ready to run, and others had the core


class Pulse:
    """Takes the pulse of the process it runs in, and tells the recorder once a second, when `tell` is called."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._worst_ms = 0.0
        self._since_ns = time.monotonic_ns()
        self._cpu_ns = time.process_time_ns()
        self._wait_ns = procfs.waited_ns()

    async def run(self) -> None:
        """Until cancelled. Beats on absolute times, so that a late beat is not forgiven by the next."""
        due = trio.current_time() + BEAT_S
        while True:
            await trio.sleep_until(due)
            now = trio.current_time()
            self.beat(now - due)
            due = max(due + BEAT_S, now)

    def tell(self) -> None:
        """Close the second if it is over: to be called before each sample, so that each has one."""
        if time.monotonic_ns() - self._since_ns >= SECOND_MIN_NS:
            self.second(time.monotonic_ns(), time.process_time_ns(), procfs.waited_ns())

    def beat(self, late_s: float) -> None:
        self._worst_ms = max(self._worst_ms, late_s * 1000)

    def second(self, wall_ns: int, cpu_ns: int, wait_ns: int) -> None:
        """Close a second: hand over its worst beat, its share of a core and how long it waited for one."""
        passed_ns = max(1, wall_ns - self._since_ns)
        cpu, wait = (cpu_ns - self._cpu_ns) / passed_ns, (wait_ns - self._wait_ns) / passed_ns
        self._recorder.second(round(self._worst_ms, 3), round(cpu, 4), round(wait, 4))
        self._worst_ms, self._since_ns, self._cpu_ns, self._wait_ns = 0.0, wall_ns, cpu_ns, wait_ns


def invalid_because(seconds: Sequence[Second], process: int = 0, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Sentences on why what this process measured says nothing; none when it was in time."""
    sentences = []
    busy = sum(second.cpu + second.wait > limits.cpu for second in seconds)
    late = sum(second.lag_ms > limits.lag_ms for second in seconds)
    if _too_many(busy, len(seconds)):
        sentences.append(
            f"generator process {process} used or waited for more than {limits.cpu:.0%} of its core in {busy} of "
            f"{len(seconds)} seconds (at most {SECONDS_SHARE_LIMIT:.0%} may): {_advice(seconds)}"
        )
    if _too_many(late, len(seconds)):
        sentences.append(
            f"the loop of generator process {process} ran more than {limits.lag_ms:.0f} ms late in {late} of "
            f"{len(seconds)} seconds (at most {SECONDS_SHARE_LIMIT:.0%} may): its latencies are its own"
        )
    return sentences


def _advice(seconds: Sequence[Second]) -> str:
    waited = sum(second.wait for second in seconds) / len(seconds)
    if waited < sum(second.cpu for second in seconds) / len(seconds):
        return "use more processes or fewer users"
    return f"{waited:.0%} of the time others had the core, so give the generators one of their own (--affinity)"


def _too_many(bad: int, seconds: int) -> bool:
    return bad > SECONDS_SHARE_LIMIT * seconds and bad >= min(BAD_SECONDS_MIN, seconds)
