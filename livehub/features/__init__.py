"""Every module in this folder is one feature or a few that belong together; to add a feature, add a module."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from livehub.feature import Feature


@cache
def discover() -> tuple[type[Feature], ...]:
    """Import the feature modules; the subclasses they define are the features, by name."""
    found: list[type[Feature]] = []
    for module in iter_modules(__path__):
        members = vars(import_module(f"{__name__}.{module.name}")).values()
        found += [
            member
            for member in members
            if isinstance(member, type)
            and issubclass(member, Feature)
            and member.__module__.endswith(f".{module.name}")
        ]
    return tuple(sorted(found, key=lambda feature: feature.name))
