"""TLS on the same port: WebSocket, polling and the web, with certificates made for the test."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.handshake import EngineSettings
from livehub.transports.listener import HEAD_BYTES_MAX
from livehub.transports.tls import server_context
from livehub.wire.frames import Frame
from tests.certificates import make_certificate
from tests.raw import PING, PONG, TEXT, Server, serving

OPEN = "/engine.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server_side(files: tuple[Path, Path]) -> ssl.SSLContext:
    return server_context(*files)


@pytest.fixture(scope="module")
def client_side(files: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files[0])


async def test_a_websocket_over_tls(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext, mock_clock: MockClock
) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect(client_side)
        assert (await client.open(OPEN)).status == 101
        assert (await client.hear()).startswith("0{")
        await client.say("4hello")
        assert await client.hear() == "4hello"
        await client.send_frame(PING, b"?")
        assert await client.frame() == (PONG, b"?")
        heard = server.application.clients[0]
        assert heard.connection.handshake.secure
        heard.connection.outbox.write_joined([Frame(b"a"), Frame(b"b")], b"not used")
        assert [await client.frame() for _ in range(2)] == [(TEXT, b"4a"), (TEXT, b"4b")]
        heard.connection.close("superseded")
        assert await client.close_code() == 1000


async def test_a_close_by_the_client_is_answered_at_once(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext, mock_clock: MockClock
) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect(client_side)
        await client.open(OPEN)
        await client.hear()
        await client.send_frame(8, b"\x03\xe8")
        assert await client.close_code() == 1000
        await server.application.clients[0].over.wait()


async def test_abort_over_tls(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect(client_side)
        await client.open(OPEN)
        await client.hear()
        server.application.clients[0].connection.abort("shutdown")
        assert await client.rest() == b""
        assert server.application.clients[0].reasons == ["shutdown"]


async def test_polling_and_a_kept_alive_upgrade_over_tls(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect(client_side)
        target = OPEN.replace("websocket", "polling")
        assert (await client.request("GET", target)).status == 200
        connection = server.application.clients[0].connection
        assert connection.handshake.secure
        target += f"&sid={connection.sid}"
        assert (await client.request("POST", target, b"4hello")).body == b"ok"
        await wait_all_tasks_blocked()
        assert (await client.request("GET", target)).body == b"4hello"
        assert (await client.open(target.replace("polling", "websocket"))).status == 101
        await client.say("2probe")
        assert await client.hear() == "3probe"


async def test_a_refusal_over_tls_is_plain_http(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect(client_side)
        assert (await client.open("/engine.io/?EIO=3&transport=websocket")).status == 400
        long = await server.connect(client_side)
        await long.send(b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES_MAX)
        assert (await long.response()).status == 431


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_tls_handshake_that_never_ends_is_given_up(
    begun: bytes, server_side: ssl.SSLContext, mock_clock: MockClock
) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        client = await server.connect()
        await client.send(begun)
        await wait_all_tasks_blocked(0.01)
        mock_clock.jump(10)
        assert await client.rest() == b""


async def test_what_is_no_tls_harms_nothing(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(EngineSettings(path="/engine.io/"), tls=server_side) as server:
        plain = await server.connect()
        await plain.ask("GET", "/")
        await plain.rest()
        gone = await server.connect(client_side)
        await gone.open(OPEN)
        await trio.aclose_forcefully(gone.stream)
        await server.application.clients[0].over.wait()
        assert await works(server, client_side)
    assert not caplog.records


async def works(server: Server, client_side: ssl.SSLContext) -> bool:
    client = await server.connect(client_side)
    return (await client.open(OPEN)).status == 101


async def test_a_reader_that_stalls_over_tls_is_shown_out(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    settings = EngineSettings(path="/engine.io/", outbox_bytes_max=200_000)
    async with serving(settings, tls=server_side) as server:
        client = await server.connect(client_side)
        await client.open(OPEN)
        heard = server.application.clients[0]
        for _ in range(1_000):
            heard.connection.write(Frame(b"x" * 50_000))
            await trio.lowlevel.checkpoint()
            if heard.reasons:
                break
        assert heard.reasons == ["slow"]


def test_a_key_that_does_not_fit_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        server_context(files[0], files[0])
    with pytest.raises(OSError, match="No such file"):
        server_context(tmp_path / "missing.pem", files[1])
