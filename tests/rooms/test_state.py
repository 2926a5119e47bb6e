"""The pure heart of a room: facts change it, refusals do not, and its log alone rebuilds it."""

from __future__ import annotations

from copy import deepcopy

import pytest

from livehub.errors import Refused
from livehub.feature import SYSTEM, Ask
from livehub.ports import Record
from livehub.rooms.catalog import Catalog
from livehub.rooms.state import FACTS_PER_ASK_MAX, BrokenState, State
from tests.kit import ANNA, BEN, Bench
from tests.rooms.toys import Counter, Echo, Faulty, Metronome


def test_the_next_ask_sees_what_the_last_one_did() -> None:
    bench = Bench(Counter)
    assert bench.ask("toy.add", {"amount": 2}, ANNA).reply == {"total": 2}
    assert bench.ask("toy.add", {"amount": 3}, BEN).reply == {"total": 5}


def test_a_refusal_changes_nothing() -> None:
    bench = Bench(Counter)
    bench.ask("toy.add", {}, ANNA)
    before = deepcopy(bench.state.features)
    with pytest.raises(Refused, match="Not at 1"):
        bench.ask("toy.refuse", {}, ANNA)
    assert bench.state.features == before


def test_a_room_exists_from_its_first_fact() -> None:
    bench = Bench(Counter)
    assert not bench.state.exists
    bench.refusal("toy.refuse", {}, ANNA)
    bench.ask("toy.read", {}, ANNA)
    assert not bench.state.exists
    bench.ask("toy.join", {}, ANNA)
    assert bench.state.exists


def test_features_answer_each_others_facts_in_the_same_ask() -> None:
    bench = Bench(Counter, Echo)
    performed = bench.ask("toy.add", {}, ANNA)
    assert [fact.kind for fact in performed.facts] == ["toy.added", "toy.cheered"]
    assert bench.feature(Echo).cheers == 1


def test_an_answer_is_not_asked_again_when_the_log_is_folded() -> None:
    bench = Bench(Counter, Echo)
    bench.ask("toy.add", {}, ANNA)
    assert bench.reopened().features == bench.state.features


def test_two_features_that_never_stop_are_found_out() -> None:
    with pytest.raises(BrokenState, match=f"more than {FACTS_PER_ASK_MAX} facts from one ask"):
        Bench(Faulty).ask("bad.endless", {}, ANNA)


def test_a_fact_that_cannot_be_applied_breaks_the_state() -> None:
    with pytest.raises(BrokenState, match="session:s1: KeyError while applying"):
        Bench(Counter, Faulty).ask("bad.apply", {}, ANNA)


def test_a_fact_that_does_not_fit_is_named() -> None:
    state = State(Catalog([Faulty]), "session", "s1")
    with pytest.raises(BrokenState, match=r"session:s1: fact 7 \(bad\.applied\)"):
        state.fold([Record(7, "session:s1", "bad.applied", 0, b"{}")])


def test_facts_that_no_feature_knows_are_no_trouble() -> None:
    state = State(Catalog([Counter]), "session", "s1")
    state.fold([Record(1, "session:s1", "from.another.version", 0, b"{}")])
    assert state.exists


def test_a_beat_acts_like_an_ask() -> None:
    bench = Bench(Metronome)
    performed = bench.state.beat(0, "tick", Ask(None, SYSTEM, 5))
    assert [fact.data for fact in performed.facts] == [{"at": 5}]
    assert bench.feature(Metronome).ticks == [5]


def test_a_view_is_there_once_there_is_something_to_show() -> None:
    bench = Bench(Counter)
    assert bench.view("toy.total") is None
    performed = bench.ask("toy.add", {"amount": 4}, ANNA)
    assert bench.view("toy.total") == {"total": 4}
    assert [(view.name, key) for view, key in bench.state.touched(performed.facts)] == [("toy.total", "")]
    assert set(bench.reopened().views) == set(bench.state.views)


def test_parts_of_the_room_are_audiences_in_full() -> None:
    state = State(Catalog([Counter]), "session", "s1")
    assert state.audiences((":staff", "", "user:anna")) == ("session:s1#staff", "session:s1", "user:anna")


def test_any_feature_may_admit_somebody() -> None:
    bench = Bench(Echo, Counter)
    bench.ask("toy.join", {}, ANNA)
    assert bench.state.admits("anna")
    assert not bench.state.admits("ben")


def test_a_snapshot_is_what_all_features_show() -> None:
    bench = Bench(Echo, Counter)
    bench.ask("toy.add", {}, ANNA)
    assert bench.state.snapshot(ANNA) == {"total": 1}
