"""TLS: the handshake under a deadline, and a stream whose first bytes were read to see who should have it."""

from __future__ import annotations

import ssl
from pathlib import Path

import trio


def server_context(certfile: Path, keyfile: Path) -> ssl.SSLContext:
    """A context for a server. Raises OSError or ssl.SSLError when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    return context


class PrefixedStream(trio.abc.Stream):
    """A TLS stream that gives back bytes that were read from it.

    `transport_stream`, `do_handshake` and `selected_alpn_protocol` are how Hypercorn knows that this is TLS.
    """

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], prefix: bytes) -> None:
        self.transport_stream = stream.transport_stream
        self._stream = stream
        self._prefix = prefix

    async def do_handshake(self) -> None:
        """It is done."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str:
        """The only one that is offered."""
        return "http/1.1"

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The prefix first, then what the stream has."""
        if not self._prefix:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        most = len(self._prefix) if max_bytes is None else max_bytes
        given, self._prefix = self._prefix[:most], self._prefix[most:]
        return given

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the stream does."""
        await self._stream.aclose()
