"""Telling whether what was heard is what was meant: to the type, with places for ids and times."""

from __future__ import annotations

import re
from typing import Any


class Like:
    """Stands in an expectation for any text of a form."""

    def __init__(self, name: str, pattern: str) -> None:
        self._name = name
        self._pattern = re.compile(pattern)

    def fits(self, value: object) -> bool:
        """Whether a value is such a text."""
        return isinstance(value, str) and self._pattern.fullmatch(value) is not None

    def __repr__(self) -> str:
        return f"<{self._name}>"


AN_ID = Like("UUID v4", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
A_TIME = Like("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
A_WORD = Like("snake_case code", r"[a-z]+(_[a-z]+)*")
WORDS = Like("text", r"(?s).*\S.*")


def same(meant: Any, got: Any) -> bool:
    """Equal as JSON is: `True` is not 1, and an object has no field more or less."""
    if isinstance(meant, Like):
        return meant.fits(got)
    if isinstance(meant, dict) and isinstance(got, dict):
        return meant.keys() == got.keys() and all(same(value, got[name]) for name, value in meant.items())
    if isinstance(meant, list) and isinstance(got, list):
        return len(meant) == len(got) and all(map(same, meant, got))
    return type(meant) is type(got) and bool(meant == got)
