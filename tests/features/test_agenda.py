"""The agenda: what contract 1 (§13) promises, asked as plain functions."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from livehub.feature import JSON, Tell, Via
from livehub.features import agenda
from livehub.features.agenda import AGENDA_BYTES_MAX, AGENDA_SESSIONS_MAX, DESCRIPTION_CHARS_MAX, Agenda
from livehub.features.events import Events
from livehub.features.sessions import Sessions
from tests.kit import ANNA, BEN, Bench, open_hub, person

BACKEND = person("backend", "backend:publish")
MANAGER = person("manager", "sessions:manage")
KEYNOTE: dict[str, JSON] = {
    "id": "key", "title": "Keynote", "startTime": "2026-01-01T09:00:00Z", "endTime": "2026-01-01T10:00:00Z",
}  # fmt: skip
SHOWN: dict[str, JSON] = {
    "id": "key",
    "title": "Keynote",
    "startTime": "2026-01-01T09:00:00.000Z",
    "endTime": "2026-01-01T10:00:00.000Z",
    "speakers": [],
}


@pytest.fixture
def bench() -> Bench:
    bench = Bench(Events, Agenda, room_id="e1")
    bench.ask("event.create", {}, MANAGER)
    return bench


def put(bench: Bench, **changes: JSON) -> Any:
    return bench.ask("agenda.change", {"sessionId": "key", **changes}, BACKEND)


def listed(bench: Bench) -> list[str]:
    return [item["id"] for item in bench.ask("agenda.read", {}, BACKEND).reply["agenda"]]


def test_a_session_on_the_agenda_is_told_to_the_event_and_to_the_session(bench: Bench) -> None:
    performed = bench.ask("agenda.create", KEYNOTE, BACKEND)
    assert performed.reply == {"sessionId": "key", "session": SHOWN}
    assert bench.shown(performed) == [("agenda.update", {"eventId": "e1", "updateType": "CREATED", "session": SHOWN})]
    assert performed.effects == [Tell("session:key", "session.planned", {"eventId": "e1", "title": "Keynote"})]


def test_everything_about_a_session_is_shown(bench: Bench) -> None:
    more = {"room": "Hall 2", "description": "All of it.", "speakers": ["Ada", "Grace"]}
    performed = bench.ask("agenda.create", {**KEYNOTE, **more}, MANAGER)
    assert performed.reply["session"] == {**SHOWN, **more}


def test_without_an_id_the_session_gets_one(bench: Bench) -> None:
    first, second = (
        bench.ask("agenda.create", {name: KEYNOTE[name] for name in ("title", "startTime", "endTime")}, BACKEND).reply
        for _ in range(2)
    )
    assert first["sessionId"] == first["session"]["id"] != second["sessionId"]
    assert len(first["sessionId"]) == 36


def test_times_are_kept_as_utc(bench: Bench) -> None:
    data = {**KEYNOTE, "startTime": "2026-01-01T10:30:00+01:00", "endTime": "2026-01-01T05:00:00.5-05:00"}
    session = bench.ask("agenda.create", data, BACKEND).reply["session"]
    assert (session["startTime"], session["endTime"]) == ("2026-01-01T09:30:00.000Z", "2026-01-01T10:00:00.500Z")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"endTime": "2026-01-01T09:00:00Z"}, "endTime must be after startTime"),
        ({"endTime": "2026-01-01T08:59:59Z"}, "endTime must be after startTime"),
        ({"startTime": "tomorrow"}, "startTime must be a time such as 2026-05-01T09:30:00Z, with its offset from UTC"),
        ({"title": ""}, "title must not be empty"),
        ({"room": "x" * 201}, "room must be at most 200 characters, not 201"),
        ({"speakers": ["Ada", " "]}, "speakers[1] must not be empty"),
        ({"speakers": ["Ada"] * 51}, "speakers must have 0 to 50 items, not 51"),
        ({"id": "a b"}, "id must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"),
    ],
)
def test_what_a_session_may_not_be(bench: Bench, wrong: dict[str, JSON], told: str) -> None:
    refusal = bench.refusal("agenda.create", {**KEYNOTE, **wrong}, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == (told, 400, "invalid_payload")
    assert listed(bench) == []


def test_a_session_is_on_the_agenda_once(bench: Bench) -> None:
    bench.ask("agenda.create", KEYNOTE, BACKEND)
    refusal = bench.refusal("agenda.create", {**KEYNOTE, "title": "Other"}, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == ("Session is on the agenda already", 409, "conflict")


def test_an_update_changes_only_what_is_sent(bench: Bench) -> None:
    bench.ask("agenda.create", {**KEYNOTE, "room": "Hall 2", "speakers": ["Ada"]}, BACKEND)
    performed = put(bench, title="Opening", endTime="2026-01-01T11:00:00Z")
    after = {
        **SHOWN, "title": "Opening", "endTime": "2026-01-01T11:00:00.000Z", "room": "Hall 2", "speakers": ["Ada"],
    }  # fmt: skip
    assert performed.reply == {"sessionId": "key", "session": after}
    assert bench.shown(performed) == [("agenda.update", {"eventId": "e1", "updateType": "UPDATED", "session": after})]
    assert performed.effects == []


def test_null_takes_a_text_away_and_an_empty_list_the_speakers(bench: Bench) -> None:
    bench.ask("agenda.create", {**KEYNOTE, "room": "Hall 2", "description": "x", "speakers": ["Ada"]}, BACKEND)
    assert put(bench, room=None).reply["session"] == {**SHOWN, "description": "x", "speakers": ["Ada"]}
    assert put(bench, description=None, speakers=[]).reply["session"] == SHOWN
    refusal = bench.refusal("agenda.change", {"sessionId": "key", "room": ""}, BACKEND)
    assert refusal.message == "room must not be empty"


def test_an_update_that_changes_nothing_is_no_news(bench: Bench) -> None:
    bench.ask("agenda.create", {**KEYNOTE, "room": "Hall 2"}, BACKEND)
    for same in ({}, {"room": "Hall 2"}, {"startTime": "2026-01-01T10:00:00+01:00"}, {"title": None}):
        performed = put(bench, **same)
        assert performed.facts == []
        assert performed.reply["session"]["room"] == "Hall 2"


def test_an_update_is_checked_as_a_whole(bench: Bench) -> None:
    bench.ask("agenda.create", KEYNOTE, BACKEND)
    data = {"sessionId": "key", "startTime": "2026-01-01T10:00:00Z"}
    assert bench.refusal("agenda.change", data, BACKEND).message == "endTime must be after startTime"
    put(bench, startTime="2026-01-01T10:00:00Z", endTime="2026-01-01T10:30:00Z")


def test_a_deleted_session_is_off_the_agenda(bench: Bench) -> None:
    bench.ask("agenda.create", KEYNOTE, BACKEND)
    performed = bench.ask("agenda.delete", {"sessionId": "key"}, BACKEND)
    assert performed.reply == {"sessionId": "key"}
    assert bench.shown(performed) == [("agenda.update", {"eventId": "e1", "updateType": "DELETED", "session": SHOWN})]
    assert listed(bench) == []
    bench.ask("agenda.create", KEYNOTE, BACKEND)


@pytest.mark.parametrize("command", ["agenda.change", "agenda.delete"])
def test_an_unknown_session_is_not_found(bench: Bench, command: str) -> None:
    refusal = bench.refusal(command, {"sessionId": "nope"}, BACKEND)
    assert (refusal.message, refusal.status, refusal.code) == ("Session not found", 404, "not_found")


def test_only_backends_and_managers_write_it(bench: Bench) -> None:
    for command, data in (
        ("agenda.create", KEYNOTE),
        ("agenda.change", {"sessionId": "key"}),
        ("agenda.delete", {"sessionId": "key"}),
    ):
        assert bench.refusal(command, data, ANNA).status == 403


def test_participants_of_the_event_and_those_who_write_it_read_it(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    for who in (ANNA, BACKEND, MANAGER):
        assert bench.ask("agenda.read", {}, who).reply == {"eventId": "e1", "agenda": []}
    refusal = bench.refusal("agenda.read", {}, BEN)
    assert (refusal.message, refusal.status, refusal.code) == ("You do not have permission", 403, "forbidden")


def test_it_is_shown_in_the_order_of_time(bench: Bench) -> None:
    for id_, start, end in (("c", 11, 12), ("b", 9, 11), ("a", 9, 10)):
        times = {"startTime": f"2026-01-01T{start:02}:00:00Z", "endTime": f"2026-01-01T{end:02}:00:00Z"}
        bench.ask("agenda.create", {"id": id_, "title": id_, **times}, BACKEND)
    assert listed(bench) == ["a", "b", "c"]
    assert [item["id"] for item in bench.state.snapshot(ANNA)["agenda"]] == ["a", "b", "c"]
    bench.ask("agenda.change", {"sessionId": "c", "startTime": "2026-01-01T08:00:00Z"}, BACKEND)
    assert listed(bench) == ["c", "a", "b"]


def test_it_holds_so_many_sessions(bench: Bench) -> None:
    for number in range(AGENDA_SESSIONS_MAX):
        bench.ask("agenda.create", {**KEYNOTE, "id": str(number)}, BACKEND)
    refusal = bench.refusal("agenda.create", KEYNOTE, BACKEND)
    assert (refusal.message, refusal.status) == (f"An agenda has at most {AGENDA_SESSIONS_MAX} sessions", 409)
    bench.ask("agenda.delete", {"sessionId": "7"}, BACKEND)
    bench.ask("agenda.create", KEYNOTE, BACKEND)


def test_it_holds_so_many_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "AGENDA_BYTES_MAX", 10_000)
    long = "😀" * DESCRIPTION_CHARS_MAX
    bench.ask("agenda.create", {**KEYNOTE, "description": long}, BACKEND)
    refusal = bench.refusal("agenda.create", {**KEYNOTE, "id": "other", "description": long}, BACKEND)
    assert (refusal.status, refusal.code) == (409, "too_large")
    assert refusal.message.endswith("bytes, of at most 10000")
    put(bench, description=long[1:] + "x")
    put(bench, description=None)
    bench.ask("agenda.create", {**KEYNOTE, "id": "other", "description": long}, BACKEND)
    refusal = bench.refusal("agenda.change", {"sessionId": "key", "description": long}, BACKEND)
    assert refusal.code == "too_large"
    bench.ask("agenda.delete", {"sessionId": "other"}, BACKEND)
    bench.ask("agenda.delete", {"sessionId": "key"}, BACKEND)
    assert bench.feature(Agenda).size_bytes == 0


def test_all_of_it_fits_the_smallest_outbox() -> None:
    assert AGENDA_BYTES_MAX * 2 <= 524_288


def test_the_log_rebuilds_the_agenda(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    bench.ask("agenda.create", KEYNOTE, BACKEND)
    bench.ask("agenda.create", {**KEYNOTE, "id": "gone"}, BACKEND)
    put(bench, room="Hall 2")
    bench.ask("agenda.delete", {"sessionId": "gone"}, BACKEND)
    assert bench.reopened().features == bench.state.features
    assert bench.reopened().snapshot(ANNA) == bench.state.snapshot(ANNA)


async def test_a_planned_session_exists_and_belongs_to_the_event(autojump_clock: MockClock) -> None:
    async with open_hub(Events, Agenda, Sessions) as hub:
        await hub.do("event.create", who=MANAGER, door=Via.REST, room_id="e1")
        await hub.do("agenda.create", KEYNOTE, who=BACKEND, door=Via.REST, room_id="e1")
        session = await hub.do("session.read", who=MANAGER, door=Via.REST, room_id="key")
        assert (session["title"], session["eventId"]) == ("Keynote", "e1")
        event = await hub.do("event.read", who=MANAGER, door=Via.REST, room_id="e1")
        assert event["sessions"] == [{"id": "key", "title": "Keynote"}]


async def test_an_unknown_event_has_no_agenda(autojump_clock: MockClock) -> None:
    async with open_hub(Events, Agenda) as hub:
        for name, data in (("agenda.read", {}), ("agenda.create", KEYNOTE)):
            refusal = await (await hub.ask(name, data, who=BACKEND, door=Via.REST, room_id="e1")).refusal()
            assert (refusal.message, refusal.status) == ("Event not found", 404)
