"""Q&A: what contract 1 (§6) and points 7, 8, 14, 15, 21 to 23 of the contracts promise."""

from __future__ import annotations

from typing import Any, Literal

import orjson
import pytest
from trio.testing import MockClock

from livehub.feature import JSON, Person, Seating, Via
from livehub.features.qa import (
    ANSWER_CHARS_MAX,
    CHANGED,
    MODERATION,
    NEW,
    NOTE_CHARS_MAX,
    PAGE_QUESTIONS,
    QUESTIONS_PER_PERSON_MAX,
    QUESTIONS_SHOWN_MAX,
    TAG_CHARS_MAX,
    TAGS_PER_QUESTION_MAX,
    TEXT_CHARS_MAX,
    Qa,
    QaSettings,
)
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.replays import Replays
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, CARA, MODERATOR, Bench, Ears, HubUnderTest, ears, heard, open_hub, person, uuid

PUBLIC = ""
MANAGER = person("mia", "sessions:manage")
MINUTE_MS = 60_000
UNKNOWN = uuid(404)


@pytest.fixture
def bench() -> Bench:
    return Bench(Qa)


@pytest.fixture
def strict() -> Bench:
    """A session where questions are held until they are approved."""
    return Bench(Qa, settings={"qa": QaSettings(moderation="pre")})


def put(bench: Bench, text: str = "Why?", who: Person = ANNA, **more: JSON) -> str:
    """Ask a question; its id."""
    return str(bench.ask("qa.question.ask", {"text": text, **more}, who).reply["questionId"])


def moderate(bench: Bench, question_id: str, status: str, note: str | None = None) -> Performed:
    data = {"questionId": question_id, "status": status} | ({} if note is None else {"moderatorNote": note})
    return bench.ask("qna.question.moderate", data, MODERATOR)


def upvote(bench: Bench, question_id: str, who: Person = BEN) -> Performed:
    return bench.ask("qna.question.upvote", {"questionId": question_id}, who)


def tag(bench: Bench, question_id: str, *tags: str) -> Performed:
    return bench.ask("qna.question.tag", {"questionId": question_id, "tags": list(tags)}, MODERATOR)


def events(bench: Bench, performed: Performed, audience: str = PUBLIC) -> list[str]:
    """Names of the events that an audience is shown."""
    return [event for event, _ in bench.shown(performed, audience)]


def one(bench: Bench, performed: Performed, audience: str = PUBLIC) -> dict[str, Any]:
    """The payload of the only event that an audience is shown."""
    ((_, shown),) = bench.shown(performed, audience)
    assert isinstance(shown, dict)
    return shown


def texts(bench: Bench, who: Person = BEN, **query: JSON) -> list[str]:
    return [question["text"] for question in bench.ask("qa.questions", query, who).reply["questions"]]


def listed(bench: Bench, who: Person = BEN) -> list[str]:
    """Texts of the snapshot."""
    return [question["text"] for question in bench.state.snapshot(who)["questions"]]


# Asking


def test_a_question_is_shown_to_everybody_in_full(bench: Bench) -> None:
    performed = bench.ask("qa.question.ask", {"text": " Why <b>not</b>? 🤔\n"}, ANNA)
    question_id = performed.reply["questionId"]
    assert performed.reply == {"questionId": question_id}
    whole = {
        "id": question_id,
        "text": " Why <b>not</b>? 🤔\n",
        "isAnonymous": False,
        "status": "pending",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "authorId": "anna",
        "authorEmail": "",
        "author": {"id": "anna", "firstName": "Anna", "lastName": "Tester"},
        "sessionId": "s1",
        "tags": [],
        "_count": {"upvotes": 0},
    }
    assert bench.shown(performed) == [("qa.question.new", whole)]
    assert bench.shown(performed, MODERATION) == [("qa.question.new", {**whole, "authorEmail": "anna@mail.test"})]
    assert performed.facts[0].to == (MODERATION, PUBLIC), "so that a moderator hears it once, as a moderator"


def test_what_others_rely_on_is_in_the_facts(bench: Bench) -> None:
    asked = bench.ask("qa.question.ask", {"text": "Why?"}, ANNA).facts[0]
    assert asked.kind == "qa.question.asked"
    assert asked.data["question"]["text"] == "Why?"
    assert [asked.data[name] for name in ("authorId", "authorEmail", "anonymous", "held")] == [
        "anna",
        "anna@mail.test",
        False,
        False,
    ]
    question_id = asked.data["question"]["id"]
    for added in (True, False):
        fact = upvote(bench, question_id).facts[0]
        assert fact.kind == "qa.question.upvoted"
        assert [fact.data[name] for name in ("userId", "added", "authorId")] == ["ben", added, "anna"]
        assert fact.data["question"]["id"] == question_id


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "text must not be empty"),
        (" \n\u2003", "text must not be empty"),
        ("x" * (TEXT_CHARS_MAX + 1), "text must be at most 500 characters, not 501"),
        (None, "text must be a string"),
    ],
)
def test_a_question_has_a_length(bench: Bench, text: JSON, told: str) -> None:
    refusal = bench.refusal("qa.question.ask", {"text": text}, ANNA)
    assert (refusal.message, refusal.status) == (told, 400)


def test_the_longest_question_counts_code_points(bench: Bench) -> None:
    put(bench, "😀" * TEXT_CHARS_MAX)


def test_anonymous_is_yes_or_no(bench: Bench) -> None:
    refusal = bench.refusal("qa.question.ask", {"text": "Why?", "isAnonymous": "yes"}, ANNA)
    assert refusal.message == "isAnonymous must be true or false"


def test_one_person_cannot_fill_a_session(bench: Bench) -> None:
    for _ in range(QUESTIONS_PER_PERSON_MAX):
        put(bench)
    refusal = bench.refusal("qa.question.ask", {"text": "One more?"}, ANNA)
    assert refusal.message == f"You can ask at most {QUESTIONS_PER_PERSON_MAX} questions in a session"
    assert (refusal.status, refusal.code) == (400, "too_many")
    assert bench.refusal("qa.question.ask", {"text": "Incognito?", "isAnonymous": True}, ANNA).code == "too_many"
    put(bench, who=BEN)


# Anonymity and e-mail addresses


@pytest.mark.parametrize("share_emails", [False, True])
def test_who_asked_anonymously_is_told_to_nobody(strict: Bench, share_emails: bool) -> None:
    """Every event, reply, page and snapshot of a question's whole life, for moderators too."""
    strict.feature(Qa).share_emails = share_emails
    secret = person("secretly")
    told: list[JSON] = []

    def see(performed: Performed) -> None:
        told.extend([performed.reply, strict.shown(performed), strict.shown(performed, MODERATION)])

    asked = strict.ask("qa.question.ask", {"text": "Who pays?", "isAnonymous": True}, secret)
    question_id = asked.reply["questionId"]
    see(asked)
    see(moderate(strict, question_id, "approved", "hm"))
    see(upvote(strict, question_id, secret))
    see(upvote(strict, question_id))
    answer = {"questionId": question_id, "answerText": "You."}
    see(strict.ask("qna.question.answer", answer, MODERATOR))
    see(tag(strict, question_id, "money"))
    see(moderate(strict, question_id, "dismissed"))
    see(moderate(strict, question_id, "approved"))
    for who in (BEN, MODERATOR):
        told += [strict.state.snapshot(who), strict.ask("qa.questions", {}, who).reply]
    assert "secretly" not in orjson.dumps(told).decode()
    for question in (strict.shown(asked, MODERATION)[0][1], strict.state.snapshot(MODERATOR)["questions"][0]):
        assert (question["authorId"], question["authorEmail"], question["isAnonymous"]) == ("", "", True)
        assert "author" not in question


def test_the_log_keeps_neither_name_nor_address_of_who_asked_anonymously(bench: Bench) -> None:
    put(bench, isAnonymous=True)
    (fact,) = bench.log
    assert b"anna@mail.test" not in fact.data
    assert b"Anna" not in fact.data


def test_moderators_alone_see_addresses(bench: Bench) -> None:
    question_id = put(bench)
    performed = upvote(bench, question_id)
    assert one(bench, performed)["authorEmail"] == ""
    assert one(bench, performed, MODERATION)["authorEmail"] == "anna@mail.test"
    for who, email in ((ANNA, ""), (BEN, ""), (MANAGER, ""), (MODERATOR, "anna@mail.test")):
        assert bench.state.snapshot(who)["questions"][0]["authorEmail"] == email
        assert bench.ask("qa.questions", {}, who).reply["questions"][0]["authorEmail"] == email


def test_addresses_can_be_shared(bench: Bench) -> None:
    bench.feature(Qa).share_emails = True
    performed = bench.ask("qa.question.ask", {"text": "Why?"}, ANNA)
    assert one(bench, performed)["authorEmail"] == "anna@mail.test"
    assert bench.state.snapshot(BEN)["questions"][0]["authorEmail"] == "anna@mail.test"
    bench.feature(Qa).share_emails = False
    assert bench.state.snapshot(BEN)["questions"][0]["authorEmail"] == "", "what was shared once is not from now on"
    assert one(bench, upvote(bench, performed.reply["questionId"]))["authorEmail"] == ""


def test_a_session_named_like_the_moderators_of_another_sees_no_more() -> None:
    bench = Bench(Qa, room_id="s1:moderation")
    performed = bench.ask("qa.question.ask", {"text": "Why?"}, ANNA)
    assert one(bench, performed)["authorEmail"] == ""
    assert one(bench, performed, MODERATION)["authorEmail"] == "anna@mail.test"


# Upvotes


def test_an_upvote_counts_and_the_same_again_takes_it_back(bench: Bench) -> None:
    question_id = put(bench)
    counts = []
    for who in (BEN, CARA, BEN, BEN, CARA):
        performed = upvote(bench, question_id, who)
        assert events(bench, performed) == events(bench, performed, MODERATION) == ["qna.question.updated"]
        upvotes = one(bench, performed)["_count"]["upvotes"]
        assert performed.reply == {"questionId": question_id, "upvotes": upvotes}
        assert one(bench, performed, MODERATION)["_count"] == {"upvotes": upvotes}
        counts.append(upvotes)
    assert counts == [1, 2, 1, 2, 1]


def test_who_upvoted_is_shown_to_nobody(bench: Bench) -> None:
    performed = upvote(bench, put(bench))
    for audience in (PUBLIC, MODERATION):
        assert "ben" not in orjson.dumps(bench.shown(performed, audience)).decode()


def test_one_may_upvote_ones_own(bench: Bench) -> None:
    assert upvote(bench, put(bench), ANNA).reply["upvotes"] == 1


# Moderation


def test_approval_is_shown_to_everybody_and_the_note_to_moderators(bench: Bench) -> None:
    question_id = put(bench)
    performed = moderate(bench, question_id, "approved", "Great question!")
    assert performed.reply == {"questionId": question_id}
    assert events(bench, performed) == events(bench, performed, MODERATION) == ["qna.question.updated"]
    assert one(bench, performed)["status"] == one(bench, performed, MODERATION)["status"] == "approved"
    assert "moderatorNote" not in one(bench, performed)
    assert one(bench, performed, MODERATION)["moderatorNote"] == "Great question!"


def test_a_dismissed_question_is_removed_and_moderators_keep_it(bench: Bench) -> None:
    question_id = put(bench)
    performed = moderate(bench, question_id, "dismissed", "off topic")
    assert bench.shown(performed) == [("qna.question.removed", {"questionId": question_id})]
    assert events(bench, performed, MODERATION) == ["qna.question.updated"]
    told = one(bench, performed, MODERATION)
    assert (told["status"], told["moderatorNote"]) == ("dismissed", "off topic")
    assert listed(bench) == listed(bench, MODERATOR) == []
    assert (texts(bench), texts(bench, MODERATOR)) == ([], ["Why?"])


def test_an_approved_question_can_be_dismissed(bench: Bench) -> None:
    question_id = put(bench)
    moderate(bench, question_id, "approved")
    assert events(bench, moderate(bench, question_id, "dismissed")) == ["qna.question.removed"]


def test_a_question_approved_again_is_new_to_the_public(bench: Bench) -> None:
    question_id = put(bench)
    upvote(bench, question_id)
    moderate(bench, question_id, "dismissed", "hasty")
    performed = moderate(bench, question_id, "approved")
    assert events(bench, performed) == ["qa.question.new"]
    assert events(bench, performed, MODERATION) == ["qna.question.updated"]
    assert (one(bench, performed)["status"], one(bench, performed)["_count"]) == ("approved", {"upvotes": 1})
    assert "moderatorNote" not in one(bench, performed)
    assert one(bench, performed, MODERATION)["moderatorNote"] == "hasty", "without a note, the last one stays"
    assert listed(bench) == ["Why?"]


def test_what_is_so_already_is_no_news(bench: Bench) -> None:
    question_id = put(bench)
    for status in ("approved", "dismissed"):
        moderate(bench, question_id, status, "a note")
        for note in ("a note", None):
            again = moderate(bench, question_id, status, note)
            assert (again.facts, again.reply) == ([], {"questionId": question_id})
    performed = moderate(bench, question_id, "dismissed", "another note")
    assert bench.shown(performed) == [], "it was removed before"
    assert one(bench, performed, MODERATION)["moderatorNote"] == "another note"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"status": "pending"}, "status must be one of approved, dismissed"),
        ({"moderatorNote": "x" * (NOTE_CHARS_MAX + 1)}, "moderatorNote must be at most 200 characters, not 201"),
        ({"moderatorNote": " "}, "moderatorNote must not be empty"),
        ({"questionId": "q_abc123"}, "questionId must be a UUID v4"),
    ],
)
def test_a_decision_has_its_form(bench: Bench, wrong: dict[str, JSON], told: str) -> None:
    data = {"questionId": put(bench), "status": "approved", **wrong}
    assert bench.refusal("qna.question.moderate", data, MODERATOR).message == told


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("qna.question.moderate", {"status": "approved"}),
        ("qna.question.answer", {"answerText": "So."}),
        ("qna.question.tag", {"tags": ["a"]}),
    ],
)
def test_only_moderators_moderate(bench: Bench, command: str, more: dict[str, JSON]) -> None:
    refusal = bench.refusal(command, {"questionId": put(bench), **more}, ANNA)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("qna.question.upvote", {}),
        ("qna.question.moderate", {"status": "approved"}),
        ("qna.question.answer", {"answerText": "So."}),
        ("qna.question.tag", {"tags": ["a"]}),
    ],
)
def test_there_must_be_a_question(bench: Bench, command: str, more: dict[str, JSON]) -> None:
    refusal = bench.refusal(command, {"questionId": UNKNOWN, **more}, MODERATOR)
    assert (refusal.message, refusal.status, refusal.code) == ("Question not found", 404, "not_found")


# Held questions


def test_a_held_question_is_shown_to_moderators_first(strict: Bench) -> None:
    performed = strict.ask("qa.question.ask", {"text": "Why?"}, ANNA)
    question_id = performed.reply["questionId"]
    assert strict.shown(performed) == []
    assert all(fact.to == (MODERATION,) for fact in performed.facts)
    (new, whole), alert = strict.shown(performed, MODERATION)
    assert (new, whole["status"], whole["authorEmail"]) == ("qa.question.new", "pending", "anna@mail.test")
    assert alert == (
        "moderation.alert",
        {
            "kind": "held",
            "targetType": "question",
            "targetId": question_id,
            "text": "Why?",
            "reason": "Waits for approval",
            "timestamp": "2026-01-01T00:00:00.000Z",
        },
    )
    assert performed.facts[0].data["held"] is True


def test_an_approved_question_is_new_to_the_public_and_updated_for_moderators(strict: Bench) -> None:
    question_id = put(strict)
    performed = moderate(strict, question_id, "approved", "fine")
    assert events(strict, performed) == ["qa.question.new"]
    assert events(strict, performed, MODERATION) == ["qna.question.updated"]
    assert one(strict, performed)["status"] == "approved"
    assert one(strict, performed)["authorEmail"] == ""
    assert "moderatorNote" not in one(strict, performed)
    assert events(strict, upvote(strict, question_id)) == ["qna.question.updated"]


def test_a_held_question_that_is_dismissed_was_never_there(strict: Bench) -> None:
    question_id = put(strict)
    performed = moderate(strict, question_id, "dismissed")
    assert strict.shown(performed) == []
    assert events(strict, performed, MODERATION) == ["qna.question.updated"]
    assert (listed(strict, MODERATOR), texts(strict)) == ([], [])


@pytest.mark.parametrize("fate", ["held", "dismissed"])
@pytest.mark.parametrize("who", [ANNA, BEN, MODERATOR], ids=lambda who: who.id)
def test_what_is_not_public_takes_no_upvotes(strict: Bench, fate: str, who: Person) -> None:
    question_id = put(strict)
    if fate == "dismissed":
        moderate(strict, question_id, "dismissed")
    refusal = strict.refusal("qna.question.upvote", {"questionId": question_id}, who)
    assert (refusal.message, refusal.status) == ("Question not found", 404)


def test_what_moderators_do_to_a_held_question_stays_with_them(strict: Bench) -> None:
    question_id = put(strict)
    answered = strict.ask("qna.question.answer", {"questionId": question_id, "answerText": "So."}, MODERATOR)
    for performed in (answered, tag(strict, question_id, "later")):
        assert strict.shown(performed) == []
        assert events(strict, performed, MODERATION) == ["qna.question.updated"]
    shown = one(strict, moderate(strict, question_id, "approved"))
    assert (shown["answer"]["text"], shown["tags"]) == ("So.", ["later"])


# How a session moderates


def test_how_questions_become_public_is_a_setting_of_each_session(bench: Bench) -> None:
    for who, moderation, public in ((MODERATOR, "pre", []), (MANAGER, "post", ["qa.question.new"])):
        changed = bench.ask("qa.settings", {"moderation": moderation}, who)
        assert changed.reply == {"moderation": moderation}
        assert [(fact.kind, fact.data, fact.to) for fact in changed.facts] == [
            ("qa.settings.changed", {"moderation": moderation, "by": who.id}, ())
        ]
        assert bench.ask("qa.settings", {"moderation": moderation}, who).facts == []
        assert events(bench, bench.ask("qa.question.ask", {"text": "Why?"}, ANNA)) == public


def test_questions_that_are_held_stay_so_when_the_mode_changes(bench: Bench) -> None:
    put(bench, "public")
    bench.ask("qa.settings", {"moderation": "pre"}, MODERATOR)
    put(bench, "held")
    assert listed(bench) == ["public"], "what is public stays so, too"
    bench.ask("qa.settings", {"moderation": "post"}, MODERATOR)
    assert (listed(bench), listed(bench, MODERATOR)) == (["public"], ["public", "held"])


def test_what_a_session_chose_outlives_a_change_of_the_default(strict: Bench) -> None:
    strict.ask("qa.settings", {"moderation": "pre"}, MODERATOR)
    strict.catalog.settings["qa"] = QaSettings(moderation="post")
    (feature,) = strict.reopened().features
    assert isinstance(feature, Qa)
    assert (feature.mode, feature.settings.moderation) == ("pre", "post")


def test_the_mode_is_one_of_two_and_not_for_everybody(bench: Bench) -> None:
    refusal = bench.refusal("qa.settings", {"moderation": "off"}, MODERATOR)
    assert (refusal.message, refusal.status) == ("moderation must be one of post, pre", 400)
    refusal = bench.refusal("qa.settings", {"moderation": "pre"}, ANNA)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)


# Flagged words


def flagging(*words: str, moderation: Literal["post", "pre"] = "post") -> Bench:
    return Bench(Qa, settings={"qa": QaSettings(moderation=moderation, flag_words=words)})


def alerts(bench: Bench, text: str) -> list[JSON]:
    shown = bench.shown(bench.ask("qa.question.ask", {"text": text}, ANNA), MODERATION)
    return [payload for event, payload in shown if event == "moderation.alert"]


def test_a_flagged_word_alerts_moderators_alone() -> None:
    bench = flagging("scam", "fraud")
    performed = bench.ask("qa.question.ask", {"text": "Is this a SCAM?"}, ANNA)
    assert events(bench, performed) == ["qa.question.new"]
    (_, alert) = bench.shown(performed, MODERATION)
    assert alert == (
        "moderation.alert",
        {
            "kind": "flagged",
            "targetType": "question",
            "targetId": performed.reply["questionId"],
            "text": "Is this a SCAM?",
            "reason": "Contains scam",
            "timestamp": "2026-01-01T00:00:00.000Z",
        },
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a scam, a fraud, a scam", "Contains scam, fraud"),
        ("FRAUD", "Contains fraud"),
        ("(scam)", "Contains scam"),
        ("the scampi", None),
        ("a_scam", None),
        ("Große STRASSE", "Contains straße"),
        ("an inside-job!", "Contains inside job"),
        ("inside the job", None),
        ("...", None),
    ],
)
def test_flagged_words_are_whole_words_in_any_case(text: str, found: str | None) -> None:
    told = alerts(flagging("scam", "fraud", "straße", "inside job", "", " ", "?!"), text)
    assert [alert["reason"] for alert in told] == ([] if found is None else [found])


def test_a_held_question_with_a_flagged_word_alerts_once() -> None:
    (alert,) = alerts(flagging("scam", moderation="pre"), "A scam?")
    assert (alert["kind"], alert["reason"]) == ("held", "Waits for approval; Contains scam")


# Answers and tags


def test_an_answer_is_shown_to_everybody(bench: Bench) -> None:
    question_id = put(bench)
    for text in ("So.", "Rather so."):
        data = {"questionId": question_id, "answerText": text}
        performed = bench.ask("qna.question.answer", data, MODERATOR, after_ms=MINUTE_MS)
        assert performed.reply == {"questionId": question_id}
        assert events(bench, performed) == events(bench, performed, MODERATION) == ["qna.question.updated"]
        assert one(bench, performed)["answer"]["text"] == text
    assert one(bench, performed)["answer"] == {
        "text": "Rather so.",
        "answeredAt": "2026-01-01T00:02:00.000Z",
        "answeredById": "mo",
    }
    assert one(bench, performed)["status"] == "pending", "an answer is no approval"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (" \n", "answerText must not be empty"),
        ("x" * (ANSWER_CHARS_MAX + 1), "answerText must be at most 2000 characters, not 2001"),
    ],
)
def test_an_answer_has_a_length(bench: Bench, text: str, told: str) -> None:
    data = {"questionId": put(bench), "answerText": text}
    assert bench.refusal("qna.question.answer", data, MODERATOR).message == told
    bench.ask("qna.question.answer", {**data, "answerText": "x" * ANSWER_CHARS_MAX}, MODERATOR)


def test_tags_are_trimmed_once_each_and_in_order(bench: Bench) -> None:
    question_id = put(bench)
    performed = tag(bench, question_id, " react", "performance", "react ", "React")
    assert performed.reply == {"questionId": question_id}
    assert events(bench, performed) == events(bench, performed, MODERATION) == ["qna.question.updated"]
    assert one(bench, performed)["tags"] == ["react", "performance", "React"]
    assert tag(bench, question_id, "react", "performance", "React").facts == [], "no news"
    assert one(bench, tag(bench, question_id))["tags"] == []


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (["x"] * (TAGS_PER_QUESTION_MAX + 1), "tags must have 0 to 10 items, not 11"),
        (["ok", "x" * (TAG_CHARS_MAX + 1)], "tags[1] must be at most 50 characters, not 51"),
        ([" "], "tags[0] must not be empty"),
        ([5], "tags[0] must be a string"),
        ("react", "tags must be a list"),
    ],
)
def test_tags_have_limits(bench: Bench, tags: JSON, told: str) -> None:
    assert bench.refusal("qna.question.tag", {"questionId": put(bench), "tags": tags}, MODERATOR).message == told


# Late joiners and REST


def test_who_comes_late_is_shown_open_questions_by_votes_then_age(bench: Bench) -> None:
    ids = {text: put(bench, text) for text in ("first", "loved", "second", "gone", "liked")}
    for who in (BEN, CARA):
        upvote(bench, ids["loved"], who)
    upvote(bench, ids["liked"])
    moderate(bench, ids["gone"], "dismissed")
    moderate(bench, ids["second"], "approved")
    assert listed(bench) == listed(bench, MODERATOR) == ["loved", "liked", "first", "second"]
    mine = [question["hasUpvoted"] for question in bench.state.snapshot(BEN)["questions"]]
    assert mine == [True, True, False, False]
    assert not any(question["hasUpvoted"] for question in bench.state.snapshot(ANNA)["questions"])


def test_moderators_who_come_late_are_shown_held_questions_after_the_open_ones(strict: Bench) -> None:
    ids = [put(strict, str(number)) for number in range(4)]
    moderate(strict, ids[1], "dismissed")
    moderate(strict, ids[2], "approved", "fine")
    assert listed(strict) == ["2"]
    assert listed(strict, MODERATOR) == ["2", "0", "3"]
    approved = strict.state.snapshot(MODERATOR)["questions"][0]
    assert (approved["moderatorNote"], approved["authorEmail"]) == ("fine", "anna@mail.test")
    assert "moderatorNote" not in strict.state.snapshot(BEN)["questions"][0]


def many(bench: Bench, count: int) -> list[str]:
    """Ids of so many questions of several people, numbered in their texts."""
    return [put(bench, str(number), person(f"p{number // QUESTIONS_PER_PERSON_MAX}")) for number in range(count)]


def test_a_snapshot_has_a_bound(bench: Bench) -> None:
    ids = many(bench, QUESTIONS_SHOWN_MAX + 5)
    upvote(bench, ids[-1])
    shown = listed(bench)
    assert len(shown) == QUESTIONS_SHOWN_MAX
    assert shown[:2] == [str(QUESTIONS_SHOWN_MAX + 4), "0"]
    bench.ask("qa.settings", {"moderation": "pre"}, MODERATOR)
    for _ in range(QUESTIONS_PER_PERSON_MAX):
        put(bench, "held", CARA)
    put(bench, "held", BEN)
    assert listed(bench, MODERATOR).count("held") == QUESTIONS_SHOWN_MAX, "open questions take no place from them"


def test_questions_come_in_pages_oldest_first(bench: Bench) -> None:
    ids = many(bench, 7)
    assert texts(bench, limit=3) == ["4", "5", "6"]
    assert texts(bench, limit=3, before=ids[4]) == ["1", "2", "3"]
    assert texts(bench, limit=3, before=ids[1]) == ["0"]
    assert texts(bench, before=ids[0]) == []
    more = [bench.ask("qa.questions", {"limit": limit}, BEN).reply["hasMore"] for limit in (6, 7, 8)]
    assert more == [True, False, False]


def test_pages_have_bounds(bench: Bench) -> None:
    many(bench, QUESTIONS_SHOWN_MAX + 1)
    assert len(texts(bench)) == PAGE_QUESTIONS
    assert len(texts(bench, limit=QUESTIONS_SHOWN_MAX)) == QUESTIONS_SHOWN_MAX
    for limit in (0, QUESTIONS_SHOWN_MAX + 1):
        assert bench.refusal("qa.questions", {"limit": limit}, BEN).message == "limit must be from 1 to 200"


def test_pages_show_participants_what_is_public_and_moderators_all(strict: Bench) -> None:
    ids = [put(strict, text) for text in ("held", "approved", "dismissed")]
    moderate(strict, ids[1], "approved", "yes")
    moderate(strict, ids[2], "dismissed", "no")
    assert texts(strict) == texts(strict, MANAGER) == ["approved"]
    assert texts(strict, MODERATOR) == ["held", "approved", "dismissed"]
    for status, all_of_them in (("pending", ["held"]), ("approved", ["approved"]), ("dismissed", ["dismissed"])):
        assert texts(strict, MODERATOR, status=status) == all_of_them
        assert texts(strict, BEN, status=status) == [text for text in all_of_them if text == "approved"]
    notes = [
        question.get("moderatorNote")
        for question in strict.ask("qa.questions", {}, MODERATOR).reply["questions"]
    ]  # fmt: skip
    assert notes == [None, "yes", "no"]
    (shown,) = strict.ask("qa.questions", {}, BEN).reply["questions"]
    assert "moderatorNote" not in shown


def test_a_page_goes_on_before_a_question_that_the_reader_may_see(strict: Bench) -> None:
    held = put(strict)
    for who, before in ((MODERATOR, UNKNOWN), (BEN, UNKNOWN), (BEN, held)):
        refusal = strict.refusal("qa.questions", {"before": before}, who)
        assert (refusal.message, refusal.status) == ("Question not found", 404)
    assert texts(strict, MODERATOR, before=held) == []


def test_a_page_goes_on_before_a_question_of_another_status(bench: Bench) -> None:
    ids = many(bench, 4)
    for number in (0, 1, 3):
        moderate(bench, ids[number], "approved")
    assert texts(bench, status="approved", before=ids[2]) == ["0", "1"]


def test_a_status_is_one_of_three(bench: Bench) -> None:
    refusal = bench.refusal("qa.questions", {"status": "open"}, BEN)
    assert refusal.message == "status must be one of pending, approved, dismissed"


def test_the_doors_are_declared(bench: Bench) -> None:
    """The gate does the rest: seats, keys, permissions and routes."""
    declared = bench.catalog.commands
    socket = ("qa.question.ask", "qna.question.upvote", "qna.question.moderate", "qna.question.answer",
              "qna.question.tag")  # fmt: skip
    assert {*socket, "qa.settings", "qa.questions"} == set(declared)
    assert all((declared[name].via, declared[name].seat) == (Via.SOCKET, Seating.NEEDED) for name in socket)
    settings, read = declared["qa.settings"], declared["qa.questions"]
    assert (settings.via, settings.seat, settings.reads) == (Via.REST, Seating.FREE, False)
    assert (read.via, read.seat, read.instead, read.reads) == (Via.REST, Seating.MEMBER, "sessions:manage", True)
    assert all(command.rate and command.returns for command in declared.values())


# The log


def test_the_log_rebuilds_the_questions(strict: Bench) -> None:
    first, second, third = (put(strict, who=who, isAnonymous=who is BEN) for who in (ANNA, BEN, CARA))
    moderate(strict, first, "approved", "fine")
    moderate(strict, second, "approved")
    moderate(strict, third, "dismissed", "no")
    for who in (ANNA, BEN, CARA, BEN):
        upvote(strict, first, who)
    upvote(strict, second)
    strict.ask("qna.question.answer", {"questionId": first, "answerText": "So."}, MODERATOR)
    tag(strict, second, "a", "b")
    strict.ask("qa.settings", {"moderation": "post"}, MODERATOR)
    put(strict, "late")
    assert {fact.kind for fact in strict.log} == {*NEW, *CHANGED, "moderation.alert", "qa.settings.changed"}
    assert strict.reopened().features == strict.state.features
    for who in (BEN, MODERATOR):
        assert strict.reopened().snapshot(who) == strict.state.snapshot(who)


# In a room: who hears what, once


async def test_everybody_hears_what_is_theirs_exactly_once(autojump_clock: MockClock) -> None:
    settings = {"sessions": SessionSettings(auto_create=True), "qa": QaSettings(moderation="pre")}
    async with open_hub(Sessions, Qa, settings=settings) as hub:
        anna, mo = ears(ANNA), ears(MODERATOR)
        for client in (anna, mo):
            await hub.do("session.join", {"sessionId": "s1"}, client)
        question_id = (await hub.do("qa.question.ask", {"text": "Why?"}, anna))["questionId"]
        assert names(anna) == []
        assert names(mo) == ["qa.question.new", "moderation.alert"]
        for status in ("approved", "dismissed", "approved"):
            await hub.do("qna.question.moderate", {"questionId": question_id, "status": status}, mo)
        await hub.do("qna.question.upvote", {"questionId": question_id}, anna)
        assert names(anna) == ["qa.question.new", "qna.question.removed", "qa.question.new", "qna.question.updated"]
        assert names(mo)[2:] == [
            "qna.question.updated",
            "qna.question.updated",
            "qna.question.removed",
            "qna.question.updated",
            "qna.question.updated",
        ]
        assert all(question["authorEmail"] == "anna@mail.test" for question in mo.events("qna.question.updated"))
        assert await replayed(hub, mo) == mo.events()
        assert await replayed(hub, anna) == anna.events()


def names(client: Ears) -> list[str]:
    return [event for event, _ in client.events()]


async def replayed(hub: HubUnderTest, client: Ears) -> list[tuple[str, JSON]]:
    """What a client would be shown who missed everything."""
    records = await hub.store.replay(
        dict.fromkeys(client.peer.seats["session:s1"].audiences, 0), upto=hub.store.head, limit=1_000
    )
    frames = Replays(hub.fanout).render(client.peer.vocabulary, records, lambda record: {})
    return [(item.event, item.payload) for item in map(heard, frames)]
