"""Content: what contract 1 (§12) and the contracts' point 24 promise, asked as plain functions."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON, Person, Via
from livehub.features.content import (
    DROP_DESCRIPTION_CHARS_MAX,
    DROP_TITLE_CHARS_MAX,
    SLIDE_URLS_BYTES_MAX,
    SLIDES_MAX,
    TARGET_SLIDE_MAX,
    URL_CHARS_MAX,
    Content,
)
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed
from tests.kit import ANNA, BEN, Bench, ears, open_hub, person, settle

SPEAKER = person("speaker", "content:manage")
BACKEND = person("backend", "backend:publish")
URLS = [f"https://cdn.test/{number}.png" for number in range(5)]


@pytest.fixture
def bench() -> Bench:
    return Bench(Content)


@pytest.fixture
def running() -> Bench:
    """A session whose five slides are shown from the first."""
    bench = Bench(Content)
    report(bench)
    control(bench, "START")
    return bench


def report(bench: Bench, status: str = "ready", urls: list[str] | None = None, **more: JSON) -> Performed:
    """Report on a presentation, by default that its five slides are ready."""
    data: dict[str, JSON] = {"status": status, **more}
    if status == "ready" or urls is not None:
        data["slideUrls"] = URLS if urls is None else urls
    return bench.ask("presentation.set", data, BACKEND)


def control(bench: Bench, action: str, target: int | None = None) -> Performed:
    data: dict[str, JSON] = {"action": action}
    if target is not None:
        data["targetSlide"] = target
    return bench.ask("content.control", data, SPEAKER)


def slide(bench: Bench) -> tuple[int, int, bool]:
    """Where the presentation stands, as the view shows it."""
    shown = bench.view("slide.update")
    assert list(shown) == ["currentSlide", "totalSlides", "isActive"]
    return shown["currentSlide"], shown["totalSlides"], shown["isActive"]


def kinds(performed: Performed) -> list[str]:
    return [fact.kind for fact in performed.facts]


def state_of(bench: Bench) -> JSON:
    return bench.ask("content.request_state", {}, ANNA).reply["state"]


def test_start_shows_the_first_slide(bench: Bench) -> None:
    report(bench)
    assert slide(bench) == (0, 5, False)
    performed = control(bench, "START")
    assert performed.reply == {"newState": {"currentSlide": 0, "totalSlides": 5, "isActive": True}}
    assert kinds(performed) == ["content.slide.changed"]
    assert slide(bench) == (0, 5, True)


@pytest.mark.parametrize(("target", "begins"), [(0, 0), (3, 3), (99, 4), (-1, 0)])
def test_start_may_begin_elsewhere(bench: Bench, target: int, begins: int) -> None:
    report(bench)
    control(bench, "START", target)
    assert slide(bench) == (begins, 5, True)


def test_start_of_what_runs_changes_nothing(running: Bench) -> None:
    control(running, "GO_TO_SLIDE", 3)
    performed = control(running, "START", 1)
    assert performed.facts == []
    assert performed.reply == {"newState": {"currentSlide": 3, "totalSlides": 5, "isActive": True}}


@pytest.mark.parametrize("reports", [[], ["processing"], ["failed"], ["ready"]])
def test_nothing_starts_without_slides(bench: Bench, reports: list[str]) -> None:
    for status in reports:
        report(bench, status, [])
    refusal = bench.refusal("content.control", {"action": "START"}, SPEAKER)
    assert refusal.message == "There are no slides to show: the presentation must be ready first"
    assert (refusal.status, refusal.code) == (409, "conflict")


def test_a_presentation_that_was_stopped_starts_from_the_beginning(running: Bench) -> None:
    control(running, "GO_TO_SLIDE", 3)
    control(running, "STOP")
    control(running, "START")
    assert slide(running) == (0, 5, True)


def test_stop_keeps_the_slide(running: Bench) -> None:
    control(running, "GO_TO_SLIDE", 3)
    performed = control(running, "STOP")
    assert performed.reply == {"newState": {"currentSlide": 3, "totalSlides": 5, "isActive": False}}
    assert slide(running) == (3, 5, False)


@pytest.mark.parametrize(
    ("action", "target", "begins", "ends"),
    [
        ("NEXT_SLIDE", None, 0, 1),
        ("NEXT_SLIDE", None, 3, 4),
        ("PREV_SLIDE", None, 4, 3),
        ("GO_TO_SLIDE", 3, 0, 3),
        ("GO_TO_SLIDE", 99, 0, 4),
        ("GO_TO_SLIDE", TARGET_SLIDE_MAX, 0, 4),
        ("GO_TO_SLIDE", -7, 2, 0),
        ("NEXT_SLIDE", 0, 2, 3),
        ("PREV_SLIDE", 4, 2, 1),
    ],
)
def test_where_a_move_ends(bench: Bench, action: str, target: int | None, begins: int, ends: int) -> None:
    report(bench)
    control(bench, "START", begins)
    performed = control(bench, action, target)
    assert performed.reply == {"newState": {"currentSlide": ends, "totalSlides": 5, "isActive": True}}
    assert kinds(performed) == ["content.slide.changed"]
    assert slide(bench) == (ends, 5, True)


@pytest.mark.parametrize(
    ("action", "target", "at"), [("NEXT_SLIDE", None, 4), ("PREV_SLIDE", None, 0), ("GO_TO_SLIDE", 2, 2)]
)
def test_what_moves_nothing_is_no_news(bench: Bench, action: str, target: int | None, at: int) -> None:
    report(bench)
    control(bench, "START", at)
    performed = control(bench, action, target)
    assert performed.facts == []
    assert performed.reply == {"newState": {"currentSlide": at, "totalSlides": 5, "isActive": True}}


@pytest.mark.parametrize("action", ["NEXT_SLIDE", "PREV_SLIDE", "GO_TO_SLIDE", "STOP"])
def test_without_a_running_presentation_nothing_moves(bench: Bench, action: str) -> None:
    for prepare in (lambda: None, lambda: report(bench), lambda: (control(bench, "START"), control(bench, "STOP"))):
        prepare()
        refusal = bench.refusal("content.control", {"action": action, "targetSlide": 1}, SPEAKER)
        assert (refusal.message, refusal.status) == ("No active presentation", 409)


def test_go_to_slide_needs_a_target(running: Bench) -> None:
    for data in ({"action": "GO_TO_SLIDE"}, {"action": "GO_TO_SLIDE", "targetSlide": None}):
        refusal = running.refusal("content.control", data, SPEAKER)
        assert (refusal.message, refusal.status) == ("targetSlide is required for GO_TO_SLIDE", 400)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "action is required"),
        ({"action": "JUMP"}, "action must be one of NEXT_SLIDE, PREV_SLIDE, GO_TO_SLIDE, START, STOP"),
        ({"action": "GO_TO_SLIDE", "targetSlide": "3"}, "targetSlide must be a whole number"),
        ({"action": "GO_TO_SLIDE", "targetSlide": 1.5}, "targetSlide must be a whole number"),
        ({"action": "GO_TO_SLIDE", "targetSlide": 10**9}, "targetSlide must be from -1000000 to 1000000"),
        ({"action": "STOP", "slide": 1}, "'slide' is not a field here; allowed: action, targetSlide"),
    ],
)
def test_a_wrong_control_is_told_what_is_wrong(running: Bench, data: JSON, told: str) -> None:
    refusal = running.refusal("content.control", data, SPEAKER)
    assert (refusal.message, refusal.status) == (told, 400)


def test_only_who_manages_content_controls_and_drops(running: Bench) -> None:
    drop = {"type": "LINK", "title": "x", "url": "https://x.test"}
    for command, data in (("content.control", {"action": "STOP"}), ("content.drop", drop)):
        refusal = running.refusal(command, data, ANNA)
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)


def test_the_state_has_the_slides(running: Bench) -> None:
    control(running, "NEXT_SLIDE")
    expected = {"currentSlide": 1, "totalSlides": 5, "isActive": True, "slideUrls": URLS}
    assert state_of(running) == expected
    assert running.state.snapshot(ANNA) == {"slide": expected}


@pytest.mark.parametrize("reports", [[], ["processing"], ["processing", "failed"]])
def test_without_a_presentation_there_is_no_state(bench: Bench, reports: list[str]) -> None:
    for status in reports:
        report(bench, status)
    assert state_of(bench) is None
    assert bench.state.snapshot(ANNA) == {"slide": None}


def test_a_drop_is_shown_to_everybody_in_full(bench: Bench) -> None:
    data = {
        "type": "FILE",
        "title": "Slides <b>",
        "url": "https://example.test/slides.pdf?a=1#p",
        "description": "All of them",
    }
    performed = bench.ask("content.drop", data, SPEAKER)
    assert performed.reply == {"sessionId": "s1"}
    by = {"id": "speaker", "name": "Speaker Tester"}
    shown = {**data, "droppedBy": by, "timestamp": "2026-01-01T00:00:00.000Z"}
    assert bench.shown(performed) == [("content.dropped", shown)]


def test_a_drop_without_description_has_none(bench: Bench) -> None:
    for more in ({}, {"description": None}):
        performed = bench.ask("content.drop", {"type": "LINK", "title": "x", "url": "http://x.test", **more}, SPEAKER)
        ((_, shown),) = bench.shown(performed)
        assert "description" not in shown


def test_who_has_no_name_drops_under_the_id(bench: Bench) -> None:
    nameless = Person("u7", permissions=frozenset(["content:manage"]))
    performed = bench.ask("content.drop", {"type": "LINK", "title": "x", "url": "http://x.test"}, nameless)
    ((_, shown),) = bench.shown(performed)
    assert shown["droppedBy"] == {"id": "u7", "name": "u7"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"type": "VIDEO"}, "type must be one of LINK, FILE, RESOURCE"),
        ({"title": " "}, "title must not be empty"),
        ({"title": "x" * (DROP_TITLE_CHARS_MAX + 1)}, "title must be at most 200 characters, not 201"),
        ({"url": "javascript:alert(1)"}, "url must be an http or https URL"),
        ({"url": "ftp://x.test/a"}, "url must be an http or https URL"),
        ({"url": "/slides.pdf"}, "url must be an http or https URL"),
        ({"url": "https://" + "x" * URL_CHARS_MAX}, "url must be at most 2000 characters, not 2008"),
        (
            {"description": "x" * (DROP_DESCRIPTION_CHARS_MAX + 1)},
            "description must be at most 1000 characters, not 1001",
        ),
    ],
)
def test_a_wrong_drop_is_told_what_is_wrong(bench: Bench, wrong: JSON, told: str) -> None:
    data = {"type": "LINK", "title": "x", "url": "https://x.test", **wrong}
    refusal = bench.refusal("content.drop", data, SPEAKER)
    assert (refusal.message, refusal.status) == (told, 400)


def told_to(performed: Performed, bench: Bench) -> list[tuple[tuple[str, ...], JSON]]:
    """Who is told which status."""
    return [
        (fact.to, bench.shown(performed, fact.to[0])[0])
        for fact in performed.facts
        if fact.kind == "content.presentation.reported"
    ]


def test_a_status_is_told_to_the_uploader_alone(bench: Bench) -> None:
    for status in ("processing", "failed", "processing", "ready"):
        performed = report(bench, status, uploaderId="speaker")
        expected = ("presentation.status.update", {"sessionId": "s1", "status": status})
        assert told_to(performed, bench) == [(("user:speaker",), expected)]
        assert bench.shown(performed) == []


def test_without_an_uploader_the_asker_is_told(bench: Bench) -> None:
    ((to, _),) = told_to(report(bench), bench)
    assert to == ("user:backend",)


def test_the_same_report_again_is_no_news(bench: Bench) -> None:
    for status in ("processing", "ready", "failed"):
        first = report(bench, status, uploaderId="speaker")
        again = report(bench, status, uploaderId="speaker")
        assert first.facts
        assert again.facts == []
        assert again.reply == first.reply
        assert report(bench, status, uploaderId="anna").facts, "another uploader is told"


def test_other_slides_are_news_though_the_status_is_the_same(bench: Bench) -> None:
    report(bench)
    performed = report(bench, urls=URLS[:2])
    assert kinds(performed) == ["content.presentation.reported", "content.slide.changed"]
    assert state_of(bench)["slideUrls"] == URLS[:2]


def test_a_report_answers_with_the_presentation(bench: Bench) -> None:
    assert report(bench, "processing").reply == {
        "sessionId": "s1", "status": "processing", "currentSlide": 0, "totalSlides": 0, "isActive": False,
        "slideUrls": [],
    }  # fmt: skip
    expected = {
        "sessionId": "s1", "status": "ready", "currentSlide": 0, "totalSlides": 5, "isActive": False,
        "slideUrls": URLS,
    }  # fmt: skip
    assert report(bench).reply == expected
    assert bench.ask("presentation.read", {}, ANNA).reply == expected


def test_only_ready_brings_slides(running: Bench) -> None:
    control(running, "GO_TO_SLIDE", 3)
    for status in ("processing", "failed"):
        performed = report(running, status, ["https://cdn.test/other.png"])
        assert kinds(performed) == ["content.presentation.reported"]
        assert slide(running) == (3, 5, True)
        assert running.ask("presentation.read", {}, ANNA).reply["slideUrls"] == URLS


@pytest.mark.parametrize(
    ("urls", "shown"), [(URLS[:2], (1, 2, True)), ([*URLS, *URLS], (3, 10, True)), ([], (0, 0, False))]
)
def test_slides_that_are_replaced_while_they_are_shown(
    running: Bench, urls: list[str], shown: tuple[int, int, bool]
) -> None:
    control(running, "GO_TO_SLIDE", 3)
    reply = report(running, urls=urls).reply
    assert slide(running) == shown
    assert (reply["currentSlide"], reply["totalSlides"], reply["isActive"]) == shown


def test_ready_needs_slides_to_be_named(bench: Bench) -> None:
    refusal = bench.refusal("presentation.set", {"status": "ready"}, BACKEND)
    assert (refusal.message, refusal.status) == ("slideUrls is required when the status is ready", 400)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"status": "done"}, "status must be one of processing, ready, failed"),
        ({"slideUrls": ["https://x.test/1", "x"]}, "slideUrls[1] must be an http or https URL"),
        ({"slideUrls": ["http://x.test"] * (SLIDES_MAX + 1)}, "slideUrls must have 0 to 1000 items, not 1001"),
        ({"uploaderId": "a b"}, "uploaderId must be 1 to 128 characters of A-Z a-z 0-9 _ . : -"),
    ],
)
def test_a_wrong_report_is_told_what_is_wrong(bench: Bench, wrong: JSON, told: str) -> None:
    refusal = bench.refusal("presentation.set", {"status": "ready", "slideUrls": [], **wrong}, BACKEND)
    assert (refusal.message, refusal.status) == (told, 400)


def test_the_addresses_of_all_slides_have_a_size(bench: Bench) -> None:
    each = SLIDE_URLS_BYTES_MAX // 256
    url = "https://x.test/".ljust(each, "x")
    report(bench, urls=[url] * 256)
    refusal = bench.refusal("presentation.set", {"status": "ready", "slideUrls": [url] * 255 + [url + "é"]}, BACKEND)
    assert refusal.message == "slideUrls must be at most 262144 bytes in all, not 262146"


def test_a_thousand_slides_are_fine(bench: Bench) -> None:
    report(bench, urls=["https://x.test/1"] * SLIDES_MAX)
    control(bench, "START", SLIDES_MAX)
    assert slide(bench) == (SLIDES_MAX - 1, SLIDES_MAX, True)


def test_who_may_publish_a_presentation(bench: Bench) -> None:
    for who in (BACKEND, SPEAKER):
        bench.ask("presentation.set", {"status": "ready", "slideUrls": URLS}, who)
        bench.ask("presentation.remove", {}, who)
    for command, data in (("presentation.set", {"status": "failed"}), ("presentation.remove", {})):
        assert bench.refusal(command, data, ANNA).message == "You do not have permission"


def test_a_removed_presentation_stops_and_is_gone(running: Bench) -> None:
    control(running, "NEXT_SLIDE")
    assert running.ask("presentation.remove", {}, SPEAKER).reply == {"sessionId": "s1"}
    assert slide(running) == (0, 0, False)
    assert state_of(running) is None
    for command, who in (("presentation.read", ANNA), ("presentation.remove", SPEAKER)):
        refusal = running.refusal(command, {}, who)
        assert (refusal.message, refusal.status) == ("Presentation not found", 404)
    assert running.refusal("content.control", {"action": "STOP"}, SPEAKER).message == "No active presentation"
    report(running)
    assert slide(running) == (0, 5, False)


def test_a_presentation_that_was_never_ready_is_removed_without_a_slide_update(bench: Bench) -> None:
    report(bench, "processing")
    assert kinds(bench.ask("presentation.remove", {}, SPEAKER)) == ["content.presentation.removed"]


def test_the_log_rebuilds_the_presentation(running: Bench) -> None:
    control(running, "GO_TO_SLIDE", 3)
    report(running, urls=URLS[:3], uploaderId="speaker")
    report(running, "processing")
    assert running.reopened().features == running.state.features
    running.ask("presentation.remove", {}, SPEAKER)
    assert running.reopened().features == running.state.features


async def test_everybody_follows_and_only_the_uploader_is_told(autojump_clock: MockClock) -> None:
    async with open_hub(Sessions, Content, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        speaker, anna = ears(SPEAKER), ears(ANNA, sessionId="s1")
        backend: dict[str, Any] = {"who": BACKEND, "door": Via.REST, "room_id": "s1"}
        await hub.do("session.join", {"sessionId": "s1"}, speaker)
        hub.fanout.subscribe(speaker.peer, (speaker.peer.user_audience,))
        hub.fanout.subscribe(anna.peer, (anna.peer.user_audience,))
        await hub.do("session.join", {}, anna)
        await hub.do("presentation.set", {"status": "ready", "slideUrls": URLS, "uploaderId": "speaker"}, **backend)
        assert speaker.events("presentation.status.update") == [{"sessionId": "s1", "status": "ready"}]
        assert anna.events("presentation.status.update") == []
        assert await hub.do("content.request_state", {"sessionId": "s1"}, anna) == {
            "state": {"currentSlide": 0, "totalSlides": 5, "isActive": False, "slideUrls": URLS}
        }
        for action in ("START", "NEXT_SLIDE", "NEXT_SLIDE"):
            await hub.do("content.control", {"sessionId": "s1", "action": action}, speaker)
        await trio.sleep(0.9)
        await settle()
        assert anna.events("slide.update")[-1] == {"currentSlide": 2, "totalSlides": 5, "isActive": True}
        late = ears(BEN)
        await hub.do("session.join", {"sessionId": "s1"}, late)
        assert late.events("slide.update") == [{"currentSlide": 2, "totalSlides": 5, "isActive": True}]


async def test_who_has_not_joined_neither_controls_nor_asks(autojump_clock: MockClock) -> None:
    async with open_hub(Sessions, Content, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        await hub.do("session.join", {"sessionId": "s1"}, ears(ANNA))
        speaker = ears(SPEAKER, sid="2")
        for command, data in (("content.control", {"action": "STOP"}), ("content.request_state", {})):
            refusal = await (await hub.ask(command, {"sessionId": "s1", **data}, speaker)).refusal()
            assert (refusal.message, refusal.status) == ("You must join the session first", 403)
        stranger: dict[str, Any] = {"who": BEN, "door": Via.REST, "room_id": "s1"}
        refusal = await (await hub.ask("presentation.read", {}, **stranger)).refusal()
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)
