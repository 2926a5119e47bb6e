"""Telling whether what was heard is what was meant: to the type, with places for ids and times."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


class Like:
    """Stands in an expectation for every value that fits."""

    def __init__(self, name: str, fits: Callable[[Any], bool]) -> None:
        self.fits = fits
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}>"


def text_like(name: str, pattern: str) -> Like:
    """Any text of a form."""
    form = re.compile(pattern)
    return Like(name, lambda value: isinstance(value, str) and form.fullmatch(value) is not None)


def one_of(*values: Any) -> Like:
    """Any of these values."""
    return Like(f"one of {values}", lambda value: any(same(meant, value) for meant in values))


AN_ID = text_like("UUID v4", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
A_TIME = text_like("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
A_WORD = text_like("snake_case code", r"[a-z]+(_[a-z]+)*")
WORDS = text_like("text", r"(?s).*\S.*")


def same(meant: Any, got: Any) -> bool:
    """Equal as JSON is: `True` is not 1, and an object has no field more or less."""
    if isinstance(meant, Like):
        return meant.fits(got)
    if isinstance(meant, dict) and isinstance(got, dict):
        return meant.keys() == got.keys() and all(same(value, got[name]) for name, value in meant.items())
    if isinstance(meant, list) and isinstance(got, list):
        return len(meant) == len(got) and all(map(same, meant, got))
    return type(meant) is type(got) and bool(meant == got)
