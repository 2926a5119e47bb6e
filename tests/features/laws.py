"""The laws that every feature keeps, under random asks built from what it declares. Nothing in here names a feature.

`Trial.run` plays one seeded sequence in a room of one kind, with all features of that kind, and checks as it goes:

- a refusal changes nothing, and neither does looking (views, snapshots);
- the same asks lead to the same facts, replies, effects and bursts;
- facts are not changed by later asks;
- the state folded from the facts' JSON is the live state, but for the fields in `forgets`;
- every fact, reply, effect, burst, snapshot, view and shown payload is JSON as it stands;
- what is shown is what is declared, under a declared name, and a reply is what its command declares;
- a snapshot is of the type that its method returns, and no two features give one field of it;
- who hears an event is whom it is declared for, named persons first, then parts of the room in their declared order;
- an export's rows fit their columns, no two features give one table of it, and it has no e-mail address;
- no e-mail address is shown to anybody without a permission, but the receiver's own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs
import orjson

from livehub.errors import Refused
from livehub.feature import EVERYONE, JSON, SYSTEM, Ask, Command, Feature, Person, Seating, Via
from livehub.ports import Record
from livehub.rooms.audiences import PART, full_name
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import structure
from livehub.rooms.state import Performed, State
from tests.features.draws import MAIL_DOMAIN, Draws
from tests.kit import START_MS

ASKS_PER_TRIAL = 150
TRIES_PER_ASK = 20
"""Draws that lead to no ask (nobody may, the room is not there yet, left out) before a trial is over all the same."""
PEOPLE = ("anna", "ben", "cara", "dora")
FOCUS = 0.6
"""Share of asks of other features than the trial's own that are left out: else much is rare where there are many."""
PRESENCE = -1
"""In place of a feature's place in a beat: the room tells who came or went."""
PLAYED = 0.5
"""Share of the other features' commands that a trial knows: some end what others need."""
TOLD_FOR_A_REASON = 0.8
"""Share of a room's words to itself or others that come only when something has led to them."""
PAUSES_MS = (*(0, 1, 50, 1_000, 30_000) * 4, 400_000, 4_000_000)


@dataclass(frozen=True, slots=True)
class Step:
    """One ask, or one beat (then `beat` is the feature's place and `name` its method)."""

    name: str
    data: JSON
    who: Person
    at_ms: int
    seed: int
    beat: int | None = None


@dataclass(slots=True)
class Came:
    """What a step came to."""

    refused: str | None = None
    performed: Performed = field(default_factory=Performed)


class Trial:
    """One seeded sequence of asks in one room."""

    def __init__(self, features: Iterable[type[Feature]], kind: str, seed: int) -> None:
        self.catalog = Catalog(features, _settings(features))
        self.kind = kind
        self.dice = random.Random(f"{kind} {seed}")
        self.draws = Draws(self.dice, list(PEOPLE))
        self.people = list(_people(self.catalog, kind, self.dice))
        self.state = State(self.catalog, kind, "room1")
        self.beats = [
            (place, method)
            for place, feature in enumerate(self.catalog.features[kind])
            for _, method, _ in feature.beats()
        ]
        self.focus = self.catalog.features[kind][seed % len(self.catalog.features[kind])]
        self.focused = {command.name for command in self.focus.commands()}
        self.commands = [
            command
            for command in self.catalog.commands.values()
            if command.room == kind
            and (command.name in self.focused or command.seat is Seating.TAKES or self.dice.random() < PLAYED)
        ]
        self.seated: set[str] = set()
        self.present: set[str] = set()
        self.errands: list[tuple[str, JSON]] = []  # internal commands that effects asked for
        self.steps: list[Step] = []
        self.results: list[Came] = []
        self.log: list[tuple[Any, bytes, int]] = []  # fact, its JSON when it was made, when
        self.now_ms = START_MS
        self.portrait = portrait(self.state)

    def run(self, asks: int = ASKS_PER_TRIAL) -> int:
        """Play, and check every law. Returns how many facts came of it."""
        for _ in range(TRIES_PER_ASK * asks):
            if len(self.steps) >= asks:
                break
            step = self._ask()
            if step is None:
                continue
            self._play(step)
            self.now_ms += self.dice.choice(PAUSES_MS)
            if self.beats and self.state.exists and self.dice.random() < 0.1:
                self._play(self._beat())
        self._check_look()
        self._check_log()
        self._check_repetition()
        return len(self.log)

    def _ask(self) -> Step | None:
        """Draw an ask that passes gate and room; None when there is nobody who may."""
        command = self.dice.choice(self.commands)
        if command.name not in self.focused and self.dice.random() < FOCUS:
            return None
        if not (self.state.exists or command.creates):
            return None
        if command.via is Via.INSIDE:
            waiting = [data for name, data in self.errands if name == command.name]
            if waiting:
                return self._step(command.name, self.dice.choice(waiting), SYSTEM)
            if not _typed(command) or self.dice.random() < TOLD_FOR_A_REASON:
                return None
            return self._step(command.name, self.draws.payload(command.payload), SYSTEM)
        may = [who for who in self.people if self._may(command, who)]
        if not may:
            return None
        step = self._step(command.name, self.draws.payload(command.payload), self.dice.choice(may))
        try:
            structure(step.data, command.payload)
        except Refused as refusal:
            refusal.message.encode()  # whatever was sent, its refusal can be told
            return None
        return step

    def _may(self, command: Command, who: Person) -> bool:
        if command.needs and not any(map(who.can, command.needs)):
            return False
        if command.seat is Seating.NEEDED:
            return who.id in self.seated
        if command.seat is Seating.MEMBER:
            return self.state.admits(who.id) or bool(command.instead and who.can(command.instead))
        return True

    def _beat(self) -> Step:
        place, method = self.dice.choice(self.beats)
        return self._step(method, None, SYSTEM, place)

    def _step(self, name: str, data: JSON, who: Person, beat: int | None = None) -> Step:
        return Step(name, data, who, self.now_ms, self.dice.getrandbits(128), beat)

    def _play(self, step: Step) -> None:
        self._act(step)
        if step.beat is None and not self.results[-1].refused and (news := self._news(step)):
            self._act(replace(step, name=news, seed=step.seed + 1, beat=PRESENCE))

    def _news(self, step: Step) -> str:
        """Whether somebody came or went with a step, as the room would tell its features."""
        before, self.present = self.present, set(self.seated)
        return "came" if self.seated - before else "went" if before - self.seated else ""

    def _act(self, step: Step) -> None:
        came = perform(self.catalog, self.state, step)
        self.steps.append(step)
        self.results.append(came)
        before, self.portrait = self.portrait, portrait(self.state)
        if came.refused is None:
            self._seat(step)
        if came.refused is not None or not came.performed.facts:
            assert self.portrait == before, f"{step.name} came to no fact and changed the state"
            return
        self.draws.learn(came.performed.reply)
        for fact in came.performed.facts:
            self._check_order(fact.kind, fact.to)
            self.log.append((fact, as_json(fact.data, fact.kind), step.at_ms))
            self.draws.learn(fact.data)
        self._check_shown(came.performed)
        for effect in came.performed.effects:
            data = getattr(effect, "data", None)
            as_json(data, f"an effect of {step.name}")
            if then := getattr(effect, "then", ""):
                self.errands.append((then, {"data": data, "error": "TooSlowError"}))
            elif (asked := getattr(effect, "command", "")) in self.catalog.commands:
                self.errands.append((asked, data))
        self._check_reply(step, came.performed.reply)

    def _check_reply(self, step: Step, reply: dict[str, JSON]) -> None:
        as_json(reply, f"the reply of {step.name}")
        command = self.catalog.commands.get(step.name)
        if command is not None and command.returns is not None:
            assert not (fault := misfit(reply, command.returns)), f"the reply of {step.name}{fault}"

    def _seat(self, step: Step) -> None:
        seat = self.catalog.commands[step.name].seat if step.beat is None else Seating.FREE
        if seat is Seating.TAKES:
            self.seated.add(step.who.id)
        elif seat is Seating.LEAVES:
            self.seated.discard(step.who.id)

    def _check_order(self, kind: str, to: Sequence[str]) -> None:
        parts = list(self.catalog.audiences[self.kind] or [EVERYONE])
        rank = [-1 if ":" in part.lstrip(":") else parts.index(part) for part in to]
        assert rank == sorted(rank), f"{kind} is for {to}: persons first, then the parts in their order"
        assert len(set(to)) == len(to), f"{kind} is for {to}"

    def _check_shown(self, performed: Performed) -> None:
        for fact in performed.facts:
            shown = self.catalog.shown.get(fact.kind)
            for part in fact.to if shown is not None else ():
                assert shown is not None
                payload = shown.payload(fact.data, self.state.audiences((part,))[0])
                if payload is not None:
                    own = self.state.own_of_fact(fact.kind, fact.data)
                    if own is not None and shown.own is not None:
                        payload = shown.own.fitted(payload, own(self.people[1]))
                    self._check_told(shown.event, payload, part)
        for burst in performed.bursts:
            self._check_told(burst.event, burst.data, burst.to)

    def _check_look(self) -> None:
        for view, key in self.state.views:
            if (payload := self.state.show(view, key)) is not None:
                own = self.state.own_of_view(view, key)
                if own is not None and view.own is not None:
                    payload = view.own.fitted(payload, own(self.people[1]))
                self._check_told(view.name, payload, view.to if not view.whom else self.state.audience_of(view, key))
        for who in self.people:
            for event, payload in self.state.welcome(who):
                self._check_payload(event, payload, f"user:{who.id}")
        for who in self.people:
            self._check_snapshot(who)
        self._check_export()
        assert portrait(self.state) == self.portrait, "looking changed the state"

    def _check_snapshot(self, who: Person) -> None:
        given: dict[str, str] = {}
        for feature in self.state.features:
            part, declared = feature.snapshot(who), get_type_hints(feature.snapshot)["return"]
            if is_typeddict(declared):
                assert not (fault := misfit(part, declared)), f"the snapshot of {feature.name}{fault}"
            for name in part:
                assert given.setdefault(name, feature.name) == feature.name, f"two features give {name} of a snapshot"
        text = as_json(self.state.snapshot(who), "a snapshot").decode()
        if not who.permissions:
            assert not _others_mail(text, who.id), f"a snapshot for {who.id} shows an e-mail address"

    def _check_export(self) -> None:
        given: dict[str, str] = {}
        for feature in self.state.features:
            for name, table in feature.export(self.now_ms).items():
                assert given.setdefault(name, feature.name) == feature.name, f"two features export {name}"
                for row in table.rows:
                    assert len(row) == len(table.columns), f"a row of {name} does not fit its columns"
                    text = as_json(list(row), f"a row of {name}").decode()
                    assert MAIL_DOMAIN not in text, f"the export of {name} shows an e-mail address"

    def _check_told(self, event: str, payload: JSON, part: str) -> None:
        self._check_payload(event, payload, part)
        declared = {
            audience_kind(feature.room, to)
            for feature, emits in self.catalog.emits
            for to in emits.audiences
            if emits.name == event
        }
        assert audience_kind(self.kind, part) in declared, f"{event} is told to {part or 'everyone'}, not as declared"

    def _check_payload(self, event: str, payload: JSON, part: str) -> None:
        declared = [emits for _, emits in self.catalog.emits if emits.name == event]
        assert declared, f"{event} is sent and not declared"
        assert not (fault := misfit(payload, declared[0].type)), f"{event}{fault}"
        text = as_json(payload, event).decode()
        if not self.catalog.audiences[self.kind].get(part):
            reader = part.removeprefix("user:") if part.startswith("user:") else ""
            assert not _others_mail(text, reader), f"{event} shows an e-mail address to {part or 'everyone'}"

    def _check_repetition(self) -> None:
        again = State(self.catalog, self.kind, "room1")
        for step, came in zip(self.steps, self.results, strict=True):
            assert perform(self.catalog, again, step) == came, f"{step.name} came to something else the second time"

    def _check_log(self) -> None:
        for fact, text, _ in self.log:
            assert orjson.dumps(fact.data) == text, f"{fact.kind} was changed after it was made"
        folded = State(self.catalog, self.kind, "room1")
        kept = [(fact.kind, text, at_ms) for fact, text, at_ms in self.log if fact.kept]
        folded.fold([Record(seq, self.state.name, *rest[:1], rest[2], rest[1]) for seq, rest in enumerate(kept, 1)])
        for live, built in zip(self.state.features, folded.features, strict=True):
            for name in vars(live).keys() - live.forgets:
                assert plain(getattr(built, name)) == plain(getattr(live, name)), (
                    f"{live.name}.{name} is not in its log"
                )


def audience_kind(room: str, to: str) -> tuple[str, str]:
    """What an audience is of, and which part of that, whatever its id: (`session`, `moderation`), (`user`, ``)."""
    name = full_name(f"{room}:", to)
    return name.partition(":")[0], name.partition(PART)[2]


def perform(catalog: Catalog, state: State, step: Step) -> Came:
    """Play a step on a state."""
    if step.beat == PRESENCE:
        ask: Ask[None] = Ask(None, step.who, step.at_ms, step.seed)
        return Came(performed=state.came(ask) if step.name == "came" else state.went(ask))
    if step.beat is not None:
        return Came(performed=state.beat(step.beat, step.name, Ask(None, SYSTEM, step.at_ms, step.seed)))
    command = catalog.commands[step.name]
    payload: Any = step.data if command.via is Via.INSIDE else structure(step.data, command.payload)
    try:
        return Came(performed=state.perform(step.name, Ask(payload, step.who, step.at_ms, step.seed)))
    except Refused as refusal:
        return Came(refused=refusal.message)


def as_json(value: JSON, what: str) -> bytes:
    """The JSON of a value, which must be the value again when it is read."""
    text = orjson.dumps(value)
    assert orjson.loads(text) == value, f"{what} is not JSON as it stands: {value!r}"
    return text


def portrait(state: State) -> Any:
    """The whole of a state, as plain data that later asks cannot change."""
    return [plain(vars(feature)) for feature in state.features]


def plain(value: Any) -> Any:
    """A copy that compares by value; the order of a dict counts, since histories rely on it."""
    if isinstance(value, dict):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, map(plain, value)))
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, *(plain(getattr(value, item.name)) for item in fields(value))]
    if attrs.has(type(value)):
        return [type(value).__name__, *(plain(getattr(value, item.name)) for item in attrs.fields(type(value)))]
    if value is None or isinstance(value, str | int | float | bool | bytes):
        return value
    if isinstance(value, Iterable) and hasattr(value, "__len__"):
        return [plain(item) for item in value]
    raise AssertionError(f"a state holds {value!r}: keep it to plain data")


def misfit(value: JSON, hint: Any) -> str:
    """Where a value is not of a declared type ("" when it is), as a path and what should be there."""
    origin, args = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return _misfit_fields(value, hint)
    if origin in (Union, UnionType):
        return "" if any(not misfit(value, part) for part in args) else f": {value!r} is not {hint}"
    if origin is Literal:
        return "" if value in args else f": {value!r} is none of {args}"
    if origin is list and isinstance(value, list):
        return next((f"[{n}]{bad}" for n, item in enumerate(value) if (bad := misfit(item, args[0]))), "")
    if origin is dict and isinstance(value, dict):
        return next((f".{key}{bad}" for key, item in value.items() if (bad := misfit(item, args[1]))), "")
    if hint is Any or (hint in (None, NoneType) and value is None):
        return ""
    right = type(value) is hint or (hint is float and type(value) is int)
    return "" if right else f": {value!r} is not {hint}"


def _misfit_fields(value: JSON, hint: Any) -> str:
    if not isinstance(value, dict):
        return f": {value!r} is not an object"
    hints = get_type_hints(hint, include_extras=True)
    for name, inside in hints.items():
        optional = get_origin(inside) is NotRequired
        if name not in value:
            if not optional:
                return f".{name} is missing"
        elif bad := misfit(value[name], get_args(inside)[0] if optional else inside):
            return f".{name}{bad}"
    surplus = value.keys() - hints.keys()
    return f".{min(surplus)} is not declared" if surplus else ""


def _people(catalog: Catalog, kind: str, dice: random.Random) -> Iterator[Person]:
    """One with every permission, one with none, the others with some."""
    known = {name for command in catalog.commands.values() for name in (*command.needs, command.instead) if name}
    known |= {needs for needs in catalog.audiences[kind].values() if needs}
    every = sorted(known)
    for place, name in enumerate(PEOPLE):
        some = {0: ["*"], 1: []}.get(place, [one for one in every if dice.random() < 0.5])
        mail = name + MAIL_DOMAIN
        yield Person(name, name.capitalize(), "Tester", mail, "org1", "MEMBER", frozenset(some), "default")


def _settings(features: Iterable[type[Feature]]) -> dict[str, Any]:
    """Every switch of every feature on, so that rooms come to be without an operator."""
    made = {}
    for feature in features:
        if feature.Settings is not None:
            default = feature.Settings()
            on = {item.name: True for item in attrs.fields(feature.Settings) if getattr(default, item.name) is False}
            made[feature.name] = attrs.evolve(default, **on)
    return made


def _typed(command: Command) -> bool:
    return is_typeddict(command.payload)


def _others_mail(text: str, reader: str) -> bool:
    return MAIL_DOMAIN in text.replace(reader + MAIL_DOMAIN, "") if reader else MAIL_DOMAIN in text
