"""TLS on the same port: wss and https polling with a certificate of one's own, and whoever forgets the s."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.certificates import make_certificate
from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, texts
from tests.endtoend.wire import Gone, connected
from tests.harness import Server


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks nothing but TLS."""
    directory = tmp_path_factory.mktemp("tls")
    certfile, keyfile = make_certificate(directory)
    with Server(directory, {"server": {"certfile": str(certfile), "keyfile": str(keyfile)}}) as server:
        assert server.url.startswith("https://")
        yield server


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")], ids="+".join)
async def test_clients_chat_over_tls(secure: Server, node: Node, transports: tuple[str, ...]) -> None:
    stage = Stage(secure, node)
    ada, grace = [await stage.enter(person, transports=transports) for person in ("ada", "grace")]
    if len(transports) > 1:
        await ada.reported("upgrade")
    text = "👍" * 1_000
    await stage.send(ada, text)
    assert texts(await grace.heard("chat.message.new")) == [text]
    grace.drop()
    await stage.send(ada, "missed")
    assert (await grace.acknowledged(2))["recovered"] is True
    assert texts(await grace.heard("chat.message.new", 2)) == [text, "missed"]


async def test_a_client_without_tls_is_ended_and_disturbs_nobody(secure: Server, node: Node) -> None:
    async with connected(secure) as plain:
        await plain.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(Gone):
            await plain.fill(1 << 20)
    await Stage(secure, node).enter("ada")
    assert "Traceback" not in secure.log
