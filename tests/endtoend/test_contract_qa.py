"""Contract 1, §6: questions, upvotes, moderation, answers and tags; who sees what of them (contracts, points 7, 8)."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_TIME, AN_ID
from tests.endtoend.node import Client

SETTINGS = {"qa": {"flag_words": ["casino"]}}
FORBIDDEN = (403, "You do not have permission")
NOT_FOUND = (404, "Question not found")


class Asked:
    """A question as it is now, for those who see it."""

    def __init__(self, cast: Cast, author: Client | None, question_id: str, text: str) -> None:
        self.cast = cast
        self.email = "" if author is None else f"{cast.id(author)}@example.org"
        self.note: str | None = None
        self.shown: dict[str, Any] = {
            "id": question_id,
            "text": text,
            "isAnonymous": author is None,
            "status": "pending",
            "createdAt": A_TIME,
            "authorId": "" if author is None else cast.id(author),
            "sessionId": cast.session,
            "tags": [],
            "_count": {"upvotes": 0},
            **({} if author is None else {"author": cast.person(author)}),
        }

    @property
    def naming(self) -> dict[str, str]:
        """Its id as payloads have it."""
        return {"questionId": self.shown["id"]}

    def to_public(self, event: str) -> Line:
        """Heard by those who do not moderate: without an e-mail address and the moderator's note."""
        return Line(self.cast.public, event, {**self.shown, "authorEmail": ""})

    def to_moderators(self, event: str) -> Line:
        """Heard by moderators."""
        note = {} if self.note is None else {"moderatorNote": self.note}
        return Line(self.cast.moderators, event, {**self.shown, "authorEmail": self.email, **note})

    def to_all(self, event: str) -> list[Line]:
        """Heard by everybody in the session, each as they may see it."""
        return [self.to_public(event), self.to_moderators(event)]


def unlocked(cast: Cast, who: Client) -> Line:
    """What a first question unlocks."""
    badge = {"badgeName": "Question Asker", "description": "Asked a first question"}
    return Line(cast.devices(who), "achievement.unlocked", {"id": AN_ID, **badge, "unlockedAt": A_TIME})


async def asked(cast: Cast, author: Client, text: str = "How do you handle state?") -> Asked:
    """Have a first question asked and heard."""
    question_id = (await cast.does(author, "qa.question.ask", {"text": text}, questionId=AN_ID))["questionId"]
    question = Asked(cast, author, question_id, text)
    earned = [cast.earns(author, 5, "QUESTION_ASKED"), unlocked(cast, author)]
    await cast.hears(*question.to_all("qa.question.new"), *earned)
    return question


async def moderated(cast: Cast, question: Asked, status: str, public: str, **more: str) -> None:
    """Have a question approved or dismissed: moderators hear that it is updated, the public what that is to them."""
    wanted = {**question.naming, "status": status, **more}
    await cast.does(cast.moderator, "qna.question.moderate", wanted, **question.naming)
    question.shown["status"], question.note = status, more.get("moderatorNote", question.note)
    removed = Line(cast.seated, public, question.naming)  # moderators sit in the public room as well
    shown = removed if public == "qna.question.removed" else question.to_public(public)
    await cast.hears(question.to_moderators("qna.question.updated"), shown)


async def test_a_question_is_public_and_its_address_for_moderators(cast: Cast) -> None:
    await asked(cast, cast.ada)
    await asked(cast, cast.owner)  # who moderates, and sits in the public room as well


async def test_nobody_learns_whose_an_anonymous_question_is(cast: Cast) -> None:
    text = "Is it allowed?"
    answer = await cast.does(cast.ada, "qa.question.ask", {"text": text, "isAnonymous": True}, questionId=AN_ID)
    question = Asked(cast, None, answer["questionId"], text)  # no points: the time would tell
    await cast.hears(*question.to_all("qa.question.new"))
    await moderated(cast, question, "approved", "qna.question.updated", moderatorNote="Good")
    for client in cast.everybody:
        assert not [told for told in client.told if text in str(told.args) and cast.id(cast.ada) in str(told.args)]


async def test_an_upvote_is_a_toggle(cast: Cast) -> None:
    question = await asked(cast, cast.ada)

    async def upvotes(who: Client, count: int, *earned: Line) -> None:
        await cast.does(who, "qna.question.upvote", question.naming, **question.naming, upvotes=count)
        question.shown["_count"] = {"upvotes": count}
        await cast.hears(*question.to_all("qna.question.updated"), *earned)

    await upvotes(cast.bob, 1, cast.earns(cast.bob, 2, "QUESTION_UPVOTED"))
    await upvotes(cast.ada, 2)  # nobody earns from themselves
    await upvotes(cast.moderator, 3, cast.earns(cast.moderator, 2, "QUESTION_UPVOTED"))
    await upvotes(cast.bob, 2, cast.earns(cast.bob, -2, "QUESTION_UPVOTED"))
    await upvotes(cast.ada, 1)
    await cast.refuses(cast.bob, "qna.question.upvote", {"questionId": UNKNOWN_ID}, *NOT_FOUND)
    await cast.refuses(cast.elsewhere, "qna.question.upvote", question.naming, *NOT_FOUND)
    await cast.hears()


async def test_moderators_approve_and_dismiss(cast: Cast) -> None:
    question = await asked(cast, cast.ada)
    wanted = {**question.naming, "status": "approved"}
    for who in (cast.ada, cast.bob, cast.speaker):
        await cast.refuses(who, "qna.question.moderate", wanted, *FORBIDDEN)
    for who, naming in ((cast.moderator, {"questionId": UNKNOWN_ID}), (cast.elsewhere, question.naming)):
        await cast.refuses(who, "qna.question.moderate", {**wanted, **naming}, *NOT_FOUND)
    await cast.hears()
    await moderated(cast, question, "approved", "qna.question.updated", moderatorNote="Great question!")
    await moderated(cast, question, "dismissed", "qna.question.removed")
    await cast.refuses(cast.bob, "qna.question.upvote", question.naming, *NOT_FOUND)
    await cast.does(cast.owner, "qna.question.moderate", {**question.naming, "status": "dismissed"}, **question.naming)
    await cast.hears()  # dismissed already
    await moderated(cast, question, "approved", "qa.question.new")


async def test_moderators_answer_and_tag(cast: Cast) -> None:
    question = await asked(cast, cast.ada)
    reply = {**question.naming, "answerText": "The best approach is…"}
    tags = {**question.naming, "tags": ["react", "performance", "featured"]}
    for who in (cast.ada, cast.bob, cast.speaker):
        for event, payload in (("qna.question.answer", reply), ("qna.question.tag", tags)):
            await cast.refuses(who, event, payload, *FORBIDDEN)
    for event, payload in (("qna.question.answer", reply), ("qna.question.tag", tags)):
        await cast.refuses(cast.moderator, event, {**payload, "questionId": UNKNOWN_ID}, *NOT_FOUND)
        await cast.refuses(cast.elsewhere, event, payload, *NOT_FOUND)
    await cast.hears()
    await cast.does(cast.moderator, "qna.question.answer", reply, **question.naming)
    by = {"answeredAt": A_TIME, "answeredById": cast.id(cast.moderator)}
    question.shown["answer"] = {"text": reply["answerText"], **by}
    await cast.hears(*question.to_all("qna.question.updated"))
    await cast.does(cast.owner, "qna.question.tag", tags, **question.naming)
    question.shown["tags"] = tags["tags"]
    await cast.hears(*question.to_all("qna.question.updated"))
    await cast.does(cast.owner, "qna.question.tag", {**tags, "tags": []}, **question.naming)
    question.shown["tags"] = []
    await cast.hears(*question.to_all("qna.question.updated"))


async def test_moderators_alone_hear_of_what_is_held_or_flagged(cast: Cast) -> None:
    path, pre = f"/sessions/{cast.session}/qa", {"moderation": "pre"}
    await cast.rest_refuses("PUT", path, pre, *FORBIDDEN, who=cast.ada)
    assert await cast.rest("PUT", path, pre, who=cast.moderator) == {"success": True, **pre}
    text = "May I ask?"
    answer = await cast.does(cast.bob, "qa.question.ask", {"text": text}, questionId=AN_ID)
    held = Asked(cast, cast.bob, answer["questionId"], text)
    earned = [cast.earns(cast.bob, 5, "QUESTION_ASKED"), unlocked(cast, cast.bob)]
    alert = {"targetType": "question", "targetId": answer["questionId"], "text": text, "timestamp": A_TIME}
    waits = {"kind": "held", **alert, "reason": "Waits for approval"}
    await cast.hears(held.to_moderators("qa.question.new"), *earned, Line(cast.moderators, "moderation.alert", waits))
    await cast.refuses(cast.ada, "qna.question.upvote", held.naming, *NOT_FOUND)
    await moderated(cast, held, "approved", "qa.question.new")
    await cast.rest("PUT", path, {"moderation": "post"}, who=cast.moderator)
    text = "Shall we go to the casino?"
    answer = await cast.does(cast.speaker, "qa.question.ask", {"text": text}, questionId=AN_ID)
    flagged = Asked(cast, cast.speaker, answer["questionId"], text)
    alert |= {"targetId": answer["questionId"], "text": text, "kind": "flagged", "reason": "Contains casino"}
    earned = [cast.earns(cast.speaker, 5, "QUESTION_ASKED"), unlocked(cast, cast.speaker)]
    await cast.hears(*flagged.to_all("qa.question.new"), *earned, Line(cast.moderators, "moderation.alert", alert))
