"""A WebSocket whose handshake, control frames and closing are trio-websocket's, and whose text messages are not.

trio-websocket costs some 25 µs per message, in task switches and events, which is why the `Tap` stands between it and
the wire. The Tap passes the handshake on; after it, it takes every complete, unfragmented text frame for itself and
passes on what is anything else: pings, closing, fragments, binary messages. Both write through the wire's one outbox,
whole frames only, so that neither gets into the other's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from loadtest.client import frames
from loadtest.client.errors import ConnectFailed
from loadtest.client.hub import Hub
from loadtest.client.transport import Address
from loadtest.client.wires import LOST, Wire

HEAD_MAX_BYTES = 16_384
BODY_SHOWN_CHARS = 200
HEAD_END = b"\r\n\r\n"


class Tap(trio.abc.HalfCloseableStream):
    """The stream that trio-websocket is given."""

    def __init__(
        self,
        wire: Wire,
        text: Callable[[bytes], None],
        *,
        detoured: Callable[[], None],
        closing: Callable[[], None],
        read_out: Callable[[], None],
    ) -> None:
        """`text` gets the text messages. The others are called when a message went to trio-websocket instead, when

        the server's close frame has come, and when trio-websocket has been told that the wire is at its end.
        """
        self._wire = wire
        self.text = text
        self._detoured = detoured
        self._closing = closing
        self._read_out = read_out
        self._pending = b""
        self._cutting = False
        self._raw = False
        self._passed: deque[bytes] = deque()
        self._arrived = trio.Event()
        self._ended = False
        self._in_fragments = False
        self.detours = 0
        """Messages at trio-websocket that have not come back. Until they have, all go that way, to keep the order."""
        self.close_code: int | None = None

    def feed(self, data: bytes) -> None:
        """Bytes from the wire."""
        if self._pending:
            data = self._pending + data
        if self._cutting:
            self._cut(data)
        elif self._raw:
            self._pass_on(data)
        else:
            self._head(data)

    def _head(self, data: bytes) -> None:
        end = data.find(HEAD_END)
        if end < 0 and len(data) <= HEAD_MAX_BYTES:
            self._pending = data
            return
        self._pending = b""
        if end < 0 or not data.startswith(b"HTTP/1.1 101"):
            self._raw = True
            self._pass_on(data)
            return
        self._cutting = True
        end += len(HEAD_END)
        self._pass_on(data[:end])
        self._cut(data[end:])

    def _cut(self, data: bytes) -> None:
        """The hot path: what `frames.next_frame` says, with small frames of text found without a call."""
        at, size = 0, len(data)
        while size - at >= 2:
            start = at + 2
            length = data[at + 1]
            if length == 126 and size - at >= 4:
                start = at + 4
                length = data[at + 2] << 8 | data[at + 3]
            elif length > frames.SMALL_MAX_BYTES:
                try:
                    span = frames.next_frame(data, at)
                except frames.BadFrame:
                    self._cutting, self._raw = False, True
                    self._pass_on(data[at:])
                    at = size
                    break
                if span is None:
                    break
                start, length = span.start, span.end - span.start
            end = start + length
            if end > size:
                break
            if data[at] == frames.WHOLE_TEXT and not self.detours and not self._in_fragments:
                self.text(data[start:end])
            else:
                self._other(data[at], data[start:end], data[at:end])
            at = end
        self._pending = data[at:] if at else data

    def _other(self, first: int, payload: bytes, frame: bytes) -> None:
        """A frame for trio-websocket."""
        opcode = first & 0x0F
        if opcode == frames.CLOSE:
            self.close_code = frames.close_code(payload)
        elif opcode < frames.CONTROL_FROM:
            self._in_fragments = not first & frames.FIN
            if first & frames.FIN:
                self.detours += 1
                self._detoured()
        self._pass_on(frame)
        if opcode == frames.CLOSE:
            self._closing()

    def _pass_on(self, data: bytes) -> None:
        self._passed.append(data)
        self._arrived.set()

    def end(self) -> None:
        """The wire is at its end."""
        self._ended = True
        self._arrived.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What trio-websocket has to see."""
        while not self._passed and not self._ended:
            self._arrived = trio.Event()
            await self._arrived.wait()
        await trio.lowlevel.checkpoint()
        if self._passed:
            return self._passed.popleft()
        self._read_out()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """What trio-websocket says."""
        self._wire.write(bytes(data))
        await self._wire.drained()

    async def wait_send_all_might_not_block(self) -> None:
        """Nothing is ever held back."""
        await self._wire.drained()

    async def send_eof(self) -> None:
        """A WebSocket ends with a close frame, never with half a connection."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """trio-websocket has no more use for the stream."""
        self.end()
        self._wire.close()
        await trio.lowlevel.checkpoint()


class WebSocket:
    """The transport `websocket`."""

    __slots__ = (
        "_address", "_engine_open", "_failure", "_gone", "_hub", "_nursery", "_opened", "_over", "_packet", "_pumping",
        "_reason", "_tap", "_told", "_wire", "_ws",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, address: Address, packet: Callable[[bytes], None], gone: Callable[[str], None]
    ) -> None:
        self._hub = hub
        self._address = address
        self._packet = packet
        self._gone = gone
        self._wire: Wire | None = None
        self._tap: Tap | None = None
        self._ws: WebSocketConnection | None = None
        self._nursery: trio.Nursery | None = None
        self._opened = trio.Event()
        self._engine_open = False
        self._failure: ConnectFailed | None = None
        self._pumping = False
        self._reason = LOST
        self._over = False
        self._told = False

    @property
    def bytes_in(self) -> int:
        """Bytes read from the socket."""
        return 0 if self._wire is None else self._wire.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes given to the socket."""
        return 0 if self._wire is None else self._wire.bytes_out

    async def open(self) -> None:
        """TCP, handshake, Engine.IO's open packet. Raises `ConnectFailed`."""
        self._wire = await self._hub.wire(self._address)
        self._tap = Tap(
            self._wire,
            self._first,
            detoured=self._pump_soon,
            closing=self._server_closes,
            read_out=self._give_up_handshake,
        )
        self._wire.start(self._tap.feed, self._lost)
        if self._over:
            self._wire.cut()
            raise ConnectFailed("cut while connecting")
        self._hub.nursery.start_soon(self._session, self._tap)
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def _session(self, tap: Tap) -> None:
        """trio-websocket's task lives in here; as long as it does, control frames are answered."""
        ended = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                # It is annotated for sockets, and asks of the stream no more than any stream has.
                stream = cast(trio.SocketStream, tap)
                target = self._address.target("websocket")
                self._ws = await wrap_client_stream(
                    nursery, stream, self._address.host_header, target, max_message_size=frames.MESSAGE_MAX_BYTES
                )
                self._maybe_open()
                if tap.detours:
                    self._pump_soon()
            ended = True
        except* HandshakeError as errors:
            self._failure = self._failure or _failed(errors.exceptions[0])
        finally:
            self._nursery = None
            self._told = self._told or not ended  # the hub ends: nobody need be told
            self._finish(self._reason)

    def _first(self, packet: bytes) -> None:
        """Engine.IO's open packet must be the first."""
        assert self._tap is not None
        if not packet.startswith(b"0"):
            self._failure = ConnectFailed("the server does not speak Engine.IO")
            self._finish("not Engine.IO")
            return
        self._engine_open = True
        self._tap.text = self._packet
        self._maybe_open()

    def _maybe_open(self) -> None:
        if self._engine_open and self._ws is not None:
            self._opened.set()

    def _pump_soon(self) -> None:
        if not self._pumping and self._ws is not None and self._nursery is not None:
            self._pumping = True
            self._nursery.start_soon(self._pump, self._ws)

    async def _pump(self, ws: WebSocketConnection) -> None:
        """Take back the messages that went to trio-websocket; binary ones are of no use to a load generator."""
        assert self._tap is not None
        try:
            while True:
                message = await ws.get_message()
                if isinstance(message, str):
                    self._tap.text(message.encode())
                self._tap.detours -= 1
        except ConnectionClosed:
            pass

    def send(self, packet: bytes) -> None:
        """Send a packet without waiting."""
        if self._wire is not None:
            self._wire.write(frames.masked_text(packet))

    def pause(self) -> None:
        """Stop reading."""
        if self._wire is not None:
            self._wire.pause()

    def resume(self) -> None:
        """Read again."""
        if self._wire is not None:
            self._wire.resume()

    def cut(self, *, silent: bool = False) -> None:
        """End at once, or fall silent."""
        self._told = True
        if silent and self._wire is not None:
            self._wire.cut(silent=True)
        else:
            self._finish("cut")

    async def close(self) -> None:
        """Close frames both ways, then the socket."""
        self._told = True
        if self._ws is not None and not self._over:
            await self._ws.aclose()
        if self._wire is not None:
            self._wire.close()
        self._finish("closed")

    def _server_closes(self) -> None:
        assert self._tap is not None
        self._tell(f"closed by the server: {self._tap.close_code or 'no code'}")

    def _lost(self, reason: str) -> None:
        """The wire ended by itself. In a handshake, trio-websocket first reads why: it may be an HTTP error."""
        assert self._tap is not None
        if self._ws is None:
            self._reason = reason
            self._tap.end()
        else:
            self._finish(reason)

    def _give_up_handshake(self) -> None:
        """trio-websocket has read all there was. It would wait on for the end of the handshake."""
        if self._ws is None and self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def _finish(self, reason: str) -> None:
        """The end, whoever brought it about."""
        if self._over:
            return
        self._over = True
        if self._wire is not None:
            self._wire.cut()
        if self._tap is not None:
            self._tap.end()
        if not self._opened.is_set():
            self._failure = self._failure or ConnectFailed(reason)
            self._opened.set()
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        if not self._told:
            self._told = True
            self._gone(reason)


def _failed(error: BaseException) -> ConnectFailed:
    if isinstance(error, ConnectionRejected):
        body = (error.body or b"").decode(errors="replace")[:BODY_SHOWN_CHARS]
        return ConnectFailed(f"HTTP {error.status_code} {body}".rstrip(), error.status_code)
    return ConnectFailed(f"WebSocket handshake: {error!r}")
