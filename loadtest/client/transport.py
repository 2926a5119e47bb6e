"""What a connection needs of whatever carries its Engine.IO packets, and where to find the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import attrs

PATH = "/socket.io/"
ENGINE = {"EIO": "4"}


class Transport(Protocol):
    """WebSocket or polling. It calls `packet(text)` for each Engine.IO packet and `gone(reason)` when it has ended."""

    @property
    def bytes_in(self) -> int:
        """Bytes read from the socket."""

    @property
    def bytes_out(self) -> int:
        """Bytes given to the socket."""

    async def open(self) -> None:
        """Connect, until the Engine.IO session is open. Raises `ConnectFailed`."""

    def send(self, packet: bytes) -> None:
        """Send a packet without waiting; once the connection is over, nothing happens."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def cut(self, *, silent: bool = False) -> None:
        """End at once; silent: only fall silent, and keep the socket open until this is called again without."""

    async def close(self) -> None:
        """End as the protocol wants it."""


@attrs.frozen
class Address:
    """Where a server is, where to come from, and what goes into the URL of every connection."""

    host: str
    port: int
    tls: bool
    path: str
    query: Mapping[str, str]
    source: str | None = None
    receive_buffer_bytes: int | None = None

    @classmethod
    def of(cls, url: str, source: str | None, receive_buffer_bytes: int | None, query: Mapping[str, str]) -> Address:
        """From a URL such as `https://live.example.org`; a path in it stands before Socket.IO's own."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"not the URL of a server: {url!r}")
        tls = parts.scheme in ("https", "wss")
        port = parts.port or (443 if tls else 80)
        path = parts.path.rstrip("/") + PATH
        return cls(parts.hostname, port, tls, path, query, source, receive_buffer_bytes)

    @property
    def host_header(self) -> str:
        """The HTTP header `Host`."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    def target(self, transport: str, sid: str | None = None) -> str:
        """Path and query of a request."""
        session = {} if sid is None else {"sid": sid}
        return f"{self.path}?{urlencode({**ENGINE, 'transport': transport, **session, **self.query})}"
