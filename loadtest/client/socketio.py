"""One Socket.IO client: Engine.IO v4 and one namespace of Socket.IO v5, over a WebSocket or over polling.

Being one of thousands in a process, it does little per push: it finds the event's name and calls `heard` with the raw
packet. JSON is decoded for acks, and for whoever calls `decode`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias

import attrs
import orjson
import trio

from loadtest.client import packets
from loadtest.client.errors import AskTimeout, Closed, ConnectFailed, ConnectRefused
from loadtest.client.hub import Event, Hub
from loadtest.client.polling import Polling
from loadtest.client.transport import Address, Transport
from loadtest.client.websocket import WebSocket

OPEN_TIMEOUT_S = 30.0
ASK_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 2.0
PACKET_SHOWN_BYTES = 80
MALFORMED = "malformed packet from the server"

log = logging.getLogger(__name__)

TransportName: TypeAlias = Literal["websocket", "polling"]
Heard: TypeAlias = Callable[[str, bytes], None]


@attrs.frozen
class Opened:
    """What the server said to CONNECT. `recovered`: it took up the old session and has sent what was missed."""

    sid: str
    recovered: bool
    pid: str | None
    data: Mapping[str, object]


@attrs.frozen
class Recovery:
    """What a client keeps to come back with: pass `auth()` along with the rest of the auth of the next connection."""

    pid: str
    offset: str | None

    def auth(self) -> dict[str, object]:
        """The fields that ask for recovery, as stock clients send them."""
        return {"pid": self.pid} if self.offset is None else {"pid": self.pid, "offset": self.offset}


class Ack(list[object]):
    """The arguments of an ack; `at_ns` is when it was read from the socket (`time.monotonic_ns`)."""

    __slots__ = ("at_ns",)

    def __init__(self, args: list[object], at_ns: int) -> None:
        super().__init__(args)
        self.at_ns = at_ns


class _Answer:
    """Somebody who waits: for an ack, or for the answer to CONNECT."""

    __slots__ = ("at_ns", "event", "packet")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.packet: bytes | None = None
        self.at_ns = 0

    def give(self, packet: bytes | None) -> None:
        self.packet = packet
        self.at_ns = time.monotonic_ns()
        self.event.set()


class Connection:
    """One connection, used once: to come back after a cut, make a new one and open it with `recovery.auth()`.

    `heard(event, packet)` is called for every event pushed, `closed(reason)` once if the connection ends after it was
    open without having been asked to by `cut` or `close`, nor by the end of the hub. Both are called on the loop: they
    must not block, and what they raise ends the hub.
    """

    __slots__ = (
        "_ack_head",
        "_asks",
        "_closed",
        "_connecting",
        "_ended",
        "_event_head",
        "_heard",
        "_latest",
        "_names",
        "_next_ack",
        "_offset",
        "_offset_in",
        "_opened",
        "_pid",
        "_prefix",
        "_transport",
        "frames_in",
    )

    def __init__(
        self,
        hub: Hub,
        *,
        host: str,
        namespace: str = "/events",
        transport: TransportName = "websocket",
        source: str | None = None,
        heard: Heard,
        closed: Callable[[str], None],
        receive_buffer_bytes: int | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        """`host` is a URL (`http://127.0.0.1:3002`), `source` the local address to connect from."""
        address = Address.of(host, source, receive_buffer_bytes, query or {})
        kind = WebSocket if transport == "websocket" else Polling
        self._transport: Transport = kind(hub, address, self._packet, self._gone)
        self._prefix = packets.namespace_prefix(namespace)
        self._event_head = b"42" + self._prefix + b'["'
        self._ack_head = b"43" + self._prefix
        self._names = hub.names
        self._latest = hub.latest(namespace)
        self._heard = heard
        self._closed = closed
        self._connecting: _Answer | None = None
        self._opened: Opened | None = None
        self._ended: str | None = None
        self._asks: dict[int, _Answer] = {}
        self._next_ack = 0
        self._pid: str | None = None
        self._offset: str | None = None
        self._offset_in: bytes | None = None
        self.frames_in = 0

    @property
    def bytes_in(self) -> int:
        """Bytes read from the socket, of whatever layer."""
        return self._transport.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes given to the socket."""
        return self._transport.bytes_out

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as this side can know."""
        return self._opened is not None and self._ended is None

    @property
    def recovery(self) -> Recovery | None:
        """What to come back with; None if the server offers no recovery."""
        if self._offset_in is not None:
            kept, self._offset_in = self._offset_in, None
            with suppress(ValueError):  # what is no JSON has no offset
                self._offset = packets.last_text(kept)
        return None if self._pid is None else Recovery(self._pid, self._offset)

    async def open(self, auth: Mapping[str, object], *, timeout_s: float = OPEN_TIMEOUT_S) -> Opened:
        """Connect, and enter the namespace. Raises `ConnectFailed` or `ConnectRefused`; then nothing stays open."""
        assert self._connecting is None, "a connection opens once"
        answer = self._connecting = _Answer()
        offset = auth.get("offset")
        self._offset = offset if isinstance(offset, str) else None
        try:
            with trio.fail_after(timeout_s):
                await self._transport.open()
                self._transport.send(b"40" + self._prefix + orjson.dumps(dict(auth)))
                await answer.event.wait()
            self._opened = self._admitted(answer.packet, auth)
        except trio.TooSlowError:
            raise ConnectFailed(f"not connected within {timeout_s:g} s") from None
        except Closed as gone:
            raise ConnectFailed(str(gone)) from None
        finally:
            if self._opened is None:
                self._end("never opened", told=False)
                self._transport.cut()
        return self._opened

    async def ask(self, event: str, *args: object, timeout_s: float = ASK_TIMEOUT_S) -> Ack:
        """Emit, and wait for the ack: its arguments. Raises `Closed` or `AskTimeout`."""
        number = self._next_ack
        self._next_ack = number + 1
        answer = self._asks[number] = _Answer()
        try:
            self.emit_text(packets.encode_event(self._prefix, event, args, number))
            with trio.fail_after(timeout_s):
                await answer.event.wait()
        except trio.TooSlowError:
            raise AskTimeout(f"no ack to {event} within {timeout_s:g} s") from None
        finally:
            self._asks.pop(number, None)
        if answer.packet is None:
            raise Closed(self._ended or "closed")
        try:
            return Ack(packets.decode(answer.packet), answer.at_ns)
        except ValueError:
            self._malformed(answer.packet)
            raise Closed(MALFORMED) from None

    def emit(self, event: str, *args: object) -> None:
        """Emit without an ack. Raises `Closed`."""
        self.emit_text(packets.encode_event(self._prefix, event, args))

    def emit_text(self, packet: bytes) -> None:
        """Send an encoded Socket.IO packet: at once if the kernel takes it. Raises `Closed`."""
        if self._ended is not None:
            raise Closed(self._ended)
        self._transport.send(b"4" + packet)

    def pause(self) -> None:
        """Stop reading, as a slow reader does; what comes fills the kernel's buffers, pings stay unanswered."""
        self._transport.pause()

    def resume(self) -> None:
        """Read again."""
        self._transport.resume()

    def cut(self, *, silent: bool = False) -> None:
        """Be gone at once, without a word. Silent: like a phone out of coverage, even the kernel tells nobody; the

        socket stays open until `close`.
        """
        self._end("cut", told=False)
        self._transport.cut(silent=silent)

    async def close(self) -> None:
        """Say goodbye (DISCONNECT, close frame) and close. Safe to call at any time, also twice."""
        polite = self.is_open
        if polite:
            self._transport.send(b"41" + self._prefix)
        self._end("closed", told=False)
        with trio.move_on_after(CLOSE_TIMEOUT_S if polite else 0):
            await self._transport.close()
        self._transport.cut()

    def _admitted(self, packet: bytes | None, auth: Mapping[str, object]) -> Opened:
        if packet is None:
            raise ConnectFailed(self._ended or "closed")
        try:
            data = packets.decode_data(packet, self._prefix)
        except ValueError:
            raise ConnectFailed(MALFORMED) from None
        if packet.startswith(b"4"):
            details = data.get("data")
            raise ConnectRefused(str(data.get("message", "")), details if isinstance(details, dict) else {})
        if not isinstance(data.get("sid"), str):
            raise ConnectFailed("the server's answer to CONNECT has no sid")
        if self._ended is not None:
            raise ConnectFailed(self._ended)
        pid = data.get("pid")
        self._pid = pid if isinstance(pid, str) else None
        recovered = self._pid is not None and self._pid == auth.get("pid")
        return Opened(data["sid"], recovered, self._pid, data)

    def _packet(self, text: bytes) -> None:
        """One Engine.IO packet came in. An event with a name and no ack id is what this is fast for."""
        self.frames_in += 1
        latest = self._latest
        if text == latest.text:
            event: Event | None = latest.event
        elif text.startswith(self._event_head):
            event = latest.recent.get(text) or self._look(text)
        else:
            event = None
        if event is not None:
            latest.text, latest.event = text, event
            if event.has_offset:
                self._offset_in = event.packet
            self._heard(event.name, event.packet)
        elif text == b"2":
            self._transport.send(b"3")
        elif text.startswith(self._ack_head):
            number, _ = packets.ack_number(text, len(self._ack_head))
            waiting = self._asks.pop(number, None) if number is not None else None
            if waiting is not None:
                waiting.give(text[1:])
        else:
            self._rare(text)

    def _look(self, text: bytes) -> Event | None:
        """An event that nobody has heard yet; None if it has no name."""
        names = self._names
        start = len(self._event_head)
        end = text.find(b'"', start)
        if end < 0:
            return None
        name = text[start:end]
        known = names[name] if name in names else names.setdefault(name, name.decode(errors="replace"))
        # Stock clients keep the last string argument, whatever it is; parsed when somebody wants it.
        event = Event(known, text[1:], text.endswith(b'"]') and end < len(text) - 2)
        self._latest.keep(text, event)
        return event

    def _rare(self, text: bytes) -> None:
        if text.startswith((b"40", b"44")):
            if self._connecting is not None and not self._connecting.event.is_set():
                self._connecting.give(text[1:])
        elif text.startswith(b"41"):
            self._end("server disconnect", told=True)
            self._transport.cut()
        elif text.startswith((b"42", b"45")):
            self._odd_event(text[1:])
        elif text.startswith(b"1"):
            self._end("transport closed by the server", told=True)
            self._transport.cut()

    def _odd_event(self, packet: bytes) -> None:
        """An event that wants an ack (livehub sends none), has attachments, or is written with spaces."""
        try:
            name = str(packets.decode(packet)[0])
        except (ValueError, IndexError):
            self._malformed(packet)
            return
        self._heard(name, packet)

    def _malformed(self, packet: bytes) -> None:
        log.warning("malformed packet: %r", packet[:PACKET_SHOWN_BYTES])
        self._end(MALFORMED, told=True)
        self._transport.cut()

    def _gone(self, reason: str) -> None:
        self._end(reason, told=True)

    def _end(self, reason: str, *, told: bool) -> None:
        if self._ended is not None:
            return
        self._ended = reason
        was_open = self._opened is not None
        if self._connecting is not None and not self._connecting.event.is_set():
            self._connecting.give(None)
        asks, self._asks = self._asks, {}
        for answer in asks.values():
            answer.give(None)
        if told and was_open:
            self._closed(reason)
