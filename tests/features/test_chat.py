"""Chat: what contract 1 (§4) promises, asked as plain functions."""

from __future__ import annotations

import pytest

from livehub.feature import JSON, Person, iso
from livehub.features.chat import (
    EMOJI_PER_MESSAGE_MAX,
    HISTORY_MESSAGES_MAX,
    SNAPSHOT_MESSAGES,
    TEXT_CHARS_MAX,
    Chat,
    ChatSettings,
)
from tests.kit import ANNA, BEN, MODERATOR, START_MS, Bench, person, uuid

MINUTE_MS = 60_000
NOBODY = person("nobody")


@pytest.fixture
def bench() -> Bench:
    return Bench(Chat)


def send(bench: Bench, text: str = "hello", who: Person = ANNA, **more: str) -> str:
    """Send a message; its id."""
    return str(bench.ask("chat.message.send", {"text": text, **more}, who).reply["messageId"])


def edit(message_id: str, text: str = "better") -> dict[str, str]:
    return {"messageId": message_id, "newText": text}


def react(message_id: str, emoji: str = "👍") -> dict[str, str]:
    return {"messageId": message_id, "emoji": emoji}


def texts(bench: Bench, **query: JSON) -> list[str]:
    reply = bench.ask("chat.history", query, ANNA).reply
    return [message["text"] for message in reply["messages"]]


def test_a_message_is_shown_to_everybody_in_full(bench: Bench) -> None:
    performed = bench.ask("chat.message.send", {"text": " Hello <b>everyone</b>! 👋\n"}, ANNA)
    message_id = performed.reply["messageId"]
    assert bench.shown(performed) == [
        (
            "chat.message.new",
            {
                "id": message_id,
                "text": " Hello <b>everyone</b>! 👋\n",
                "timestamp": "2026-01-01T00:00:00.000Z",
                "isEdited": False,
                "editedAt": None,
                "authorId": "anna",
                "sessionId": "s1",
                "author": {"id": "anna", "firstName": "Anna", "lastName": "Tester"},
                "reactionsSummary": {},
            },
        )
    ]


def test_a_reply_quotes_what_it_answers(bench: Bench) -> None:
    first = send(bench, "question?")
    performed = bench.ask("chat.message.send", {"text": "answer", "replyingToMessageId": first}, BEN)
    ((_, shown),) = bench.shown(performed)
    assert shown["parentMessage"] == {
        "id": first,
        "text": "question?",
        "author": {"id": "anna", "firstName": "Anna", "lastName": "Tester"},
    }


def test_nobody_answers_what_is_not_there(bench: Bench) -> None:
    refusal = bench.refusal("chat.message.send", {"text": "x", "replyingToMessageId": uuid(1)}, ANNA)
    assert (refusal.message, refusal.status) == ("Message not found", 404)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "text must not be empty"),
        (" \n ", "text must not be empty"),
        ("x" * (TEXT_CHARS_MAX + 1), f"text must be at most 1000 characters, not {TEXT_CHARS_MAX + 1}"),
    ],
)
def test_text_has_a_length(bench: Bench, text: str, told: str) -> None:
    assert bench.refusal("chat.message.send", {"text": text}, ANNA).message == told
    assert bench.refusal("chat.message.edit", edit(send(bench), text), ANNA).message == told.replace("text", "newText")


def test_the_longest_text_counts_code_points(bench: Bench) -> None:
    send(bench, "😀" * TEXT_CHARS_MAX)


def test_an_edit_shows_the_message_anew(bench: Bench) -> None:
    message_id = send(bench)
    bench.ask("chat.message.react", react(message_id), BEN)
    performed = bench.ask("chat.message.edit", edit(message_id), ANNA, after_ms=MINUTE_MS)
    assert performed.reply == {"messageId": message_id}
    ((event, shown),) = bench.shown(performed)
    assert event == "chat.message.updated"
    assert (shown["text"], shown["isEdited"], shown["editedAt"]) == ("better", True, "2026-01-01T00:01:00.000Z")
    assert shown["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert shown["reactionsSummary"] == {"👍": 1}
    assert texts(bench) == ["better"]


def test_only_ones_own_message_can_be_edited(bench: Bench) -> None:
    refusal = bench.refusal("chat.message.edit", edit(send(bench)), MODERATOR)
    assert (refusal.message, refusal.status) == ("You can only edit your own messages", 403)


def test_the_time_to_edit_ends_after_five_minutes(bench: Bench) -> None:
    message_id = send(bench)
    bench.ask("chat.message.edit", edit(message_id), ANNA, after_ms=5 * MINUTE_MS)
    refusal = bench.refusal("chat.message.edit", edit(message_id), ANNA, after_ms=1)
    assert (refusal.message, refusal.status) == ("Messages can only be edited within 5 minutes", 403)


@pytest.mark.parametrize(
    ("window_s", "told"), [(90, "90 seconds"), (60, "1 minute"), (1, "1 second"), (600, "10 minutes"), (0, "0 seconds")]
)
def test_the_time_to_edit_is_a_setting(window_s: int, told: str) -> None:
    bench = Bench(Chat, settings={"chat": ChatSettings(window_s)})
    message_id = send(bench)
    refusal = bench.refusal("chat.message.edit", edit(message_id), ANNA, after_ms=window_s * 1_000 + 1)
    assert refusal.message == f"Messages can only be edited within {told}"


def test_a_deleted_message_is_gone_for_everything(bench: Bench) -> None:
    message_id, other = send(bench), send(bench, "stays")
    performed = bench.ask("chat.message.delete", {"messageId": message_id}, ANNA)
    assert bench.shown(performed) == [("chat.message.deleted", {"messageId": message_id})]
    for command, data in (
        ("chat.message.edit", edit(message_id)),
        ("chat.message.delete", {"messageId": message_id}),
        ("chat.message.react", react(message_id)),
        ("chat.message.send", {"text": "x", "replyingToMessageId": message_id}),
        ("chat.history", {"before": message_id}),
    ):
        assert bench.refusal(command, data, ANNA).message == "Message not found"
    assert [message["id"] for message in bench.state.snapshot(BEN)["messages"]] == [other]


@pytest.mark.parametrize(
    ("who", "own", "others"),
    [(ANNA, True, False), (MODERATOR, True, True), (NOBODY, False, False), (person("owner", "*"), True, True)],
    ids=lambda value: getattr(value, "id", None),
)
def test_who_may_delete(bench: Bench, who: Person, own: bool, others: bool) -> None:
    for author, may in ((who, own), (BEN, others)):
        data = {"messageId": send(bench, who=author)}
        if may:
            bench.ask("chat.message.delete", data, who)
        else:
            refusal = bench.refusal("chat.message.delete", data, who)
            assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_a_reply_to_a_deleted_message_no_longer_quotes_it(bench: Bench) -> None:
    first = send(bench, "secret")
    send(bench, "answer", BEN, replyingToMessageId=first)
    bench.ask("chat.message.delete", {"messageId": first}, ANNA)
    (shown,) = bench.state.snapshot(BEN)["messages"]
    assert "parentMessage" not in shown


def test_a_reaction_counts_and_the_same_again_takes_it_back(bench: Bench) -> None:
    message_id = send(bench)
    summaries = []
    for who, emoji in ((ANNA, "👍"), (BEN, "👍"), (BEN, "❤️"), (ANNA, "👍"), (BEN, "👍")):
        ((event, shown),) = bench.shown(bench.ask("chat.message.react", react(message_id, emoji), who))
        assert event == "chat.message.updated"
        assert shown["isEdited"] is False
        summaries.append(shown["reactionsSummary"])
    assert summaries == [{"👍": 1}, {"👍": 2}, {"👍": 2, "❤️": 1}, {"👍": 1, "❤️": 1}, {"❤️": 1}]


def test_a_message_takes_so_many_kinds_of_emoji(bench: Bench) -> None:
    message_id = send(bench)
    for number in range(EMOJI_PER_MESSAGE_MAX):
        bench.ask("chat.message.react", react(message_id, chr(0x1F300 + number)), ANNA)
    refusal = bench.refusal("chat.message.react", react(message_id, "é"), ANNA)
    assert refusal.message == f"A message takes at most {EMOJI_PER_MESSAGE_MAX} different emoji"
    bench.ask("chat.message.react", react(message_id, chr(0x1F300)), BEN)
    bench.ask("chat.message.react", react(message_id, chr(0x1F301)), ANNA)
    bench.ask("chat.message.react", react(message_id, "é"), ANNA)


def test_history_comes_in_pages_oldest_first(bench: Bench) -> None:
    ids = [send(bench, str(number)) for number in range(7)]
    assert texts(bench, limit=3) == ["4", "5", "6"]
    assert texts(bench, limit=3, before=ids[4]) == ["1", "2", "3"]
    assert texts(bench, limit=3, before=ids[1]) == ["0"]
    assert texts(bench, before=ids[0]) == []
    more = [bench.ask("chat.history", {"limit": limit}, ANNA).reply["hasMore"] for limit in (6, 7, 8)]
    assert more == [True, False, False]


def test_history_has_bounds(bench: Bench) -> None:
    for _ in range(HISTORY_MESSAGES_MAX + 1):
        send(bench)
    assert len(texts(bench)) == SNAPSHOT_MESSAGES
    assert len(texts(bench, limit=HISTORY_MESSAGES_MAX)) == HISTORY_MESSAGES_MAX
    for limit in (0, HISTORY_MESSAGES_MAX + 1):
        assert bench.refusal("chat.history", {"limit": limit}, ANNA).message == "limit must be from 1 to 200"


def test_who_comes_late_is_shown_the_last_messages(bench: Bench) -> None:
    for number in range(SNAPSHOT_MESSAGES + 5):
        send(bench, str(number))
    shown = bench.state.snapshot(BEN)["messages"]
    assert [message["text"] for message in shown] == [str(number) for number in range(5, SNAPSHOT_MESSAGES + 5)]


def test_the_log_rebuilds_the_chat(bench: Bench) -> None:
    first = send(bench)
    bench.ask("chat.message.react", react(first), BEN)
    bench.ask("chat.message.edit", edit(first), ANNA)
    send(bench, "answer", BEN, replyingToMessageId=first)
    bench.ask("chat.message.delete", {"messageId": send(bench)}, ANNA)
    assert bench.reopened().features == bench.state.features
    assert bench.reopened().snapshot(ANNA) == bench.state.snapshot(ANNA)


def test_the_export_has_the_messages_that_are_still_there(bench: Bench) -> None:
    first, gone = send(bench, "first"), send(bench, "gone")
    answer = send(bench, "answer", BEN, replyingToMessageId=first)
    orphan = send(bench, "orphan", BEN, replyingToMessageId=gone)
    bench.ask("chat.message.edit", edit(first), ANNA)
    bench.ask("chat.message.react", react(answer), ANNA)
    bench.ask("chat.message.delete", {"messageId": gone}, ANNA)
    at = iso(START_MS)
    table = bench.feature(Chat).export(START_MS)["messages"]
    assert [dict(zip(table.columns, row, strict=True)) for row in table.rows] == [
        {
            "messageId": message_id, "sentAt": at, "editedAt": edited, "authorId": author, "authorName": name,
            "text": text, "replyTo": reply_to, "reactions": reactions,
        }
        for message_id, edited, author, name, text, reply_to, reactions in (
            (first, at, "anna", "Anna Tester", "better", None, {}),
            (answer, None, "ben", "Ben Tester", "answer", first, {"👍": 1}),
            (orphan, None, "ben", "Ben Tester", "orphan", None, {}),
        )
    ]  # fmt: skip
