"""The pure heart of a room: facts change it, refusals do not, and its log alone rebuilds it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import pytest

from livehub.errors import Refused
from livehub.feature import JSON, SYSTEM, Ask, Burst, Cancel, Fact, Feature, Tell, applies
from livehub.ports import Record
from livehub.rooms.catalog import Catalog
from livehub.rooms.state import FACTS_PER_ASK_MAX, BrokenState, Performed, State
from tests.kit import ANNA, BEN, OWNER, Bench
from tests.rooms.toys import Counter, Doorman, Echo, Faulty, Metronome, Porch


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


def test_who_comes_and_goes_is_told_to_every_feature_in_turn() -> None:
    """Each sees what the one before it wrote, and what others answered to that."""
    bench = Bench(Counter, Porch, Doorman)
    performed = bench.state.came(Ask(None, ANNA, 5))
    assert [fact.kind for fact in performed.facts] == ["porch.noted", "doorman.heard", "doorman.greeted"]
    assert performed.effects == [Tell("session:lodge", "toy.told", {"text": "anna is here"})]
    assert bench.feature(Doorman).greeted == ["anna after 1"]
    assert [fact.data["text"] for fact in bench.state.went(Ask(None, ANNA, 6)).facts if "text" in fact.data] == [
        "anna went"
    ]
    assert bench.feature(Doorman).heard == 2


def test_who_is_here_is_told_to_features_that_care() -> None:
    bench = Bench(Counter, Porch, Doorman)
    performed = bench.state.reopened(Ask(frozenset({"ben", "anna"})))
    assert [fact.kind for fact in performed.facts] == ["porch.noted", "doorman.heard"]
    assert bench.feature(Porch).notes == ["here: anna ben"]


def test_features_that_do_not_care_write_nothing_of_who_comes_and_goes() -> None:
    bench = Bench(Counter, Echo, Metronome)
    for act in (bench.state.came, bench.state.went):
        assert act(Ask(None, ANNA)) == Performed()
    assert bench.state.reopened(Ask(frozenset({"anna"}))) == Performed()
    assert not bench.state.exists


def test_an_overview_is_what_all_features_show_this_person() -> None:
    bench = Bench(Counter, Porch, Doorman)
    bench.state.came(Ask(None, ANNA))
    assert bench.state.overview(ANNA) == {"notes": [], "greeted": ["anna after 1"]}
    assert bench.state.overview(OWNER) == {"notes": ["anna came"], "greeted": ["anna after 1"]}


@dataclass
class Forgetful(Feature):
    """Cannot apply what the porch notes."""

    name: ClassVar[str] = "forgetful"

    @applies("porch.noted")
    def _on_noted(self, data: dict[str, JSON], at_ms: int) -> None:
        raise KeyError(data["text"])


def test_a_feature_that_cannot_apply_who_comes_breaks_the_state() -> None:
    bench = Bench(Counter, Porch, Forgetful)
    with pytest.raises(BrokenState, match="session:s1: KeyError while applying"):
        bench.state.came(Ask(None, ANNA))


def test_what_comes_of_an_ask_besides_is_added_and_the_reply_stays() -> None:
    first, more = Fact("one", {}), Fact("two", {})
    told, cancelled = Tell("session:s2", "x", None), Cancel("key")
    burst, other = Burst("b", 1), Burst("c", 2)
    performed = Performed([first], {"total": 1}, [told], [burst])
    performed.add(Performed([more], {"total": 2, "new": True}, [cancelled], [other]))
    assert performed == Performed([first, more], {"total": 1}, [told, cancelled], [burst, other])
