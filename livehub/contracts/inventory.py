"""What can be said on a namespace, in both directions: what the features declare, read once for every document.

Text, page, AsyncAPI and TypeScript are printers of this and of its schemas; none of them reads a feature by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict, TypeVar, get_type_hints, is_typeddict

from livehub.contracts.schema import Schema, Schemas
from livehub.feature import SYSTEM, Command, Emits, Empty, Feature, Key, OutsideId, Seating, Uuid, Via
from livehub.rooms.catalog import Catalog

T = TypeVar("T")

COMMON = {
    "idempotencyKey": "UUID v4 of this act: sent again with it, it happens once.",
    "sessionId": "The session that is meant, if the connection does not tell.",
    "eventId": "The event that is meant, if the connection does not tell.",
}
"""What every event takes beside its own fields (contracts, points 1 and 22)."""


class Success(TypedDict):
    """The ask was carried out and is on disk; `replayed` when that was for an earlier one with the same key."""

    success: Literal[True]
    replayed: NotRequired[Literal[True]]


class Fault(TypedDict):
    """What was wrong, in words for the user; a rate limit or a busy server says when to come again."""

    message: str
    statusCode: int
    retryAfterMs: NotRequired[int]


class Failure(TypedDict):
    """The ask was refused and changed nothing."""

    success: Literal[False]
    error: Fault


class ConnectionAcknowledged(TypedDict):
    """Whom the server takes the client for."""

    userId: str


class SystemErrorNotice(TypedDict):
    """What failed; `reason` is a snake_case code."""

    message: str
    reason: str
    retryAfterMs: NotRequired[int]


ACKNOWLEDGED = "On every connection, recovered or not."
SYSTEM_ERROR = "What failed without an ack, or why a client is shown out."
SNAPSHOT = "After `{join}` took a seat: what a screen begins with."


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears an event, and the permission that seats one there."""

    name: str
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.needs})" if self.needs else self.name


ONE_CONNECTION = Audience("the client alone")


@dataclass(frozen=True, slots=True)
class Asked:
    """An event that clients send."""

    name: str
    doc: str
    feature: type[Feature]
    command: Command
    payload: Schema  # a reference
    reply: Schema | None  # None: nothing beside the success
    needless: bool  # nothing in the payload is required: null will do


@dataclass(frozen=True, slots=True)
class Told:
    """An event that the server sends."""

    name: str
    doc: str
    feature: type[Feature] | None  # None: of the namespace itself
    payload: Schema
    audiences: tuple[Audience, ...]
    dated: bool  # an offset may follow the payload
    own: str = ""  # a field that is each receiver's own


class Inventory:
    """The events of a namespace."""

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self.namespace = namespace
        self.catalog = catalog
        self.schemas = Schemas()
        for kind in (Success, Failure):
            self.schemas.of(kind)
        self.told = [
            self._alone("connectionAcknowledged", ACKNOWLEDGED, self.schemas.of(ConnectionAcknowledged)),
            self._alone("systemError", SYSTEM_ERROR, self.schemas.of(SystemErrorNotice), dated=False),
            *self._snapshots(),
            *(self._told(name, declared) for name, declared in _by_name(catalog.emits)),
        ]
        self.asked = [
            self._asked(feature, command)
            for feature in self.features()
            for command in feature.commands()
            if command.via in (Via.SOCKET, Via.BOTH)
        ]

    def features(self) -> list[type[Feature]]:
        """All features, by name."""
        found = [feature for kind in self.catalog.features.values() for feature in kind]
        return sorted(found, key=lambda feature: feature.name)

    def ack(self, asked: Asked) -> Schema:
        """What an event's ack is when it was carried out."""
        success = self.schemas.of(Success)
        return success if asked.reply is None else {"allOf": [success, asked.reply]}

    def _asked(self, feature: type[Feature], command: Command) -> Asked:
        own = _pascal(command.name) + "Payload"
        name = own if command.payload is Empty else command.payload.__name__.removesuffix("Payload") + "Payload"
        fields = self.schemas.fields(command.payload)
        if command.payload is Empty:
            del fields["description"]  # it speaks of the class, not of this event
        schema = self._common(fields, command.key)
        reference = self.schemas.add(name, schema, own)
        reply = self.schemas.of(command.returns) if tells(command) else None
        doc, needless = inspect.cleandoc(command.doc), "required" not in schema
        return Asked(command.name, doc, feature, command, reference, reply, needless)

    def _common(self, schema: Schema, key: Key) -> Schema:
        required = key is Key.REQUIRED
        kinds = {"idempotencyKey": Uuid if required else Uuid | None}
        common = {
            name: self.schemas.of(kinds.get(name, OutsideId | None)) | {"description": text}
            for name, text in COMMON.items()
        }
        schema = {**schema, "properties": schema["properties"] | common | schema["properties"]}
        if required:
            schema["required"] = [*schema.get("required", ()), "idempotencyKey"]
        return schema

    def _told(self, name: str, declared: list[tuple[type[Feature], Emits]]) -> Told:
        shapes: list[Schema] = []
        for _, emits in declared:
            if (shape := self.schemas.of(emits.type)) not in shapes:
                shapes.append(shape)
        return Told(
            name,
            " ".join(_once(emits.doc for _, emits in declared)),
            declared[0][0],
            shapes[0] if len(shapes) == 1 else {"anyOf": shapes},
            _once(self._audience(feature, to) for feature, emits in declared for to in emits.audiences),
            any(self._dated(feature, emits) for feature, emits in declared),
            next((own.field for own in (emits.own for _, emits in declared) if own), ""),
        )

    def _dated(self, feature: type[Feature], emits: Emits) -> bool:
        """What is a view and nothing else has no offset."""
        return bool(emits.of) or all(view.name != emits.name for view in feature.views())

    def _audience(self, feature: type[Feature], to: str) -> Audience:
        if to and not to.startswith(":"):
            return Audience(to)
        needs = self.catalog.audiences[feature.room].get(to, "")
        return Audience(f"{feature.room}:{{{named_by(feature)}}}{to}", needs)

    def _snapshots(self) -> Iterator[Told]:
        for command in self.catalog.commands.values():
            if command.seat is Seating.TAKES:
                event = f"{command.room}.snapshot"
                schema = self.schemas.add(_pascal(event), self._snapshot(command), f"{_pascal(event)}Event")
                yield self._alone(event, SNAPSHOT.format(join=command.name), schema)

    def _alone(self, name: str, doc: str, payload: Schema, *, dated: bool = True) -> Told:
        return Told(name, doc, None, payload, (ONE_CONNECTION,), dated)

    def _snapshot(self, command: Command) -> Schema:
        """The reply of the join and what each feature adds. A feature that returns a `TypedDict` says of what type;

        of one that does not, only the names are known: those that an empty room shows.
        """
        schema: Schema = {"type": "object", "properties": {}, "required": []}
        parts: list[Schema] = []
        if command.returns is not None:
            parts.append(self.schemas.fields(command.returns))
        for feature in self.catalog.build(command.room, "empty"):
            returned: Any = get_type_hints(feature.snapshot).get("return")
            if is_typeddict(returned):
                parts.append(self.schemas.fields(returned))
            else:
                names = list(feature.snapshot(SYSTEM))
                parts.append({"properties": {name: {} for name in names}, "required": names})
        for part in parts:
            schema["properties"] |= part["properties"]
            schema["required"] += part.get("required", [])
        return schema


def tells(command: Command) -> bool:
    """Whether the reply has anything beside the success."""
    return bool(command.returns is not None and get_type_hints(command.returns))


def named_by(feature: type[Feature]) -> str:
    """The field that carries the id of a feature's room."""
    return feature.named_by or f"{feature.room}Id"


def _by_name(emits: Iterable[tuple[type[Feature], Emits]]) -> list[tuple[str, list[tuple[type[Feature], Emits]]]]:
    """Features may send one event to different audiences: it is still one event."""
    found: dict[str, list[tuple[type[Feature], Emits]]] = {}
    for feature, declared in emits:
        found.setdefault(declared.name, []).append((feature, declared))
    return list(found.items())


def _once(those: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(those))


def _pascal(event: str) -> str:
    """`qa.question.ask` → `QaQuestionAsk`; `content.request_state` → `ContentRequestState`."""
    return "".join(word[:1].upper() + word[1:] for word in event.replace("_", ".").split("."))
