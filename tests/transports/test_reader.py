"""Cutting frames gives what the library alone gives, whatever comes and however it is cut up on its way."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as WireFrame
from websockets.protocol import Side, State

from livehub.transports.reader import Message, Reader, _Lenient
from tests.raw import BINARY, CLOSE, PING, PONG, TEXT, frame_bytes

LIMIT = 300
CONT = 0


def read(data: bytes, cuts: list[int]) -> tuple[list[Message], bytes, bool]:
    """What a reader makes of bytes that come in pieces: messages, what is answered, and whether it is over."""
    reader, told, answered = Reader(LIMIT), list[Message](), b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if not reader.ended and data[start:end]:
            answered += b"".join(reader.receive(data[start:end]))
            told += reversed(reader.messages)
            reader.messages.clear()
    return told, answered, reader.ended


def read_by_library(data: bytes) -> tuple[list[Message], bytes, bool]:
    """The same by the library alone."""
    protocol = _Lenient(Side.SERVER, state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    told, pieces, kind = list[Message](), b"", TEXT
    for event in protocol.events_received():
        assert isinstance(event, WireFrame)
        if event.opcode in (CONT, TEXT, BINARY):
            kind = kind if event.opcode == CONT else int(event.opcode)
            pieces += event.data
            if event.fin:
                told.append(pieces.decode() if kind == TEXT else pieces)
                pieces = b""
    return told, b"".join(protocol.data_to_send()), protocol.state is not State.OPEN


texts = st.text(max_size=80).map(str.encode)
frames = st.one_of(
    st.builds(frame_bytes, st.just(TEXT), texts),
    st.builds(frame_bytes, st.just(BINARY), st.binary(max_size=LIMIT)),
    st.builds(frame_bytes, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.lists(st.binary(max_size=40), min_size=2, max_size=4).map(
        lambda parts: b"".join(
            frame_bytes(BINARY if number == 0 else CONT, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
    ),
)
endings = st.one_of(
    st.just(b""),
    st.just(frame_bytes(CLOSE, struct.pack("!H", 1000)) + frame_bytes(TEXT, b"not heard")),
    st.just(frame_bytes(TEXT, bytes(LIMIT + 1))),
    st.just(frame_bytes(PING, bytes(126))),
    st.just(frame_bytes(TEXT, b"reserved", reserved=0x40)),
    st.just(frame_bytes(3, b"unknown")),
    st.just(frame_bytes(CONT, b"of nothing")),
    st.just(b"\x81\x02hi"),  # not masked
    st.just(frame_bytes(TEXT, b"a", fin=False) + frame_bytes(TEXT, b"b")),
    st.just(frame_bytes(BINARY, bytes(200), fin=False) + frame_bytes(CONT, bytes(101))),
)


@given(st.lists(frames, max_size=8), endings, st.randoms(use_true_random=False))
def test_any_frames_in_any_pieces_are_what_the_library_reads(
    heads: list[bytes], ending: bytes, dice: random.Random
) -> None:
    data = b"".join(heads) + ending
    cuts = sorted(dice.choices(range(len(data) + 1), k=dice.randrange(6)))
    assert read(data, cuts) == read_by_library(data)


def test_byte_by_byte_is_the_same() -> None:
    data = frame_bytes(TEXT, "ünï".encode()) + frame_bytes(PING, b"?") + frame_bytes(TEXT, b"x" * 200)
    assert read(data, list(range(1, len(data)))) == read_by_library(data)


def test_what_is_no_utf8_ends_it_with_1007() -> None:
    told, answered, ended = read(frame_bytes(TEXT, b"fine") + frame_bytes(TEXT, b"\xff"), [])
    assert (told, ended) == (["fine"], True)
    assert answered[:4] == b"\x88\x02" + struct.pack("!H", 1007)


def test_half_a_text_across_fragments_is_whole_in_the_end() -> None:
    euro = "€".encode()
    data = frame_bytes(TEXT, euro[:1], fin=False) + frame_bytes(CONT, euro[1:])
    assert read(data, [3]) == (["€"], b"", False)


@pytest.mark.parametrize("data", [frame_bytes(PING, b"a"), frame_bytes(TEXT, b"a", fin=False) + frame_bytes(CONT)])
def test_the_library_is_given_up_at_the_next_boundary(data: bytes) -> None:
    reader = Reader(LIMIT)
    reader.receive(data)
    assert reader._protocol is None  # its parser would stay for as long as the connection does
    assert reader._rest is None


def test_within_a_fragmented_message_the_library_stays() -> None:
    reader = Reader(LIMIT)
    reader.receive(frame_bytes(TEXT, b"a", fin=False))
    assert reader._protocol is not None


def stretched(size_bytes: int, payload: bytes) -> bytes:
    """A frame whose size is written in more bytes than it needs."""
    code, form = {2: (0xFE, "!H"), 8: (0xFF, "!Q")}[size_bytes]
    short = frame_bytes(TEXT, payload)
    return bytes((short[0], code)) + struct.pack(form, len(payload)) + short[2:]


@pytest.mark.parametrize("size_bytes", [2, 8])
def test_a_size_may_be_written_at_length(size_bytes: int) -> None:
    data = stretched(size_bytes, b"hello") + frame_bytes(TEXT, b"a")
    assert read(data, []) == (["hello", "a"], b"", False) == read_by_library(data)
    assert read(data, list(range(1, len(data)))) == (["hello", "a"], b"", False)


@pytest.mark.parametrize("size", [LIMIT + 1, 1 << 20, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_what_is_too_large_is_told_so_at_its_head(size: int) -> None:
    told, answered, ended = read(frame_bytes(TEXT, b"a") + b"\x81\xff" + struct.pack("!Q", size) + b"mask", [])
    assert (told, ended) == (["a"], True)
    assert answered[:4] == b"\x88" + answered[1:2] + struct.pack("!H", 1009)


def test_half_a_frame_is_kept_and_a_whole_one_is_not() -> None:
    reader = Reader(LIMIT)
    whole = frame_bytes(TEXT, b"hello")
    assert reader.receive(whole + whole[:3]) == []
    assert reader.messages == ["hello"]
    assert bytes(reader._rest or b"") == whole[:3]
    reader.messages.clear()
    assert reader.receive(whole[3:]) == []
    assert reader.messages == ["hello"]
    assert reader._rest is None


def test_many_messages_of_one_read_are_popped_in_order() -> None:
    reader = Reader(LIMIT)
    reader.receive(b"".join(frame_bytes(TEXT, b"%d" % number) for number in range(100)))
    assert [reader.messages.pop() for _ in range(100)] == [str(number) for number in range(100)]


def test_empty_pieces_make_an_empty_message() -> None:
    data = frame_bytes(TEXT, fin=False) + frame_bytes(CONT, fin=False) + frame_bytes(CONT)
    assert read(data, []) == ([""], b"", False)
    assert read(data + frame_bytes(BINARY), []) == (["", b""], b"", False)
