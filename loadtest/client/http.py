"""One kept-alive HTTP/1.1 connection, over h11: what long polling is made of."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import h11
import trio

from loadtest.client.transport import Address
from loadtest.client.wires import LOST, RECEIVE_BYTES, RESET_ON_CLOSE

Dial = Callable[[Address], Awaitable[trio.abc.Stream]]
BODY_MAX_BYTES = 16 << 20


class HttpLost(Exception):
    """The connection ended before the answer was complete."""


class Http:
    """Requests one after the other; it connects when it has to."""

    def __init__(self, dial: Dial, address: Address) -> None:
        self._dial = dial
        self._address = address
        self._stream: trio.abc.Stream | None = None
        self._state = h11.Connection(h11.CLIENT)
        self._may_read = trio.Event()
        self._may_read.set()
        self._over = False
        self.bytes_in = 0
        self.bytes_out = 0

    async def request(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask, and hear the answer: status and body. Raises `HttpLost` or `ConnectFailed`."""
        if self._state.our_state is not h11.IDLE or self._state.their_state is not h11.IDLE:
            await self._hang_up()
        stream = await self._connected()
        headers = [("Host", self._address.host_header)]
        if method == "POST":
            headers += [("Content-Type", "text/plain;charset=UTF-8"), ("Content-Length", str(len(body)))]
        data = self._state.send(h11.Request(method=method, target=target, headers=headers)) or b""
        if body:
            data += self._state.send(h11.Data(data=body)) or b""
        data += self._state.send(h11.EndOfMessage()) or b""
        try:
            await stream.send_all(data)
            self.bytes_out += len(data)
            answer = await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError) as error:
            raise HttpLost(LOST) from error
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        return answer

    async def _answer(self, stream: trio.abc.Stream) -> tuple[int, bytes]:
        status, body = 0, bytearray()
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                await self._may_read.wait()
                data = await stream.receive_some(RECEIVE_BYTES)
                self.bytes_in += len(data)
                self._state.receive_data(bytes(data))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_MAX_BYTES:
                    raise HttpLost("an endless answer")
            elif isinstance(event, h11.EndOfMessage):
                return status, bytes(body)
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise HttpLost(LOST)

    async def _connected(self) -> trio.abc.Stream:
        if self._stream is None:
            stream = await self._dial(self._address)
            if self._over:
                await trio.aclose_forcefully(stream)
                raise HttpLost("cut")
            self._stream = stream
            self._state = h11.Connection(h11.CLIENT)
        return self._stream

    async def _hang_up(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await trio.aclose_forcefully(stream)

    def pause(self) -> None:
        """Read no more, not even an answer that is already there."""
        if self._may_read.is_set():
            self._may_read = trio.Event()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    def cut(self) -> None:
        """Reset the connection, and make no new one."""
        self._over = True
        stream, self._stream = self._stream, None
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            if stream.socket.fileno() >= 0:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            stream.socket.close()
