"""The table of contract 1 is whole: each of its events is declared by a feature and proven by a test."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from livehub.contracts.events import NAMESPACE
from livehub.contracts.inventory import Inventory
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from tests.endtoend.forms import FORMS
from tests.endtoend.table import TABLE

HERE = Path(__file__).parent

CONTRACT = """
    connectionAcknowledged systemError session.join session.leave
    chat.message.send chat.message.edit chat.message.delete chat.message.react
    chat.message.new chat.message.updated chat.message.deleted
    poll.create poll.vote.submit poll.manage poll.giveaway.start
    poll.opened poll.results.updated poll.closed poll.giveaway.winner
    qa.question.ask qna.question.upvote qna.question.moderate qna.question.answer qna.question.tag
    qa.question.new qna.question.updated qna.question.removed moderation.alert
    dm.send dm.delivered dm.read dm.message.edit dm.message.delete
    dm.new dm.delivery_update dm.read_update dm.message.updated dm.message.deleted
    reaction.send reaction.burst mood.analytics.updated
    leaderboard.request leaderboard.updated team.leaderboard.updated achievement.unlocked gamification.points.awarded
    dashboard.join dashboard.update dashboard.capacity.updated dashboard.metrics.updated
    notification.session_reminder notification.personal notification.emergency notification.schedule_change
    content.control content.request_state content.drop slide.update content.dropped presentation.status.update
    agenda.update
"""
"""Contract 1, §1 to §13, name by name."""

BEYOND = """
    event.join event.leave dashboard.leave notification.ack notification.ack.updated
    team.create team.join team.leave dm.block dm.unblock
    session.snapshot event.snapshot dashboard.snapshot
"""
"""What was settled beside it (contracts, points 17, 19 and 21)."""


@cache
def written(section: str) -> set[str]:
    tree = ast.parse((HERE / f"test_contract_{section}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}


def test_every_event_of_the_contract_is_in_the_table_once() -> None:
    assert sorted(row.event for row in TABLE) == sorted([*CONTRACT.split(), *BEYOND.split()])


def test_every_event_of_the_table_is_declared() -> None:
    """What features say beyond the contract needs no row: a new feature is one file and its test."""
    spoken = Inventory(Catalog(discover()), NAMESPACE)
    asked, told = {asked.name for asked in spoken.asked}, {told.name for told in spoken.told}
    assert {row.event for row in TABLE if row.sender == "client"} <= asked
    assert {row.event for row in TABLE if row.sender == "server"} <= told


def test_every_event_of_the_table_names_a_test_that_is_there() -> None:
    for row in TABLE:
        assert row.test in written(row.section), f"{row.event}: no {row.test} in test_contract_{row.section}.py"


def test_every_event_that_clients_send_has_a_form() -> None:
    assert FORMS.keys() == {row.event for row in TABLE if row.sender == "client"}
