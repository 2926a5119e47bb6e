"""The comparison's clients against livehub itself and the bare loop, in small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtest.bench import wire
from loadtest.bench import yardstick as module
from loadtest.bench.crowd import FRAME_BYTES, Crowd, Link
from loadtest.bench.fanout import in_flight, one_in_flight, paced
from loadtest.bench.point import Setting
from loadtest.bench.points import p6, p7, p8, p10, p12
from loadtest.bench.procs import Trouble
from loadtest.bench.servers import Served, barec, livehub
from loadtest.bench.storm import Storm

SECONDS = 0.2


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with livehub() as server:
        yield server


def test_every_message_comes_to_everybody_once_and_is_acked(served: Served) -> None:
    with Crowd(served.port, name="one").open(5) as crowd:
        cost = one_in_flight(crowd, served, SECONDS)
        assert cost.messages == crowd.acked == crowd.sent > 0
        assert {link.seen for link in crowd.links} == {cost.messages}
        assert cost.deliveries == 5 * cost.messages
        assert cost.us > 0


def test_messages_are_padded_to_the_agreed_size(served: Served) -> None:
    with Crowd(served.port, name="padded").open(3) as crowd:
        one_in_flight(crowd, served, SECONDS)
        sizes: list[int] = []
        crowd.say(crowd.links[0])
        link = crowd.links[1]
        link.sock.setblocking(True)
        while not sizes:
            data = link.sock.recv(1 << 16)
            at = 0
            while (frame := wire.frame_end(data, at)) is not None:
                if data.startswith(wire.CHAT, frame[0]):
                    sizes.append(frame[1] - at)
                at = frame[1]
        assert sizes == [FRAME_BYTES]


def test_many_are_in_flight_at_once(served: Served) -> None:
    with Crowd(served.port, name="many").open(5) as crowd:
        cost = in_flight(crowd, served, SECONDS, 20)
        assert {link.seen for link in crowd.links} == {cost.messages}


def test_a_rate_is_timed_at_every_receiver(served: Served) -> None:
    with Crowd(served.port, name="paced").open(4) as crowd:
        done = paced(crowd, 50, 0.4)
        assert crowd.sent == 20
        assert done.latencies.count == 80
        assert 0 < done.latencies.quantile_ms(0.5) < 10_000


def test_a_crowd_that_grew_hears_from_then_on(served: Served) -> None:
    with Crowd(served.port, name="grown").open(2) as crowd:
        one_in_flight(crowd, served, SECONDS)
        crowd.grow(4)
        crowd.quiet(0.05)
        one_in_flight(crowd, served, SECONDS)
        assert len({link.seen for link in crowd.links}) == 1


def test_a_refusal_is_trouble(served: Served) -> None:
    with Crowd(served.port, name="refused").open(2) as crowd:
        crowd.links[0].session = "elsewhere"
        crowd.links[0].send(wire.emit("chat.message.send", {"text": ""}, 1))
        crowd.until(lambda: bool(crowd.refused))
        with pytest.raises(Trouble, match="refused"):
            paced(crowd, 10, SECONDS)


def test_senders_in_a_closed_loop_are_all_acked(served: Served) -> None:
    with Crowd(served.port, name="closed", sessions=2).open(6) as crowd:
        done = p7.chatter(crowd, SECONDS)
        assert done.per_s > 0
        assert done.p99_ms > 0


def test_reactions_are_counted_as_they_were_sent(served: Served) -> None:
    with Crowd(served.port, name="reactions").open(8) as crowd:
        crowd.quiet(0.05)
        assert min(p6.burst_of_spikes(crowd, served, p6.Counting(crowd))) > 0


def test_the_yardstick_tells_what_a_bare_send_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOCKETS", 20)
    with module.yardstick(Setting(quick=True)) as send_us:
        assert 0 < send_us() < 10_000


def test_votes_are_counted_as_they_were_cast(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p8, "OFFERED_S", SECONDS)
    with Crowd(served.port, name="votes", role="OWNER").open(9) as crowd:
        hall = p8.Hall(crowd, served)
        assert [hall.vote().p99_ms > 0 for _ in range(2)] == [True, True]


def test_a_newcomer_is_timed_to_the_ack(served: Served) -> None:
    with (
        Crowd(served.port, name="full").open(2),
        Crowd(served.port, name="lobby").open(1) as newcomers,
    ):
        link: Link = newcomers.links[0]
        assert p12.join_ms(newcomers, link, "full-0") > 0


def test_clients_that_were_cut_off_miss_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p10, "CUT_WITHIN_S", SECONDS)
    monkeypatch.setattr(p10, "AWAY_S", (0.1, 0.3))
    monkeypatch.setattr(p10, "RATE_PER_S", 50)
    with Crowd(served.port, name="storm").open(1) as speaker:
        storm = Storm(served.port, "storm-0", 7)
        try:
            storm.enter(12)
            for _ in range(2):
                p10.weather(storm, speaker)
            p10.complete(storm, speaker)
            assert storm.recovered == 24
            assert not storm.faults
            assert {client.next for client in storm.clients} == {speaker.sent}
        finally:
            storm.close()


def test_the_bare_loop_sends_one_frame_to_each() -> None:
    with barec() as served, Crowd(served.port, bare=True).open(4) as crowd:
        cost = one_in_flight(crowd, served, SECONDS)
        assert {link.seen for link in crowd.links} == {cost.messages}
