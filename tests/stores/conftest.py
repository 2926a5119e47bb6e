"""Every promise of a store is tested on each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stores.desk import Desk, open_desk


@pytest.fixture(params=["memory", "sqlite", "disk"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
async def desk(kind: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk at a new store."""
    async with open_desk(kind, tmp_path) as desk:
        yield desk
