"""The contract as an AsyncAPI 3.0 document.

AsyncAPI knows no Socket.IO. A namespace is a channel over WebSocket; an event is a message whose payload is the event's
first argument; an ack is the reply to an operation. What has no word there stands under `x-`: permissions, rates, who
hears an event, and whether an offset follows the payload.
"""

from __future__ import annotations

from typing import Any

import livehub
from livehub.contracts.inventory import Asked, Audience, Failure, Inventory, Told
from livehub.contracts.schema import Schema, described
from livehub.payload import Rate

CHANNEL = "namespace"
_ABOUT = " ".join(
    (
        "The namespace {namespace} of livehub, for Socket.IO v4 clients.",
        "A message's payload is the first argument of the event; the reply of an operation is the ack.",
        "What failed without an ack is told to its sender as `systemError`.",
        "A mutation that comes again with the same `idempotencyKey` within 24 hours happens once: its ack comes again,",
        "with `replayed: true`.",
        "`x-offset` marks events that may be followed by their offset, a string, as a second argument.",
    )
)
_JWT = "A JWT, in `auth.token` of the Socket.IO CONNECT (with or without `Bearer `) or in an `Authorization` header."
_QUERY: Schema = {
    "type": "object",
    "properties": {
        "EIO": {"type": "string", "enum": ["4"]},
        "transport": {"type": "string", "enum": ["websocket", "polling"]},
        "sessionId": {"type": "string", "description": "The session that is meant where a payload names none."},
        "eventId": {"type": "string", "description": "The event that is meant where a payload names none."},
    },
}


def asyncapi(inventory: Inventory) -> dict[str, Any]:
    """The whole document."""
    messages: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for asked in inventory.asked:
        messages |= {f"ask.{asked.name}": _question(asked), f"ack.{asked.name}": _answer(inventory, asked)}
        operations[f"receive.{asked.name}"] = _receive(asked)
    for told in inventory.told:
        messages[f"tell.{told.name}"] = _news(told)
        operations[f"send.{told.name}"] = _send(told)
    tags = [{"name": feature.name, "description": described(feature)} for feature in inventory.features()]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"livehub {inventory.namespace}",
            "version": livehub.__version__,
            "description": _ABOUT.format(namespace=inventory.namespace),
            "license": {"name": "Apache-2.0"},
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "servers": {
            "livehub": {
                "host": "localhost:3002",
                "pathname": "/socket.io/",
                "protocol": "ws",
                "description": "Engine.IO v4 over WebSocket or long polling, Socket.IO v5 within.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {
            CHANNEL: {
                "address": inventory.namespace,
                "messages": messages,
                "bindings": {"ws": {"method": "GET", "query": _QUERY, "bindingVersion": "0.1.0"}},
            }
        },
        "operations": operations,
        "components": {
            "schemas": inventory.schemas.named,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _JWT}
            },
        },
    }


def rate_of(rate: Rate) -> dict[str, float]:
    """A rate as `x-rate` tells it, per person."""
    return {"requests": rate.asks, "seconds": rate.per_s}


def _question(asked: Asked) -> dict[str, Any]:
    message = {"name": asked.name, "payload": asked.payload}
    return {**message, "x-payload-optional": True} if asked.needless else message


def _answer(inventory: Inventory, asked: Asked) -> dict[str, Any]:
    payload = {"oneOf": [inventory.ack(asked), inventory.schemas.of(Failure)]}
    return {"name": f"{asked.name} (ack)", "payload": payload}


def _news(told: Told) -> dict[str, Any]:
    return {"name": told.name, "payload": told.payload, "x-offset": told.dated}


def _receive(asked: Asked) -> dict[str, Any]:
    command = asked.command
    operation: dict[str, Any] = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "description": asked.doc,
        "messages": [_reference("ask", asked.name)],
        "reply": {"channel": {"$ref": f"#/channels/{CHANNEL}"}, "messages": [_reference("ack", asked.name)]},
        "tags": [{"name": asked.feature.name}],
        "x-seat": command.seat.value,
    }
    if command.needs:
        operation["x-permissions"] = list(command.needs)
    if command.rate is not None:
        operation["x-rate"] = rate_of(command.rate)
    return operation


def _send(told: Told) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "description": told.doc,
        "messages": [_reference("tell", told.name)],
        "x-audiences": [_audience(audience) for audience in told.audiences],
    }
    if told.feature is not None:
        operation["tags"] = [{"name": told.feature.name}]
    if told.own:
        operation["x-own"] = told.own
    return operation


def _audience(audience: Audience) -> dict[str, str]:
    return {"name": audience.name} | ({"permission": audience.needs} if audience.needs else {})


def _reference(side: str, event: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{CHANNEL}/messages/{side}.{event}"}
