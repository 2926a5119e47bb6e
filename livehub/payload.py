"""Payload types: what a field may hold, declared beside the field and read by the gate and by every document.

A payload is a frozen attrs class with Python names; on the wire its fields are camelCase. A limit is a mark in
`Annotated`, so one declaration is the type, the check, the text of the refusal and the documentation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar, dataclass_transform, runtime_checkable

import attrs

OUTSIDE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
UUID_V4 = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z")
MOMENT_EXAMPLE = "2026-05-01T09:30:00Z"
FIELDS_DEPTH_MAX = 20
EMOJI_CODE_POINTS_MAX = 8
URL = re.compile(r"https?://[^/\s?#@\\]+(?:[/?#]\S*)?\Z", re.IGNORECASE)
RATE = re.compile(r"(\d+)/(\d*)s\Z")

C = TypeVar("C", bound=type)


class Invalid(ValueError):
    """A value that a field may not hold; the text goes after the field's name."""


@runtime_checkable
class Mark(Protocol):
    """A limit on a field: how it is checked, and how it is told to people (`str`) and to machines."""

    def check(self, value: Any) -> Any:
        """Return the value to keep, or raise `Invalid`."""

    def schema(self) -> dict[str, Any]:
        """The keywords of JSON Schema that say the same; those that draft 07 knows, which is all AsyncAPI reads."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of 1 to `most` code points that is not only white space; kept exactly as sent."""

    most: int

    def check(self, value: str) -> str:
        """Raise `Invalid` when blank, too long or not valid Unicode."""
        if len(value) > self.most:
            raise Invalid(f"must be at most {self.most} characters, not {len(value)}")
        if not value or value.isspace():
            raise Invalid("must not be empty")
        return whole_unicode(value)

    def schema(self) -> dict[str, Any]:
        return {"minLength": 1, "maxLength": self.most, "pattern": r"\S"}

    def __str__(self) -> str:
        return f"1 to {self.most} characters, not only white space"


@dataclass(frozen=True, slots=True)
class _Outside:
    def check(self, value: str) -> str:
        if not OUTSIDE_ID.match(value):
            raise Invalid("must be 1 to 128 characters of A-Z a-z 0-9 _ . : -")
        return value

    def schema(self) -> dict[str, Any]:
        return {"pattern": _whole(OUTSIDE_ID)}

    def __str__(self) -> str:
        return "id: 1 to 128 of A-Z a-z 0-9 _ . : -"


@dataclass(frozen=True, slots=True)
class _Uuid:
    def check(self, value: str) -> str:
        if not UUID_V4.match(value):
            raise Invalid("must be a UUID v4")
        return value.lower()

    def schema(self) -> dict[str, Any]:
        return {"format": "uuid", "pattern": _whole(UUID_V4)}

    def __str__(self) -> str:
        return "UUID v4"


@dataclass(frozen=True, slots=True)
class _Emoji:
    def check(self, value: str) -> str:
        if not 1 <= len(value) <= EMOJI_CODE_POINTS_MAX or value.isspace():
            raise Invalid(f"must be an emoji of 1 to {EMOJI_CODE_POINTS_MAX} characters")
        if value.isascii():
            raise Invalid("must be an emoji, not plain text")
        return whole_unicode(value)

    def schema(self) -> dict[str, Any]:
        return {"minLength": 1, "maxLength": EMOJI_CODE_POINTS_MAX, "pattern": r"[^\x00-\x7f]"}

    def __str__(self) -> str:
        return f"1 to {EMOJI_CODE_POINTS_MAX} characters, not plain ASCII"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def check(self, value: int) -> int:
        """Raise `Invalid` when out of range."""
        if not self.least <= value <= self.most:
            raise Invalid(f"must be from {self.least} to {self.most}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"minimum": self.least, "maximum": self.most}

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of `least` to `most` items."""

    least: int
    most: int

    def check(self, value: list[Any]) -> list[Any]:
        """Raise `Invalid` when too few or too many."""
        if not self.least <= len(value) <= self.most:
            raise Invalid(f"must have {self.least} to {self.most} items, not {len(value)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"minItems": self.least, "maxItems": self.most}

    def __str__(self) -> str:
        return f"{self.least} to {self.most} items"


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute http or https address of at most `most` characters; kept exactly as sent."""

    most: int = 2_000

    def check(self, value: str) -> str:
        """Raise `Invalid` for other schemes (`javascript:`), for a name or password within, and for white space."""
        if len(value) > self.most:
            raise Invalid(f"must be at most {self.most} characters, not {len(value)}")
        if not URL.match(value):
            raise Invalid("must be an http or https URL")
        return whole_unicode(value)

    def schema(self) -> dict[str, Any]:
        return {"format": "uri", "maxLength": self.most, "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}

    def __str__(self) -> str:
        return f"http or https URL of at most {self.most} characters"


@dataclass(frozen=True, slots=True)
class Fields:
    """An object whose fields are the sender's own, at most `most` bytes as JSON."""

    most: int

    def check(self, value: dict[str, Any]) -> dict[str, Any]:
        """Raise `Invalid` when too large, nested too deep or not valid Unicode."""
        if _depth(value, FIELDS_DEPTH_MAX) > FIELDS_DEPTH_MAX:
            raise Invalid(f"must be nested at most {FIELDS_DEPTH_MAX} deep")
        if (
            size := len(whole_unicode(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode())
        ) > self.most:
            raise Invalid(f"must be at most {self.most} bytes of JSON, not {size}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"x-max-bytes": self.most}

    def __str__(self) -> str:
        return f"object of at most {self.most} bytes"


@dataclass(frozen=True, slots=True)
class _Moment:
    def check(self, value: str) -> str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or not 1970 < moment.year < 9999:
            raise Invalid(f"must be a time such as {MOMENT_EXAMPLE}, with its offset from UTC")
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def schema(self) -> dict[str, Any]:
        return {"format": "date-time", "examples": [MOMENT_EXAMPLE]}

    def __str__(self) -> str:
        return "ISO 8601 time with its offset from UTC"


OutsideId: TypeAlias = Annotated[str, _Outside()]
"""An id that came from outside (sessions, events, users): contracts, point 5."""
Uuid: TypeAlias = Annotated[str, _Uuid()]
"""An id that livehub made, or an idempotency key."""
Moment: TypeAlias = Annotated[str, _Moment()]
"""A time, kept as UTC with milliseconds and `Z` (contracts, point 12): such texts sort and compare as times."""
Emoji: TypeAlias = Annotated[str, _Emoji()]
"""1 to 8 code points that are not plain ASCII: contracts, point 15."""


def _whole(pattern: re.Pattern[str]) -> str:
    """A pattern for the whole of a text, as JSON Schema writes it."""
    return "^" + pattern.pattern.removesuffix(r"\Z") + "$"


def _depth(value: Any, most: int) -> int:
    """How deep a value is nested, looking no deeper than one more than `most`."""
    if not isinstance(value, dict | list) or most < 0:
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(item, most - 1) for item in inside), default=0)


def whole_unicode(value: str) -> str:
    """Raise `Invalid` for a lone surrogate: half of a character that was cut in two."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Invalid("must be valid Unicode, without half of a surrogate pair") from None
    return value


@dataclass(frozen=True, slots=True)
class Rate:
    """`asks` per person in any `per_s` seconds, in bursts of up to all of them."""

    asks: int
    per_s: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"5/10s"` or `"5/s"`. Raises ValueError."""
        found = RATE.match(text)
        if not found:
            raise ValueError(f"a rate is written 5/10s, not {text!r}")
        return cls(int(found[1]), float(found[2] or 1))

    def __str__(self) -> str:
        return f"{self.asks} in {self.per_s:g} s"


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def payload(cls: C) -> C:
    """Declare a payload type: a frozen attrs class whose fields are camelCase on the wire."""
    return attrs.frozen(cls)


def required() -> Any:
    """A field that must be given, in a payload whose other fields (of a base class) need not be."""
    return attrs.field(kw_only=True)


@payload
class Empty:
    """A payload without fields of its own."""


def setting(
    default: Any,
    *,
    help: str,  # noqa: A002 - the word an operator knows
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """A setting of a feature or a config section: default, what it is for, unit and what is allowed."""
    metadata = {"help": help, "unit": unit, "least": least, "most": most, "choices": choices}
    if isinstance(default, list | dict):
        made = type(default)
        return attrs.field(factory=lambda: made(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)
