"""The machine and the versions a result was measured with: a figure without them cannot be compared."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("trio", "trio-websocket", "wsproto", "h11", "hdrhistogram", "orjson")
GIT_TIMEOUT_S = 5.0


def describe() -> dict[str, object]:
    """CPU, cores, memory, kernel, for `Result.machine`."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_mb": memory_mb(),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
    }


def versions(*more: str) -> dict[str, str]:
    """Python and the packages that make the load, for `RunInfo.versions`; `more` are further package names."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit(folder: Path | None = None) -> str:
    """The commit of a checkout (this one unless told), with a `+` when it has changes; empty outside of git."""
    folder = folder or Path(__file__).resolve().parents[2]
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    return f"{head}{'+' if _git(folder, 'status', '--porcelain', '--untracked-files=no') else ''}" if head else ""


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """As the kernel names it; the architecture when it does not."""
    try:
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model", "Hardware"}:
                return value.strip()
    except OSError:
        pass
    return platform.machine()


def memory_mb() -> int:
    """Physical memory, in millions of bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000


def _first_line(file: Path) -> str:
    try:
        return file.read_text().partition("\n")[0]
    except OSError:
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)  # noqa: S603 - git, as written above
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
