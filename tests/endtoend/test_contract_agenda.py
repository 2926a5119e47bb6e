"""Contract 1, §13 and §11.4: the agenda, written by a backend, and what its changes mean to who joined the event."""

from __future__ import annotations

from typing import Any

from tests.endtoend.cast import Cast, Line
from tests.endtoend.likeness import AN_ID

FORBIDDEN = (403, "You do not have permission")
NOT_FOUND = (404, "Session not found")
UPDATE, CHANGE = "agenda.update", "notification.schedule_change"
START, END = "2090-05-01T09:30:00.000Z", "2090-05-01T10:15:00.000Z"
LATER, LATER_END = "2090-05-01T11:30:00.000Z", "2090-05-01T12:15:00.000Z"
TALK = {"id": "talk-1", "title": "Rooms are tasks", "startTime": START, "endTime": END}


class Plan:
    """An event, two people of whom joined it, and one entry of its agenda."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.path = f"/events/{cast.event}/agenda"
        self.joined = (cast.bob, cast.nowhere)
        self.shown: dict[str, Any] = {**TALK, "speakers": []}

    async def begin(self) -> None:
        """Let them join; somebody else joins another event, and the rest sits in a session of this one."""
        for client in self.joined:
            await self.cast.asks(client, "event.join", {"eventId": self.cast.event}, eventId=self.cast.event)
        await self.cast.asks(self.cast.elsewhere, "event.join", None, eventId=self.cast.other_event)
        await self.cast.overlooks()

    def update(self, kind: str) -> Line:
        """`agenda.update` of the entry as it is now."""
        told = {"eventId": self.cast.event, "updateType": kind, "session": dict(self.shown)}
        return Line(self.joined, UPDATE, told)

    def change(self, kind: str, **values: str) -> Line:
        """`notification.schedule_change` of the entry."""
        told = {"changeType": kind, "sessionId": self.shown["id"], "sessionTitle": self.shown["title"], **values}
        return Line(self.joined, CHANGE, told)

    async def add(self) -> None:
        """Put the entry on the agenda, and have that heard."""
        done = await self.cast.rest("POST", self.path, TALK, status=201)
        assert done == {"success": True, "sessionId": self.shown["id"], "session": self.shown}
        await self.cast.hears(self.update("CREATED"), self.change("added", newValue=START))

    async def put(self, *changes: tuple[str, dict[str, str]], **fields: Any) -> None:
        """Change fields of the entry, and have heard what that means."""
        self.shown |= fields
        done = await self.cast.rest("PUT", f"{self.path}/{self.shown['id']}", fields)
        assert done == {"success": True, "sessionId": self.shown["id"], "session": self.shown}
        await self.cast.hears(self.update("UPDATED"), *(self.change(kind, **values) for kind, values in changes))

    async def remove(self) -> None:
        """Take the entry off the agenda, and have that heard."""
        done = await self.cast.rest("DELETE", f"{self.path}/{self.shown['id']}")
        assert done == {"success": True, "sessionId": self.shown["id"]}
        await self.cast.hears(self.update("DELETED"), self.change("cancelled"))


async def test_the_agenda_is_told_to_whoever_joined_the_event(cast: Cast) -> None:
    plan = Plan(cast)
    await plan.begin()
    await plan.add()
    await plan.put(title="Rooms are still tasks", description="All of it", speakers=["Ada Stage"])
    assert await cast.rest("GET", plan.path, who=cast.bob) == {"eventId": cast.event, "agenda": [plan.shown]}
    await plan.remove()
    assert await cast.rest("GET", plan.path, who=cast.bob) == {"eventId": cast.event, "agenda": []}


async def test_a_change_of_plan_is_told_to_the_event(cast: Cast) -> None:
    plan = Plan(cast)
    await plan.begin()
    await plan.add()
    moved = {"oldValue": START, "newValue": LATER}
    await plan.put(("time_change", moved), startTime=LATER, endTime=LATER_END)
    await plan.put(("room_change", {"newValue": "Hall 1"}), room="Hall 1")
    both = {"oldValue": LATER_END, "newValue": "2090-05-01T13:00:00.000Z"}
    rooms = {"oldValue": "Hall 1", "newValue": "Hall 2"}
    await plan.put(("time_change", both), ("room_change", rooms), endTime=both["newValue"], room="Hall 2")
    await plan.remove()


async def test_times_are_kept_in_utc_and_ids_are_made_where_none_is_given(cast: Cast) -> None:
    plan = Plan(cast)
    await plan.begin()
    wanted = {"title": "By the clock", "startTime": "2090-05-01T11:30:00+02:00", "endTime": "2090-05-01T10:15:00Z"}
    done = await cast.rest("POST", plan.path, wanted, status=201)
    plan.shown |= {"id": done["sessionId"], "title": "By the clock"}
    assert AN_ID.fits(done["sessionId"])
    await cast.hears(plan.update("CREATED"), plan.change("added", newValue=START))


async def test_a_refused_change_is_heard_by_nobody(cast: Cast) -> None:
    plan = Plan(cast)
    await plan.begin()
    await plan.add()
    one = f"{plan.path}/{plan.shown['id']}"
    for who in (cast.ada, cast.bob, cast.moderator, cast.speaker):
        await cast.rest_refuses("POST", plan.path, TALK, *FORBIDDEN, who=who)
        await cast.rest_refuses("PUT", one, {"title": "Mine"}, *FORBIDDEN, who=who)
        await cast.rest_refuses("DELETE", one, None, *FORBIDDEN, who=who)
    for bad, named in (
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "200"),
        ({"startTime": "half past nine"}, "startTime"),
        ({"startTime": "2090-05-01T09:30:00"}, "UTC"),
        ({"endTime": START}, "endTime must be after startTime"),
        ({"colour": "red"}, "colour"),
    ):
        for method, path in (("POST", plan.path), ("PUT", one)):
            refused = await cast.rest(
                method, path, {**TALK, "id": "talk-2", **bad} if method == "POST" else bad, status=400
            )
            assert named in refused["error"]["message"], refused
    await cast.rest_refuses("POST", plan.path, TALK, 409, "Session is on the agenda already")
    await cast.rest_refuses("PUT", f"{plan.path}/unheard-of", {"title": "New"}, *NOT_FOUND)
    await cast.rest_refuses("DELETE", f"{plan.path}/unheard-of", None, *NOT_FOUND)
    await cast.rest_refuses("POST", "/events/unheard-of/agenda", TALK, 404, "Event not found")
    await cast.rest("PUT", one, {"title": TALK["title"]})  # what changes nothing is no news
    await cast.hears()
