"""A live poll outlives the process; and what a client is told whose `lastEventId` says nothing here, or no longer."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from livehub.ballots import vote_hash
from tests.endtoend.assembly import Assembly, Attendee, events, is_connected
from tests.endtoend.guests import milliseconds
from tests.endtoend.node import Node
from tests.harness import Server

SETTINGS = {"polling": {"grace_s": 600}}  # whoever comes back after a restart was never away
WINDOW_H = 0.0001
CLOCKS_APART_S = 0.02
"""Waiting is done on another clock than the one that tells the time."""
STOPS = ("SIGTERM", "kill -9")


@pytest.fixture
async def assembly(tmp_path: Path, node: Node) -> AsyncIterator[Assembly]:
    """An assembly on a server of its own."""
    with Server(tmp_path, SETTINGS) as server:
        yield Assembly(server, node)
        print(server.log)


async def restart(assembly: Assembly, how: str) -> None:
    """Stop the server so, and start it again when everybody has noticed."""
    if how == "SIGTERM":
        assert await trio.to_thread.run_sync(assembly.server.stop, signal.SIGTERM) == 0
    else:
        assembly.server.kill()
    for one in assembly.people:
        await one.client.until(partial(_is_away, one))
    await assembly.server.restart()


async def is_past(at: str, more_ms: float) -> None:
    """Wait until a time that the server told of lies this far back."""
    left_ms = milliseconds(at.encode()) + more_ms - time.time() * 1000
    await trio.sleep(max(left_ms, 0) / 1000 + CLOCKS_APART_S)


def _is_away(one: Attendee) -> bool:
    return not is_connected(one.client)


def came_back(one: Attendee) -> list[str]:
    """What somebody heard since they last connected, without counts."""
    names = [event.name for event in events(one.client) if not event.counts and event.name != "connection:heartbeat"]
    return names[len(names) - names[::-1].index("connection:established") - 1 :]


def option(poll: dict[str, Any], place: int) -> dict[str, Any]:
    """A vote for an option."""
    return {"selectedOptionIds": [poll["options"][place]["id"]]}


@pytest.mark.parametrize("how", STOPS)
async def test_a_poll_goes_on_after_a_restart_and_closes_by_itself(assembly: Assembly, how: str) -> None:
    await assembly.create(started=True)
    ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
    last = ann.client.payloads("session:state")[0]["eventId"]
    ann.client.drop()
    poll = await assembly.poll(durationS=6)
    first = await assembly.votes(bob, poll["id"], option(poll, 0))
    assert first["success"] is True
    await bob.client.heard("poll:activated")  # which the ack may overtake by a tick
    bobs = events(bob.client)[-1].event_id
    await restart(assembly, how)
    ann.client.connect({"token": ann.token, "lastEventId": last})
    await ann.client.heard("connection:reconnected")
    bob.client.connect({"token": bob.token, "lastEventId": bobs})
    await bob.client.heard("connection:reconnected")
    second = await assembly.votes(ann, poll["id"], option(poll, 1))
    assert second["success"] is True, second
    again = await assembly.votes(bob, poll["id"], option(poll, 0))
    assert again["reason"] == "duplicate_vote"
    final = (await ann.client.heard("poll:closed"))[0]
    assert final == (await bob.client.heard("poll:closed"))[0]
    assert (final["finalVoteCount"], final["rejectedVotes"]) == (2, {"duplicate_vote": 1})
    kept = [(first["receipt"], option(poll, 0)), (second["receipt"], option(poll, 1))]
    assert final["voteHash"] == vote_hash(kept)
    opened = ann.client.payloads("poll:activated")[0]["activatedAt"]
    took_ms = milliseconds(final["closedAt"].encode()) - milliseconds(opened.encode())
    assert took_ms >= 6_000
    greeting = ["connection:established", "connection:reconnected"]
    replayed = ["participant:joined", "poll:created", "poll:activated"]
    assert came_back(ann) == [*greeting, *replayed, "vote:accepted", "poll:closed"]
    assert came_back(bob) == [*greeting, "vote:rejected", "poll:closed"]
    assert ann.client.payloads("connection:reconnected")[0]["replayCount"] == len(replayed)


@pytest.mark.parametrize("how", STOPS)
async def test_a_poll_whose_time_ran_out_meanwhile_closes_at_the_start(assembly: Assembly, how: str) -> None:
    await assembly.create(started=True)
    ann = await assembly.guest("ann")
    poll = await assembly.poll(durationS=1)
    voted = await assembly.votes(ann, poll["id"], option(poll, 0))
    assert voted["success"] is True
    await ann.client.heard("poll:activated")
    last = events(ann.client)[-1].event_id
    opened = ann.client.payloads("poll:activated")[0]["activatedAt"]
    if how == "SIGTERM":
        await trio.to_thread.run_sync(assembly.server.stop)
    else:
        assembly.server.kill()
    await ann.client.reported("disconnect")
    await is_past(opened, 1_000)
    await assembly.server.restart()
    ann.client.connect({"token": ann.token, "lastEventId": last})
    final = (await ann.client.heard("poll:closed"))[0]
    assert final["finalVoteCount"] == 1
    assert final["voteHash"] == vote_hash([(voted["receipt"], option(poll, 0))])
    assert (await assembly.votes(ann, poll["id"], option(poll, 1)))["reason"] == "poll_closed"


async def test_an_event_id_of_another_log_is_answered_with_the_state_and_why(server: Server, node: Node) -> None:
    assembly = Assembly(server, node)
    assembly.session = "keynote"
    presenter = await assembly.presenter()
    poll = await assembly.poll()
    await presenter.client.heard("poll:activated")
    last = events(presenter.client)[-1].event_id
    server.kill()
    await presenter.client.reported("disconnect")
    shutil.rmtree(server.data)
    await server.restart()
    presenter.client.connect({"token": presenter.token, "sessionId": "keynote", "lastEventId": last})
    _, state = await presenter.client.heard("session:state", 2)
    assert (state["reason"], state["sessionId"], state["polls"]) == ("offset_unknown", "keynote", [])
    await presenter.client.heard("session:created", 2)
    assert came_back(presenter) == ["connection:established", "session:state", "session:created"]
    assert state["eventId"].partition("-")[0] != last.partition("-")[0]
    anew = await assembly.poll(question="Anew?")
    await presenter.client.heard("poll:activated", 2)
    assert anew["id"] != poll["id"]


async def test_an_event_id_that_nobody_was_ever_told_is_answered_with_the_state_and_why(
    server: Server, node: Node
) -> None:
    assembly = Assembly(server, node)
    await assembly.create(started=True)
    poll = await assembly.poll()
    joined = await assembly.join("ann")
    epoch = (
        (await assembly.enter("x", joined["token"], "")).client.payloads("session:state")[0]["eventId"].split("-")[0]
    )
    for last in ("x-1", "nonsense", f"{epoch}-", f"{epoch}-99999999", f"{epoch}-1-1", "\u0000", "1" * 300):
        ann = await assembly.enter("ann", joined["token"], joined["participantId"], lastEventId=last)
        state = ann.client.payloads("session:state")[0]
        assert (state["reason"], state["activePollId"]) == ("offset_unknown", poll["id"]), last
        assert came_back(ann) == ["connection:established", "session:state"]


async def test_an_event_id_older_than_the_window_is_answered_with_the_state_and_why(tmp_path: Path, node: Node) -> None:
    with Server(tmp_path, {**SETTINGS, "replay": {"window_h": WINDOW_H}}) as server:
        assembly = Assembly(server, node)
        await assembly.create(started=True)
        ann, bob = await assembly.guest("ann"), await assembly.guest("bob")
        last = ann.client.payloads("participant:joined")[-1]["eventId"]
        ann.client.drop()
        await ann.client.reported("disconnect")
        poll = await assembly.poll()
        created = (await bob.client.heard("poll:created"))[0]
        await is_past(created["timestamp"], WINDOW_H * 3_600_000)
        ann.client.connect({"token": ann.token, "lastEventId": last})
        _, state = await ann.client.heard("session:state", 2)
        assert (state["reason"], state["activePollId"]) == ("offset_expired", poll["id"])
        assert came_back(ann) == ["connection:established", "session:state"]
        assert (await assembly.votes(ann, poll["id"], option(poll, 0)))["success"] is True
        await assembly.hush()
        stands = events(ann.client)[-1].event_id
        ann.client.drop()
        await ann.client.reported("disconnect", 2)
        ann.client.connect({"token": ann.token, "lastEventId": stands})
        back = (await ann.client.heard("connection:reconnected"))[0]
        assert back["replayCount"] == 0, "whoever missed nothing has nothing that is too old"
