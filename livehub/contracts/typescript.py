"""The contract as TypeScript: a `.d.ts` whose two event maps make `socket.io-client`'s `Socket` typed.

Acks are optional, so an event's arguments are a choice of two tuples. An optional `ack?` parameter reads nicer, but
then `socket.timeout(…).emit(…)` of socket.io-client 4.8 no longer type-checks; `emitWithAck` answers `any` either way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from livehub.contracts.inventory import Asked, Inventory, Told
from livehub.contracts.schema import Schema, target

IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*\Z")
INDENT = "  "
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}

_HEAD = """\
// The namespace {namespace} of livehub, for socket.io-client:
//
//   import {{ io, type Socket }} from "socket.io-client";
//   import type {{ ClientToServerEvents, ServerToClientEvents }} from "./livehub";
//   type Live = Socket<ServerToClientEvents, ClientToServerEvents>;
//   const socket: Live = io("https://host{namespace}", {{ auth: {{ token }} }});
//
// Made by `livehub events --format typescript`.
"""
_HELPERS = """\
/** What an ack brings: `success` tells which. */
export type Ack<Reply = unknown> = (Success & Reply) | Failure;

/** Arguments of an event: the payload, and whom to tell what came of it. */
export type Asking<Payload, Reply = unknown> =
  | [payload: Payload]
  | [payload: Payload, ack: (response: Ack<Reply>) => void];

/** The same for an event that needs no payload. */
export type AskingFreely<Payload, Reply = unknown> =
  | [payload?: Payload | null]
  | [payload: Payload | null | undefined, ack: (response: Ack<Reply>) => void];
"""
TAKEN = ("Ack", "Asking", "AskingFreely", "ServerToClientEvents", "ClientToServerEvents", "Record")
"""Names that no payload may have."""


def typescript(inventory: Inventory) -> str:
    """The whole `.d.ts`."""
    parts = [_HEAD.format(namespace=inventory.namespace)]
    parts += [_named(name, schema) for name, schema in inventory.schemas.named.items()]
    parts.append(_HELPERS)
    parts.append(_map("ServerToClientEvents", "What the server sends.", map(_told, inventory.told)))
    parts.append(_map("ClientToServerEvents", "What clients send.", map(_asked, inventory.asked)))
    return "\n".join(parts)


def type_of(schema: Schema) -> str:
    """A schema as a TypeScript type."""
    if "$ref" in schema:
        return _name(target(schema))
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    for word, sign in (("allOf", " & "), ("anyOf", " | ")):
        if word in schema:
            return sign.join(dict.fromkeys(type_of(part) for part in schema[word]))
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " | ".join(_of_kind(kind, schema) for kind in kinds) or "unknown"


def _of_kind(kind: str, schema: Schema) -> str:
    if kind == "array":
        inside = type_of(schema.get("items", {}))
        return f"{inside}[]" if IDENTIFIER.match(inside) else f"Array<{inside}>"
    if kind == "object":
        return f"Record<string, {type_of(schema.get('additionalProperties') or {})}>"
    return _PLAIN[kind]


def _named(name: str, schema: Schema) -> str:
    lines = [*_comment(schema.get("description", "")), f"export interface {_name(name)} {{"]
    required = schema.get("required", ())
    for field, inside in schema["properties"].items():
        lines += [INDENT + line for line in _comment(inside.get("description", ""))]
        mark = "" if field in required else "?"
        lines.append(f"{INDENT}{_key(field)}{mark}: {type_of(inside)};")
    return "\n".join([*lines, "}\n"])


def _map(name: str, doc: str, entries: Iterator[list[str]]) -> str:
    lines = [*_comment(doc), f"export interface {name} {{"]
    for entry in entries:
        lines += [INDENT + line for line in entry]
    return "\n".join([*lines, "}\n"])


def _told(told: Told) -> list[str]:
    own = f" `{told.own}` is the receiver's own." if told.own else ""
    offset = ", offset?: string" if told.dated else ""
    sender = f"{told.doc} To {' and '.join(map(str, told.audiences))}.{own}"
    return [*_comment(sender), f"{json.dumps(told.name)}: (payload: {type_of(told.payload)}{offset}) => void;"]


def _asked(asked: Asked) -> list[str]:
    command = asked.command
    told = [" ".join(asked.doc.split())]
    if command.needs:
        told.append(f"Needs {' or '.join(command.needs)}.")
    if command.rate is not None:
        told.append(f"At most {command.rate}.")
    form = "AskingFreely" if asked.needless else "Asking"
    types = [asked.payload] if asked.reply is None else [asked.payload, asked.reply]
    return [
        *_comment(" ".join(told)),
        f"{json.dumps(asked.name)}: (...args: {form}<{', '.join(map(type_of, types))}>) => void;",
    ]


def _comment(text: str) -> list[str]:
    return [f"/** {text.replace('*/', '* /')} */"] if text else []


def _key(field: str) -> str:
    return field if IDENTIFIER.match(field) else json.dumps(field)


def _name(name: str) -> str:
    return f"{name}_" if name in TAKEN else name
