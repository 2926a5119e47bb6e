"""Servers and clients for the tests with real processes, and a watchdog: what hangs fails with a text."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.endtoend.cast import Cast
from tests.endtoend.node import Node, running_node
from tests.endtoend.stage import Stage
from tests.endtoend.table import to_prove
from tests.harness import Server

DEADLINE_S = 120.0
"""A hang is found, and a machine that is slow for a minute fails nothing."""
TOLD_SHOWN = 20
TOLD_SHOWN_CHARS = 300
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every test of this folder under the watchdog."""
    for item in items:
        if isinstance(item, pytest.Function) and HERE in item.path.parents and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("deadline_s")
            item.obj = _watched(item.obj, marker.args[0] if marker else DEADLINE_S)


def _watched(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def watched(**fixtures: Any) -> None:
        with trio.move_on_after(seconds) as watchdog:
            await test(**fixtures)
            if isinstance(cast := fixtures.get("cast"), Cast):
                await cast.close()
        assert not watchdog.cancelled_caught, f"not done within {seconds:g} s"

    return watched


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lives through many tests."""
    with Server(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be killed and filled up."""
    with Server(tmp_path) as server:
        yield server
        print(server.log)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A Node process for clients from npm."""
    async with running_node() as node:
        yield node
        for client in node.clients.values():  # pytest shows this beside a failure only
            print(client.name, *(str(told)[:TOLD_SHOWN_CHARS] for told in client.told[-TOLD_SHOWN:]), sep="\n  ")


@pytest.fixture
async def stage(shared_server: Server, node: Node) -> Stage:
    """A session on the shared server."""
    return Stage(shared_server, node)


@pytest.fixture(scope="module")
def contract_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the contract tests of one section, with the module's SETTINGS if it has any."""
    with Server(tmp_path_factory.mktemp("contract"), getattr(request.module, "SETTINGS", None)) as server:
        yield server


@pytest.fixture
async def cast(request: pytest.FixtureRequest, contract_server: Server, node: Node) -> Cast:
    """Everybody whom a contract speaks of. The test must see the events that the table says it proves."""
    section = request.path.stem.removeprefix("test_contract_")
    cast = Cast(Stage(contract_server, node), to_prove(section, request.function.__name__))
    await cast.enter()
    return cast
