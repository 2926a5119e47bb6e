"""One Engine.IO session, told the time: its heartbeat, and what each packet of the client means.

Deadlines are absolute: the ping is due `interval` after the open or the last pong, the pong `timeout` after the ping
was due, however late the loop was. A session that never answers is gone exactly at interval + timeout.
"""

from __future__ import annotations

from enum import Enum

from livehub.wire.packets import Packet, PacketType


class Beat(Enum):
    """What a tick of the heartbeat asks for."""

    NOTHING = "nothing"
    PING = "ping"
    GONE = "gone"


class SessionOver(Exception):
    """The client said goodbye, or something that ends the session; `reason` is a snake_case code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Heartbeat:
    """When the server must ping, and when it must give up."""

    __slots__ = ("_awaits_pong", "_interval_s", "_timeout_s", "due_s")

    def __init__(self, interval_s: float, timeout_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._awaits_pong = False
        self.due_s = now_s + interval_s

    def tick(self, now_s: float) -> Beat:
        """What is due now."""
        if now_s < self.due_s:
            return Beat.NOTHING
        if self._awaits_pong:
            return Beat.GONE
        self._awaits_pong = True
        self.due_s += self._timeout_s
        return Beat.PING

    def pong(self, now_s: float) -> None:
        """The client answered; a pong that nobody asked for changes nothing."""
        if self._awaits_pong:
            self._awaits_pong = False
            self.due_s = now_s + self._interval_s


def receive(packet: Packet, heartbeat: Heartbeat, now_s: float) -> str | bytes | None:
    """The message in a packet, if it is one. Raises `SessionOver`: a client sends only messages, pongs and goodbye."""
    kind = packet.type
    if kind is PacketType.MESSAGE:
        return packet.data
    if kind is PacketType.PONG:
        heartbeat.pong(now_s)
        return None
    if kind is PacketType.CLOSE:
        raise SessionOver("client_close")
    raise SessionOver("parse_error")
