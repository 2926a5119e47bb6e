"""The port: who gets a connection, what half-open ones cost, and that nothing a client sends ends it."""

from __future__ import annotations

import json
import logging
import socket as stdlib_socket
import struct
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.tcp_server import TCPServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.backlog import Waiting
from livehub.transports.connection import Engine
from livehub.transports.deadlines import Deadlines
from livehub.transports.handshake import EngineSettings
from livehub.transports.listener import HEAD_BYTES_MAX, Listener, ListenerSettings, RawEndpoint, open_listeners
from livehub.transports.outbox import Outbox
from livehub.transports.websocket import WebSocket
from livehub.wire.frames import Frame
from tests.garbage import garbage
from tests.raw import BINARY, CLOSE, PING, TEXT, Application, Ended, Heard, Meter, Server, frame_bytes, serving

OPEN = "/engine.io/?EIO=4&transport=websocket"
HANDSHAKE_TIMEOUT_S = ListenerSettings().handshake_timeout_s


async def web(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """A small web app; `/fail` fails, `/slow` never ends, `/endless` sends more than anyone reads."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fail":
        raise RuntimeError("on purpose")
    if scope["path"] == "/slow":
        await trio.sleep_forever()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/endless":
        while True:
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
    body = json.dumps([scope["scheme"], scope["path"]]).encode()
    await send({"type": "http.response.body", "body": body})


async def serves_still(server: Server) -> None:
    """Both transports still work."""
    client = await server.websocket()
    await client.say("4still there?")
    assert await client.hear() == "4still there?"
    await server.polling()


async def test_one_port_serves_websockets_polling_and_the_web() -> None:
    async with serving(app=web) as server:
        assert (await (await server.connect()).request("GET", "/")).status == 200
        await serves_still(server)


async def test_a_connection_of_the_web_app_leaves_nothing_to_the_collector() -> None:
    """Phones on long polling stay for minutes; as cycles they wait for a collection that is hours away."""
    with garbage() as found:
        async with serving(app=web) as server:
            for _ in range(3):
                client = await server.connect()
                assert (await client.request("GET", "/")).status == 200
                await client.aclose()
    assert [thing for thing in found if isinstance(thing, TCPServer | ProtocolWrapper)] == []


async def test_without_an_app_all_else_is_not_found() -> None:
    async with serving() as server:
        client = await server.connect()
        answer = await client.request("GET", "/api")
        assert (answer.status, json.loads(answer.body)["error"]["statusCode"]) == (404, 404)
        assert (await (await server.connect()).open("/nowhere")).status == 404
        assert (await (await server.connect()).open("/engine.io/more?EIO=4&transport=websocket")).status == 404


async def test_the_slash_at_the_end_may_be_missing() -> None:
    async with serving() as server:
        assert (await (await server.connect()).open(OPEN.replace("/?", "?"))).status == 101


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upg",
    ],
)
async def test_half_open_connections_are_closed_in_time(begun: bytes, mock_clock: MockClock) -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(begun)
        await wait_all_tasks_blocked(0.01)
        mock_clock.jump(HANDSHAKE_TIMEOUT_S - 0.001)
        await wait_all_tasks_blocked(0.01)
        with trio.move_on_after(0) as still_open:
            await client.rest()
        assert still_open.cancelled_caught
        mock_clock.jump(0.001)
        assert await client.rest() == b""


async def test_a_head_that_comes_in_pieces_is_served(autojump_clock: MockClock) -> None:
    async with serving() as server:
        client = await server.connect()
        for piece in ("GET ", OPEN, " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"):
            await client.send(piece.encode())
            await trio.sleep(1)
        await client.send(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        answer = await client.response()
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_a_head_that_never_ends_is_431() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES_MAX)
        assert (await client.response()).status == 431
        assert await client.rest() == b""


async def test_a_client_that_leaves_at_once_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        for begun in (b"", b"GET / HT", b"GET / HTTP/1.1\r\n\r\n"):
            client = await server.connect()
            await client.send(begun)
            await client.aclose()
        for reset in (b"", b"GET / HT"):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            await stream.send_all(reset)
            stream.socket.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()
        await wait_all_tasks_blocked()
        await serves_still(server)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_app_that_fails_ends_its_request_only(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(app=web) as server:
        assert (await (await server.connect()).request("GET", "/fail")).status == 500
        await serves_still(server)


async def test_a_raw_endpoint_that_fails_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(websocket: WebSocket, outbox: Outbox) -> None:
        await websocket.next()
        raise RuntimeError("on purpose")

    async with serving(raw={"/fail": RawEndpoint(fail, 100)}) as server:
        client = await server.connect()
        assert (await client.open("/fail")).status == 101
        await client.say("x")
        assert await client.rest() == b""
        await serves_still(server)
    assert [record.message for record in caplog.records] == ["connection failed"]


async def test_where_a_client_is_and_what_it_asked_for_is_known() -> None:
    async with serving(EngineSettings(path="/engine.io/", trust_proxy=True)) as server:
        client = await server.connect()
        forwarded = {"X-Forwarded-For": "6.6.6.6, 9.9.9.9", "X-Token": "t"}
        await client.open(OPEN + "&session=1&session=2", forwarded)
        await (await server.connect()).request("GET", OPEN.replace("websocket", "polling"), headers=forwarded)
        for heard in server.application.clients:
            handshake = heard.connection.handshake
            assert (handshake.address, handshake.headers["x-token"], handshake.secure) == ("9.9.9.9", "t", False)
        assert server.application.clients[0].connection.handshake.query["session"] == "1"
    async with serving() as server:
        await (await server.connect()).open(OPEN, {"X-Forwarded-For": "9.9.9.9"})
        assert server.application.clients[0].connection.handshake.address == "127.0.0.1"


async def test_a_stalled_reader_holds_up_nobody_and_is_shown_out() -> None:
    async with serving(EngineSettings(path="/engine.io/", outbox_bytes_max=200_000)) as server:
        stalled, other = await server.websocket(), await server.websocket()
        frame = Frame(b"x" * 50_000)
        heard = 0
        while not server.application.clients[0].reasons:
            for client in server.application.clients:
                client.connection.write(frame)
            assert await other.frame() == (TEXT, b"4" + frame.text)
            heard += 1
            assert heard < 1_000
        assert server.application.clients[0].reasons == ["slow"]
        assert server.meter.slow == 1
        await other.say("4fine")
        assert await other.hear() == "4fine"
        assert Waiting.size == 0
        assert len(await stalled.rest()) % len(frame.framed) < len(frame.framed)


async def test_drain_sends_all_away_without_a_word_over_a_while(autojump_clock: MockClock) -> None:
    async with serving() as server:
        clients = [await server.websocket() for _ in range(4)]
        polling, target = await server.polling()
        await polling.ask("GET", target)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await server.listener.drain(2.0)
        assert trio.current_time() - began == pytest.approx(2.0)
        assert [heard.reasons for heard in server.application.clients] == [["shutdown"]] * 5
        for client in clients:
            assert await client.rest() == b""
        assert (await polling.response()).status == 503
        with pytest.raises(OSError, match="all attempts"):
            await server.connect()


async def test_kept_alive_connections_open_no_session_while_closing() -> None:
    async with serving() as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        await server.listener.drain(0)
        await client.response()
        with pytest.raises((Ended, trio.BrokenResourceError)):
            await client.request("GET", "/engine.io/?EIO=4&transport=polling")
        assert len(server.application.clients) == 1


async def test_close_waits_for_no_reader() -> None:
    async with serving(app=web) as server:
        endless, slow = await server.connect(), await server.connect()
        await endless.ask("GET", "/endless")
        await slow.ask("GET", "/slow")
        client = await server.websocket()
        await wait_all_tasks_blocked()
        with trio.fail_after(5):
            server.listener.close()
            assert await client.rest() == b""
            await server.application.clients[0].over.wait()


async def test_cancelling_ends_every_session_properly() -> None:
    application = Application()
    async with serving(application=application, app=web) as server:
        await server.websocket()
        await server.polling()
        await (await server.connect()).ask("GET", "/endless")
        await wait_all_tasks_blocked()
    assert [len(heard.reasons) for heard in application.clients] == [1, 1]
    assert Waiting.size == 0


async def test_several_endpoints_keep_to_themselves() -> None:
    deadlines, one, two = Deadlines(), Application(), Application()
    engines = {
        path: Engine(EngineSettings(path=path), application, deadlines, Meter(), lambda _: None)
        for path, application in (("/one/", one), ("/two/", two))
    }
    listener = Listener(engines, None, ListenerSettings())
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners("127.0.0.1", 0)
        await nursery.start(deadlines.run)
        await nursery.start(listener.run, listeners)
        server = Server(listener, engines["/one/"], one, Meter(), listeners[0].socket.getsockname()[1])
        client = await server.connect()
        answer = await client.request("GET", "/one/?EIO=4&transport=polling")
        sid = json.loads(answer.body[1:])["sid"]
        assert (await client.request("GET", f"/two/?EIO=4&transport=polling&sid={sid}")).status == 400
        assert (len(one.clients), len(two.clients)) == (1, 0)
        await server.aclose()
        nursery.cancel_scope.cancel()


HEADS = st.sampled_from(
    [
        b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /engine.io/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"\x16\x03\x01",
        b"",
    ]
)
FRAMES = st.builds(
    frame_bytes,
    st.sampled_from([TEXT, BINARY, PING, CLOSE, 0, 3]),
    st.binary(max_size=20) | st.sampled_from([b"2probe", b"3", b"1", b"4x", b"5"]),
    fin=st.booleans(),
)


@given(head=HEADS, frames=st.lists(FRAMES, max_size=5), noise=st.binary(max_size=200), cut=st.integers(0, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_no_bytes_end_the_listener(head: bytes, frames: list[bytes], noise: bytes, cut: int) -> None:
    async def main() -> None:
        async with serving(handshake_timeout_s=0.2) as server:
            client = await server.connect()
            await client.send((head + b"".join(frames) + noise)[: max(cut, 1)])
            await client.stream.send_eof()  # type: ignore[attr-defined]  # a TCP stream has it
            await client.rest()
            await serves_still(server)
            assert len([heard for heard in server.application.clients if not heard.reasons]) <= 3

    trio.run(main, clock=MockClock(autojump_threshold=0.002))  # half a head is waited for


async def test_an_answer_may_come_while_the_application_is_busy() -> None:
    """Pongs of the protocol go out although a handler waits for something else."""
    let = trio.Event()

    async def slow(heard: Heard, data: str | bytes) -> None:
        await let.wait()

    async with serving(application=Application(slow)) as server:
        client = await server.websocket()
        await client.say("4slow")
        await wait_all_tasks_blocked()
        server.application.clients[0].write("meanwhile")
        assert await client.hear() == "4meanwhile"
        let.set()


async def test_cancelling_the_listener_logs_no_connection_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with serving() as server:
            for _ in range(3):
                await server.websocket()
    assert caplog.records == []
