"""Every feature, present and future, keeps the laws (`tests/features/laws.py`); and the laws find who breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypedDict,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs
import pytest

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Command,
    Emits,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Person,
    Refused,
    Seating,
    Via,
    applies,
    command,
    user,
    view,
)
from livehub.features import discover
from livehub.payload import Mark
from livehub.rooms.catalog import Catalog
from tests.features.laws import Trial

F = TypeVar("F", bound=Callable[..., Any])

SEEDS_MAX = 300
KINDS = sorted({feature.room for feature in discover()})
COMMANDS = [found for feature in discover() for found in feature.commands()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_keeps_the_laws(kind: str, request: pytest.FixtureRequest) -> None:
    facts = 0
    for seed in range(request.config.getoption("--examples")):
        print(f"kind {kind}, seed {seed}")
        facts += Trial(discover(), kind, seed).run()
    assert facts > 0, "the asks came to nothing: are they drawn as the features need them?"


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_is_reached(kind: str) -> None:
    """Random asks get past every refusal now and then, or the laws would hold nobody to account."""
    missing = {found.name for found in COMMANDS if found.room == kind}
    for seed in range(SEEDS_MAX):
        trial = Trial(discover(), kind, seed)
        trial.run()
        missing -= {step.name for step, came in zip(trial.steps, trial.results, strict=True) if not came.refused}
        if not missing:
            return
    raise AssertionError(f"never answered: {missing}")


def test_every_snapshot_has_a_type() -> None:
    """The documents are made from it."""
    for feature in discover():
        if feature.snapshot is not Feature.snapshot:
            assert is_typeddict(get_type_hints(feature.snapshot)["return"]), f"{feature.__name__}.snapshot"


def test_names_are_claimed_once() -> None:
    Catalog(discover())


@pytest.mark.parametrize("found", COMMANDS, ids=lambda found: found.name)
def test_every_field_has_a_limit(found: Command) -> None:
    """Text, lists and numbers from outside are bounded by a mark, so that no ask can be large."""
    if found.via is not Via.INSIDE:
        unmarked = list(_unmarked(found.payload, found.name))
        assert unmarked == []


def _unmarked(hint: Any, path: str, *, marked: bool = False) -> Iterator[str]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _unmarked(args[0], path, marked=any(isinstance(mark, Mark) for mark in args[1:]))
    elif attrs.has(hint):
        for name, inside in get_type_hints(hint, include_extras=True).items():
            yield from _unmarked(inside, f"{path}.{name}")
    elif origin is not Literal:
        if not marked and (hint in (str, int) or origin in (list, dict)):
            yield path
        for arg in args if origin is not dict else ():
            yield from _unmarked(arg, f"{path}[]" if origin is list else path)


class Told(TypedDict):
    """What the lawbreakers show."""

    n: int


def free() -> Callable[[F], F]:
    """A command that anybody may ask at any time."""
    return command("law.break", key=Key.OPTIONAL, seat=Seating.FREE, creates=True)


TOLD = Emits("law.told", Told, "Something was told.")


@dataclass
class ChangesAndRefuses(Feature):
    """Breaks: a refusal changes nothing."""

    name: ClassVar[str] = "breaker"
    asked: int = 0

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Refuse too late."""
        self.asked += 1
        raise Refused("No")


@dataclass
class ChangesInACommand(Feature):
    """Breaks: state changes only in `applies`, so that the log can rebuild it."""

    name: ClassVar[str] = "breaker"
    asked: int = 0

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Change the state beside the fact."""
        self.asked += 1
        return Outcome([Fact("law.asked", {})])


@dataclass
class RollsItsOwnDice(Feature):
    """Breaks: the same asks lead to the same facts."""

    name: ClassVar[str] = "breaker"
    numbers: ClassVar[Iterator[int]] = count()

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell something that did not come with the ask."""
        return Outcome([Fact("law.told", {"n": next(self.numbers)})])


@dataclass
class SharesItsState(Feature):
    """Breaks: a fact is not changed by later asks."""

    name: ClassVar[str] = "breaker"
    numbers: list[int] = field(default_factory=list)

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Hand out the list itself."""
        return Outcome([Fact("law.asked", {"numbers": self.numbers})])

    @applies("law.asked")
    def _on_asked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.numbers.append(1)


@dataclass
class SpeaksPython(Feature):
    """Breaks: everything is JSON."""

    name: ClassVar[str] = "breaker"

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell a tuple, which comes back from the log as a list."""
        return Outcome([Fact("law.asked", {"pair": (1, 2)})])


@dataclass
class ShowsMail(Feature):
    """Breaks: no e-mail address is shown."""

    name: ClassVar[str] = "breaker"
    emits = (Emits("law.told", dict[str, str], "Who asked."),)

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell everybody where to write to."""
        return Outcome([Fact("law.told", {"by": ask.who.email}, (EVERYONE,))])


@dataclass
class ShowsMailInASnapshot(Feature):
    """Breaks: no e-mail address is shown to who comes late either."""

    name: ClassVar[str] = "breaker"
    last: str = ""

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Remember where to write to."""
        return Outcome([Fact("law.asked", {"by": ask.who.email})])

    @applies("law.asked")
    def _on_asked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.last = data["by"]

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """Show it."""
        return {"last": self.last}


@dataclass
class ShowsWhatItDidNotDeclare(Feature):
    """Breaks: what is shown is what is declared."""

    name: ClassVar[str] = "breaker"
    emits = (TOLD,)

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell a little more."""
        return Outcome([Fact("law.told", {"n": 1, "m": 2}, (EVERYONE,))])


class Shown(TypedDict):
    """What a snapshot should be."""

    n: int


@dataclass
class ShowsAnotherSnapshot(Feature):
    """Breaks: a snapshot is of the type that its method returns."""

    name: ClassVar[str] = "breaker"

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Give reason to look."""
        return Outcome([Fact("law.asked", {})])

    def snapshot(self, who: Person) -> Shown:
        """Show text for a number."""
        return cast(Shown, {"n": "1"})


@dataclass
class TellsSomebodyElse(Feature):
    """Breaks: who hears an event is whom it is declared for."""

    name: ClassVar[str] = "breaker"
    emits = (TOLD,)

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell the asker what is declared for everybody."""
        return Outcome([Fact("law.told", {"n": 1}, (user(ask.who.id),))])


@dataclass
class MixesItsAudiences(Feature):
    """Breaks: persons first, then parts in their order."""

    name: ClassVar[str] = "breaker"
    emits = (TOLD,)

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Tell everybody, and the asker as somebody special, too late."""
        return Outcome([Fact("law.told", {"n": 1}, (EVERYONE, user(ask.who.id)))])


@dataclass
class ChangesWhenLookedAt(Feature):
    """Breaks: looking changes nothing."""

    name: ClassVar[str] = "breaker"
    emits = (TOLD,)
    looks: int = 0

    @free()
    def ask(self, ask: Ask[Empty]) -> Outcome:
        """Give reason to look."""
        return Outcome([Fact("law.asked", {})])

    @view("law.told", after=("law.asked",))
    def shown(self, key: str) -> JSON:
        """Count who looks."""
        self.looks += 1
        return {"n": 1}


@pytest.mark.parametrize(
    ("breaker", "told"),
    [
        (ChangesAndRefuses, "came to no fact and changed the state"),
        (ChangesInACommand, "is not in its log"),
        (RollsItsOwnDice, "came to something else the second time"),
        (SharesItsState, "was changed after it was made"),
        (SpeaksPython, "is not JSON as it stands"),
        (ShowsMail, "shows an e-mail address"),
        (ShowsMailInASnapshot, "shows an e-mail address"),
        (ShowsWhatItDidNotDeclare, "is not declared"),
        (ShowsAnotherSnapshot, "the snapshot of breaker.n: '1' is not <class 'int'>"),
        (TellsSomebodyElse, "law.told is told to user:.*, not as declared"),
        (MixesItsAudiences, "persons first"),
        (ChangesWhenLookedAt, "looking changed the state"),
    ],
)
def test_the_laws_find_who_breaks_them(breaker: type[Feature], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        Trial([breaker], "session", 1).run()
