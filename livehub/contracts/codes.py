"""Access codes: which session a code opens, how somebody who brought one is taken in, and seeds that give a free one.

A session draws its code from the seed of the ask that creates it. The registry would have a doubled one drawn again,
but by then it was acknowledged, and maybe printed: so whoever creates a session over REST is given a seed whose code is
free, and that code is kept for it until the session has told the registry.
"""

from __future__ import annotations

import trio

from livehub.errors import Refused
from livehub.feature import Person
from livehub.features.registry import Registry
from livehub.features.sessions import REGISTRY, Admit, slug_of
from livehub.rooms.house import House
from livehub.rooms.request import Awaited, Request, any_seed

SEED_KEPT_S = 60.0
SEEDS_KEPT_MAX = 10_000
REGISTRATION_S = 1.0
"""A session is acknowledged some milliseconds before the registry has heard of it."""
LOOK_EVERY_S = 0.02


class Codes:
    """Looks codes up in the registry's room, which is always open."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._room = house.pin(REGISTRY)
        self._kept: dict[str, float] = {}  # slug → until when, soonest first

    async def ready(self) -> None:
        """Wait until the registry has been read from the log."""
        await self._room.ready.wait()

    def find(self, slug: str) -> str | None:
        """The session that a code opens, however it is capitalised."""
        return self._registry.find(slug)

    async def seek(self, slug: str) -> str | None:
        """As `find`, but whoever comes with a code that was given out just now waits until its session is known."""
        patience_s = trio.current_time() + REGISTRATION_S
        while (found := self.find(slug)) is None and slug.upper() in self._kept:
            if trio.current_time() >= patience_s:
                break
            # A look every 20 ms, hardly ever a second one: cheaper than an event for every session that is made.
            await trio.sleep(LOOK_EVERY_S)
        return found

    def seed(self) -> int:
        """A seed for the creation of a session, whose code nobody else has or is about to get."""
        now_s, registry = trio.current_time(), self._registry
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest] > now_s and len(self._kept) < SEEDS_KEPT_MAX:
                break
            del self._kept[oldest]
        while True:
            seed = any_seed()
            slug = slug_of(seed)
            if slug not in self._kept and not registry.taken(slug):
                self._kept[slug] = now_s + SEED_KEPT_S
                return seed

    async def admit(self, session_id: str, person: Person) -> str:
        """Take somebody in who brought the session's code: their participant id there. Raises `Refused`."""
        told: Admit = {
            "userId": person.id,
            "firstName": person.first_name,
            "lastName": person.last_name,
            "guest": bool(person.session),
        }
        hub, awaited = self._house.hub, Awaited()
        command, seed = hub.catalog.commands["session.admit"], any_seed()
        request = Request(command, told, hub.clock_ms(), seed, awaited, person)
        await self._house.ask(f"session:{session_id}", request)
        result = await awaited.answer()
        if isinstance(result, Refused):
            raise result
        return str(result.reply["participantId"])

    @property
    def _registry(self) -> Registry:
        return next(feature for feature in self._room.state.features if isinstance(feature, Registry))
