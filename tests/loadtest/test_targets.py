"""Targets: what users say of themselves, what they send, and what an ack means."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest

from loadtest.targets import DEVELOPMENT_SECRET, ROLES, Outcome, UnknownTarget, names, target

DONE = {"success": True, "messageId": "m"}


def test_there_is_livehub_and_its_peer() -> None:
    assert names() == ["livehub", "socketio"]


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownTarget, match="there are: livehub, socketio"):
        target("phoenix")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no class in it is called Adapter"),
        ("class Adapter: pass", "derives from Target"),
        ("raise KeyError('x')", "cannot be imported: KeyError"),
        (
            "from loadtest.targets import Target\nclass Adapter(Target): name = 'x'",
            "has no chat, chat_frame_bytes, join",
        ),
    ],
)
def test_a_file_that_is_no_adapter_is_refused_with_the_reason(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UnknownTarget, match=told):
        target(str(file))
    with pytest.raises(UnknownTarget, match="there is no file"):
        target(str(tmp_path / "other.py"))


@pytest.mark.parametrize("name", names())
def test_a_target_knows_its_own_name_and_can_chat(name: str) -> None:
    assert target(name).name == name
    assert "chat" in target(name).supports


def test_the_peer_does_a_part_of_what_livehub_does() -> None:
    assert target("socketio").supports < target("livehub").supports
    assert target("socketio").missing(frozenset({"chat", "polls", "qa"})) == ["polls", "qa"]
    assert target("livehub").missing(frozenset({"chat", "polls", "qa"})) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_token_says_who_somebody_is(role: str) -> None:
    token = target("livehub").auth(7, role)["token"]
    assert isinstance(token, str)
    claims = jwt.decode(token, DEVELOPMENT_SECRET, ["HS256"])
    assert claims["sub"] == "user-000007"
    assert claims["email"] == "user-000007@example.org"
    assert claims["role"] == ROLES[role]
    assert claims["orgId"]
    assert claims["exp"] > time.time() + 3_600


def test_a_token_is_signed_with_the_secret_that_was_given() -> None:
    token = target("livehub", "another secret, of at least thirty-two bytes").token(7)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, DEVELOPMENT_SECRET, ["HS256"])


def test_people_come_back_with_the_token_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    livehub = target("livehub")
    first, staff = livehub.token(7), livehub.token(7, "organizer")
    later_s = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert (livehub.token(7), livehub.token(7, "organizer")) == (first, staff)
    assert livehub.token(8) not in (first, staff)


def test_people_have_ids_of_one_length() -> None:
    assert len({len(target("livehub").user_id(number)) for number in (0, 9, 99_999, 999_999)}) == 1


@pytest.mark.parametrize(
    ("args", "outcome"),
    [
        ([DONE], Outcome(True, "", DONE)),
        ([], Outcome(False, "no_answer", {})),
        (["yes"], Outcome(False, "no_answer", {})),
        ([{"success": "yes"}], Outcome(False, "unclear", {"success": "yes"})),
        ([{"success": False}], Outcome(False, "unclear", {"success": False})),
    ],
)
def test_an_ack_says_yes_or_no(args: list[object], outcome: Outcome) -> None:
    assert target("livehub").outcome(args) == outcome


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid"), (403, "forbidden"), (429, "rate_limited"), (503, "unavailable"), (418, "418")],
)
def test_a_refusal_is_counted_by_the_name_of_its_status(status: int, code: str) -> None:
    refused = {"success": False, "error": {"message": "No", "statusCode": status}}
    assert target("livehub").outcome([refused]).code == code


def test_a_refusal_after_the_door_is_told_in_the_servers_words() -> None:
    livehub = target("livehub")
    assert livehub.refusal_event == "systemError"
    assert livehub.refusal([{"message": "No", "reason": "token_invalid"}]) == "No (token_invalid)"
    assert livehub.refusal([]) == "systemError (no reason given)"


def test_a_join_succeeded_when_its_ack_says_so() -> None:
    assert target("livehub").joined_ok([{"success": True, "sessionId": "hall"}])
    assert not target("livehub").joined_ok([{"success": False, "error": {"message": "No", "statusCode": 404}}])


def test_join_and_chat_name_the_session() -> None:
    aim = target("livehub")
    assert aim.join("hall") == ("session.join", {"sessionId": "hall"})
    event, payload = aim.chat("hall", "hello", "key")
    assert event == "chat.message.send"
    assert payload == {"sessionId": "hall", "text": "hello", "idempotencyKey": "key"}


def test_metrics_are_at_the_host() -> None:
    assert target("livehub").metrics_url("http://127.0.0.1:3002/") == "http://127.0.0.1:3002/metrics"


def test_a_text_is_filled_up_to_a_frame_size_but_never_cut() -> None:
    aim = target("livehub")
    filled = aim.fill("[trace] ", "hall", 365)
    assert filled.startswith("[trace] .")
    assert aim.chat_frame_bytes("hall", filled) == 365
    assert aim.fill("x" * 300, "hall", 365) == "x" * 300
