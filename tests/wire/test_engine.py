"""The heartbeat and the meaning of packets, told the time: no clock, no task."""

from __future__ import annotations

import pytest

from livehub.wire.engine import Beat, Heartbeat, SessionOver, receive
from livehub.wire.packets import Packet, PacketType


def test_a_ping_is_due_one_interval_after_the_open() -> None:
    heartbeat = Heartbeat(25, 20, 100)
    assert heartbeat.due_s == 125
    assert heartbeat.tick(124.999) is Beat.NOTHING
    assert heartbeat.tick(125) is Beat.PING


def test_a_client_that_never_answers_is_gone_exactly_at_interval_and_timeout() -> None:
    heartbeat = Heartbeat(25, 20, 100)
    heartbeat.tick(125)
    assert heartbeat.due_s == 145
    assert heartbeat.tick(144.999) is Beat.NOTHING
    assert heartbeat.tick(145) is Beat.GONE


def test_a_late_tick_does_not_move_the_deadline() -> None:
    heartbeat = Heartbeat(25, 20, 100)
    assert heartbeat.tick(133) is Beat.PING
    assert heartbeat.due_s == 145


def test_a_tick_far_too_late_still_pings_before_it_gives_up() -> None:
    heartbeat = Heartbeat(25, 20, 100)
    assert heartbeat.tick(500) is Beat.PING
    assert heartbeat.tick(500) is Beat.GONE


@pytest.mark.parametrize("timeout_s", [1, 20, 3600])
def test_the_next_ping_is_due_one_interval_after_the_pong(timeout_s: float) -> None:
    heartbeat = Heartbeat(25, timeout_s, 100)
    for now_s in (125.0, 150.5, 176.0):
        assert heartbeat.tick(now_s) is Beat.PING
        heartbeat.pong(now_s + 0.5)
        assert heartbeat.due_s == now_s + 25.5


def test_a_pong_that_nobody_asked_for_does_not_put_off_the_ping() -> None:
    heartbeat = Heartbeat(25, 20, 100)
    heartbeat.pong(124)
    assert heartbeat.due_s == 125


def test_a_message_is_handed_on() -> None:
    heartbeat = Heartbeat(25, 20, 0)
    assert receive(Packet(PacketType.MESSAGE, "hello"), heartbeat, 1) == "hello"
    assert receive(Packet(PacketType.MESSAGE, b"\x00"), heartbeat, 1) == b"\x00"
    assert receive(Packet(PacketType.MESSAGE, ""), heartbeat, 1) == ""


def test_a_pong_is_for_the_heartbeat() -> None:
    heartbeat = Heartbeat(25, 20, 0)
    heartbeat.tick(25)
    assert receive(Packet(PacketType.PONG, ""), heartbeat, 30) is None
    assert heartbeat.due_s == 55


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (PacketType.CLOSE, "client_close"),
        (PacketType.OPEN, "parse_error"),
        (PacketType.PING, "parse_error"),
        (PacketType.UPGRADE, "parse_error"),
        (PacketType.NOOP, "parse_error"),
    ],
)
def test_everything_else_ends_the_session(kind: PacketType, reason: str) -> None:
    with pytest.raises(SessionOver) as over:
        receive(Packet(kind, ""), Heartbeat(25, 20, 0), 1)
    assert over.value.reason == reason
