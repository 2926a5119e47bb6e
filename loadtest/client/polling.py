"""The transport `polling`: one connection asks GET after GET, another brings what is to be sent.

Packets that wait for the POST on its way go together in the next one, joined as Engine.IO joins them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import orjson
import trio

from loadtest.client.errors import ConnectFailed
from loadtest.client.http import Http, HttpLost
from loadtest.client.hub import Hub
from loadtest.client.transport import Address
from loadtest.client.wires import OUTBOX_FULL

SEPARATOR = b"\x1e"
POST_MAX_BYTES = 900_000
"""Below the 1,000,000 bytes that servers take by default (`maxPayload`)."""
OUTBOX_MAX_PACKETS = 10_000
CLOSE_PACKET, NOOP_PACKET = b"1", b"6"
OK = 200


class Polling:
    """A session over HTTP."""

    def __init__(
        self, hub: Hub, address: Address, packet: Callable[[bytes], None], gone: Callable[[str], None]
    ) -> None:
        self._hub = hub
        self._address = address
        self._packet = packet
        self._gone = gone
        self._get = Http(hub.stream, address)
        self._post = Http(hub.stream, address)
        self._target = address.target("polling")
        self._outbox: deque[bytes] = deque()
        self._to_send = trio.Event()
        self._drained = trio.Event()
        self._posting = False
        self._scope = trio.CancelScope()
        self._over = False
        self._silent = False

    @property
    def bytes_in(self) -> int:
        """Bytes read from both connections; under TLS, before encryption."""
        return self._get.bytes_in + self._post.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes given to both."""
        return self._get.bytes_out + self._post.bytes_out

    async def open(self) -> None:
        """The first GET, which brings the open packet. Raises `ConnectFailed`."""
        try:
            status, body = await self._get.request("GET", self._target)
        except HttpLost as error:
            raise ConnectFailed(str(error)) from error
        if status != OK:
            raise ConnectFailed(f"HTTP {status} {body[:200].decode(errors='replace')}".rstrip(), status)
        first, *rest = body.split(SEPARATOR)
        sid = _sid(first)
        if sid is None:
            raise ConnectFailed("the server does not speak Engine.IO")
        if self._over:
            raise ConnectFailed("cut while connecting")
        self._target = self._address.target("polling", sid)
        self._hub.nursery.start_soon(self._run)
        self._hand_on(rest)

    async def _run(self) -> None:
        reason = ""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._bring)
                    reason = await self._fetch()
                    nursery.cancel_scope.cancel()
        except* (HttpLost, ConnectFailed) as errors:
            reason = str(errors.exceptions[0])
        finally:
            if reason:
                self._finish(reason)
            else:
                self.cut()  # cut, or the hub ends: nobody need be told

    async def _fetch(self) -> str:
        """GET after GET, until the session ends: why it did."""
        while True:
            try:
                status, body = await self._get.request("GET", self._target)
            except (HttpLost, ConnectFailed) as error:
                return str(error)
            if self._silent:
                await trio.sleep_forever()
            if status != OK:
                return f"HTTP {status} to a poll"
            if not self._hand_on(body.split(SEPARATOR)):
                return "closed by the server"

    def _hand_on(self, received: list[bytes]) -> bool:
        """Give on what came; False if the server closed the session with it."""
        for packet in received:
            if packet == CLOSE_PACKET:
                return False
            if packet != NOOP_PACKET and not self._over and not self._silent:
                self._packet(packet)
        return True

    async def _bring(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send = trio.Event()
            self._posting = True
            while self._outbox:
                status, _ = await self._post.request("POST", self._target, self._body())
                if status != OK:
                    raise HttpLost(f"HTTP {status} to a POST")
            self._posting = False
            self._drained.set()
            self._drained = trio.Event()

    def _body(self) -> bytes:
        packets = [self._outbox.popleft()]
        size = len(packets[0])
        while self._outbox and size + len(self._outbox[0]) < POST_MAX_BYTES:
            packets.append(self._outbox.popleft())
            size += len(packets[-1]) + len(SEPARATOR)
        return SEPARATOR.join(packets)

    def send(self, packet: bytes) -> None:
        """Queue a packet for the next POST."""
        if self._over or self._silent:
            return
        if len(self._outbox) >= OUTBOX_MAX_PACKETS:
            self._scope.cancel()
            self._finish(OUTBOX_FULL)
            return
        self._outbox.append(packet)
        self._to_send.set()

    def pause(self) -> None:
        """Read no answers; the next GET comes after `resume`."""
        self._get.pause()

    def resume(self) -> None:
        """Read again."""
        self._get.resume()

    def cut(self, *, silent: bool = False) -> None:
        """End at once, or only ask and answer nothing more."""
        if silent:
            self._silent = True
            self._outbox.clear()
            self._get.pause()
            return
        self._over = True
        self._scope.cancel()
        self._get.cut()
        self._post.cut()
        self._drained.set()

    async def close(self) -> None:
        """Bring what waits, then Engine.IO's close packet."""
        if not self._over and not self._silent:
            self.send(CLOSE_PACKET)
            while (self._outbox or self._posting) and not self._over:
                await self._drained.wait()
        self.cut()

    def _finish(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._get.cut()
            self._post.cut()
            self._gone(reason)
            self._drained.set()


def _sid(packet: bytes) -> str | None:
    """The session's id in an open packet."""
    try:
        data = orjson.loads(packet[1:]) if packet.startswith(b"0") else None
    except orjson.JSONDecodeError:
        return None
    sid = data.get("sid") if isinstance(data, dict) else None
    return sid if isinstance(sid, str) else None
