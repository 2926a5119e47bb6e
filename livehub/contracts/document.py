"""The wire contract in words, made from what the features declare: what `livehub events` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from livehub.feature import EVERYONE, Command, Emits, Key, Via
from livehub.rooms.catalog import Catalog
from livehub.rooms.payloads import camel, describe

INDENT = "    "


def contract_text(catalog: Catalog, namespace: str) -> str:
    """Every event of a namespace: payload, permission, rate, answer; then what the server sends."""
    commands = [command for command in catalog.commands.values() if command.via in (Via.SOCKET, Via.BOTH)]
    lines = [f"NAMESPACE {namespace}", "", "CLIENT → SERVER", ""]
    for command in commands:
        lines += [*_command(command), ""]
    lines += [
        "Every event also accepts sessionId and eventId. A mutation that comes again with the same idempotencyKey"
    ]
    lines += ["(24 h) happens once: its ack comes again with replayed: true.", "", "SERVER → CLIENT", ""]
    for event, doc in _BUILT_IN.items():
        lines += [event, f"{INDENT}{doc}", ""]
    for feature, emits in catalog.emits:
        lines += [*_emits(feature.room, emits), ""]
    return "\n".join(lines)


_BUILT_IN = {
    "connectionAcknowledged {userId}": "On every connection, recovered or not. To the client.",
    "systemError {message, reason, retryAfterMs?}": "What failed without an ack, or why a client is shown out.",
    "session.snapshot {sessionId, messages}": "After a session.join that took a seat: what a screen begins with.",
}


def _command(command: Command) -> Iterator[str]:
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


def _emits(room: str, emits: Emits) -> Iterator[str]:
    yield emits.name
    yield f"{INDENT}{emits.doc}"
    for name, hint in _fields(emits.type):
        yield f"{INDENT}{name}: {_type(hint)}"
    part = "" if emits.to == EVERYONE else emits.to
    yield f"{INDENT}to {room}:{{id}}{part}"


def _fields(kind: Any) -> list[tuple[str, Any]]:
    fields = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        fields.append((f"{name}?", get_args(hint)[0]) if optional else (name, hint))
    return fields


def _type(hint: Any) -> str:
    if is_typeddict(hint):
        return "{" + ", ".join(f"{name}: {_type(inside)}" for name, inside in _fields(hint)) + "}"
    if hint is type(None):
        return "null"
    if args := get_args(hint):
        joined = [_type(arg) for arg in args]
        if get_origin(hint) is list:
            return f"list of {joined[0]}"
        return f"map of {joined[0]} to {joined[1]}" if get_origin(hint) is dict else " | ".join(joined)
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(hint, str(hint))
