"""The mark is found in raw packets."""

import orjson
import pytest

from loadtest.measure.trace import WIDTH, find_trace, message_id, trace


def test_a_trace_is_found_in_a_packet() -> None:
    mark = trace(message_id(9_999, 77), 123_456_789_012_345)
    assert len(mark) == WIDTH
    packet = b"42/events," + orjson.dumps(["chat.message.new", {"text": f"{mark}hello", "more": "é"}])
    assert find_trace(packet) == (message_id(9_999, 77), 123_456_789_012_345)


@pytest.mark.parametrize("packet", [b"", b'42["x","hello"]', b'42["x","[lt is what I wrote"]', b"[lt 12"])
def test_what_is_no_trace_is_none(packet: bytes) -> None:
    assert find_trace(packet) is None
