"""Every feature is after a restart what it was before: what people see on joining, and all that REST tells them.

The log is folded anew after `kill -9` and after SIGTERM. In between everything that was done is asked again with its
key: it gets its first answer, and happens no second time.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import trio

from livehub.feature import Seating
from tests.endtoend.people import CATALOG, VISITOR, People
from tests.endtoend.routes import everybody_looks
from tests.endtoend.walk import FIGURES, settle, shows, walk
from tests.harness import Server

SEEN_BY = ("owner", "moderator", "speaker", "ada", "bob", "voter", "late", "teammate", VISITOR, "guest", "absent")
"""Whose view of everything must not change; the analyst's is the dashboard."""
READERS = ("owner", "moderator", "ada", "bob", "voter", VISITOR, "analyst")
ROOMS = {"guest": ("event",), "absent": (), VISITOR: ("session",), "analyst": ("dashboard",)}
"""Which rooms they join, if not a session and its event."""
PASSING = re.compile(r'"(countedAt|exportedAt|minutes)":(null|"[^"]*"|[0-9.]+),')
"""Fields that go with the clock: when sums were made (anew, after a restart), when it is now, how long who was here."""
TWICE = "format=csv"
"""Where JSON can be had as well: that is compared."""

Portrait = dict[str, Any]


async def test_every_feature_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path, {"qa": {"flag_words": ["casino"]}, "polling": {"grace_s": 3_600}}) as server:
        async with httpx.AsyncClient() as http, trio.open_nursery() as nursery:
            people = People(server, nursery, http)
            await walk(people)
            await settle(people)
            before = await _portrait(people)
            _check_rich(before)
            server.kill()
            await server.restart()
            _compare(before, await _portrait(people))
            await _ask_again(people)
            assert server.stop(signal.SIGTERM) == 0
            await server.restart()
            _compare(before, await _portrait(people))
            nursery.cancel_scope.cancel()


async def _portrait(people: People) -> Portrait:
    """What each of some people is told who connects, joins all they may and then asks for everything over REST."""
    portrait: Portrait = {}
    await _watch(people)
    for name in (*SEEN_BY, "analyst"):
        for event, payloads in (await _told(people, name, *ROOMS.get(name, ("session", "event")))).items():
            portrait[f"{name} hears {event}"] = payloads
    for name, answers in (await everybody_looks(people, READERS)).items():
        for address, (status, text) in answers.items():
            if TWICE not in address:
                portrait[f"{name} reads {address}"] = (status, PASSING.sub("", text))
    return portrait


async def _watch(people: People) -> None:
    """Have the dashboard count: its sums are declared as forgotten."""
    client = await people.enters("analyst")
    await people.joins("analyst", "dashboard")
    await client.hears("dashboard.update", lambda figures: shows(FIGURES, figures))


async def _told(people: People, name: str, *rooms: str) -> dict[str, list[Any]]:
    """All that a new connection is told, by event."""
    if name in people.clients:
        await people.clients[name].cut()
    client = await people.enters(name)
    await people.joins(name, *rooms)
    await people.is_refused(name, "nothing")  # after which it has been told all that a join brings
    return {event: client.payloads(event) for event, _ in client.heard if event != "dashboard.update"}


async def _ask_again(people: People) -> None:
    """Ask for everything again, with its key."""
    for act in people.acts:
        if CATALOG.commands[act.command].seat in (Seating.TAKES, Seating.LEAVES) or act.who not in SEEN_BY:
            continue  # a seat is taken by each connection anew
        answer = await people.clients[act.who].ask(act.command, act.payload)
        assert answer == {**act.answer, "replayed": True}, f"{act.who} {act.command}: {answer}"
    for call in people.calls:
        again = await people.requests(call.who, call.method, call.target, call.body, call.key)
        assert again.json() == {**call.answer, "replayed": True}, f"{call.who} {call.command}: {again.text}"


def _check_rich(portrait: Portrait) -> None:
    """There is something to lose: no part of what people see is empty."""
    for what in ("ada hears session.snapshot", "ada hears event.snapshot", "analyst hears dashboard.snapshot"):
        (snapshot,) = portrait[what]
        empty = [name for name, value in snapshot.items() if not value]
        assert not empty, f"{what}: {empty}"
    assert portrait["absent hears dm.new"]
    done = {what.split("?")[0].split(" reads ")[1] for what, seen in portrait.items() if _is_done(what, seen)}
    assert len(done) > 20, done


def _is_done(what: str, seen: Any) -> bool:
    return " reads " in what and seen[0] == 200


def _compare(before: Portrait, after: Portrait) -> None:
    changed = [
        f"{what}\n  before {json.dumps(before.get(what))}\n  after  {json.dumps(after.get(what))}"
        for what in before.keys() | after.keys()
        if before.get(what) != after.get(what)
    ]
    assert not changed, "\n".join(sorted(changed))
