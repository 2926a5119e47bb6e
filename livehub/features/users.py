"""Users: everybody the hub has met, with their names, and who is let in (contracts, point 3).

One room, `directory:users`, opened at the start and never idle: names and the right to enter are looked up at every
connection, and a room per person for that would cost more than the person's socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Do,
    Fact,
    Feature,
    Outcome,
    OutsideId,
    Text,
    applies,
    changing,
    internal,
    payload,
)

NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254


@payload
class PutUser:
    """What `PUT /api/users/{id}` takes; names given here win over a token's."""

    user_id: OutsideId
    first_name: Annotated[str, Text(NAME_CHARS_MAX)]
    last_name: Annotated[str, Text(NAME_CHARS_MAX)] | None = None
    email: Annotated[str, Text(EMAIL_CHARS_MAX)] | None = None
    active: bool = True


@payload
class OneUser:
    """Names a person."""

    user_id: OutsideId


class Met(TypedDict):
    """A person as their token tells of them."""

    userId: str
    firstName: str
    lastName: str
    email: str


class UserInfo(TypedDict):
    """A person as those who manage users see them."""

    userId: str
    id: str
    firstName: str
    lastName: str
    email: str
    isActive: bool


class Deactivated(TypedDict):
    """Who is no longer let in."""

    userId: str


@dataclass(slots=True)
class Profile:
    """What is remembered of one person. `set_here`: the names were put over REST, so a token no longer changes them."""

    first_name: str
    last_name: str
    email: str
    active: bool = True
    set_here: bool = False

    def same(self, told: Met) -> bool:
        """Whether these names are what is known already."""
        return (self.first_name, self.last_name, self.email) == (told["firstName"], told["lastName"], told["email"])


@dataclass
class Users(Feature):
    """The people this hub knows."""

    name: ClassVar[str] = "users"
    room: ClassVar[str] = "directory"

    people: dict[str, Profile] = field(default_factory=dict)

    @internal("user.met")
    def met(self, ask: Ask[Met]) -> Outcome:
        """Remember who came with a valid token, if that is news."""
        told = ask.payload
        known = self.people.get(told["userId"])
        if known is not None and (known.set_here or known.same(told)):
            return Outcome()
        return Outcome([Fact("user.met", {**told})])

    @changing(
        "user.put",
        needs="users:manage",
        creates=True,
        returns=UserInfo,
        rest="PUT /users/{userId}",
    )
    def put(self, ask: Ask[PutUser]) -> Outcome:
        """Set a person's names, and let a deactivated one in again."""
        asked, known = ask.payload, self.people.get(ask.payload.user_id)
        data = {
            "userId": asked.user_id,
            "firstName": asked.first_name,
            "lastName": asked.last_name or "",
            "email": asked.email if asked.email is not None else known.email if known else "",
            "active": asked.active,
        }
        effects = [] if asked.active else [Do("disconnect", {"userId": asked.user_id})]
        info = UserInfo(
            userId=asked.user_id,
            id=asked.user_id,
            firstName=asked.first_name,
            lastName=asked.last_name or "",
            email=str(data["email"]),
            isActive=asked.active,
        )
        return Outcome([Fact("user.put", data)], {**info}, effects)

    @changing(
        "user.deactivate",
        needs="users:manage",
        creates=True,
        returns=Deactivated,
        rest="POST /users/{userId}/deactivate",
    )
    def deactivate(self, ask: Ask[OneUser]) -> Outcome:
        """Refuse a person from now on, whether met before or not, and cut off their connections."""
        user_id = ask.payload.user_id
        fact = Fact("user.deactivated", {"userId": user_id})
        return Outcome([fact], {"userId": user_id}, [Do("disconnect", {"userId": user_id})])

    @applies("user.met")
    def _on_met(self, data: dict[str, JSON], at_ms: int) -> None:
        known = self.people.get(data["userId"])
        active = known.active if known else True
        self.people[data["userId"]] = Profile(data["firstName"], data["lastName"], data["email"], active)

    @applies("user.put")
    def _on_put(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people[data["userId"]] = Profile(
            data["firstName"], data["lastName"], data["email"], data["active"], set_here=True
        )

    @applies("user.deactivated")
    def _on_deactivated(self, data: dict[str, JSON], at_ms: int) -> None:
        self.people.setdefault(data["userId"], Profile("", "", "")).active = False
