"""What only a store on disk can promise: it is there again, it is nobody else's, and no crash loses an answer."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
import trio

from livehub.errors import StoreError, Unavailable
from livehub.ports import KeyRecord, Line, SeatRecord, TellRecord, Tenure, TimerRecord
from livehub.stores import rows, schema, sqlite, writer
from livehub.stores.directory import LOG_NAME
from livehub.stores.sqlite import THREAD_NAME, SqliteStore, open_sqlite
from tests.stores.desk import ANSWER_DEADLINE_S, BIG, TAIL_ROWS, open_desk

ONE = Line("said", b'"one"', ("hall",))

LOAD = """
import sys
from dataclasses import replace
from pathlib import Path

import trio

from livehub.ports import Entry, Line, Tenure
from livehub.stores import rows
from livehub.stores.sqlite import open_sqlite

rows.DELIVERIES = replace(rows.DELIVERIES, rows_max=100)  # sorted in after every few commits


async def main() -> None:
    async with open_sqlite(Path(sys.argv[1]), durability=sys.argv[2]) as store, trio.open_nursery() as nursery:
        async def produce(name):
            while True:
                answer = trio.Event()
                entry = Entry(Tenure(), name, 1, lambda error: answer.set(), [Line("said", b"x", (name, "hall"))] * 2)
                store.submit(entry)
                await answer.wait()
                sys.stdout.write(f"{name} {entry.seq}\\n")
                sys.stdout.flush()
        for number in range(20):
            nursery.start_soon(produce, f"room-{number}")

trio.run(main)
"""


async def test_everything_is_there_again(tmp_path: Path) -> None:
    key = KeyRecord("ada", "k", b"digest", b"{}", 5)
    seat = SeatRecord("sid", "room", "ada", ("hall",), 1, 1_000)
    timer, word = TimerRecord("room", "k", 10, "ring", b"{}"), TellRecord("id", "other", "go", b"{}")
    async with open_desk("sqlite", tmp_path) as desk:
        desk.submit(ONE, ONE, key=key, takes=[seat], sets=[timer], tells=[word])
        identity = desk.store.epoch, desk.store.secret
    assert not (tmp_path / f"{LOG_NAME}-wal").exists()
    async with open_desk("sqlite", tmp_path) as desk:
        store = desk.store
        assert (store.epoch, store.secret) == identity
        assert (store.head, store.next_seq) == (2, 3)
        assert [record.seq for record in await store.replay({"hall": 0}, 9, 9)] == [1, 2]
        assert await store.find_key("ada", "k") == key
        assert await store.seats("sid") == [seat]
        assert (await store.timers(), await store.tells()) == ([timer], [word])
        assert await desk.save(ONE) == 3


async def test_a_directory_in_use_is_refused_and_goes_on_working(tmp_path: Path) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        with pytest.raises(StoreError, match=f"another livehub .* is using the data directory {tmp_path}"):
            async with open_sqlite(tmp_path):
                pytest.fail("opened twice")
        assert await desk.save(ONE) == 1
    async with open_sqlite(tmp_path) as store:
        assert store.head == 1


async def test_a_refused_file_leaves_the_directory_unlocked(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_text("dear diary, " * 1_000)
    for _ in range(2):
        with pytest.raises(StoreError, match="is not a livehub log"):
            async with open_sqlite(tmp_path):
                pytest.fail("opened")
    (tmp_path / LOG_NAME).unlink()
    async with open_sqlite(tmp_path) as store:
        assert store.head == 0


async def test_the_clock_dates_a_new_log(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path, clock_ms=lambda: 77):
        pass
    connection = apsw.Connection(str(tmp_path / LOG_NAME))
    assert connection.execute("select value from meta where name = 'created'").get == 77
    connection.close()


@pytest.mark.parametrize("durability", ["disk", "os"])
def test_no_kill_loses_an_answer(tmp_path: Path, durability: schema.Durability, pytestconfig: pytest.Config) -> None:
    answered: dict[str, list[int]] = {}
    for _ in range(pytestconfig.getoption("--kill-rounds")):
        for name, seq in answers_until_killed(tmp_path, durability, random.randint(1, 2_000)):
            answered.setdefault(name, []).append(seq)

    async def look() -> None:
        async with open_sqlite(tmp_path) as store:
            everything = {record.seq for record in await store.replay({"hall": 0}, store.head, 10_000_000)}
            for name, seqs in answered.items():
                there = [record.seq for record in await store.read(name, 0, 10_000_000)]
                assert {seq for first in seqs for seq in (first, first + 1)} <= set(there)
                assert len(there) % 2 == 0, "half an entry"
                assert set(there) <= everything, "a fact without its delivery"
                assert seqs == sorted(set(seqs)), "a seq was given twice"

    assert answered
    trio.run(look)


def answers_until_killed(directory: Path, durability: str, lines: int) -> list[tuple[str, int]]:
    """What a process answered under load until `kill -9`, which comes after so many answers."""
    answers: list[tuple[str, int]] = []
    with subprocess.Popen(
        [sys.executable, "-c", LOAD, str(directory), durability], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if not line.endswith("\n"):
                break
            name, seq = line.split()
            answers.append((name, int(seq)))
            if len(answers) == lines:
                child.kill()
    assert child.returncode == -signal.SIGKILL
    return answers


@pytest.mark.parametrize(
    ("line", "at_ms"),
    [
        (Line("said", b"x", ("\ud800",)), 1_000),
        (Line("\ud800", b"x"), 1_000),
        (Line("said", b"x"), 2**63),
        (Line("said", b"x" * 100_001), 1_000),
    ],
    ids=["audience", "kind", "time", "size"],
)
async def test_what_cannot_be_saved_takes_nobody_with_it(
    tmp_path: Path, line: Line, at_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        assert isinstance(desk.store, SqliteStore)
        desk.store._connection.limit(apsw.SQLITE_LIMIT_LENGTH, 100_000)
        mine, theirs = Tenure(), Tenure()
        before, bad = desk.submit(ONE, tenure=mine), desk.submit(line, tenure=mine, at_ms=at_ms)
        after, other = desk.submit(ONE, tenure=mine), desk.submit(ONE, tenure=theirs)
        answers = [await asked.answer() for asked in (before, bad, after, other)]
        assert [answer is None for answer in answers] == [True, False, False, True]
        assert isinstance(answers[1], Unavailable)
        assert (mine.broken, theirs.broken) == (True, False)
        assert not desk.store.failing
        assert [record.seq for record in await desk.store.read("room", 0, 10)] == [1, 4]
    assert [record.message.split(":")[0] for record in caplog.records] == ["an entry cannot be saved for what it holds"]


async def test_a_full_disk_leaves_a_log_that_opens_again(tmp_path: Path) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        await desk.save(ONE, ONE)
        await desk.fail()
    async with open_desk("sqlite", tmp_path) as desk:
        assert not desk.store.failing
        assert desk.store.next_seq == 3
        assert await desk.save(BIG) == 3


async def test_a_probe_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PROBE_S", 0.01)
    async with open_desk("sqlite", tmp_path) as desk:
        await desk.fail()
        await desk.free()
        await desk.recovered()
    async with open_sqlite(tmp_path) as store:
        names = store._connection.execute("select name from meta order by name").fetchall()
    assert names == [("created",), ("epoch",), ("secret",)]


async def test_a_transaction_that_was_left_open_is_rolled_back(tmp_path: Path) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        assert isinstance(desk.store, SqliteStore)
        desk.store._connection.execute("begin immediate")
        desk.store._connection.execute("insert into meta values ('half', 1)")
        assert await desk.save(ONE) == 1
        assert desk.store._connection.execute("select 1 from meta where name = 'half'").fetchall() == []


async def test_answers_do_not_wait_for_the_files_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, sorting = threading.Event(), threading.Event()

    def sort(_: apsw.Connection) -> None:
        sorting.set()
        go.wait()

    monkeypatch.setattr(sqlite, "sort", sort)
    async with open_desk("disk", tmp_path) as desk:
        with trio.fail_after(ANSWER_DEADLINE_S):
            assert await desk.save(*[ONE] * TAIL_ROWS) == 1
            await trio.to_thread.run_sync(sorting.wait)
            go.set()


async def tidied(store: SqliteStore) -> int:
    """Rows that wait to be sorted, once what came before the last commit is tidied up."""
    connection = store._connection
    rows = await store._thread.start(lambda: connection.execute("select count(*) from delivery_tail").get).result()
    assert isinstance(rows, int)
    return rows


async def test_a_tail_that_could_not_be_sorted_is_sorted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def sort(connection: apsw.Connection) -> None:
        if refusing:
            connection.execute("insert into nowhere values (1)")
        rows.sort(connection)

    refusing = True
    monkeypatch.setattr(sqlite, "sort", sort)
    async with open_desk("disk", tmp_path) as desk:
        store = desk.store
        assert isinstance(store, SqliteStore)
        for seq in (1, 1 + TAIL_ROWS, 1 + 2 * TAIL_ROWS):
            assert await desk.save(*[ONE] * TAIL_ROWS) == seq
        assert await tidied(store) == 6 * TAIL_ROWS  # a room's row and an audience's for each fact
        assert [record.message for record in caplog.records] == [
            "the log's file is not in its best shape, which costs time and space: no such table: nowhere"
        ], "not tried again at once"
        refusing = False
        monkeypatch.setattr(store, "_tidy_again_s", 0.0)
        assert await desk.save(*[ONE] * TAIL_ROWS) == 1 + 3 * TAIL_ROWS
        assert await tidied(store) == 0
        assert [record.seq for record in await store.read("room", 0, 99)] == list(range(1, 1 + 4 * TAIL_ROWS))


async def test_damage_that_is_found_while_tidying_ends_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sort(_: apsw.Connection) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    monkeypatch.setattr(sqlite, "sort", sort)
    async with open_desk("disk", tmp_path) as desk:
        assert isinstance(desk.store, SqliteStore)
        await desk.save(*[ONE] * TAIL_ROWS)
        await tidied(desk.store)
        assert isinstance(await desk.submit(ONE).answer(), Unavailable)
        assert desk.store.failing


async def test_the_wal_is_written_back_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "WAL_CHECKPOINT_PAGES", 50)
    async with open_desk("sqlite", tmp_path) as desk:
        for _ in range(300):
            await desk.save(ONE)
        assert (tmp_path / f"{LOG_NAME}-wal").stat().st_size < 100 * 4_200


@pytest.mark.parametrize(("kind", "kept_longer"), [("sqlite", []), ("disk", ["k30"])], ids=["tail", "runs"])
async def test_keys_and_seats_are_pruned_a_piece_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, kept_longer: list[str]
) -> None:
    """A run of keys goes when the next one has begun before the time."""
    monkeypatch.setattr(sqlite, "PRUNE_CHUNK_ROWS", 10)
    async with open_desk(kind, tmp_path) as desk:
        for number in range(35):
            await desk.save(key=KeyRecord("ada", f"k{number:02}", b"", b"", number))
            await desk.save(takes=[SeatRecord(f"s{number}", "room", "ada", (), 0, number)])
        await desk.store.prune(31, 34)
        left = sorted(key for _, key in await desk.store.keys_since(0))
        assert left == kept_longer + [f"k{number:02}" for number in range(31, 35)]
        assert await desk.store.seats("s33") == []
        assert len(await desk.store.seats("s34")) == 1


async def test_a_log_that_cannot_be_read_says_unavailable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        assert isinstance(desk.store, SqliteStore)
        await desk.save(ONE)
        desk.store._readers.close()
        with pytest.raises(Unavailable):
            await desk.store.read("room", 0, 10)
        assert "the log cannot be read" in caplog.text
        assert await desk.save(ONE) == 2


async def test_more_reads_than_readers_take_turns(tmp_path: Path) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        await desk.save(*[ONE] * 100)
        found: list[int] = []

        async def read() -> None:
            found.append(len(await desk.store.read("room", 0, 1_000)))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(read)
        assert found == [100] * 50


async def test_reads_do_not_wait_for_a_commit(tmp_path: Path) -> None:
    async with open_desk("sqlite", tmp_path) as desk:
        await desk.save(ONE)
        with blocked(tmp_path):
            waiting = desk.submit(ONE)
            assert len(await desk.store.read("room", 0, 10)) == 1
            assert waiting.answers == []
        assert await waiting.answer() is None


async def test_a_disk_that_never_answers_is_left_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (writer, sqlite):
        monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.05)
    with blocked(tmp_path):
        async with open_desk("sqlite", tmp_path) as desk:
            asked = [desk.submit(ONE), desk.submit(ONE)]
        assert [type(one.answers[0]) for one in asked] == [Unavailable] * 2
        with pytest.raises(StoreError, match="another livehub"):
            async with open_sqlite(tmp_path):
                pytest.fail("its thread may still be writing")
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:  # it ends now: the disk did answer after all
            await trio.to_thread.run_sync(thread.join)
    reader = schema.open_reader(tmp_path / LOG_NAME)
    assert reader.execute("select count(*) from fact").get == 0, "saved although it was refused"
    reader.close()


@contextmanager
def blocked(directory: Path) -> Iterator[None]:
    """Weather: somebody holds the file, so that a commit begins and does not end."""
    schema.open_log(directory / LOG_NAME, "os", 0)[0].close()
    holder = apsw.Connection(str(directory / LOG_NAME))
    holder.execute("begin immediate")
    yield
    holder.execute("rollback")
    holder.close()
