"""A user measures from intended times, never raises on refusals, and comes back when it is cut off."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from loadtest.client import ConnectFailed
from loadtest.measure.trace import find_trace, trace
from loadtest.user import SERVER_SAID_GOODBYE, User, on
from tests.loadtest.doubles import FAILED, NOT_YOU, REFUSED, StageDouble, now_ns

NS_PER_MS = 1_000_000


class Attendee(User):
    """Hears."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.messages: list[Any] = []

    @on("chat.message.new")
    def heard(self, message: Any) -> None:
        self.messages.append(message)

    @on("poll.opened")
    async def vote(self, poll: Any) -> None:
        await self.ask("poll.vote.submit", {"pollId": poll["id"]})

    @on("slide.update")
    def stumble(self, slide: Any) -> None:
        raise KeyError("slide")


@asynccontextmanager
async def seated(stage: StageDouble, kind: type[User] = Attendee) -> AsyncIterator[Any]:
    """A user who has joined."""
    async with trio.open_nursery() as nursery:
        user = kind(stage, 7, nursery)
        await user.connect()
        assert (await user.join("main")).ok
        yield user
        nursery.cancel_scope.cancel()


def pushed(event: str, payload: str) -> bytes:
    return f'2/events,["{event}",{payload},"epoch-2"]'.encode()


async def test_what_a_task_does_first_counts_from_when_it_was_due_and_the_rest_from_now(
    autojump_clock: MockClock,
) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        user.at(now_ns() - 500 * NS_PER_MS)  # half a second late
        await user.ask("one")
        await user.ask("two")
    assert stage.latencies("ack") == pytest.approx([510_000, 10_000], abs=1)


async def test_tasks_within_a_task_start_from_its_intended_time(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        user.at(now_ns() - 100 * NS_PER_MS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(user.ask, "one")
            nursery.start_soon(user.ask, "two")
    assert stage.latencies("ack") == pytest.approx([110_000, 110_000], abs=1)


async def test_connect_is_measured_over_all_tries_and_each_failure_is_counted(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.openings = iter([FAILED, NOT_YOU, None])
    async with seated(stage):
        pass
    assert stage.counts["failed.connect"] == 1
    assert stage.counts["refused.connect.Authentication required"] == 1
    assert stage.counts["connects"] == 1
    [us] = stage.latencies("connect")
    assert 1_500_000 <= us <= 4_500_000  # 1 s and 2 s, each half as much more or less


REFUSAL = ("systemError", b'42/events,["systemError",{"message":"No","reason":"token_invalid"}]')


async def test_what_is_said_before_the_answer_to_connect_is_why_there_was_none(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.replay, stage.openings = [REFUSAL], iter([ConnectFailed("server disconnect"), None])
    async with trio.open_nursery() as nursery:
        user = Attendee(stage, 7, nursery)
        await user.connect()
    assert stage.counts["refused.connect.No (token_invalid)"] == 1
    assert stage.counts["failed.connect"] == 0
    assert stage.counts["users.connected"] == 1


async def test_whoever_is_shown_out_with_a_refusal_was_never_in(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with trio.open_nursery() as nursery:
        user = Attendee(stage, 7, nursery)
        await user.connect()
        user.heard_frame(*REFUSAL)
        user.lost(SERVER_SAID_GOODBYE)
        await trio.sleep(60)
        stage.users[7] = user
        stage.count_the_end()
    assert stage.counts["refused.connect.No (token_invalid)"] == 1
    assert stage.counts["users.connected"] == stage.counts["absent"] == stage.connected == 0
    assert stage.counts["users.never_connected"] == 1


async def test_whoever_is_shown_out_later_was_in_and_is_absent(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        stage.users[7] = user
        user.heard_frame(*REFUSAL)
        user.lost(SERVER_SAID_GOODBYE)
        stage.count_the_end()
    assert stage.counts["users.connected"] == stage.counts["absent"] == 1


async def test_tries_to_connect_slow_down_as_those_of_stock_clients(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.openings = iter([FAILED] * 6)
    async with seated(stage):
        pass
    [us] = stage.latencies("connect")
    least_s = (1 + 2 + 4 + 5 + 5 + 5) * 0.5
    assert least_s <= us / 1e6 <= 3 * least_s


async def test_a_refusal_is_counted_by_its_code_and_not_raised(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        stage.reply = lambda event, args: REFUSED
        answer = await user.ask("poll.create", {})
    assert (answer.ok, answer.code) == (False, "forbidden")
    assert stage.counts["refused.poll.create.forbidden"] == 1
    assert stage.latencies("ack") == []


async def test_a_message_carries_its_name_and_time_and_is_owed_to_all_once_acked(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        due_ns = now_ns() - NS_PER_MS
        user.at(due_ns)
        await user.say("hello")
        event, payload = stage.connections[0].said[-1]
    assert event == "chat.message.send"
    found = find_trace(payload["text"].encode())
    assert found is not None
    message, intended_ns = found
    assert (message >> 24, intended_ns) == (7, due_ns)
    assert stage.notes.ledger.notes == [("joined", "main", 7), ("acked", "main", message, due_ns)]


async def test_a_refused_message_is_owed_to_nobody(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        stage.reply = lambda event, args: REFUSED
        await user.say("hello")
    assert stage.notes.ledger.notes == [("joined", "main", 7)]


async def test_the_same_seed_gives_the_same_dice_but_never_the_same_keys(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        users = [Attendee(StageDouble(), 7, nursery) for _ in range(2)]
        assert len({user.random.random() for user in users}) == 1
        assert len({users[0].key() for _ in range(100)}) == 100


async def test_pushes_reach_handlers_and_the_ledger(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        text = trace(9, 1_234) + "hi"
        user.heard_frame("chat.message.new", pushed("chat.message.new", f'{{"text":"{text}"}}'))
        user.heard_frame("leaderboard.updated", pushed("leaderboard.updated", "{}"))
        assert user.messages == [{"text": text}]
    assert ("heard", 9, 1_234) in stage.notes.ledger.notes
    assert stage.counts["delivered.leaderboard.updated"] == 1
    assert "delivered.chat.message.new" not in stage.counts  # the ledger counts those it knows


async def test_an_async_handler_runs_beside_the_tasks_and_counts_from_the_push(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        user.at(now_ns() - 1_000 * NS_PER_MS)
        user.heard_frame("poll.opened", pushed("poll.opened", '{"id":"p"}'))
        await trio.sleep(0.1)
        assert ("poll.vote.submit", {"pollId": "p"}) in stage.connections[0].said
    assert stage.latencies("ack") == pytest.approx([10_000], abs=1)


async def test_a_handler_that_raises_is_counted_and_the_user_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        user.heard_frame("slide.update", pushed("slide.update", "{}"))
        assert (await user.ask("one")).ok
    assert stage.counts["failed.stumble"] == 1
    assert "stumble" in caplog.text


async def test_whoever_is_cut_off_comes_back_with_pid_and_offset(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        stage.connections[0].breaks()
        assert not user.connected
        assert (await user.ask("one")).code == "NOT_CONNECTED"
        await user.present()
        assert stage.connections[1].auth["offset"] == "epoch-1"
        assert stage.connected == 1
    assert stage.counts["cuts"] == stage.counts["recovered"] == 1
    assert [note[0] for note in stage.notes.ledger.notes] == ["joined", "cut", "resumed"]
    [us] = stage.latencies("recovery")
    assert 500_000 <= us <= 1_500_000


async def test_a_connection_that_was_not_recovered_joins_again(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.recovers = False
    async with seated(stage) as user:
        stage.connections[0].breaks()
        await user.present()
        await trio.sleep(1)
        assert stage.connections[1].said[0][0] == "session.join"
    assert stage.counts["unrecovered"] == 1
    assert ("resumed", False) in stage.notes.ledger.notes


async def test_an_ask_under_way_when_the_connection_breaks_is_counted_as_failed(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    stage.delay_s = math.inf
    async with trio.open_nursery() as nursery:
        user = Attendee(stage, 7, nursery)
        await user.connect()
        nursery.start_soon(user.ask, "one")
        await wait_all_tasks_blocked()
        stage.connections[0].breaks()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert stage.counts["failed.one"] == 1


async def test_drop_and_resume_measure_the_way_back_from_its_intended_time(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        await user.drop(silent=True)
        await trio.sleep(3)
        user.at(now_ns() - 200 * NS_PER_MS)
        assert await user.resume() is True
        assert user.back_ns == now_ns()
    assert stage.latencies("recovery") == pytest.approx([200_000], abs=1)
    assert stage.counts["cuts"] == 1


async def test_a_replay_counts_once_its_connection_is_there(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        text = trace(9, 1_234)
        stage.replay = [("chat.message.new", pushed("chat.message.new", f'{{"text":"{text}"}}'))]
        stage.openings = iter([FAILED, None])  # breaks amid the first replay, so that it comes again
        stage.connections[0].breaks()
        await user.present()
    assert [note for note in stage.notes.ledger.notes if note[0] == "heard"] == [("heard", 9, 1_234)]


async def test_bytes_of_connections_that_are_gone_still_count(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        stage.users[7] = user
        stage.connections[0].breaks()
        await user.present()
        await trio.sleep(1)
        assert stage.bytes() == (200, 20)
        await user.close()
        assert stage.bytes() == (200, 20)


async def test_whoever_the_server_sends_away_stays_away(autojump_clock: MockClock) -> None:
    stage = StageDouble()
    async with seated(stage) as user:
        user.lost("server disconnect")
        await trio.sleep(60)
        assert not user.connected
        assert len(stage.connections) == 1


async def test_the_polling_share_is_kept_and_the_same_for_every_run(autojump_clock: MockClock) -> None:
    stage, again = StageDouble(polling_percent=20), StageDouble(polling_percent=20)
    kinds = [stage.transport(number) for number in range(2_000)]
    assert kinds == [again.transport(number) for number in range(2_000)]
    assert 320 < kinds.count("polling") < 480


async def test_a_guest_is_gone_after_the_block_and_its_error_comes_out_as_itself(autojump_clock: MockClock) -> None:
    stage = StageDouble()

    async def look() -> None:
        async with stage.guest(Attendee) as guest:
            assert guest.connected
            raise LookupError("no poll")

    with pytest.raises(LookupError, match="no poll"):
        await look()
    assert stage.connections[0].over.is_set()
    assert stage.connected == 0
