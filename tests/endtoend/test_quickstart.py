"""The contract's quick start (§17) works as it is printed there, over every transport."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.endtoend.node import node_command
from tests.harness import Server

COPIED_SHA256 = "0532de915c45fbd2d7f910137c7b5d63cea55b536d732e9fddca408a014a5023"


@pytest.fixture(scope="module")
def real_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose rates are those of production."""
    with Server(tmp_path_factory.mktemp("quickstart"), {"limits": {"enabled": True}}) as server:
        yield server


@pytest.mark.parametrize(
    ("way", "transport"), [("websocket", "websocket"), ("polling", "polling"), ("default", "websocket")]
)
async def test_two_people_chat_reply_react_edit_and_delete(real_limits: Server, way: str, transport: str) -> None:
    people = [("ada", "Ada Lovelace"), ("grace", "Grace Hopper")]
    tokens = [real_limits.token(f"{user}-{way}", name=name, role="MEMBER") for user, name in people]
    command = [*node_command("quickstart.mjs"), real_limits.url, f"quickstart-{way}", way, *tokens]
    done = await trio.run_process(command, capture_stdout=True)
    report = done.stdout.splitlines()[-1]  # before it, the example says what it logs to the console
    assert json.loads(report) == {"errors": [], "transports": [transport, transport]}


def test_the_example_is_the_contracts_to_the_letter() -> None:
    """Whoever changes the copy changes what clients are promised."""
    example = (Path(__file__).parents[1] / "interop" / "quickstart.tsx").read_bytes()
    assert hashlib.sha256(example).hexdigest() == COPIED_SHA256
