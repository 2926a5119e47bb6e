"""What can go wrong for a client.

ClientError
├── ConnectFailed    no connection: refused, timed out, an HTTP error, not a Socket.IO server
├── ConnectRefused   the server answered CONNECT with CONNECT_ERROR, as it does to a bad token
├── Closed           the connection ended before the answer came, or before anything could be sent
└── AskTimeout       no ack in time; the connection is still there
"""

from __future__ import annotations

from collections.abc import Mapping


class ClientError(Exception):
    """Any of them."""


class ConnectFailed(ClientError):
    """No connection came about. `status` is that of the HTTP answer, or None if there was none."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class ConnectRefused(ClientError):
    """The server does not let this client into the namespace."""

    def __init__(self, message: str, data: Mapping[str, object]) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Closed(ClientError):
    """The connection is over; the text is the reason."""


class AskTimeout(ClientError):
    """No ack within the time given."""
