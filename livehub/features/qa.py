"""Q&A: questions from the audience, upvotes, moderation, answers and tags within a session (contract 1, §6).

The names of the commands and events are the contract's, `qa.` and `qna.` side by side. A question is *public* or not:
with `post` moderation it is public until it is dismissed, with `pre` only once it is approved (contracts, point 8).

Every fact carries the whole question as everybody sees it, and beside it what only moderators see. Who asked an
anonymous question is told to nobody, moderators included (contracts, point 7); the log knows the id, since nobody earns
points from themselves, and neither name nor e-mail address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from typing import Annotated, ClassVar, Literal, NotRequired, TypeAlias, TypedDict, cast

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Fact,
    Feature,
    Items,
    Key,
    Outcome,
    Person,
    Refused,
    Seating,
    Table,
    Text,
    Uuid,
    Via,
    Whole,
    applies,
    command,
    payload,
    setting,
)
from livehub.questionbook import Asked, as_seen, exported

MODERATION = ":moderation"
MODERATE = "qna:moderate"
MODERATORS = (MODERATION,)
ALL = (MODERATION, EVERYONE)

TEXT_CHARS_MAX = 500
NOTE_CHARS_MAX = 200
ANSWER_CHARS_MAX = 2_000
TAG_CHARS_MAX = 50
TAGS_PER_QUESTION_MAX = 10
QUESTIONS_PER_PERSON_MAX = 200
QUESTIONS_SHOWN_MAX = 200
PAGE_QUESTIONS = 50

WORD = re.compile(r"\w+")
NEW = ("qa.question.asked", "qa.question.opened")
CHANGED = ("qa.question.upvoted", "qa.question.moderated", "qa.question.answered", "qa.question.tagged")

Mode: TypeAlias = Literal["post", "pre"]
Status: TypeAlias = Literal["pending", "approved", "dismissed"]


@payload
class QaSettings:
    """`[qa]`"""

    moderation: Mode = setting("post", help="post: questions are public at once; pre: once a moderator approves them")
    flag_words: tuple[str, ...] = setting((), help="words in a question that moderators are alerted to, in any case")


@payload
class AskQuestion:
    """Contract 1, §6.1."""

    text: Annotated[str, Text(TEXT_CHARS_MAX)]
    is_anonymous: bool = False


@payload
class OneQuestion:
    """Contract 1, §6.3; and what every payload about a question begins with."""

    question_id: Uuid


@payload
class ModerateQuestion(OneQuestion):
    """Contract 1, §6.4."""

    status: Literal["approved", "dismissed"]
    moderator_note: Annotated[str, Text(NOTE_CHARS_MAX)] | None = None


@payload
class AnswerQuestion(OneQuestion):
    """Contract 1, §6.5."""

    answer_text: Annotated[str, Text(ANSWER_CHARS_MAX)]


@payload
class TagQuestion(OneQuestion):
    """Contract 1, §6.6. An empty list takes all tags away."""

    tags: Annotated[list[Annotated[str, Text(TAG_CHARS_MAX)]], Items(0, TAGS_PER_QUESTION_MAX)]


@payload
class SetModeration:
    """What `PUT /api/sessions/{id}/qa` takes."""

    moderation: Mode


@payload
class ReadQuestions:
    """Query of `GET /api/sessions/{id}/questions`."""

    status: Status | None = None
    before: Uuid | None = None
    limit: Annotated[int, Whole(1, QUESTIONS_SHOWN_MAX)] = PAGE_QUESTIONS


class Asker(TypedDict):
    """A person as everybody may see them."""

    id: str
    firstName: str
    lastName: str


class Answer(TypedDict):
    """What a question was answered with."""

    text: str
    answeredAt: str
    answeredById: str


class Counts(TypedDict):
    """How many people are for a question."""

    upvotes: int


class Question(TypedDict):
    """Contract 1, §6.2. No `author` if it is anonymous; the note is for moderators; `hasUpvoted` in a snapshot only."""

    id: str
    text: str
    isAnonymous: bool
    status: Status
    createdAt: str
    authorId: str
    authorEmail: str
    author: NotRequired[Asker]
    sessionId: str
    answer: NotRequired[Answer]
    tags: list[str]
    _count: Counts
    moderatorNote: NotRequired[str]
    hasUpvoted: NotRequired[bool]


class QaSnapshot(TypedDict):
    """The open questions, most upvoted first, then the older; after them, for moderators, those that are held."""

    questions: list[Question]


class QuestionId(TypedDict):
    """Names a question: one that is no longer public (contract 1, §6.4), or the one that an ask was about."""

    questionId: str


class Upvoted(QuestionId, Counts):
    """What an upvote came to."""


class Moderation(TypedDict):
    """How questions of a session become public."""

    moderation: Mode


class QuestionPage(TypedDict):
    """Questions, oldest first."""

    questions: list[Question]
    hasMore: bool


class ModerationAlert(TypedDict):
    """Contracts, point 21."""

    kind: Literal["held", "flagged"]
    targetType: str
    targetId: str
    text: str
    reason: str
    timestamp: str


def _seen(data: dict[str, JSON], audience: str) -> JSON:
    sees = audience == MODERATION
    return as_seen(data["question"], data["authorEmail"], data["note"], sees=sees, shared=data["emailShown"])


def _new(data: dict[str, JSON], audience: str) -> JSON:
    """A question that was approved is new to the public alone: moderators have had it."""
    return None if data.get("approved") and audience == MODERATION else _seen(data, audience)


@dataclass
class Qa(Feature):
    """The questions of one session. Dismissed ones stay, for moderators may change their minds."""

    name: ClassVar[str] = "qa"
    Settings = QaSettings
    audiences: ClassVar[Mapping[str, str]] = {MODERATION: MODERATE, EVERYONE: ""}
    emits = (
        Emits("qa.question.new", Question, "A question is new, or was held until now.", of=NEW, to=ALL, render=_new),
        Emits("qna.question.updated", Question, "A question was changed or upvoted.", of=CHANGED, to=ALL, render=_seen),
        Emits("qna.question.removed", QuestionId, "A question is no longer public."),
        Emits("moderation.alert", ModerationAlert, "Something needs a moderator's eye.", to=MODERATION),
    )

    settings: QaSettings = field(default_factory=QaSettings)
    mode: str = ""  # "": as the settings say
    questions: dict[str, Asked] = field(default_factory=dict)  # in the order they were asked

    @command("qa.question.ask", rate="5/10s", returns=QuestionId)
    def ask(self, ask: Ask[AskQuestion]) -> Outcome:
        """Ask something, under one's name or anonymously."""
        if sum(one.author_id == ask.who.id for one in self.questions.values()) >= QUESTIONS_PER_PERSON_MAX:
            raise Refused(f"You can ask at most {QUESTIONS_PER_PERSON_MAX} questions in a session", code="too_many")
        anonymous, author = ask.payload.is_anonymous, ask.who.public()
        question: dict[str, JSON] = {
            "id": ask.new_id(), "text": ask.payload.text, "createdAt": ask.now, "sessionId": self.room_id,
            "isAnonymous": anonymous, "authorId": "" if anonymous else author["id"], "authorEmail": "",
            "status": "pending", "tags": [], "_count": {"upvotes": 0}, **({} if anonymous else {"author": author}),
        }  # fmt: skip
        held = (self.mode or self.settings.moderation) == "pre"
        asked = Asked(question, ask.who.id, "" if anonymous else ask.who.email, held)
        facts = [self._fact("qa.question.asked", asked, {}, anonymous=anonymous, held=held), *self._alerts(asked)]
        return Outcome(facts, {"questionId": question["id"]})

    @command("qna.question.upvote", rate="20/10s", returns=Upvoted)
    def upvote(self, ask: Ask[OneQuestion]) -> Outcome:
        """Be for a question, or take that back by asking again."""
        asked = self._find(ask.payload.question_id, public=True)
        added = ask.who.id not in asked.upvoters
        count = {"upvotes": len(asked.upvoters) + (1 if added else -1)}
        fact = self._fact("qa.question.upvoted", asked, {"_count": count}, userId=ask.who.id, added=added)
        return Outcome([fact], {"questionId": ask.payload.question_id, **count})

    @command("qna.question.moderate", needs=MODERATE, rate="50/10s", returns=QuestionId)
    def moderate(self, ask: Ask[ModerateQuestion]) -> Outcome:
        """Approve or dismiss a question, or change one's mind. Without a note, the last one stays."""
        asked, status = self._find(ask.payload.question_id), ask.payload.status
        note = asked.note if ask.payload.moderator_note is None else ask.payload.moderator_note
        reply = {"questionId": ask.payload.question_id}
        if (status, note) == (asked.question["status"], asked.note):
            return Outcome(reply=reply)
        stays = asked.public and status == "approved"
        to, change = ALL if stays else MODERATORS, {"status": status}
        facts = [self._fact("qa.question.moderated", asked, change, to, note=note, by=ask.who.id)]
        if asked.public and not stays:
            facts.append(Fact("qna.question.removed", {**reply}, (EVERYONE,)))
        elif status == "approved" and not stays:
            facts.append(self._fact("qa.question.opened", asked, change, ALL, approved=True))
        return Outcome(facts, reply)

    @command("qna.question.answer", needs=MODERATE, rate="20/10s", returns=QuestionId)
    def answer(self, ask: Ask[AnswerQuestion]) -> Outcome:
        """Write down the answer to a question; a second one replaces the first."""
        asked = self._find(ask.payload.question_id)
        answer = {"text": ask.payload.answer_text, "answeredAt": ask.now, "answeredById": ask.who.id}
        fact = self._fact("qa.question.answered", asked, {"answer": answer})
        return Outcome([fact], {"questionId": ask.payload.question_id})

    @command("qna.question.tag", needs=MODERATE, rate="50/10s", returns=QuestionId)
    def tag(self, ask: Ask[TagQuestion]) -> Outcome:
        """Give a question these tags instead of those it had."""
        asked = self._find(ask.payload.question_id)
        tags = list(dict.fromkeys(tag.strip() for tag in ask.payload.tags))
        tagged = self._fact("qa.question.tagged", asked, {"tags": tags}, by=ask.who.id)
        return Outcome([tagged] if tags != asked.question["tags"] else [], {"questionId": ask.payload.question_id})

    @command(
        "qa.settings", needs=("sessions:manage", MODERATE), key=Key.OPTIONAL, seat=Seating.FREE, via=Via.REST,
        rate="20/10s", returns=Moderation, rest="PUT /sessions/{sessionId}/qa",
    )  # fmt: skip
    def set_moderation(self, ask: Ask[SetModeration]) -> Outcome:
        """Say how questions of this session become public from now on; those that are held stay so."""
        moderation = ask.payload.moderation
        changed = Fact("qa.settings.changed", {"moderation": moderation, "by": ask.who.id})
        return Outcome([changed] if moderation != self.mode else [], {"moderation": moderation})

    @command(
        "qa.questions", key=Key.OPTIONAL, seat=Seating.MEMBER, instead="sessions:manage", via=Via.REST, reads=True,
        rate="60/10s", returns=QuestionPage, rest="GET /sessions/{sessionId}/questions",
    )  # fmt: skip
    def read(self, ask: Ask[ReadQuestions]) -> Outcome:
        """Show a page of questions, the newest unless `before` names one; oldest first. Moderators see all."""
        query, moderates = ask.payload, ask.who.can(MODERATE)
        newest_first = (asked for asked in reversed(self.questions.values()) if moderates or asked.public)
        if query.before is not None:
            self._find(query.before, public=not moderates)
            any(asked.question["id"] == query.before for asked in newest_first)  # goes as far as this one
        found = (asked for asked in newest_first if query.status in (None, asked.question["status"]))
        page = list(islice(found, query.limit + 1))
        shown = [self._shown(asked, ask.who) for asked in reversed(page[: query.limit])]
        return Outcome(reply={"questions": shown, "hasMore": len(page) > query.limit})

    @applies("qa.question.asked")
    def _on_asked(self, data: dict[str, JSON], at_ms: int) -> None:
        question = data["question"]
        self.questions[question["id"]] = Asked(question, data["authorId"], data["authorEmail"], data["held"])

    @applies(*CHANGED)
    def _on_changed(self, data: dict[str, JSON], at_ms: int) -> None:
        asked = self.questions[data["question"]["id"]]
        asked.question, asked.note = data["question"], data["note"]
        asked.held = asked.held and asked.question["status"] == "pending"
        if "userId" in data:
            (asked.upvoters.add if data["added"] else asked.upvoters.discard)(data["userId"])

    @applies("qa.settings.changed")
    def _on_settings(self, data: dict[str, JSON], at_ms: int) -> None:
        self.mode = data["moderation"]

    def snapshot(self, who: Person) -> QaSnapshot:
        """The open questions, most upvoted first, then the older; after them, for moderators, those that are held."""
        found = (asked for asked in self.questions.values() if asked.public)
        listed = nsmallest(QUESTIONS_SHOWN_MAX, found, key=lambda asked: -len(asked.upvoters))
        if who.can(MODERATE):
            listed += islice((asked for asked in self.questions.values() if asked.held), QUESTIONS_SHOWN_MAX)
        shown = [{**self._shown(asked, who), "hasUpvoted": who.id in asked.upvoters} for asked in listed]
        return cast(QaSnapshot, {"questions": shown})

    def export(self, at_ms: int) -> dict[str, Table]:
        """Every question, in the order they were asked."""
        return {"questions": exported(self.questions.values(), emails=self.share_emails)}

    def _find(self, question_id: str, *, public: bool = False) -> Asked:
        asked = self.questions.get(question_id)
        if asked is None or (public and not asked.public):
            raise Refused("Question not found", 404, code="not_found")
        return asked

    def _alerts(self, asked: Asked) -> list[Fact]:
        """What moderators are alerted to about a new question."""
        text, flagged = asked.question["text"], _flagged(self.settings.flag_words, asked.question["text"])
        if not (asked.held or flagged):
            return []
        reasons = ["Waits for approval"] * asked.held + [f"Contains {', '.join(flagged)}"] * bool(flagged)
        kind, question_id = "held" if asked.held else "flagged", asked.question["id"]
        alert = {"kind": kind, "targetType": "question", "targetId": question_id, "text": text}
        alert |= {"reason": "; ".join(reasons), "timestamp": asked.question["createdAt"]}
        return [Fact("moderation.alert", alert, MODERATORS)]

    def _fact(self, kind: str, asked: Asked, change: dict[str, JSON], to: tuple[str, ...] = (), **more: JSON) -> Fact:
        """A fact about a question as `change` leaves it, for those who see the question unless `to` says otherwise."""
        author = {"authorId": asked.author_id, "authorEmail": asked.author_email, "emailShown": self.share_emails}
        data = {"question": {**asked.question, **change}, "note": asked.note, **author, **more}
        return Fact(kind, data, to or (ALL if asked.public else MODERATORS))

    def _shown(self, asked: Asked, who: Person) -> dict[str, JSON]:
        sees = who.can(MODERATE)
        return as_seen(asked.question, asked.author_email, asked.note, sees=sees, shared=self.share_emails)


def _flagged(words: tuple[str, ...], text: str) -> list[str]:
    """The flagged words in a text. Whole words only, so that one inside a harmless longer one raises no alarm."""
    said, *flags = (f" {' '.join(WORD.findall(one.casefold()))} " for one in (text, *words))
    return [word for word, flag in zip(words, flags, strict=True) if flag.strip() and flag in said]
