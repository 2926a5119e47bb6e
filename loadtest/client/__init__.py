"""A Socket.IO client cheap enough that one process holds thousands: what a load generator's users speak through."""

from __future__ import annotations

from loadtest.client.errors import AskTimeout, ClientError, Closed, ConnectFailed, ConnectRefused
from loadtest.client.hub import Hub
from loadtest.client.packets import decode
from loadtest.client.socketio import Ack, Connection, Opened, Recovery, TransportName

__all__ = [
    "Ack",
    "AskTimeout",
    "ClientError",
    "Closed",
    "ConnectFailed",
    "ConnectRefused",
    "Connection",
    "Hub",
    "Opened",
    "Recovery",
    "TransportName",
    "decode",
]
