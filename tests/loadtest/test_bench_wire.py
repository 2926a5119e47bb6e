"""Frames, packets, keys and tokens of the comparison's clients."""

from __future__ import annotations

import json
from uuid import UUID

import jwt
import pytest

from loadtest.bench import wire
from loadtest.targets import DEVELOPMENT_SECRET


def served(payload: bytes) -> bytes:
    """A server's frame: a client's without its mask."""
    frame = wire.masked(payload)
    head = len(frame) - len(payload) - 4
    return bytes((frame[0], frame[1] & 0x7F)) + frame[2:head] + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_cut_where_it_ends(size: int) -> None:
    data = b"before" + served(b"x" * size) + b"after"
    found = wire.frame_end(data, 6)
    assert found is not None
    assert data[found[0] : found[1]] == b"x" * size
    assert data[found[1] :] == b"after"


@pytest.mark.parametrize("size", [10, 300, 70_000])
def test_a_frame_that_is_not_all_there_is_none(size: int) -> None:
    data = served(b"x" * size)
    assert all(wire.frame_end(data[:short], 0) is None for short in (0, 1, len(data) - 1))


def test_a_key_is_a_uuid_of_version_4_and_never_comes_again() -> None:
    keys = wire.Keys()
    made = [keys.next() for _ in range(1_000)]
    assert len({*made, wire.Keys().next()}) == 1_001
    assert {UUID(key).version for key in made} == {4}


def test_an_event_is_a_socketio_packet() -> None:
    text = wire.emit("session.join", {"sessionId": "a"}, 7)[6:].decode()
    assert text.startswith("42/events,7[")
    assert json.loads(text[text.index("[") :]) == ["session.join", {"sessionId": "a"}]


def test_a_token_names_the_user_and_the_role() -> None:
    claims = jwt.decode(wire.token("ann", "OWNER"), DEVELOPMENT_SECRET, ["HS256"])
    assert (claims["sub"], claims["role"]) == ("ann", "OWNER")
