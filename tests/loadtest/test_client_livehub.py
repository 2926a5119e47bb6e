"""The client against livehub itself, over both transports, in the clear and under TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from loadtest.client import ConnectFailed, Connection, ConnectRefused, Hub, decode
from loadtest.client.socketio import TransportName
from tests.certificates import make_certificate
from tests.harness import Server
from tests.loadtest.peer import Client, Peer, hub_running, serving

both_transports = pytest.mark.parametrize("transport", ["websocket", "polling"])


@pytest.fixture(scope="module")
def livehub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("livehub")) as server:
        yield server


async def attend(server: Server, client: Client, user: str, session: str) -> None:
    """Enter livehub, and a session."""
    await client.connection.open({"token": server.token(user)})
    (joined,) = await client.connection.ask("session.join", {"sessionId": session})
    assert isinstance(joined, dict)
    assert joined["success"], joined


async def say(client: Client, text: str) -> None:
    (ack,) = await client.connection.ask("chat.message.send", {"text": text, "idempotencyKey": str(uuid4())})
    assert isinstance(ack, dict)
    assert ack["success"], ack


def texts(client: Client) -> list[str]:
    """What was said in the session, in the order it was heard."""
    return [str(decode(packet)[1]["text"]) for name, packet in client.heard if name == "chat.message.new"]  # type: ignore[index] # a message is an object


@both_transports
async def test_livehub_is_heard_and_a_cut_client_recovers_what_it_missed(
    livehub: Server, transport: TransportName
) -> None:
    session = f"recovery-{transport}"
    async with hub_running() as hub:
        listener, speaker = Client(hub, livehub.port, transport), Client(hub, livehub.port)
        await attend(livehub, listener, "ann", session)
        await attend(livehub, speaker, "bob", session)
        await say(speaker, "one")
        await listener.until(lambda: texts(listener) == ["one"])
        recovery = listener.connection.recovery
        assert recovery is not None
        listener.connection.cut()
        await say(speaker, "two")
        await say(speaker, "three")
        again = Client(hub, livehub.port, transport)
        opened = await again.connection.open({"token": livehub.token("ann"), **recovery.auth()})
        assert opened.recovered
        assert texts(again) == ["two", "three"], "all that was missed comes before the answer to CONNECT"
        await say(speaker, "four")
        await again.until(lambda: texts(again) == ["two", "three", "four"])
        await again.connection.close()
        await speaker.connection.close()
    assert listener.reasons == again.reasons == speaker.reasons == []


async def test_a_paused_client_hears_later_what_livehub_sent(livehub: Server) -> None:
    async with hub_running() as hub:
        slow, speaker = Client(hub, livehub.port), Client(hub, livehub.port)
        await attend(livehub, slow, "sam", "slow")
        await attend(livehub, speaker, "bob", "slow")
        slow.connection.pause()
        await say(speaker, "heard late")
        await speaker.until(lambda: texts(speaker) == ["heard late"])
        assert texts(slow) == []
        slow.connection.resume()
        await slow.until(lambda: texts(slow) == ["heard late"])
        for client in (slow, speaker):
            await client.connection.close()


@both_transports
async def test_a_namespace_that_livehub_has_not_is_refused(livehub: Server, transport: TransportName) -> None:
    async with hub_running() as hub:
        connection = Connection(
            hub,
            host=livehub.url,
            namespace="/nowhere",
            transport=transport,
            heard=lambda name, packet: None,
            closed=lambda reason: None,
        )
        with pytest.raises(ConnectRefused, match="Invalid namespace"):
            await connection.open({})


@both_transports
async def test_livehub_is_reached_under_tls(tmp_path: Path, transport: TransportName) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = {"server": {"certfile": str(certificate), "keyfile": str(key)}}
    with Server(tmp_path / "server", settings) as server:
        hub = Hub(ssl.create_default_context(cafile=str(certificate)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            client = Client(hub, server.port, transport, scheme="https")
            await attend(server, client, "ann", "s")
            await say(client, "under TLS")
            await client.until(lambda: texts(client) == ["under TLS"])
            await client.connection.close()
            nursery.cancel_scope.cancel()
        async with hub_running() as trusts_no_such_certificate:
            with pytest.raises(ConnectFailed, match="TLS"):
                await Client(trusts_no_such_certificate, server.port, transport, scheme="https").connection.open({})


async def test_the_end_of_the_hub_ends_connections_without_a_word(livehub: Server) -> None:
    async def script(peer: Peer) -> None:
        await peer.admit()
        await trio.sleep_forever()

    async with serving(script) as (_, port), hub_running() as hub:
        client, poller = Client(hub, port), Client(hub, livehub.port, "polling")
        await client.connection.open({})
        await poller.connection.open({"token": livehub.token("ann")})
    assert client.reasons == poller.reasons == []
