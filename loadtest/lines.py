"""Lines out of a byte stream, whole and in order, however the pipe cut them."""

from __future__ import annotations

import trio

PIECE_BYTES = 1 << 18


class Lines:
    """Reads one line after the other."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._ready: list[bytes] = []
        self._rest = bytearray()

    async def next(self) -> bytes | None:
        """The next line without its end; None when the stream is over. What has no end then is no line."""
        while not self._ready:
            try:
                piece = await self._stream.receive_some(PIECE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not piece:
                return None
            if b"\n" not in piece:
                self._rest += piece
                continue
            first, *others = bytes(piece).split(b"\n")
            whole = [bytes(self._rest) + first, *others]
            self._rest = bytearray(whole.pop())
            self._ready = whole[::-1]
        return self._ready.pop()
