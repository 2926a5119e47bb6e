"""What a peer is sent goes out at once and in order, or is held until its replay is out."""

from __future__ import annotations

import weakref

from livehub.rooms.peer import ASKS_AT_ONCE_MAX, NOWHERE, Peer
from livehub.wire.frames import Frame
from tests.kit import ANNA, Ears, ears


def frame(text: str) -> Frame:
    return Frame(b'2/events,["%s",{}]' % text.encode())


def send(client: Ears, *texts: str) -> None:
    frames = [frame(text) for text in texts]
    client.peer.write(frames, b"".join(one.framed for one in frames))


def names(client: Ears) -> list[str]:
    return [item.event for item in client.heard]


def test_a_peer_writes_at_once() -> None:
    client = ears(ANNA)
    send(client, "a", "b")
    assert names(client) == ["a", "b"]
    assert len(client.writes) == 1


def test_what_is_held_comes_after_the_replay_in_order() -> None:
    client = ears(ANNA)
    client.peer.hold(1_000)
    send(client, "new 1")
    client.peer.write_past([frame("old 1"), frame("old 2")])
    send(client, "new 2", "new 3")
    assert names(client) == ["old 1", "old 2"]
    client.peer.release()
    assert names(client) == ["old 1", "old 2", "new 1", "new 2", "new 3"]
    send(client, "newest")
    assert names(client)[-1] == "newest"


def test_more_than_may_be_held_ends_the_connection() -> None:
    client = ears(ANNA)
    client.peer.hold(len(frame("a").framed))
    send(client, "a")
    assert client.overflows == 0
    send(client, "b")
    assert client.overflows == 1
    assert names(client) == []


def test_held_news_can_be_forgotten() -> None:
    client = ears(ANNA)
    client.peer.hold(1_000)
    send(client, "a")
    client.peer.forget_held()
    send(client, "b")
    client.peer.release()
    assert names(client) == ["b"]


def test_releasing_what_is_not_held_does_nothing() -> None:
    client = ears(ANNA)
    client.peer.release()
    send(client, "a")
    assert names(client) == ["a"]


def test_a_person_hears_their_own_news() -> None:
    assert ears(ANNA).peer.user_audience == "user:anna"


def test_whoever_left_hears_nothing_more() -> None:
    client = ears(ANNA)
    client.peer.leave()
    assert client.peer.gone
    send(client, "a")
    client.peer.write_past([frame("b")])
    assert client.heard == []


def test_what_is_held_for_whoever_left_is_dropped() -> None:
    client = ears(ANNA)
    client.peer.hold(1_000)
    send(client, "a")
    client.peer.leave()
    send(client, "b")
    client.peer.release()
    client.peer.forget_held()
    send(client, "c")
    assert client.heard == []
    assert client.overflows == 0


def test_whoever_left_keeps_no_connection_alive() -> None:
    class Line:
        outbox = ears(ANNA)

    def overflow() -> None:
        raise AssertionError("nothing was held")

    line = Line()
    peer = Peer("sid", ANNA, line, overflow, vocabulary="/a", query={})
    seen = weakref.ref(line)
    peer.leave()
    del line
    assert seen() is None
    assert peer.carrier is NOWHERE


def test_so_many_asks_begin_at_once_and_the_next_when_one_is_answered() -> None:
    peer = ears(ANNA).peer
    assert [peer.asks() for _ in range(ASKS_AT_ONCE_MAX + 1)] == [True] * ASKS_AT_ONCE_MAX + [False]
    peer.answered()
    assert [peer.asks(), peer.asks()] == [True, False]
