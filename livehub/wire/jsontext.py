"""JSON text, bounded: what a JavaScript client can send is read, and nothing of it can hurt.

orjson does the work. What it refuses though `JSON.parse` takes it, and a phone with a torn emoji does send, is read
again by the standard library: escaped lone surrogates (they stay in the text, for the layer that can name the field)
and numbers beyond a double (they become infinite, as in JavaScript; their digits are never an `int`).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn, TypeAlias

import orjson

JSON: TypeAlias = Any

DEPTH_MAX = 128
"""Nested containers: far more than a client needs, far fewer than any parser's or walker's stack takes."""

INT_CHARS_MAX = 20
"""Digits and sign of the longest 64-bit integer; orjson reads everything beyond 64 bits as a float, so this does."""

# Possessive, and an open string matches to the end: linear also on text made to backtrack.
_NOT_BRACKETS = re.compile(r'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)++', re.DOTALL)


class BadJson(ValueError):
    """Not JSON, or nested too deep."""


def loads(text: str) -> JSON:
    """The value of a JSON text. Raises `BadJson`."""
    if text.count("[") + text.count("{") > DEPTH_MAX and _too_deep(text):
        raise BadJson("JSON nested too deep")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise BadJson("bad JSON") from None


def dumps(value: JSON) -> bytes:
    """Compact JSON. Non-finite numbers become null. Raises `TypeError` for what JSON does not have, such as bytes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False).encode()


def _too_deep(text: str) -> bool:
    depth = 0
    for bracket in _NOT_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_MAX:
            return True
    return False


def _whole(digits: str) -> int | float:
    if len(digits) <= INT_CHARS_MAX and -(1 << 63) <= (value := int(digits)) < 1 << 64:
        return value
    return float(digits)


def _no_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _finite(value: JSON) -> JSON:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


_DECODER = json.JSONDecoder(parse_int=_whole, parse_constant=_no_constant)
