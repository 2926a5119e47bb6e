"""JSON as clients send it: orjson first; what it refuses but JavaScript accepts is read slowly, with bounds.

Half of a surrogate pair (a phone cut an emoji in two) must not cost the connection: it arrives as a string that the
gate refuses by the field's name. A number of 4,300 digits becomes a float, as in JavaScript. Depth is bounded, because
what follows walks values recursively.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, TypeAlias

import orjson

JSON: TypeAlias = Any

DEPTH_MAX = 128
"""Nested containers; no contract needs more than 6."""
INTEGER_DIGITS_MAX = 18


class BadJson(ValueError):
    """Not JSON, or nested too deeply."""


def loads(text: str) -> JSON:
    """The value of a JSON text. Raises `BadJson`."""
    if text.count("[") + text.count("{") > DEPTH_MAX:
        _check_depth(text)
    try:
        return orjson.loads(text)
    except (ValueError, UnicodeEncodeError):
        pass
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadJson("not JSON") from None


def dumps(value: JSON) -> bytes:
    """Compact JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _check_depth(text: str) -> None:
    """Count brackets outside strings: cheap to leave out for usual texts, exact for the others."""
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise BadJson(f"nested deeper than {DEPTH_MAX}")
        elif character in "]}":
            depth -= 1


def _finite(value: JSON) -> JSON:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
