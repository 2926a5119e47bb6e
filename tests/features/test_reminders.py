"""Reminders: at the right minutes, to the right people, never twice, also when the server was down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from livehub.config import load
from livehub.feature import JSON, After, Cancel, Effect, Tell, Via, iso, user
from livehub.features import reminders
from livehub.features.agenda import Agenda
from livehub.features.events import Events
from livehub.features.reminders import NotificationSettings, Reminders
from livehub.features.sessions import Sessions
from livehub.rooms.state import Performed
from livehub.stores.memory import open_memory
from tests.kit import ANNA, BEN, CARA, START_MS, Bench, Clock, Ears, HubUnderTest, Meter, ears, open_hub, person, settle

BACKEND = person("backend", "backend:publish", "sessions:manage")
MINUTE_MS = 60_000
START = START_MS + 60 * MINUTE_MS
"""When the session of these tests begins: an hour after the test does."""
FEATURES = (Events, Agenda, Reminders)


def session(start_ms: int = START, id_: str = "key") -> dict[str, JSON]:
    times = {"startTime": iso(start_ms), "endTime": iso(start_ms + 60 * MINUTE_MS)}
    return {"id": id_, "title": "Keynote", **times}


def moved(start_ms: int) -> dict[str, JSON]:
    return {"sessionId": "key", "startTime": iso(start_ms), "endTime": iso(start_ms + MINUTE_MS)}


def timer(start_ms: int, minutes: int) -> After:
    due = {"sessionId": "key", "startTime": iso(start_ms)}
    return After("reminder key", start_ms - minutes * MINUTE_MS, "reminder.due", due)


def wanted(start_ms: int = START) -> Tell:
    return Tell("session:key", "session.roster.wanted", {"eventId": "e1", "purpose": {"startTime": iso(start_ms)}})


def timers(performed: Performed) -> list[Effect]:
    return [effect for effect in performed.effects if isinstance(effect, After | Cancel)]


@pytest.fixture
def bench() -> Bench:
    bench = Bench(*FEATURES, room_id="e1")
    bench.ask("event.create", {}, BACKEND)
    return bench


def planned(bench: Bench, start_ms: int = START) -> Performed:
    return bench.ask("agenda.create", session(start_ms), BACKEND)


def ring(bench: Bench, at_ms: int, start_ms: int = START) -> Sequence[Effect]:
    """Let the timer ring at a time; what follows."""
    bench.now_ms = at_ms
    performed = bench.ask("reminder.due", {"sessionId": "key", "startTime": iso(start_ms)})
    assert performed.facts == []
    return performed.effects


def roster(bench: Bench, *people: str, start_ms: int | None = START, id_: str = "key") -> Performed:
    """Let the session answer."""
    purpose = {} if start_ms is None else {"startTime": iso(start_ms)}
    return bench.ask("event.roster", {"sessionId": id_, "userIds": list(people), "purpose": purpose})


def reminded(performed: Performed) -> list[tuple[int, tuple[str, ...]]]:
    """(startsIn, audiences) of each reminder."""
    return [
        (fact.data["reminder"]["startsIn"], fact.to)
        for fact in performed.facts
        if fact.kind == "notification.session_reminder"
    ]


def test_a_session_gets_the_timer_of_its_first_reminder(bench: Bench) -> None:
    assert timers(planned(bench)) == [timer(START, 15)]


@pytest.mark.parametrize(("minutes", "first"), [(16, 15), (15, 15), (14, 5), (5, 5), (2, 1), (1, 1)])
def test_only_reminders_still_to_come_are_set(bench: Bench, minutes: int, first: int) -> None:
    start_ms = START_MS + minutes * MINUTE_MS
    assert timers(planned(bench, start_ms)) == [timer(start_ms, first)]


def test_what_starts_at_once_has_no_timer(bench: Bench) -> None:
    assert timers(planned(bench, START_MS + MINUTE_MS - 1)) == [Cancel("reminder key")]


def test_the_timer_moves_with_the_start_and_only_with_it(bench: Bench) -> None:
    planned(bench)
    later = START + 30 * MINUTE_MS
    assert timers(bench.ask("agenda.change", moved(later), BACKEND)) == [timer(later, 15)]
    assert timers(bench.ask("agenda.change", {"sessionId": "key", "title": "Opening"}, BACKEND)) == []
    past = START_MS - 60 * MINUTE_MS
    assert timers(bench.ask("agenda.change", moved(past), BACKEND)) == [Cancel("reminder key")]


def test_the_timer_goes_with_the_session(bench: Bench) -> None:
    planned(bench)
    assert timers(bench.ask("agenda.delete", {"sessionId": "key"}, BACKEND)) == [Cancel("reminder key")]
    assert ring(bench, START - 15 * MINUTE_MS) == []
    assert roster(bench, "anna").facts[1:] == []


def test_ringing_asks_who_has_joined_and_sets_the_next(bench: Bench) -> None:
    planned(bench)
    assert ring(bench, START - 15 * MINUTE_MS) == [timer(START, 5), wanted()]
    roster(bench, "anna")
    assert ring(bench, START - 5 * MINUTE_MS) == [timer(START, 1), wanted()]
    roster(bench, "anna")
    assert ring(bench, START - MINUTE_MS) == [Cancel("reminder key"), wanted()]


def test_everybody_of_the_event_and_of_the_session_is_reminded_once(bench: Bench) -> None:
    planned(bench)
    for who in (CARA, ANNA):
        bench.ask("event.join", {}, who)
    roster(bench, "dora", start_ms=None, id_="another")
    ring(bench, START - 15 * MINUTE_MS)
    performed = roster(bench, "ben", "anna", "ben")
    assert reminded(performed) == [(15, (user("anna"), user("ben"), user("cara")))]
    assert bench.shown(performed, user("ben")) == [
        ("notification.session_reminder", {"sessionId": "key", "sessionTitle": "Keynote", "startsIn": 15})
    ]


def test_the_title_is_the_latest(bench: Bench) -> None:
    planned(bench)
    bench.ask("agenda.change", {"sessionId": "key", "title": "Opening"}, BACKEND)
    bench.now_ms = START - 15 * MINUTE_MS
    ((_, shown),) = bench.shown(roster(bench, "anna"), user("anna"))
    assert shown["sessionTitle"] == "Opening"


def test_nobody_is_reminded_twice(bench: Bench) -> None:
    planned(bench)
    ring(bench, START - 15 * MINUTE_MS)
    assert len(reminded(roster(bench, "anna"))) == 1
    assert reminded(roster(bench, "anna", "ben")) == []
    assert ring(bench, START - 15 * MINUTE_MS) == [timer(START, 5)]
    bench.ask("agenda.change", moved(START + MINUTE_MS), BACKEND)
    bench.ask("agenda.change", moved(START), BACKEND)
    assert reminded(roster(bench, "anna")) == []
    bench.ask("agenda.delete", {"sessionId": "key"}, BACKEND)
    planned(bench)
    assert reminded(roster(bench, "anna")) == []


def test_after_a_move_people_are_reminded_anew(bench: Bench) -> None:
    planned(bench)
    ring(bench, START - 15 * MINUTE_MS)
    assert len(reminded(roster(bench, "anna"))) == 1
    later = START + 30 * MINUTE_MS
    bench.ask("agenda.change", moved(later), BACKEND)
    assert reminded(roster(bench, "anna")) == []  # an answer to the old question
    assert ring(bench, later - 15 * MINUTE_MS, later) == [timer(later, 5), wanted(later)]
    assert reminded(roster(bench, "anna", start_ms=later)) == [(15, (user("anna"),))]


def test_a_timer_that_rang_for_the_old_start_is_set_for_the_new_one(bench: Bench) -> None:
    """Ringing uses up the row that the move had just set, which has the same key."""
    planned(bench)
    later = START + 30 * MINUTE_MS
    bench.ask("agenda.change", moved(later), BACKEND)
    assert ring(bench, START - 15 * MINUTE_MS, START) == [timer(later, 15)]


def test_questions_about_the_old_start_remind_nobody_of_the_new_one(bench: Bench) -> None:
    """Ten minutes before it, nothing is due: whoever was moved there was told of the move."""
    planned(bench)
    bench.now_ms = START - 15 * MINUTE_MS
    soon = bench.now_ms + 10 * MINUTE_MS
    assert timers(bench.ask("agenda.change", moved(soon), BACKEND)) == [timer(soon, 5)]
    assert ring(bench, bench.now_ms, START) == [timer(soon, 5)]
    assert reminded(roster(bench, "anna", start_ms=START)) == []


@pytest.mark.parametrize(
    ("left_ms", "starts_in", "following"),
    [
        (15 * MINUTE_MS - 1, 15, 5),
        (12 * MINUTE_MS + 1, 13, 5),
        (12 * MINUTE_MS, 12, 5),
        (5 * MINUTE_MS + 1, 6, 5),
        (5 * MINUTE_MS, 5, 1),
        (3 * MINUTE_MS, 3, 1),
        (1, 1, None),
    ],
)
def test_a_late_ring_tells_what_is_left(bench: Bench, left_ms: int, starts_in: int, following: int | None) -> None:
    planned(bench)
    after = Cancel("reminder key") if following is None else timer(START, following)
    assert ring(bench, START - left_ms) == [after, wanted()]
    assert [minutes for minutes, _ in reminded(roster(bench, "anna"))] == [starts_in]


def test_of_several_missed_reminders_only_the_nearest_is_sent(bench: Bench) -> None:
    planned(bench)
    ring(bench, START - 4 * MINUTE_MS)
    assert len(reminded(roster(bench, "anna"))) == 1
    assert [minutes for *_, minutes in bench.feature(Reminders).reminded] == [5]
    assert ring(bench, START - 4 * MINUTE_MS) == [timer(START, 1)]


@pytest.mark.parametrize("late_ms", [0, 1, 60 * MINUTE_MS])
def test_nobody_is_reminded_of_what_has_started(bench: Bench, late_ms: int) -> None:
    planned(bench)
    assert ring(bench, START + late_ms) == [Cancel("reminder key")]
    assert reminded(roster(bench, "anna")) == []


def test_a_ring_before_its_time_is_set_again(bench: Bench) -> None:
    """The wall clock can be set back."""
    planned(bench)
    assert ring(bench, START - 16 * MINUTE_MS) == [timer(START, 15)]
    assert reminded(roster(bench, "anna")) == []


def test_without_anybody_it_is_still_done(bench: Bench) -> None:
    planned(bench)
    ring(bench, START - 15 * MINUTE_MS)
    assert reminded(roster(bench)) == [(15, ())]
    assert reminded(roster(bench, "anna")) == []


def test_what_sessions_tell_is_news_once(bench: Bench) -> None:
    bench.ask("event.join", {}, ANNA)
    first = roster(bench, "anna", "ben", start_ms=None)
    assert [(fact.kind, fact.data) for fact in first.facts] == [("event.roster.told", {"userIds": ["ben"]})]
    assert roster(bench, "ben", "anna", start_ms=None).facts == []
    bench.ask("event.join", {}, BEN)
    assert roster(bench, "ben", start_ms=None).facts == []
    assert (bench.feature(Reminders).participants, bench.feature(Reminders).roster) == ({"anna", "ben"}, set())


def test_the_minutes_are_a_setting() -> None:
    bench = Bench(*FEATURES, room_id="e1", settings={"notifications": NotificationSettings((30, 2))})
    bench.ask("event.create", {}, BACKEND)
    assert timers(planned(bench)) == [timer(START, 30)]
    assert ring(bench, START - 30 * MINUTE_MS) == [timer(START, 2), wanted()]


def test_no_minutes_are_no_reminders() -> None:
    bench = Bench(*FEATURES, room_id="e1", settings={"notifications": NotificationSettings(())})
    bench.ask("event.create", {}, BACKEND)
    assert timers(planned(bench)) == [Cancel("reminder key")]
    assert ring(bench, START - MINUTE_MS) == [Cancel("reminder key")]


def test_the_minutes_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "livehub.toml"
    secret = "s" * 32
    file.write_text(f'[auth]\nsecret = "{secret}"\n[notifications]\nreminder_minutes = [10, 2]\n')
    assert load(file, environ={}).features["notifications"].reminder_minutes == (10, 2)


def test_it_remembers_so_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "REMINDED_MAX", 2)
    planned(bench)
    for minutes in (15, 5, 1):
        bench.now_ms = START - minutes * MINUTE_MS
        roster(bench, "anna")
    assert [minutes for *_, minutes in bench.feature(Reminders).reminded] == [5, 1]


def test_the_log_rebuilds_who_was_reminded(bench: Bench) -> None:
    planned(bench)
    bench.ask("event.join", {}, ANNA)
    ring(bench, START - 15 * MINUTE_MS)
    roster(bench, "ben", "anna")
    bench.ask("event.join", {}, BEN)
    assert bench.reopened().features == bench.state.features


async def connected(hub: HubUnderTest, *clients: Ears) -> None:
    for client in clients:
        hub.fanout.subscribe(client.peer, [client.peer.user_audience])
    await settle()


async def test_people_of_event_and_session_hear_every_reminder(autojump_clock: MockClock) -> None:
    async with open_hub(*FEATURES, Sessions, watchdog_s=8_000) as hub:
        anna, ben, cara = ears(ANNA), ears(BEN), ears(CARA)
        await connected(hub, anna, ben, cara)
        await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
        await hub.do("agenda.create", session(), who=BACKEND, door=Via.REST, room_id="e1")
        await hub.do("event.join", {"eventId": "e1"}, anna)
        await hub.do("session.join", {"sessionId": "key"}, ben)
        await trio.sleep(2 * 3_600)
        for client, minutes in ((anna, [15, 5, 1]), (ben, [15, 5, 1]), (cara, [])):
            told = client.events("notification.session_reminder")
            assert [reminder["startsIn"] for reminder in told] == minutes


async def test_a_server_that_was_down_reminds_of_what_is_left(autojump_clock: MockClock) -> None:
    async with open_memory(meter=Meter()) as store:
        async with open_hub(*FEATURES, Sessions, store=store) as hub:
            await hub.do("event.create", who=BACKEND, door=Via.REST, room_id="e1")
            await hub.do("agenda.create", session(), who=BACKEND, door=Via.REST, room_id="e1")
            await hub.do("event.join", {"eventId": "e1"}, ears(ANNA))
            await trio.sleep(46 * 60)
        down = Clock(set_ms=START - 3 * MINUTE_MS - 500)
        async with open_hub(*FEATURES, Sessions, store=store, clock=down, watchdog_s=8_000) as hub:
            anna = ears(ANNA)
            await connected(hub, anna)
            await trio.sleep(3_600)
            told = anna.events("notification.session_reminder")
            assert [reminder["startsIn"] for reminder in told] == [4, 1]
        kinds = [record.kind for record in await store.read("event:e1", 0, 1_000)]
        assert kinds.count("notification.session_reminder") == 3
