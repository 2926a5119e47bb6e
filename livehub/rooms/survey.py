"""Work that looks across rooms: what several rooms answer, and who is listening.

Rooms share no state. One that needs a sum over others (a dashboard) asks for it with `Do`, and the answer comes back
as an ask: nothing waits meanwhile, and nothing is written that could be asked for again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio

from livehub.errors import Refused
from livehub.feature import JSON
from livehub.ports import Worker
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import Fanout
from livehub.rooms.peer import Answer
from livehub.rooms.request import Awaited, Request, any_seed


def survey(
    ask: Callable[[str, Request], Awaitable[None]], catalog: Catalog, fanout: Fanout, clock_ms: Callable[[], int]
) -> Mapping[str, Worker]:
    """The workers `gather` and `listeners`.

    `gather {rooms, command, data}` → each room's reply to an internal command, None where it was refused.
    `listeners {audiences}` → ids of the people who hear any of these audiences now.
    """

    async def gather(data: JSON) -> JSON:
        command = catalog.commands[data["command"]]
        replies: list[JSON] = [None] * len(data["rooms"])

        async def put(place: int, room: str) -> None:
            awaited = Awaited()
            try:
                await ask(room, Request(command, data.get("data"), clock_ms(), any_seed(), awaited))
            except Refused:
                return
            answer = await awaited.answer()
            if isinstance(answer, Answer):
                replies[place] = answer.reply

        async with trio.open_nursery() as nursery:
            for place, room in enumerate(data["rooms"]):
                nursery.start_soon(put, place, room)
        return replies

    async def listeners(data: JSON) -> JSON:
        return fanout.listeners(data["audiences"])

    return {"gather": gather, "listeners": listeners}
