"""The pure heart of a room: its features, folded from the log, asked, and changed only by facts.

No task, no clock and no store: the same asks lead to the same facts, and the facts alone rebuild the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from livehub.declared import View
from livehub.feature import JSON, Ask, Burst, Effect, Fact, Feature, Outcome, Person
from livehub.ports import Record
from livehub.rooms.audiences import full_name
from livehub.rooms.catalog import Catalog

FACTS_PER_ASK_MAX = 1_000
"""Features answer each other's facts; two that never stop are a defect, found before it fills the log."""


class BrokenState(Exception):
    """A fact could not be applied: the state is half changed and must be built anew from the log."""


@dataclass(slots=True)
class Performed:
    """What an ask came to: facts in order, already applied, and all that goes with them."""

    facts: list[Fact] = field(default_factory=list)
    reply: dict[str, JSON] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    declined: bool = False

    def add(self, more: Performed) -> None:
        """What came of the same ask besides; the reply stays."""
        self.facts += more.facts
        self.effects += more.effects
        self.bursts += more.bursts


class State:
    """The features of one room."""

    def __init__(self, catalog: Catalog, kind: str, room_id: str) -> None:
        self.name = f"{kind}:{room_id}"
        self.features: list[Feature] = catalog.build(kind, room_id)
        self.exists = False
        self.views: dict[tuple[View, str], Feature] = {}  # every view there is something to show of
        self._bound = catalog.bindings(kind)

    def fold(self, records: Sequence[Record]) -> None:
        """Apply facts from the log. Raises `BrokenState` naming the fact that does not fit."""
        for record in records:
            try:
                self._apply(record.kind, orjson.loads(record.data), record.at_ms)
            except Exception as error:
                raise BrokenState(f"{self.name}: fact {record.seq} ({record.kind})") from error

    def perform(self, command: str, ask: Ask[Any]) -> Performed:
        """Ask a command. Raises `Refused` with nothing changed, `BrokenState` when a fact could not be applied."""
        place, method = self._bound.commands[command]
        return self._follow(method(self.features[place], ask), ask)

    def beat(self, feature: int, method: str, ask: Ask[Any]) -> Performed:
        """Let an `every` method act."""
        return self._follow(getattr(self.features[feature], method)(ask), ask)

    def came(self, ask: Ask[None]) -> Performed:
        """Somebody is here now."""
        return self._all([feature.came for feature in self._doing("came")], ask)

    def went(self, ask: Ask[None]) -> Performed:
        """Somebody is no longer here."""
        return self._all([feature.went for feature in self._doing("went")], ask)

    def reopened(self, ask: Ask[frozenset[str]]) -> Performed:
        """The state was built, and these people are here."""
        return self._all([feature.reopened for feature in self._doing("reopened")], ask)

    def admits(self, user_id: str) -> bool:
        """Whether any feature counts this person as belonging here."""
        return any(feature.admits(user_id) for feature in self.features)

    @property
    def part_of(self) -> str:
        """The room that this one belongs to; "" for none."""
        return next(filter(None, (feature.part_of() for feature in self.features)), "")

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """What somebody who comes late must be shown."""
        shown: dict[str, JSON] = {}
        for feature in self._doing("snapshot"):
            shown |= feature.snapshot(who)
        return shown

    def overview(self, who: Person) -> dict[str, JSON]:
        """All that somebody may know of the room."""
        shown: dict[str, JSON] = {}
        for feature in self.features:
            shown |= feature.overview(who)
        return shown

    def welcome(self, who: Person) -> list[tuple[str, JSON]]:
        """Events for one new connection alone."""
        return [event for feature in self._doing("welcome") for event in feature.welcome(who)]

    def show(self, view: View, key: str) -> JSON:
        """A view's payload now; None when there is nothing to show."""
        return getattr(self.views[view, key], view.method)(key)

    def audience_of(self, view: View, key: str) -> str:
        """Full name of the audience that a view is for."""
        to = getattr(self.views[view, key], view.whom)(key) if view.whom else view.to
        return self.audiences((to,))[0]

    def own_of_view(self, view: View, key: str) -> Callable[[Person], JSON] | None:
        """What of a view is each person's own; None for most views."""
        return None if view.own is None else partial(getattr(self.views[view, key], view.own.method), key)

    def has_own(self, kind: str) -> bool:
        """Whether something of a fact's event is each person's own."""
        return kind in self._bound.own

    def own_of_fact(self, kind: str, data: dict[str, JSON]) -> Callable[[Person], JSON] | None:
        """What of a fact's event is each person's own; None for most facts."""
        found = self._bound.own.get(kind)
        if found is None:
            return None
        place, own = found
        return partial(getattr(self.features[place], own.method), str(data[own.key]))

    def touched(self, facts: Sequence[Fact]) -> list[tuple[View, str]]:
        """The views that these facts changed."""
        found = []
        for fact in facts:
            for view, _ in self._bound.views.get(fact.kind, ()):
                found.append((view, str(fact.data[view.key]) if view.key else ""))
        return found

    def audiences(self, to: Sequence[str]) -> tuple[str, ...]:
        """Full names of a fact's audiences."""
        return tuple([full_name(self.name, part) for part in to]) if to else ()

    def _doing(self, hook: str) -> list[Feature]:
        return [self.features[place] for place in self._bound.hooks[hook]]

    def _all(self, methods: Sequence[Callable[[Ask[Any]], Outcome]], ask: Ask[Any]) -> Performed:
        done = Performed()
        for method in methods:
            done.add(self._follow(method(ask), ask))
        return done

    def _follow(self, outcome: Outcome, ask: Ask[Any]) -> Performed:
        """Apply facts and what answers them: an answer comes before the next fact, so that no answer is out of date."""
        done = Performed([], outcome.reply, [], [], outcome.declined)
        try:
            waiting = _take(outcome, done)
            while waiting and len(done.facts) <= FACTS_PER_ASK_MAX:
                fact = waiting.pop()
                self._apply(fact.kind, fact.data, ask.at_ms)
                done.facts.append(fact)
                if listening := self._bound.listens.get(fact.kind):
                    answers = [_take(listen(self.features[place], fact.data, ask), done) for place, listen in listening]
                    for facts in reversed(answers):
                        waiting += facts
        except Exception as error:
            raise BrokenState(f"{self.name}: {type(error).__name__} while applying") from error
        if waiting:
            raise BrokenState(f"{self.name}: more than {FACTS_PER_ASK_MAX} facts from one ask")
        return done

    def _apply(self, kind: str, data: dict[str, JSON], at_ms: int) -> None:
        self.exists = True
        for place, apply in self._bound.applies.get(kind, ()):
            apply(self.features[place], data, at_ms)
        for view, place in self._bound.views.get(kind, ()):
            self.views[view, str(data[view.key]) if view.key else ""] = self.features[place]


def _take(outcome: Outcome, done: Performed) -> list[Fact]:
    """Note all but the facts, which are still to be applied: the next one last."""
    if outcome.effects:
        done.effects += outcome.effects
    if outcome.bursts:
        done.bursts += outcome.bursts
    return [*reversed(outcome.facts)]
