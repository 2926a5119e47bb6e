"""Every event of contract 1, once, with the test that proves it.

A client event is proven by a test in which it was sent and acked as the contract says (and refused as it says, here and
in `test_contract_refusals.py`); a server event by one in which it was heard with the right payload, by all who should
hear it and by nobody else. `tests.endtoend.cast` keeps the record, and a test that did not see what it is named for
here fails.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Direction: TypeAlias = Literal["client", "server"]


class Row(NamedTuple):
    """One event: who sends it, and where its proof is."""

    event: str
    sender: Direction
    section: str  # the proof is in test_contract_{section}.py
    test: str


TABLE = (
    # The connection and its rooms, §1 to §3 and §12
    Row("connectionAcknowledged", "server", "sessions", "test_whoever_connects_is_told_whom_they_are_taken_for"),
    Row("systemError", "server", "sessions", "test_whoever_is_not_let_in_is_told_why_and_shown_out"),
    Row("session.join", "client", "sessions", "test_joining_seats_one_connection_and_nobody_else_hears_of_it"),
    Row("session.snapshot", "server", "sessions", "test_joining_seats_one_connection_and_nobody_else_hears_of_it"),
    Row("session.leave", "client", "sessions", "test_whoever_left_hears_nothing_more_of_the_session"),
    Row("event.join", "client", "sessions", "test_joining_an_event_is_joining_no_session"),
    Row("event.snapshot", "server", "sessions", "test_joining_an_event_is_joining_no_session"),
    Row("event.leave", "client", "sessions", "test_whoever_left_hears_nothing_more_of_the_event"),
    # Chat, §4
    Row("chat.message.send", "client", "chat", "test_a_message_and_a_reply_reach_everybody_in_the_session"),
    Row("chat.message.new", "server", "chat", "test_a_message_and_a_reply_reach_everybody_in_the_session"),
    Row("chat.message.edit", "client", "chat", "test_an_author_edits_their_message"),
    Row("chat.message.updated", "server", "chat", "test_an_author_edits_their_message"),
    Row("chat.message.react", "client", "chat", "test_a_reaction_is_a_toggle"),
    Row("chat.message.delete", "client", "chat", "test_deleting_takes_the_permission_for_ones_own_or_for_any"),
    Row("chat.message.deleted", "server", "chat", "test_deleting_takes_the_permission_for_ones_own_or_for_any"),
    # Polls, §5
    Row("poll.create", "client", "polls", "test_a_poll_is_opened_to_everybody_in_the_session"),
    Row("poll.opened", "server", "polls", "test_a_poll_is_opened_to_everybody_in_the_session"),
    Row("poll.vote.submit", "client", "polls", "test_votes_are_counted_and_each_sees_their_own"),
    Row("poll.results.updated", "server", "polls", "test_votes_are_counted_and_each_sees_their_own"),
    Row("poll.manage", "client", "polls", "test_a_closed_poll_shows_its_final_results_and_takes_no_votes"),
    Row("poll.closed", "server", "polls", "test_a_closed_poll_shows_its_final_results_and_takes_no_votes"),
    Row("poll.giveaway.start", "client", "polls", "test_a_giveaway_draws_each_voter_of_the_option_once"),
    Row("poll.giveaway.winner", "server", "polls", "test_a_giveaway_draws_each_voter_of_the_option_once"),
    # Q&A, §6
    Row("qa.question.ask", "client", "qa", "test_a_question_is_public_and_its_address_for_moderators"),
    Row("qa.question.new", "server", "qa", "test_a_question_is_public_and_its_address_for_moderators"),
    Row("qna.question.upvote", "client", "qa", "test_an_upvote_is_a_toggle"),
    Row("qna.question.updated", "server", "qa", "test_an_upvote_is_a_toggle"),
    Row("qna.question.moderate", "client", "qa", "test_moderators_approve_and_dismiss"),
    Row("qna.question.removed", "server", "qa", "test_moderators_approve_and_dismiss"),
    Row("qna.question.answer", "client", "qa", "test_moderators_answer_and_tag"),
    Row("qna.question.tag", "client", "qa", "test_moderators_answer_and_tag"),
    Row("moderation.alert", "server", "qa", "test_moderators_alone_hear_of_what_is_held_or_flagged"),
    # Direct messages, §7
    Row("dm.send", "client", "dms", "test_a_message_reaches_every_device_of_its_recipient"),
    Row("dm.new", "server", "dms", "test_a_message_reaches_every_device_of_its_recipient"),
    Row("dm.delivered", "client", "dms", "test_receipts_go_to_every_device_of_the_sender"),
    Row("dm.delivery_update", "server", "dms", "test_receipts_go_to_every_device_of_the_sender"),
    Row("dm.read", "client", "dms", "test_receipts_go_to_every_device_of_the_sender"),
    Row("dm.read_update", "server", "dms", "test_receipts_go_to_every_device_of_the_sender"),
    Row("dm.message.edit", "client", "dms", "test_edits_and_deletions_are_shown_to_both_sides"),
    Row("dm.message.updated", "server", "dms", "test_edits_and_deletions_are_shown_to_both_sides"),
    Row("dm.message.delete", "client", "dms", "test_edits_and_deletions_are_shown_to_both_sides"),
    Row("dm.message.deleted", "server", "dms", "test_edits_and_deletions_are_shown_to_both_sides"),
    Row("dm.block", "client", "dms", "test_whoever_is_blocked_cannot_write_until_they_are_unblocked"),
    Row("dm.unblock", "client", "dms", "test_whoever_is_blocked_cannot_write_until_they_are_unblocked"),
    # Reactions, §8
    Row("reaction.send", "client", "reactions", "test_a_burst_counts_every_emoji_that_is_allowed"),
    Row("reaction.burst", "server", "reactions", "test_a_burst_counts_every_emoji_that_is_allowed"),
    Row("mood.analytics.updated", "server", "reactions", "test_the_mood_is_that_of_the_latest_reactions"),
    # Points, §9
    Row("leaderboard.request", "client", "gamification", "test_the_leaderboard_ranks_who_earned_something"),
    Row("leaderboard.updated", "server", "gamification", "test_the_leaderboard_ranks_who_earned_something"),
    Row(
        "gamification.points.awarded", "server", "gamification", "test_every_deed_is_worth_its_points_to_its_doer_alone"
    ),
    Row(
        "achievement.unlocked", "server", "gamification", "test_achievements_are_unlocked_once_and_told_to_nobody_else"
    ),
    Row("team.create", "client", "gamification", "test_teams_have_the_points_of_their_members"),
    Row("team.join", "client", "gamification", "test_teams_have_the_points_of_their_members"),
    Row("team.leave", "client", "gamification", "test_teams_have_the_points_of_their_members"),
    Row("team.leaderboard.updated", "server", "gamification", "test_teams_have_the_points_of_their_members"),
    # Dashboard, §10
    Row("dashboard.join", "client", "dashboard", "test_the_dashboard_counts_its_own_event_for_who_watches_it"),
    Row("dashboard.snapshot", "server", "dashboard", "test_the_dashboard_counts_its_own_event_for_who_watches_it"),
    Row("dashboard.update", "server", "dashboard", "test_the_dashboard_counts_its_own_event_for_who_watches_it"),
    Row("dashboard.leave", "client", "dashboard", "test_whoever_stopped_watching_hears_nothing_more"),
    Row("dashboard.capacity.updated", "server", "dashboard", "test_capacity_is_shown_as_a_backend_tells_it"),
    Row("dashboard.metrics.updated", "server", "dashboard", "test_metrics_reach_the_dashboards_of_their_organisation"),
    # Notifications, §11
    Row("notification.session_reminder", "server", "notifications", "test_whoever_joined_is_reminded_of_the_start"),
    Row("notification.personal", "server", "notifications", "test_a_personal_notification_reaches_one_person"),
    Row("notification.emergency", "server", "notifications", "test_an_emergency_reaches_the_event_and_its_sessions"),
    Row("notification.ack", "client", "notifications", "test_the_sender_of_an_emergency_sees_who_confirmed_it"),
    Row("notification.ack.updated", "server", "notifications", "test_the_sender_of_an_emergency_sees_who_confirmed_it"),
    Row("notification.schedule_change", "server", "agenda", "test_a_change_of_plan_is_told_to_the_event"),
    # Content, §12
    Row("content.control", "client", "content", "test_a_speaker_moves_the_slides_of_everybody"),
    Row("slide.update", "server", "content", "test_a_speaker_moves_the_slides_of_everybody"),
    Row("content.request_state", "client", "content", "test_whoever_comes_late_asks_for_the_state"),
    Row("content.drop", "client", "content", "test_a_link_is_dropped_to_everybody_in_the_session"),
    Row("content.dropped", "server", "content", "test_a_link_is_dropped_to_everybody_in_the_session"),
    Row("presentation.status.update", "server", "content", "test_the_uploader_hears_what_became_of_the_upload"),
    # Agenda, §13
    Row("agenda.update", "server", "agenda", "test_the_agenda_is_told_to_whoever_joined_the_event"),
)


def to_prove(section: str, test: str) -> set[str]:
    """The events whose proof is this test."""
    return {row.event for row in TABLE if (row.section, row.test) == (section, test)}
