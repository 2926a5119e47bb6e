"""The peer from `loadtest/peers/socketio` as a process, for tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import TracebackType

from tests.harness import SECRET

PEER = Path(__file__).parents[2] / "loadtest" / "peers" / "socketio"
READY = re.compile(rb"listening on (\d+)\n")
STOP_DEADLINE_S = 10.0


class SocketIoPeer:
    """`node server.mjs` on a free port, from the start to the end of the block."""

    def __init__(self, *options: str) -> None:
        self.options = options
        self.url = ""

    def __enter__(self) -> SocketIoPeer:
        assert (PEER / "node_modules").is_dir(), f"the peer's packages are missing: make test, or npm ci in {PEER}"
        command = ["node", "server.mjs", "--port", "0", "--secret", SECRET, *self.options]
        self.process = subprocess.Popen(command, cwd=PEER, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        ready = READY.match(self.process.stdout.readline())
        assert ready is not None, "the peer did not say that it listens"
        self.url = f"http://127.0.0.1:{int(ready[1])}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(STOP_DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
