"""Shares: each is told in the words of a vocabulary, as one audience, and several in the order of the log."""

from __future__ import annotations

from livehub.rooms.shares import Item, Share, frames_of
from livehub.wire.frames import Frame


def item(name: bytes, *heard: tuple[str, str]) -> Item:
    """Something that is shown to these (vocabulary, audience)."""
    frames = {pair: Frame(b" ".join((name, pair[0].encode(), pair[1].encode()))) for pair in heard}
    return Item(tuple(dict.fromkeys(audience for _, audience in heard)), frames)


def texts(frames: list[Frame]) -> list[bytes]:
    return [frame.text for frame in frames]


def test_a_share_is_one_audiences_in_one_vocabulary() -> None:
    share = Share(
        [(0, item(b"1", ("x", "hall"), ("y", "hall"), ("x", "staff"))), (2, item(b"3", ("x", "hall")))], "hall"
    )
    assert texts(frames_of((share,), "x")) == [b"1 x hall", b"3 x hall"]
    assert texts(frames_of((share,), "y")) == [b"1 y hall"]
    assert frames_of((share,), "z") == []


def test_several_shares_are_told_in_the_order_of_the_log() -> None:
    hall = Share([(0, item(b"1", ("x", "hall"))), (2, item(b"3", ("x", "hall")))], "hall")
    user = Share([(1, item(b"2", ("x", "user"))), (3, item(b"4", ("x", "user")))], "user")
    for heard in ((hall, user), (user, hall)):
        assert texts(frames_of(heard, "x")) == [b"1 x hall", b"2 x user", b"3 x hall", b"4 x user"]
