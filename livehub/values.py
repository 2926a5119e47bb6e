"""A setting's value: read strictly from TOML or the environment, and what it may be, told in words.

cattrs structures the values; left alone it would make `3` of `3.7` and letters of a string where a list is meant, so
every kind that a setting can have is hooked.
"""

from __future__ import annotations

import json
import math
import tomllib
import types
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cattrs import Converter

SHOWN_CHARS_MAX = 80


class Values:
    """Makes values of what TOML holds. Relative paths start at `base`."""

    def __init__(self, base: Path) -> None:
        self._converter = Converter(detailed_validation=False)
        hook = self._converter.register_structure_hook
        for kind in (int, bool):
            hook(kind, partial(_exactly, kind))
        hook(str, _text)
        hook(float, _number)
        hook(Path, lambda value, _: _path(base, value))
        self._converter.register_structure_hook_func(_is_optional, partial(_optional, self._converter))
        self._converter.register_structure_hook_func(_is_list, partial(_list, self._converter))

    def make(self, value: Any, kind: Any, metadata: Mapping[str, Any]) -> Any:
        """The value; raises ValueError when it is not what a setting of this kind and metadata may hold."""
        try:
            made = self._converter.structure(value, kind)
            _check_bounds(made, metadata)
        except Exception as error:  # cattrs and its hooks raise many kinds; all mean the same
            raise ValueError(allowed(kind, metadata)) from error
        return made


def from_environment(text: str, kind: Any) -> Any:
    """A TOML value; whatever is none, or is for a setting that holds text, is the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed["value"]
    holds_text = kind is str or Path in (kind, *get_args(kind)) or get_origin(kind) is Literal
    return text if len(parsed) > 1 or (holds_text and type(value) is not str) else value


def allowed(kind: Any, metadata: Mapping[str, Any]) -> str:
    """What a setting may hold, in words."""
    text = _kind_text(kind)
    if choices := metadata.get("choices"):
        text = " or ".join(map(show, choices))
    least, most = metadata.get("least"), metadata.get("most")
    if least is not None and most is not None:
        text += f" from {least} to {most}"
    elif least is not None:
        text += f", at least {least}"
    elif most is not None:
        text += f", at most {most}"
    return f"{text} ({unit})" if (unit := metadata.get("unit")) else text


def show(value: Any) -> str:
    """A value for a message, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _exactly(kind: type, value: Any, _: Any) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _text(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise TypeError
    value.encode()  # raises for bytes from the environment that are not text
    return value


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _path(base: Path, value: Any) -> Path:
    if type(value) is not str or not value or "\0" in value:
        raise TypeError
    return base / value


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _optional(converter: Converter, value: Any, kind: Any) -> Any:
    """TOML has no null: empty text leaves an optional setting unset."""
    inside = next(part for part in get_args(kind) if part is not type(None))
    return None if value == "" else converter.structure(value, inside)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in (list, tuple)


def _list(converter: Converter, value: Any, kind: Any) -> Any:
    if type(value) is not list:
        raise TypeError
    inside = get_args(kind)
    if get_origin(kind) is list or inside[-1] is Ellipsis:
        inside = (inside[0],) * len(value)
    return get_origin(kind)(converter.structure(item, part) for item, part in zip(value, inside, strict=True))


def _check_bounds(value: Any, metadata: Mapping[str, Any]) -> None:
    least, most, choices = metadata.get("least"), metadata.get("most"), metadata.get("choices")
    for number in value if isinstance(value, list | tuple) else (value,):
        if (least is not None and number < least) or (most is not None and number > most):
            raise ValueError
    if choices and value not in choices:
        raise ValueError


def _kind_text(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", Path: "a path"}
    if kind in names:
        return names[kind]
    inside = [part for part in get_args(kind) if part not in (type(None), Ellipsis)]
    if get_origin(kind) is Literal:
        return " or ".join(map(show, inside))
    if _is_optional(kind):
        return _kind_text(inside[0])
    if _is_list(kind):
        many = f"{len(inside)} " if len(inside) > 1 else ""
        return f"a list of {many}{_kind_text(inside[0]).removeprefix('a ')}s"
    return f"a table of {_kind_text(inside[-1]).removeprefix('a ')}s".replace("list of strings", "lists of string")
