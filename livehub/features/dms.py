"""Direct messages: one mailbox per person, where they write and where they are written to (contract 1, §7).

Two people are two rooms, and neither reads the other's state: word goes between them by `Tell`. After a failed commit
such word can come late and out of order, so each settles the matter alone: a delivery is the whole message with its
revision, a receipt all that is known so far. Word that is old changes nothing.

This feature knows whose each message is and how far it got; texts are kept by `conversations.py`, blocks are set in
`blocks.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Emits,
    Fact,
    Feature,
    Outcome,
    OutsideId,
    Refused,
    Seating,
    Tell,
    Text,
    Uuid,
    applies,
    command,
    internal,
    payload,
    user,
)

TEXT_CHARS_MAX = 2_000
GONE_MAX = 1_000
"""Ids of deleted messages are kept for deliveries that are late by seconds, not for ever."""


@payload
class SendDm:
    """Contract 1, §7.1."""

    recipient_id: OutsideId
    text: Annotated[str, Text(TEXT_CHARS_MAX)]


@payload
class NameDm:
    """Contract 1, §7.3, §7.4 and §7.6."""

    message_id: Uuid


@payload
class EditDm:
    """Contract 1, §7.5."""

    message_id: Uuid
    new_text: Annotated[str, Text(TEXT_CHARS_MAX)]


class DirectMessage(TypedDict):
    """Contract 1, §7.2."""

    id: str
    text: str
    timestamp: str
    senderId: str
    conversationId: str
    isDelivered: bool
    isRead: bool


class EditedDirectMessage(DirectMessage):
    """A direct message with its new text (contracts, point 21)."""

    isEdited: bool
    editedAt: str


class DmNamed(TypedDict):
    """The ack of whatever is done with a direct message."""

    messageId: str


class DmGone(DmNamed):
    """A deleted message (contracts, point 21)."""

    conversationId: str


class DmSent(DmGone):
    """The ack of `dm.send`."""

    timestamp: str


class DmDeliveryUpdate(DmGone):
    """Contract 1, §7.3."""

    isDelivered: bool
    deliveredAt: str


class DmReadUpdate(DmGone):
    """Contract 1, §7.4."""

    isRead: bool
    readAt: str


class Delivery(TypedDict):
    """Word to the recipient: a message as it is now, from `userId`. `editedAt` is "" before the first edit."""

    messageId: str
    userId: str
    text: str
    timestamp: str
    editedAt: str
    revision: int


class Removal(TypedDict):
    """Word to the recipient: `userId` deleted a message of theirs."""

    messageId: str
    userId: str


class Receipt(TypedDict):
    """Word to the sender. `readAt` is "" while the message is only delivered."""

    messageId: str
    deliveredAt: str
    readAt: str


@dataclass(slots=True)
class Message:
    """How far one message got, in the mailbox of its sender or of its recipient. Times are "" until they come."""

    id: str
    conversation_id: str
    other: str  # to whom it was written, or who wrote it
    timestamp: str
    revision: int = 0  # how often it was edited
    delivered_at: str = ""
    read_at: str = ""


def conversation_id(one: str, other: str) -> str:
    """The same UUID from both sides, made from the pair; ids of people contain no space."""
    digits = hashlib.sha256(" ".join(sorted((one, other))).encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _message(data: dict[str, JSON], _: str) -> JSON:
    return data["message"]


@dataclass
class DirectMessages(Feature):
    """The mailbox of one person: `room_id` is who they are."""

    name: ClassVar[str] = "dms"
    room: ClassVar[str] = "user"
    emits = (
        Emits("dm.new", DirectMessage, "Somebody wrote to you.", of=("dm.arrived",), render=_message),
        Emits("dm.delivery_update", DmDeliveryUpdate, "Your message was delivered.", of=("dm.delivery.noted",)),
        Emits("dm.read_update", DmReadUpdate, "Your message was read.", of=("dm.read.noted",)),
        Emits(
            "dm.message.updated",
            EditedDirectMessage,
            "A message was edited by who wrote it.",
            of=("dm.edited", "dm.edit.arrived"),
            render=_message,
        ),
        Emits("dm.message.deleted", DmGone, "A message is gone.", of=("dm.deleted", "dm.removed")),
    )

    sent: dict[str, Message] = field(default_factory=dict)
    arrived: dict[str, Message] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)  # removed by their senders
    blocked: set[str] = field(default_factory=set)
    barred_by: set[str] = field(default_factory=set)  # who blocked this person

    @command("dm.send", seat=Seating.FREE, creates=True, rate="20/10s", returns=DmSent)
    def send(self, ask: Ask[SendDm]) -> Outcome:
        """Write to somebody, whether they are there or not."""
        other, text = ask.payload.recipient_id, ask.payload.text
        if other == self.room_id:
            raise Refused("You cannot message yourself")
        self._check_blocks(other)
        message = Message(ask.new_id(), conversation_id(self.room_id, other), other, ask.now)
        fact = Fact("dm.sent", {"message": self._shown(message, text, self.room_id), "other": other})
        reply = {"messageId": message.id, "conversationId": message.conversation_id, "timestamp": ask.now}
        return Outcome([fact], reply, [self._deliver(message, text, "", 0)])

    @command("dm.delivered", seat=Seating.FREE, creates=True, rate="500/10s", returns=DmNamed)
    def delivered(self, ask: Ask[NameDm]) -> Outcome:
        """Tell the sender that a message reached this person; it is not sent again on the next connection."""
        message = self._find(ask.payload.message_id)
        return Outcome(reply={"messageId": message.id}) if message.delivered_at else self._received(message, ask, "")

    @command("dm.read", seat=Seating.FREE, creates=True, rate="500/10s", returns=DmNamed)
    def read(self, ask: Ask[NameDm]) -> Outcome:
        """Tell the sender that this person saw a message, and so that it was delivered."""
        message = self._find(ask.payload.message_id)
        return Outcome(reply={"messageId": message.id}) if message.read_at else self._received(message, ask, ask.now)

    @command("dm.message.edit", seat=Seating.FREE, creates=True, rate="20/10s", returns=DmNamed)
    def edit(self, ask: Ask[EditDm]) -> Outcome:
        """Change the text of one's own message. It is another way to write to somebody, so blocks count."""
        message, text = self._own(ask.payload.message_id, "edit"), ask.payload.new_text
        self._check_blocks(message.other)
        shown = self._shown(message, text, self.room_id) | {"isEdited": True, "editedAt": ask.now}
        revision = message.revision + 1
        fact = Fact("dm.edited", {"message": shown, "revision": revision}, (user(self.room_id),))
        return Outcome([fact], {"messageId": message.id}, [self._deliver(message, text, ask.now, revision)])

    @command("dm.message.delete", seat=Seating.FREE, creates=True, rate="50/10s", returns=DmNamed)
    def delete(self, ask: Ask[NameDm]) -> Outcome:
        """Take back one's own message, from the recipient too."""
        message = self._own(ask.payload.message_id, "delete")
        fact = Fact("dm.deleted", _named(message), (user(self.room_id),))
        word = Removal(messageId=message.id, userId=self.room_id)
        return Outcome([fact], {"messageId": message.id}, [Tell(user(message.other), "dm.remove", word)])

    @internal("dm.deliver")
    def deliver(self, ask: Ask[Delivery]) -> Outcome:
        """Take a message, or its new text. A new text that overtook its message is the message."""
        told = ask.payload
        if told["userId"] in self.blocked or told["messageId"] in self.gone:
            return Outcome()
        message = self.arrived.get(told["messageId"])
        if message is None:
            talk = conversation_id(self.room_id, told["userId"])
            message = Message(told["messageId"], talk, told["userId"], told["timestamp"])
            shown = self._shown(message, told["text"], told["userId"])
            more = {"other": told["userId"], "editedAt": told["editedAt"], "revision": told["revision"]}
            return Outcome([Fact("dm.arrived", {"message": shown, **more}, (user(self.room_id),))])
        if told["revision"] <= message.revision:
            return Outcome()
        shown = self._shown(message, told["text"], message.other) | {"isEdited": True, "editedAt": told["editedAt"]}
        data = {"message": shown, "revision": told["revision"]}
        return Outcome([Fact("dm.edit.arrived", data, (user(self.room_id),))])

    @internal("dm.remove")
    def remove(self, ask: Ask[Removal]) -> Outcome:
        """Forget a message that its sender deleted; one that is still on its way will not be taken."""
        told = ask.payload
        if told["messageId"] in self.gone:
            return Outcome()
        talk = conversation_id(self.room_id, told["userId"])
        data = {"messageId": told["messageId"], "conversationId": talk}
        known = told["messageId"] in self.arrived
        return Outcome([Fact("dm.removed", data, (user(self.room_id),) if known else ())])

    @internal("dm.receipt")
    def receipt(self, ask: Ask[Receipt]) -> Outcome:
        """Show the sender what they do not know yet of a message that is still there."""
        told, message = ask.payload, self.sent.get(ask.payload["messageId"])
        if message is None:
            return Outcome()
        facts, to = [], (user(self.room_id),)
        if not message.delivered_at:
            data = _named(message) | {"isDelivered": True, "deliveredAt": told["deliveredAt"]}
            facts.append(Fact("dm.delivery.noted", data, to))
        if told["readAt"] and not message.read_at:
            facts.append(Fact("dm.read.noted", _named(message) | {"isRead": True, "readAt": told["readAt"]}, to))
        return Outcome(facts)

    @applies("dm.sent")
    def _on_sent(self, data: dict[str, JSON], at_ms: int) -> None:
        shown = data["message"]
        self.sent[shown["id"]] = Message(shown["id"], shown["conversationId"], data["other"], shown["timestamp"])

    @applies("dm.arrived")
    def _on_arrived(self, data: dict[str, JSON], at_ms: int) -> None:
        shown = data["message"]
        self.arrived[shown["id"]] = Message(
            shown["id"], shown["conversationId"], data["other"], shown["timestamp"], data["revision"]
        )

    @applies("dm.edited")
    def _on_edited(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sent[data["message"]["id"]].revision = data["revision"]

    @applies("dm.edit.arrived")
    def _on_edit_arrived(self, data: dict[str, JSON], at_ms: int) -> None:
        self.arrived[data["message"]["id"]].revision = data["revision"]

    @applies("dm.deleted")
    def _on_deleted(self, data: dict[str, JSON], at_ms: int) -> None:
        del self.sent[data["messageId"]]

    @applies("dm.removed")
    def _on_removed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.arrived.pop(data["messageId"], None)
        self.gone[data["messageId"]] = None
        if len(self.gone) > GONE_MAX:
            del self.gone[next(iter(self.gone))]

    @applies("dm.forgotten")
    def _on_forgotten(self, data: dict[str, JSON], at_ms: int) -> None:
        (self.sent if data["mine"] else self.arrived).pop(data["messageId"], None)

    @applies("dm.delivered", "dm.read")
    def _on_received(self, data: dict[str, JSON], at_ms: int) -> None:
        message = self.arrived[data["messageId"]]
        message.delivered_at, message.read_at = data["deliveredAt"], data["readAt"]

    @applies("dm.delivery.noted")
    def _on_delivery_noted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sent[data["messageId"]].delivered_at = data["deliveredAt"]

    @applies("dm.read.noted")
    def _on_read_noted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sent[data["messageId"]].read_at = data["readAt"]

    @applies("dm.blocked")
    def _on_blocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.blocked.add(data["userId"])

    @applies("dm.unblocked")
    def _on_unblocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.blocked.discard(data["userId"])

    @applies("dm.barred")
    def _on_barred(self, data: dict[str, JSON], at_ms: int) -> None:
        (self.barred_by.add if data["blocked"] else self.barred_by.discard)(data["userId"])

    def _check_blocks(self, other: str) -> None:
        if other in self.blocked:
            raise Refused("You blocked this user: unblock them to message them", 403, code="forbidden")
        if other in self.barred_by:
            raise Refused("You cannot message this user", 403, code="forbidden")

    def _find(self, message_id: str) -> Message:
        message = self.arrived.get(message_id)
        if message is None:
            raise Refused("Message not found", 404, code="not_found")
        return message

    def _own(self, message_id: str, verb: str) -> Message:
        message = self.sent.get(message_id)
        if message is None:
            self._find(message_id)
            raise Refused(f"You can only {verb} your own messages", 403, code="forbidden")
        return message

    def _deliver(self, message: Message, text: str, edited_at: str, revision: int) -> Tell:
        word = Delivery(
            messageId=message.id,
            userId=self.room_id,
            text=text,
            timestamp=message.timestamp,
            editedAt=edited_at,
            revision=revision,
        )
        return Tell(user(message.other), "dm.deliver", word)

    def _received(self, message: Message, ask: Ask[NameDm], read_at: str) -> Outcome:
        times = {"deliveredAt": message.delivered_at or ask.now, "readAt": read_at}
        fact = Fact("dm.read" if read_at else "dm.delivered", _named(message) | times)
        word = Tell(user(message.other), "dm.receipt", {"messageId": message.id, **times})
        return Outcome([fact], {"messageId": message.id}, [word])

    def _shown(self, message: Message, text: str, sender_id: str) -> dict[str, JSON]:
        return {
            "id": message.id,
            "text": text,
            "timestamp": message.timestamp,
            "senderId": sender_id,
            "conversationId": message.conversation_id,
            "isDelivered": bool(message.delivered_at),
            "isRead": bool(message.read_at),
        }


def _named(message: Message) -> dict[str, JSON]:
    return {"messageId": message.id, "conversationId": message.conversation_id}
