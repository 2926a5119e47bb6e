"""What both stores promise to those who write: order, answers, space, and what happens when the disk is full."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from livehub.errors import Unavailable
from livehub.ports import Line, Meter, SeatRecord, Tenure
from livehub.stores import writer
from livehub.stores.memory import MemoryStore
from tests.stores.desk import BIG, Asked, Desk, open_desk

ONE = Line("said", b'"one"', ("hall",))
TWO = Line("said", b'"two"', ("hall",))


class Counts:
    """A meter that keeps what stores tell it, which is only one thing."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, float]] = []

    def committed(self, facts: int, seconds: float) -> None:
        self.commits.append((facts, seconds))


@pytest.fixture
def probe_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PROBE_S", 0.01)


async def test_answers_come_in_the_order_of_submit(desk: Desk) -> None:
    asked = [desk.submit(*[ONE] * (number % 3)) for number in range(200)]
    await asked[-1].answer()
    assert desk.answered == asked
    assert [one.answers for one in asked] == [[None]] * 200


async def test_nothing_is_answered_while_submit_runs(desk: Desk) -> None:
    asked = desk.submit(ONE)
    assert asked.answers == []
    empty = desk.submit()
    assert empty.answers == []
    assert await empty.answer() is None


async def test_every_line_has_a_seq_and_an_empty_entry_takes_none(desk: Desk) -> None:
    assert desk.store.next_seq == 1
    seqs = [desk.submit(*[ONE] * lines).entry.seq for lines in (1, 3, 0, 0, 2)]
    assert seqs == [1, 2, 5, 5, 5]
    assert desk.store.next_seq == 7
    await desk.submit().answer()
    assert [record.seq for record in await desk.store.read("room", 0, 100)] == [1, 2, 3, 4, 5, 6]


async def test_head_is_the_last_fact_whose_done_was_called(desk: Desk) -> None:
    assert desk.store.head == 0
    first, empty, second = desk.submit(ONE, TWO), desk.submit(), desk.submit(ONE)
    assert desk.store.head == 0
    assert await second.answer() is None
    assert [asked.head for asked in (first, empty, second)] == [2, 2, 3]
    assert desk.store.head == 3


async def test_what_is_answered_can_be_read(desk: Desk) -> None:
    for seq in range(1, 20):
        await desk.save(ONE)
        assert [record.seq for record in await desk.store.read("room", seq - 1, 10)] == [seq]


async def test_an_answer_that_fails_is_logged_and_loses_no_other(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def fall() -> None:
        raise RuntimeError("fell over")

    first, falls, last = desk.submit(ONE), desk.submit(ONE, then=fall), desk.submit(ONE)
    assert [await asked.answer() for asked in (first, falls, last)] == [None] * 3
    assert await desk.save(ONE) == 4
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "an answer to a commit was not taken"
    ]


async def test_a_large_batch_gives_other_tasks_their_turn(desk: Desk) -> None:
    turns = 0
    turns_at: list[int] = []
    asked = [desk.submit(ONE, then=lambda: turns_at.append(turns)) for _ in range(1_000)]
    while not asked[-1].answers:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns_at[-1] - turns_at[0] >= 1_000 // writer.ANSWERS_PER_TURN - 1


async def test_the_meter_counts_each_batch_once(kind: str, tmp_path: Path) -> None:
    counts = Counts()
    async with open_desk(kind, tmp_path, meter=cast(Meter, counts), batch_max_entries=100) as desk:
        asked = [desk.submit(ONE, TWO) for _ in range(250)]
        await asked[-1].answer()
        await desk.submit().answer()  # nothing to commit, nothing to count
    assert [facts for facts, _ in counts.commits] == [200, 200, 100]
    assert all(0 < seconds < 20 for _, seconds in counts.commits)


async def test_a_commit_is_timed_from_its_first_submit(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    counts = Counts()
    async with open_desk("memory", tmp_path, meter=cast(Meter, counts), batch_max_entries=2) as desk:
        assert isinstance(desk.store, MemoryStore)
        desk.store.hold_commits = trio.Event()
        for _ in range(5):  # at 0 s, 1 s, …: batches begin at 0 s (it is taken at once), 1 s and 3 s
            desk.submit(ONE)
            await trio.sleep(1)
        desk.store.hold_commits.set()
        await desk.submit().answer()
    assert [facts for facts, _ in counts.commits] == [1, 2, 2]
    assert [round(seconds, 3) for _, seconds in counts.commits] == [5.0, 4.0, 2.0]


async def test_space_waits_for_answers(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path, queue_max_entries=3) as desk:
        seen: list[int] = []

        async def wait_for_space() -> None:
            await desk.store.space()
            seen.append(len(desk.answered))

        for _ in range(3):
            await desk.store.space()
            desk.submit(ONE)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(wait_for_space)
        assert len(seen) == 4
        assert all(answered > 0 for answered in seen)


async def test_producers_who_ask_for_space_never_overfill(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path, queue_max_entries=10, batch_max_entries=4) as desk:
        most = 0
        submitted = 0

        async def produce() -> None:
            nonlocal most, submitted
            for _ in range(20):
                await desk.store.space()
                desk.submit(ONE)
                submitted += 1
                most = max(most, submitted - len(desk.answered))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(produce)
        assert await desk.submit().answer() is None
        assert most == 10
        assert len(desk.answered) == 401


async def test_an_entry_that_cannot_be_saved_is_refused_and_breaks_its_tenure(desk: Desk) -> None:
    await desk.fill()
    asked = desk.submit(BIG)
    error = await asked.answer()
    assert isinstance(error, Unavailable)
    assert error.status == 503
    assert asked.entry.tenure.broken
    assert desk.store.failing
    assert desk.store.head == 0
    assert await desk.store.read("room", 0, 10) == []


async def test_the_whole_batch_fails_together(desk: Desk) -> None:
    await desk.fill()
    asked = [desk.submit(ONE), desk.submit(BIG), desk.submit(ONE)]
    assert all([isinstance(await one.answer(), Unavailable) for one in asked])
    assert desk.answered == asked
    assert all(one.entry.tenure.broken for one in asked)
    assert await desk.store.read("room", 0, 10) == []


async def test_a_broken_tenure_stays_so_after_the_disk_recovered(desk: Desk, probe_often: None) -> None:
    tenure = Tenure()
    await desk.fill()
    assert await desk.submit(BIG, tenure=tenure).answer() is not None
    await desk.free()
    await desk.recovered()
    late, empty = desk.submit(ONE, tenure=tenure), desk.submit(tenure=tenure)
    reopened = desk.submit(TWO)
    assert isinstance(await late.answer(), Unavailable)
    assert isinstance(await empty.answer(), Unavailable)  # it would show a state that the log does not hold
    assert await reopened.answer() is None
    assert [record.data for record in await desk.store.read("room", 0, 10)] == [TWO.data]


async def test_other_tenures_that_were_queued_meanwhile_are_tried(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path, batch_max_entries=1) as desk:
        await desk.fill()
        mine, theirs = Tenure(), Tenure()
        fails = desk.submit(BIG, tenure=mine, then=desk.relent)
        follows, other, after = (desk.submit(ONE, tenure=tenure) for tenure in (mine, theirs, theirs))
        answers = [await asked.answer() for asked in (fails, follows, other, after)]
        assert [answer is None for answer in answers] == [False, False, True, True]
        assert desk.answered == [fails, follows, other, after]
        assert [record.seq for record in await desk.store.read("room", 0, 10)] == [3, 4]


async def test_while_failing_changes_are_refused_untried_and_reads_go_on(desk: Desk) -> None:
    await desk.fail()
    desk.relent()  # it would succeed now, but no probe has found out
    small, empty, again = desk.submit(ONE), desk.submit(), desk.submit(leaves=[("sid", "room")])
    assert isinstance(await small.answer(), Unavailable)
    assert await empty.answer() is None
    assert isinstance(await again.answer(), Unavailable)
    assert desk.answered[-3:] == [small, empty, again]
    assert await desk.store.read("room", 0, 10) == []


async def test_what_was_refused_untried_broke_its_tenure(desk: Desk, probe_often: None) -> None:
    await desk.fail()
    tenure = Tenure()
    refused = desk.submit(ONE, tenure=tenure)
    await desk.free()
    await desk.recovered()
    assert isinstance(await refused.answer(), Unavailable)
    assert isinstance(await desk.submit(ONE, tenure=tenure).answer(), Unavailable)
    assert await desk.submit(ONE).answer() is None


async def test_a_probe_finds_that_the_disk_takes_changes_again(desk: Desk, probe_often: None) -> None:
    await desk.save(ONE)
    await desk.fail()
    await desk.free()
    await desk.recovered()
    seq = await desk.save(BIG)
    assert seq > 2, "the seqs that failed are not given again"
    assert [record.seq for record in await desk.store.read("room", 0, 10)] == [1, seq]


async def test_probes_are_a_second_apart_and_only_while_failing(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk("memory", tmp_path) as desk:
        assert isinstance(desk.store, MemoryStore)
        probes: list[float] = []
        probe = desk.store._probe

        async def noting_probe() -> None:
            probes.append(trio.current_time())
            await probe()

        await desk.save(ONE)
        await desk.fail()
        monkeypatch.setattr(desk.store, "_probe", noting_probe)
        start = trio.current_time()
        await trio.sleep(3.5)
        assert desk.store.failing
        await desk.free()
        await trio.sleep(10)
        assert not desk.store.failing
        assert [round(at - start, 3) for at in probes] == [1, 2, 3, 4]


async def test_probes_come_in_time_although_asks_keep_coming(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async with open_desk("memory", tmp_path) as desk:
        await desk.fail()
        await desk.free()
        start = trio.current_time()
        while desk.store.failing:
            await desk.submit(ONE).answer()
            await trio.sleep(0.01)
        assert trio.current_time() - start < 1.5


async def test_the_next_batch_is_started_before_the_last_is_answered(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(kind, tmp_path, batch_max_entries=1) as desk:
        seen: list[str] = []
        start = desk.store._start

        def noting_start(items: Sequence[writer.Item]) -> None:
            seen.append("start")
            start(items)

        monkeypatch.setattr(desk.store, "_start", noting_start)
        for _ in range(3):
            desk.submit(ONE, then=lambda: seen.append("answer"))
        assert await desk.submit().answer() is None
    assert seen == ["start", "start", "answer", "start", "answer", "answer"]


async def test_an_empty_entry_waits_for_those_before_it(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path, batch_max_entries=2) as desk:
        before = [desk.submit(ONE) for _ in range(5)]
        empty = desk.submit(then=lambda: heads.append(desk.store.head))
        heads: list[int] = []
        assert await empty.answer() is None
        assert desk.answered[:6] == [*before, empty]
        assert heads == [5]


async def test_housekeeping_has_its_turn_among_the_entries(desk: Desk) -> None:
    seat = SeatRecord("sid", "room", "ada", ("hall",), 1, 1_000)
    desk.submit(takes=[seat])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.store.touch_seats, ["sid"], 9_000)
        await trio.testing.wait_all_tasks_blocked()
        desk.submit(takes=[SeatRecord("sid", "other", "ada", (), 1, 2_000)])
    assert await desk.submit().answer() is None
    assert [(found.room, found.at_ms) for found in await desk.store.seats("sid")] == [("room", 9_000), ("other", 2_000)]


async def test_housekeeping_that_is_not_saved_says_so_and_does_not_raise(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.save(takes=[SeatRecord("sid", "room", "ada", (), 1, 1_000)])
    await desk.fail()
    await desk.store.touch_seats(["sid"], 9_000)
    await desk.store.prune(5_000, 5_000)
    assert [found.at_ms for found in await desk.store.seats("sid")] == [1_000]
    assert sum(record.message.startswith("housekeeping was not saved") for record in caplog.records) >= 2


async def test_leaving_commits_and_answers_everything(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path, batch_max_entries=7) as desk:
        asked = [desk.submit(ONE) for _ in range(100)]
    assert [one.answers for one in asked] == [[None]] * 100
    assert desk.answered == asked


async def test_cancelling_commits_and_answers_everything(kind: str, tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_desk(kind, tmp_path, batch_max_entries=7) as desk:
            asked = [desk.submit(ONE) for _ in range(100)]
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert [one.answers for one in asked] == [[None]] * 100


async def test_an_answer_may_lead_to_another_entry_while_closing(kind: str, tmp_path: Path) -> None:
    followed: list[Asked] = []
    async with open_desk(kind, tmp_path) as desk:
        desk.submit(ONE, then=lambda: followed.append(desk.submit(TWO, then=lambda: followed.append(desk.submit()))))
    assert [asked.answers for asked in followed] == [[None], [None]]


async def test_a_closed_store_takes_nothing(kind: str, tmp_path: Path) -> None:
    async with open_desk(kind, tmp_path) as desk:
        pass
    with pytest.raises(trio.ClosedResourceError):
        desk.submit(ONE)


async def test_a_disk_that_never_answers_is_left_at_the_deadline(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        async with open_desk("memory", tmp_path, queue_max_entries=5, batch_max_entries=2) as desk:
            assert isinstance(desk.store, MemoryStore)
            desk.store.hold_commits = trio.Event()
            asked = [desk.submit(ONE) for _ in range(5)]
            nursery.start_soon(desk.store.space)  # or it would wait for ever
            start = trio.current_time()
        assert trio.current_time() - start == pytest.approx(writer.CLOSE_TIMEOUT_S)
        nursery.cancel_scope.deadline = trio.current_time() + 1
    assert not nursery.cancel_scope.cancelled_caught
    assert desk.answered == asked
    assert all(isinstance(one.answers[0], Unavailable) for one in asked)
    assert "5 entries refused" in caplog.text
