"""Type hints → JSON Schema: one reading of what the features declare, from which every document is printed.

What comes out is JSON Schema 2020-12 for OpenAPI 3.1 and draft 07 for AsyncAPI 3 at once: only keywords that mean the
same in both, and never a keyword beside `$ref`, which draft 07 would not read. Classes become named schemas; features
may not import each other, so two may declare a class of one name: the same fields are one schema, others get the name
of their module in front.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs

from livehub.payload import Mark
from livehub.rooms.catalog import DeclarationError
from livehub.rooms.payloads import camel

Schema: TypeAlias = dict[str, Any]

COMPONENTS = "#/components/schemas/"
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array"},
    None: {"type": "null"},
    NoneType: {"type": "null"},
    Any: {},
    object: {},
}


class Schemas:
    """The named schemas of one document, and references to them."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}
        self._names: dict[type, str] = {}

    def of(self, hint: Any) -> Schema:
        """The schema of a type. Raises TypeError for what has none."""
        origin = get_origin(hint)
        if origin is not None:
            return self._generic(hint, origin, get_args(hint))
        if is_typeddict(hint) or attrs.has(hint):
            return self._class(hint)
        if hint not in _PLAIN:
            raise _unknown(hint)
        return dict(_PLAIN[hint])

    def fields(self, kind: Any) -> Schema:
        """The schema of a class, as a copy to add to."""
        return self._payload(kind) if attrs.has(kind) else self._record(kind)

    def add(self, name: str, schema: Schema, otherwise: str) -> Schema:
        """Give a schema a name, or the other one if the first means something else already: a reference to it."""
        if not _same(self.named.get(name, schema), schema):
            name = otherwise
        if not _same(self.named.setdefault(name, schema), schema):
            raise DeclarationError(f"two schemas want to be called {name}")
        return {"$ref": COMPONENTS + name}

    def resolve(self, schema: Schema) -> Schema:
        """What a reference refers to; any other schema is itself."""
        return self.named[target(schema)] if "$ref" in schema else schema

    def _generic(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Schema:
        if origin is Annotated:
            return _marked(self.of(args[0]), args[1:])
        if origin in (Required, NotRequired):
            return self.of(args[0])
        if origin in (Union, UnionType):
            return _any_of([self.of(part) for part in args])
        if origin is Literal:
            return _one_of(args)
        if origin is list:
            return {"type": "array", "items": self.of(args[0])}
        if origin is not dict:
            raise _unknown(hint)
        values = self.of(args[1])
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}

    def _class(self, kind: type) -> Schema:
        if kind not in self._names:
            taken = self.named.get(kind.__name__)
            name = kind.__name__ if taken is None else _longer(kind)
            self._names[kind] = name
            self.named[name] = {}  # holds the place, so that a class may contain itself
            schema = self.fields(kind)
            if taken is not None and _same(taken, schema):
                del self.named[name]
                self._names[kind] = kind.__name__
            else:
                self.named[name] = schema
        return {"$ref": COMPONENTS + self._names[kind]}

    def _payload(self, kind: Any) -> Schema:
        """What clients send: unknown fields are refused (contracts, point 22)."""
        hints = get_type_hints(kind, include_extras=True)
        properties, required = {}, []
        for field in attrs.fields(kind):
            schema = properties[camel(field.name)] = self.of(hints[field.name])
            if field.default is attrs.NOTHING:
                required.append(camel(field.name))
            elif isinstance(field.default, str | int | float) and field.default != "" and "$ref" not in schema:
                schema["default"] = field.default
        return _object(kind, properties, required) | {"additionalProperties": False}

    def _record(self, kind: Any) -> Schema:
        """What the server sends: clients must bear with fields that they do not know yet."""
        hints = get_type_hints(kind, include_extras=True)
        required = [
            name
            for name, hint in hints.items()
            if get_origin(hint) is not NotRequired
            and (name in kind.__required_keys__ or get_origin(hint) is Required)
        ]  # fmt: skip
        return _object(kind, {name: self.of(hint) for name, hint in hints.items()}, required)


def target(reference: Schema) -> str:
    """The name that a reference refers to."""
    return str(reference["$ref"]).removeprefix(COMPONENTS)


def described(kind: Any) -> str:
    """The first paragraph of a class's or function's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def without_null(schema: Schema) -> Schema:
    """A schema that no longer takes null, for where absence is the only nothing: a query."""
    if isinstance(schema.get("type"), list):
        schema = schema | {"type": next(kind for kind in schema["type"] if kind != "null")}
        if "enum" in schema:
            schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def _object(kind: Any, properties: Mapping[str, Schema], required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = required
    if text := described(kind):
        schema["description"] = text
    return schema


def _marked(schema: Schema, marks: tuple[Any, ...]) -> Schema:
    known = [mark for mark in marks if isinstance(mark, Mark)]
    limits: Schema = {"description": ", ".join(map(str, known))} if known else {}
    for mark in known:
        limits |= mark.schema()
    return {"allOf": [schema], **limits} if "$ref" in schema else schema | limits


def _any_of(parts: list[Schema]) -> Schema:
    some = [part for part in parts if part != {"type": "null"}]
    if len(some) == 1 < len(parts) and isinstance(some[0].get("type"), str):
        nullable = some[0] | {"type": [some[0]["type"], "null"]}
        if "enum" in nullable:
            nullable["enum"] = [*nullable["enum"], None]
        return nullable
    return {"anyOf": parts}


def _one_of(values: tuple[Any, ...]) -> Schema:
    kinds = {type(value) for value in values}
    return {**(_PLAIN[kinds.pop()] if len(kinds) == 1 else {}), "enum": list(values)}


def _same(one: Schema, other: Schema) -> bool:
    """Whether two schemas differ in their words only."""
    return {**one, "description": ""} == {**other, "description": ""}


def _unknown(hint: Any) -> TypeError:
    return TypeError(f"{hint!r} cannot be told in JSON Schema: teach livehub/contracts/schema.py")


def _longer(kind: type) -> str:
    return "".join(word.capitalize() for word in kind.__module__.rsplit(".", 1)[-1].split("_")) + kind.__name__
