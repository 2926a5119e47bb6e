"""Contract 1, §12: slides that a session follows, and links dropped to everybody in it (contracts, point 24)."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.likeness import A_TIME
from tests.endtoend.node import Client

FORBIDDEN = (403, "You do not have permission")
NOT_ACTIVE = (409, "No active presentation")
URLS = [f"https://cdn.example.com/slide-{n}.png" for n in range(3)]


def state(current: int, *, active: bool = True, total: int = len(URLS)) -> dict[str, Any]:
    """`SlideState`."""
    return {"currentSlide": current, "totalSlides": total, "isActive": active}


def slide(cast: Cast, shown: dict[str, Any]) -> Line:
    """Where the presentation stands, to everybody in the session."""
    return Line(cast.seated, "slide.update", shown)


def status(cast: Cast, uploader: Client, status: str) -> Line:
    """What became of an upload, on every device of who sent it."""
    return Line(cast.devices(uploader), "presentation.status.update", {"sessionId": cast.session, "status": status})


async def ready(cast: Cast) -> None:
    """Give the session a presentation, uploaded by the speaker."""
    told = {"status": "ready", "slideUrls": URLS, "uploaderId": cast.id(cast.speaker)}
    await cast.rest("PUT", f"/sessions/{cast.session}/presentation", told)
    await cast.hears(status(cast, cast.speaker, "ready"), slide(cast, state(0, active=False)))


async def test_the_uploader_hears_what_became_of_the_upload(cast: Cast) -> None:
    path, uploader = f"/sessions/{cast.session}/presentation", {"uploaderId": cast.id(cast.ada)}
    for who in (cast.ada, cast.bob, cast.moderator):
        await cast.rest_refuses("PUT", path, {"status": "processing"}, *FORBIDDEN, who=who)
    for bad, named in (
        ({"status": "done"}, "status"),
        ({"status": "ready"}, "slideUrls"),
        ({"status": "ready", "slideUrls": ["javascript:alert(1)"]}, "slideUrls"),
    ):
        refused = await cast.rest("PUT", path, {**uploader, **bad}, status=400)
        assert named in refused["error"]["message"], refused
    await cast.hears()
    shown = {"sessionId": cast.session, **state(0, active=False, total=0), "slideUrls": []}
    for told in ("processing", "failed", "processing"):
        answer = await cast.rest("PUT", path, {**uploader, "status": told})
        assert answer == {"success": True, **shown, "status": told}
        await cast.hears(status(cast, cast.ada, told))
    await cast.rest("PUT", path, {**uploader, "status": "ready", "slideUrls": URLS})
    await cast.hears(status(cast, cast.ada, "ready"), slide(cast, state(0, active=False)))
    await cast.rest("PUT", path, {"status": "ready", "slideUrls": URLS[:1]}, who=cast.speaker)
    await cast.hears(status(cast, cast.speaker, "ready"), slide(cast, state(0, active=False, total=1)))


async def test_a_speaker_moves_the_slides_of_everybody(cast: Cast) -> None:
    async def controls(who: Client, action: str, shown: dict[str, Any], *, news: bool = True, **more: int) -> None:
        wanted = {"sessionId": cast.session, "action": action, **more}
        await cast.asks(who, "content.control", wanted, newState=shown)
        await cast.hears(*([slide(cast, shown)] if news else []))

    no_slides = "There are no slides to show: the presentation must be ready first"
    await cast.refuses(cast.speaker, "content.control", {"action": "START"}, 409, no_slides)
    await ready(cast)
    for action in ("NEXT_SLIDE", "PREV_SLIDE", "STOP"):
        await cast.refuses(cast.speaker, "content.control", {"action": action}, *NOT_ACTIVE)
    await cast.refuses(cast.speaker, "content.control", {"action": "GO_TO_SLIDE", "targetSlide": 1}, *NOT_ACTIVE)
    for who in (cast.ada, cast.bob, cast.moderator):
        await cast.refuses(who, "content.control", {"action": "START"}, *FORBIDDEN)
    await cast.hears()
    await controls(cast.speaker, "START", state(0))
    await controls(cast.owner, "NEXT_SLIDE", state(1))
    await controls(cast.speaker, "GO_TO_SLIDE", state(2), targetSlide=99)  # clamped at both ends
    await controls(cast.speaker, "NEXT_SLIDE", state(2), news=False)
    await controls(cast.speaker, "GO_TO_SLIDE", state(0), targetSlide=-1)
    await controls(cast.speaker, "PREV_SLIDE", state(0), news=False)
    await controls(cast.speaker, "GO_TO_SLIDE", state(2), targetSlide=2)
    await controls(cast.speaker, "PREV_SLIDE", state(1))
    without_target = "targetSlide is required for GO_TO_SLIDE"
    await cast.refuses(cast.speaker, "content.control", {"action": "GO_TO_SLIDE"}, 400, without_target)
    await cast.does(cast.speaker, "content.control", {"action": "NEXT_SLIDE"}, newState=state(2))
    await cast.hears(slide(cast, state(2)))
    await controls(cast.speaker, "STOP", state(2, active=False))
    await cast.refuses(cast.speaker, "content.control", {"action": "STOP"}, *NOT_ACTIVE)
    await cast.refuses(cast.elsewhere, "content.control", {"action": "START"}, 409, no_slides)
    await cast.hears()


async def test_whoever_comes_late_asks_for_the_state(cast: Cast) -> None:
    naming = {"sessionId": cast.session}
    await cast.asks(cast.ada, "content.request_state", naming, state=None)
    await ready(cast)
    await cast.asks(cast.speaker, "content.control", {**naming, "action": "START", "targetSlide": 1}, newState=state(1))
    await cast.hears(slide(cast, state(1)))
    for who in cast.seated:
        await cast.asks(who, "content.request_state", naming, state={**state(1), "slideUrls": URLS})
    await cast.does(cast.bob, "content.request_state", {}, state={**state(1), "slideUrls": URLS})
    await cast.asks(cast.elsewhere, "content.request_state", None, state=None)
    await cast.hears()
    await cast.rest("DELETE", f"/sessions/{cast.session}/presentation")
    await cast.hears(slide(cast, state(0, active=False, total=0)))
    await cast.asks(cast.ada, "content.request_state", naming, state=None)
    await cast.refuses(cast.speaker, "content.control", {"action": "NEXT_SLIDE"}, *NOT_ACTIVE)


async def test_a_link_is_dropped_to_everybody_in_the_session(cast: Cast) -> None:
    dropped = {"type": "LINK", "title": "Presentation Slides", "url": "https://example.com/slides.pdf"}
    for who in (cast.ada, cast.bob, cast.moderator):
        await cast.refuses(who, "content.drop", dropped, *FORBIDDEN)
    await cast.hears()
    by = {"droppedBy": {"id": cast.id(cast.speaker), "name": "Speaker Stage"}, "timestamp": A_TIME}
    await cast.asks(cast.speaker, "content.drop", dropped, sessionId=cast.session)
    await cast.hears(Line(cast.seated, "content.dropped", {**dropped, **by}))
    for kind in ("FILE", "RESOURCE"):
        more = {**dropped, "type": kind, "description": "Download the full slides here"}
        await cast.does(cast.speaker, "content.drop", more, sessionId=cast.session)
        await cast.hears(Line(cast.seated, "content.dropped", {**more, **by}))
