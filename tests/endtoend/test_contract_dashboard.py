"""Contract 1, §10: the figures of an event, for who watches its dashboard and for nobody else."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.likeness import A_TIME
from tests.endtoend.node import Client
from tests.endtoend.stage import key

FORBIDDEN = (403, "You do not have permission")
UPDATE, CAPACITY, METRICS = "dashboard.update", "dashboard.capacity.updated", "dashboard.metrics.updated"
UPDATE_WITHIN_S = 2.0 + 5.0 + 3.0  # a burst of reactions, the next update, and some patience

NOTHING: dict[str, Any] = {
    "totalMessages": 0,
    "pollVotes": 0,
    "questionsAsked": 0,
    "questionUpvotes": 0,
    "reactions": 0,
    "recentCheckIns": [],
}


async def watches(
    cast: Cast,
    who: Client,
    event: str,
    *lines: Line,
    shown: dict[str, Any] = NOTHING,
    capacity: tuple[dict[str, Any], ...] = (),
) -> None:
    """Have somebody watch the dashboard of an event, and be shown its figures; `lines` come after the snapshot."""
    await cast.asks(who, "dashboard.join", {"eventId": event}, eventId=event)
    cast.watching += (who,)
    snapshot = {"eventId": event, **shown, "capacity": list(capacity)}
    await cast.hears(Line((who,), "dashboard.snapshot", snapshot), *lines, Line((who,), UPDATE, shown))


async def happens(cast: Cast) -> dict[str, Any]:
    """A lively session: what its dashboard counts, beside who checked in."""

    async def act(who: Client, event: str, **payload: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await who.ask(event, {**payload, "idempotencyKey": key()})
        assert answer["success"] is True, answer
        return answer

    for emoji in ("🔥", "🔥", "👍"):
        await act(cast.bob, "reaction.send", emoji=emoji)
    for text in ("One", "Two", "Three"):
        await act(cast.ada, "chat.message.send", text=text)
    question = (await act(cast.ada, "qa.question.ask", text="Why?"))["questionId"]
    for who in (cast.bob, cast.moderator, cast.bob):  # who takes it back
        await act(who, "qna.question.upvote", questionId=question)
    poll_id = (await act(cast.speaker, "poll.create", question="?", options=[{"text": "A"}, {"text": "B"}]))["pollId"]
    (poll,) = await cast.ada.heard("poll.opened")
    for who in (cast.ada, cast.bob):
        await act(who, "poll.vote.submit", pollId=poll_id, optionId=poll["options"][0]["id"])
    await act(cast.elsewhere, "chat.message.send", text="In another session")
    people = zip((cast.ada, cast.moderator, cast.speaker, cast.bob), (9, 2, 10, 1), strict=True)
    cast.scores |= {cast.id(who): score for who, score in people}
    counted = {"totalMessages": 3, "pollVotes": 2, "questionsAsked": 1, "questionUpvotes": 1, "reactions": 3}
    return NOTHING | counted


async def test_the_dashboard_counts_its_own_event_for_who_watches_it(cast: Cast) -> None:
    for who in (cast.ada, cast.bob, cast.moderator, cast.speaker):
        await cast.refuses(who, "dashboard.join", None, *FORBIDDEN)
        await cast.refuses(who, "dashboard.leave", None, *FORBIDDEN)
    await cast.hears()
    await watches(cast, cast.owner, cast.event)
    await watches(cast, cast.elsewhere, cast.other_event)
    counted = await happens(cast)
    path = f"/events/{cast.event}/check-ins"
    for name in ("Ada Stage", "Bob Stage"):
        await cast.rest("POST", path, {"name": name}, status=201)
    await cast.rest_refuses("POST", path, {"name": "Mallory"}, *FORBIDDEN, who=cast.ada)
    counted["recentCheckIns"] = [{"name": name, "timestamp": A_TIME} for name in ("Bob Stage", "Ada Stage")]
    others = Line((cast.elsewhere,), UPDATE, NOTHING | {"totalMessages": 1})
    shown = Line((cast.owner,), UPDATE, counted)
    await cast.hears(shown, others, within_s=UPDATE_WITHIN_S, only=(UPDATE, CAPACITY, METRICS))


async def test_whoever_stopped_watching_hears_nothing_more(cast: Cast) -> None:
    await watches(cast, cast.owner, cast.event)
    await cast.asks(cast.owner, "dashboard.leave", None, eventId=cast.event)
    await cast.asks(cast.owner, "dashboard.leave", {"eventId": cast.event}, eventId=cast.event)  # twice is no error
    await cast.overlooks()
    cast.watching = ()
    await cast.rest("POST", f"/events/{cast.event}/check-ins", {"name": "Ada Stage"}, status=201)
    came = NOTHING | {"recentCheckIns": [{"name": "Ada Stage", "timestamp": A_TIME}]}
    await watches(cast, cast.nowhere, cast.event, shown=came)  # whoever watches is shown the figures at once


async def test_capacity_is_shown_as_a_backend_tells_it(cast: Cast) -> None:
    await watches(cast, cast.owner, cast.event)
    await watches(cast, cast.elsewhere, cast.other_event)
    path, full = f"/events/{cast.event}/capacity/hall-1", {"currentCount": 120, "maxCapacity": 200}
    for who in (cast.ada, cast.speaker):
        await cast.rest_refuses("PUT", path, full, *FORBIDDEN, who=who)
    for bad in ({"currentCount": -1}, {"maxCapacity": 0}, {"currentCount": "120"}, {"colour": "red"}):
        refused = await cast.rest("PUT", path, {**full, **bad}, status=400)
        assert next(iter(bad)) in refused["error"]["message"], refused
    await cast.hears()
    shown = {"eventId": cast.event, "resourceId": "hall-1", **full}
    assert await cast.rest("PUT", path, full) == {"success": True, **shown}
    await cast.hears(Line((cast.owner,), CAPACITY, shown))
    await cast.rest("PUT", path, full)  # the same again is no news
    await cast.hears()
    await watches(cast, cast.nowhere, cast.event, Line((cast.nowhere,), CAPACITY, shown), capacity=(shown,))


async def test_metrics_reach_the_dashboards_of_their_organisation(cast: Cast) -> None:
    await watches(cast, cast.owner, cast.event)
    await watches(cast, cast.elsewhere, cast.other_event)
    path = f"/orgs/{cast.org}/metrics"
    await cast.rest_refuses("POST", path, {"metrics": {}}, *FORBIDDEN, who=cast.speaker)
    refused = await cast.rest("POST", path, {"metrics": [1]}, status=400)
    assert "metrics must be an object" in refused["error"]["message"]
    await cast.hears()
    for load in (0.5, 0.75):
        metrics = {"cpu": {"load": load, "cores": 2}, "healthy": True}
        assert await cast.rest("POST", path, {"metrics": metrics}, status=201) == {"success": True, "orgId": cast.org}
        shown = {"orgId": cast.org, "metrics": metrics}
        await cast.hears(Line((cast.owner,), METRICS, shown))
    await watches(cast, cast.nowhere, cast.event, Line((cast.nowhere,), METRICS, shown))
