"""Looking across rooms: every room answers for itself, one that cannot is left out, and listeners are people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trio.testing import MockClock

from livehub.feature import (
    JSON,
    Ask,
    Do,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Refused,
    Seating,
    applies,
    command,
    internal,
)
from tests.kit import ANNA, BEN, Ears, HubUnderTest, ears, open_hub, settle


@dataclass
class Census(Feature):
    """Counts its people, and sums up what other rooms count."""

    name: ClassVar[str] = "census"

    people: int = 0
    sums: list[JSON] = field(default_factory=list)

    @command("census.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Be counted."""
        return Outcome([Fact("census.joined", {})])

    @internal("census.count")
    def count(self, ask: Ask[None]) -> Outcome:
        """Say how many there are; a room without anybody has no answer."""
        if not self.people:
            raise Refused("Nobody is here")
        return Outcome(reply={"people": self.people})

    @internal("census.begin")
    def begin(self, ask: Ask[JSON]) -> Outcome:
        """Have the work done."""
        return Outcome(effects=[Do(ask.payload["work"], ask.payload, then="census.done")])

    @internal("census.done")
    def done(self, ask: Ask[JSON]) -> Outcome:
        """Note what came."""
        return Outcome([Fact("census.summed", {"result": ask.payload.get("result")})])

    @applies("census.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people += 1

    @applies("census.summed")
    def _on_summed(self, data: dict[str, JSON], at_ms: int) -> None:
        self.sums.append(data["result"])


async def sit(hub: HubUnderTest, client: Ears, session: str) -> None:
    await hub.do("census.join", {"sessionId": session}, client)


async def summed(hub: HubUnderTest, **data: JSON) -> JSON:
    """What the work came to."""
    await hub.command("session:hall", "census.begin", data)
    await settle()
    census = hub.room("session:hall").state.features[0]
    assert isinstance(census, Census)
    return census.sums[-1]


async def test_gathering_asks_every_room_and_leaves_out_who_does_not_answer(autojump_clock: MockClock) -> None:
    async with open_hub(Census) as hub:
        for client, session in ((ears(ANNA), "a"), (ears(BEN), "a"), (ears(BEN, sid="2"), "c")):
            await sit(hub, client, session)
        rooms = ["session:a", "session:b", "session:c", "no room"]
        found = await summed(hub, work="gather", rooms=rooms, command="census.count")
        assert found == [{"people": 2}, None, {"people": 1}, None]


async def test_listeners_are_people_however_many_devices_they_have(autojump_clock: MockClock) -> None:
    async with open_hub(Census) as hub:
        for client, session in ((ears(ANNA), "a"), (ears(ANNA, sid="2"), "b"), (ears(BEN, sid="3"), "b")):
            await sit(hub, client, session)
        assert await summed(hub, work="listeners", audiences=["session:a"]) == ["anna"]
        assert sorted(await summed(hub, work="listeners", audiences=["session:a", "session:b"])) == ["anna", "ben"]
        assert await summed(hub, work="listeners", audiences=["session:nowhere"]) == []
