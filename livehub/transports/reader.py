"""What a client says on a WebSocket, from bytes: whole messages, and what is to be answered.

Nearly all of it is whole text frames; those are cut here, at 1 µs and no bytes per connection. Every other frame
(control, fragmented, wrong) is left to `websockets`' protocol, which is made when one comes and given up at the next
frame boundary: kept for good, its parser took 1,900 bytes of every idle connection.
"""

from __future__ import annotations

import logging
from typing import TypeAlias

from websockets.frames import CloseCode, Opcode
from websockets.frames import Frame as WireFrame
from websockets.protocol import Protocol, Side, State

try:
    from websockets.speedups import apply_mask  # a seventh of the time
except ImportError:  # built without a C compiler
    from websockets.utils import apply_mask

TEXT_FRAME = 0x81  # FIN and the opcode
BINARY_FRAME = 0x82
WHOLE_MESSAGES = (TEXT_FRAME, BINARY_FRAME)
RESERVED_BITS = 0x70
MASKED = 0x80
SIZE_16_BITS, SIZE_64_BITS = 126, 127
MASK_BYTES = 4
SHORT_HEAD_BYTES = 2 + MASK_BYTES
CONTROL_BYTES_MAX = 125
MESSAGE_OPCODES = frozenset((Opcode.CONT, Opcode.TEXT, Opcode.BINARY))
CONTROL_OPCODES = frozenset((Opcode.CLOSE, Opcode.PING, Opcode.PONG))

Message: TypeAlias = str | bytes

_quiet = logging.getLogger("livehub.websockets")
_quiet.setLevel(logging.ERROR)  # who came and went is not news


class _Lenient(Protocol):
    """A client may close in the middle of a fragmented message: RFC 6455, section 5.4, lets control frames in there."""

    def recv_frame(self, frame: WireFrame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class Reader:
    """The reading side of one WebSocket, sans-I/O."""

    __slots__ = ("_doomed", "_pieces", "_protocol", "_rest", "_size_max", "_text", "ended", "messages")

    def __init__(self, message_bytes_max: int) -> None:
        self.messages: list[Message] = []  # the next one last; a deque takes 760 bytes also when it is empty
        self.ended = False
        self._size_max = message_bytes_max
        self._protocol: _Lenient | None = None
        self._rest: bytearray | None = None  # of a frame that is not all here
        self._pieces: bytearray | None = None  # of a fragmented message; not a list, as pieces may be empty
        self._text = False
        self._doomed = False  # a frame has begun that cannot end well

    def receive(self, data: bytes) -> list[bytes]:
        """Take in what came. Tells what is to be sent now: pongs, or a close frame, and b"" for the end of it all."""
        if self._doomed:
            self._leave(data)
            return self._replies()
        size = len(data) - SHORT_HEAD_BYTES
        if (
            0 <= size < SIZE_16_BITS
            and data[0] == TEXT_FRAME
            and data[1] == MASKED | size
            and size <= self._size_max
            and self._rest is None
            and self._protocol is None
            and not (self.ended or self.messages)
        ):  # one short message, as nearly all that is asked
            self._message(apply_mask(data[SHORT_HEAD_BYTES:], data[2:SHORT_HEAD_BYTES]), True)
            return [] if self._protocol is None else self._replies()
        held: bytes | bytearray = data
        if self._rest is not None:
            self._rest += data
            held = self._rest
        done = self._cut(held)
        if self.ended or done == len(held):  # what comes behind a close, or a text that was none, is not heard
            self._rest = None
        else:
            self._rest = bytearray(memoryview(held)[done:])
        if len(self.messages) > 1:
            self.messages.reverse()
        return [] if self._protocol is None else self._replies()

    def _cut(self, data: bytes | bytearray) -> int:
        """Handle every whole frame; tells how many bytes that was."""
        at, end = 0, len(data)
        while not self.ended and at + 2 <= end:
            first, second = data[at], data[at + 1]
            size, start = second & ~MASKED, at + 2
            if size >= SIZE_16_BITS:
                start = at + (4 if size == SIZE_16_BITS else 10)
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start], "big")
            whole = first in WHOLE_MESSAGES
            if (not whole or second < MASKED or size > self._size_max) and not self._plausible(first, second, size):
                self._doomed = True  # the library finds out in its own time; until then it reads all there is
                self._leave(bytes(data[at:]))
                return end
            start += MASK_BYTES
            stop = start + size
            if stop > end:
                break
            if whole and self._protocol is None:
                self._message(apply_mask(data[start:stop], data[start - MASK_BYTES : start]), first == TEXT_FRAME)
            else:
                self._leave(bytes(data[at:stop]))
            at = stop
        return at

    def _plausible(self, first: int, second: int, size: int) -> bool:
        """Whether a frame may be waited for; what breaks the RFC is told so at its head, not when all of it came."""
        opcode = first & 0x0F
        if second < MASKED or first & RESERVED_BITS:
            return False
        if opcode in MESSAGE_OPCODES:
            return size <= self._size_max
        return opcode in CONTROL_OPCODES and size <= CONTROL_BYTES_MAX

    def _leave(self, frame: bytes) -> None:
        """Have the library read this."""
        protocol = self._library()
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if not isinstance(event, WireFrame):
                continue
            if event.opcode is Opcode.CLOSE:
                self.ended = True
            elif event.opcode in MESSAGE_OPCODES:
                self._piece(event)
            if self.ended:
                break

    def _library(self) -> _Lenient:
        if self._protocol is None:
            self._protocol = _Lenient(Side.SERVER, state=State.OPEN, max_size=self._size_max, logger=_quiet)
        return self._protocol

    def _piece(self, frame: WireFrame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        if frame.fin and self._pieces is None:
            self._message(bytes(frame.data), self._text)
            return
        if self._pieces is None:
            self._pieces = bytearray()
        self._pieces += frame.data
        if frame.fin:
            data, self._pieces = bytes(self._pieces), None
            self._message(data, self._text)

    def _message(self, data: bytes, is_text: bool) -> None:
        if not is_text:
            self.messages.append(data)
            return
        try:
            self.messages.append(data.decode())
        except UnicodeDecodeError:
            self._library().fail(CloseCode.INVALID_DATA)
            self.ended = True

    def _replies(self) -> list[bytes]:
        protocol = self._protocol
        if protocol is None:
            return []
        replies = protocol.data_to_send()
        if protocol.state is not State.OPEN:
            self.ended = True
        elif protocol.current_size is None and not self._doomed:
            self._protocol = None  # between two messages, and between two frames: see `_cut`
        return replies
