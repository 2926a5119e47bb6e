"""What the comparison's clients make of the bytes that come, without a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from loadtest.bench.crowd import FRAME_BYTES, HEAD, JOINED, PAYLOAD_BYTES, Crowd, Link
from loadtest.bench.procs import Trouble

ACK_BYTES = 82  # nine of them are as long as two messages
MESSAGE = HEAD + b"x" * (FRAME_BYTES - len(HEAD))


def frame(text: bytes) -> bytes:
    assert len(text) < 126
    return bytes((0x81, len(text))) + text


def ack(number: int) -> bytes:
    text = b'43/events,%d[{"success":true,"m":"' % number
    return frame(text + b"m" * (ACK_BYTES - 5 - len(text)) + b'"}]')


class Wire:
    """A crowd of one, and the server's end of its connection."""

    def __init__(self) -> None:
        self.crowd = Crowd(0)
        self.server, client = socket.socketpair()
        client.setblocking(False)
        self.link = Link(client, 0, "session", "user")
        self.link.stage = JOINED
        self.crowd.links.append(self.link)
        self.crowd.add(self.link)

    def say(self, data: bytes) -> None:
        self.server.sendall(data)
        self.crowd.pump(1.0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.server.close()
    made.crowd.close()


def test_a_message_is_as_long_as_agreed() -> None:
    assert len(MESSAGE) == FRAME_BYTES == PAYLOAD_BYTES + 4


@pytest.mark.parametrize("messages", [1, 2, 7])
def test_whole_messages_are_counted(wire: Wire, messages: int) -> None:
    wire.say(MESSAGE * messages)
    assert (wire.crowd.delivered, wire.link.seen) == (messages, messages)


def test_acks_as_long_as_messages_are_not_taken_for_them(wire: Wire) -> None:
    acks = b"".join(ack(number) for number in range(1, 10))
    assert len(acks) == 2 * FRAME_BYTES
    wire.say(MESSAGE + acks + MESSAGE)
    assert (wire.crowd.delivered, wire.crowd.acked) == (2, 9)


def test_frames_may_come_in_pieces(wire: Wire) -> None:
    data = MESSAGE + ack(1) + MESSAGE
    for at in range(len(data)):
        wire.say(data[at : at + 1])
    assert (wire.crowd.delivered, wire.crowd.acked) == (2, 1)


def test_a_refusal_is_kept(wire: Wire) -> None:
    wire.say(frame(b'43/events,1[{"success":false}]'))
    assert wire.crowd.refused == [b'43/events,1[{"success":false}]']


def test_a_ping_is_answered(wire: Wire) -> None:
    wire.say(frame(b"2"))
    assert wire.server.recv(100) == bytes((0x81, 0x81, 0, 0, 0, 0)) + b"3"


def test_other_events_are_told(wire: Wire) -> None:
    told: list[bytes] = []
    wire.crowd.heard = lambda link, text: told.append(text)
    wire.say(frame(b'42/events,["reaction.burst",{}]'))
    assert told == [b'42/events,["reaction.burst",{}]']


def test_being_cut_off_is_trouble(wire: Wire) -> None:
    wire.server.close()
    with pytest.raises(Trouble, match="cut off"):
        wire.crowd.pump(1.0)
