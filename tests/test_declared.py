"""What features declare, as data: routes, commands, what of an event is each receiver's own, and whom it is for."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from livehub.declared import VIEW_EVERY_S, Command, Emits, Key, Own, Route, Seating, Via, View
from livehub.feature import EVERYONE, JSON, Empty, user


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("GET /sessions/{sessionId}", Route("GET", "/sessions/{sessionId}", 200)),
        ("POST /sessions 201", Route("POST", "/sessions", 201)),
        ("DELETE  /users/{userId}   204", Route("DELETE", "/users/{userId}", 204)),
    ],
)
def test_a_route_is_method_path_and_status(text: str, route: Route) -> None:
    assert Route.parse(text) == route


@pytest.mark.parametrize("text", ["", "GET", "GET /x two"])
def test_a_route_that_is_none_fails_when_it_is_declared(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|literal"):
        Route.parse(text)


def test_a_command_is_closed_unless_it_says_otherwise() -> None:
    plain = Command("x.do", "do", "session", "sessionId", Empty, "Do it.")
    assert (plain.key, plain.seat, plain.via) == (Key.REQUIRED, Seating.NEEDED, Via.SOCKET)
    assert (plain.needs, plain.instead, plain.rate, plain.returns, plain.rest) == ((), "", None, None, None)
    assert not any((plain.creates, plain.reads, plain.overview))


def test_a_declaration_does_not_change() -> None:
    """The gate, rooms and documents all hold it."""
    route = Route("GET", "/x")
    with pytest.raises(FrozenInstanceError):
        route.status = 500  # type: ignore[misc]  # what must not work


def test_what_is_ones_own_is_a_field_of_the_payload() -> None:
    own, payload = Own("mine", "method"), {"all": 1, "mine": None}
    assert own.fitted(payload, 2) == {"all": 1, "mine": 2}
    assert payload == {"all": 1, "mine": None}, "others are told the same payload with a value of theirs"


def test_what_is_ones_own_may_shape_the_whole_payload() -> None:
    def fit(payload: dict[str, JSON], value: JSON) -> dict[str, JSON]:
        return {"n": payload["n"] * value}

    assert Own("mine", "method", key="id", fit=fit).fitted({"n": 2}, 3) == {"n": 6}


def test_an_event_is_for_everyone_for_one_part_or_for_several() -> None:
    assert Emits("x", dict, "It was done.").audiences == (EVERYONE,)
    assert Emits("x", dict, "It was done.", to=":staff").audiences == (":staff",)
    several = (user("{userId}"), ":staff")
    assert Emits("x", dict, "It was done.", to=several).audiences == several


def test_views_and_commands_can_be_keys() -> None:
    """Rooms remember what is due by view, and count by command. All rooms of a kind share their views."""
    one, other = (View("x", "show", ("y",), "id", EVERYONE, None, "", VIEW_EVERY_S) for _ in range(2))
    assert ({one: 1}[one], other in {one: 1}) == (1, False)
    made = [Command("x.do", "do", "session", "sessionId", Empty, "", needs=("a",), via=Via.BOTH) for _ in range(2)]
    assert len({*made}) == 1
    assert VIEW_EVERY_S == 0.25, "at most four times a second (contracts, point 9)"


def test_doors_and_seats_are_told_apart() -> None:
    assert {via.value for via in Via} == {"socket", "rest", "both", "contract", "inside"}
    assert len({seat.value for seat in Seating}) == len(Seating) == 5
