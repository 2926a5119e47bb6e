"""What a feature declares is found again; what arrives with an ask is the same for the same ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest

from livehub.feature import (
    SYSTEM,
    Ask,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Person,
    Seating,
    Via,
    applies,
    command,
    every,
    internal,
    iso,
    on,
    user,
    view,
)
from livehub.payload import Rate


@dataclass
class Sample(Feature):
    """Declares one of each."""

    name: ClassVar[str] = "sample"

    @command("sample.do", needs="some:right", rate="5/10s")
    def do(self, ask: Ask[Empty]) -> Outcome:
        """Do it."""
        return Outcome()

    @internal("sample.inside")
    def inside(self, ask: Ask[dict[str, Any]]) -> Outcome:
        """Done by livehub itself."""
        return Outcome()

    @applies("sample.done", "sample.undone")
    def _done(self, data: dict[str, Any], at_ms: int) -> None:
        """Fold."""

    @on("other.done")
    def answer(self, data: dict[str, Any], ask: Ask[Any]) -> Outcome:
        """Answer."""
        return Outcome()

    @every(5.0, heard_by=":staff")
    def beat(self, ask: Ask[None]) -> Outcome:
        """Tick."""
        return Outcome()

    @view("sample.view", after=("sample.done",), key="id")
    def shown(self, key: str) -> Any:
        """Show."""


def test_a_command_is_declared_beside_its_method() -> None:
    do = next(Sample.commands())
    assert (do.name, do.method, do.room, do.payload, do.doc) == ("sample.do", "do", "session", Empty, "Do it.")
    assert (do.needs, do.rate) == (("some:right",), Rate(5, 10.0))
    assert (do.key, do.seat, do.via, do.creates, do.reads) == (Key.REQUIRED, Seating.NEEDED, Via.SOCKET, False, False)


def test_an_internal_command_has_no_door() -> None:
    inside = list(Sample.commands())[1]
    assert inside.via is Via.INSIDE
    assert inside.seat is Seating.FREE


def test_the_rest_is_found_too() -> None:
    assert list(Sample.appliers()) == [("sample.done", "_done"), ("sample.undone", "_done")]
    assert list(Sample.listeners()) == [("other.done", "answer")]
    assert list(Sample.beats()) == [(5.0, "beat", ":staff")]
    (shown,) = Sample.views()
    assert (shown.name, shown.method, shown.after, shown.key, shown.to) == (
        "sample.view", "shown", ("sample.done",), "id", "",
    )  # fmt: skip


def test_a_feature_admits_nobody_and_shows_nothing_by_itself() -> None:
    assert not Sample().admits("anna")
    assert Sample().snapshot(SYSTEM) == {}


def test_ids_come_from_the_ask() -> None:
    ask = Ask(None, seed=7)
    assert ask.new_id() == Ask(None, seed=7).new_id()
    assert ask.new_id() != Ask(None, seed=8).new_id()
    ids = {ask.new_id(n) for n in range(1_000)}
    assert len(ids) == 1_000
    assert all(UUID(text).version == 4 and str(UUID(text)) == text for text in ids)


def test_dice_fall_the_same_way_for_the_same_ask() -> None:
    assert Ask(None, seed=7).dice().random() == Ask(None, seed=7).dice().random()
    assert Ask(None, seed=7).dice().random() != Ask(None, seed=8).dice().random()


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
        (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_iso_8601_with_milliseconds(at_ms: int, text: str) -> None:
    assert iso(at_ms) == text
    assert Ask(None, at_ms=at_ms).now == text


def test_a_star_stands_for_every_permission() -> None:
    assert Person("a", permissions=frozenset({"x"})).can("x")
    assert not Person("a", permissions=frozenset({"x"})).can("y")
    assert Person("a", permissions=frozenset({"*"})).can("y")


def test_anybody_may_know_the_name_and_nothing_else() -> None:
    anna = Person("a", "Anna", "Berg", email="anna@mail.test", org="o", role="ADMIN", permissions=frozenset({"x"}))
    assert anna.public() == {"id": "a", "firstName": "Anna", "lastName": "Berg"}


def test_a_person_has_an_audience() -> None:
    assert user("anna") == "user:anna"


def test_a_fact_is_kept_and_for_nobody_unless_it_says_otherwise() -> None:
    fact = Fact("sample.done", {})
    assert fact.kept
    assert fact.to == ()
