"""Two features that declare a little of everything that documents tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NotRequired, TypedDict

from livehub.contracts.inventory import Asked, Inventory, Told
from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Emits,
    Empty,
    Feature,
    Fields,
    Items,
    Key,
    Outcome,
    OutsideId,
    Own,
    Person,
    Seating,
    Text,
    Uuid,
    Via,
    Whole,
    command,
    internal,
    payload,
    user,
    view,
)
from livehub.rooms.catalog import Catalog

NAMESPACE = "/toys"


@payload
class Part:
    """One part of a toy."""

    part_name: Annotated[str, Text(20)]
    weight_g: Annotated[int, Whole(0, 900)] = 5


@payload
class MakeToy:
    """What a toy is made of."""

    name: Annotated[str, Text(20)]
    kind: Literal["car", "doll"]
    parts: Annotated[list[Part], Items(1, 3)]
    owner_id: OutsideId | None = None
    secret: bool = False
    more: Annotated[dict[str, Any], Fields(100)] | None = None


@payload
class OneToy:
    """Names a toy."""

    toy_id: Uuid


@payload
class Page:
    """Which toys to show."""

    before: Uuid | None = None
    limit: Annotated[int, Whole(1, 50)] = 10


class Toy(TypedDict):
    """A toy; its parts are toys again."""

    id: str
    name: str
    kind: Literal["car", "doll"]
    parts: list[Toy]
    ownerId: str | None
    votes: NotRequired[dict[str, int]]


class ToyMade(TypedDict):
    """Which toy it is now."""

    toyId: str


class Toys(TypedDict):
    """All toys */ that there are."""

    toys: list[Toy]


class Sat(TypedDict):
    """Where one sits."""

    sessionId: str


class Broken(TypedDict):
    """What broke."""

    toyId: str


@dataclass
class Box(Feature):
    """A box of toys.

    This is not for the reader of documents.
    """

    name: ClassVar[str] = "box"
    audiences: ClassVar[Mapping[str, str]] = {":staff": "toys:mend", EVERYONE: ""}
    emits = (
        Emits("toy.new", Toy, "A toy | is there.", own=Own("ownerId", "owner", key="toyId")),
        Emits("toy.broken", Broken, "A toy broke.", of=("toy.fell",)),
        Emits("toy.broken", Toys, "All broke.", of=("box.fell",), to=":staff"),
        Emits("toy.count", dict[str, int], "How many."),
        Emits("toy.yours", ToyMade, "It is yours.", to=user("{userId}")),
    )

    @command("box.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True, returns=Sat)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Sit at the box."""
        return Outcome()

    @command("toy.make", needs=("toys:make", "toys:mend"), rate="5/10s", returns=ToyMade)
    def make(self, ask: Ask[MakeToy]) -> Outcome:
        """Make a toy.

        It is there at once.
        """
        return Outcome()

    @command("toy.hug", returns=ToyMade, via=Via.BOTH, rest="POST /sessions/{sessionId}/toys/{toyId}/hug 202")
    def hug(self, ask: Ask[OneToy]) -> Outcome:
        """Hug a toy."""
        return Outcome()

    @command("toy.drop", key=Key.OPTIONAL)
    def drop(self, ask: Ask[OneToy]) -> Outcome:
        """Drop a toy."""
        return Outcome()

    @command(
        "toy.list",
        key=Key.OPTIONAL,
        seat=Seating.MEMBER,
        instead="toys:mend",
        via=Via.REST,
        reads=True,
        rate="50/s",
        returns=Toys,
        rest="GET /sessions/{sessionId}/toys",
    )
    def listed(self, ask: Ask[Page]) -> Outcome:
        """Show toys."""
        return Outcome()

    @internal("toy.rusted")
    def rusted(self, ask: Ask[Broken]) -> Outcome:
        """Time goes by."""
        return Outcome()

    def snapshot(self, who: Person) -> Toys:
        """All of them."""
        return {"toys": []}

    @view("toy.count", after=("toy.new",))
    def count(self, key: str) -> JSON:
        """How many."""
        return {"car": 1}


@dataclass
class Lid(Feature):
    """The lid of a box."""

    name: ClassVar[str] = "lid"

    @command(
        "box.make",
        needs="toys:mend",
        key=Key.OPTIONAL,
        seat=Seating.FREE,
        via=Via.REST,
        creates=True,
        returns=Sat,
        rest="POST /sessions 201",
    )
    def make(self, ask: Ask[Empty]) -> Outcome:
        """Make a box."""
        return Outcome()

    @command("lid.open")
    def open(self, ask: Ask[Empty]) -> Outcome:
        """Open the lid."""
        return Outcome()

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """Whether it is open."""
        return {"lidOpen": False}


def inventory() -> Inventory:
    """What can be said of toys."""
    return Inventory(catalog(), NAMESPACE)


def catalog() -> Catalog:
    """Both features."""
    return Catalog([Box, Lid])


def asked(name: str) -> Asked:
    """One event that clients send."""
    return next(one for one in inventory().asked if one.name == name)


def told(name: str) -> Told:
    """One event that the server sends."""
    return next(one for one in inventory().told if one.name == name)
