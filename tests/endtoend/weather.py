"""Bad weather on the network: a TCP proxy that cuts connections after so many bytes towards the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.harness import Server

PIECE_BYTES = 512  # small, so that a cut falls anywhere within an answer


class Weather:
    """A proxy in front of a server."""

    def __init__(self, server: Server, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.cuts = 0
        self._server = server
        self._budget: int | None = None

    def cut_after(self, count: int | None) -> None:
        """Let this many more bytes through to clients, then cut; None is fair weather."""
        self._budget = count

    async def serve(self, client: trio.SocketStream) -> None:
        """Pass bytes on, both ways, until somebody ends it or the weather does."""
        try:
            upstream = await trio.open_tcp_stream("127.0.0.1", self._server.port)
        except OSError:
            await client.aclose()
            return
        async with client, upstream, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, client, upstream, False, nursery.cancel_scope)
            nursery.start_soon(self._pass, upstream, client, True, nursery.cancel_scope)

    async def _pass(
        self, source: trio.SocketStream, sink: trio.SocketStream, counted: bool, scope: trio.CancelScope
    ) -> None:
        try:
            async for data in source:
                for start in range(0, len(data), PIECE_BYTES):
                    piece = data[start : start + PIECE_BYTES]
                    if counted and self._spent(len(piece)):
                        break
                    await sink.send_all(piece)
                else:
                    continue
                break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    def _spent(self, size: int) -> bool:
        if self._budget is None:
            return False
        self._budget -= size
        if self._budget > 0:
            return False
        self._budget = None
        self.cuts += 1
        return True


@asynccontextmanager
async def weather_before(server: Server) -> AsyncIterator[Weather]:
    """A proxy for the length of the block."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    weather = Weather(server, listener.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, weather.serve, [listener])
        yield weather
        nursery.cancel_scope.cancel()
