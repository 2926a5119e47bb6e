"""Engine.IO over a WebSocket: a session of its own, or the new carrier of a polling session."""

from __future__ import annotations

from typing import Protocol

import trio

from livehub.transports.connection import CLOSE_FRAME, Connection, Engine
from livehub.transports.handshake import Handshake
from livehub.transports.outbox import Outbox
from livehub.transports.reader import Message
from livehub.transports.websocket import Wait
from livehub.wire.frames import ControlFrame, WireBytes
from livehub.wire.packets import MalformedPayload, Packet, PacketType, decode_packet

MESSAGE = str(int(PacketType.MESSAGE))


class Source(Protocol):
    """Messages of one WebSocket, in order."""

    wait: Wait
    """Wait until there may be something to take."""

    @property
    def over(self) -> bool:
        """Whether nothing can come any more."""

    def take(self) -> Message | None:
        """The next message, if it is here."""


async def serve_session(
    engine: Engine, handshake: Handshake, source: Source, outbox: Outbox, answer: bytes = b""
) -> None:
    """Run an accepted WebSocket: as a session of its own, or as the new carrier of a polling session.

    `answer` is the 101 that is still to be sent.

    One coroutine from here down to the wait: each one between takes 250 bytes of every idle connection.
    """
    connection = await _connection(engine, handshake, source, outbox, answer)
    if connection is None:
        outbox.write(WireBytes(CLOSE_FRAME))
        outbox.finish()
        return
    per_turn = engine.settings.packets_per_turn
    served = 0
    try:
        while not connection.closed:
            message = source.take()
            if message is None:
                if source.over:
                    break
                await source.wait()
                continue
            if type(message) is str and message[:1] == MESSAGE:  # nearly all of them: no packet is made of it
                await connection.message(message[1:])
            else:
                await connection.receive(_packet(message))
            served += 1
            if served % per_turn == 0:
                await trio.lowlevel.checkpoint()
    except MalformedPayload:
        connection.hang_up("parse_error")
    finally:
        connection.ended("transport_close")


async def _connection(
    engine: Engine, handshake: Handshake, source: Source, outbox: Outbox, answer: bytes
) -> Connection | None:
    """The session that this WebSocket carries; None when there is none that it may."""
    sid = handshake.query.get("sid")
    if sid is None:
        return engine.open(handshake, outbox, answer)
    if answer:
        outbox.write(WireBytes(answer))
    connection = engine.sessions.get(sid)
    if connection is None or not await _probe(engine, connection, source, outbox):
        return None
    try:
        await _take_over(connection, outbox)
    except BaseException:
        connection.ended("transport_close")
        raise
    return connection


async def _probe(engine: Engine, connection: Connection, source: Source, outbox: Outbox) -> bool:
    """The first half of an upgrade: `2probe` → `3probe`, every GET is let go, `5`. A failure changes nothing."""
    if not _upgradable(connection):
        return False
    with trio.move_on_after(engine.settings.upgrade_timeout_s):
        if await _next(source) != "2probe" or not _upgradable(connection):
            return False
        connection.upgrading = True
        try:
            outbox.write(ControlFrame(b"3probe"))
            connection.release_get()
            return await _next(source) == "5" and not connection.closed
        finally:
            connection.upgrading = False
    return False


async def _next(source: Source) -> Message | None:
    while (message := source.take()) is None and not source.over:
        await source.wait()
    return message


def _upgradable(connection: Connection) -> bool:
    return connection.transport == "polling" and not connection.upgrading and not connection.closed


async def _take_over(connection: Connection, outbox: Outbox) -> None:
    """The second half: the WebSocket carries the session, once what POSTs brought is handled."""
    connection.upgrade(outbox)
    if connection.polled is not None:
        connection.polled.close()
        await connection.polled.over()
        connection.polled = None


def _packet(message: Message) -> Packet:
    if isinstance(message, bytes):
        return Packet(PacketType.MESSAGE, message)
    return decode_packet(message)
