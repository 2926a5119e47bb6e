"""The wire contract in words, made from what the features declare: what `livehub events` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_type_hints

import attrs

from livehub.contracts.inventory import Asked, Inventory, Told
from livehub.contracts.schema import Schema, target
from livehub.feature import Key
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import camel, describe

INDENT = "    "
_COMMON = """\
Every event also accepts sessionId and eventId. A mutation that comes again with the same idempotencyKey
(24 h) happens once: its ack comes again with replayed: true.
"""


def contract_text(catalog: Catalog, namespace: str) -> str:
    """Every event of a namespace: payload, permission, rate, answer; then what the server sends."""
    inventory = Inventory(catalog, namespace)
    words = _Words(inventory)
    lines = [f"NAMESPACE {namespace}", "", "CLIENT → SERVER", ""]
    for asked in inventory.asked:
        lines += [*words.asked(asked), ""]
    lines += [_COMMON, "SERVER → CLIENT", ""]
    for told in inventory.told:
        lines += [*words.told(told), ""]
    return "\n".join(lines)


class _Words:
    """Events and types in words, with every type written out where it is used."""

    def __init__(self, inventory: Inventory) -> None:
        self._schemas = inventory.schemas

    def asked(self, asked: Asked) -> Iterator[str]:
        command = asked.command
        yield command.name
        yield f"{INDENT}{command.doc.splitlines()[0]}"
        for name, hint in get_type_hints(command.payload, include_extras=True).items():
            field = attrs.fields_dict(command.payload)[name]
            optional = "" if field.default is attrs.NOTHING else " (optional)"
            yield f"{INDENT}{camel(name)}: {describe(hint)}{optional}"
        yield f"{INDENT}idempotencyKey: UUID v4" + ("" if command.key is Key.REQUIRED else " (optional)")
        if command.needs:
            yield f"{INDENT}needs {' or '.join(command.needs)}"
        if command.rate is not None:
            yield f"{INDENT}at most {command.rate} per person"
        if asked.reply is not None:
            yield f"{INDENT}answers {self._type(asked.reply)}"

    def told(self, told: Told) -> Iterator[str]:
        yield told.name
        yield f"{INDENT}{told.doc}"
        payload = self._schemas.resolve(told.payload)
        if "properties" in payload:
            for name, text in self._fields(payload):
                yield f"{INDENT}{name}: {text}"
        else:
            yield f"{INDENT}{self._type(payload)}"
        yield f"{INDENT}to {' and '.join(map(str, told.audiences))}"

    def _fields(self, schema: Schema, inside: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
        required = schema.get("required", ())
        for name, field in schema["properties"].items():
            yield (name if name in required else f"{name}?"), self._type(field, inside)

    def _type(self, schema: Schema, inside: tuple[str, ...] = ()) -> str:
        """A type; one that contains itself is named the second time."""
        if "$ref" in schema:
            name = target(schema)
            return name if name in inside else self._type(self._schemas.resolve(schema), (*inside, name))
        if "properties" in schema:
            return "{" + ", ".join(f"{name}: {text}" for name, text in self._fields(schema, inside)) + "}"
        if "items" in schema:
            return f"list of {self._type(schema['items'], inside)}"
        if "additionalProperties" in schema:
            return f"map of string to {self._type(schema['additionalProperties'], inside)}"
        return " | ".join(self._choices(schema, inside)) or "anything"

    def _choices(self, schema: Schema, inside: tuple[str, ...]) -> list[str]:
        if "enum" in schema:
            return ["null" if value is None else str(value) for value in schema["enum"]]
        if "anyOf" in schema:
            return [self._type(part, inside) for part in schema["anyOf"]]
        kinds = schema.get("type", [])
        return [kinds] if isinstance(kinds, str) else kinds
