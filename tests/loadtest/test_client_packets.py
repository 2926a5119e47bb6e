"""Socket.IO packets are read without decoding more than is asked for."""

from __future__ import annotations

import pytest

from loadtest.client.packets import (
    ack_number,
    decode,
    decode_data,
    encode_event,
    last_text,
    namespace_prefix,
)


def test_an_event_is_written_as_socket_io_writes_it() -> None:
    assert encode_event(b"/events,", "chat", ({"a": 1},)) == b'2/events,["chat",{"a":1}]'
    assert encode_event(b"", "chat", (), 12) == b'212["chat"]'


@pytest.mark.parametrize(("namespace", "prefix"), [("/", b""), ("", b""), ("/events", b"/events,")])
def test_the_main_namespace_has_no_prefix(namespace: str, prefix: bytes) -> None:
    assert namespace_prefix(namespace) == prefix


def test_arguments_are_decoded_on_demand() -> None:
    assert decode(b'2/events,["chat",{"text":"[x]"},"e-7"]') == ["chat", {"text": "[x]"}, "e-7"]
    assert decode(memoryview(b"3/events,0[true]")) == [True]
    with pytest.raises(ValueError, match="not an event"):
        decode(b"2/events,")


def test_what_connect_carries_is_an_object() -> None:
    assert decode_data(b'0/events,{"sid":"s"}', b"/events,") == {"sid": "s"}
    assert decode_data(b"0/events,", b"/events,") == {}
    assert decode_data(b'4/events,"no"', b"/events,") == {"message": "no"}


def test_ack_ids_are_found_in_front_of_the_arguments() -> None:
    assert ack_number(b"43/events,120[1]", 10) == (120, 13)
    assert ack_number(b"43/events,[1]", 10) == (None, 10)
    assert ack_number(b"43" + b"9" * 5_000, 2) == (10**18 - 1, 20), "no number is too long to be read"


def test_an_offset_is_the_last_argument_with_its_escapes() -> None:
    assert last_text(rb'2/events,["a",{},"x\"\u00e9"]') == 'x"é'
