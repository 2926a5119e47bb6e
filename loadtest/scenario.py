"""Scenarios: found by name among the shipped ones or by the path of a file, looked at, and dealt out to users.

A scenario is a module: user classes, `SHAPE`, `OPTIONS`, `NEEDS`, and perhaps `at_start(stage)` and `at_end(stage)`.
Which class a number belongs to follows from the seed alone, so that it does not depend on the number of processes.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from functools import reduce
from inspect import isclass
from math import gcd
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import attrs

from loadtest.options import Option, Options
from loadtest.ownfile import OwnFileTrouble, is_path, module_of
from loadtest.shapes import LoadShape
from loadtest.turnout import EXPECTABLE
from loadtest.user import User

SHIPPED = "loadtest.scenarios"
OWN = "loadtest_scenario"  # the module name of a file given by its path

Hook = Callable[[Any], Awaitable[None]]
Check = Callable[[Options], None]


class ScenarioTrouble(Exception):
    """There is no such scenario, or it cannot be used; the text says why."""


@attrs.frozen
class Scenario:
    """A scenario, ready to be run."""

    name: str
    help: str
    classes: list[type[User]]
    shape: LoadShape | None
    options: list[Option]
    needs: frozenset[str]
    at_start: Hook | None
    at_end: Hook | None
    check: Check | None = None
    expects: frozenset[str] = frozenset()

    @property
    def line(self) -> str:
        """The first line of what its docstring says."""
        return self.help.strip().partition("\n")[0]

    def dealer(self, seed: int) -> Callable[[int], type[User]]:
        """Number → user class: first those of a fixed count, then by weight, shuffled within each round of weights."""
        fixed = [cls for cls in self.classes for _ in range(cls.fixed_count)]
        common = [cls for cls in self.classes if not cls.fixed_count]
        divisor = reduce(gcd, (cls.weight for cls in common), 0) or 1
        hand = [cls for cls in common for _ in range(cls.weight // divisor)] or fixed
        rounds: dict[int, list[type[User]]] = {}

        def deal(number: int) -> type[User]:
            if number < len(fixed):
                return fixed[number]
            turn, place = divmod(number - len(fixed), len(hand))
            if turn not in rounds:
                dice = Random(f"{seed}:deal:{turn}")  # noqa: S311 - dice, no secret
                rounds[turn] = dice.sample(hand, len(hand))
            return rounds[turn][place]

        return deal


def shipped() -> list[Scenario]:
    """All that come with loadtest."""
    package = importlib.import_module(SHIPPED)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [load(name) for name in names if not name.startswith("_") and _has_users(name)]


def load(name: str) -> Scenario:
    """A shipped scenario by its name, or one's own by its path. Raises ScenarioTrouble."""
    module = _from_file(Path(name)) if is_path(name) else _from_package(name)
    classes = _classes(module)
    if not classes:
        raise ScenarioTrouble(f"{name}: no class in it derives from User")
    for cls in classes:
        if cls.weight < 1 or cls.fixed_count < 0:
            raise ScenarioTrouble(f"{name}: {cls.__name__} needs a weight from 1 on and no negative fixed_count")
    _check_parts(name, module)
    return Scenario(
        name=plain_name(name),
        help=inspect.getdoc(module) or "",
        classes=classes,
        shape=getattr(module, "SHAPE", None),
        options=list(getattr(module, "OPTIONS", ())),
        needs=frozenset(getattr(module, "NEEDS", ())),
        at_start=getattr(module, "at_start", None),
        at_end=getattr(module, "at_end", None),
        check=getattr(module, "check", None),
        expects=frozenset(getattr(module, "EXPECTS", ())),
    )


def shape_of(scenario: Scenario) -> LoadShape:
    """A scenario's shape, given as an object or as a class as in Locust; without one the crowd grows and stays."""
    shape = scenario.shape
    if shape is None:
        return LoadShape()
    return shape() if isinstance(shape, type) else shape


def plain_name(name: str) -> str:
    """A scenario's name, without the place of its file."""
    return Path(name).stem if name.endswith(".py") else name


def _check_parts(name: str, module: ModuleType) -> None:
    shape, options = getattr(module, "SHAPE", None), getattr(module, "OPTIONS", ())
    if not (shape is None or isinstance(shape, LoadShape) or (isclass(shape) and issubclass(shape, LoadShape))):
        raise ScenarioTrouble(f"{name}: SHAPE = {shape!r} is no LoadShape; there are Ramp(), Steps() and others")
    if not isinstance(options, list | tuple) or not all(isinstance(option, Option) for option in options):
        raise ScenarioTrouble(f"{name}: OPTIONS must be a list of Option(name, default, help)")
    for words, known in (("NEEDS", None), ("EXPECTS", EXPECTABLE)):
        found = getattr(module, words, ())
        if isinstance(found, str) or not all(isinstance(word, str) for word in found):
            raise ScenarioTrouble(f"{name}: {words} must be a set of words")
        if known is not None and (odd := sorted(set(found) - known)):
            raise ScenarioTrouble(f"{name}: {words} may hold {', '.join(sorted(known))}, not {', '.join(odd)}")
    for hook in ("at_start", "at_end", "check"):
        if not callable(getattr(module, hook, repr)):
            raise ScenarioTrouble(f"{name}: {hook} must be a function")


def _has_users(name: str) -> bool:
    return bool(_classes(importlib.import_module(f"{SHIPPED}.{name}")))


def _classes(module: ModuleType) -> list[type[User]]:
    """Those written in the module itself, in order: what it imports to derive from does not act in it."""
    found = [cls for cls in vars(module).values() if isclass(cls) and issubclass(cls, User)]
    return [cls for cls in found if not cls.abstract and cls.__module__ == module.__name__]


def _from_package(name: str) -> ModuleType:
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(SHIPPED).__path__)]
    if name in names:
        return importlib.import_module(f"{SHIPPED}.{name}")
    known = ", ".join(sorted(each for each in names if not each.startswith("_")))
    raise ScenarioTrouble(f"there is no scenario {name!r}; there are {known}, or give the path of a .py file")


def _from_file(path: Path) -> ModuleType:
    try:
        return module_of(path, OWN)
    except OwnFileTrouble as trouble:
        raise ScenarioTrouble(str(trouble)) from trouble
