"""A backlog weighs what it holds, and tells when that is too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livehub.transports.backlog import Backlog, Waiting
from livehub.wire.frames import Frame, Kind, WireBytes


def fact(text: str) -> Frame:
    return Frame(text.encode())


def view(text: str, key: str = "results") -> Frame:
    return Frame(text.encode(), kind=Kind.VIEW, key=key)


def framed(*frames: Frame) -> list[bytes]:
    return [frame.framed for frame in frames]


def drained(backlog: Backlog) -> list[bytes]:
    """Everything in it, taken."""
    taken = []
    while backlog:
        taken.append(backlog.take().framed)
    return taken


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


def test_a_view_takes_the_place_of_its_older_self_only() -> None:
    backlog = Backlog(1_000)
    for frame in (view("1"), fact("2"), view("3", "leaders"), view("4"), Frame(b"5", kind=Kind.VIEW), view("6")):
        backlog.add(frame)
    assert backlog.peek().framed == view("6").framed
    assert drained(backlog) == framed(view("6"), fact("2"), view("3"), fact("5"))
    for text in ("7", "8"):  # what was taken has no place any more
        backlog.add(view(text))
        assert drained(backlog) == framed(view(text))


def test_a_view_that_no_longer_fits_in_its_place_is_told_too() -> None:
    backlog = Backlog(3)
    assert backlog.add(view("123"))
    assert not backlog.add(view("1234"))
    backlog.clear()


def test_what_was_cleared_has_no_place() -> None:
    backlog = Backlog(100)
    backlog.add(view("1"))
    backlog.clear()
    backlog.add(fact("2"))
    backlog.add(view("3"))
    assert drained(backlog) == framed(fact("2"), view("3"))


KEPT = st.one_of(
    st.builds(fact, st.text("ab", max_size=3)),
    st.builds(view, st.text("ab", max_size=3), st.sampled_from(["results", "leaders"])),
    st.none(),  # take one
)


@given(st.lists(KEPT), st.integers(0, 20))
def test_any_backlog_is_a_list_in_which_views_are_replaced(frames: list[Frame | None], limit: int) -> None:
    backlog, model, before = Backlog(limit), list[Frame](), Waiting.size
    for frame in frames:
        if frame is None:
            assert bool(backlog) == bool(model)
            if model:
                assert backlog.take() is model.pop(0)
            continue
        place = next((at for at, kept in enumerate(model) if frame.key is not None and kept.key == frame.key), None)
        if place is None:
            model.append(frame)
        else:
            model[place] = frame
        assert backlog.add(frame) == (backlog.size <= limit)
        assert backlog.size == Waiting.size - before == sum(kept.size for kept in model)
    backlog.clear()
    assert Waiting.size == before
