"""The vocabulary of `/polling` (contract 4): the same facts and views as on `/events`, in its own words.

Every event carries `eventId` (where the client stands once it has heard it), `sessionId` and `timestamp`. What a
receiver may not see of a poll's results is left out as it is on `/events`: by the same two values, made by the poll.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from livehub.feature import JSON, iso
from livehub.pollforms import RESULTS
from livehub.rooms.fanout import NOBODYS, Told
from livehub.wire.messages import event_text

NAMESPACE = "/polling"
HEARTBEAT = "connection:heartbeat"
HEARTBEATS = "polling"
"""The audience of every connection here."""

Words: TypeAlias = tuple[str, dict[str, Any]]
Render: TypeAlias = Callable[[dict[str, JSON], JSON], Words | None]


class PollingVocabulary:
    """Facts and views as contract 4 names them; what it has no name for is not spoken here."""

    def fact(self, told: Told) -> bytes | None:
        """See `livehub.rooms.fanout.Vocabulary`."""
        return self._say(FACTS.get(told.name), told, offset=[told.offset])

    def event(self, told: Told) -> bytes | None:
        """See `livehub.rooms.fanout.Vocabulary`."""
        return self._say(VIEWS.get(told.name), told, offset=[])

    @staticmethod
    def _say(render: Render | None, told: Told, *, offset: list[str]) -> bytes | None:
        words = None if render is None else render(told.data, told.own)
        if words is None:
            return None
        name, payload = words
        return event_text(NAMESPACE, [name, stamped(payload, told), *offset])


def stamped(payload: dict[str, JSON], told: Told) -> dict[str, JSON]:
    """A payload with what every event carries."""
    kind, _, room_id = told.room.partition(":")
    return {
        **payload,
        "eventId": told.offset,
        "sessionId": room_id if kind == "session" else "",
        "timestamp": iso(told.at_ms),
    }


def poll_shown(poll: dict[str, JSON]) -> dict[str, JSON]:
    """A poll's description, without any counts."""
    plain = ("id", "options", "creator", "creatorId", "isActive", "sessionId", "status", "correctOptionId", "leaders")
    shown = {name: value for name, value in poll.items() if name not in (*plain, *RESULTS)}
    options = [
        {"optionId": option["id"], "optionText": option["text"], "sequenceOrder": place}
        for place, option in enumerate(poll["options"])
    ]
    return {"pollId": poll["id"], **shown, **({"options": options} if options else {})}


def counts_shown(poll: dict[str, JSON]) -> dict[str, JSON]:
    """A poll's counts, in the fields that its type has."""
    shown: dict[str, JSON] = {"currentVoteCount": poll["totalVotes"]}
    if poll["options"]:
        shown["voteBreakdown"] = [
            {"optionId": option["id"], "voteCount": option["voteCount"], "percentage": option["percentage"]}
            for option in poll["options"]
        ]
    return shown | {name: poll[name] for name in RESULTS if name in poll and name != "totalVotes"}


def state_shown(state: dict[str, JSON]) -> dict[str, JSON]:
    """`session:state` of what `session.state` answers: each poll with the counts that the asker may see."""
    polls = []
    for one in state.get("polls", ()):
        poll = one["poll"]
        seen = "totalVotes" in poll
        shown = {**poll_shown(poll), "status": poll["status"], "votedForOptionId": one["userVotedForOptionId"]}
        shown |= {name: poll[name] for name in ("correctOptionId", "leaders") if name in poll}
        polls.append({**shown, **(counts_shown(poll) if seen else {})})
    return {**state, "polls": polls}


def _created(data: dict[str, JSON], _: JSON) -> Words:
    made = {"title": data["title"], "slug": data.get("slug", ""), "presenterId": data["by"]}
    return "session:created", {**made, "status": data.get("status", "active"), "createdAt": data["at"]}


def _started(data: dict[str, JSON], _: JSON) -> Words:
    count = data["participantCount"]
    return "session:started", {"status": "active", "startedAt": data["at"], "participantCount": count}


def _ended(data: dict[str, JSON], _: JSON) -> Words:
    count = data["finalParticipantCount"]
    return "session:ended", {"status": "ended", "endedAt": data["at"], "finalParticipantCount": count}


def _poll(name: str) -> Render:
    return lambda data, _: (name, poll_shown(data["poll"]))


def _activated(data: dict[str, JSON], _: JSON) -> Words:
    return "poll:activated", {**poll_shown(data["poll"]), "activatedAt": data["at"]}


def _at(name: str, field: str) -> Render:
    return lambda data, _: (name, {"pollId": data["pollId"], field: data["at"]})


def _ordered(data: dict[str, JSON], _: JSON) -> Words:
    return "poll:reordered", {"pollIds": data["pollIds"]}


def _closed(data: dict[str, JSON], own: JSON) -> Words:
    poll = data["results"]["poll"]
    shown: dict[str, JSON] = {"pollId": data["pollId"], "closedAt": data["at"], "voteHash": data.get("voteHash", "")}
    if _sees(own):
        shown |= {"finalVoteCount": poll["totalVotes"], "rejectedVotes": data.get("rejected", {}), **counts_shown(poll)}
        shown |= {name: poll[name] for name in ("leaders",) if name in poll}
    if "correctOptionId" in poll:
        shown["correctOptionId"] = poll["correctOptionId"]
    return "poll:closed", shown


def _counted(results: dict[str, JSON], own: JSON) -> Words | None:
    if not _sees(own):
        return None
    poll = results["poll"]
    return "vote:accepted", {"pollId": poll["id"], **counts_shown(poll)}


def _sees(own: JSON) -> bool:
    return own is not NOBODYS and bool(own[1])


def _came(data: dict[str, JSON], _: JSON) -> Words:
    shown = {"participantId": data["participantId"], "joinedAt": data["at"]}
    named = {"displayName": data["displayName"]} if data.get("displayName") else {}
    return "participant:joined", {**shown, **named, "participantCount": data["participantCount"]}


def _went(data: dict[str, JSON], _: JSON) -> Words:
    shown = {"participantId": data["participantId"], "disconnectedAt": data["at"]}
    return "participant:disconnected", {**shown, "participantCount": data["participantCount"]}


def _crowd(data: dict[str, JSON], own: JSON) -> Words:
    return _came(data, own) if data["came"] else _went(data, own)


FACTS: dict[str, Render] = {
    "session.created": _created,
    "session.started": _started,
    "session.ended": _ended,
    "poll.created": _poll("poll:created"),
    "poll.edited": _poll("poll:updated"),
    "poll.ordered": _ordered,
    "poll.opened": _activated,
    "poll.set_aside": _at("poll:deactivated", "deactivatedAt"),
    "poll.closed": _closed,
    "poll.reset": _at("poll:reset", "resetAt"),
    "participant.came": _came,
    "participant.went": _went,
}
VIEWS: dict[str, Render] = {
    "poll.results.updated": _counted,
    "participants.crowd": _crowd,
    HEARTBEAT: lambda *_: (HEARTBEAT, {}),
}
