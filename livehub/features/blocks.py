"""Blocks: whose direct messages a person does not take (contracts, points 19 and 27).

The mailbox of whoever blocks is the authority: it drops what comes. The other's mailbox is told, so that the sender
hears why instead of writing into the void. A block and its end can overtake each other on the way, so each carries the
turn at which it was set, and the later turn counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Empty,
    Fact,
    Feature,
    Outcome,
    OutsideId,
    Refused,
    Seating,
    Tell,
    applies,
    command,
    internal,
    payload,
    reading,
    user,
)

BLOCKED_MAX = 1_000
BARRED_BY_MAX = 10_000
"""Past this, who blocked whom is not told to the other; their messages are dropped all the same."""


@payload
class NameUser:
    """Whom to block or unblock."""

    user_id: OutsideId


class BlockNamed(TypedDict):
    """The ack of a block, or of its end."""

    userId: str


class BlockInfo(BlockNamed):
    """Somebody whose messages are not taken."""

    blockedAt: str


class BlockList(TypedDict):
    """Everybody whose messages are not taken, in the order in which they were blocked."""

    blocks: list[BlockInfo]


class BlockedBy(TypedDict):
    """Word to the other: `userId` blocked them, or does no longer."""

    userId: str
    blocked: bool
    turn: int


@dataclass
class Blocks(Feature):
    """Whom the owner of a mailbox blocked, and who blocked them."""

    name: ClassVar[str] = "blocks"
    room: ClassVar[str] = "user"

    blocked: dict[str, str] = field(default_factory=dict)  # person → since when
    turns: int = 0  # how often this person blocked or unblocked anybody
    heard: dict[str, int] = field(default_factory=dict)  # person → turn of their last word

    @command("dm.block", seat=Seating.FREE, creates=True, rate="50/10s", returns=BlockNamed)
    def block(self, ask: Ask[NameUser]) -> Outcome:
        """Take no more messages from somebody. Blocking twice is no error."""
        user_id = ask.payload.user_id
        if user_id == self.room_id:
            raise Refused("You cannot block yourself")
        if user_id in self.blocked:
            return Outcome(reply={"userId": user_id})
        if len(self.blocked) >= BLOCKED_MAX:
            raise Refused(f"You can block at most {BLOCKED_MAX} users", code="too_many")
        data = {"userId": user_id, "turn": self.turns + 1, "at": ask.now}
        return Outcome([Fact("dm.blocked", data)], {"userId": user_id}, [self._word(user_id, blocked=True)])

    @command("dm.unblock", seat=Seating.FREE, creates=True, rate="50/10s", returns=BlockNamed)
    def unblock(self, ask: Ask[NameUser]) -> Outcome:
        """Take messages from somebody again. Unblocking who is not blocked is no error."""
        user_id = ask.payload.user_id
        if user_id not in self.blocked:
            return Outcome(reply={"userId": user_id})
        data = {"userId": user_id, "turn": self.turns + 1, "at": ask.now}
        return Outcome([Fact("dm.unblocked", data)], {"userId": user_id}, [self._word(user_id, blocked=False)])

    @reading(
        "dm.blocks",
        seat=Seating.FREE,
        creates=True,
        rate="100/10s",
        returns=BlockList,
        rest="GET /blocks",
    )
    def list_blocks(self, ask: Ask[Empty]) -> Outcome:
        """Show whom the asker blocked."""
        blocks = [BlockInfo(userId=user_id, blockedAt=since) for user_id, since in self.blocked.items()]
        return Outcome(reply={"blocks": blocks})

    @internal("dm.blocked_by")
    def blocked_by(self, ask: Ask[BlockedBy]) -> Outcome:
        """Note that somebody blocked the owner of this mailbox, or does no longer."""
        told = ask.payload
        known = self.heard.get(told["userId"])
        full = known is None and len(self.heard) >= BARRED_BY_MAX
        if full or (known is not None and told["turn"] <= known):
            return Outcome()
        return Outcome([Fact("dm.barred", {**told})])

    @applies("dm.blocked")
    def _on_blocked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.blocked[data["userId"]], self.turns = data["at"], data["turn"]

    @applies("dm.unblocked")
    def _on_unblocked(self, data: dict[str, JSON], at_ms: int) -> None:
        del self.blocked[data["userId"]]
        self.turns = data["turn"]

    @applies("dm.barred")
    def _on_barred(self, data: dict[str, JSON], at_ms: int) -> None:
        self.heard[data["userId"]] = data["turn"]

    def _word(self, user_id: str, *, blocked: bool) -> Tell:
        word = BlockedBy(userId=self.room_id, blocked=blocked, turn=self.turns + 1)
        return Tell(user(user_id), "dm.blocked_by", word)
