"""Content: the slides that a session follows, and links dropped to everybody in it (contract 1, §12).

livehub keeps where the presentation stands and the addresses of its slides, never the slides. A backend that converts
an upload reports on it over REST; when it is `ready`, its slides are the session's. Where the presentation stands is a
view: who pages quickly shows the audience the last slide, not every one on the way.

Slides count from 0. Paging past an end stays there, and what moves nothing is no news (contracts, point 24). Slides
that are replaced while they are shown go on being shown, from the last one if there are fewer now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NotRequired, TypeAlias, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Items,
    Key,
    Outcome,
    OutsideId,
    Person,
    Refused,
    Text,
    Url,
    Whole,
    applies,
    changing,
    command,
    payload,
    reading,
    user,
    view,
)

SLIDES_MAX = 1_000
SLIDE_URLS_BYTES_MAX = 262_144
"""Of all addresses together: every snapshot carries them, and has to fit into the smallest outbox (512 KiB)."""
TARGET_SLIDE_MAX = 1_000_000
"""Targets beyond the ends are clamped, so this only keeps numbers whole in every client."""
URL_CHARS_MAX = 2_000
DROP_TITLE_CHARS_MAX = 200
DROP_DESCRIPTION_CHARS_MAX = 1_000
PUBLISHERS = ("backend:publish", "content:manage")

Action: TypeAlias = Literal["NEXT_SLIDE", "PREV_SLIDE", "GO_TO_SLIDE", "START", "STOP"]
Status: TypeAlias = Literal["processing", "ready", "failed"]


@payload
class ControlContent:
    """Contract 1, §12.3. `targetSlide` is for GO_TO_SLIDE, and where START begins; other actions ignore it."""

    action: Action
    target_slide: Annotated[int, Whole(-TARGET_SLIDE_MAX, TARGET_SLIDE_MAX)] | None = None


@payload
class DropContent:
    """Contract 1, §12.6."""

    type: Literal["LINK", "FILE", "RESOURCE"]
    title: Annotated[str, Text(DROP_TITLE_CHARS_MAX)]
    url: Annotated[str, Url(URL_CHARS_MAX)]
    description: Annotated[str, Text(DROP_DESCRIPTION_CHARS_MAX)] | None = None


@payload
class SetPresentation:
    """What `PUT /api/sessions/{id}/presentation` takes. `slideUrls` counts when the status is `ready`."""

    status: Status
    slide_urls: Annotated[list[Annotated[str, Url(URL_CHARS_MAX)]], Items(0, SLIDES_MAX)] | None = None
    uploader_id: OutsideId | None = None


class SlideState(TypedDict):
    """Contract 1, §12.4."""

    currentSlide: int
    totalSlides: int
    isActive: bool


class PresentationState(SlideState):
    """Contract 1, §12.5."""

    slideUrls: list[str]


class ContentSnapshot(TypedDict):
    """Where the presentation stands, with its slides; null without one."""

    slide: PresentationState | None


class SlideMoved(TypedDict):
    """The ack of `content.control`."""

    newState: SlideState


class StateAnswer(TypedDict):
    """The ack of `content.request_state`; null while the session has no presentation."""

    state: PresentationState | None


class Dropper(TypedDict):
    """Who dropped it."""

    id: str
    name: str


class DroppedContent(TypedDict):
    """Contract 1, §12.6."""

    type: str
    title: str
    url: str
    description: NotRequired[str]
    droppedBy: Dropper
    timestamp: str


class PresentationStatus(TypedDict):
    """Contract 1, §12.7."""

    sessionId: str
    status: Status


class PresentationInfo(PresentationState):
    """A presentation as REST shows it. While the first one is being converted, it has no slides yet."""

    sessionId: str
    status: Status


class OfSession(TypedDict):
    """Which session it was."""

    sessionId: str


def _status(data: dict[str, JSON], _: str) -> JSON:
    return {"sessionId": data["sessionId"], "status": data["status"]}


@dataclass
class Content(Feature):
    """The presentation of one session. `slide_urls` is None until one was ready."""

    name: ClassVar[str] = "content"
    emits = (
        Emits("slide.update", SlideState, "The presentation was started, moved, stopped, replaced or removed."),
        Emits("content.dropped", DroppedContent, "A link was dropped to everybody."),
        Emits(
            "presentation.status.update",
            PresentationStatus,
            "What became of a presentation that you uploaded.",
            of=("content.presentation.reported",),
            to=user("{userId}"),
            render=_status,
        ),
    )

    status: str = ""
    uploader_id: str = ""
    slide_urls: list[str] | None = None
    current: int = 0
    active: bool = False

    @command("content.control", needs="content:manage", key=Key.OPTIONAL, rate="60/10s", returns=SlideMoved)
    def control(self, ask: Ask[ControlContent]) -> Outcome:
        """Start, stop or move the presentation."""
        current, active = self._moved(ask.payload.action, ask.payload.target_slide)
        current = self._clamped(current, self._total())
        state = {"currentSlide": current, "totalSlides": self._total(), "isActive": active}
        moved = (current, active) != (self.current, self.active)
        facts = [Fact("content.slide.changed", {**state, "by": ask.who.id})] if moved else []
        return Outcome(facts, {"newState": state})

    @command("content.request_state", key=Key.OPTIONAL, rate="30/10s", reads=True, returns=StateAnswer)
    def request_state(self, ask: Ask[Empty]) -> Outcome:
        """Show where the presentation stands, and its slides."""
        return Outcome(reply={"state": self._state()})

    @command("content.drop", needs="content:manage", key=Key.OPTIONAL, rate="30/10s", returns=OfSession)
    def drop(self, ask: Ask[DropContent]) -> Outcome:
        """Show a link to everybody in the session."""
        dropped, who = ask.payload, ask.who
        data: dict[str, JSON] = {"type": dropped.type, "title": dropped.title, "url": dropped.url}
        if dropped.description is not None:
            data["description"] = dropped.description
        data["droppedBy"] = {"id": who.id, "name": f"{who.first_name} {who.last_name}".strip() or who.id}
        data["timestamp"] = ask.now
        return Outcome([Fact("content.dropped", data, (EVERYONE,))], {"sessionId": self.room_id})

    @changing(
        "presentation.set",
        needs=PUBLISHERS,
        rate="60/10s",
        returns=PresentationInfo,
        rest="PUT /sessions/{sessionId}/presentation",
    )
    def report(self, ask: Ask[SetPresentation]) -> Outcome:
        """Report on a presentation; with `ready`, its slides are the session's. The same report again is no news."""
        status, uploader_id = ask.payload.status, ask.payload.uploader_id or ask.who.id
        urls = _checked(ask.payload.slide_urls) if status == "ready" else self.slide_urls
        total = len(urls or ())
        current, active = self._clamped(self.current, total), self.active and total > 0
        reply = self._info(status, urls, current, active)
        if (status, uploader_id, urls) == (self.status, self.uploader_id, self.slide_urls):
            return Outcome(reply={**reply})
        told: dict[str, JSON] = {"sessionId": self.room_id, "status": status, "uploaderId": uploader_id}
        facts = [
            Fact("content.presentation.reported", {**told, "slideUrls": urls, "by": ask.who.id}, (user(uploader_id),))
        ]
        if urls != self.slide_urls:
            state = {"currentSlide": current, "totalSlides": total, "isActive": active}
            facts.append(Fact("content.slide.changed", {**state, "by": ask.who.id}))
        return Outcome(facts, {**reply})

    @reading(
        "presentation.read",
        rate="100/10s",
        returns=PresentationInfo,
        rest="GET /sessions/{sessionId}/presentation",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show the presentation of a session."""
        self._need_presentation()
        return Outcome(reply={**self._info(self.status, self.slide_urls, self.current, self.active)})

    @changing(
        "presentation.remove",
        needs=PUBLISHERS,
        rate="60/10s",
        returns=OfSession,
        rest="DELETE /sessions/{sessionId}/presentation",
    )
    def remove(self, ask: Ask[Empty]) -> Outcome:
        """Remove the presentation, and stop it if it runs."""
        self._need_presentation()
        facts = [Fact("content.presentation.removed", {"by": ask.who.id})]
        if self.slide_urls is not None:
            state = {"currentSlide": 0, "totalSlides": 0, "isActive": False}
            facts.append(Fact("content.slide.changed", {**state, "by": ask.who.id}))
        return Outcome(facts, {"sessionId": self.room_id})

    @view("slide.update", after=("content.slide.changed",))
    def slide(self, key: str) -> SlideState:
        """Where the presentation stands."""
        return {"currentSlide": self.current, "totalSlides": self._total(), "isActive": self.active}

    @applies("content.slide.changed")
    def _on_changed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.current, self.active = data["currentSlide"], data["isActive"]

    @applies("content.presentation.reported")
    def _on_reported(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status, self.uploader_id, self.slide_urls = data["status"], data["uploaderId"], data["slideUrls"]

    @applies("content.presentation.removed")
    def _on_removed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.status, self.uploader_id, self.slide_urls = "", "", None

    def snapshot(self, who: Person) -> ContentSnapshot:
        """Where the presentation stands, with its slides; null without one."""
        return {"slide": self._state()}

    def _moved(self, action: Action, target: int | None) -> tuple[int, bool]:
        """Slide and whether it is shown, after an action; the slide may be past an end."""
        if action == "GO_TO_SLIDE" and target is None:
            raise Refused("targetSlide is required for GO_TO_SLIDE", code="invalid_payload")
        if action == "START" and not self.slide_urls:
            raise Refused("There are no slides to show: the presentation must be ready first", 409, code="conflict")
        if action == "START":
            return (self.current if self.active else target or 0), True
        if not self.active:
            raise Refused("No active presentation", 409, code="conflict")
        if action == "GO_TO_SLIDE" and target is not None:
            return target, True
        step = {"NEXT_SLIDE": 1, "PREV_SLIDE": -1}.get(action, 0)
        return self.current + step, action != "STOP"

    def _need_presentation(self) -> None:
        if not self.status:
            raise Refused("Presentation not found", 404, code="not_found")

    def _total(self) -> int:
        return len(self.slide_urls or ())

    def _clamped(self, slide: int, total: int) -> int:
        return min(max(slide, 0), max(total - 1, 0))

    def _state(self) -> PresentationState | None:
        if self.slide_urls is None:
            return None
        return {**self.slide(""), "slideUrls": self.slide_urls}

    def _info(self, status: str, urls: list[str] | None, current: int, active: bool) -> dict[str, JSON]:
        return {
            "sessionId": self.room_id,
            "status": status,
            "currentSlide": current,
            "totalSlides": len(urls or ()),
            "isActive": active,
            "slideUrls": urls or [],
        }


def _checked(urls: list[str] | None) -> list[str]:
    """The slides of a presentation that is ready."""
    if urls is None:
        raise Refused("slideUrls is required when the status is ready", code="invalid_payload")
    size = sum(len(url.encode()) for url in urls)
    if size > SLIDE_URLS_BYTES_MAX:
        text = f"slideUrls must be at most {SLIDE_URLS_BYTES_MAX} bytes in all, not {size}"
        raise Refused(text, code="invalid_payload")
    return urls
