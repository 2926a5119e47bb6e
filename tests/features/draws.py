"""Payloads drawn from their declarations: mostly valid, some at the very edge, some wrong in every way there is.

A mark that is not known here is a failure, so that no new kind of field goes untested.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from livehub.feature import JSON, Emoji, Fields, Items, Moment, OutsideId, Text, Url, Uuid, Whole
from livehub.payload import UUID_V4, Mark
from livehub.rooms.payloads import camel
from tests.kit import uuid

MAIL_DOMAIN = "@mail.test"
"""Every e-mail address in these tests ends with it, and nothing else contains it."""

WRONG = 0.04
"""Share of values that are wrong in type or size, of fields that are missing, of payloads with one too many."""

LETTERS = "abcdefghij XYZ 0189 äé ñ 中文 😀👩‍🚀 <b>&amp;</b> \n\t'\"\\ \u202e\u0000"
EMOJI = ("👍", "❤️", "🔥", "👨‍👩‍👧‍👦", "é")
MOMENTS = (
    "2026-01-01T09:00:00Z",
    "2026-01-01T00:20:00.500Z",
    "2026-01-01T12:00:00+02:00",
    "2025-01-01T00:00:00Z",
    "2026-01-01T09:00:00",
    "soon",
)
URLS = ("https://livehub.test/a?b=1", "http://x", "HTTPS://Example.Test:8443/#top")
JUNK: tuple[JSON, ...] = (None, True, 5, -1.5, "", "x", [], ["x"], {}, {"a": 1}, "\ud83d", 1 << 62)


class Draws:
    """Draws values with one set of dice. `ids` are those that the room has told so far, by what they are ids of."""

    def __init__(self, dice: random.Random, people: list[str]) -> None:
        self.dice = dice
        self.people = people
        self.ids: dict[str, dict[str, None]] = {}
        self._uuids = 0

    def payload(self, kind: Any) -> JSON:
        """What a client might send for a payload type, or livehub itself for an internal command."""
        if is_typeddict(kind):
            return self._told(kind, "")
        data = self._object(kind)
        if self._sometimes():
            data["surplus"] = 1
        return data

    def text(self, most: int) -> str:
        """Text of up to so many code points."""
        size = self.dice.choice([1, 2, 10, 40, most - 1, most])
        text = "".join(self.dice.choices(LETTERS, k=max(1, min(size, most))))
        return text if not text.isspace() else "x"

    def learn(self, told: JSON, name: str = "") -> None:
        """Remember ids: `pollId`, or the `id` of a `poll`, or of one of the `polls`."""
        if isinstance(told, dict):
            for key, value in told.items():
                self.learn(key)
                self.learn(value, f"{name.removesuffix('s')}Id" if key == "id" else key)
        elif isinstance(told, list | tuple):
            for value in told:
                self.learn(value, name)
        elif isinstance(told, str) and UUID_V4.match(told):
            self.ids.setdefault(name.lower(), {})[told] = None

    def _sometimes(self, share: float = WRONG) -> bool:
        return self.dice.random() < share

    def _object(self, kind: Any) -> dict[str, JSON]:
        hints = get_type_hints(kind, include_extras=True)
        data: dict[str, JSON] = {}
        for field in attrs.fields(kind):
            optional = field.default is not attrs.NOTHING
            if self._sometimes(0.4 if optional else WRONG / 2):
                continue
            data[camel(field.name)] = self._value(hints[field.name], field.name)
        return data

    def _told(self, hint: Any, name: str) -> JSON:
        """What livehub might tell itself: always of its type."""
        origin, args = get_origin(hint), get_args(hint)
        if is_typeddict(hint):
            parts = get_type_hints(hint, include_extras=True).items()
            return {
                part: self._told(inside, part)
                for part, inside in parts
                if get_origin(inside) is not NotRequired or self._sometimes(0.5)
            }
        if origin in (Union, UnionType):
            return None if type(None) in args and self._sometimes(0.3) else self._told(args[0], name)
        if origin is NotRequired:
            return self._told(args[0], name)
        if origin is Literal:
            return self.dice.choice(args)
        if origin is list:
            return [self._told(args[0], name.removesuffix("s")) for _ in range(self.dice.randint(0, 4))]
        if origin is dict or hint is Any:
            return {}
        return self._plain(hint, name)

    def _value(self, hint: Any, name: str) -> JSON:
        if self._sometimes():
            return self.dice.choice(JUNK)
        origin, args = get_origin(hint), get_args(hint)
        if origin in (Union, UnionType):
            some = [part for part in args if part is not type(None)]
            return None if len(some) < len(args) and self._sometimes(0.2) else self._value(some[0], name)
        if origin is Literal:
            return self.dice.choice(args)
        if attrs.has(hint):
            return self._object(hint)
        if origin is list:
            return [self._value(args[0], name) for _ in range(self.dice.randint(0, 4))]
        if origin is Annotated:
            return self._marked(args[0], [mark for mark in args[1:] if isinstance(mark, Mark)], name)
        return self._plain(hint, name)

    def _marked(self, kind: Any, marks: list[Mark], name: str) -> JSON:
        for mark in marks:
            if (draw := self._drawer(mark, kind, name)) is not None:
                return draw()
        raise AssertionError(f"{name}: these tests cannot draw {marks}: teach tests/features/draws.py")

    def _drawer(self, mark: Mark, kind: Any, name: str) -> Callable[[], JSON] | None:
        if isinstance(mark, Text):
            return lambda: self._text(mark.most, name)
        if isinstance(mark, Whole):
            return lambda: self.dice.choice(
                [mark.least, mark.most, self.dice.randint(mark.least, mark.most), mark.least - 1, mark.most + 1]
            )
        if isinstance(mark, Items):
            inside = get_args(kind)[0]
            sizes = [mark.least, mark.least + 1, mark.most, mark.most + 1, max(0, mark.least - 1)]
            return lambda: [self._value(inside, name) for _ in range(self.dice.choices(sizes, (5, 9, 3, 1, 1))[0])]
        if mark == get_args(Uuid)[1]:
            return lambda: self._uuid(name)
        if mark == get_args(OutsideId)[1]:
            return lambda: self._outside(name)
        if mark == get_args(Emoji)[1]:
            return lambda: self.dice.choice(EMOJI)
        return self._other(mark)

    def _other(self, mark: Mark) -> Callable[[], JSON] | None:
        if isinstance(mark, Url):
            return lambda: "javascript:alert(1)" if self._sometimes() else self.dice.choice(URLS)
        if isinstance(mark, Fields):
            return lambda: self.dice.choice([{}, {"load": 0.5, "deep": {"x": [1, None]}}, {"x": "y" * (mark.most + 1)}])
        if mark == get_args(Moment)[1]:
            return lambda: self.dice.choice(MOMENTS)
        return None

    def _text(self, most: int, name: str) -> str:
        if "email" in name.lower():
            return self.dice.choice(self.people) + MAIL_DOMAIN
        if self._sometimes():
            return self.dice.choice([" ", "\u2003\n", "x" * (most + 1), "😀" * (most + 1), "x\udc00"])
        return self.text(most)

    def _uuid(self, field: str) -> str:
        fitting = [name for name in self.ids if name and camel(field).lower().endswith(name)]
        fitting = [max(fitting, key=len)] if fitting else []
        names = fitting if fitting and not self._sometimes(0.1) else list(self.ids)
        if names and not self._sometimes(0.1):
            known = list(self.ids[self.dice.choice(names)])
            found = self.dice.choice(known[-8:] if self._sometimes(0.7) else known)
            return found.upper() if self._sometimes(0.1) else found
        self._uuids += 1
        return uuid(1_000_000 + self._uuids)

    def _outside(self, field: str) -> str:
        if (known := self.ids.get(camel(field).lower())) and not self._sometimes(0.3):
            return self.dice.choice(list(known))
        return self.dice.choice([*self.people, *self.people, "x" * 128, "x" * 129, "a b", "A-Z.0:9_"])

    def _plain(self, hint: Any, name: str) -> JSON:
        if hint is str:
            if name.lower().endswith(("userid", "user_id")):
                return self.dice.choice(self.people)
            return self._text(20, name) if "email" in name.lower() else self.text(20)
        draws: dict[Any, Callable[[], JSON]] = {
            bool: lambda: self.dice.random() < 0.5,
            int: lambda: self.dice.randint(-5, 1_000),
            float: lambda: self.dice.choice([0, 0.5, -1e9, 3]),
        }
        if hint not in draws:
            raise AssertionError(f"{name}: these tests cannot draw {hint}: teach tests/features/draws.py")
        return draws[hint]()
