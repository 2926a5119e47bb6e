"""Contract 1, §1 to §3, §12.1, §12.2: the connection, and who hears what of a room (contracts, points 2, 17, 21)."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.forms import UNKNOWN_ID
from tests.endtoend.likeness import A_WORD
from tests.endtoend.node import Client
from tests.endtoend.stage import key

NO_LEADERBOARD = {"topEntries": [], "currentUser": {"rank": None, "score": 0}}
EMPTY_SESSION: dict[str, Any] = {
    "messages": [],
    "activePoll": None,
    "questions": [],
    "slide": None,
    "leaderboard": NO_LEADERBOARD,
    "alerts": [],
    "teams": {"teamScores": [], "myTeamId": None},
}


async def test_whoever_connects_is_told_whom_they_are_taken_for(cast: Cast) -> None:
    for client in cast.everybody:
        assert client.payloads("connectionAcknowledged") == [{"userId": cast.id(client)}]
    for device in ("", "-laptop"):
        carol = cast.connect("carol", device=device)
        await cast.hears(Line((carol,), "connectionAcknowledged", {"userId": cast.id(carol)}))


async def test_whoever_is_not_let_in_is_told_why_and_shown_out(cast: Cast) -> None:
    failed = {"message": "Authentication failed", "reason": A_WORD}
    stale = cast.stage.token("ada", ttl_s=-3_600)
    for n, token in enumerate((stale, "nonsense", "")):
        stranger = cast.connect("stranger", device=str(n), token=token)
        await stranger.reported("disconnect")
        assert stranger.reports("disconnect") == [["io server disconnect"]]
        cast.dismiss(stranger, Line((stranger,), "systemError", failed))
    await cast.hears()


async def test_what_fails_without_an_ack_is_told_to_its_sender_alone(cast: Cast) -> None:
    cast.ada.emit("poll.vote.submit", {"pollId": UNKNOWN_ID, "optionId": UNKNOWN_ID, "idempotencyKey": key()})
    await cast.hears(Line((cast.ada,), "systemError", {"message": "Poll not found", "reason": "not_found"}))


async def test_joining_seats_one_connection_and_nobody_else_hears_of_it(cast: Cast) -> None:
    session = f"fresh-{cast.session}"
    for who in (cast.nowhere, cast.elsewhere):
        await cast.asks(who, "session.join", {"sessionId": session}, sessionId=session)
        await cast.hears(Line((who,), "session.snapshot", {"sessionId": session, **EMPTY_SESSION}))
    await cast.asks(cast.nowhere, "session.join", {"sessionId": session}, sessionId=session)  # joined already
    await cast.hears()


async def test_whoever_comes_late_is_shown_what_the_others_see(cast: Cast) -> None:
    said = await cast.ada.ask("chat.message.send", {"text": "Hello", "idempotencyKey": key()})
    asked = {"question": "?", "options": [{"text": "Yes"}, {"text": "No"}], "idempotencyKey": key()}
    poll = await cast.speaker.ask("poll.create", asked)
    question = await cast.ada.ask("qa.question.ask", {"text": "Why?", "idempotencyKey": key()})
    await cast.bob.heard("qa.question.new")
    shown_poll = (await cast.bob.heard("poll.opened"))[0]
    ballot = {"pollId": poll["pollId"], "optionId": shown_poll["options"][0]["id"]}
    await cast.ada.ask("poll.vote.submit", {**ballot, "idempotencyKey": key()})
    (results,) = await cast.bob.heard("poll.results.updated")
    await cast.asks(cast.tablet, "session.join", {"sessionId": cast.session}, sessionId=cast.session)
    (snapshot,) = await cast.tablet.heard("session.snapshot")
    assert snapshot["messages"] == cast.bob.payloads("chat.message.new")
    assert snapshot["messages"][0]["id"] == said["messageId"]
    assert snapshot["activePoll"] == {**results, "userVotedForOptionId": ballot["optionId"]}
    (asked_question,) = snapshot["questions"]
    assert asked_question == {**cast.bob.payloads("qa.question.new")[0], "hasUpvoted": False}
    assert asked_question["id"] == question["questionId"]
    scores = [(entry["user"]["id"], entry["score"]) for entry in snapshot["leaderboard"]["topEntries"]]
    assert scores == [(cast.id(cast.speaker), 10), (cast.id(cast.ada), 7)]
    assert snapshot["leaderboard"]["currentUser"] == {"rank": 2, "score": 7}
    cast.scores |= dict(scores)
    await cast.overlooks()


async def test_whoever_left_hears_nothing_more_of_the_session(cast: Cast) -> None:
    await cast.asks(cast.bob, "session.leave", {"sessionId": cast.session}, sessionId=cast.session)
    await cast.asks(cast.bob, "session.leave", None, sessionId=cast.session)  # twice is no error
    cast.seated = tuple(client for client in cast.seated if client is not cast.bob)
    payload = {"text": "Hello", "idempotencyKey": key()}
    answer = await cast.ada.ask("chat.message.send", payload)
    await cast.ada.heard("chat.message.new")
    (said,) = cast.ada.payloads("chat.message.new")
    assert said["id"] == answer["messageId"]
    await cast.hears(Line(cast.seated, "chat.message.new", said), cast.earns(cast.ada, 1, "MESSAGE_SENT"))
    for event, more in (("chat.message.send", {"text": "Bye"}), ("leaderboard.request", {})):
        await cast.refuses(cast.bob, event, more, 403, "You must join the session first")
    await cast.hears()


async def _alarm(cast: Cast) -> dict[str, Any]:
    """Have the event told of an emergency: as it is shown."""
    alarm = {"alertType": "fire", "message": "Leave the hall", "severity": "low"}
    sent = await cast.rest("POST", f"/events/{cast.event}/emergencies", alarm, status=201)
    return {name: value for name, value in sent.items() if name not in ("success", "notificationId")}


async def test_joining_an_event_is_joining_no_session(cast: Cast) -> None:
    empty: dict[str, Any] = {"agenda": [], "alerts": []}
    other = f"fresh-{cast.event}"
    for who, event in ((cast.nowhere, other), (cast.tablet, other), (cast.elsewhere, cast.other_event)):
        await cast.asks(who, "event.join", {"eventId": event}, eventId=event)
        await cast.hears(Line((who,), "event.snapshot", {"eventId": event, **empty}))
    await cast.asks(cast.tablet, "event.join", {"eventId": other}, eventId=other)  # joined already
    await cast.refuses(cast.tablet, "chat.message.send", {"text": "Hello"}, 400, "Session ID is required")
    alert = await _alarm(cast)
    await cast.hears(Line(cast.seated, "notification.emergency", alert))  # who sits in a session of that event


async def test_whoever_left_hears_nothing_more_of_the_event(cast: Cast) -> None:
    for who in (cast.nowhere, cast.tablet):
        await cast.asks(who, "event.join", {"eventId": cast.event}, eventId=cast.event)
    await cast.overlooks()
    await cast.asks(cast.nowhere, "event.leave", None, eventId=cast.event)
    await cast.asks(cast.nowhere, "event.leave", {"eventId": cast.event}, eventId=cast.event)  # twice is no error
    alert = await _alarm(cast)
    await cast.hears(Line((*cast.seated, cast.tablet), "notification.emergency", alert))


async def test_a_room_must_be_named_and_known(cast: Cast) -> None:
    async def refused(who: Client, event: str, payload: Any, status: int, message: str) -> None:
        await cast.refuses(who, event, payload, status, message)

    for event in ("session.join", "session.leave"):
        await refused(cast.nowhere, event, None, 400, "Session ID is required")
    for event in ("event.join", "event.leave", "dashboard.join", "dashboard.leave"):
        await refused(cast.nowhere, event, None, 400, "Event ID is required")
    await refused(cast.nowhere, "session.leave", {"sessionId": "unheard-of"}, 404, "Session not found")
    await refused(cast.nowhere, "event.leave", {"eventId": "unheard-of"}, 404, "Event not found")
    await refused(cast.nowhere, "dashboard.leave", {"eventId": "unheard-of"}, 404, "Dashboard not found")
    await cast.hears()
