"""The servers that are compared, each as its operator gets it: shipped defaults, a log on disk, one core.

livehub has its rates off (`[limits] enabled = false`), rooms that are made on demand and a data directory of its own;
everything else is as shipped, with every message on disk before its ack. The peer keeps everything in memory. The bare
loop is compiled for each run.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import attrs

from loadtest.bench.crowd import PAYLOAD_BYTES
from loadtest.bench.procs import Process, Trouble, found
from loadtest.targets import DEVELOPMENT_SECRET

ROOT = Path(__file__).parents[2]
PEER = ROOT / "loadtest" / "peers" / "socketio"
PORTS = range(4_061, 4_070)
"""Below the range that the system gives to outgoing connections, so that no client can sit on one of them."""
LIVEHUB_SETTINGS: dict[str, dict[str, object]] = {
    "auth": {"secret": DEVELOPMENT_SECRET},
    "sessions": {"auto_create": True},
    "events": {"auto_create": True},
    "limits": {"enabled": False},
}


@attrs.frozen
class Served:
    """A server that is ready."""

    name: str
    port: int
    process: Process
    directory: Path

    def cpu_ns(self) -> int:
        """CPU time used so far."""
        return self.process.cpu_ns()

    def rss_bytes(self) -> int:
        """Memory that it holds now."""
        return self.process.rss_bytes()


Starter: TypeAlias = Callable[[], AbstractContextManager[Served]]


@contextmanager
def livehub() -> Iterator[Served]:
    """livehub on a fresh data directory."""
    with _directory() as directory:
        config, port = directory / "livehub.toml", free_port()
        config.write_text(_toml({**LIVEHUB_SETTINGS, "store": {"data": str(directory / "data")}}))
        command = [sys.executable, "-m", "livehub", "serve", "--config", str(config), "--port", str(port)]
        with _running("livehub", port, command, r"http://127\.0\.0\.1:\d+", directory) as served:
            yield served


@contextmanager
def socketio() -> Iterator[Served]:
    """The peer on npm `socket.io`."""
    install_peer()
    with _directory() as directory:
        port = free_port()
        command = [found("node"), str(PEER / "server.mjs"), "--port", str(port), "--secret", DEVELOPMENT_SECRET]
        with _running("socket.io", port, command, r"listening on \d+", directory) as served:
            yield served


@contextmanager
def barec() -> Iterator[Served]:
    """The bare loop of `send()`. It ends with its control connection."""
    with _directory() as directory:
        port = free_port()
        command = [str(_compiled(directory)), str(port), str(PAYLOAD_BYTES)]
        process = Process(command, r"listening on \d+", directory / "log", cwd=ROOT)
        try:
            yield Served("bare C", port, process, directory)
            process.ended()
        finally:
            process.kill()


def free_port() -> int:
    """A port of this bench that nobody listens on; any of them, as another run may be looking for one too."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Trouble(f"ports {PORTS.start} to {PORTS.stop - 1} are all taken")


def install_peer() -> None:
    """Have npm fetch what the peer needs, once."""
    if not (PEER / "node_modules" / "socket.io").exists():
        command = [found("npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=PEER, check=True)  # noqa: S603 - all ours


def peer_version() -> str:
    """The peer's versions, as its lock file says."""
    lock = json.loads((PEER / "package-lock.json").read_text())
    return str(lock["packages"]["node_modules/socket.io"]["version"])


@contextmanager
def _running(name: str, port: int, command: Sequence[str], ready: str, directory: Path) -> Iterator[Served]:
    process = Process(command, ready, directory / "log", cwd=ROOT)
    try:
        yield Served(name, port, process, directory)
        process.stop()
    except (Trouble, OSError) as error:
        raise Trouble(f"{name}: {error}\n{process.tail()}".rstrip()) from error
    finally:
        process.kill()


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory on disk: `/var/tmp` is on disk also where `/tmp` is memory."""
    with tempfile.TemporaryDirectory(prefix="livehub-bench-", dir="/var/tmp") as name:
        yield Path(name)


def _compiled(directory: Path) -> Path:
    program, source = directory / "barec", Path(__file__).with_name("barec.c")
    subprocess.run([found("cc"), "-O2", "-o", str(program), str(source)], check=True)  # noqa: S603 - our own source
    return program


def _toml(settings: dict[str, dict[str, object]]) -> str:
    """JSON's strings, numbers and booleans are TOML's too."""
    lines = []
    for name, section in settings.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"
