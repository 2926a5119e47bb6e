"""The contract between a room and its features: what can come in, what can go out, and how both are declared.

A feature is a dataclass: its fields are its state. Its *commands* read the state and refuse or return facts; its
*applies* methods fold facts into the state and are the only place where it changes. Nothing here awaits, reads a
clock or rolls dice: time, ids and seeds arrive with the ask. So the log can rebuild every room, and every feature is
tested as plain functions.

Asks and outcomes are in `livehub.ask`, payload types and their limits in `livehub.payload`; this module offers both
again: a feature imports only this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast, get_args, get_type_hints

from livehub.ask import (
    EVERYONE,
    JSON,
    SYSTEM,
    After,
    Ask,
    Burst,
    Cancel,
    Do,
    Effect,
    Fact,
    Outcome,
    Person,
    Tell,
    iso,
    moment_ms,
    user,
)
from livehub.declared import VIEW_EVERY_S, Command, Done, Emits, Key, Own, Route, Seating, Via, View
from livehub.errors import Refused
from livehub.exporting import Table, full_name
from livehub.payload import (
    UUID_V4,
    Emoji,
    Empty,
    Fields,
    Items,
    Moment,
    OutsideId,
    Rate,
    Text,
    Url,
    Uuid,
    Whole,
    payload,
    required,
    setting,
)

__all__ = [
    "EVERYONE",
    "JSON",
    "NOTHING",
    "SYSTEM",
    "UUID_V4",
    "VIEW_EVERY_S",
    "After",
    "Ask",
    "Burst",
    "Cancel",
    "Command",
    "Do",
    "Done",
    "Effect",
    "Emits",
    "Emoji",
    "Empty",
    "Fact",
    "Feature",
    "Fields",
    "Items",
    "Key",
    "Moment",
    "Outcome",
    "OutsideId",
    "Own",
    "Person",
    "Refused",
    "Route",
    "Seating",
    "Table",
    "Tell",
    "Text",
    "Url",
    "Uuid",
    "Via",
    "Whole",
    "applies",
    "changing",
    "command",
    "every",
    "full_name",
    "internal",
    "iso",
    "moment_ms",
    "on",
    "payload",
    "reading",
    "required",
    "setting",
    "user",
    "view",
]

CHANGES_RATE = "100/10s"
"""How often a backend may change one kind of thing."""

F = TypeVar("F", bound=Callable[..., Any])


NOTHING = Outcome()


@dataclass(eq=True)
class Feature:
    """One part of what a kind of room can do. Subclasses are dataclasses in `livehub/features/`, one file each."""

    name: ClassVar[str]
    room: ClassVar[str] = "session"
    named_by: ClassVar[str] = ""  # field that carries the room's id; else `sessionId` for a session, and so on
    Settings: ClassVar[type[Any] | None] = None
    emits: ClassVar[tuple[Emits, ...]] = ()
    audiences: ClassVar[Mapping[str, str]] = {}  # part of the room → permission that seats one there ("": everyone)
    forgets: ClassVar[frozenset[str]] = frozenset()  # fields changed by facts that are not kept

    room_id: str = ""
    settings: Any = None
    share_emails: bool = False  # `[privacy] share_emails`

    def admits(self, user_id: str) -> bool:
        """Whether this person belongs to the room, by what this feature knows."""
        return False

    def part_of(self) -> str:
        """The room that this one belongs to (`event:ID`), by what this feature knows; "" for none."""
        return ""

    def snapshot(self, who: Person) -> Mapping[str, JSON]:
        """This feature's fields of `session.snapshot` (`event.snapshot`, …) for one person, after their join.

        Return a `TypedDict`: the documents are made from it.
        """
        return {}

    def overview(self, who: Person) -> Mapping[str, JSON]:
        """This feature's part of the whole state of its room, as one person may see it."""
        return {}

    def came(self, ask: Ask[None]) -> Outcome:
        """The asker's first connection has just taken a seat here."""
        return NOTHING

    def went(self, ask: Ask[None]) -> Outcome:
        """The asker's last connection here is gone, or has left."""
        return NOTHING

    def reopened(self, ask: Ask[frozenset[str]]) -> Outcome:
        """The room was built from the log; the payload is who sits here now: nobody, after a restart."""
        return NOTHING

    def welcome(self, who: Person) -> Iterable[tuple[str, JSON]]:
        """Events (name, payload) for one connection alone, after its join; in a user's room: after it connected."""
        return ()

    def export(self, at_ms: int) -> Mapping[str, Table]:
        """This feature's tables of the export of its room, by name; `at_ms` is up to when it is made."""
        return {}

    @classmethod
    def commands(cls) -> Iterator[Command]:
        """The declared commands, in the order of the file."""
        for method, mark in _marks(cls, "_command"):
            yield _command_of(cls, method, mark)

    @classmethod
    def appliers(cls) -> Iterator[tuple[str, str]]:
        """(fact kind, method) pairs."""
        return ((kind, method) for method, kinds in _marks(cls, "_applies") for kind in kinds)

    @classmethod
    def listeners(cls) -> Iterator[tuple[str, str]]:
        """(fact kind, method) pairs."""
        return ((kind, method) for method, kinds in _marks(cls, "_on") for kind in kinds)

    @classmethod
    def beats(cls) -> Iterator[tuple[float, str, str | None]]:
        """(seconds, method, audience that must have listeners) of each `every`."""
        return ((seconds, method, heard_by) for method, (seconds, heard_by) in _marks(cls, "_every"))

    @classmethod
    def views(cls) -> Iterator[View]:
        """The declared views."""
        return (View(method=method, **mark) for method, mark in _marks(cls, "_view"))


def command(
    name: str,
    *,
    needs: str | tuple[str, ...] = (),
    instead: str = "",
    rate: str = "",
    key: Key = Key.REQUIRED,
    seat: Seating = Seating.NEEDED,
    via: Via = Via.SOCKET,
    creates: bool = False,
    reads: bool = False,
    overview: bool = False,
    returns: Any = Done,
    rest: str = "",
) -> Callable[[F], F]:
    """Let clients call this method: `def name(self, ask: Ask[PayloadType]) -> Outcome`, pure, refusing first.

    `rate` is `"5/10s"`: asks per person and time. `rest` is a `Route`: `"POST /sessions 201"`. `returns` is the type of
    the reply beside `"success": true`.
    """
    mark = {
        "name": name,
        "needs": (needs,) if isinstance(needs, str) else needs,
        "instead": instead,
        "rate": Rate.parse(rate) if rate else None,
        "key": key,
        "seat": seat,
        "via": via,
        "creates": creates,
        "reads": reads,
        "overview": overview,
        "returns": returns,
        "rest": Route.parse(rest) if rest else None,
    }
    return _marker("_command", mark)


def reading(
    name: str,
    *,
    rest: str,
    returns: Any,
    needs: str | tuple[str, ...] = (),
    seat: Seating = Seating.MEMBER,
    instead: str = "",
    rate: str = "",
    creates: bool = False,
    overview: bool = False,
) -> Callable[[F], F]:
    """Let REST read something: for members of the room, or whoever holds `sessions:manage`, unless said otherwise."""
    if seat is Seating.MEMBER and not instead:
        instead = "sessions:manage"
    return command(
        name,
        needs=needs,
        instead=instead,
        rate=rate,
        key=Key.OPTIONAL,
        seat=seat,
        via=Via.REST,
        creates=creates,
        reads=True,
        overview=overview,
        returns=returns,
        rest=rest,
    )


def changing(
    name: str,
    *,
    needs: str | tuple[str, ...],
    rest: str,
    returns: Any,
    rate: str = CHANGES_RATE,
    creates: bool = False,
) -> Callable[[F], F]:
    """Let backends, operators and presenters change something over REST; they need no seat."""
    return command(
        name,
        needs=needs,
        rate=rate,
        key=Key.OPTIONAL,
        seat=Seating.FREE,
        via=Via.REST,
        creates=creates,
        returns=returns,
        rest=rest,
    )


def internal(name: str) -> Callable[[F], F]:
    """Let `Tell`, `After` and `Do` reach this method; its payload is plain JSON, since livehub itself sent it."""
    mark = {"name": name, "seat": Seating.FREE, "via": Via.INSIDE, "key": Key.OPTIONAL, "creates": True}
    return _marker("_command", mark)


def applies(*kinds: str) -> Callable[[F], F]:
    """Fold facts of these kinds into the state: `def _name(self, data, at_ms) -> None`. Never refuses, never fails."""
    return _marker("_applies", kinds)


def on(*kinds: str) -> Callable[[F], F]:
    """Answer facts of any feature of the room in the same commit: `def name(self, data, ask) -> Outcome`."""
    return _marker("_on", kinds)


def every(seconds: float, heard_by: str | None = None) -> Callable[[F], F]:
    """Call `def name(self, ask) -> Outcome` on a beat while the room is open (and `heard_by` has listeners)."""
    return _marker("_every", (seconds, heard_by))


def view(
    name: str,
    *,
    after: tuple[str, ...],
    key: str = "",
    to: str = EVERYONE,
    own: Own | None = None,
    whom: str = "",
    every_s: float = VIEW_EVERY_S,
) -> Callable[[F], F]:
    """Show state: `def name(self, key) -> JSON | None`, at most every `every_s` per value of the field `key`.

    `whom` names a method `(key) -> audience` where the audience depends on the key; it wins over `to`.
    """
    return _marker(
        "_view", {"name": name, "after": after, "key": key, "to": to, "own": own, "whom": whom, "every_s": every_s}
    )


def _marker(attribute: str, value: object) -> Callable[[F], F]:
    def mark(method: F) -> F:
        setattr(method, attribute, value)
        return method

    return mark


def _marks(cls: type[Feature], attribute: str) -> Iterator[tuple[str, Any]]:
    for name, member in vars(cls).items():
        if (mark := getattr(member, attribute, None)) is not None:
            yield name, mark


def _command_of(cls: type[Feature], method: str, mark: dict[str, Any]) -> Command:
    function = getattr(cls, method)
    asked = get_args(get_type_hints(function, include_extras=True)["ask"])
    payload_type = cast(type, asked[0] if asked else Empty)
    named_by = cls.named_by or f"{cls.room}Id"
    doc = (function.__doc__ or "").strip()
    return Command(method=method, room=cls.room, named_by=named_by, payload=payload_type, doc=doc, **mark)
