"""What a feature declares: commands, routes, events and views, as data that the gate, rooms and documents read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypedDict

from livehub.ask import EVERYONE, JSON
from livehub.payload import Rate

VIEW_EVERY_S = 0.25
"""A view is shown at most four times a second."""


class Seating(Enum):
    """What a command has to do with the asker's seat in the room."""

    NEEDED = "needed"  # must have joined
    TAKES = "takes"  # joins
    LEAVES = "leaves"  # leaves; who is not there is not refused
    MEMBER = "member"  # must be known to the room (`Feature.admits`), now connected or not
    FREE = "free"  # anybody, also without a connection


MOVES = (Seating.TAKES, Seating.LEAVES)
"""What changes a seat."""


class Key(Enum):
    """Whether a command takes an idempotency key."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Done(TypedDict):
    """The reply of a command that tells nothing beside its success."""


class Via(Enum):
    """Which doors lead to a command."""

    SOCKET = "socket"
    REST = "rest"
    BOTH = "both"
    CONTRACT = "contract"  # another vocabulary than that of `/events`
    INSIDE = "inside"  # timers, tells and done work only


@dataclass(frozen=True, slots=True)
class Route:
    """Where REST finds a command: method, path below `/api` and the status of success.

    A part of the path in braces is the room's id if it is what the room is named by, else a field of the payload.
    """

    method: str
    path: str
    status: int = 200

    @classmethod
    def parse(cls, text: str) -> Route:
        """`"GET /sessions/{sessionId}"` or `"POST /sessions 201"`."""
        method, path, *status = text.split()
        return cls(method, path, int(status[0]) if status else 200)


@dataclass(frozen=True, slots=True)
class Command:
    """One declared command: all that the gate and the documents need to know of it."""

    name: str
    method: str
    room: str
    named_by: str
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
    overview: bool = False  # the reply is what all features of the room have to show (`Feature.overview`)
    returns: Any = None  # type of the reply, a TypedDict; None for what only livehub itself asks
    rest: Route | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What of an event is each receiver's own: `method(key, who)` of the feature, a short JSON value.

    Those with the same value share one encoding, so it must be one of a few. `fit` makes the payload for a value;
    without it the value is the payload's field `field`. In a fact, `key` names the field of its data whose value is the
    method's `key`; in a view it is the view's key.
    """

    field: str
    method: str
    key: str = ""
    fit: Callable[[dict[str, JSON], JSON], dict[str, JSON]] | None = None

    def fitted(self, payload: dict[str, JSON], value: JSON) -> dict[str, JSON]:
        """The payload for receivers of whom this value is told."""
        return {**payload, self.field: value} if self.fit is None else self.fit(payload, value)


@dataclass(frozen=True, slots=True)
class Emits:
    """One event that the server sends. Facts of the kinds in `of` (else of its name) become it through `render`,

    which is given the fact's data and the audience that will hear it (as `to` names it; all of a room is `""`), and may
    answer None: not for them.
    """

    name: str
    type: Any
    doc: str
    of: tuple[str, ...] = ()
    to: str | tuple[str, ...] = EVERYONE
    render: Callable[[dict[str, JSON], str], JSON] | None = None
    own: Own | None = None

    @property
    def audiences(self) -> tuple[str, ...]:
        """All of `to`: parts of the room, or whole names such as `user("{userId}")`."""
        return (self.to,) if isinstance(self.to, str) else self.to


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """State worth knowing only in its latest form: made anew after facts of `after`, per `key` of theirs, conflated.

    Each is itself alone: every fact looks its views up, and a hash over all that they declare takes 0.7 µs.
    """

    name: str
    method: str
    after: tuple[str, ...]
    key: str
    to: str
    own: Own | None
    whom: str
    every_s: float
