"""WebSockets spoken byte by byte: RFC 6455 on a plain echo, and how an opening request is refused."""

from __future__ import annotations

import json
import random
import struct

import pytest
from trio.testing import wait_all_tasks_blocked

from livehub.transports.connection import Rejected
from livehub.transports.handshake import EngineSettings
from livehub.transports.listener import RawEndpoint
from livehub.transports.outbox import Outbox
from livehub.transports.websocket import WebSocket
from livehub.wire.frames import WireBytes, binary_frame, text_frame
from tests.raw import BINARY, CLOSE, PING, PONG, TEXT, frame_bytes, serving

OPEN = "/engine.io/?EIO=4&transport=websocket"
SETTINGS = EngineSettings(path="/engine.io/", origins=("https://example.org",))
ECHO_BYTES_MAX = 1 << 20


async def echo(websocket: WebSocket, outbox: Outbox) -> None:
    while (message := await websocket.next()) is not None:
        framed = text_frame(message.encode()) if isinstance(message, str) else binary_frame(message)
        outbox.write(WireBytes(framed))
        await outbox.drained()


RAW = {"/echo": RawEndpoint(echo, ECHO_BYTES_MAX)}


# RFC 6455 on its own


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, ECHO_BYTES_MAX])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_every_size_come_back(opcode: int, size: int) -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        assert (await client.open("/echo")).status == 101
        payload = bytes(random.Random(size).choices(range(32, 127), k=size))
        await client.send_frame(opcode, payload)
        assert await client.frame() == (opcode, payload)


async def test_one_byte_too_many_is_1009() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send_frame(BINARY, bytes(ECHO_BYTES_MAX), fin=False)
        await client.send_frame(0, b"x")
        assert await client.close_code() == 1009


async def test_bytes_may_come_one_by_one() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        for byte in frame_bytes(TEXT, "ünï".encode()):
            await client.send(bytes((byte,)))
            await wait_all_tasks_blocked()
        assert await client.hear() == "ünï"


async def test_fragments_make_one_message_and_control_frames_come_between() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        euro = "€".encode()
        await client.send_frame(TEXT, euro[:1], fin=False)
        await client.send_frame(PING, b"still there?")
        await client.send_frame(0, b"", fin=False)
        await client.send_frame(PONG, b"nobody asked")
        await client.send_frame(0, euro[1:])
        assert await client.frame() == (PONG, b"still there?")
        assert await client.hear() == "€"
        await client.send_frame(BINARY, b"a", fin=False)
        await client.send_frame(0, b"b")
        assert await client.frame() == (BINARY, b"ab")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame_bytes(opcode)], 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)  # reserved
    ]
    + [
        ([frame_bytes(TEXT, b"a", reserved=bit)], 1002)
        for bit in (0x40, 0x20, 0x10)  # no extension was agreed on
    ]
    + [
        ([frame_bytes(0, b"a")], 1002),  # a continuation of nothing
        ([frame_bytes(0, b"a", fin=False)], 1002),
        ([frame_bytes(TEXT, b"a", fin=False), frame_bytes(TEXT, b"b")], 1002),
        ([frame_bytes(PING, fin=False)], 1002),
        ([frame_bytes(PING, b"x" * 126)], 1002),
        ([frame_bytes(CLOSE, b"\x03")], 1002),
        ([b"\x81\x01a"], 1002),  # not masked
        ([frame_bytes(TEXT, b"\xff")], 1007),
        ([frame_bytes(TEXT, b"\xed\xa0\x80")], 1007),  # a surrogate
        ([frame_bytes(TEXT, "€".encode()[:2])], 1007),
        ([frame_bytes(TEXT, "€".encode()[:2], fin=False), frame_bytes(0, b"a")], 1007),
        ([frame_bytes(CLOSE, b"\x03\xe8\xff")], 1007),
    ],
)
async def test_violations_close_with_their_code(frames: list[bytes], code: int) -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send(b"".join(frames))
        assert await client.close_code() == code


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_code(code: int) -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send_frame(CLOSE, struct.pack("!H", code) + b"bye")
        assert await client.close_code() == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1100, 2000, 2999, 5000, 65535])
async def test_a_close_with_a_code_that_nobody_may_send_is_1002(code: int) -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send_frame(CLOSE, struct.pack("!H", code))
        assert await client.close_code() == 1002


async def test_what_comes_behind_a_text_that_is_none_is_not_heard() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send(frame_bytes(TEXT, b"a") + frame_bytes(TEXT, b"\xff") + frame_bytes(TEXT, b"b"))
        assert await client.hear() == "a"
        assert await client.close_code() == 1007


async def test_a_message_before_a_violation_is_answered_first() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send(frame_bytes(TEXT, b"a") + frame_bytes(TEXT, b"b", reserved=0x40) + frame_bytes(PING))
        assert await client.hear() == "a"
        assert await client.close_code() == 1002


async def test_a_close_without_a_code_is_answered_in_kind_and_what_follows_is_not_heard() -> None:
    async with serving(raw=RAW) as server:
        client = await server.connect()
        await client.open("/echo")
        await client.send(frame_bytes(TEXT, b"a") + frame_bytes(CLOSE) + frame_bytes(TEXT, b"b"))
        assert await client.hear() == "a"
        assert await client.frame() == (CLOSE, b"")
        assert await client.rest() == b""


# Refusals


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("transport=websocket", 5),
        ("EIO=3&transport=websocket", 5),
        ("EIO=4&transport=polling", 3),
        ("EIO=4&transport=websocket&sid=unknown", 1),
        ("EIO=4&transport=websocket&x=" + "x" * 5_000, 3),
    ],
)
async def test_a_refused_upgrade_is_plain_http(query: str, expected: int) -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        answer = await client.open(f"/engine.io/?{query}")
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body)["code"] == expected
        assert await client.rest() == b""
        assert not server.application.clients


async def test_foreign_origins_are_refused_before_the_101() -> None:
    async with serving(SETTINGS) as server:
        answer = await (await server.connect()).open(OPEN, {"Origin": "https://evil.example"})
        assert (answer.status, answer.body) == (403, b'{"code":4,"message":"Forbidden"}')
        for origin in ("https://example.org", "http://test"):
            assert (await (await server.connect()).open(OPEN, {"Origin": origin})).status == 101
        assert server.meter.refusals == ["origin"]


async def test_overload_is_503_with_a_time_to_come_back() -> None:
    async with serving(SETTINGS, admit=lambda _: Rejected("address_rate", 3)) as server:
        answer = await (await server.connect()).open(OPEN)
        assert (answer.status, answer.headers["retry-after"]) == (503, "3")
        assert server.meter.refusals == ["address_rate"]


@pytest.mark.parametrize(
    "more",
    [
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Key": "short"},
        {"Connection": "close"},
        {"Sec-WebSocket-Key": ""},
    ],
)
async def test_a_bad_opening_request_is_answered_and_closed(more: dict[str, str]) -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        assert 400 <= (await client.open(OPEN, more)).status < 500
        assert await client.rest() == b""


async def test_no_extension_is_agreed_on() -> None:
    async with serving(SETTINGS) as server:
        answer = await (await server.connect()).open(OPEN, {"Sec-WebSocket-Extensions": "permessage-deflate"})
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers
