"""A backlog weighs what it holds, and tells when that is too much."""

from __future__ import annotations

from livehub.transports.backlog import Backlog, Waiting
from livehub.wire.frames import Frame, Kind, WireBytes


def fact(text: str) -> Frame:
    return Frame(text.encode())


def view(text: str, key: str = "results") -> Frame:
    return Frame(text.encode(), kind=Kind.VIEW, key=key)


def test_the_backlog_weighs_what_it_holds() -> None:
    backlog = Backlog(10)
    assert backlog.add(fact("12345"))
    assert backlog.add(view("123"))
    assert backlog.add(view("12345"))
    assert not backlog.add(fact("1"))
    assert (backlog.size, Waiting.size) == (11, 11)
    assert backlog.take().size == 5
    backlog.put_back(WireBytes(b"45"))
    assert [backlog.take().size for _ in range(3)] == [2, 5, 1]
    assert (backlog.size, Waiting.size, bool(backlog)) == (0, 0, False)
    backlog.add(view("again"))
    assert backlog.size == 5
    backlog.clear()
    assert Waiting.size == 0


# What can only be awaited
