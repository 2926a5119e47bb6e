"""The generator's own pulse: a load generator that is late itself measures itself, not the server.

A beat of 20 ms shows how late the process's own loop runs; CPU time over wall time shows how near it is to its limit.
A run in which either was over its limit for more than a tenth of the seconds is invalid (exit code 2): it is not
averaged in, and no figure of it may be compared. A tenth, since starting thousands of users costs a short burst.
"""

import time
from collections.abc import Sequence

import attrs
import trio

from loadtest.measure.recorder import Recorder

BEAT_S = 0.020
CPU_LIMIT = 0.80  # of one core: each process of the generator is one thread
LAG_LIMIT_MS = 100.0  # the worst beat of a second
SECONDS_SHARE_LIMIT = 0.10


@attrs.frozen
class Second:
    """One second of one process."""

    lag_ms: float
    cpu: float  # share of a core, 0 to 1


class Pulse:
    """Takes the pulse of the process it runs in, and tells the recorder once a second."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._worst_ms = 0.0
        self._since_ns = time.monotonic_ns()
        self._cpu_ns = time.process_time_ns()

    async def run(self) -> None:
        """Until cancelled. Beats on absolute times, so that a late beat is not forgiven by the next."""
        due = trio.current_time() + BEAT_S
        while True:
            await trio.sleep_until(due)
            now = trio.current_time()
            self.beat(now - due)
            due = max(due + BEAT_S, now)
            if time.monotonic_ns() - self._since_ns >= 1_000_000_000:
                self.second(time.monotonic_ns(), time.process_time_ns())

    def beat(self, late_s: float) -> None:
        self._worst_ms = max(self._worst_ms, late_s * 1000)

    def second(self, wall_ns: int, cpu_ns: int) -> None:
        """Close a second: hand over its worst beat and its share of a core."""
        cpu = (cpu_ns - self._cpu_ns) / max(1, wall_ns - self._since_ns)
        self._recorder.gauge("lag_ms", round(self._worst_ms, 3))
        self._recorder.gauge("cpu", round(cpu, 4))
        self._worst_ms, self._since_ns, self._cpu_ns = 0.0, wall_ns, cpu_ns


def invalid_because(seconds: Sequence[Second], process: int = 0) -> list[str]:
    """Sentences on why what this process measured says nothing; none when it was in time."""
    if not seconds:
        return []
    sentences = []
    busy = sum(second.cpu > CPU_LIMIT for second in seconds)
    late = sum(second.lag_ms > LAG_LIMIT_MS for second in seconds)
    allowed = SECONDS_SHARE_LIMIT * len(seconds)
    if busy > allowed:
        sentences.append(
            f"generator process {process} used more than {CPU_LIMIT:.0%} of its core in {busy} of {len(seconds)} "
            f"seconds (at most {SECONDS_SHARE_LIMIT:.0%} may): use more processes or fewer users"
        )
    if late > allowed:
        sentences.append(
            f"the loop of generator process {process} ran more than {LAG_LIMIT_MS:.0f} ms late in {late} of "
            f"{len(seconds)} seconds (at most {SECONDS_SHARE_LIMIT:.0%} may): its latencies are its own"
        )
    return sentences
