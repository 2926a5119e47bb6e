"""What leaves the record of a question: who sees it, and what an export tells."""

from __future__ import annotations

from typing import Any

from livehub.questionbook import Asked, as_seen, exported

MAIL = "anna@mail.test"


def asked(*, anonymous: bool = False, held: bool = False, status: str = "pending", **more: Any) -> Asked:
    author = {"id": "anna", "firstName": "Anna", "lastName": "Tester"}
    question = {
        "id": "q1", "text": "Why?", "createdAt": "2026-01-01T00:00:00.000Z", "sessionId": "s1", "status": status,
        "isAnonymous": anonymous, "authorId": "" if anonymous else "anna", "authorEmail": "", "tags": ["x"],
        "_count": {"upvotes": 2}, **({} if anonymous else {"author": author}), **more,
    }  # fmt: skip
    return Asked(question, "anna", "" if anonymous else MAIL, held, "a note", {"ben", "cara"})


def row(one: Asked, *, emails: bool = False) -> dict[str, Any]:
    table = exported([one], emails=emails)
    (only,) = table.rows
    return dict(zip(table.columns, only, strict=True))


def test_a_question_is_public_unless_it_is_held_or_dismissed() -> None:
    assert asked().public
    assert asked(status="approved").public
    assert not asked(held=True).public
    assert not asked(status="dismissed").public


def test_address_and_note_are_for_moderators_unless_addresses_are_shared() -> None:
    one = asked()
    seen = as_seen(one.question, MAIL, "a note", sees=True, shared=False)
    assert (seen["authorEmail"], seen["moderatorNote"]) == (MAIL, "a note")
    assert as_seen(one.question, MAIL, "a note", sees=False, shared=False) == one.question
    shared = as_seen(one.question, MAIL, "a note", sees=False, shared=True)
    assert shared == {**one.question, "authorEmail": MAIL}


def test_the_export_tells_all_but_address_and_note() -> None:
    answer = {"text": "Because.", "answeredAt": "2026-01-01T00:01:00.000Z", "answeredById": "mo"}
    assert row(asked(answer=answer)) == {
        "questionId": "q1", "text": "Why?", "status": "pending", "isPublic": True, "isAnonymous": False,
        "askedAt": "2026-01-01T00:00:00.000Z", "authorId": "anna", "authorName": "Anna Tester", "upvotes": 2,
        "tags": ["x"], "answer": "Because.", "answeredAt": "2026-01-01T00:01:00.000Z", "answeredById": "mo",
    }  # fmt: skip


def test_addresses_are_exported_only_where_they_are_shared() -> None:
    assert row(asked(), emails=True)["authorEmail"] == MAIL
    assert "authorEmail" not in row(asked())


def test_an_anonymous_question_has_no_author_wherever_it_goes() -> None:
    one = asked(anonymous=True)
    for emails in (False, True):
        told = row(one, emails=emails)
        assert (told["authorId"], told["authorName"], told.get("authorEmail")) == (None, None, None)
        assert "anna" not in str(told)


def test_held_questions_are_exported_as_not_public() -> None:
    assert row(asked(held=True))["isPublic"] is False
