"""Engine.IO packets and payloads, as polling carries them, and what is none."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.wire.packets import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    SEPARATOR,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    EngineError,
    MalformedPayload,
    Packet,
    PacketType,
    decode_packet,
    decode_payload,
    open_packet,
)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ('0{"sid":"x"}', Packet(PacketType.OPEN, '{"sid":"x"}')),
        ("1", Packet(PacketType.CLOSE, "")),
        ("2probe", Packet(PacketType.PING, "probe")),
        ("3", Packet(PacketType.PONG, "")),
        ("4hello", Packet(PacketType.MESSAGE, "hello")),
        ("4", Packet(PacketType.MESSAGE, "")),
        ("5", Packet(PacketType.UPGRADE, "")),
        ("6", Packet(PacketType.NOOP, "")),
        ("bAQIDBA==", Packet(PacketType.MESSAGE, b"\x01\x02\x03\x04")),
        ("b", Packet(PacketType.MESSAGE, b"")),
    ],
)
def test_every_packet_is_read(text: str, packet: Packet) -> None:
    assert decode_packet(text) == packet


@pytest.mark.parametrize("text", ["", "7", "abc", "b!!", "bAQ", "bé", "²", "٣", " 4"])
def test_what_is_no_packet_is_refused(text: str) -> None:
    with pytest.raises(MalformedPayload):
        decode_packet(text)


def test_a_payload_is_packets_between_separators() -> None:
    assert decode_payload(b"4hello\x1ebAQ==\x1e2") == [
        Packet(PacketType.MESSAGE, "hello"),
        Packet(PacketType.MESSAGE, b"\x01"),
        Packet(PacketType.PING, ""),
    ]


@pytest.mark.parametrize("body", [b"", b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b", b"4\xff", b"4a\x1e9"])
def test_a_payload_with_one_bad_packet_is_refused_whole(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        decode_payload(body)


@given(st.lists(st.binary() | st.text(st.characters(exclude_characters=SEPARATOR, codec="utf-8")), min_size=1))
def test_payloads_come_through_unchanged(messages: list[str | bytes]) -> None:
    parts = [f"4{data}" if isinstance(data, str) else f"b{b64encode(data).decode()}" for data in messages]
    packets = decode_payload(SEPARATOR.join(parts).encode())
    assert [packet.data for packet in packets] == messages


@given(st.binary())
def test_any_bytes_are_a_payload_or_refused(body: bytes) -> None:
    try:
        packets = decode_payload(body)
    except MalformedPayload:
        return
    assert packets


def test_the_open_packet_is_in_milliseconds_and_bytes() -> None:
    packet = open_packet("sid", ["websocket"], 25.0, 0.2, 65_536)
    assert packet == (
        b'0{"sid":"sid","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":200,"maxPayload":65536}'
    )


@pytest.mark.parametrize(
    ("error", "code", "message", "status"),
    [
        (UNKNOWN_TRANSPORT, 0, "Transport unknown", 400),
        (UNKNOWN_SID, 1, "Session ID unknown", 400),
        (BAD_HANDSHAKE_METHOD, 2, "Bad handshake method", 400),
        (BAD_REQUEST, 3, "Bad request", 400),
        (FORBIDDEN, 4, "Forbidden", 403),
        (UNSUPPORTED_VERSION, 5, "Unsupported protocol version", 400),
    ],
)
def test_errors_are_told_as_clients_know_them(error: EngineError, code: int, message: str, status: int) -> None:
    assert json.loads(error.body) == {"code": code, "message": message}
    assert error.status == status
