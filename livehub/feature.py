"""The contract between a room and its features: what can come in, what can go out, and how both are declared.

A feature is a dataclass: its fields are its state. Its *commands* read the state and refuse or return facts; its
*applies* methods fold facts into the state and are the only place where it changes. Nothing here awaits, reads a
clock or rolls dice: time, ids and seeds arrive with the ask. So the log can rebuild every room, and every feature is
tested as plain functions.

Asks and outcomes are in `livehub.ask`, payload types and their limits in `livehub.payload`; this module offers both
again: a feature imports only this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
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
    user,
)
from livehub.errors import Refused
from livehub.payload import (
    Emoji,
    Empty,
    Items,
    OutsideId,
    Rate,
    Text,
    Uuid,
    Whole,
    payload,
    setting,
)

__all__ = [
    "EVERYONE",
    "JSON",
    "SYSTEM",
    "After",
    "Ask",
    "Burst",
    "Cancel",
    "Command",
    "Do",
    "Effect",
    "Emits",
    "Emoji",
    "Empty",
    "Fact",
    "Feature",
    "Items",
    "Key",
    "Outcome",
    "OutsideId",
    "Person",
    "Refused",
    "Seating",
    "Tell",
    "Text",
    "Uuid",
    "Via",
    "Whole",
    "applies",
    "command",
    "every",
    "internal",
    "iso",
    "on",
    "payload",
    "setting",
    "user",
    "view",
]

F = TypeVar("F", bound=Callable[..., Any])


class Seating(Enum):
    """What a command has to do with the asker's seat in the room."""

    NEEDED = "needed"  # must have joined
    TAKES = "takes"  # joins
    LEAVES = "leaves"  # leaves; who is not there is not refused
    MEMBER = "member"  # must be known to the room (`Feature.admits`), now connected or not
    FREE = "free"  # anybody, also without a connection


class Key(Enum):
    """Whether a command takes an idempotency key."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Via(Enum):
    """Which doors lead to a command."""

    SOCKET = "socket"
    REST = "rest"
    BOTH = "both"
    INSIDE = "inside"  # timers, tells and done work only


@dataclass(frozen=True, slots=True)
class Command:
    """One declared command: all that the gate and the documents need to know of it."""

    name: str
    method: str
    room: str
    payload: type
    doc: str
    needs: tuple[str, ...] = ()  # one of them is enough
    instead: str = ""  # a permission that stands in for being a member
    rate: Rate | None = None
    key: Key = Key.REQUIRED
    seat: Seating = Seating.NEEDED
    via: Via = Via.SOCKET
    creates: bool = False  # may be asked of a room that does not exist yet
    reads: bool = False  # changes nothing, so it is answered also while the log cannot be written


@dataclass(frozen=True, slots=True)
class Emits:
    """One event that the server sends. Facts of the kinds in `of` (else of its name) become it through `render`,

    which is given the fact's data and the audience that will hear it, and may answer None: not for them.
    """

    name: str
    type: Any
    doc: str
    of: tuple[str, ...] = ()
    to: str = EVERYONE
    render: Callable[[dict[str, JSON], str], JSON] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """State worth knowing only in its latest form: made anew after facts of `after`, per `key` of theirs, conflated."""

    name: str
    method: str
    after: tuple[str, ...]
    key: str
    to: str


@dataclass(eq=True)
class Feature:
    """One part of what a kind of room can do. Subclasses are dataclasses in `livehub/features/`, one file each."""

    name: ClassVar[str]
    room: ClassVar[str] = "session"
    Settings: ClassVar[type[Any] | None] = None
    emits: ClassVar[tuple[Emits, ...]] = ()
    audiences: ClassVar[Mapping[str, str]] = {}  # part of the room → permission that seats one there ("": everyone)
    forgets: ClassVar[frozenset[str]] = frozenset()  # fields changed by facts that are not kept

    room_id: str = ""
    settings: Any = None

    def admits(self, user_id: str) -> bool:
        """Whether this person belongs to the room, by what this feature knows."""
        return False

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """This feature's fields of `session.snapshot` for one person."""
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
) -> Callable[[F], F]:
    """Let clients call this method: `def name(self, ask: Ask[PayloadType]) -> Outcome`, pure, refusing first.

    `rate` is `"5/10s"`: asks per person and time.
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
    }
    return _marker("_command", mark)


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


def view(name: str, *, after: tuple[str, ...], key: str = "", to: str = EVERYONE) -> Callable[[F], F]:
    """Show state: `def name(self, key) -> JSON | None`, at most 4 times a second per value of the field `key`."""
    return _marker("_view", {"name": name, "after": after, "key": key, "to": to})


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
    return Command(method=method, room=cls.room, payload=payload_type, doc=(function.__doc__ or "").strip(), **mark)
