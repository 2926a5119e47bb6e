"""A ticket is worth something only to the person and in the namespace it was written for, and only unchanged."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.rooms.tickets import SID_BYTES, TICKET_CHARS, Ticket, read_ticket, write_ticket

SECRET = b"s" * 32
TICKET = Ticket(urlsafe_b64encode(bytes(range(SID_BYTES))).decode(), 1_767_225_600_000)
PID = write_ticket(SECRET, TICKET, "/events", "anna")


def test_a_ticket_comes_back_as_it_was() -> None:
    assert read_ticket(SECRET, PID, "/events", "anna") == TICKET


def test_a_ticket_does_not_show_another_namespace_person_or_hub() -> None:
    assert read_ticket(SECRET, PID, "/live", "anna") is None
    assert read_ticket(SECRET, PID, "/events", "ben") is None
    assert read_ticket(b"t" * 32, PID, "/events", "anna") is None


def test_namespace_and_person_do_not_run_together() -> None:
    pid = write_ticket(SECRET, TICKET, "/events", "x")
    assert read_ticket(SECRET, pid, "/event", "sx") is None


@pytest.mark.parametrize("place", range(TICKET_CHARS))
def test_a_changed_ticket_is_refused(place: int) -> None:
    other = "A" if PID[place] != "A" else "B"
    assert read_ticket(SECRET, PID[:place] + other + PID[place + 1 :], "/events", "anna") is None


@pytest.mark.parametrize("pid", [None, 5, [], {}, "", "x", PID[:-1], PID + "A", "=" * TICKET_CHARS, "é" * TICKET_CHARS])
def test_what_is_no_ticket_is_refused_quietly(pid: object) -> None:
    assert read_ticket(SECRET, pid, "/events", "anna") is None


@given(st.text(min_size=TICKET_CHARS, max_size=TICKET_CHARS))
def test_no_text_of_the_right_length_is_taken_for_a_ticket(text: str) -> None:
    assert read_ticket(SECRET, text, "/events", "anna") is None


def test_a_ticket_hides_nothing_in_its_length() -> None:
    assert len(PID) == TICKET_CHARS == 52
    assert len(TICKET.sid) == 20
