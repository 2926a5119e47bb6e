"""A proxy that keeps connections alive sends an upgrade where it sent a request before (nginx, upstream keepalive)."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from tests.endtoend.stage import key
from tests.endtoend.wire import UPGRADE, WEBSOCKET, Bytes, Gone, Wire, connected, masked, wire_in
from tests.harness import Server

GET = "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"
POLLING = "/socket.io/?EIO=4&transport=polling"


async def _get(plain: Bytes, target: str) -> bytes:
    await plain.write(GET.format(target=target).encode())
    status, body = await plain.response()
    assert status == 200, body
    return body


def _says(text: str) -> Callable[[str, Any], bool]:
    return lambda kind, content: kind == "event" and content[1].get("text") == text


async def test_an_upgrade_after_a_request_on_the_same_connection(shared_server: Server) -> None:
    session = uuid4().hex
    async with connected(shared_server) as plain:
        for target in ("/healthz", "/readyz", "/healthz"):
            await _get(plain, target)
        wire = Wire(plain.stream)
        await wire.write(UPGRADE.format(target=WEBSOCKET, host="x").encode())
        assert (await wire.response())[0] == 101
        assert (await wire.frame())[1].startswith(b"0{")
        await wire.enter(shared_server.token(uuid4().hex))
        await wire.join(session)
        async with wire_in(shared_server, shared_server.token(uuid4().hex), session) as other:
            for speaker, hearer in ((wire, other), (other, wire)):
                text = uuid4().hex
                await speaker.ask("chat.message.send", {"text": text, "idempotencyKey": key()})
                await hearer.until(_says(text))


async def test_a_polling_session_upgrades_on_the_connection_that_it_polled_on(shared_server: Server) -> None:
    async with connected(shared_server) as plain:
        sid = json.loads((await _get(plain, POLLING))[1:])["sid"]
        wire = Wire(plain.stream)
        await wire.write(UPGRADE.format(target=f"{WEBSOCKET}&sid={sid}", host="x").encode())
        assert (await wire.response())[0] == 101
        await wire.write(masked(b"2probe"))
        assert (await wire.frame())[1] == b"3probe"
        await wire.write(masked(b"5"))
        await wire.enter(shared_server.token(uuid4().hex))
        await wire.join(uuid4().hex)


async def test_requests_may_follow_each_other_without_waiting(shared_server: Server) -> None:
    async with connected(shared_server) as plain:
        await plain.write(GET.format(target="/healthz").encode() * 3)
        for _ in range(3):
            assert (await plain.response())[0] == 200
        await plain.write(b"nonsense\r\n\r\n")
        with suppress(Gone):
            while True:  # until it is shown out, with or without an answer
                await plain.response()
