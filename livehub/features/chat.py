"""Chat: messages, replies, edits, deletions and reactions within a session (contract 1, §4).

Text is kept exactly as sent and never interpreted. A fact carries the whole message that its event shows, so a replay
needs no state; the state keeps what later commands must know and what history shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, ClassVar, NotRequired, TypedDict, cast

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Emoji,
    Fact,
    Feature,
    Outcome,
    Person,
    Refused,
    Table,
    Text,
    Uuid,
    Whole,
    applies,
    command,
    full_name,
    iso,
    payload,
    reading,
    setting,
)

TEXT_CHARS_MAX = 1_000
EMOJI_PER_MESSAGE_MAX = 100
SNAPSHOT_MESSAGES = 50
HISTORY_MESSAGES_MAX = 200
EXPORTED = ("messageId", "sentAt", "editedAt", "authorId", "authorName", "text", "replyTo", "reactions")


@payload
class ChatSettings:
    """`[chat]`"""

    edit_window_s: int = setting(300, unit="seconds", least=0, help="how long after sending a message may be edited")


@payload
class SendMessage:
    """Contract 1, §4.1."""

    text: Annotated[str, Text(TEXT_CHARS_MAX)]
    replying_to_message_id: Uuid | None = None


@payload
class EditMessage:
    """Contract 1, §4.3."""

    message_id: Uuid
    new_text: Annotated[str, Text(TEXT_CHARS_MAX)]


@payload
class DeleteMessage:
    """Contract 1, §4.4."""

    message_id: Uuid


@payload
class ReactToMessage:
    """Contract 1, §4.5."""

    message_id: Uuid
    emoji: Emoji


@payload
class ReadHistory:
    """Query of `GET /api/sessions/{id}/messages`."""

    before: Uuid | None = None
    limit: Annotated[int, Whole(1, HISTORY_MESSAGES_MAX)] = SNAPSHOT_MESSAGES


class Author(TypedDict):
    """A person as everybody may see them."""

    id: str
    firstName: str
    lastName: str


class ParentMessage(TypedDict):
    """What a reply quotes."""

    id: str
    text: str
    author: Author


class ChatMessage(TypedDict):
    """Contract 1, §4.2."""

    id: str
    text: str
    timestamp: str
    isEdited: bool
    editedAt: str | None
    authorId: str
    sessionId: str
    author: Author
    parentMessage: NotRequired[ParentMessage]
    reactionsSummary: NotRequired[dict[str, int]]


class OneMessage(TypedDict):
    """The ack of whatever is done with a message."""

    messageId: str


class MessagePage(TypedDict):
    """A page of the history, oldest first (contracts, point 18)."""

    messages: list[ChatMessage]
    hasMore: bool


class ChatSnapshot(TypedDict):
    """The last messages, oldest first."""

    messages: list[ChatMessage]


class MessageGone(TypedDict):
    """Contract 1, §4.4."""

    messageId: str


@dataclass(slots=True)
class Message:
    """What a later command or reader needs of a message."""

    id: str
    text: str
    author: Author
    sent_ms: int
    parent_id: str | None = None
    edited_at: str | None = None
    reactions: dict[str, set[str]] = field(default_factory=dict)  # emoji → who


def _whole(data: dict[str, JSON], _: str) -> JSON:
    return data["message"]


def _gone(data: dict[str, JSON], _: str) -> JSON:
    return data["gone"]


@dataclass
class Chat(Feature):
    """The chat of one session. Deleted messages are gone from the state; the log still knows them."""

    name: ClassVar[str] = "chat"
    Settings = ChatSettings
    emits = (
        Emits("chat.message.new", ChatMessage, "Somebody wrote.", render=_whole),
        Emits(
            "chat.message.updated",
            ChatMessage,
            "A message was edited, or its reactions changed.",
            of=("chat.message.edited", "chat.message.reacted"),
            render=_whole,
        ),
        Emits("chat.message.deleted", MessageGone, "A message is gone.", render=_gone),
    )

    settings: ChatSettings = field(default_factory=ChatSettings)
    messages: dict[str, Message] = field(default_factory=dict)  # in the order they were sent
    authors: dict[str, Author] = field(default_factory=dict)  # as they wrote last: one for all their messages

    @command("chat.message.send", rate="5/10s", returns=OneMessage)
    def send(self, ask: Ask[SendMessage]) -> Outcome:
        """Say something, or answer a message."""
        parent_id = ask.payload.replying_to_message_id
        if parent_id is not None:
            self._find(parent_id)
        author = cast(Author, ask.who.public())
        message = Message(ask.new_id(), ask.payload.text, author, ask.at_ms, parent_id)
        fact = Fact("chat.message.new", {"message": self._shown(message)}, (EVERYONE,))
        return Outcome([fact], {"messageId": message.id})

    @command("chat.message.edit", rate="10/10s", returns=OneMessage)
    def edit(self, ask: Ask[EditMessage]) -> Outcome:
        """Change the text of one's own message, shortly after sending it."""
        message = self._find(ask.payload.message_id)
        if message.author["id"] != ask.who.id:
            raise Refused("You can only edit your own messages", 403, code="forbidden")
        if ask.at_ms - message.sent_ms > self.settings.edit_window_s * 1000:
            raise Refused(f"Messages can only be edited within {_span(self.settings.edit_window_s)}", 403)
        shown = self._shown(message)
        shown.update({"text": ask.payload.new_text, "isEdited": True, "editedAt": ask.now})
        return Outcome([Fact("chat.message.edited", {"message": shown}, (EVERYONE,))], {"messageId": message.id})

    @command("chat.message.delete", needs=("chat:delete:own", "chat:delete:any"), rate="20/10s", returns=OneMessage)
    def delete(self, ask: Ask[DeleteMessage]) -> Outcome:
        """Remove one's own message, or anybody's with `chat:delete:any`."""
        message = self._find(ask.payload.message_id)
        if message.author["id"] != ask.who.id and not ask.who.can("chat:delete:any"):
            raise Refused("You do not have permission", 403, code="forbidden")
        data = {"gone": {"messageId": message.id}, "by": ask.who.id}
        return Outcome([Fact("chat.message.deleted", data, (EVERYONE,))], {"messageId": message.id})

    @command("chat.message.react", rate="20/10s", returns=OneMessage)
    def react(self, ask: Ask[ReactToMessage]) -> Outcome:
        """Add a reaction to a message, or take it back by sending the same emoji again."""
        message, emoji = self._find(ask.payload.message_id), ask.payload.emoji
        given = ask.who.id in message.reactions.get(emoji, ())
        if emoji not in message.reactions and len(message.reactions) >= EMOJI_PER_MESSAGE_MAX:
            raise Refused(f"A message takes at most {EMOJI_PER_MESSAGE_MAX} different emoji")
        shown = self._shown(message)
        summary = shown["reactionsSummary"]
        summary[emoji] = summary.get(emoji, 0) + (-1 if given else 1)
        if not summary[emoji]:
            del summary[emoji]
        data = {"message": shown, "emoji": emoji, "userId": ask.who.id, "added": not given}
        return Outcome([Fact("chat.message.reacted", data, (EVERYONE,))], {"messageId": message.id})

    @reading(
        "chat.history",
        returns=MessagePage,
        rest="GET /sessions/{sessionId}/messages",
    )
    def history(self, ask: Ask[ReadHistory]) -> Outcome:
        """Show a page of messages, the newest unless `before` names one; oldest first."""
        newest_first: Iterator[Message] = reversed(self.messages.values())
        if ask.payload.before is not None:
            self._find(ask.payload.before)
            for message in newest_first:
                if message.id == ask.payload.before:
                    break
        page = list(islice(newest_first, ask.payload.limit + 1))
        shown = [self._shown(message) for message in reversed(page[: ask.payload.limit])]
        return Outcome(reply={"messages": shown, "hasMore": len(page) > ask.payload.limit})

    @applies("chat.message.new")
    def _on_new(self, data: dict[str, JSON], at_ms: int) -> None:
        shown = data["message"]
        parent = shown.get("parentMessage")
        author = self._known(shown["author"])
        self.messages[shown["id"]] = Message(shown["id"], shown["text"], author, at_ms, parent and parent["id"])

    @applies("chat.message.edited")
    def _on_edited(self, data: dict[str, JSON], at_ms: int) -> None:
        shown = data["message"]
        message = self.messages[shown["id"]]
        message.text, message.edited_at = shown["text"], shown["editedAt"]

    @applies("chat.message.deleted")
    def _on_deleted(self, data: dict[str, JSON], at_ms: int) -> None:
        del self.messages[data["gone"]["messageId"]]

    @applies("chat.message.reacted")
    def _on_reacted(self, data: dict[str, JSON], at_ms: int) -> None:
        reactions, emoji = self.messages[data["message"]["id"]].reactions, data["emoji"]
        if data["added"]:
            reactions.setdefault(emoji, set()).add(data["userId"])
            return
        reactions[emoji].discard(data["userId"])
        if not reactions[emoji]:
            del reactions[emoji]

    def snapshot(self, who: Person) -> ChatSnapshot:
        """The last messages, oldest first."""
        latest = list(islice(reversed(self.messages.values()), SNAPSHOT_MESSAGES))
        return {"messages": [self._shown(message) for message in reversed(latest)]}

    def export(self, at_ms: int) -> dict[str, Table]:
        """The messages that are still there, in the order they were sent."""
        return {"messages": Table(EXPORTED, (self._exported(message) for message in self.messages.values()))}

    def _exported(self, message: Message) -> tuple[JSON, ...]:
        author = cast(dict[str, str], message.author)
        reply_to = message.parent_id if message.parent_id in self.messages else None
        reactions = {emoji: len(people) for emoji, people in message.reactions.items()}
        written = (message.id, iso(message.sent_ms), message.edited_at, author["id"], full_name(author))
        return (*written, message.text, reply_to, reactions)

    def _known(self, author: Author) -> Author:
        known = self.authors.get(author["id"])
        if known != author:
            known = self.authors[author["id"]] = author
        return known

    def _find(self, message_id: str) -> Message:
        message = self.messages.get(message_id)
        if message is None:
            raise Refused("Message not found", 404, code="not_found")
        return message

    def _shown(self, message: Message) -> ChatMessage:
        """The message as `ChatMessage`; a reply to a deleted message no longer quotes it."""
        shown: ChatMessage = {
            "id": message.id,
            "text": message.text,
            "timestamp": iso(message.sent_ms),
            "isEdited": message.edited_at is not None,
            "editedAt": message.edited_at,
            "authorId": message.author["id"],
            "sessionId": self.room_id,
            "author": message.author,
            "reactionsSummary": {emoji: len(people) for emoji, people in message.reactions.items()},
        }
        if message.parent_id is not None and (parent := self.messages.get(message.parent_id)) is not None:
            shown["parentMessage"] = {"id": parent.id, "text": parent.text, "author": parent.author}
        return shown


def _span(seconds: int) -> str:
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 and seconds else (seconds, "second")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
