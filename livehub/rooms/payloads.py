"""Raw JSON → payload: strict structuring with cattrs, and a refusal that names the field and what it may hold.

The quick converter knows nothing but yes and no (3 µs for a usual payload); only after a no, the slow one is asked
which field it was. Plain cattrs converts what it can (`None` to `'None'`, `3.7` to `3`): strict hooks stop that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import BaseValidationError, Converter
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from livehub.errors import Refused
from livehub.payload import Invalid, Mark

T = TypeVar("T")

UNKNOWN_SHOWN_MAX = 3

_NAMES: dict[type, str] = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def camel(name: str) -> str:
    """`new_text` → `newText`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _strict(kind: type) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if type(value) is kind:
            return value
        raise Invalid(f"must be {_NAMES[kind]}")

    return check


def _number(value: Any, _: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise Invalid("must be a number")


def _fields(value: Any, _: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise Invalid("must be an object")


def _literal(value: Any, kind: Any) -> Any:
    allowed = get_args(kind)
    if type(value) is str and value in allowed:
        return value
    raise Invalid(f"must be one of {', '.join(map(str, allowed))}")


def _is(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: bool(get_origin(kind) is origin)


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind)


def _make(detailed: bool) -> Converter:
    converter = Converter(detailed_validation=detailed, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is(Literal), lambda _: _literal)
    converter.register_structure_hook_factory(_is(list), _list(converter))
    converter.register_structure_hook_factory(_is(dict), lambda _: _fields)
    converter.register_structure_hook_factory(_is_optional, _optional(converter))
    converter.register_structure_hook_factory(_is(Annotated), _marked(converter))
    converter.register_structure_hook_factory(attrs.has, _object(converter, detailed))
    return converter


def _object(converter: Converter, detailed: bool) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(cls: Any) -> Callable[[Any, Any], Any]:
        options: dict[str, Any] = {field.name: override(rename=camel(field.name)) for field in attrs.fields(cls)}
        options |= {"_cattrs_forbid_extra_keys": True, "_cattrs_detailed_validation": detailed}
        structure = make_dict_structure_fn(cls, converter, **options)

        def check(value: Any, kind: Any) -> Any:
            if type(value) is not dict:
                raise Invalid("must be an object")
            return structure(value, kind)

        return check

    return factory


def _list(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(kind: Any) -> Callable[[Any, Any], Any]:
        inside = get_args(kind)[0]

        def check(value: Any, _: Any) -> Any:
            if type(value) is not list:
                raise Invalid("must be a list")
            items = []
            for index, item in enumerate(value):
                try:
                    items.append(converter.structure(item, inside))
                except BaseValidationError as errors:
                    raise Invalid(f"[{index}]{_first_fault(errors, inside)}") from None
                except Invalid as error:
                    raise Invalid(f"[{index}] {error}") from None
            return items

        return check

    return factory


def _optional(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(kind: Any) -> Callable[[Any, Any], Any]:
        inside = next(part for part in get_args(kind) if part is not type(None))
        structure = converter.get_structure_hook(inside)
        return lambda value, _: None if value is None else structure(value, inside)

    return factory


def _marked(converter: Converter) -> Callable[[Any], Callable[[Any, Any], Any]]:
    def factory(kind: Any) -> Callable[[Any, Any], Any]:
        inside, *marks = get_args(kind)
        structure = converter.get_structure_hook(inside)
        checks = [mark.check for mark in marks if isinstance(mark, Mark)]
        if len(checks) == 1:  # as nearly all have
            (only,) = checks
            return lambda value, _: only(structure(value, inside))

        def check(value: Any, _: Any) -> Any:
            value = structure(value, inside)
            for mark in checks:
                value = mark(value)
            return value

        return check

    return factory


_quick = _make(detailed=False)
_slow = _make(detailed=True)


def structure(data: dict[str, Any], kind: type[T]) -> T:
    """The payload, or `Refused` (400) with a text such as `text must be at most 1000 characters, not 1001`."""
    try:
        made: T = _hook(kind)(data, kind)
    except Exception as error:
        raise Refused(_explain(data, kind, error), code="invalid_payload") from None
    return made


_hook: Callable[[Any], Callable[[Any, Any], Any]] = cache(_quick.get_structure_hook)


def checker(kind: Any) -> Callable[[Any, str], Any]:
    """What checks one value of a marked type, or raises `Refused` (400) that names it.

    Made once for a kind: to look a marked type up takes longer than to check its value.
    """
    structure = _quick.get_structure_hook(kind)

    def check(value: Any, name: str) -> Any:
        try:
            return structure(value, kind)
        except Invalid as error:
            raise Refused(f"{name} {error}", code="invalid_payload") from None

    return check


def _explain(data: Any, kind: type, quick_error: Exception) -> str:
    if isinstance(quick_error, Invalid) and type(data) is not dict:
        return f"The payload {quick_error}"
    try:
        _slow.structure(data, kind)
    except BaseValidationError as errors:
        return _first_fault(errors, kind).removeprefix(".")
    except Invalid as error:
        return f"The payload {error}"
    raise quick_error


def _first_fault(errors: BaseValidationError, kind: type) -> str:
    """`.field must be …` of the first fault; unknown fields last, since a wrong one often has a misspelt name."""
    faults = sorted(errors.exceptions, key=lambda fault: isinstance(fault, ForbiddenExtraKeysError))
    fault = faults[0]
    if isinstance(fault, ForbiddenExtraKeysError):
        unknown = ", ".join(sorted(repr(str(key)[:64]) for key in fault.extra_fields)[:UNKNOWN_SHOWN_MAX])
        return f".{unknown} is not a field here; allowed: {', '.join(wire_fields(kind)) or 'none'}"
    name = camel(next((getattr(note, "name", "") for note in getattr(fault, "__notes__", ())), ""))
    if isinstance(fault, KeyError):
        return f".{camel(str(fault.args[0]))} is required"
    if isinstance(fault, BaseValidationError):
        return f".{name}{_first_fault(fault, kind)}"
    text = str(fault)
    return f".{name}{text}" if text.startswith("[") else f".{name} {text}"


@cache
def wire_fields(kind: type) -> tuple[str, ...]:
    """Names of the fields as the wire spells them."""
    return tuple(camel(field.name) for field in attrs.fields(kind)) if attrs.has(kind) else ()


def describe(kind: Any) -> str:
    """What a field may hold, in words, for the printed contract."""
    if _is_optional(kind):
        return describe(next(part for part in get_args(kind) if part is not type(None)))
    if get_origin(kind) is Annotated:
        inside, *marks = get_args(kind)
        told = [str(mark) for mark in marks if isinstance(mark, Mark)]
        return ", ".join(told) if inside is str else ", ".join([describe(inside), *told])
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_origin(kind) in (list, dict):
        return f"list of {describe(get_args(kind)[0])}" if get_origin(kind) is list else "object"
    if attrs.has(kind):
        hints = get_type_hints(kind, include_extras=True)
        return "{" + ", ".join(f"{camel(name)}: {describe(hint)}" for name, hint in hints.items()) + "}"
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind))).removeprefix("a ")
