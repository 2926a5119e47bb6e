"""Mailboxes of several people as plain functions, with the word between them brought when a test says so."""

from __future__ import annotations

from itertools import count
from typing import Any

import orjson

from livehub.feature import JSON, Fact, Person, Tell, user
from livehub.features.blocks import Blocks
from livehub.features.conversations import Conversations
from livehub.features.dms import DirectMessages
from livehub.rooms.state import Performed
from tests.kit import START_MS, Bench

Shown = list[tuple[str, JSON]]


class Mailboxes:
    """Everybody's rooms, one clock, and what is under way between them."""

    def __init__(self) -> None:
        self.boxes: dict[str, Bench] = {}
        self.under_way: list[Tell] = []
        self.facts: list[Fact] = []
        self.now_ms = START_MS
        self._seeds = count(1)

    def box(self, name: str) -> Bench:
        """One person's room. All draw from one row of seeds, so that no two make the same id."""
        if name not in self.boxes:
            self.boxes[name] = Bench(DirectMessages, Conversations, Blocks, room_id=name)
            self.boxes[name]._seeds = self._seeds
        self.boxes[name].now_ms = self.now_ms
        return self.boxes[name]

    def ask(self, who: Person, command: str, data: JSON = None, *, after_ms: int = 0) -> Performed:
        """Ask one's own mailbox; the word it gives is under way, and not there yet."""
        self.now_ms += after_ms
        return self._noted(self.box(who.id).ask(command, data, who))

    def bring(self, tell: Tell) -> Shown:
        """Bring one word, whether under way or a second time; what its room's person is shown of it."""
        data: Any = orjson.loads(orjson.dumps(tell.data))
        name = tell.room.removeprefix("user:")
        return self.shown(name, self._noted(self.box(name).ask(tell.command, data)))

    def bring_all(self) -> dict[str, Shown]:
        """Bring what is under way, and what comes of it; what each person is shown meanwhile."""
        told: dict[str, Shown] = {}
        while self.under_way:
            tell = self.under_way.pop(0)
            told.setdefault(tell.room.removeprefix("user:"), []).extend(self.bring(tell))
        return {name: shown for name, shown in told.items() if shown}

    def do(self, who: Person, command: str, data: JSON = None, *, after_ms: int = 0) -> dict[str, Shown]:
        """Ask and bring everything: what each person is shown, the asker's own first."""
        own = self.shown(who.id, self.ask(who, command, data, after_ms=after_ms))
        told = self.bring_all()
        if own:
            told[who.id] = own + told.get(who.id, [])
        return told

    def send(self, who: Person, to: Person, text: str = "hello", *, after_ms: int = 0) -> str:
        """Send a message all the way; its id."""
        performed = self.ask(who, "dm.send", {"recipientId": to.id, "text": text}, after_ms=after_ms)
        self.bring_all()
        return str(performed.reply["messageId"])

    def shown(self, name: str, performed: Performed) -> Shown:
        """(event, payload) of what a room's person hears."""
        return self.box(name).shown(performed, user(name))

    def welcome(self, who: Person) -> Shown:
        """What a new connection of this person is sent."""
        return self.box(who.id).state.welcome(who)

    def texts(self, who: Person, other: Person, **query: JSON) -> list[str]:
        """The texts of the conversation with somebody, as REST shows them."""
        talks = self.ask(who, "dm.conversations").reply["conversations"]
        (talk_id,) = [talk["id"] for talk in talks if talk["userId"] == other.id]
        reply = self.ask(who, "dm.history", {"conversationId": talk_id, **query}).reply
        return [found["text"] for found in reply["messages"]]

    def check_logs(self) -> None:
        """Every mailbox is what its log makes of it."""
        for box in self.boxes.values():
            assert box.reopened().features == box.state.features

    def _noted(self, performed: Performed) -> Performed:
        self.facts += performed.facts
        self.under_way += [effect for effect in performed.effects if isinstance(effect, Tell)]
        return performed
