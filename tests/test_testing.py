"""The conformance server as a process, and what the published suites for both protocols check, case by case.

The suites are `docs/engine.io-protocol/v4-test-suite` and `docs/socket.io-protocol/v5-test-suite` of socket.io; their
server pings after 300 ms. Where they sleep, news is waited for here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import trio

from tests.raw import BINARY, CLOSE, TEXT, Ended, Response, WebSocketClient

START_S = 30
BOTH = pytest.mark.parametrize("path", ["/engine.io/", "/socket.io/"])
BRISK = ("--ping-interval", "300", "--ping-timeout", "1000", "--connect-timeout", "1000")
"""For what is about time. The suites' timeout of 200 ms is less than a busy machine may take to answer a ping."""


@contextmanager
def conformance(*options: str) -> Iterator[int]:
    """The server in a process of its own; gives its port. It must end well on SIGTERM."""
    command = [sys.executable, "-m", "livehub.testing", "conformance", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())
            assert found, "the server tells where it is"
            yield int(found[1])
            server.send_signal(signal.SIGTERM)
            assert server.wait(START_S) == 0
        finally:
            server.kill()


@pytest.fixture(scope="module")
def calm_port() -> Iterator[int]:
    with conformance("--no-recovery") as found:
        yield found


@pytest.fixture(scope="module")
def brisk_port() -> Iterator[int]:
    with conformance(*BRISK, "--no-recovery") as found:
        yield found


class Clients:
    """Connections to the server, closed at the end of the test."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._all: list[WebSocketClient] = []

    async def connect(self) -> WebSocketClient:
        self._all.append(WebSocketClient(await trio.open_tcp_stream("127.0.0.1", self._port)))
        return self._all[-1]

    async def get(self, target: str) -> Response:
        return await (await self.connect()).request("GET", target)

    async def post(self, target: str, body: bytes) -> Response:
        return await (await self.connect()).request("POST", target, body)

    async def polling(self, path: str = "/engine.io/") -> str:
        """A session over polling; the target of its requests."""
        answer = await self.get(f"{path}?EIO=4&transport=polling")
        return f"{path}?EIO=4&transport=polling&sid={json.loads(answer.body[1:])['sid']}"

    async def websocket(self, path: str = "/engine.io/") -> WebSocketClient:
        """A session over a WebSocket, its open packet heard."""
        client = await self.connect()
        assert (await client.open(f"{path}?EIO=4&transport=websocket")).status == 101
        assert (await client.hear()).startswith("0{")
        return client

    async def upgrading(self, target: str) -> WebSocketClient:
        """A WebSocket beside a polling session."""
        client = await self.connect()
        assert (await client.open(target.replace("polling", "websocket"))).status == 101
        return client

    async def socket(self) -> WebSocketClient:
        """A client of the main namespace."""
        client = await self.websocket("/socket.io/")
        await client.say("40")
        assert (await packet(client)).startswith("40{")
        assert await packet(client) == '42["auth",{}]'
        return client

    async def aclose(self) -> None:
        for client in self._all:
            await trio.aclose_forcefully(client.stream)


@pytest.fixture
async def clients(calm_port: int) -> AsyncIterator[Clients]:
    made = Clients(calm_port)
    yield made
    await made.aclose()


@pytest.fixture
async def brisk(brisk_port: int) -> AsyncIterator[Clients]:
    """Clients of a server whose heartbeat is quick."""
    made = Clients(brisk_port)
    yield made
    await made.aclose()


def check_open(packet: bytes, upgrades: list[str]) -> None:
    told = json.loads(packet[1:])
    assert packet[:1] == b"0"
    assert isinstance(told.pop("sid"), str)
    assert told == {"upgrades": upgrades, "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1_000_000}


async def packet(client: WebSocketClient) -> str:
    """The next text that is no ping; pings are answered."""
    while (text := await client.hear()) == "2":
        await client.say("3")
    return text


async def closes(client: WebSocketClient) -> None:
    """Hear the end, with whatever comes before it."""
    try:
        while (await client.frame())[0] != CLOSE:
            pass
    except Ended:
        return


# Engine.IO: handshake


@BOTH
async def test_polling_opens_a_session(clients: Clients, path: str) -> None:
    answer = await clients.get(f"{path}?EIO=4&transport=polling")
    assert answer.status == 200
    check_open(answer.body, ["websocket"])


@BOTH
@pytest.mark.parametrize("query", ["transport=polling", "EIO=abc&transport=polling", "EIO=4", "EIO=4&transport=abc"])
async def test_polling_fails_with_a_bad_query(clients: Clients, path: str, query: str) -> None:
    assert (await clients.get(f"{path}?{query}")).status == 400


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_polling_fails_with_another_method(clients: Clients, path: str, method: str) -> None:
    assert (await (await clients.connect()).request(method, f"{path}?EIO=4&transport=polling")).status == 400


@BOTH
async def test_a_websocket_opens_a_session(clients: Clients, path: str) -> None:
    client = await clients.connect()
    assert (await client.open(f"{path}?EIO=4&transport=websocket")).status == 101
    check_open((await client.hear()).encode(), [])


@BOTH
@pytest.mark.parametrize(
    "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"]
)
async def test_a_websocket_fails_with_a_bad_query(clients: Clients, path: str, query: str) -> None:
    client = await clients.connect()
    assert (await client.open(f"{path}?{query}")).status == 400
    assert await client.rest() == b""


# Engine.IO: messages


@pytest.mark.parametrize("body", [b"4hello", b"4test1\x1e4test2\x1e4test3", b"4hello\x1ebAQIDBA=="])
async def test_polling_sends_and_receives_payloads(clients: Clients, body: bytes) -> None:
    target = await clients.polling()
    answer = await clients.post(target, body)
    assert (answer.status, answer.body) == (200, b"ok")
    answer = await clients.get(target)
    assert (answer.status, answer.body) == (200, body)


async def test_polling_closes_upon_an_invalid_packet(clients: Clients) -> None:
    target = await clients.polling()
    assert (await clients.post(target, b"abc")).status == 400
    assert (await clients.get(target)).status == 400


async def test_polling_closes_upon_duplicate_polls(clients: Clients) -> None:
    target = await clients.polling()
    polls = [await clients.connect(), await clients.connect()]
    for poll in polls:
        await poll.ask("GET", target)
    answers = sorted([await poll.response() for poll in polls], key=lambda answer: answer.status)
    assert [answer.status for answer in answers] == [200, 400]
    assert answers[0].body == b"1"
    assert (await clients.get(target)).status == 400


async def test_polling_closes_upon_a_cancelled_poll(clients: Clients) -> None:
    target = await clients.polling()
    poll = await clients.connect()
    await poll.request("POST", target, b"4hello")
    assert (await poll.request("GET", target)).body == b"4hello"
    await poll.ask("GET", target)
    await trio.aclose_forcefully(poll.stream)
    answer = await clients.get(target)
    while answer.status == 200:  # the server heard of the leaving a little later, or of a ping meanwhile
        assert answer.body in (b"1", b"2")
        answer = await clients.get(target)
    assert answer.status == 400


async def test_a_websocket_sends_and_receives_text_and_binary(clients: Clients) -> None:
    client = await clients.websocket()
    await client.say("4hello")
    assert await client.hear() == "4hello"
    await client.send_frame(BINARY, b"\x01\x02\x03\x04")
    assert await client.frame() == (BINARY, b"\x01\x02\x03\x04")


async def test_a_websocket_closes_upon_an_invalid_packet(clients: Clients) -> None:
    client = await clients.websocket()
    await client.say("abc")
    await closes(client)


# Engine.IO: heartbeat, close


@BOTH
async def test_polling_pings_and_takes_pongs(brisk: Clients, path: str) -> None:
    target = await brisk.polling(path)
    for _ in range(3):
        assert (await brisk.get(target)).body == b"2"
        assert (await brisk.post(target, b"3")).status == 200


@BOTH
async def test_polling_closes_upon_a_ping_timeout(brisk: Clients, path: str) -> None:
    target = await brisk.polling(path)
    assert (await brisk.get(target)).body == b"2"
    await brisk.get(target)  # parked until the session is gone
    assert (await brisk.get(target)).status == 400


@BOTH
async def test_a_websocket_pings_and_takes_pongs(brisk: Clients, path: str) -> None:
    client = await brisk.websocket(path)
    for _ in range(3):
        assert await client.hear() == "2"
        await client.say("3")


@BOTH
async def test_a_websocket_closes_upon_a_ping_timeout(brisk: Clients, path: str) -> None:
    await closes(await brisk.websocket(path))


@BOTH
async def test_polling_closes_when_asked_to(clients: Clients, path: str) -> None:
    target = await clients.polling(path)
    poll = await clients.connect()
    await poll.request("POST", target, b"3")
    await poll.ask("GET", target)
    assert (await clients.post(target, b"1")).status == 200
    assert (await poll.response()).body == b"6"
    assert (await clients.get(target)).status == 400


@BOTH
async def test_a_websocket_closes_when_asked_to(clients: Clients, path: str) -> None:
    client = await clients.websocket(path)
    await client.say("1")
    await closes(client)


# Engine.IO: upgrade


@BOTH
async def test_polling_becomes_a_websocket(clients: Clients, path: str) -> None:
    target = await clients.polling(path)
    client = await clients.upgrading(target)
    await client.say("2probe")
    assert await client.hear() == "3probe"
    answer = await clients.get(target)
    assert (answer.status, answer.body) == (200, b"6")
    await client.say("5")
    if path == "/engine.io/":
        await client.say("4hello")
        assert await packet(client) == "4hello"


@BOTH
async def test_polling_is_refused_after_the_upgrade(brisk: Clients, path: str) -> None:
    target = await brisk.polling(path)
    client = await brisk.upgrading(target)
    await client.say("2probe")
    assert await client.hear() == "3probe"
    await client.say("5")
    assert await client.hear() == "2"  # so the upgrade is done
    await client.say("3")
    assert (await brisk.get(target)).status == 400
    if path == "/engine.io/":
        await client.say("4hello")
        assert await packet(client) == "4hello"


@BOTH
async def test_a_second_websocket_is_closed_after_the_upgrade(clients: Clients, path: str) -> None:
    target = await clients.polling(path)
    client = await clients.upgrading(target)
    await client.say("2probe")
    assert await client.hear() == "3probe"
    await client.say("5")
    second = await clients.upgrading(target)
    await closes(second)
    if path == "/engine.io/":
        await client.say("4hello")
        assert await packet(client) == "4hello"


# Socket.IO: connect, disconnect


@pytest.mark.parametrize(
    ("asked", "before", "auth"),
    [
        ("40", "40", '42["auth",{}]'),
        ('40{"token":"123"}', "40", '42["auth",{"token":"123"}]'),
        ("40/custom,", "40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_a_namespace_lets_clients_in(clients: Clients, asked: str, before: str, auth: str) -> None:
    client = await clients.websocket("/socket.io/")
    await client.say(asked)
    told = await packet(client)
    assert told.startswith(before)
    assert list(json.loads(told.removeprefix(before))) == ["sid"]
    assert await packet(client) == auth


async def test_an_unknown_namespace_is_invalid(clients: Clients) -> None:
    client = await clients.websocket("/socket.io/")
    await client.say("40/random")
    assert await packet(client) == '44/random,{"message":"Invalid namespace"}'


@pytest.mark.parametrize("said", ["4abc", None])
async def test_an_invalid_or_missing_connect_closes(brisk: Clients, said: str | None) -> None:
    client = await brisk.websocket("/socket.io/")
    if said is not None:
        await client.say(said)
    await closes(client)


async def test_no_connect_in_time_closes_also_clients_that_answer_pings(brisk: Clients) -> None:
    client = await brisk.websocket("/socket.io/")
    pings = 0
    while (frame := await client.frame()) == (TEXT, b"2"):
        pings += 1
        await client.say("3")
    assert frame[0] == CLOSE
    assert 1 <= pings <= 3  # at 300, 600 and 900 ms, or later on a busy machine


async def test_leaving_the_only_namespace_leaves_the_connection_open(brisk: Clients) -> None:
    client = await brisk.socket()
    await client.say("41")
    assert await client.hear() == "2"


async def test_leaving_one_namespace_leaves_the_other_joined(clients: Clients) -> None:
    client = await clients.socket()
    await client.say("40/custom")
    assert (await packet(client)).startswith("40/custom,{")
    assert await packet(client) == '42/custom,["auth",{}]'
    await client.say("41/custom")
    await client.say('42["message","message to main namespace"]')
    assert await packet(client) == '42["message-back","message to main namespace"]'


# Socket.IO: messages


async def test_events_come_back(clients: Clients) -> None:
    client = await clients.socket()
    await client.say('42["message",1,"2",{"3":[true]}]')
    assert await packet(client) == '42["message-back",1,"2",{"3":[true]}]'


async def test_events_come_back_with_attachments(clients: Clients) -> None:
    client = await clients.socket()
    await client.say('452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    await client.send_frame(BINARY, b"\x01\x02\x03")
    await client.send_frame(BINARY, b"\x04\x05\x06")
    expected = '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert await packet(client) == expected
    assert await client.frame() == (BINARY, b"\x01\x02\x03")
    assert await client.frame() == (BINARY, b"\x04\x05\x06")


async def test_acks_carry_the_arguments(clients: Clients) -> None:
    client = await clients.socket()
    await client.say('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await packet(client) == '43456[1,"2",{"3":[false]}]'


async def test_acks_carry_attachments(clients: Clients) -> None:
    client = await clients.socket()
    placeholders = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    await client.say(f'452-789["message-with-ack",{placeholders}]')
    await client.send_frame(BINARY, b"\x01\x02\x03")
    await client.send_frame(BINARY, b"\x04\x05\x06")
    assert await packet(client) == f"462-789[{placeholders}]"
    assert await client.frame() == (BINARY, b"\x01\x02\x03")
    assert await client.frame() == (BINARY, b"\x04\x05\x06")


@pytest.mark.parametrize("said", ["4abc", "42{}", "42[]", "42[{}]", "42abc", '42["connect"]', "43", "45", "44{}"])
async def test_invalid_packets_close(clients: Clients, said: str) -> None:
    client = await clients.socket()
    await client.say(said)
    await closes(client)


async def test_text_where_an_attachment_was_announced_closes(clients: Clients) -> None:
    client = await clients.socket()
    await client.say('452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    await client.send_frame(BINARY, b"\x01\x02\x03")
    await client.say("not an attachment")
    await closes(client)


async def test_binary_without_a_header_closes(clients: Clients) -> None:
    client = await clients.socket()
    await client.send_frame(BINARY, b"\x01\x02\x03")
    await closes(client)


# Beside the suites


async def test_the_raw_echo_takes_large_messages(clients: Clients) -> None:
    client = await clients.connect()
    assert (await client.open("/echo")).status == 101
    payload = os.urandom(1 << 20) * 4
    await client.send_frame(BINARY, payload)
    assert await client.frame() == (BINARY, payload)


async def test_with_recovery_a_client_gets_its_place_back() -> None:
    with conformance("--recovery") as port:
        clients = Clients(port)
        client = await clients.websocket("/socket.io/")
        await client.say("40")
        told = json.loads((await packet(client)).removeprefix("40"))
        assert list(told) == ["sid", "pid"]
        for _ in range(3):  # not only once
            client = await clients.websocket("/socket.io/")
            await client.say("40" + json.dumps({"pid": told["pid"], "offset": "1"}))
            assert json.loads((await packet(client)).removeprefix("40")) == told
        await clients.aclose()
