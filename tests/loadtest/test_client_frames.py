"""Frames are cut where they end, and masked so that a server reads what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.client.frames import BadFrame, Span, close_code, masked_text, next_frame
from tests.loadtest.peer import frame

SIZES = (0, 1, 125, 126, 65_535, 65_536)


@pytest.mark.parametrize("size", SIZES)
def test_a_masked_frame_says_its_size_in_the_shortest_form(size: int) -> None:
    payload = b"x" * size
    made = masked_text(payload)
    assert made[0] == 0x81
    assert made.endswith(bytes(4) + payload)
    plain = bytes((made[0], made[1] & 0x7F)) + made[2 : len(made) - size - 4] + payload
    assert plain == frame(payload)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_found_once_all_of_it_is_there(size: int) -> None:
    data = b"junk" + frame(b"y" * size, 0x82)
    for cut in {5, 6, 7, len(data) - 1} - {len(data)}:
        assert next_frame(data[: min(cut, len(data) - 1)], 4) is None
    assert next_frame(data + b"\x81", 4) == Span(0x82, len(data) - size, len(data))


def test_a_masked_frame_of_a_server_is_none() -> None:
    with pytest.raises(BadFrame, match="masked"):
        next_frame(masked_text(b"x"), 0)


def test_nobody_waits_for_a_frame_without_end() -> None:
    with pytest.raises(BadFrame, match="bytes"):
        next_frame(b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 0)


def test_a_close_frame_may_have_no_code() -> None:
    assert close_code(b"") is None
    assert close_code(b"\x03\xe9going away") == 1001


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_frames_one_after_the_other_are_all_found(payloads: list[bytes]) -> None:
    data = b"".join(map(frame, payloads))
    found, at = [], 0
    while (span := next_frame(data, at)) is not None:
        found.append(data[span.start : span.end])
        at = span.end
    assert found == payloads
    assert at == len(data)
