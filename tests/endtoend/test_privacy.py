"""Nobody is told what they may not know: all that everybody hears of a whole event is searched for planted secrets.

Whatever is new in the catalog has to take part: an event that nobody heard, a command that nobody asked and a route
that nobody was answered on fail the walk.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import trio

from livehub.contracts.events import NAMESPACE, EventsVocabulary
from livehub.contracts.inventory import Inventory
from livehub.feature import Seating
from livehub.rooms.fanout import Told as Said
from tests.endtoend.leaks import Secret, Told, leaks, values
from tests.endtoend.listeners import Listener
from tests.endtoend.people import CATALOG, EVERYBODY, MODERATORS, SEATED, STRANGER, People
from tests.endtoend.routes import BESIDE, DOCUMENT, everybody_looks, routes
from tests.endtoend.stage import key
from tests.endtoend.walk import SECRET_POLL, settle, walk
from tests.harness import Server

INVENTORY = Inventory(CATALOG, NAMESPACE)
EVENTS = {told.name for told in INVENTORY.told}
COMMANDS = {asked.name for asked in INVENTORY.asked}
SECRET = "x0123456789abcdef?"


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    """Everybody around one event, on a server of their own."""
    with Server(tmp_path, {"qa": {"flag_words": ["casino"]}}) as server:
        async with httpx.AsyncClient() as http, trio.open_nursery() as nursery:
            yield People(server, nursery, http)
            nursery.cancel_scope.cancel()


async def test_nobody_is_told_a_secret(people: People) -> None:
    await walk(people)
    await settle(people)
    await everybody_looks(people, EVERYBODY)
    for who in EVERYBODY:
        for address in BESIDE:
            await people.requests(who, "GET", address)
    await _try(people)
    await people.clients["ada"].hears("mood.analytics.updated")
    await _check_walk(people)
    found = leaks(people.all_secrets(), people.told())
    assert not found, "\n".join(map(str, found))
    _check_own(people)
    await _check_search(people)


async def test_e_mail_addresses_are_shown_to_everybody_where_that_is_switched_on(tmp_path: Path) -> None:
    with Server(tmp_path, {"privacy": {"share_emails": True}}) as server:
        async with trio.open_nursery() as nursery:
            clients = [Listener(server, name, server.token(name), sessionId="s") for name in ("ada", "bob", "late")]
            for client in clients[:2]:
                await client.come(nursery)
                await client.ask("session.join", {})
            for anonymous in (False, True):
                asked = {"text": "Why?", "isAnonymous": anonymous, "idempotencyKey": key()}
                assert (await clients[0].ask("qa.question.ask", asked))["success"]
            await clients[2].come(nursery)
            await clients[2].ask("session.join", {})
            await clients[1].until(lambda: len(clients[1].payloads("qa.question.new")) == 2, "both questions")
            questions = clients[1].payloads("qa.question.new")
            snapshot = await clients[2].hears("session.snapshot")
            for shown in (questions, snapshot["questions"]):
                assert [question["authorEmail"] for question in shown] == ["ada@example.org", ""]
            page = await server.request("GET", "/api/sessions/s/questions", server.token("bob"))
            assert [question["authorEmail"] for question in page.json()["questions"]] == ["ada@example.org", ""]
            nursery.cancel_scope.cancel()


def test_views_of_other_contracts_are_not_spoken_here() -> None:
    vocabulary = EventsVocabulary(CATALOG)
    views = {view.name for features in CATALOG.features.values() for feature in features for view in feature.views()}
    for name in views - EVENTS:
        assert vocabulary.event(Said(name, {"userId": SECRET}, "", 0, "session:s", "session:s")) is None, name


def _readings() -> Iterator[str]:
    yield SECRET
    yield SECRET.upper()
    yield SECRET.encode().hex()
    yield quote(f"<{SECRET}>")
    yield "".join(f"\\u{ord(letter):04x}" for letter in SECRET)
    for before in range(4):
        yield b64encode(b"a" * before + SECRET.encode() + b"zz").decode()


@pytest.mark.parametrize("reading", [*_readings()])
def test_a_leak_is_found_however_it_is_written(reading: str) -> None:
    secrets = [Secret("it", SECRET, frozenset({"ada"}))]
    told = [Told(who, "a frame", f'42/events,["an.event",{{"text":"<{reading}>"}}]') for who in ("ada", "bob")]
    assert [(leak.what, leak.who) for leak in leaks(secrets, told)] == [("it", "bob")]


def test_a_secret_is_open_in_its_own_field_alone_and_to_its_own_people_alone() -> None:
    secrets = [Secret("it", SECRET, fields={"mail": frozenset({"ada"})})]

    def found(who: str, payload: dict[str, object]) -> int:
        frame = "42/events," + json.dumps(["an.event", {"inside": [payload]}, "offset-1"])
        ack = "43/events,7" + json.dumps([payload])
        return len(leaks(secrets, [Told(who, "", text) for text in (frame, ack, json.dumps(payload))]))

    assert found("ada", {"mail": SECRET}) == 0
    assert found("ada", {"mail": SECRET, "text": SECRET}) == 3
    assert found("bob", {"mail": SECRET}) == 3
    assert leaks(secrets, [Told("ada", "the head", SECRET)])
    exported = f'\ufefftable,name,text\r\nmail,{SECRET},\r\nvotes,"{{}}",x\r\n'
    assert not leaks(secrets, [Told("ada", "a table", exported)])
    assert leaks(secrets, [Told("ada", "a table", exported.format(SECRET))])


async def _check_walk(people: People) -> None:
    """Every event was heard, and no other; every command was asked and every route called, and done."""
    heard = {name for client in people.clients.values() for name, _ in client.heard}
    assert heard == EVENTS
    assert {act.command for act in people.acts} == COMMANDS
    done = [(method, target) for method, target, was_done in people.answered if was_done]
    missing = [str(route) for route in await routes(people) if not any(route.is_of(*one) for one in done)]
    assert not missing, f"never called with success: {missing}"


async def _try(people: People) -> None:
    """Whoever is not in the room, or may not, tries all that was done; what they are told is searched as well."""
    for act in people.acts:
        command = CATALOG.commands[act.command]
        asked = {**act.payload, "sessionId": people.session, "eventId": people.event, "idempotencyKey": key()}
        if command.seat is Seating.NEEDED or command.needs:
            await people.is_refused("outsider", act.command, **asked)
            await people.is_refused("nowhere", act.command, **asked)
        if command.needs and "chat:delete:own" not in command.needs:
            await people.is_refused("cut", act.command, **asked)
    for call in people.calls:
        for who in ("cut", "outsider", STRANGER):
            answer = await people.requests(who, call.method, call.target, call.body)
            assert answer.status_code == (401 if who == STRANGER else 403), f"{who} {call.command}: {answer.text}"


def _check_own(people: People) -> None:
    """Of votes, upvotes and teams everybody sees their own, and theirs they do see."""
    seen: dict[str, set[str]] = {"vote": set(), "upvote": set(), "team": set()}
    for told in people.told():
        if told.where == f"GET {DOCUMENT} 200":
            continue  # it speaks of these fields, and of nobody's
        for option in values(told, "userVotedForOptionId"):
            assert option is None or option in people.votes.get(told.who, ()), told
            seen["vote"] |= {told.who} if option else set()
        for team in values(told, "myTeamId"):
            assert team is None or team in people.teams.get(told.who, ()), told
            seen["team"] |= {told.who} if team else set()
        for poll in values(told, "poll"):
            if poll["id"] == people.path_ids["pollId"][SECRET_POLL]:
                assert "totalVotes" not in poll or told.who in MODERATORS, told
            assert "correctOptionId" not in poll, told
    for who, client in people.clients.items():
        for snapshot in client.payloads("session.snapshot"):
            for question in snapshot["questions"]:
                assert not question["hasUpvoted"] or question["id"] in people.upvotes.get(who, ()), who
    assert seen["vote"] == people.votes.keys()
    assert seen["team"] == people.teams.keys() - {"bob"}, "bob left his team"


async def _check_search(people: People) -> None:
    """The search is not blind: what is said aloud now is found, at everybody who should not know it."""
    secrets = people.all_secrets()
    note = next(secret for secret in secrets if secret.what == "a moderator's note")
    await people.says("ada", "chat.message.send", text=f"They wrote: {note.text}")
    for who in SEATED - {"uploader"}:
        await people.clients[who].hears("chat.message.new", lambda message: note.text in message["text"])
    found = leaks(secrets, people.told())
    assert {(leak.what, leak.who) for leak in found} == {(note.what, who) for who in SEATED - MODERATORS - {"uploader"}}
