"""Whole runs as processes, of scenarios that are written for a test."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

from tests.harness import ROOT, SECRET
from tests.loadtest.patient import PATIENT

RUN_DEADLINE_S = 60.0
CHAT = '''
"""Everybody chats."""
from loadtest.user import User, between, on, task

class Talker(User):
    wait_time = between(0.2, 0.4)

    async def on_start(self) -> None:
        await self.connect()
        await self.join("chat")

    @task
    async def talk(self) -> None:
        await self.say("hello")
'''


SILENT = """
from loadtest.targets import livehub
class Adapter(livehub.Adapter):
    def metrics_url(self, host):
        return None
"""
SPOKEN = """
@on("chat.message.new")
def heard(self, message):
    print("said hello", flush=True)
Talker.heard = heard
Talker.handlers = {"chat.message.new": ("heard",)}
"""


class Run:
    """A run that is under way, as a process."""

    def __init__(self, command: list[str], results: Path) -> None:
        self._results = results
        self._heard = ""
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self._watchdog = threading.Timer(RUN_DEADLINE_S, self._process.kill)
        self._watchdog.start()

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says something like this on standard error, where scenarios print, too."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._heard += line
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it never said {pattern}, but\n{self._heard}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(self._process.pid, signal.SIGINT)

    def end(self, code: int) -> tuple[dict[str, Any], str]:
        """Wait for it: the result, and what it said."""
        with self._process:
            output, errors = self._process.communicate()
        self._watchdog.cancel()
        said = output + self._heard + errors
        assert self._process.returncode == code, said
        return json.loads(self._results.read_bytes()), said


class Runs:
    """Starts runs of a scenario written for the test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url

    def start(self, scenario: str, *arguments: str) -> Run:
        """Start one; results go to files."""
        (self.folder / "mine.py").write_text(textwrap.dedent(scenario))
        results = self.folder / "result.json"
        command = [sys.executable, "-m", "loadtest", "run", str(self.folder / "mine.py"), "--host", self.url]
        command += ["--secret", SECRET, "--headless", "--json", str(results), *PATIENT, *arguments]
        return Run(command, results)

    def without_metrics(self) -> list[str]:
        """Options for a server that is stopped: its metrics would be waited for."""
        adapter = self.folder / "silent.py"
        adapter.write_text(SILENT)
        return ["--target", str(adapter)]

    def run(self, scenario: str, *arguments: str, code: int) -> tuple[dict[str, Any], str]:
        """Start one and wait."""
        return self.start(scenario, *arguments).end(code)
