"""Contract 4, event by event: exactly what it says, at everybody who should hear it and at nobody else."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import livehub
from livehub.contracts import polling, pollwords
from tests.endtoend.assembly import Assembly, Attendee, Line, events
from tests.endtoend.likeness import A_TIME, A_WORD, AN_ID, WORDS, same, text_like
from tests.endtoend.node import Node
from tests.endtoend.polltable import BEYOND, CONTRACT, TABLE, to_prove
from tests.harness import Server

SETTINGS = {"polling": {"grace_s": 0.3, "heartbeat_s": 0.5}, "sessions": {"auto_create": False}}
A_HASH = text_like("SHA-256", r"[0-9a-f]{64}")
A_CODE = text_like("access code", r"[B-DF-HJKMNP-TV-Z]{6}")
SUBMITTED_AT = "2026-01-03T12:00:00.000Z"
UNKNOWN_ID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"


@pytest.fixture
async def assembly(request: pytest.FixtureRequest, contract_server: Server, node: Node) -> AsyncIterator[Assembly]:
    """An assembly whose test must see the events that the table says it proves."""
    assembly = Assembly(contract_server, node, to_prove(request.function.__name__))
    yield assembly
    assembly.close()


def described(poll: dict[str, Any]) -> dict[str, Any]:
    """A poll that REST showed, as its events describe it."""
    fields = ("question", "pollType", "isAnonymous", "allowChange", "resultsVisibility", "durationS", "allowMultiple")
    options = [
        {"optionId": option["id"], "optionText": option["text"], "sequenceOrder": place}
        for place, option in enumerate(poll["options"])
    ]
    more = {"maxSelections": 1, "sequenceOrder": poll["sequenceOrder"], "createdAt": A_TIME, "options": options}
    return {"pollId": poll["id"], **{field: poll[field] for field in fields}, **more}


def counted(poll: dict[str, Any], *votes: int) -> dict[str, Any]:
    """The counts of a poll of options, and the shares: whole ones here, which arrive from npm as 50 and not as 50.0."""
    total = sum(votes)
    breakdown = [
        {"optionId": option["id"], "voteCount": count, "percentage": 100 * count // total if total else 0}
        for option, count in zip(poll["options"], votes, strict=True)
    ]
    return {"currentVoteCount": total, "voteBreakdown": breakdown}


def for_option(poll: dict[str, Any], place: int) -> dict[str, Any]:
    """A vote for an option."""
    return {"selectedOptionIds": [poll["options"][place]["id"]]}


def closed(poll: dict[str, Any], *votes: int, rejected: dict[str, int] | None = None) -> dict[str, Any]:
    """`poll:closed` with these counts."""
    final = {"closedAt": A_TIME, "voteHash": A_HASH, "finalVoteCount": sum(votes), "rejectedVotes": rejected or {}}
    return {"pollId": poll["id"], **final, **counted(poll, *votes)}


async def three(assembly: Assembly, *, started: bool = True) -> tuple[Attendee, Attendee, Attendee]:
    """The presenter and two guests, with a guest of another session and somebody of none beside them."""
    other = Assembly(assembly.server, assembly.node)
    await other.create("Elsewhere", started=True)
    await assembly.create(started=started)
    ann, bob, presenter = await assembly.guest("ann"), await assembly.guest("bob"), await assembly.presenter()
    assembly.people.append(await other.guest("elsewhere"))
    nowhere = assembly.open("nowhere", assembly.server.token(f"nowhere-{assembly.suffix}", role="ADMIN"))
    await nowhere.client.heard("connection:established")
    await assembly.overlook()
    return ann, bob, presenter


def names_spoken() -> set[str]:
    """Every name of an event that the vocabulary's source has."""
    source = "".join(Path(str(module.__file__)).read_text() for module in (polling, pollwords))
    return set(re.findall(r'"((?:connection|session|poll|vote|participant|error):[a-z]+)"', source))


def test_every_event_of_the_contract_and_every_one_spoken_is_in_the_table() -> None:
    assert sorted(TABLE) == sorted([*CONTRACT.split(), *BEYOND.split()])
    assert set(TABLE) == names_spoken(), "a new event takes a row in polltable.py and a test here"


def test_every_event_of_the_table_names_a_test_that_is_there() -> None:
    written = {
        node.name for node in ast.parse(Path(__file__).read_text()).body if isinstance(node, ast.AsyncFunctionDef)
    }
    assert set(TABLE.values()) <= written


def test_every_name_is_an_entity_and_an_action() -> None:
    assert [name for name in TABLE if not re.fullmatch(r"[a-z]+:[a-z]+", name)] == []


async def test_whoever_connects_is_told_their_connection_and_the_state(assembly: Assembly) -> None:
    info = await assembly.create(started=True)
    poll = await assembly.poll()
    joined = await assembly.join("Ann")
    assert same({"success": True, "token": WORDS, "participantId": AN_ID, "sessionId": assembly.session}, joined)
    ann = assembly.open("ann", joined["token"], joined["participantId"])
    await ann.client.heard("session:state")
    sid = ann.client.reports("connect")[0][0]["sid"]
    started = {"status": "active", "participantCount": 1}
    session = {**{name: info[name] for name in info if name not in ("success", "replayed")}, **started}
    seen = {**described(poll), **counted(poll, 0, 0), "status": "active", "votedForOptionId": None}
    state = {
        "participantId": joined["participantId"],
        "session": session,
        "participantCount": 1,
        "activePollId": poll["id"],
        "polls": [seen],
    }
    established = {"connectionId": sid, "serverVersion": livehub.__version__}
    await assembly.hears(Line((ann,), "connection:established", established), Line((ann,), "session:state", state))
    told = [event.name for event in events(ann.client)]
    assert told[:2] == ["connection:established", "session:state"]
    assert {told.args[1]["sessionId"] for told in ann.client.told if told.kind == "event"} <= {assembly.session, ""}


async def test_whoever_is_not_let_in_is_told_why(assembly: Assembly) -> None:
    await assembly.create()
    nobody = assembly.open("nobody", "not-a-token")
    message, data = await nobody.client.reported("connect_error")
    assert (message, data["reason"]) == ("Authentication failed", "token_malformed")
    lost = assembly.open("lost", assembly.server.token("lost"), sessionId="no-such-place")
    await lost.client.heard("error:general")
    about = {"eventName": "session.join", "entityId": "no-such-place"}
    fault = {"errorCode": A_WORD, "message": "Session not found", "requestContext": about}
    sid = lost.client.reports("connect")[0][0]["sid"]
    await assembly.hears(
        Line((lost,), "connection:established", {"connectionId": sid, "serverVersion": livehub.__version__}),
        Line((lost,), "error:general", fault),
    )


async def test_a_new_session_is_told_to_its_presenter(assembly: Assembly) -> None:
    watching = assembly.open("watching", assembly.presenter_token)
    nowhere = assembly.open("nowhere", assembly.server.token(f"nowhere-{assembly.suffix}", role="ADMIN"))
    for one in (watching, nowhere):
        await one.client.heard("connection:established")
    await assembly.overlook()
    info = await assembly.create("The keynote")
    assert same(A_CODE, info["slug"])
    created = {
        "title": "The keynote",
        "slug": info["slug"],
        "presenterId": assembly.presenter_id,
        "status": "draft",
        "createdAt": info["createdAt"],
    }
    await assembly.hears(Line((watching,), "session:created", created))
    assert watching.client.payloads("session:created")[0]["sessionId"] == assembly.session


async def test_a_session_is_started_and_ended(assembly: Assembly) -> None:
    room = await three(assembly, started=False)
    await assembly.present("/start")
    await assembly.hears(
        Line(room, "session:started", {"status": "active", "startedAt": A_TIME, "participantCount": 2})
    )
    await assembly.present("/start")  # again is no news
    poll = await assembly.poll()
    await assembly.overlook()
    await assembly.present("/end")
    ended = {"status": "ended", "endedAt": A_TIME, "finalParticipantCount": 2}
    await assembly.hears(Line(room, "poll:closed", closed(poll, 0, 0)), Line(room, "session:ended", ended))
    await assembly.present("/end")
    await assembly.present("/start", status=409)
    await assembly.hears()


async def test_a_session_that_never_took_place_ends_all_the_same(assembly: Assembly) -> None:
    room = await three(assembly, started=False)
    await assembly.present("/end")
    ended = {"status": "ended", "endedAt": A_TIME, "finalParticipantCount": 2}
    await assembly.hears(Line(room, "session:ended", ended))


async def test_a_poll_is_written_changed_and_put_in_order(assembly: Assembly) -> None:
    room = await three(assembly, started=False)
    first = await assembly.poll(active=False)
    await assembly.hears(Line(room, "poll:created", described(first)))
    rating = await assembly.poll(
        active=False, pollType="rating_scale", maxRating=10, minLabel="bad", maxLabel="good", isAnonymous=True
    )
    plain = ("question", "isAnonymous", "allowChange", "resultsVisibility", "durationS")
    scale = {"minRating": 1, "maxRating": 10, "minLabel": "bad", "maxLabel": "good", "sequenceOrder": 1}
    asked = {"pollId": rating["id"], "pollType": "rating_scale", "createdAt": A_TIME}
    rated = {**{name: rating[name] for name in plain}, **asked, **scale, "isAnonymous": True}
    await assembly.hears(Line(room, "poll:created", rated))
    anew = {"question": "Tea or water?", "options": [{"text": "Tea"}, {"text": "Water"}]}
    edited = (await assembly.present(f"/polls/{first['id']}", anew, method="PUT"))["poll"]
    await assembly.hears(Line(room, "poll:updated", described(edited)))
    order = [rating["id"], first["id"]]
    await assembly.present("/polls/order", {"pollIds": order}, method="PUT")
    await assembly.hears(Line(room, "poll:reordered", {"pollIds": order}))


async def test_every_transition_of_a_poll_has_its_event(assembly: Assembly) -> None:
    room = await three(assembly)
    first, second = await assembly.poll(active=False), await assembly.poll(active=False)
    await assembly.overlook()
    await assembly.poll_is(first["id"], "activate")
    opened = {**described(first), "activatedAt": A_TIME}
    await assembly.hears(Line(room, "poll:activated", opened))
    await assembly.poll_is(second["id"], "activate")
    set_aside = {"pollId": first["id"], "deactivatedAt": A_TIME}
    other_opened = {**described(second), "activatedAt": A_TIME}
    await assembly.hears(Line(room, "poll:deactivated", set_aside), Line(room, "poll:activated", other_opened))
    await assembly.poll_is(second["id"], "close")
    await assembly.hears(Line(room, "poll:closed", closed(second, 0, 0)))
    none = hashlib.sha256().hexdigest()
    assert room[0].client.payloads("poll:closed")[-1]["voteHash"] == none
    await assembly.poll_is(second["id"], "close")  # again is no news
    await assembly.poll_is(second["id"], "reopen")
    await assembly.hears(Line(room, "poll:activated", other_opened))
    await assembly.poll_is(second["id"], "reset", {"confirm": True})
    await assembly.hears(Line(room, "poll:reset", {"pollId": second["id"], "resetAt": A_TIME}))
    state = await assembly.api("GET", f"/api/sessions/{assembly.session}/state")
    assert [one["poll"]["status"] for one in state["polls"]] == ["inactive", "draft"]


async def test_a_vote_is_confirmed_to_its_voter_and_counted_for_all(assembly: Assembly) -> None:
    ann, bob, presenter = await three(assembly)
    room = (ann, bob, presenter)
    poll = await assembly.poll(isAnonymous=True)
    await assembly.overlook()
    answer = await assembly.votes(ann, poll["id"], for_option(poll, 0), submittedAt=SUBMITTED_AT)
    vote_id = answer["voteId"]
    accepted = {
        "voteId": AN_ID,
        "receipt": vote_id,
        "pollId": poll["id"],
        "participantId": ann.participant_id,
        "submittedAt": A_TIME,
    }
    assert same({"success": True, **accepted}, answer), answer
    assert answer["submittedAt"] != SUBMITTED_AT
    confirmed = Line((ann,), "vote:accepted", {**accepted, **counted(poll, 1, 0)})
    await assembly.hears(confirmed, Line(room, "vote:accepted", {"pollId": poll["id"], **counted(poll, 1, 0)}))
    assembly.proven.add("vote:submitted")
    assert (await assembly.votes(bob, poll["id"], for_option(poll, 1)))["success"] is True
    await bob.client.until(
        lambda: any(event.counts and event.payload["currentVoteCount"] == 2 for event in events(bob.client))
    )
    told = [json.dumps(heard.args) for one in (bob, presenter) for heard in one.client.told if heard.kind == "event"]
    assert not [text for text in told if vote_id in text], "a receipt is its voter's alone"
    assert not [text for text in told if "vote:" in text and ann.participant_id in text]
    await assembly.overlook()
    await assembly.poll_is(poll["id"], "close")
    await assembly.hears(Line(room, "poll:closed", closed(poll, 1, 1)))
    lines = [(one, for_option(poll, place)) for place, one in enumerate((ann, bob))]
    digest = hashlib.sha256()
    for one, data in lines:
        receipt = one.client.payloads("vote:accepted")
        own = next(payload["receipt"] for payload in receipt if "receipt" in payload)
        digest.update(f"{own} {json.dumps(data, separators=(',', ':'), sort_keys=True)}\n".encode())
    assert presenter.client.payloads("poll:closed")[0]["voteHash"] == digest.hexdigest()


async def test_a_vote_that_does_not_count_is_rejected_to_its_voter_alone(assembly: Assembly) -> None:
    ann, bob, presenter = await three(assembly, started=False)
    poll = await assembly.poll(active=False)
    tea = for_option(poll, 0)
    await assembly.overlook()

    async def rejected(reason: str, data: dict[str, Any] = tea, poll_id: str = poll["id"]) -> None:
        answer = await assembly.votes(ann, poll_id, data)
        why = {"pollId": poll_id, "participantId": ann.participant_id, "reason": reason, "message": WORDS}
        error = {"message": WORDS, "statusCode": 409}
        assert same({"success": False, "error": error, "reason": reason}, answer), answer
        await assembly.hears(Line((ann,), "vote:rejected", why))

    await rejected("session_not_active")
    await assembly.present("/start")
    await assembly.overlook()
    await rejected("poll_not_active")
    await assembly.poll_is(poll["id"], "activate")
    await assembly.overlook()
    await rejected("invalid_option", {"selectedOptionIds": [UNKNOWN_ID]})
    await assembly.votes(ann, poll["id"], tea)
    await assembly.hears(
        Line((ann,), "vote:accepted", {**ACCEPTED, **counted(poll, 1, 0)}),
        Line((ann, bob, presenter), "vote:accepted", {"pollId": poll["id"], **counted(poll, 1, 0)}),
    )
    await rejected("duplicate_vote")
    await assembly.poll_is(poll["id"], "close")
    times = dict.fromkeys(("session_not_active", "poll_not_active", "invalid_option", "duplicate_vote"), 1)
    everybody = (ann, bob, presenter)
    await assembly.hears(Line(everybody, "poll:closed", closed(poll, 1, 0, rejected=times)))
    await rejected("poll_closed")
    rating = await assembly.poll(pollType="rating_scale")
    await assembly.overlook()
    await rejected("invalid_rating", {"ratingValue": 6}, rating["id"])
    await assembly.present("/end")
    await assembly.overlook()
    await rejected("session_not_active", {"ratingValue": 5}, rating["id"])


ACCEPTED = {"voteId": AN_ID, "receipt": AN_ID, "pollId": AN_ID, "participantId": AN_ID, "submittedAt": A_TIME}


async def test_ratings_are_shown_by_average_and_distribution(assembly: Assembly) -> None:
    ann, bob, presenter = await three(assembly)
    poll = await assembly.poll(pollType="rating_scale", maxRating=3)
    for one, rating in ((ann, 1), (bob, 2)):
        assert (await assembly.votes(one, poll["id"], {"ratingValue": rating}))["success"] is True
    counts = {"currentVoteCount": 2, "averageRating": 1.5, "ratingDistribution": {"1": 1, "2": 1, "3": 0}}
    await presenter.client.until(
        lambda: any(event.payload == {"pollId": poll["id"], **counts} for event in events(presenter.client))
    )
    await assembly.overlook()
    await assembly.poll_is(poll["id"], "close")
    final = {"closedAt": A_TIME, "voteHash": A_HASH, "finalVoteCount": 2, "rejectedVotes": {}, **counts}
    await assembly.hears(Line((ann, bob, presenter), "poll:closed", {"pollId": poll["id"], **final}))


async def test_hidden_results_are_hidden_from_all_but_presenters(assembly: Assembly) -> None:
    ann, bob, presenter = await three(assembly)
    poll = await assembly.poll(resultsVisibility="after_close")
    await assembly.overlook()
    await assembly.votes(ann, poll["id"], for_option(poll, 0))
    await assembly.hears(
        Line((ann,), "vote:accepted", ACCEPTED),
        Line((presenter,), "vote:accepted", {"pollId": poll["id"], **counted(poll, 1, 0)}),
    )
    await assembly.poll_is(poll["id"], "close")
    await assembly.hears(Line((ann, bob, presenter), "poll:closed", closed(poll, 1, 0)))
    never = await assembly.poll(resultsVisibility="never")
    await assembly.overlook()
    await assembly.poll_is(never["id"], "close")
    bare = {"pollId": never["id"], "closedAt": A_TIME, "voteHash": A_HASH}
    await assembly.hears(Line((ann, bob), "poll:closed", bare), Line((presenter,), "poll:closed", closed(never, 0, 0)))


async def test_participants_come_and_go(assembly: Assembly) -> None:
    room = await three(assembly)
    joined = await assembly.join("Cleo")
    await assembly.hears()  # to bring the code is not yet to be there
    cleo = await assembly.enter("cleo", joined["token"], joined["participantId"])
    came = {"participantId": cleo.participant_id, "displayName": "Cleo", "joinedAt": A_TIME, "participantCount": 3}
    await assembly.hears(Line(room, "participant:joined", came))
    phone = await assembly.enter("cleo-phone", joined["token"], joined["participantId"])
    await assembly.hears()  # a second device is nobody new
    phone.client.drop()
    await phone.client.reported("disconnect")
    await assembly.hears()
    cleo.client.drop()
    went = {"participantId": cleo.participant_id, "disconnectedAt": A_TIME, "participantCount": 2}
    await assembly.hears(Line(room, "participant:disconnected", went))
    unnamed = await assembly.guest("")
    named_nothing = {"participantId": unnamed.participant_id, "joinedAt": A_TIME, "participantCount": 3}
    await assembly.hears(Line(room, "participant:joined", named_nothing))
    unnamed.client.disconnect()
    went = {"participantId": unnamed.participant_id, "disconnectedAt": A_TIME, "participantCount": 2}
    await assembly.hears(Line(room, "participant:disconnected", went))


async def test_whoever_comes_back_with_an_event_id_is_told_what_followed_it(assembly: Assembly) -> None:
    ann, _, presenter = await three(assembly)
    poll = await assembly.poll(active=False)
    await assembly.overlook()
    last = events(presenter.client)[-1].event_id
    await assembly.poll_is(poll["id"], "activate")
    await assembly.poll_is(poll["id"], "close")
    await assembly.overlook()
    back = assembly.open("ann-back", ann.token, ann.participant_id, lastEventId=last)
    await back.client.heard("poll:closed")
    sid = back.client.reports("connect")[0][0]["sid"]
    about = {"connectionId": sid, "replayFrom": last, "replayCount": 2}
    await assembly.hears(
        Line((back,), "connection:established", {"connectionId": sid, "serverVersion": livehub.__version__}),
        Line((back,), "connection:reconnected", about),
        Line((back,), "poll:activated", {**described(poll), "activatedAt": A_TIME}),
        Line((back,), "poll:closed", closed(poll, 0, 0)),
    )
    missed = [(event.name, event.event_id, event.payload) for event in events(back.client) if event.offset]
    heard = [(event.name, event.event_id, event.payload) for event in events(presenter.client) if event.offset]
    assert missed == heard[-2:]


async def test_heartbeats_go_both_ways(assembly: Assembly) -> None:
    room = await three(assembly)
    for one in assembly.people:
        await one.client.heard("connection:heartbeat", 2)
    beats = [event for event in events(room[0].client) if event.name == "connection:heartbeat"]
    assert {json.dumps(beat.payload) for beat in beats} == {"{}"}
    assert all(
        told.keys() == {"timestamp", "eventId", "sessionId"} for told in room[0].client.payloads("connection:heartbeat")
    )
    assert await room[0].client.ask("connection:heartbeat", {"timestamp": SUBMITTED_AT}) == {"success": True}
    await assembly.hears()
    assembly.proven.add("connection:heartbeat")


async def test_what_cannot_be_understood_is_an_error_to_its_sender_alone(assembly: Assembly) -> None:
    ann, bob, _ = await three(assembly)
    poll = await assembly.poll()
    tea = for_option(poll, 0)
    await assembly.overlook()
    about_poll = {"eventName": "vote:submitted", "entityId": poll["id"]}
    cases: list[tuple[str, Any, int, str, dict[str, str]]] = [
        ("vote:submitted", None, 400, "invalid_payload", {"eventName": "vote:submitted"}),
        ("vote:submitted", {"pollId": poll["id"]}, 400, "invalid_payload", about_poll),
        ("vote:submitted", {"pollId": poll["id"], "voteData": {"ratingValue": 1}}, 400, "invalid_payload", about_poll),
        (
            "vote:submitted",
            {"pollId": poll["id"], "voteData": tea, "participantId": bob.participant_id},
            403,
            "forbidden",
            about_poll,
        ),
        (
            "vote:submitted",
            {"pollId": UNKNOWN_ID, "voteData": tea},
            404,
            "not_found",
            {"eventName": "vote:submitted", "entityId": UNKNOWN_ID},
        ),
        ("chat.message.send", {"text": "Hello"}, 404, "unknown_event", {"eventName": "chat.message.send"}),
    ]
    for event, payload, status, code, context in cases:
        answer = await ann.client.ask(event, payload)
        assert same({"success": False, "error": {"message": WORDS, "statusCode": status}}, answer), (event, answer)
        fault = {"errorCode": code, "message": answer["error"]["message"], "requestContext": context}
        await assembly.hears(Line((ann,), "error:general", fault))
    outside = assembly.people[-1]
    assert outside.name == "nowhere"
    answer = await outside.client.ask("vote:submitted", {"pollId": poll["id"], "voteData": tea})
    assert answer["success"] is False
    await outside.client.heard("error:general")
