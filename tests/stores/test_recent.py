"""The latest facts in memory give what the whole log would, or say that they do not reach back far enough."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from livehub.ports import Entry, Line, Record, Tenure
from livehub.stores.recent import Recent

AUDIENCES = ("hall", "staff", "user:anna")


def entry(seq: int, *audiences: tuple[str, ...], size: int = 1) -> Entry:
    """Facts in a row, each for some audiences."""
    lines = [Line("said", b"x" * size, told) for told in audiences]
    return Entry(Tenure(), "room", 5, lambda _: None, lines, seq=seq)


def seqs(recent: Recent, audiences: dict[str, int], upto: int = 100, limit: int = 100) -> list[int] | None:
    found = recent.replay(audiences, upto, limit)
    return None if found is None else [record.seq for record in found]


def test_a_fact_is_given_as_the_log_has_it() -> None:
    recent = Recent(0)
    recent.note(entry(1, ("staff", "hall", "staff")))
    for asked, first in ((("hall",), "hall"), (("staff", "hall"), "staff"), (("hall", "staff"), "hall")):
        assert recent.replay(dict.fromkeys(asked, 0), 9, 9) == [Record(1, "room", "said", 5, b"x", first)]


def test_what_was_before_the_start_only_the_log_knows() -> None:
    recent = Recent(10)
    recent.note(entry(11, ("hall",)))
    assert seqs(recent, {"hall": 9}) is None
    assert seqs(recent, {"hall": 10, "staff": 9}) is None
    assert seqs(recent, {"hall": 10, "staff": 11}) == [11]


def test_too_many_facts_make_room_for_new_ones() -> None:
    recent = Recent(0, facts_max=2)
    recent.note(entry(1, ("hall",), ("staff",), (), ("hall", "staff")))
    assert seqs(recent, {"hall": 0}) is None
    assert seqs(recent, {"hall": 1, "staff": 1}) == [2, 4]
    recent.note(entry(5, ("hall",)))
    assert seqs(recent, {"hall": 1}) is None
    assert seqs(recent, {"hall": 2}) == [4, 5]


def test_facts_of_nobody_take_no_room() -> None:
    recent = Recent(0, facts_max=1)
    recent.note(entry(1, ("hall",), (), (), ()))
    assert seqs(recent, {"hall": 0}) == [1]


def test_too_many_bytes_make_room_for_new_ones() -> None:
    recent = Recent(0, bytes_max=100)
    recent.note(entry(1, ("hall",), size=60))
    recent.note(entry(2, ("hall",), size=60))
    assert seqs(recent, {"hall": 0}) is None
    assert seqs(recent, {"hall": 1}) == [2]
    recent.note(entry(3, ("hall",), size=101))
    assert seqs(recent, {"hall": 2}) is None, "larger than all there is"
    assert seqs(recent, {"hall": 3}) == []


told = st.lists(st.sampled_from(AUDIENCES), max_size=4).map(tuple)


@given(
    entries=st.lists(st.tuples(st.integers(0, 2), st.lists(told, min_size=1, max_size=4)), max_size=12),
    start=st.integers(0, 3),
    facts_max=st.integers(0, 12),
    asked=st.dictionaries(st.sampled_from(AUDIENCES), st.integers(0, 40)),
    upto=st.integers(0, 40),
    limit=st.integers(-1, 12),
)
def test_it_gives_what_the_log_would_or_nothing(
    entries: list[tuple[int, list[tuple[str, ...]]]],
    start: int,
    facts_max: int,
    asked: dict[str, int],
    upto: int,
    limit: int,
) -> None:
    """Against a plain model. What is kept is enough for whoever heard everything but the last `facts_max` facts."""
    recent, seq, log = Recent(start, facts_max=facts_max), start, defaultdict[int, tuple[str, ...]](tuple)
    for gap, lines in entries:
        seq += 1 + gap  # what was not saved leaves a gap
        recent.note(entry(seq, *lines))
        if gap == 1:  # somebody came back meanwhile
            recent.replay(dict.fromkeys(AUDIENCES, seq), seq, 9)
        for audiences in lines:
            log[seq] = audiences
            seq += 1
        seq -= 1
    for_anybody = [seq for seq in sorted(log) if log[seq]]
    enough = for_anybody[-facts_max - 1] if len(for_anybody) > facts_max else start
    found = recent.replay(asked, upto, limit)
    if asked and min(asked.values()) < enough:
        assert found is None
        return
    expected = []
    for number in sorted(log):
        first = next((name for name in asked if name in log[number] and asked[name] < number <= upto), None)
        expected += [] if first is None else [(number, first)]
    assert found is not None
    assert [(record.seq, record.audience) for record in found] == expected[: max(0, limit)]
