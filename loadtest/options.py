"""What can be set about a scenario with `-o name=value`: declared with a default and a line of help, shown by `list`.

A value takes the type of its default and keeps within the bounds, so that a scenario neither parses nor checks it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs

Value = str | int | float | bool
T = TypeVar("T", str, int, float, bool)

YES = ("1", "true", "yes", "on")
NO = ("0", "false", "no", "off")


@attrs.frozen
class Option:
    """One thing that can be set."""

    name: str
    default: Value
    help: str
    least: float | None = None
    most: float | None = None

    @property
    def shown(self) -> str:
        """The default as one would write it."""
        return ("no", "yes")[self.default] if isinstance(self.default, bool) else f"{self.default}"

    @property
    def allowed(self) -> str:
        """Which numbers may be given; "" if all may."""
        if self.least is not None and self.most is not None:
            return f"from {self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"{self.least:g} or more"
        return "" if self.most is None else f"at most {self.most:g}"

    def check(self, value: float) -> None:
        """ValueError, with what is allowed, for a number that is out of bounds."""
        least, most = -math.inf if self.least is None else self.least, math.inf if self.most is None else self.most
        if not math.isfinite(value) or not least <= value <= most:
            raise ValueError(f"-o {self.name}={value:g}: it must be {self.allowed or 'a finite number'}")


class Options:
    """The values of a run: `options["voters"]`, or typed, `options.number("voters")`."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def get(self, name: str, default: T) -> T:
        """The value if there is one of that type, else what is given."""
        value = self._values.get(name, default)
        if isinstance(default, float) and isinstance(value, int):
            return type(default)(value)
        return value if isinstance(value, type(default)) else default

    def text(self, name: str) -> str:
        """A value as text."""
        return str(self._values[name])

    def number(self, name: str) -> int:
        """A value as a whole number."""
        return int(self._values[name])

    def real(self, name: str) -> float:
        """A value as a number."""
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        """A value as yes or no."""
        return bool(self._values[name])

    def as_dict(self) -> dict[str, Value]:
        """All of them."""
        return dict(self._values)


def parsed(declared: Iterable[Option], given: Iterable[str]) -> Options:
    """The values of a run from what the command line says; a ValueError names what there is."""
    options = {option.name: option for option in declared}
    values: dict[str, Value] = {name: option.default for name, option in options.items()}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-o {text}: write it as name=value")
        if name not in options:
            known = ", ".join(options) or "none"
            raise ValueError(f"-o {name}: there is no such option; this scenario has: {known}")
        values[name] = _typed(options[name], value)
    return Options(values)


def _typed(option: Option, value: str) -> Value:
    kind = type(option.default)
    if kind is bool:
        if value.lower() in YES + NO:
            return value.lower() in YES
        raise ValueError(f"-o {option.name}={value}: it is yes or no")
    try:
        read = kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"-o {option.name}={value}: it is {what}") from None
    if isinstance(read, int | float):
        option.check(read)
    return read
