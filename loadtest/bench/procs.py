"""Processes on a core of their own, and what they use: CPU to the nanosecond, memory from `/proc`.

CPU is read from the process's own clock (`clock_getcpuclockid(3)`): it covers all threads, ended ones too, and knows no
ticks of 10 ms as `/proc/PID/stat` does. The same clock is read for every server.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE = 0
GENERATOR_CORE = 1
READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
CPUCLOCK_SCHED = 2  # of the kernel's posix-timers.h: the time that the scheduler gave
TROUBLE_SHOWN_CHARS = 2_000


class Trouble(Exception):
    """A point could not be measured; the text says why."""


def cpu_ns(pid: int) -> int:
    """CPU time that a process has used, all threads together."""
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def found(program: str) -> str:
    """Where a program is. Raises `Trouble` if it is nowhere."""
    path = shutil.which(program)
    if path is None:
        raise Trouble(f"missing: {program}")
    return path


def output(program: str, *arguments: str) -> str:
    """What a program says of this checkout; nothing if it fails."""
    command = [found(program), *arguments]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)  # noqa: S603 - all ours
    return done.stdout.strip()


class Others:
    """How much of the machine everything but this process and its children uses, from now on."""

    def __init__(self) -> None:
        self._busy_s, self._ours_s, self._wall_s = busy_s(), _ours_s(), time.monotonic()

    def share(self) -> float:
        """Of all cores. Children count once they have ended and were waited for."""
        machine_s = (time.monotonic() - self._wall_s) * (os.cpu_count() or 1)
        return max(0.0, busy_s() - self._busy_s - (_ours_s() - self._ours_s)) / machine_s


def busy_s() -> float:
    """CPU time that all cores together were not idle, what other guests took of them included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Process:
    """A server as a child process on the servers' core, from its first announcement to its end."""

    def __init__(
        self, command: Sequence[str], ready: str, log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        mine = os.sched_getaffinity(0)
        pin(SERVER_CORE)  # a child inherits the core, with every thread it will ever have
        try:
            with log.open("ab") as errors:
                self._child = subprocess.Popen(  # noqa: S603 - all ours
                    command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=errors
                )
        finally:
            os.sched_setaffinity(0, mine)
        self.pid = self._child.pid
        self.said = b""
        try:
            self._await(re.compile(ready.encode()))
        except BaseException:
            self.kill()
            raise

    def cpu_ns(self) -> int:
        """CPU time used so far."""
        return cpu_ns(self.pid)

    def rss_bytes(self) -> int:
        """Memory that it holds now."""
        return rss_bytes(self.pid)

    def stop(self) -> None:
        """Ask it to end and wait for it. Raises `Trouble` if it does not, or complains."""
        self._child.send_signal(signal.SIGTERM)
        self.ended()

    def ended(self) -> None:
        """Wait for its end. Raises `Trouble` if that does not come, or is no good one."""
        try:
            code = self._child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise Trouble(f"process {self.pid} did not stop within {STOP_DEADLINE_S:g} s") from None
        finally:
            self.kill()
        if code != 0:
            raise Trouble(f"a server ended with exit code {code}: {self.tail()}")

    def kill(self) -> None:
        """End it, whatever it is doing."""
        with suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def tail(self) -> str:
        """The end of what it complained about."""
        return self._log.read_text(errors="replace")[-TROUBLE_SHOWN_CHARS:]

    def _await(self, ready: re.Pattern[bytes]) -> None:
        assert self._child.stdout is not None
        out, ends_s = self._child.stdout.fileno(), time.monotonic() + READY_DEADLINE_S
        poll = select.poll()  # select.select() knows no descriptor above 1,023
        poll.register(out, select.POLLIN)
        while not ready.search(self.said):
            readable = poll.poll(max(0.0, ends_s - time.monotonic()) * 1000)
            piece = os.read(out, 65_536) if readable else b""
            if not piece:
                raise Trouble(f"a server did not get ready: {self.tail()}")
            self.said += piece
