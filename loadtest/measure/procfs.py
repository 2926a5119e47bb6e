"""What the kernel knows of a process: CPU time, memory, open files, threads (Linux `/proc`).

The server is given with `--server-pid`, or found as the process that listens at the port of a local host.
"""

import contextlib
import os
from pathlib import Path

import attrs

PROC = Path("/proc")
LISTEN = "0A"  # state in /proc/net/tcp
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class NoProcess(Exception):
    """It has ended, or may not be looked at."""


@attrs.frozen
class Usage:
    """A look at a process. CPU of all its threads, user and system."""

    cpu_ns: int
    rss_bytes: int
    fds: int
    threads: int
    waited_ns: int = 0  # its first thread: ready to run, and without a core

    @property
    def rss_mb(self) -> float:
        """Megabytes as in `--fail-if 'rss > 900MB'`: millions of bytes."""
        return self.rss_bytes / 1_000_000


def usage(pid: int, proc: Path = PROC) -> Usage:
    """NoProcess when there is none."""
    folder = proc / str(pid)
    try:
        # The name in brackets may hold spaces and brackets: fields are counted from the last one.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        fds = len(os.listdir(folder / "fd"))
        waited = waited_ns(folder)
    except (OSError, IndexError) as gone:
        raise NoProcess(f"no process {pid}: {gone}") from gone
    return Usage((int(fields[11]) + int(fields[12])) * _TICK_NS, resident, fds, int(fields[17]), waited)


def waited_ns(folder: Path = PROC / "self") -> int:
    """For how long a process's first thread was ready to run while others had the cores; 0 where that is not told."""
    try:
        return int((folder / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def cpu_share(before: Usage, after: Usage, wall_ns: int) -> float:
    """Share of a core between two looks; more than 1 for several threads."""
    return max(0, after.cpu_ns - before.cpu_ns) / max(1, wall_ns)


def listening_pid(port: int, proc: Path = PROC) -> int | None:
    """The process that listens at a TCP port of this machine, the lowest if several share it; None if none is seen."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not sockets:
        return None
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        if sockets & _links(proc / str(pid) / "fd"):
            return pid
    return None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _links(folder: Path) -> set[str]:
    """What a process's open files point at; nothing when they may not be seen."""
    found = set()
    with contextlib.suppress(OSError):  # the process is somebody else's, or has ended
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):  # this one was closed meanwhile
                found.add(os.readlink(folder / name))
    return found
