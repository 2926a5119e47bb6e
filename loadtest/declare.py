"""What a scenario declares about its users: what they do and how often, how long they wait, what they listen to.

The names are Locust's where Locust has them. What differs is time: a wait counts from the *intended* time of the act
before it and not from its end, so that a slow server does not slow down those who load it (an open model).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from itertools import accumulate
from random import Random
from typing import Any, Protocol, TypeVar, overload

TASK_MARK = "__loadtest_weight__"
EVENTS_MARK = "__loadtest_events__"

Act = Callable[[Any], Awaitable[None]]
Wait = Callable[[Any], float]
A = TypeVar("A", bound=Act)
H = TypeVar("H", bound=Callable[..., Any])


class HasDice(Protocol):
    """Whoever waits has dice of their own."""

    random: Random


@overload
def task(weight: A, /) -> A: ...


@overload
def task(weight: int = 1, /) -> Callable[[A], A]: ...


def task(weight: Any = 1, /) -> Any:
    """Something that a user does again and again: `@task`, or `@task(10)` for ten times as often as `@task(1)`."""
    if callable(weight):
        return task(1)(weight)
    if not isinstance(weight, int) or weight < 1:
        raise ValueError(f"a task's weight is a whole number from 1 on, not {weight!r}")

    def mark(function: A) -> A:
        setattr(function, TASK_MARK, weight)
        return function

    return mark


def on(*events: str) -> Callable[[H], H]:
    """Called with the payload of every such push, `def` or `async def`; only pushes that have a handler are decoded."""

    def mark(function: H) -> H:
        setattr(function, EVENTS_MARK, (*getattr(function, EVENTS_MARK, ()), *events))
        return function

    return mark


def between(shortest_s: float, longest_s: float) -> Wait:
    """From one act to the next it is anything between so many seconds."""
    if not 0 <= shortest_s <= longest_s:
        raise ValueError(f"between({shortest_s}, {longest_s}): the shorter wait comes first, and none is negative")

    def wait(user: HasDice) -> float:
        return user.random.uniform(shortest_s, longest_s)

    return wait


def constant(wait_s: float) -> Wait:
    """From one act to the next it is always so many seconds; 0 is as fast as the answers come (a closed model)."""
    if wait_s < 0:
        raise ValueError(f"constant({wait_s}): nobody waits for less than no time")

    def wait(_: HasDice) -> float:
        return wait_s

    return wait


def constant_pacing(wait_s: float) -> Wait:
    """Locust's name for acts at a fixed pace; here every wait counts from the intended time, so it is `constant`."""
    return constant(wait_s)


class Weighting:
    """Draws among things in proportion to their weights."""

    __slots__ = ("_sums", "things")

    def __init__(self, weighted: Iterable[tuple[Any, int]]) -> None:
        pairs = list(weighted)
        self.things = [thing for thing, _ in pairs]
        self._sums = list(accumulate(weight for _, weight in pairs))

    def __bool__(self) -> bool:
        return bool(self.things)

    def draw(self, dice: Random) -> Any:
        """One of them."""
        return dice.choices(self.things, cum_weights=self._sums)[0]


def tasks_of(cls: type) -> Weighting:
    """The tasks of a user class and of those it is made from; what a subclass writes anew counts once."""
    return Weighting(
        (name, getattr(function, TASK_MARK)) for name, function in _members(cls).items() if hasattr(function, TASK_MARK)
    )


def handlers_of(cls: type) -> dict[str, tuple[str, ...]]:
    """Event → names of the methods that want to hear it."""
    found: dict[str, tuple[str, ...]] = {}
    for name, function in _members(cls).items():
        for event in getattr(function, EVENTS_MARK, ()):
            found[event] = (*found.get(event, ()), name)
    return found


def _members(cls: type) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        merged.update(vars(base))
    return merged
