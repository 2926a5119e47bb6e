"""Every event of contract 4, once, with the test that proves it.

A client event is proven by a test in which it was sent and acked as the contract says; a server event by one in which
it was heard with the right payload, by all who should hear it and by nobody else. `tests.endtoend.assembly` keeps the
record, and a test that did not see what it is named for here fails.
"""

from __future__ import annotations

CONTRACT = """
    connection:established connection:reconnected connection:heartbeat
    session:created session:started session:ended
    poll:created poll:activated poll:closed
    vote:submitted vote:accepted vote:rejected
    participant:joined participant:disconnected
    error:general
"""
"""Contract 4, name by name."""

BEYOND = """
    session:state poll:updated poll:reordered poll:deactivated poll:reset
"""
"""What was settled beside it (contracts, points 28, 29 and 32) or follows from the state machine of polls."""

TABLE = {
    "connection:established": "test_whoever_connects_is_told_their_connection_and_the_state",
    "session:state": "test_whoever_connects_is_told_their_connection_and_the_state",
    "connection:reconnected": "test_whoever_comes_back_with_an_event_id_is_told_what_followed_it",
    "connection:heartbeat": "test_heartbeats_go_both_ways",
    "session:created": "test_a_new_session_is_told_to_its_presenter",
    "session:started": "test_a_session_is_started_and_ended",
    "session:ended": "test_a_session_is_started_and_ended",
    "poll:created": "test_a_poll_is_written_changed_and_put_in_order",
    "poll:updated": "test_a_poll_is_written_changed_and_put_in_order",
    "poll:reordered": "test_a_poll_is_written_changed_and_put_in_order",
    "poll:activated": "test_every_transition_of_a_poll_has_its_event",
    "poll:deactivated": "test_every_transition_of_a_poll_has_its_event",
    "poll:closed": "test_every_transition_of_a_poll_has_its_event",
    "poll:reset": "test_every_transition_of_a_poll_has_its_event",
    "vote:submitted": "test_a_vote_is_confirmed_to_its_voter_and_counted_for_all",
    "vote:accepted": "test_a_vote_is_confirmed_to_its_voter_and_counted_for_all",
    "vote:rejected": "test_a_vote_that_does_not_count_is_rejected_to_its_voter_alone",
    "participant:joined": "test_participants_come_and_go",
    "participant:disconnected": "test_participants_come_and_go",
    "error:general": "test_what_cannot_be_understood_is_an_error_to_its_sender_alone",
}
"""Event → its test in test_polling_contract.py."""


def to_prove(test: str) -> frozenset[str]:
    """The events whose proof is this test."""
    return frozenset(event for event, proof in TABLE.items() if proof == test)
