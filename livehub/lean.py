"""Values that are made for every ask and message: frozen for the type checker, plain for the interpreter.

A frozen dataclass sets each field by `object.__setattr__`: 0.5 µs for six fields instead of 0.12. A chat message makes
some fifteen such values; that was 5 % of its time. What mypy refuses need not be refused once more for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

C = TypeVar("C", bound=type)

if TYPE_CHECKING:
    from typing import dataclass_transform

    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def lean(cls: C) -> C:
        """A class of values that nobody changes."""

else:

    def lean(cls: C) -> C:
        """A class of values that nobody changes."""
        return dataclass(slots=True, unsafe_hash=True)(cls)
