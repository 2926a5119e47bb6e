"""All declarations in one place; two features that claim the same name do not start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from livehub.feature import Ask, Emits, Empty, Feature, Outcome, command, payload
from livehub.payload import setting
from livehub.rooms.catalog import Catalog, DeclarationError
from tests.rooms.toys import STAFF, Counter, Metronome, Total


@payload
class TunedSettings:
    """`[tuned]`"""

    pitch: int = setting(440, help="pitch")


@dataclass
class Tuned(Feature):
    """Has settings, and lives in rooms of another kind."""

    name: ClassVar[str] = "tuned"
    room: ClassVar[str] = "hall"
    Settings = TunedSettings


def test_commands_are_found_by_name() -> None:
    catalog = Catalog([Counter, Tuned])
    assert catalog.commands["toy.add"].method == "add"
    assert {command.room for command in catalog.commands.values()} == {"session"}


def test_a_fact_is_shown_under_the_name_of_its_event() -> None:
    catalog = Catalog([Counter])
    assert catalog.shown["toy.whispered"].event == "toy.said"
    assert catalog.shown["toy.added"].payload({"total": 5, "by": "anna"}, "session:s1") == {"total": 5}
    assert catalog.shown["toy.said"].payload({"text": "hush"}, "session:s1") is None
    assert catalog.shown["toy.total"].payload({"total": 1}, "session:s1") == {"total": 1}
    assert "toy.joined" not in catalog.shown


def test_each_room_gets_features_of_its_own() -> None:
    catalog = Catalog([Counter, Tuned])
    (one,), (other,) = catalog.build("session", "s1"), catalog.build("session", "s2")
    assert isinstance(one, Counter)
    assert one is not other
    assert (one.room_id, other.room_id) == ("s1", "s2")
    assert catalog.build("nowhere", "s1") == []


def test_settings_come_from_the_configuration_or_else_are_the_defaults() -> None:
    (plain,) = Catalog([Tuned]).build("hall", "h1")
    assert plain.settings == TunedSettings(440)
    (tuned,) = Catalog([Tuned], {"tuned": TunedSettings(432)}).build("hall", "h1")
    assert tuned.settings == TunedSettings(432)


def test_a_seat_hears_what_its_permissions_allow_the_most_privileged_first() -> None:
    catalog = Catalog([Counter])
    assert catalog.seats("session", lambda _: True) == (STAFF, "")
    assert catalog.seats("session", lambda _: False) == ("",)
    assert catalog.seats("hall", lambda _: False) == ("",)


def test_beats_are_known() -> None:
    assert Catalog([Counter, Metronome]).beats == {2.0}


def test_a_command_has_one_owner() -> None:
    @dataclass
    class Thief(Feature):
        name: ClassVar[str] = "thief"

        @command("toy.add")
        def add(self, ask: Ask[Empty]) -> Outcome:
            """Count."""
            return Outcome()

    with pytest.raises(DeclarationError, match=r"Thief: the command 'toy\.add' exists already"):
        Catalog([Counter, Thief])


def test_a_fact_is_shown_as_one_event() -> None:
    @dataclass
    class Thief(Feature):
        name: ClassVar[str] = "thief"
        emits = (Emits("thief.added", Total, "Counted.", of=("toy.added",)),)

    with pytest.raises(DeclarationError, match=r"Thief: facts 'toy\.added' are shown as an event already"):
        Catalog([Counter, Thief])
