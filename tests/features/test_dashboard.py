"""The dashboard: what contract 1 (§10) and the contracts' points 19 and 26 promise, as plain functions and in a hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON, SYSTEM, Ask, Burst, Do, Person, Tell, Via
from livehub.features.chat import Chat
from livehub.features.dashboard import (
    CHECK_INS_SHOWN,
    COUNT_MAX,
    EVENTS_PER_ORG_MAX,
    METRICS_BYTES_MAX,
    NAME_CHARS_MAX,
    RESOURCES_PER_EVENT_MAX,
    SESSIONS_PER_DASHBOARD_MAX,
    TICK_S,
    Dashboard,
    Orgs,
    Totals,
)
from livehub.features.events import Events
from livehub.features.polls import Polls
from livehub.features.qa import Qa
from livehub.features.reactions import BURST_S, Reactions
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed
from livehub.stores.memory import open_memory
from tests.kit import ANNA, BEN, START_MS, Bench, Ears, HubUnderTest, ears, open_hub, person, settle

WATCHER = person("watcher", "dashboard:read:live")
SECOND = person("second", "dashboard:read:live")
BACKEND = person("backend", "backend:publish")
HOST = person("host", "*")
ZEROS = {"totalMessages": 0, "pollVotes": 0, "questionsAsked": 0, "questionUpvotes": 0, "reactions": 0}
EMPTY = {**ZEROS, "recentCheckIns": []}
GATHER = Do("gather", {"rooms": [], "command": "session.totals", "data": {}}, then="dashboard.gathered")


@pytest.fixture
def bench() -> Bench:
    return Bench(Dashboard, room_id="e1")


@pytest.fixture
def org() -> Bench:
    return Bench(Orgs, room_id="acme")


def gather(bench: Bench, *answers: JSON, **more: JSON) -> Performed:
    """Let these answers of sessions s1, s2, … come back."""
    rooms = [f"session:s{number}" for number, _ in enumerate(answers, 1)]
    told = {"data": {"rooms": rooms, "command": "session.totals", "data": {}}, "result": list(answers), **more}
    return bench.ask("dashboard.gathered", told)


def totals(messages: int = 0, **more: int) -> dict[str, int]:
    return {**ZEROS, "totalMessages": messages, **more}


def belong(bench: Bench, *sessions: str) -> None:
    for session in sessions:
        bench.ask("dashboard.session.added", {"sessionId": session})


def capacity(resource: str = "hall", current: int = 7, most: int = 10) -> dict[str, JSON]:
    return {"resourceId": resource, "currentCount": current, "maxCapacity": most}


def test_the_first_to_join_opens_the_dashboard_and_each_has_it_made_anew(bench: Bench) -> None:
    first = bench.ask("dashboard.join", None, WATCHER)
    assert first.reply == {"eventId": "e1"}
    assert [fact.kind for fact in first.facts] == ["dashboard.opened"]
    assert first.effects == [GATHER]
    again = bench.ask("dashboard.join", None, SECOND)
    assert again.facts == []
    assert again.effects == [GATHER]
    assert bench.ask("dashboard.leave", None, WATCHER).reply == {"eventId": "e1"}


@pytest.mark.parametrize("command", ["dashboard.join", "dashboard.leave", "dashboard.read"])
def test_only_who_may_watch_watches(bench: Bench, command: str) -> None:
    refusal = bench.refusal(command, None, BACKEND)
    assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_only_who_may_watch_hears(bench: Bench) -> None:
    assert bench.catalog.seats("dashboard", WATCHER.can) == ("",)
    assert bench.catalog.seats("dashboard", ANNA.can) == ()


def test_every_session_of_the_event_is_asked_once(bench: Bench) -> None:
    belong(bench, "s1", "s2", "s1")
    (effect,) = bench.state.beat(0, "tick", Ask(None, SYSTEM, START_MS, 1)).effects
    data = {"rooms": ["session:s1", "session:s2"], "command": "session.totals", "data": {}}
    assert effect == Do("gather", data, then="dashboard.gathered")


def test_a_dashboard_has_so_many_sessions(bench: Bench) -> None:
    belong(bench, *(f"s{number}" for number in range(SESSIONS_PER_DASHBOARD_MAX)))
    belong(bench, "s0")
    refusal = bench.refusal("dashboard.session.added", {"sessionId": "more"})
    assert (refusal.message, refusal.code) == ("A dashboard has at most 1000 sessions", "too_many")


def test_an_update_is_the_sum_of_all_sessions(bench: Bench) -> None:
    belong(bench, "s1", "s2")
    one = {"totalMessages": 1, "pollVotes": 2, "questionsAsked": 3, "questionUpvotes": 4, "reactions": 5}
    two = {"totalMessages": 10, "pollVotes": 20, "questionsAsked": 30, "questionUpvotes": 40, "reactions": 50}
    performed = gather(bench, one, two)
    sums = {"totalMessages": 11, "pollVotes": 22, "questionsAsked": 33, "questionUpvotes": 44, "reactions": 55}
    assert performed.bursts == [Burst("dashboard.update", {**sums, "recentCheckIns": []})]
    assert bench.state.snapshot(WATCHER) == {**sums, "recentCheckIns": [], "capacity": []}


def test_a_session_that_does_not_answer_counts_as_it_was_last_known(bench: Bench) -> None:
    belong(bench, "s1", "s2", "s3")
    gather(bench, totals(1), totals(10), None)
    (update,) = gather(bench, None, totals(20), totals(100)).bursts
    assert update.data["totalMessages"] == 121


def test_after_an_error_the_last_known_is_shown(bench: Bench) -> None:
    belong(bench, "s1")
    gather(bench, totals(5))
    failed = bench.ask("dashboard.gathered", {"data": {"rooms": ["session:s1"]}, "error": "TooSlowError"})
    assert failed.facts == []
    assert [burst.data["totalMessages"] for burst in failed.bursts] == [5]


def test_a_sum_is_no_fact_of_the_log(bench: Bench) -> None:
    belong(bench, "s1")
    kept = len(bench.log)
    gather(bench, totals(5))
    assert len(bench.log) == kept
    assert bench.reopened().snapshot(WATCHER) == {**EMPTY, "capacity": []}


def test_what_is_none_of_the_sessions_does_not_count(bench: Bench) -> None:
    assert gather(bench, totals(5)).bursts == [Burst("dashboard.update", EMPTY)]


def check_in(bench: Bench, name: str, timestamp: str | None = None) -> Performed:
    return bench.ask("dashboard.check_in", {"name": name, "timestamp": timestamp}, BACKEND)


def test_the_last_check_ins_are_shown_newest_first(bench: Bench) -> None:
    for number in range(CHECK_INS_SHOWN + 2):
        check_in(bench, f"Guest {number}")
    (update,) = gather(bench).bursts
    names = [came["name"] for came in update.data["recentCheckIns"]]
    assert names == [f"Guest {number}" for number in range(CHECK_INS_SHOWN + 1, 1, -1)]
    assert bench.state.snapshot(WATCHER)["recentCheckIns"] == update.data["recentCheckIns"]


def test_a_check_in_is_now_unless_it_says_when(bench: Bench) -> None:
    now = {"name": "Zoë 😀", "timestamp": "2026-01-01T00:00:00.000Z"}
    then = {"name": "Yan", "timestamp": "2025-12-31T23:30:00.000Z"}
    assert check_in(bench, "Zoë 😀").reply == now
    assert check_in(bench, "Yan", "2026-01-01T00:30:00+01:00").reply == then
    assert bench.state.snapshot(WATCHER)["recentCheckIns"] == [then, now]


def test_a_check_in_shows_itself_only_with_the_next_update(bench: Bench) -> None:
    performed = check_in(bench, "Zoe")
    assert bench.shown(performed) == []
    assert performed.bursts == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "name is required"),
        ({"name": " "}, "name must not be empty"),
        ({"name": "x" * (NAME_CHARS_MAX + 1)}, "name must be at most 200 characters, not 201"),
        (
            {"name": "Zoe", "timestamp": "09:30"},
            "timestamp must be a time such as 2026-05-01T09:30:00Z, with its offset from UTC",
        ),
        ({"name": "Zoe", "email": "z@x.test"}, "'email' is not a field here; allowed: name, timestamp"),
    ],
)
def test_a_wrong_check_in_is_told_what_is_wrong(bench: Bench, data: JSON, told: str) -> None:
    refusal = bench.refusal("dashboard.check_in", data, BACKEND)
    assert (refusal.message, refusal.status) == (told, 400)


def test_capacity_is_told_to_every_watcher(bench: Bench) -> None:
    performed = bench.ask("dashboard.capacity.set", capacity(), BACKEND)
    update = {"eventId": "e1", "resourceId": "hall", "currentCount": 7, "maxCapacity": 10}
    assert performed.reply == update
    assert bench.shown(performed) == [("dashboard.capacity.updated", update)]


def test_the_same_capacity_again_is_no_news(bench: Bench) -> None:
    bench.ask("dashboard.capacity.set", capacity(), BACKEND)
    again = bench.ask("dashboard.capacity.set", capacity(), BACKEND)
    assert again.facts == []
    assert again.reply == {"eventId": "e1", **capacity()}


def test_newcomers_are_given_the_latest_capacity_of_each_resource(bench: Bench) -> None:
    for data in (capacity("hall", 1), capacity("room", 12, 10), capacity("hall", 0, 1)):
        bench.ask("dashboard.capacity.set", data, BACKEND)
    latest: list[JSON] = [{"eventId": "e1", **data} for data in (capacity("hall", 0, 1), capacity("room", 12, 10))]
    assert bench.state.welcome(WATCHER) == [("dashboard.capacity.updated", update) for update in latest]
    assert bench.state.snapshot(WATCHER)["capacity"] == latest


def test_an_event_has_so_many_resources(bench: Bench) -> None:
    for number in range(RESOURCES_PER_EVENT_MAX):
        bench.ask("dashboard.capacity.set", capacity(f"r{number}"), BACKEND)
    refusal = bench.refusal("dashboard.capacity.set", capacity("more"), BACKEND)
    assert (refusal.message, refusal.status) == ("An event has at most 200 resources", 409)
    assert refusal.code == "too_many"
    assert bench.ask("dashboard.capacity.set", capacity("r0", 8), BACKEND).facts


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"currentCount": -1}, f"currentCount must be from 0 to {COUNT_MAX}"),
        ({"maxCapacity": 0}, f"maxCapacity must be from 1 to {COUNT_MAX}"),
        ({"maxCapacity": "10"}, "maxCapacity must be a whole number"),
        ({"resourceId": "a b"}, "resourceId must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"),
    ],
)
def test_a_wrong_capacity_is_told_what_is_wrong(bench: Bench, wrong: JSON, told: str) -> None:
    refusal = bench.refusal("dashboard.capacity.set", {**capacity(), **wrong}, BACKEND)
    assert (refusal.message, refusal.status) == (told, 400)


def test_metrics_are_told_to_the_dashboards_of_all_events_of_the_organisation(org: Bench) -> None:
    for event in ("e1", "e2", "e1"):
        org.ask("org.event.added", {"eventId": event})
    performed = org.ask("org.metrics.post", {"metrics": {"cpu": 0.5}}, BACKEND)
    assert performed.reply == {"orgId": "acme"}
    told = {"orgId": "acme", "metrics": {"cpu": 0.5}, "number": 1}
    assert performed.effects == [Tell(f"dashboard:{event}", "dashboard.metrics", told) for event in ("e1", "e2")]


def test_a_new_event_is_told_the_latest_metrics(org: Bench) -> None:
    assert org.ask("org.event.added", {"eventId": "e1"}).effects == []
    for load in (1, 2):
        org.ask("org.metrics.post", {"metrics": {"load": load}}, BACKEND)
    told = {"orgId": "acme", "metrics": {"load": 2}, "number": 2}
    assert org.ask("org.event.added", {"eventId": "e2"}).effects == [Tell("dashboard:e2", "dashboard.metrics", told)]
    assert org.ask("org.event.added", {"eventId": "e2"}).effects == []


def test_metrics_go_to_so_many_of_the_newest_events(org: Bench) -> None:
    for number in range(EVENTS_PER_ORG_MAX + 1):
        org.ask("org.event.added", {"eventId": f"e{number}"})
    effects = org.ask("org.metrics.post", {"metrics": {}}, BACKEND).effects
    rooms = [effect.room for effect in effects if isinstance(effect, Tell)]
    assert rooms == [f"dashboard:e{number}" for number in range(1, EVENTS_PER_ORG_MAX + 1)]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "metrics is required"),
        ({"metrics": [1]}, "metrics must be an object"),
        (
            {"metrics": {"x": "y" * METRICS_BYTES_MAX}},
            f"metrics must be at most {METRICS_BYTES_MAX} bytes of JSON, not {METRICS_BYTES_MAX + 8}",
        ),
    ],
)
def test_wrong_metrics_are_told_what_is_wrong(org: Bench, data: JSON, told: str) -> None:
    refusal = org.refusal("org.metrics.post", data, BACKEND)
    assert (refusal.message, refusal.status) == (told, 400)


def test_the_latest_metrics_are_a_view(bench: Bench) -> None:
    for number, load in ((1, 10), (3, 30), (2, 20), (3, 31)):
        bench.ask("dashboard.metrics", {"orgId": "acme", "metrics": {"load": load}, "number": number})
    assert bench.view("dashboard.metrics.updated") == {"orgId": "acme", "metrics": {"load": 30}}


def test_only_a_backend_publishes(bench: Bench, org: Bench) -> None:
    for where, command, data in (
        (bench, "dashboard.check_in", {"name": "Zoe"}),
        (bench, "dashboard.capacity.set", capacity()),
        (org, "org.metrics.post", {"metrics": {}}),
    ):
        refusal = where.refusal(command, data, WATCHER)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_reading_shows_what_is_known_and_has_it_made_anew(bench: Bench) -> None:
    belong(bench, "s1")
    bench.ask("dashboard.capacity.set", capacity(), BACKEND)
    check_in(bench, "Zoe")
    first = bench.ask("dashboard.read", {}, WATCHER)
    known = {
        "eventId": "e1",
        "recentCheckIns": [{"name": "Zoe", "timestamp": "2026-01-01T00:00:00.000Z"}],
        "capacity": [{"eventId": "e1", **capacity()}],
    }
    assert first.reply == {**ZEROS, **known, "countedAt": None}
    assert [effect.data["rooms"] for effect in first.effects if isinstance(effect, Do)] == [["session:s1"]]
    gather(bench, totals(5))
    second = bench.ask("dashboard.read", {}, WATCHER, after_ms=TICK_S * 1_000 - 1)
    assert second.reply == {**totals(5), **known, "countedAt": "2026-01-01T00:00:00.000Z"}
    assert second.effects == [], "what is this new need not be counted again"
    assert len(bench.ask("dashboard.read", {}, WATCHER, after_ms=1).effects) == 1


def test_a_session_counts_what_happens_in_it() -> None:
    bench = Bench(Totals, Chat, Polls, Qa, Reactions)
    assert bench.ask("session.totals", {}).reply == ZEROS
    for who in (ANNA, BEN):
        bench.ask("chat.message.send", {"text": "hello"}, who)
    options = [{"text": "a"}, {"text": "b"}]
    created = bench.ask("poll.create", {"question": "?", "options": options}, HOST)
    ((_, poll),) = bench.shown(created)
    bench.ask("poll.vote.submit", {"pollId": poll["id"], "optionId": poll["options"][0]["id"]}, ANNA)
    asked = [bench.ask("qa.question.ask", {"text": "why?"}, ANNA).facts[0].data["question"] for _ in range(3)]
    for question in asked:
        bench.ask("qna.question.upvote", {"questionId": question["id"]}, BEN)
    bench.ask("qna.question.upvote", {"questionId": asked[0]["id"]}, BEN)
    bench.ask("reaction.send", {"emoji": "🔥"}, ANNA)
    bench.ask("reaction.send", {"emoji": "👏"}, ANNA)
    expected = {"totalMessages": 2, "pollVotes": 1, "questionsAsked": 3, "questionUpvotes": 2, "reactions": 0}
    assert bench.ask("session.totals", {}).reply == expected
    place = next(n for n, feature in enumerate(bench.state.features) if isinstance(feature, Reactions))
    burst = bench.state.beat(place, "burst", Ask(None, SYSTEM, bench.now_ms, 1))
    bench._kept(burst)
    assert bench.ask("session.totals", {}).reply == {**expected, "reactions": 2}
    totals_of = [feature for feature in bench.reopened().features if isinstance(feature, Totals)]
    assert totals_of == [bench.feature(Totals)]


def test_the_log_rebuilds_dashboard_and_organisation(bench: Bench, org: Bench) -> None:
    bench.ask("dashboard.join", None, WATCHER)
    belong(bench, "s1", "s2")
    for number in range(CHECK_INS_SHOWN + 1):
        check_in(bench, f"Guest {number}")
    for current in (1, 2):
        bench.ask("dashboard.capacity.set", capacity(current=current), BACKEND)
    bench.ask("dashboard.metrics", {"orgId": "acme", "metrics": {"load": 1}, "number": 1})
    assert bench.reopened().features == bench.state.features
    org.ask("org.metrics.post", {"metrics": {"load": 1}}, BACKEND)
    for number in range(EVENTS_PER_ORG_MAX + 1):
        org.ask("org.event.added", {"eventId": f"e{number}"})
    assert org.reopened().features == org.state.features


@asynccontextmanager
async def hall(**more: Any) -> AsyncIterator[HubUnderTest]:
    """A hub with sessions that anybody may bring into being, events, organisations and their dashboards."""
    features = (Sessions, Chat, Reactions, Totals, Events, Dashboard, Orgs)
    async with open_hub(*features, settings={"sessions": SessionSettings(auto_create=True)}, **more) as hub:
        yield hub


async def talk(hub: HubUnderTest, client: Ears, session: str, texts: int = 1) -> None:
    """Join a session of the event e1 and say something."""
    await hub.do("session.join", {"sessionId": session, "eventId": "e1"}, client)
    for _ in range(texts):
        await hub.do("chat.message.send", {"sessionId": session, "text": "hello"}, client)


async def rest(hub: HubUnderTest, command: str, data: JSON, room_id: str = "e1", who: Person = BACKEND) -> JSON:
    return await hub.do(command, data, who=who, door=Via.REST, room_id=room_id)


def counts_of(client: Ears) -> list[int]:
    return [update["totalMessages"] for update in client.events("dashboard.update")]


async def test_a_watcher_sees_the_sums_at_once_and_then_every_five_seconds(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        anna, watcher = ears(ANNA), ears(WATCHER, eventId="e1")
        await talk(hub, anna, "s1", 2)
        await talk(hub, ears(BEN), "s2", 3)
        assert await hub.do("dashboard.join", None, watcher) == {"eventId": "e1"}
        assert watcher.events("dashboard.update") == [{**totals(5), "recentCheckIns": []}]
        assert anna.events("dashboard.update") == []
        await talk(hub, anna, "s1")
        await rest(hub, "dashboard.check_in", {"name": "Zoe"})
        assert counts_of(watcher) == [5]
        await trio.sleep(TICK_S + 0.5)
        assert counts_of(watcher) == [5, 6]
        assert [came["name"] for came in watcher.events("dashboard.update")[-1]["recentCheckIns"]] == ["Zoe"]
        await trio.sleep(2 * TICK_S)
        assert counts_of(watcher) == [5, 6, 6, 6]
        assert {item.offset for item in watcher.heard if item.event == "dashboard.update"} == {None}


async def test_nothing_is_gathered_while_nobody_watches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hall() as hub:
        asked: list[str] = []
        ask_room = hub.house.ask

        async def noted(name: str, item: Any) -> None:
            asked.append(getattr(getattr(item, "command", None), "name", ""))
            await ask_room(name, item)

        watcher = ears(WATCHER, eventId="e1")
        monkeypatch.setattr(hub.house._errands, "_ask", noted)
        await talk(hub, ears(ANNA), "s1")
        await rest(hub, "dashboard.check_in", {"name": "Zoe"})
        asked.clear()
        await trio.sleep(4 * TICK_S)
        assert asked == []
        await hub.do("dashboard.join", None, watcher)
        assert asked == ["dashboard.gathered"]
        await trio.sleep(TICK_S + 0.5)
        assert asked == ["dashboard.gathered"] * 2
        await hub.do("dashboard.leave", None, watcher)
        await trio.sleep(4 * TICK_S)
        assert asked == ["dashboard.gathered"] * 2
        assert len(watcher.events("dashboard.update")) == 2


async def test_the_dashboard_of_an_event_shows_nothing_of_another(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        other = ears(WATCHER, eventId="e2")
        await talk(hub, ears(ANNA), "s1")
        await hub.do("dashboard.join", None, other)
        await rest(hub, "dashboard.capacity.set", capacity())
        await trio.sleep(TICK_S + 0.5)
        assert counts_of(other) == [0, 0]
        assert other.events("dashboard.capacity.updated") == []


async def test_the_event_may_be_named_in_the_payload_and_has_to_be_named(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        refusal = await (await hub.ask("dashboard.join", None, ears(WATCHER))).refusal()
        assert refusal.message == "Event ID is required"
        watcher = ears(WATCHER, sid="2")
        assert await hub.do("dashboard.join", {"eventId": "e7"}, watcher) == {"eventId": "e7"}
        assert await hub.do("dashboard.leave", None, watcher) == {"eventId": "e7"}


async def test_a_dashboard_that_nothing_ever_told_of_is_not_found(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        asked = await hub.ask("dashboard.read", {}, who=WATCHER, door=Via.REST, room_id="e9")
        refusal = await asked.refusal()
        assert (refusal.message, refusal.status) == ("Dashboard not found", 404)


async def test_capacity_reaches_watchers_at_once_and_newcomers_after_their_join(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        early, late = ears(WATCHER, eventId="e1"), ears(SECOND, eventId="e1")
        await hub.do("dashboard.join", None, early)
        for current in (1, 2):
            await rest(hub, "dashboard.capacity.set", capacity(current=current))
        await hub.do("dashboard.join", None, late)
        told = [{"eventId": "e1", **capacity(current=current)} for current in (1, 2)]
        assert early.events("dashboard.capacity.updated") == told
        assert late.events("dashboard.capacity.updated") == told[1:]


async def test_metrics_reach_the_dashboards_of_the_organisations_events(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        owner = person("owner", "*")
        for event, org_id in (("e1", "acme"), ("e2", "acme"), ("e3", "other")):
            await rest(hub, "event.create", {"orgId": org_id}, event, owner)
        watchers = [ears(WATCHER, sid=event, eventId=event) for event in ("e1", "e2", "e3")]
        for watcher in watchers:
            await hub.do("dashboard.join", None, watcher)
        await rest(hub, "org.metrics.post", {"metrics": {"load": 1}}, "acme")
        shown = [watcher.events("dashboard.metrics.updated") for watcher in watchers]
        told = [{"orgId": "acme", "metrics": {"load": 1}}]
        assert shown == [told, told, []]
        await rest(hub, "event.create", {"orgId": "acme"}, "e4", owner)
        late = ears(SECOND, eventId="e4")
        await hub.do("dashboard.join", None, late)
        assert late.events("dashboard.metrics.updated") == told


async def test_after_a_restart_the_dashboard_is_what_it_was(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with hall(store=store) as hub:
            await talk(hub, ears(ANNA), "s1", 2)
            await rest(hub, "dashboard.check_in", {"name": "Zoe"})
            await rest(hub, "dashboard.capacity.set", capacity())
        async with hall(store=store) as hub:
            shown = await rest(hub, "dashboard.read", {}, who=WATCHER)
            assert (shown["totalMessages"], shown["countedAt"]) == (0, None)
            assert [came["name"] for came in shown["recentCheckIns"]] == ["Zoe"]
            assert shown["capacity"] == [{"eventId": "e1", **capacity()}]
            await settle()
            shown = await rest(hub, "dashboard.read", {}, who=WATCHER)
            assert shown["totalMessages"] == 2
            watcher = ears(WATCHER, eventId="e1")
            await hub.do("dashboard.join", None, watcher)
            assert counts_of(watcher) == [2]


async def test_reactions_count_with_their_burst(autojump_clock: MockClock) -> None:
    async with hall() as hub:
        anna, watcher = ears(ANNA), ears(WATCHER, eventId="e1")
        await talk(hub, anna, "s1")
        await hub.do("dashboard.join", None, watcher)
        await hub.do("reaction.send", {"sessionId": "s1", "emoji": "🔥"}, anna)
        await trio.sleep(BURST_S + TICK_S + 0.5)
        assert [update["reactions"] for update in watcher.events("dashboard.update")] == [0, 1]
