"""What tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Server
from tests.loadtest.runs import Runs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all runs of a module that leave it alone."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def runs(server: Server, tmp_path: Path) -> Runs:
    """Runs against it."""
    return Runs(tmp_path, server.url)
