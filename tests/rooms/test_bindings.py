"""Bindings: every declaration of a kind of room finds its method, in the order of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Outcome,
    Own,
    Person,
    applies,
    command,
    every,
    view,
)
from livehub.feature import on as listens
from livehub.rooms.bindings import bind
from livehub.rooms.catalog import Catalog
from livehub.rooms.state import State


@dataclass
class Bell(Feature):
    name: ClassVar[str] = "bell"
    emits = (Emits("bell.rung", dict[str, int], "It rang.", own=Own("mine", "mine", key="by")),)
    rung: int = 0

    @command("bell.ring")
    def ring(self, ask: Ask[Empty]) -> Outcome:
        """Ring."""
        return Outcome([Fact("bell.rung", {"by": ask.who.id}, (EVERYONE,))])

    @applies("bell.rung")
    def _on_rung(self, data: dict[str, JSON], at_ms: int) -> None:
        self.rung += 1

    @view("bell.count", after=("bell.rung",))
    def count(self, key: str) -> JSON:
        """How often."""
        return self.rung

    def mine(self, key: str, who: Person) -> JSON:
        """Whether it was them."""
        return key == who.id


@dataclass
class Echo(Feature):
    name: ClassVar[str] = "echo"
    heard: int = 0

    @listens("bell.rung")
    def answer(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Answer with a fact."""
        return Outcome([Fact("echo.heard", {})])

    @applies("echo.heard", "bell.rung")
    def _on_heard(self, data: dict[str, JSON], at_ms: int) -> None:
        self.heard += 1

    @every(2.0, heard_by=EVERYONE)
    def fade(self, ask: Ask[None]) -> Outcome:
        """Do nothing."""
        return Outcome()

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """How much was heard."""
        return {"heard": self.heard}


def test_all_that_is_declared_is_bound_to_the_place_of_its_feature() -> None:
    bound = bind([Bell, Echo])
    assert bound.commands == {"bell.ring": (0, Bell.ring)}
    assert bound.applies == {
        "bell.rung": [(0, Bell._on_rung), (1, Echo._on_heard)],
        "echo.heard": [(1, Echo._on_heard)],
    }
    assert bound.listens == {"bell.rung": [(1, Echo.answer)]}
    assert [(shown.name, place) for shown, place in bound.views["bell.rung"]] == [("bell.count", 0)]
    assert [(place, own.method) for place, own in [bound.own["bell.rung"]]] == [(0, "mine")]


def test_beats_are_bound_by_their_period() -> None:
    assert bind([Bell, Echo]).beats == {2.0: [(1, "fade", EVERYONE)]}


def test_only_hooks_that_do_something_are_bound() -> None:
    assert bind([Bell, Echo]).hooks == {"came": [], "went": [], "reopened": [], "snapshot": [1], "welcome": []}


def test_rooms_of_a_kind_share_bindings_but_no_state() -> None:
    catalog = Catalog([Bell, Echo])
    one, other = (State(catalog, "session", name) for name in ("one", "other"))
    one.perform("bell.ring", Ask(Empty(), Person("ann"), 0, 1))
    shown = [[feature.snapshot(Person("ann")) for feature in state.features] for state in (one, other)]
    assert shown == [[{}, {"heard": 2}], [{}, {"heard": 0}]]
    assert catalog.bindings("session") is catalog.bindings("session")
