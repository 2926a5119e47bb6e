"""The mark is found in raw packets."""

import orjson
import pytest

from loadtest.measure.trace import WIDTH, find_trace, mark, message_id, trace


def test_a_trace_is_found_in_a_packet() -> None:
    text = trace(message_id(9_999, 77), 123_456_789_012_345)
    assert len(text) == WIDTH
    packet = b"42/events," + orjson.dumps(["chat.message.new", {"text": f"{text}hello", "more": "é"}])
    assert find_trace(packet) == (message_id(9_999, 77), 123_456_789_012_345)


@pytest.mark.parametrize("packet", [b"", b'42["x","hello"]', b'42["x","[lt 0000 is what I wrote"]', b"[lt 0000 12"])
def test_what_is_no_trace_is_none(packet: bytes) -> None:
    assert find_trace(packet) is None


def test_a_run_sees_only_what_is_its_own() -> None:
    packet = trace(7, 9, run=0x1F_ABCD).encode()
    assert find_trace(packet, mark(0x1F_ABCD)) == (7, 9)
    assert find_trace(packet, mark(0x1F_ABCE)) is None
    assert len(packet) == WIDTH
