"""Bad input on raw sockets: it gets the documented answer, ends at most its own connection, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import trio

from tests.endtoend.stage import key
from tests.endtoend.wire import WEBSOCKET, Bytes, Gone, Wire, connected, masked, raw_wire, wire_in
from tests.harness import Server

HANDSHAKE_TIMEOUT_S = 1.0
PROMPTLY_S = 2.0
MAX_PAYLOAD_BYTES = 1_000_000
DEEP = 100_000
LONG_NUMBER = "1" * 4_300
FLOOD_PACKETS = 20_000
HALF_OPEN = 200
POLLING = "/socket.io/?EIO=4&transport=polling"

SETTINGS: dict[str, dict[str, Any]] = {
    "engine": {"handshake_timeout_s": HANDSHAKE_TIMEOUT_S, "max_payload_bytes": MAX_PAYLOAD_BYTES},
    "limits": {"enabled": True},
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that takes it all, one test after the other."""
    with Server(tmp_path_factory.mktemp("badinput"), SETTINGS) as server:
        yield server
        assert "Traceback" not in server.log, server.log


class Witness:
    """Two people who chat while others misbehave."""

    def __init__(self, speaker: Wire, hearer: Wire) -> None:
        self._speaker, self._hearer = speaker, hearer

    async def check(self) -> None:
        """What one says, the other hears promptly."""
        text = uuid4().hex
        with trio.fail_after(PROMPTLY_S):
            await self._speaker.ask("chat.message.send", {"text": text, "idempotencyKey": key()})
            await self._hearer.until(lambda kind, content: kind == "event" and content[1].get("text") == text)


@asynccontextmanager
async def undisturbed(target: Server) -> AsyncIterator[Witness]:
    """Checks before and after the block that a room lives and newcomers get in."""
    session, users = uuid4().hex, [uuid4().hex, uuid4().hex]
    tokens = [target.token(user) for user in users]
    async with wire_in(target, tokens[0], session) as one, wire_in(target, tokens[1], session) as other:
        witness = Witness(one, other)
        await witness.check()
        yield witness
        await witness.check()
        with trio.fail_after(PROMPTLY_S):
            async with wire_in(target, target.token(uuid4().hex), session):
                pass


async def _ended(wire: Bytes) -> int | None:
    """Wait for the server to end it, promptly."""
    with trio.fail_after(PROMPTLY_S):
        return await wire.ended()


MALFORMED = {
    "no type": "4",
    "unknown type": "49",
    "letters": "4hello",
    "no event": "42",
    "bad JSON": '42/events,["x"',
    "an object": '42/events,{"x":1}',
    "empty list": "42/events,[]",
    "a name that is null": "42/events,[null]",
    "a name that is a list": "42/events,[[]]",
    "a reserved name": '42/events,["disconnect"]',
    "a namespace that was not joined": '42/admin,["x"]',
    "an endless namespace": "42/" + "x" * 60_000,
    "an endless ack id": "42/events," + "9" * 60_000 + '["x"]',
    "connect error from a client": '44/events,{"message":"x"}',
    "too many attachments": '4511-/events,["x"]',
    "4,300 attachments' digits": f'45{LONG_NUMBER}-/events,["x"]',
    "an attachment that is text": '451-/events,["x",{"_placeholder":true,"num":0}]\x00',
    "lists 100,000 deep": '42/events,["x",' + "[" * DEEP + "]" * DEEP + "]",
    "objects 100,000 deep": '42/events,["x",' + '{"a":' * DEEP + "1" + "}" * DEEP + "]",
    "lists 100,000 deep that never end": '42/events,["x",' + "[" * DEEP,
    "an ack that is an object": "43/events,1{}",
    "unknown engine packet": "9",
    "an open packet": '0{"sid":"x"}',
    "a ping": "2",
    "an upgrade without a probe": "5",
    "nothing at all": "",
    "the connect of a namespace again": "40/events,{}",
}


@pytest.mark.parametrize("fault", MALFORMED)
async def test_a_malformed_packet_ends_its_connection_and_no_other(target: Server, fault: str) -> None:
    async with undisturbed(target), wire_in(target, target.token(uuid4().hex), "bad") as wire:
        for message in MALFORMED[fault].split("\x00"):
            await wire.write(masked(message.encode()))
        if fault == "an attachment that is text":
            await wire.write(masked(b'42/events,["x"]'))
        await _ended(wire)


BEFORE_CONNECT = ('42/events,["x"]', "41/events,", "43/events,1[]", '40/events,"token"', "40/events,[1]", "40/events,{")


@pytest.mark.parametrize("message", BEFORE_CONNECT)
async def test_before_the_connect_nothing_else_is_taken(target: Server, message: str) -> None:
    async with undisturbed(target), raw_wire(target) as wire:
        await wire.write(masked(message.encode()))
        await _ended(wire)


async def test_binary_that_nothing_announced_ends_the_connection(target: Server) -> None:
    async with undisturbed(target), wire_in(target, target.token(uuid4().hex), "bad") as wire:
        await wire.write(masked(b"\x00\xff", opcode=2))
        await _ended(wire)


FRAMES = {
    "not masked": (b"\x81\x01x", 1002),
    "an unknown opcode": (masked(b"x", opcode=3), 1002),
    "reserved bits": (masked(b"x", opcode=0x41), 1002),
    "a continuation of nothing": (masked(b"x", opcode=0), 1002),
    "a long ping": (masked(b"x" * 126, opcode=9), 1002),
    "not UTF-8": (masked(b"4\xff\xfe"), 1007),
    "half a surrogate pair as bytes": (masked(b'42/events,["x","\xed\xa0\x80"]'), 1007),
    "larger than anything": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
    "larger than allowed": (masked(b"4" * (MAX_PAYLOAD_BYTES + 1)), 1009),
}


@pytest.mark.parametrize("fault", FRAMES)
async def test_a_bad_frame_is_closed_with_its_code(target: Server, fault: str) -> None:
    data, code = FRAMES[fault]
    async with undisturbed(target), wire_in(target, target.token(uuid4().hex), "bad") as wire:
        await wire.write(data)
        assert await _ended(wire) == code


VALUES = {
    "half a surrogate pair": ('{"text": "\\ud83d", "idempotencyKey": "%s"}', "text"),
    "the other half": ('{"text": "x\\ude00x", "idempotencyKey": "%s"}', "text"),
    "halves the wrong way round": ('{"text": "\\ude00\\ud83d", "idempotencyKey": "%s"}', "text"),
    "half a pair in a name": ('{"\\ud83d": 1, "text": "x", "idempotencyKey": "%s"}', ""),
    "half a pair in an unknown event": ('{"text": "x", "idempotencyKey": "\\ud83d%s"}', "idempotencyKey"),
    "a number of 4,300 digits": (f'{{"text": {LONG_NUMBER}, "idempotencyKey": "%s"}}', "text"),
    "a fraction of 4,300 digits": (f'{{"text": 0.{LONG_NUMBER}, "idempotencyKey": "%s"}}', "text"),
    "an exponent of 4,300 digits": (f'{{"text": 1e{LONG_NUMBER}, "idempotencyKey": "%s"}}', "text"),
    "a prototype": ('{"__proto__": {"text": "x"}, "idempotencyKey": "%s"}', "text"),
    "10,000 unknown fields": (
        "{" + ",".join(f'"f{number}": 1' for number in range(10_000)) + ', "text": "x", "idempotencyKey": "%s"}',
        "f0",
    ),
}


@pytest.mark.parametrize("fault", VALUES)
async def test_a_strange_value_is_refused_by_name_and_the_connection_stays(target: Server, fault: str) -> None:
    template, named = VALUES[fault]
    async with undisturbed(target), wire_in(target, target.token(uuid4().hex), "bad") as wire:
        await wire.send('2/events,77["chat.message.send",' + template % key() + "]")
        with trio.fail_after(PROMPTLY_S):
            answer = await wire.until(lambda kind, content: kind == "ack" and content[0] == 77)
        assert answer[1]["success"] is False
        assert named in answer[1]["error"]["message"]
        assert len(answer[1]["error"]["message"]) < 2_000
        again = await wire.answer("chat.message.send", {"text": "x", "idempotencyKey": key()})
        assert again["success"] is True


HTTP = {
    "not HTTP": (b"hello\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "bytes": (bytes(range(128, 256)) + b"\r\n\r\n", 400),
    "a TLS greeting": (bytes.fromhex("160301020001000001fc0303") + bytes(64) + b"\r\n\r\n", 400),
    "an endless head": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    "a negative length": (b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    "a length in letters": (b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    "a WebSocket without a key": (
        f"GET {WEBSOCKET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode(),
        400,
    ),
    "an unknown transport": (b"GET /socket.io/?EIO=4&transport=pigeon HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an old protocol": (b"GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an unknown session": (f"GET {POLLING}&sid=nobody HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
}


@pytest.mark.parametrize("fault", HTTP)
async def test_a_bad_request_is_answered_or_ended(target: Server, fault: str) -> None:
    data, status = HTTP[fault]
    async with undisturbed(target), connected(target) as plain:
        with trio.fail_after(PROMPTLY_S + HANDSHAKE_TIMEOUT_S):
            try:
                await plain.write(data)
                assert (await plain.response())[0] == status
            except Gone:
                assert status in (400, 431)


async def test_too_large_a_request_is_refused_on_polling_and_rest(target: Server) -> None:
    async with undisturbed(target), connected(target) as plain:
        await plain.write(f"GET {POLLING} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sid = json.loads((await plain.response())[1][1:])["sid"]
        head = f"POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_PAYLOAD_BYTES + 1}\r\n\r\n"
        await plain.write(head.encode())
        assert (await plain.response())[0] == 413
    async with connected(target) as plain:
        token = target.token("boss", role="ADMIN")
        head = f"PUT /api/users/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        await plain.write(f"{head}Content-Length: {MAX_PAYLOAD_BYTES + 1}\r\n\r\n".encode())
        assert (await plain.response())[0] == 413


@pytest.mark.parametrize("beginning", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET /socket.io/?EIO=4&trans"])
async def test_half_open_connections_are_ended_at_the_deadline(target: Server, beginning: bytes) -> None:
    async def half_open() -> None:
        async with connected(target) as plain:
            await plain.write(beginning)
            with trio.fail_after(HANDSHAKE_TIMEOUT_S + PROMPTLY_S), suppress(Gone):
                while True:
                    await plain.fill(len(plain.pending) + 1)

    async with undisturbed(target) as witness, trio.open_nursery() as nursery:
        for _ in range(HALF_OPEN):
            nursery.start_soon(half_open)
        await witness.check()


async def test_stalled_bodies_are_ended_at_the_deadline(target: Server) -> None:
    async with undisturbed(target) as witness, connected(target) as plain, connected(target) as other:
        await plain.write(f"GET {POLLING} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sid = json.loads((await plain.response())[1][1:])["sid"]
        stalled = f"POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n40"
        await plain.write(stalled.encode())
        token = target.token("boss", role="ADMIN")
        head = f"PUT /api/users/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{"
        await other.write(head.encode())
        await witness.check()
        for stream in (plain, other):
            with trio.fail_after(HANDSHAKE_TIMEOUT_S + PROMPTLY_S):
                with suppress(Gone):
                    assert (await stream.response())[0] == 408


FLOODS = {
    "packets that do nothing": masked(b"3"),
    "unknown events": masked(b'42/events,["nothing.like.it"]'),
    "invalid payloads with acks": masked(b'42/events,1["chat.message.send",{}]'),
    "WebSocket pings": masked(b"x" * 100, opcode=9),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_drowns_only_its_own_connection(target: Server, flood: str) -> None:
    async def pour(wire: Wire) -> None:
        with suppress(Gone):  # shown out: it does not read what it is answered
            await wire.write(FLOODS[flood] * FLOOD_PACKETS)

    pouring = wire_in(target, target.token(uuid4().hex), "bad")
    async with undisturbed(target) as witness, pouring as wire, trio.open_nursery() as nursery:
        nursery.start_soon(pour, wire)
        await witness.check()
        await witness.check()


async def test_sending_faster_than_allowed_is_refused_and_says_when_to_try_again(target: Server) -> None:
    async with undisturbed(target), wire_in(target, target.token(uuid4().hex), "bad") as wire:
        answers = [await wire.answer("chat.message.send", {"text": "x", "idempotencyKey": key()}) for _ in range(8)]
        assert [answer["success"] for answer in answers] == [True] * 5 + [False] * 3
        error = answers[-1]["error"]
        assert error["statusCode"] == 429
        assert 0 < error["retryAfterMs"] <= 10_000
