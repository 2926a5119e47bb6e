"""Contract 4's scenarios and edge cases as they are written, two vocabularies at once, what an `eventId` replays."""

from __future__ import annotations

import random
import secrets
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.endtoend.assembly import Assembly, Attendee, Event, events
from tests.endtoend.likeness import AN_ID, same
from tests.endtoend.node import Client, Node
from tests.endtoend.stage import key
from tests.harness import Server

SETTINGS: dict[str, dict[str, Any]] = {"polling": {"grace_s": 0.2}}
UNHURRIED = {**SETTINGS, "engine": {"flush_ms": 100}}
"""What is answered overtakes what everybody is told, and must not say that its hearer stands where they do not yet."""
ACTS = 60
REPLAYS = 40
VOTERS = 12


@pytest.fixture
async def assembly(contract_server: Server, node: Node) -> Assembly:
    """An assembly."""
    return Assembly(contract_server, node)


def option(poll: dict[str, Any], place: int = 0) -> dict[str, Any]:
    """A vote for an option."""
    return {"selectedOptionIds": [poll["options"][place]["id"]]}


def names(attendee: Attendee) -> list[str]:
    """What somebody heard, without counts, which come when they come."""
    return [event.name for event in events(attendee.client) if not event.counts]


def facts(heard: list[Event]) -> list[tuple[str, dict[str, Any], str]]:
    """The facts among what was heard."""
    return [(event.name, event.payload, event.event_id) for event in heard if event.offset]


async def counted(attendee: Attendee, votes: int) -> dict[str, Any]:
    """Wait until somebody was shown this many votes: the counts."""

    def shown() -> dict[str, Any]:
        counts = [event.payload for event in events(attendee.client) if event.counts]
        return counts[-1] if counts and counts[-1]["currentVoteCount"] == votes else {}

    found: dict[str, Any] = await attendee.client.until(shown)
    return found


async def tally(assembly: Assembly, poll_id: str) -> int:
    """The votes of a poll as REST tells them."""
    shown = await assembly.api("GET", f"/api/sessions/{assembly.session}/polls/{poll_id}")
    return int(shown["poll"]["totalVotes"])


def _came(one: Attendee, participant_id: str) -> list[dict[str, Any]]:
    return [told for told in one.client.payloads("participant:joined") if told["participantId"] == participant_id]


async def reopen(assembly: Assembly, who: Attendee, last: str) -> Attendee:
    """Another connection of somebody, which says what they heard last: all that it is told at once."""
    back = assembly.open(who.name, who.token, who.participant_id, lastEventId=last)
    await back.client.until(
        lambda: back.client.payloads("connection:reconnected") or back.client.payloads("session:state")
    )
    await assembly.hush()
    return back


async def test_scenario_1_a_participant_joins_and_votes(assembly: Assembly) -> None:
    await assembly.create(started=True)
    poll = await assembly.poll()
    ann, presenter = await assembly.guest("ann"), await assembly.presenter()
    token = assembly.server.token(f"uma-{assembly.suffix}", name="Uma Stage")
    uma = assembly.open("uma", token)
    await uma.client.heard("connection:established")
    joined = await assembly.join(token=token)
    uma.participant_id = joined["participantId"]
    assert (same(AN_ID, uma.participant_id), joined["token"]) == (True, token)
    for one in (ann, presenter):
        came = await one.client.until(partial(_came, one, uma.participant_id))
        assert came[0]["displayName"] == "Uma Stage"
    state = (await uma.client.heard("session:state"))[0]
    assert state["activePollId"] == state["polls"][0]["pollId"] == poll["id"]
    assert (await assembly.votes(uma, poll["id"], option(poll)))["success"] is True
    for one in (uma, ann, presenter):
        counts = await counted(one, 1)
        assert counts["voteBreakdown"][0] == {"optionId": poll["options"][0]["id"], "voteCount": 1, "percentage": 100}
    assert names(uma) == ["connection:established", "session:state", "vote:accepted"]


async def test_scenario_2_a_presenter_starts_a_session_and_activates_a_poll(assembly: Assembly) -> None:
    watching = assembly.open("watching", assembly.presenter_token)
    await watching.client.heard("connection:established")
    await assembly.create()
    await watching.client.heard("session:created")
    guest = await assembly.guest("ann")
    poll = await assembly.poll(active=False)
    await assembly.present("/start")
    await assembly.poll_is(poll["id"], "activate")
    await guest.client.heard("poll:activated")
    in_order = ["poll:created", "session:started", "poll:activated"]
    assert names(guest) == ["connection:established", "session:state", *in_order]
    await assembly.hush()
    assert names(watching) == ["connection:established", "session:created"]
    assert (await assembly.votes(guest, poll["id"], option(poll)))["success"] is True


async def test_scenario_3_a_client_reconnects_after_a_disconnect(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
    poll = await assembly.poll()
    await ann.client.heard("poll:activated")
    last = ann.client.payloads("poll:activated")[0]["eventId"]
    ann.client.drop()
    gone = await bob.client.heard("participant:disconnected")
    assert (gone[0]["participantId"], gone[0]["participantCount"]) == (ann.participant_id, 1)
    assert (await assembly.votes(bob, poll["id"], option(poll)))["success"] is True
    await assembly.poll_is(poll["id"], "close")
    await assembly.present("/end")
    await bob.client.heard("session:ended")
    ann.client.connect({"token": ann.token, "lastEventId": last})
    await ann.client.heard("session:ended")
    await assembly.hush()
    told = names(ann)
    assert told[told.index("poll:activated") + 1 :] == [
        "connection:established",
        "connection:reconnected",
        "participant:disconnected",
        "poll:closed",
        "session:ended",
        "participant:joined",
    ]
    about = ann.client.payloads("connection:reconnected")[0]
    assert (about["replayFrom"], about["replayCount"]) == (last, 4)
    assert facts(events(ann.client))[-4:] == facts(events(bob.client))[-4:]
    answer = await assembly.votes(ann, poll["id"], option(poll))
    assert answer["reason"] == "session_not_active"


async def test_whoever_comes_back_during_a_vote_is_brought_up_to_date_and_votes(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
    last = ann.client.payloads("session:state")[0]["eventId"]
    ann.client.drop()
    await ann.client.reported("disconnect")
    poll = await assembly.poll()
    assert (await assembly.votes(bob, poll["id"], option(poll)))["success"] is True
    ann.client.connect({"token": ann.token, "lastEventId": last})
    await ann.client.heard("poll:activated")
    await counted(ann, 1)  # the latest counts follow the replay
    assert (await assembly.votes(ann, poll["id"], option(poll, 1)))["success"] is True
    assert (await counted(bob, 2)) == (await counted(ann, 2))
    assert await tally(assembly, poll["id"]) == 2


async def test_a_participant_has_one_vote_on_all_devices_at_once(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann = await assembly.guest("ann")
    devices = [ann, *[await assembly.enter("ann", ann.token, ann.participant_id) for _ in range(3)]]
    poll = await assembly.poll()
    ballot = {"pollId": poll["id"], "voteData": option(poll), "participantId": ann.participant_id}
    answers = [one.client.start_ask("vote:submitted", ballot) for one in devices for _ in range(2)]
    outcomes = [(await answer())[0] for answer in answers]
    assert sorted(one.get("reason", "accepted") for one in outcomes) == ["accepted"] + ["duplicate_vote"] * 7
    assert await tally(assembly, poll["id"]) == 1
    await assembly.hush()
    assert sum("voteId" in told for one in devices for told in one.client.payloads("vote:accepted")) == 1


async def test_a_vote_in_transit_when_the_poll_closes_is_counted_or_rejected(assembly: Assembly) -> None:
    await assembly.create(started=True)
    people = [await assembly.guest(f"guest-{number}") for number in range(VOTERS)]
    poll = await assembly.poll()
    ballot = {"pollId": poll["id"], "voteData": option(poll)}
    answers = [one.client.start_ask("vote:submitted", ballot) for one in people[: VOTERS // 2]]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(assembly.poll_is, poll["id"], "close")
        answers += [one.client.start_ask("vote:submitted", ballot) for one in people[VOTERS // 2 :]]
    late = await assembly.votes(people[0], poll["id"], option(poll))
    outcomes = [(await answer())[0] for answer in answers]
    accepted = sum(one["success"] for one in outcomes)
    assert {one["reason"] for one in outcomes if not one["success"]} <= {"poll_closed"}
    assert late["reason"] == "poll_closed"
    final = (await people[0].client.heard("poll:closed"))[0]
    assert final["finalVoteCount"] == accepted == await tally(assembly, poll["id"])
    assert final["rejectedVotes"] == {}, "what came after the end is not part of it"
    for one, answer in zip(people, outcomes, strict=True):
        confirmed = [told for told in one.client.payloads("vote:accepted") if "voteId" in told]
        assert len(confirmed) == answer["success"], one.name


async def test_concurrent_acts_are_told_to_everybody_in_one_order(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
    polls = [await assembly.poll(active=False) for _ in range(6)]
    async with trio.open_nursery() as nursery:
        for poll in polls:
            nursery.start_soon(assembly.poll_is, poll["id"], "activate")
    await assembly.hush()
    heard = [[one for one in facts(events(person.client)) if one[0].startswith("poll:")] for person in (ann, bob)]
    assert heard[0] == heard[1]
    assert len(heard[0]) == 6 + 6 + 5
    seqs = [event.seq for event in events(ann.client) if event.offset]
    assert seqs == sorted(set(seqs))
    times = [
        told["timestamp"]
        for told in (told.args[1] for told in ann.client.told if told.kind == "event" and len(told.args) > 2)
    ]
    assert times == sorted(times)


async def test_an_event_id_replays_exactly_what_followed_it(tmp_path: Path, node: Node) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    with Server(tmp_path, UNHURRIED) as server:
        assembly = Assembly(server, node)
        await assembly.create(started=True)
        ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
        await act_at_random(assembly, random.Random(seed), ann, bob)
        heard = events(ann.client)
        assert {"vote:accepted", "vote:rejected", "poll:activated"} <= {event.name for event in heard}
        for place in [0, *random.Random(seed).sample(range(len(heard)), min(REPLAYS, len(heard)))]:
            event, followed = heard[place], facts(heard[place + 1 :])
            back = await reopen(assembly, ann, event.event_id)
            about = f"after {event.name} {event.event_id}, number {place}"
            missed = facts(events(back.client))
            assert back.client.payloads("connection:reconnected")[0]["replayCount"] == len(missed), about
            if event.name == "connection:established":
                missed = missed[-len(followed) :]  # told before anything was, it stands for the beginning
            assert missed == followed, about
            back.client.disconnect()
            await back.client.reported("disconnect")
            assembly.people.remove(back)


async def act_at_random(assembly: Assembly, dice: random.Random, ann: Attendee, bob: Attendee) -> None:
    """Polls are opened, closed and emptied, people vote and pass by, many things at once; at the end all is quiet."""
    polls = [await assembly.poll(active=False, allowChange=True) for _ in range(3)]
    verbs = ["activate"] * 4 + ["close", "reopen", "reset"]
    passed = 0
    async with trio.open_nursery() as nursery:
        for _ in range(ACTS):
            poll = dice.choice(polls)
            if dice.random() < 0.5:
                nursery.start_soon(_may_be_refused, assembly, poll["id"], dice.choice(verbs))
            else:
                await _may_be_refused(assembly, poll["id"], dice.choice(verbs))
            for who in dice.choices([ann, bob], k=2):
                who.client.emit("vote:submitted", {"pollId": poll["id"], "voteData": option(poll, dice.randint(0, 1))})
            if dice.random() < 0.2:
                await assembly.hush()
            if dice.random() < 0.05:
                passing = await assembly.guest("passing")
                passing.client.disconnect()
                assembly.people.remove(passing)
                passed += 1
    await assembly.present("/end")
    await ann.client.heard("session:ended")
    await ann.client.until(lambda: len(ann.client.payloads("participant:disconnected")) == passed)


async def _may_be_refused(assembly: Assembly, poll_id: str, verb: str) -> None:
    path = f"/api/sessions/{assembly.session}/polls/{poll_id}/{verb}"
    answer = await assembly.server.request(
        "POST", path, assembly.presenter_token, {"confirm": True} if verb == "reset" else {}
    )
    assert answer.status_code in (200, 409), answer.text


async def on_events(assembly: Assembly, name: str, token: str) -> Client:
    """Somebody with a client on `/events`, in the session."""
    client = assembly.node.open(f"{name}-events", f"{assembly.server.url}/events", auth={"token": token})
    await client.acknowledged()
    assert (await client.ask("session.join", {"sessionId": assembly.session}))["success"] is True
    return client


async def test_a_poll_of_one_vocabulary_is_voted_in_and_closed_in_the_other(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
    speaker = await on_events(assembly, "speaker", assembly.presenter_token)
    asked = {"question": "Tea?", "options": [{"text": "Yes"}, {"text": "No"}], "idempotencyKey": key()}
    poll_id = (await speaker.ask("poll.create", asked))["pollId"]
    activated = (await ann.client.heard("poll:activated"))[0]
    assert (await ann.client.heard("poll:created"))[0]["pollId"] == activated["pollId"] == poll_id
    opened = (await speaker.heard("poll.opened"))[0]
    assert [one["optionId"] for one in activated["options"]] == [one["id"] for one in opened["options"]]
    yes, no = (one["id"] for one in opened["options"])
    assert (await assembly.votes(ann, poll_id, {"selectedOptionIds": [yes]}))["success"] is True
    vote = {"pollId": poll_id, "optionId": no, "idempotencyKey": key()}
    assert (await speaker.ask("poll.vote.submit", vote))["success"] is True
    counts = await counted(bob, 2)
    assert {one["optionId"]: one["voteCount"] for one in counts["voteBreakdown"]} == {yes: 1, no: 1}
    await speaker.until(lambda: [p for p in speaker.payloads("poll.results.updated") if p["poll"]["totalVotes"] == 2])
    ann_events = await on_events(assembly, "ann", ann.token)
    again = await ann_events.ask("poll.vote.submit", {**vote, "idempotencyKey": key()})
    assert again["error"]["message"] == "You have already voted in this poll"
    assert (await speaker.ask("poll.manage", {"pollId": poll_id, "action": "close", "idempotencyKey": key()}))[
        "success"
    ]
    closed, final = (await bob.client.heard("poll:closed"))[0], (await speaker.heard("poll.closed"))[0]
    assert closed["finalVoteCount"] == final["poll"]["totalVotes"] == 2
    assert closed["voteBreakdown"] == [
        {"optionId": one["id"], "voteCount": one["voteCount"], "percentage": 50} for one in final["poll"]["options"]
    ]


async def test_a_poll_of_rest_is_voted_in_on_events_and_closed_for_both(assembly: Assembly) -> None:
    await assembly.create(started=True)
    ann, presenter = await assembly.guest("ann"), await assembly.presenter()
    speaker = await on_events(assembly, "speaker", assembly.presenter_token)
    poll = await assembly.poll()
    opened = (await speaker.heard("poll.opened"))[0]
    assert opened["id"] == poll["id"]
    vote = {"pollId": poll["id"], "optionId": poll["options"][1]["id"], "idempotencyKey": key()}
    assert (await speaker.ask("poll.vote.submit", vote))["success"] is True
    assert (await counted(ann, 1))["voteBreakdown"][1]["voteCount"] == 1
    rejected = await assembly.votes(Attendee("presenter", "", "", presenter.client), poll["id"], option(poll))
    assert rejected["success"] is False
    await assembly.poll_is(poll["id"], "close")
    assert (await speaker.heard("poll.closed"))[0]["poll"]["totalVotes"] == 1
    assert (await ann.client.heard("poll:closed"))[0]["finalVoteCount"] == 1
    said = {"text": "Hello", "idempotencyKey": key()}
    assert (await speaker.ask("chat.message.send", said))["success"] is True
    await speaker.heard("chat.message.new")
    await assembly.hush()
    for one in (ann, presenter):
        spoken = {told.args[0] for told in one.client.told if told.kind == "event"}
        assert not {name for name in spoken if "." in name}, "another vocabulary's words"


async def test_a_guests_token_is_good_for_its_session_and_nothing_else(assembly: Assembly) -> None:
    await assembly.create(started=True)
    other = Assembly(assembly.server, assembly.node)
    await other.create(started=True)
    ann = await assembly.guest("ann")
    client = await on_events(assembly, "ann", ann.token)
    sent = await client.ask("chat.message.send", {"text": "Hello", "idempotencyKey": key()})
    assert sent["success"] is True
    author = (await client.heard("chat.message.new"))[0]["author"]
    assert (author["id"], author["firstName"]) == (ann.participant_id, "ann")
    for session in (other.session, f"new-{assembly.suffix}"):
        assert (await client.ask("session.join", {"sessionId": session}))["success"] is False
        stray = assembly.open("stray", ann.token, sessionId=session)
        await stray.client.heard("error:general")
        assert stray.client.payloads("session:state") == []
    for event, payload in (
        ("event.join", {"eventId": "some-event"}),
        ("poll.create", {"question": "?", "options": [{"text": "a"}, {"text": "b"}], "idempotencyKey": key()}),
    ):
        assert (await client.ask(event, payload))["success"] is False, event
    assert (await assembly.api("GET", f"/api/sessions/{assembly.session}/state", token=ann.token))["participantId"]
    for method, path, body in (
        ("GET", f"/api/sessions/{other.session}/state", None),
        ("POST", "/api/sessions", {"title": "Mine"}),
        ("POST", f"/api/sessions/{assembly.session}/end", None),
    ):
        await assembly.api(method, path, body, token=ann.token, status=403)
    again = await assembly.join(token=ann.token)
    assert again["participantId"] == ann.participant_id
    elsewhere = await other.join(token=ann.token)
    assert elsewhere["participantId"] != ann.participant_id
