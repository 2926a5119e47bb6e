"""Seats: several connections of one person are one person, who comes with the first and goes with the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livehub.feature import Person
from livehub.rooms.peer import Peer, Seat
from livehub.rooms.seats import Seats
from tests.kit import ANNA, BEN, ears

SEAT = Seat("session:s1", ("session:s1",))
MOVES = st.lists(st.tuples(st.sampled_from(["take", "leave"]), st.integers(0, 5)), max_size=60)


def device(who: Person, number: int) -> Peer:
    return ears(who, sid=f"{who.id}-{number}").peer


def test_a_person_comes_with_the_first_connection_and_goes_with_the_last() -> None:
    seats, phone, laptop = Seats(), device(ANNA, 1), device(ANNA, 2)
    assert seats.take(phone, SEAT)
    assert not seats.take(laptop, SEAT)
    assert not seats.leave(phone)
    assert seats.people == {"anna"}
    assert seats.leave(laptop)
    assert seats.people == set()


def test_another_person_is_news_of_their_own() -> None:
    seats = Seats()
    assert seats.take(device(ANNA, 1), SEAT)
    assert seats.take(device(BEN, 1), SEAT)
    assert seats.people == {"anna", "ben"}


def test_taking_another_seat_is_no_news_and_is_given_up_once() -> None:
    seats, phone = Seats(), device(ANNA, 1)
    better = Seat("session:s1", ("session:s1#staff", "session:s1"))
    assert seats.take(phone, SEAT)
    assert not seats.take(phone, better)
    assert seats[phone] is better
    assert seats.leave(phone)


def test_whoever_has_no_seat_cannot_leave_it() -> None:
    seats, phone = Seats(), device(ANNA, 1)
    assert not seats.leave(phone)
    seats.take(phone, SEAT)
    assert not seats.leave(device(ANNA, 2)), "somebody else's connection, or an older one"
    assert seats.leave(phone)
    assert not seats.leave(phone)


def test_somebody_who_went_comes_again() -> None:
    seats, phone = Seats(), device(ANNA, 1)
    for _ in range(3):
        assert seats.take(phone, SEAT)
        assert seats.leave(phone)
    assert len(seats) == 0


def test_who_was_here_does_not_change_afterwards() -> None:
    seats = Seats()
    seats.take(device(ANNA, 1), SEAT)
    before = seats.people
    seats.take(device(BEN, 1), SEAT)
    assert before == {"anna"}


@given(MOVES)
def test_people_are_whoever_has_a_connection_here(moves: list[tuple[str, int]]) -> None:
    seats = Seats()
    peers = [device(who, number) for who in (ANNA, BEN) for number in range(3)]
    for move, place in moves:
        before = {peer.person.id for peer in seats}
        news = seats.take(peers[place], SEAT) if move == "take" else seats.leave(peers[place])
        after = {peer.person.id for peer in seats}
        assert seats.people == after
        assert news == (before != after)
