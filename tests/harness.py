"""The server under test: the real one, as a process, with a configuration and a data directory of its own.

It can be stopped, killed and started again on the same port and data. The port lies below the range that the system
gives to outgoing connections, so that no reconnecting client can sit on it while the server is away.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import jwt
import trio
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
SECRET = "a secret of the tests, long enough for every algorithm that anybody may try on it"
READY_DEADLINE_S = 20.0
STOP_DEADLINE_S = 15.0
REQUEST_DEADLINE_S = 15.0
PORTS = range(20_000, 32_000)
URL = re.compile(r"https?://127\.0\.0\.1:\d+")
LOG_SHOWN_CHARS = 4_000

Settings = Mapping[str, Mapping[str, Any]]

NO_CHECKS = ssl.create_default_context()  # made once: reading the system's certificates takes 30 ms
NO_CHECKS.check_hostname = False
NO_CHECKS.verify_mode = ssl.CERT_NONE

DEFAULTS: dict[str, dict[str, Any]] = {
    "auth": {"secret": SECRET},
    "sessions": {"auto_create": True},
    "events": {"auto_create": True},
    "limits": {"enabled": False},
    "server": {"shutdown_jitter_s": 0.2},
}


class ServerTrouble(AssertionError):
    """The server did not do what a server does; the text ends with what it logged."""


class Server:
    """`livehub serve` as a child process. As a context manager it runs from the start to the end of the block."""

    def __init__(self, directory: Path, settings: Settings | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.url = ""
        self._config = directory / "livehub.toml"
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._config.write_text(_toml(self._merged(settings or {})))

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process id of the server that runs."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote to standard error, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it, and wait until it is ready to serve."""
        command = [sys.executable, "-m", "livehub", "serve", "--config", str(self._config), "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        deadline_s = time.monotonic() + READY_DEADLINE_S
        self.url = self._announced(self._process, deadline_s)
        ready = httpx.get(f"{self.url}/readyz", timeout=READY_DEADLINE_S, verify=NO_CHECKS)
        if ready.status_code != 200:
            raise ServerTrouble(f"not ready: {ready.text}\n{self._tail()}")

    def kill(self) -> None:
        """`kill -9`, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._reap()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait: the exit code."""
        self.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for it to end: the exit code."""
        assert self._process is not None
        try:
            return self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise ServerTrouble(f"it did not stop within {STOP_DEADLINE_S:g} s\n{self._tail()}") from None
        finally:
            self._reap()

    async def restart(self) -> None:
        """Start it again, without holding up the clients in this process."""
        await trio.to_thread.run_sync(self.start)

    def token(self, user: str, *, name: str = "", ttl_s: float = 3_600, **claims: Any) -> str:
        """A token that it believes."""
        now_s = int(time.time())
        told = {"sub": user, "email": f"{user}@example.org", "orgId": "org", "iat": now_s, "exp": int(now_s + ttl_s)}
        return jwt.encode({**told, **({"name": name} if name else {}), **claims}, SECRET, "HS256")

    async def command(self, name: str, *options: str) -> str:
        """What `livehub NAME` prints with the same configuration."""
        command = [sys.executable, "-m", "livehub", name, "--config", str(self._config), *options]
        done = await trio.run_process(command, cwd=ROOT, capture_stdout=True)
        return done.stdout.decode()

    async def request(self, method: str, path: str, token: str = "", body: Any = None) -> httpx.Response:
        """One REST request."""
        async with self._http() as http:
            return await http.request(method, path, headers=_bearer(token), json=body)

    async def history(self, session: str, token: str) -> list[dict[str, Any]]:
        """All messages of a session, oldest first, page by page."""
        messages: list[dict[str, Any]] = []
        before = ""
        async with self._http() as http:
            while True:
                path = f"/api/sessions/{session}/messages?limit=200{before}"
                answer = await http.get(path, headers=_bearer(token))
                assert answer.status_code == 200, answer.text
                page = answer.json()
                messages = page["messages"] + messages
                if not page["hasMore"]:
                    return messages
                before = f"&before={messages[0]['id']}"

    async def metric(self, name_part: str) -> float:
        """Sum of all series whose name contains this."""
        text = (await self.request("GET", "/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = [sample.value for sample in samples if name_part in sample.name]
        assert found, f"/metrics has no {name_part}"
        return sum(found)

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """A figure from the process's status; `VmHWM` is the most that `VmRSS` has been."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise ServerTrouble(f"no {field} in the status of process {self.pid}")

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=REQUEST_DEADLINE_S, verify=NO_CHECKS)

    def _merged(self, settings: Settings) -> dict[str, dict[str, Any]]:
        merged = {name: dict(section) for name, section in DEFAULTS.items()}
        merged["store"] = {"data": str(self.data)}
        for name, section in settings.items():
            merged.setdefault(name, {}).update(section)
        return merged

    def _announced(self, process: subprocess.Popen[bytes], deadline_s: float) -> str:
        assert process.stdout is not None
        seen = b""
        while not (found := URL.search(seen.decode(errors="replace"))):
            readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline_s - time.monotonic()))
            piece = os.read(process.stdout.fileno(), 65_536) if readable else b""
            if not piece:
                self.kill()
                raise ServerTrouble(f"no URL within {READY_DEADLINE_S:g} s; it said {seen!r}\n{self._tail()}")
            seen += piece
        return found[0]

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_DEADLINE_S)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def _tail(self) -> str:
        return self.log[-LOG_SHOWN_CHARS:]


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _toml(settings: Settings) -> str:
    """JSON's strings, numbers, lists and booleans are TOML's too."""
    lines = []
    for name, section in settings.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    return "\n".join(lines) + "\n"
