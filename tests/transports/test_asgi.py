"""What reaches Hypercorn: above all the upgrade that comes down a kept-alive connection, as proxies send it."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from livehub.transports.asgi import Dispatch, mount_path
from livehub.transports.connection import Rejected
from livehub.transports.handshake import EngineSettings
from livehub.wire.frames import BinaryFrame, Frame
from tests.raw import BINARY, TEXT, Heard, Server, WebSocketClient, serving

OPEN = "/engine.io/?EIO=4&transport=websocket"
SETTINGS = EngineSettings(path="/engine.io/", origins=("https://example.org",))


async def kept_alive(server: Server) -> WebSocketClient:
    """A connection on which a request came before, so that only Hypercorn sees what follows."""
    client = await server.connect()
    assert (await client.request("GET", "/nothing")).status == 404
    return client


async def opened(server: Server) -> WebSocketClient:
    client = await kept_alive(server)
    assert (await client.open(OPEN)).status == 101
    told = json.loads((await client.hear())[1:])
    assert (told["upgrades"], told["maxPayload"]) == ([], 65_536)
    return client


async def test_messages_come_back_in_order_text_and_binary() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        await client.say("4hello")
        await client.send_frame(BINARY, b"\x01")
        await client.send_frame(TEXT, b"4in ", fin=False)
        await client.send_frame(0, b"pieces")
        assert await client.hear() == "4hello"
        assert await client.frame() == (BINARY, b"\x01")
        assert await client.hear() == "4in pieces"
        assert server.meter.open == {"websocket": 1, "polling": 0}


async def test_frames_are_sent_with_their_attachments_in_order() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        connection = server.application.clients[0].connection
        frames = [Frame(b"51-x", [b"\x01"]), Frame(b"2y")]
        connection.outbox.write_joined(frames, b"not used")
        connection.write(BinaryFrame(b"\x02"))
        assert [await client.frame() for _ in range(4)] == [
            (TEXT, b"451-x"),
            (BINARY, b"\x01"),
            (TEXT, b"42y"),
            (BINARY, b"\x02"),
        ]


async def test_close_says_goodbye_after_what_was_written() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        server.application.clients[0].write("last")
        server.application.clients[0].connection.close("superseded")
        assert await client.hear() == "4last"
        opcode, payload = await client.frame()
        assert (opcode, payload[:2]) == (8, b"\x03\xe8")
        await client.send_frame(8, payload)
        assert await client.rest() == b""
        assert server.application.clients[0].reasons == ["superseded"]


async def test_abort_ends_the_connection() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        server.application.clients[0].connection.abort("shutdown")
        await client.rest()
        assert server.application.clients[0].reasons == ["shutdown"]


async def test_what_no_client_sends_closes() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        await client.say("abc")
        assert (await client.frame())[0] == 8
        assert server.application.clients[0].reasons == ["parse_error"]


async def test_a_client_that_just_leaves_is_gone() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        await client.aclose()
        await server.application.clients[0].over.wait()
        assert server.application.clients[0].reasons == ["transport_close"]


async def test_one_byte_too_many_is_1009() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        await client.send_frame(BINARY, bytes(SETTINGS.max_payload_bytes + 1))
        opcode, payload = await client.frame()
        assert (opcode, payload[:2]) == (8, (1009).to_bytes(2, "big"))


async def test_an_upgrade_of_a_session_comes_this_way_too() -> None:
    async with serving(SETTINGS) as server:
        polling, target = await server.polling()
        server.application.clients[0].write("waits")
        assert (await polling.open(target.replace("polling", "websocket"))).status == 101  # the same connection
        await polling.say("2probe")
        assert await polling.hear() == "3probe"
        await polling.say("5")
        assert await polling.hear() == "4waits"
        await polling.say("4hello")
        assert await polling.hear() == "4hello"


@pytest.mark.parametrize(
    ("target", "origin", "status", "code"),
    [
        ("/engine.io/?transport=websocket", None, 400, 5),
        ("/engine.io/?EIO=4&transport=polling", None, 400, 3),
        (OPEN + "&sid=unknown", None, 400, 1),
        (OPEN + "&x=" + "x" * 5_000, None, 400, 3),
        (OPEN, "https://evil.example", 403, 4),
    ],
)
async def test_refusals_are_plain_http(target: str, origin: str | None, status: int, code: int) -> None:
    async with serving(SETTINGS) as server:
        client = await kept_alive(server)
        answer = await client.open(target, {} if origin is None else {"Origin": origin})
        assert answer.status == status
        assert json.loads(answer.body)["code"] == code
        assert not server.application.clients


async def test_other_paths_are_not_found_and_overload_is_503() -> None:
    async with serving(SETTINGS, admit=lambda _: Rejected("address_rate", 3)) as server:
        assert (await (await kept_alive(server)).open("/nowhere")).status == 404
        answer = await (await kept_alive(server)).open(OPEN)
        assert (answer.status, answer.headers["retry-after"]) == (503, "3")


async def test_a_reader_that_stalls_is_shown_out() -> None:
    async with serving(EngineSettings(path="/engine.io/", outbox_bytes_max=200_000)) as server:
        await opened(server)
        heard = server.application.clients[0]
        for _ in range(1_000):
            heard.connection.write(Frame(b"x" * 50_000))
            await trio.lowlevel.checkpoint()
            if heard.reasons:
                break
        assert heard.reasons == ["slow"]
        assert server.meter.slow == 1


async def test_writes_after_the_end_are_dropped() -> None:
    async with serving(SETTINGS) as server:
        client = await opened(server)
        heard: Heard = server.application.clients[0]
        await client.aclose()
        await heard.over.wait()
        await wait_all_tasks_blocked()
        heard.write("nobody hears")
        await heard.connection.drained()


def test_a_mount_ends_with_a_slash() -> None:
    assert mount_path("/socket.io") == mount_path("/socket.io/") == "/socket.io/"


async def test_an_answer_that_meets_the_end_of_its_connection_is_no_error() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        raise trio.BusyResourceError

    scope = {"type": "http", "path": "/nothing", "method": "GET", "headers": [], "query_string": b""}
    await Dispatch({}, None, lambda _: None)(scope, receive, send)


async def test_the_same_holds_within_a_nursery_of_the_web_app() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        async with trio.open_nursery():
            raise trio.BusyResourceError

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        await receive()

    scope = {"type": "http", "path": "/nothing", "method": "GET", "headers": [], "query_string": b""}
    await Dispatch({}, app, lambda _: None)(scope, receive, send)


async def test_a_defect_of_the_web_app_is_not_swallowed_with_it() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_fail)
            raise trio.BusyResourceError

    async def _fail() -> None:
        raise ValueError

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        await receive()

    scope = {"type": "http", "path": "/nothing", "method": "GET", "headers": [], "query_string": b""}
    with pytest.raises(ExceptionGroup) as raised:
        await Dispatch({}, app, lambda _: None)(scope, receive, send)
    assert raised.group_contains(ValueError)
