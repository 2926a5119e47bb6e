"""Presenting: polls are written before they are asked, put in order, opened, closed, opened again, and emptied.

All of it is REST for presenters. This keeps of each poll what its rules need and says what is to happen; `polls` hears
it and does the counting, in the same commit. A poll that has been opened is no longer edited: people have read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.ballots import NewPoll, describe_poll
from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Fact,
    Feature,
    Items,
    Outcome,
    Refused,
    Uuid,
    applies,
    changing,
    payload,
    required,
)
from livehub.pollbook import check_session
from livehub.pollforms import OnePoll, Poll

POLLS_MAX = 1_000
NEEDS = ("poll:create", "poll:manage", "sessions:manage")


@payload
class EditPoll(NewPoll):
    """The whole poll, written anew."""

    poll_id: Uuid = required()


@payload
class OrderPolls:
    """Every poll of the session, in the order they are to have."""

    poll_ids: Annotated[list[Uuid], Items(1, POLLS_MAX)]


@payload
class ResetPoll:
    """Throws votes away, so it has to be meant."""

    poll_id: Uuid
    confirm: bool = False


class PollState(TypedDict):
    """Where a poll stands."""

    pollId: str
    status: str


class WrittenPoll(TypedDict):
    """A poll as it was written."""

    pollId: str
    status: str
    poll: Poll


class PollOrder(TypedDict):
    """The polls of a session in their order."""

    pollIds: list[str]


@dataclass(slots=True)
class Sheet:
    """What the rules need of a poll."""

    poll: dict[str, JSON]
    status: str = "draft"


@dataclass
class Presenting(Feature):
    """The presenter's side of a session's polls."""

    name: ClassVar[str] = "presenting"

    session_status: str = ""
    sheets: dict[str, Sheet] = field(default_factory=dict)  # in the order of the polls

    @changing(
        "poll.add",
        needs=NEEDS,
        returns=WrittenPoll,
        rest="POST /sessions/{sessionId}/polls 201",
    )
    def add(self, ask: Ask[NewPoll]) -> Outcome:
        """Write a poll: everybody sees that it is there, nobody can vote yet."""
        if len(self.sheets) >= POLLS_MAX:
            raise Refused(f"A session has at most {POLLS_MAX} polls", 409, code="too_many")
        poll, right = describe_poll(
            ask.payload,
            ask.new_id,
            creator=ask.who.public(),
            session_id=self.room_id,
            at=ask.now,
            place=len(self.sheets),
        )
        created = Fact("poll.created", {"pollId": poll["id"], "poll": poll, "right": right, "at": ask.now}, (EVERYONE,))
        return Outcome([created], {"pollId": poll["id"], "status": "draft", "poll": poll})

    @changing(
        "poll.edit",
        needs=NEEDS,
        returns=WrittenPoll,
        rest="PUT /sessions/{sessionId}/polls/{pollId}",
    )
    def edit(self, ask: Ask[EditPoll]) -> Outcome:
        """Write a poll anew, as long as nobody has been asked it."""
        sheet = self._find(ask.payload.poll_id)
        if sheet.status != "draft":
            raise Refused("Only a poll that has not been opened can be edited: reset it first", 409, code="conflict")
        poll, right = describe_poll(
            ask.payload,
            ask.new_id,
            creator=sheet.poll["creator"],
            session_id=self.room_id,
            at=sheet.poll["createdAt"],
            place=sheet.poll["sequenceOrder"],
        )
        poll["id"] = ask.payload.poll_id
        edited = Fact("poll.edited", {"pollId": poll["id"], "poll": poll, "right": right, "at": ask.now}, (EVERYONE,))
        return Outcome([edited], {"pollId": poll["id"], "status": "draft", "poll": poll})

    @changing(
        "poll.order",
        needs=NEEDS,
        returns=PollOrder,
        rest="PUT /sessions/{sessionId}/polls/order",
    )
    def order(self, ask: Ask[OrderPolls]) -> Outcome:
        """Put the polls in another order."""
        wanted = ask.payload.poll_ids
        if sorted(wanted) != sorted(self.sheets):
            raise Refused("pollIds must name every poll of the session once", code="invalid_payload")
        facts = [] if wanted == list(self.sheets) else [Fact("poll.ordered", {"pollIds": [*wanted]}, (EVERYONE,))]
        return Outcome(facts, {"pollIds": [*wanted]})

    @changing(
        "poll.activate",
        needs=NEEDS,
        returns=PollState,
        rest="POST /sessions/{sessionId}/polls/{pollId}/activate",
    )
    def activate(self, ask: Ask[OnePoll]) -> Outcome:
        """Open a poll for votes. The one that was open before keeps its votes and takes no more."""
        sheet = self._find(ask.payload.poll_id)
        if sheet.status == "closed":
            raise Refused("Poll is closed: reopen it", 409, code="poll_closed")
        return self._opening(ask.payload.poll_id, sheet)

    @changing(
        "poll.reopen",
        needs=NEEDS,
        returns=PollState,
        rest="POST /sessions/{sessionId}/polls/{pollId}/reopen",
    )
    def reopen(self, ask: Ask[OnePoll]) -> Outcome:
        """Open a closed poll again; its votes stay."""
        sheet = self._find(ask.payload.poll_id)
        if sheet.status not in ("closed", "active"):
            raise Refused("Poll was not closed", 409, code="conflict")
        if sheet.poll["pollType"] == "quiz" and sheet.status == "closed":
            raise Refused("The answer of this quiz is known: reset it to ask it again", 409, code="conflict")
        return self._opening(ask.payload.poll_id, sheet)

    @changing(
        "poll.close",
        needs=NEEDS,
        returns=PollState,
        rest="POST /sessions/{sessionId}/polls/{pollId}/close",
    )
    def close(self, ask: Ask[OnePoll]) -> Outcome:
        """Close a poll: the counts are final. Closing it again is no error."""
        sheet = self._find(ask.payload.poll_id)
        if sheet.status == "draft":
            raise Refused("Poll was not opened", 409, code="poll_not_active")
        closing = [] if sheet.status == "closed" else [Fact("poll.closing", {"pollId": ask.payload.poll_id})]
        return Outcome(closing, {"pollId": ask.payload.poll_id, "status": "closed"})

    @changing(
        "poll.reset",
        needs=NEEDS,
        returns=PollState,
        rest="POST /sessions/{sessionId}/polls/{pollId}/reset",
    )
    def reset(self, ask: Ask[ResetPoll]) -> Outcome:
        """Throw a poll's votes away: it is a draft again."""
        sheet = self._find(ask.payload.poll_id)
        if not ask.payload.confirm:
            raise Refused('Resetting throws all votes away: send {"confirm": true}', code="invalid_payload")
        reset = Fact("poll.reset", {"pollId": ask.payload.poll_id, "at": ask.now}, (EVERYONE,))
        return Outcome([] if sheet.status == "draft" else [reset], {"pollId": ask.payload.poll_id, "status": "draft"})

    @applies("session.created")
    def _on_session_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = str(data.get("status", "active"))

    @applies("session.started")
    def _on_session_started(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = "active"

    @applies("session.ended")
    def _on_session_ended(self, data: dict[str, JSON], at_ms: int) -> None:
        self.session_status = "ended"

    @applies("poll.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]] = Sheet(data["poll"])

    @applies("poll.edited")
    def _on_edited(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]].poll = data["poll"]

    @applies("poll.ordered")
    def _on_ordered(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets = {poll_id: self.sheets[poll_id] for poll_id in data["pollIds"]}
        for place, sheet in enumerate(self.sheets.values()):
            sheet.poll = {**sheet.poll, "sequenceOrder": place}

    @applies("poll.opened")
    def _on_opened(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]].status = "active"

    @applies("poll.set_aside")
    def _on_set_aside(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]].status = "inactive"

    @applies("poll.closed")
    def _on_closed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]].status = "closed"

    @applies("poll.reset")
    def _on_reset(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sheets[data["pollId"]].status = "draft"

    def _opening(self, poll_id: str, sheet: Sheet) -> Outcome:
        check_session(self.session_status)
        opening = [] if sheet.status == "active" else [Fact("poll.opening", {"pollId": poll_id})]
        return Outcome(opening, {"pollId": poll_id, "status": "active"})

    def _find(self, poll_id: str) -> Sheet:
        sheet = self.sheets.get(poll_id)
        if sheet is None:
            raise Refused("Poll not found", 404, code="not_found")
        return sheet
