"""Who somebody is to the hub: the token says it, the directory knows better (names put over REST, deactivation).

Guests are not in it: they are people of one session and of one day, and would be most of it.
"""

from __future__ import annotations

from dataclasses import replace

from livehub.errors import AuthFailed
from livehub.feature import Person
from livehub.features.users import Met, Profile, Users
from livehub.rooms.house import House
from livehub.rooms.request import Request, any_seed
from livehub.rooms.state import State

DIRECTORY = "directory:users"


class Directory:
    """Looks people up in the directory's room, which is always open."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._room = house.pin(DIRECTORY)
        self._state: State | None = None
        self._users: Users

    async def ready(self) -> None:
        """Wait until the directory has been read from the log."""
        await self._room.ready.wait()

    def recognise(self, person: Person) -> Person:
        """The person under the name they are known by. Raises `AuthFailed` (`user_deactivated`)."""
        known = None if person.session else self._known(person.id)
        if known is None:
            return person
        if not known.active:
            raise AuthFailed("user_deactivated")
        if not known.set_here:
            return person
        email = known.email or person.email
        return replace(person, first_name=known.first_name, last_name=known.last_name, email=email)

    async def meet(self, person: Person) -> None:
        """Remember a person and their names, if that is news."""
        if person.session:
            return
        told: Met = {
            "userId": person.id,
            "firstName": person.first_name,
            "lastName": person.last_name,
            "email": person.email,
        }
        known = self._known(person.id)
        if known is not None and (known.set_here or known.same(told)):
            return
        hub = self._house.hub
        command = hub.catalog.commands["user.met"]
        await self._house.ask(DIRECTORY, Request(command, told, hub.clock_ms(), any_seed()))

    def _known(self, user_id: str) -> Profile | None:
        state = self._room.state
        if state is not self._state:  # for every ask of everybody: looked up once for each time the room is read
            self._state = state
            self._users = next(feature for feature in state.features if isinstance(feature, Users))
        return self._users.people.get(user_id)
