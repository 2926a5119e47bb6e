"""The payload of every event that clients send, field by field as contract 1 writes it, and what no field may hold.

The values that a field must refuse stand beside those that it must take, so that no event is forgotten: the tests of
bad use go through all of this. It is written from the contract, not read from the features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

UUID_V1 = "123e4567-e89b-12d3-a456-426614174000"
BLANK = " \t\n\u2003"
NOT_TEXT = ((7, "string"), (True, "string"), (["x"], "string"), ({"x": 1}, "string"))
NOT_UUID = (("", "UUID v4"), ("msg_abc123", "UUID v4"), (UUID_V1, "UUID v4"), *NOT_TEXT)
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Field:
    """A value that is right, another, the longest that is right; and wrong ones with a word that their refusal says."""

    good: Any
    other: Any
    bad: tuple[tuple[Any, str], ...]
    longest: Any = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The payload of one event: its fields, who may send it and from where."""

    fields: dict[str, Field] = field(default_factory=dict)
    needs: bool = False  # a permission
    room: str = "session"  # kind of the room that it acts on; "user": the sender's own
    seat: bool = True  # whoever sends it must have joined the room
    keyed: bool = True  # contract 1 lists an idempotency key

    def good(self) -> dict[str, Any]:
        """A payload that is right, but for the ids in it, which nobody has."""
        return {name: field.good for name, field in self.fields.items() if not field.optional}

    def unlike(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Another payload that is right as well; None where there is only one."""
        for name, value in payload.items():
            for instead in (self.fields[name].other, self.fields[name].good) if name in self.fields else ():
                if instead not in (None, value):
                    return {**payload, name: instead}
        return None


def text(most: int, *, optional: bool = False) -> Field:
    """Text of 1 to `most` code points."""
    long = (("x" * (most + 1), str(most)), ("👍" * (most + 1), str(most)))
    bad = (("", "empty"), (BLANK, "empty"), ("half \ud83d", "Unicode"), *long, *NOT_TEXT)
    return Field("Something", "Something else", bad, "👍" * most, optional)


def uuid(*, optional: bool = False) -> Field:
    """The id of something that livehub made."""
    return Field(UNKNOWN_ID, str(uuid4()), NOT_UUID, optional=optional)


def choice(*allowed: str) -> Field:
    """One of a few words."""
    bad = (("", allowed[0]), ("maybe", allowed[-1]), (allowed[0].swapcase(), allowed[0]), (7, allowed[0]))
    return Field(allowed[0], allowed[1] if len(allowed) > 1 else None, (*bad, (None, allowed[0])))


def emoji(*bad: tuple[Any, str]) -> Field:
    """An emoji."""
    return Field("👍", "🔥", (("", "1 to 8"), ("👍" * 9, "8"), (":-)", "plain text"), *bad, *NOT_TEXT))


A_USER = Field(
    "somebody", "somebody-else", (("", "128"), ("a b", "128"), ("é", "128"), ("a" * 129, "128"), *NOT_TEXT), "a" * 128
)
A_TRUTH = Field(True, False, (("true", "true or false"), (1, "true or false"), (None, "true or false")), optional=True)
A_SLIDE = Field(3, 4, (("3", "whole number"), (1.5, "whole number"), (True, "whole number")), optional=True)
A_LINK = Field(
    "https://example.com/slides.pdf",
    "http://example.com",
    tuple(
        (url, "http or https")
        for url in (
            "",
            "javascript:alert(1)",
            "ftp://example.com",
            "//example.com",
            "http://",
            "https://a b",
            "data:,x",
        )
    )
    + NOT_TEXT,
)
OPTIONS = Field(
    [{"text": "Yes"}, {"text": "No"}],
    [{"text": "Yes"}, {"text": "Perhaps"}],
    (
        ([], "2"),
        ([{"text": "Yes"}], "2"),
        ([{"text": "Yes"}] * 51, "50"),
        ([{"text": "Yes"}, {"text": BLANK}], "text"),
        ([{"text": "Yes"}, {"text": "x" * 201}], "200"),
        ([{"text": "Yes"}, {}], "text"),
        ([{"text": "Yes"}, {"text": "No", "colour": "red"}], "colour"),
        ([{"text": "Yes"}, "No"], "object"),
        ("Yes", "list"),
        ({"text": "Yes"}, "list"),
    ),
    [{"text": "👍" * 200}, {"text": "No"}],
)
TAGS = Field(
    ["react"],
    ["performance"],
    ((["x"] * 11, "10"), (["react", BLANK], "empty"), (["x" * 51], "50"), ([7], "string"), ("react", "list")),
    ["👍" * 50],
)

ONE_MESSAGE = {"messageId": uuid()}
ONE_QUESTION = {"questionId": uuid()}

FORMS: dict[str, Form] = {
    # Chat, §4
    "chat.message.send": Form({"text": text(1_000), "replyingToMessageId": uuid(optional=True)}),
    "chat.message.edit": Form(ONE_MESSAGE | {"newText": text(1_000)}),
    "chat.message.delete": Form(ONE_MESSAGE, needs=True),
    "chat.message.react": Form(ONE_MESSAGE | {"emoji": emoji()}),
    # Polls, §5
    "poll.create": Form({"question": text(500), "options": OPTIONS}, needs=True),
    "poll.vote.submit": Form({"pollId": uuid(), "optionId": uuid()}),
    "poll.manage": Form({"pollId": uuid(), "action": choice("close")}, needs=True),
    "poll.giveaway.start": Form({"pollId": uuid(), "winningOptionId": uuid(), "prize": text(255)}, needs=True),
    # Q&A, §6
    "qa.question.ask": Form({"text": text(500), "isAnonymous": A_TRUTH}),
    "qna.question.upvote": Form(ONE_QUESTION),
    "qna.question.moderate": Form(
        ONE_QUESTION | {"status": choice("approved", "dismissed"), "moderatorNote": text(200, optional=True)},
        needs=True,
    ),
    "qna.question.answer": Form(ONE_QUESTION | {"answerText": text(2_000)}, needs=True),
    "qna.question.tag": Form(ONE_QUESTION | {"tags": TAGS}, needs=True),
    # Direct messages, §7
    "dm.send": Form({"recipientId": A_USER, "text": text(2_000)}, room="user", seat=False),
    "dm.delivered": Form(ONE_MESSAGE, room="user", seat=False),
    "dm.read": Form(ONE_MESSAGE, room="user", seat=False),
    "dm.message.edit": Form(ONE_MESSAGE | {"newText": text(2_000)}, room="user", seat=False),
    "dm.message.delete": Form(ONE_MESSAGE, room="user", seat=False),
    # Reactions, §8; points, §9; dashboard, §10
    "reaction.send": Form({"emoji": emoji(("👎", "one of"), ("❤", "one of"))}, keyed=False),
    "leaderboard.request": Form(keyed=False),
    "dashboard.join": Form(needs=True, room="dashboard", seat=False, keyed=False),
    # Content, §12
    "session.join": Form(seat=False, keyed=False),
    "session.leave": Form(seat=False, keyed=False),
    "content.control": Form(
        {"action": choice("NEXT_SLIDE", "PREV_SLIDE", "GO_TO_SLIDE", "START", "STOP"), "targetSlide": A_SLIDE},
        needs=True,
        keyed=False,
    ),
    "content.request_state": Form(keyed=False),
    "content.drop": Form(
        {
            "type": choice("LINK", "FILE", "RESOURCE"),
            "title": text(200),
            "url": A_LINK,
            "description": text(1_000, optional=True),
        },
        needs=True,
        keyed=False,
    ),
    # What the contract leaves to livehub (contracts, point 19)
    "dashboard.leave": Form(needs=True, room="dashboard", seat=False, keyed=False),
    "event.join": Form(room="event", seat=False, keyed=False),
    "event.leave": Form(room="event", seat=False, keyed=False),
    "notification.ack": Form({"notificationId": uuid()}, room="event", seat=False),
    "team.create": Form({"name": text(60)}),
    "team.join": Form({"teamId": uuid()}),
    "team.leave": Form(),
    "dm.block": Form({"userId": A_USER}, room="user", seat=False),
    "dm.unblock": Form({"userId": A_USER}, room="user", seat=False),
}
