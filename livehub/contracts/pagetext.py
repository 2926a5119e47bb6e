"""The contract as a page of Markdown for people: what docs/events.md holds (`livehub events --format markdown`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from livehub.contracts.inventory import COMMON, ONE_CONNECTION, Asked, Audience, Inventory, Told
from livehub.contracts.schema import Schema, described, target
from livehub.contracts.typescript import type_of
from livehub.feature import Feature, Key, Seating

_HEAD = """\
# Events on {namespace}

<!-- Made from what the features declare: `make fmt` writes it anew. -->

What clients may send (**→**), what the server sends (**←**), and what comes back; how to live with it is told in
[clients.md](clients.md). The same as AsyncAPI 3 or as TypeScript types: `livehub events --format asyncapi|typescript`.

- The ack of every event is `{{"success": true, …}}` with the fields named under *Ack*, or
  `{{"success": false, "error": {{"message", "statusCode", "retryAfterMs"?}}}}`.
- Every event also takes `sessionId` and `eventId`, for who sits in several or in none, and an `idempotencyKey`
  (UUID v4): required where it says so, else optional. The same key within 24 hours happens once; its ack comes again
  with `"replayed": true`.
- A rate is per person; tier `vip` has twice that.
- ☆ marks events that are followed by their offset when they come from the log.
"""
_SEATS = {
    Seating.NEEDED: "who has joined the {room}",
    Seating.MEMBER: "who has ever joined the {room}",
    Seating.TAKES: "everybody",
    Seating.LEAVES: "everybody",
    Seating.FREE: "everybody",
}


def page(inventory: Inventory) -> str:
    """The whole page."""
    parts = [_HEAD.format(namespace=inventory.namespace)]
    parts += _section("The connection", "", (), (told for told in inventory.told if told.feature is None), inventory)
    for feature in inventory.features():
        asked = [asked for asked in inventory.asked if asked.feature is feature]
        told = [told for told in inventory.told if told.feature is feature]
        if asked or told:
            parts += _section(_title(feature), described(feature), asked, told, inventory)
    parts += _types(inventory)
    return "\n".join(parts)


def _title(feature: type[Feature]) -> str:
    return feature.name.replace("_", " ").capitalize()


def _section(
    title: str, text: str, asked: Iterable[Asked], told: Iterable[Told], inventory: Inventory
) -> Iterator[str]:
    yield f"## {title}\n"
    if text:
        yield f"{text}\n"
    for one in asked:
        yield from _asked(one, inventory)
    for news in told:
        yield from _told(news, inventory)


def _asked(asked: Asked, inventory: Inventory) -> Iterator[str]:
    command = asked.command
    yield f"### → `{asked.name}`\n"
    yield f"{asked.doc}\n"
    who = _SEATS[command.seat].format(room=command.room)
    facts = [f"For {who}" + (f", with {' or '.join(map(_code, command.needs))}" if command.needs else "")]
    if command.rate is not None:
        facts.append(f"at most {command.rate}")
    facts.append("key required" if command.key is Key.REQUIRED else "key optional")
    yield "; ".join(facts) + ".\n"
    schema = inventory.schemas.resolve(asked.payload)
    own = {name: inside for name, inside in schema["properties"].items() if not _is_common(name, inside)}
    yield from _table({**schema, "properties": own})
    if asked.reply is not None:
        yield f"Ack: {_shape(asked.reply, inventory)}\n"


def _told(told: Told, inventory: Inventory) -> Iterator[str]:
    yield f"### ← `{told.name}`{' ☆' if told.dated else ''}\n"
    heard = " and ".join(map(_audience, told.audiences))
    own = f" `{told.own}` is the receiver's own." if told.own else ""
    yield f"{told.doc} To {heard}.{own}\n"
    yield f"Payload: {_shape(told.payload, inventory)}\n"


def _types(inventory: Inventory) -> Iterator[str]:
    """Every schema that is named in an ack or an event, with its fields."""
    yield "## Types\n"
    payloads = {target(asked.payload) for asked in inventory.asked}
    for name, schema in sorted(inventory.schemas.named.items()):
        if name not in payloads:
            yield f"### {name}\n"
            if text := schema.get("description"):
                yield f"{text}\n"
            yield from _table(schema)


def _table(schema: Schema) -> Iterator[str]:
    if not schema["properties"]:
        return
    yield "| field | type | |"
    yield "|---|---|---|"
    required = schema.get("required", ())
    for name, inside in schema["properties"].items():
        notes = ["" if name in required else "optional", inside.get("description", "")]
        if "default" in inside:
            notes.append(f"default {_code(json.dumps(inside['default']))}")
        yield f"| `{name}` | {_cell(_code(type_of(inside)))} | {_cell('; '.join(filter(None, notes)))} |"
    yield ""


def _shape(schema: Schema, inventory: Inventory) -> str:
    """A type in a line: a link if it has a name."""
    if "$ref" not in schema:
        return _code(type_of(schema))
    name = target(schema)
    fields = ", ".join(inventory.schemas.resolve(schema)["properties"])
    return f"[{name}](#{name.lower()}) `{{{fields}}}`"


def _is_common(name: str, field: Schema) -> bool:
    return name in COMMON and field.get("description") == COMMON[name]


def _audience(audience: Audience) -> str:
    if audience == ONE_CONNECTION:
        return audience.name
    return _code(audience.name) + (f" (who has {_code(audience.needs)})" if audience.needs else "")


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", "\\|"))
