"""Frames in both forms: what a WebSocket carries, and what a polling response joins."""

from __future__ import annotations

import pytest

from livehub.wire.frames import BinaryFrame, ControlFrame, Frame, Kind, WireBytes, binary_frame, text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_lengths_take_the_shortest_form(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size
    assert binary_frame(b"x" * size) == b"\x82" + head[1:] + b"x" * size


def test_a_frame_is_a_message_packet() -> None:
    frame = Frame(b'2["x"]')
    assert frame.framed == b'\x81\x0742["x"]'
    assert frame.packets == (b'42["x"]',)
    assert frame.size == 6
    assert frame.kind is Kind.FACT


def test_attachments_follow_their_header() -> None:
    frame = Frame(b"5", [b"\x01", b"\x02\x03"])
    assert frame.framed == b"\x81\x0245" + b"\x82\x01\x01" + b"\x82\x02\x02\x03"
    assert frame.packets == (b"45", b"bAQ==", b"bAgM=")
    assert frame.size == 4


def test_each_form_is_made_once() -> None:
    frame = Frame(b"2", [b"\x01"])
    assert frame.framed is frame.framed
    assert frame.packets is frame.packets


def test_control_packets_and_binary_messages_have_the_same_forms() -> None:
    ping, blob = ControlFrame(b"2"), BinaryFrame(b"\x01")
    assert (ping.framed, ping.packets, ping.size, ping.kind) == (b"\x81\x012", (b"2",), 1, Kind.CONTROL)
    assert (blob.framed, blob.packets, blob.size, blob.kind) == (b"\x82\x01\x01", (b"bAQ==",), 1, Kind.FACT)


def test_what_is_no_packet_is_nothing_to_polling() -> None:
    raw = WireBytes(b"\x88\x00")
    assert (raw.framed, raw.packets, raw.size) == (b"\x88\x00", (), 2)
