"""What a contract needs of a socket: one client in one namespace, whatever transport carries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from livehub.feature import JSON
from livehub.ports import Outbox
from livehub.wire.frames import Kind


class Handshake(Protocol):
    """How the client came."""

    @property
    def query(self) -> Mapping[str, str]:
        """The URL's query."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case."""


class Connection(Protocol):
    """The Engine.IO session below."""

    @property
    def handshake(self) -> Handshake:
        """How the client came."""

    @property
    def outbox(self) -> Outbox:
        """Where frames go that were encoded elsewhere."""

    def close(self, reason: str) -> None:
        """Say goodbye and end; what was written before still goes out."""

    def abort(self, reason: str) -> None:
        """End the transport without a word."""

    def at_once(self, say: Callable[[], None]) -> None:
        """Send all that is written by `say` together, where that saves something."""

    async def drained(self) -> None:
        """Wait until everything written is out."""


class Socket(Protocol):
    """One client in one namespace."""

    @property
    def namespace(self) -> str:
        """Path of the namespace."""

    @property
    def connection(self) -> Connection:
        """The Engine.IO session below."""

    @property
    def connected(self) -> bool:
        """Accepted, and not gone."""

    data: object

    def accept(self, sid: str | None = None, pid: str | None = None) -> None:
        """Answer the CONNECT."""

    def refuse(self, message: str, data: JSON = None) -> None:
        """Answer the CONNECT with why not."""

    def emit(self, name: str, *args: JSON, kind: Kind = Kind.FACT, key: str | None = None) -> None:
        """Send an event."""

    def acknowledge(self, ack_id: int, *args: JSON) -> None:
        """Answer an event."""

    def disconnect(self) -> None:
        """Leave the namespace, from the server's side."""


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Never mind."""
