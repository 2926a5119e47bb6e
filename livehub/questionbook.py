"""A question as a session remembers it: who may see what of it, and what an export tells of it.

Plain data that facts change; `livehub.features.qa` decides. Who asked an anonymous question leaves this record towards
nobody (contracts, point 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from livehub.exporting import Table, full_name

JSON: TypeAlias = Any

ABOUT = ("questionId", "text", "status", "isPublic", "isAnonymous", "askedAt", "authorId", "authorName")
SINCE = ("upvotes", "tags", "answer", "answeredAt", "answeredById")


@dataclass(slots=True)
class Asked:
    """What the session remembers of one question."""

    question: dict[str, JSON]  # as everybody sees it, but for the e-mail address; replaced, never changed
    author_id: str
    author_email: str
    held: bool  # until a moderator decides
    note: str | None = None
    upvoters: set[str] = field(default_factory=set)

    @property
    def public(self) -> bool:
        """Whether everybody sees it."""
        return not self.held and self.question["status"] != "dismissed"


def as_seen(question: dict[str, JSON], email: str, note: str | None, *, sees: bool, shared: bool) -> dict[str, JSON]:
    """A question for somebody who `sees` what moderators see, or for the others."""
    shown = {**question, "authorEmail": email if sees or shared else ""}
    return {**shown, "moderatorNote": note} if sees and note is not None else shown


def exported(questions: Iterable[Asked], *, emails: bool) -> Table:
    """All questions in the order they were asked, held and dismissed ones too; moderators' notes stay with them."""
    email = ("authorEmail",) if emails else ()
    return Table((*ABOUT, *email, *SINCE), (_row(asked, emails=emails) for asked in questions))


def _row(asked: Asked, *, emails: bool) -> tuple[JSON, ...]:
    question = asked.question
    author = None if question["isAnonymous"] else question["author"]
    who = (author["id"], full_name(author)) if author else (None, None)
    email = ((asked.author_email if author else None),) if emails else ()
    answer = question.get("answer", {})
    about = (question["id"], question["text"], question["status"], asked.public)
    told = (*about, question["isAnonymous"], question["createdAt"], *who, *email)
    answered = (answer.get("text"), answer.get("answeredAt"), answer.get("answeredById"))
    return (*told, len(asked.upvoters), question["tags"], *answered)
