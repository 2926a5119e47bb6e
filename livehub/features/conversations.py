"""Conversations: what a mailbox remembers of its direct messages, and shows over REST and on every new connection.

It follows the facts of `dms.py`. What is too much is forgotten by a fact of its own, so that both features forget the
same message in the same commit; the log still knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Fact,
    Feature,
    Outcome,
    Person,
    Refused,
    Seating,
    Uuid,
    Whole,
    applies,
    on,
    payload,
    reading,
)

CONVERSATION_MESSAGES_MAX = 1_000
"""The latest of each conversation: whoever floods it pushes out only what was said there."""
MAILBOX_MESSAGES_MAX = 10_000
"""Of all conversations together. Past it the one that was quiet longest loses its oldest message."""
WELCOME_MESSAGES_MAX = 200
WELCOME_TEXT_CHARS_MAX = 100_000
"""At most 6 bytes of JSON each, so what waited fits an outbox of 1 MiB; the rest comes when these were delivered."""
PAGE_MESSAGES = 50
PAGE_MESSAGES_MAX = 200
PAGE_CONVERSATIONS = 50
PAGE_CONVERSATIONS_MAX = 100

NEW_FIELDS = ("id", "text", "timestamp", "senderId", "conversationId", "isDelivered", "isRead")
"""What `dm.new` shows of a message."""


@payload
class ReadConversations:
    """Query of `GET /api/conversations`."""

    before: Uuid | None = None
    limit: Annotated[int, Whole(1, PAGE_CONVERSATIONS_MAX)] = PAGE_CONVERSATIONS


@payload
class ReadConversation:
    """Path and query of `GET /api/conversations/{conversationId}/messages`."""

    conversation_id: Uuid
    before: Uuid | None = None
    limit: Annotated[int, Whole(1, PAGE_MESSAGES_MAX)] = PAGE_MESSAGES


class KeptDirectMessage(TypedDict):
    """A direct message (contract 1, §7.2) and whether it was edited."""

    id: str
    text: str
    timestamp: str
    senderId: str
    conversationId: str
    isDelivered: bool
    isRead: bool
    isEdited: bool
    editedAt: str | None


class ConversationInfo(TypedDict):
    """A conversation as one of the two sees it; `userId` is the other."""

    id: str
    userId: str
    lastMessage: KeptDirectMessage
    unreadCount: int


class ConversationPage(TypedDict):
    """Conversations, the one with the newest message first."""

    conversations: list[ConversationInfo]
    hasMore: bool


class DirectMessagePage(TypedDict):
    """A page of one conversation, oldest first (contracts, point 18)."""

    messages: list[KeptDirectMessage]
    hasMore: bool


@dataclass(slots=True)
class Conversation:
    """All that was said with one person, as `KeptDirectMessage`, in the order in which it came here."""

    other: str
    messages: dict[str, dict[str, JSON]] = field(default_factory=dict)

    def oldest_first(self) -> list[dict[str, JSON]]:
        """By time, so that both sides read the same, also where their words crossed."""
        return sorted(self.messages.values(), key=_time)

    def newest(self) -> dict[str, JSON]:
        """The last message; of several at the same time, the one that came last."""
        return max(reversed(self.messages.values()), key=_time)


@dataclass
class Conversations(Feature):
    """The conversations of one person."""

    name: ClassVar[str] = "conversations"
    room: ClassVar[str] = "user"

    conversations: dict[str, Conversation] = field(default_factory=dict)  # the quietest first
    count: int = 0  # messages of all of them
    blocked: set[str] = field(default_factory=set)

    @reading(
        "dm.conversations",
        seat=Seating.FREE,
        creates=True,
        rate="100/10s",
        returns=ConversationPage,
        rest="GET /conversations",
    )
    def list_conversations(self, ask: Ask[ReadConversations]) -> Outcome:
        """Show a page of the asker's conversations, from the newest unless `before` names one; newest first."""
        before, limit = ask.payload.before, ask.payload.limit
        latest = [(talk_id, talk, talk.newest()) for talk_id, talk in reversed(self.conversations.items())]
        latest.sort(key=lambda found: _time(found[2]), reverse=True)
        if before is not None:
            self._find(before)
            latest = latest[1 + next(place for place, found in enumerate(latest) if found[0] == before) :]
        page = [
            {"id": talk_id, "userId": talk.other, "lastMessage": dict(newest), "unreadCount": self._unread(talk)}
            for talk_id, talk, newest in latest[:limit]
        ]
        return Outcome(reply={"conversations": page, "hasMore": len(latest) > limit})

    @reading(
        "dm.history",
        seat=Seating.FREE,
        creates=True,
        rate="100/10s",
        returns=DirectMessagePage,
        rest="GET /conversations/{conversationId}/messages",
    )
    def history(self, ask: Ask[ReadConversation]) -> Outcome:
        """Show a page of one conversation, the newest unless `before` names a message; oldest first."""
        talk, before, limit = self._find(ask.payload.conversation_id), ask.payload.before, ask.payload.limit
        messages = talk.oldest_first()
        if before is not None:
            if before not in talk.messages:
                raise Refused("Message not found", 404, code="not_found")
            messages = messages[: next(place for place, found in enumerate(messages) if found["id"] == before)]
        page = [dict(message) for message in messages[-limit:]]
        return Outcome(reply={"messages": page, "hasMore": len(messages) > limit})

    @on("dm.sent", "dm.arrived")
    def keep_bounds(self, data: dict[str, JSON], ask: Ask[JSON]) -> Outcome:
        """Forget the oldest message where there are too many."""
        talk = self.conversations[data["message"]["conversationId"]]
        if len(talk.messages) <= CONVERSATION_MESSAGES_MAX:
            if self.count <= MAILBOX_MESSAGES_MAX:
                return Outcome()
            talk = next(iter(self.conversations.values()))
        oldest = next(iter(talk.messages.values()))
        named = {"messageId": oldest["id"], "conversationId": oldest["conversationId"], "mine": self._is_mine(oldest)}
        return Outcome([Fact("dm.forgotten", named)])

    @applies("dm.sent", "dm.arrived")
    def _on_new(self, data: dict[str, JSON], at_ms: int) -> None:
        shown, edited_at = data["message"], data.get("editedAt")
        talk_id = shown["conversationId"]
        talk = self.conversations.pop(talk_id, None) or Conversation(data["other"])
        self.conversations[talk_id] = talk
        talk.messages[shown["id"]] = {**shown, "isEdited": bool(edited_at), "editedAt": edited_at or None}
        self.count += 1

    @applies("dm.edited", "dm.edit.arrived")
    def _on_edited(self, data: dict[str, JSON], at_ms: int) -> None:
        shown = data["message"]
        self.conversations[shown["conversationId"]].messages[shown["id"]] = dict(shown)

    @applies("dm.deleted", "dm.removed", "dm.forgotten")
    def _on_gone(self, data: dict[str, JSON], at_ms: int) -> None:
        talk = self.conversations.get(data["conversationId"])
        if talk is None or talk.messages.pop(data["messageId"], None) is None:
            return  # removed before it came
        self.count -= 1
        if not talk.messages:
            del self.conversations[data["conversationId"]]

    @applies("dm.delivered", "dm.delivery.noted")
    def _on_delivered(self, data: dict[str, JSON], at_ms: int) -> None:
        self.conversations[data["conversationId"]].messages[data["messageId"]]["isDelivered"] = True

    @applies("dm.read", "dm.read.noted")
    def _on_read(self, data: dict[str, JSON], at_ms: int) -> None:
        message = self.conversations[data["conversationId"]].messages[data["messageId"]]
        message["isDelivered"] = message["isRead"] = True

    @applies("dm.blocked")
    def _on_blocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.blocked.add(data["userId"])

    @applies("dm.unblocked")
    def _on_unblocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.blocked.discard(data["userId"])

    def welcome(self, who: Person) -> Iterable[tuple[str, JSON]]:
        """What was not delivered yet, oldest first; not from somebody who was blocked meanwhile."""
        waiting = [
            message
            for talk in self.conversations.values()
            if talk.other not in self.blocked
            for message in talk.messages.values()
            if not message["isDelivered"] and not self._is_mine(message)
        ]
        events: list[tuple[str, JSON]] = []
        chars = 0
        for message in sorted(waiting, key=_time)[:WELCOME_MESSAGES_MAX]:
            chars += len(message["text"])
            if chars > WELCOME_TEXT_CHARS_MAX:
                break
            events.append(("dm.new", {name: message[name] for name in NEW_FIELDS}))
        return events

    def _find(self, conversation_id: str) -> Conversation:
        talk = self.conversations.get(conversation_id)
        if talk is None:
            raise Refused("Conversation not found", 404, code="not_found")
        return talk

    def _unread(self, talk: Conversation) -> int:
        return sum(not message["isRead"] and not self._is_mine(message) for message in talk.messages.values())

    def _is_mine(self, message: dict[str, JSON]) -> bool:
        return bool(message["senderId"] == self.room_id)


def _time(message: dict[str, JSON]) -> str:
    return str(message["timestamp"])
