"""Exports from the data directory: real logs, written by the real store, read beside it and after it."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest
import trio

from livehub.errors import LivehubError, StoreError
from livehub.exportfiles import Log, default_directory, file_names, open_directory, write_files
from livehub.exporting import collect
from livehub.features.chat import Chat
from livehub.features.sessions import Sessions
from livehub.ports import Entry, Line, Tenure
from livehub.rooms.catalog import Catalog
from livehub.rooms.state import State
from livehub.stores.directory import LOG_NAME
from livehub.stores.sqlite import SqliteStore, open_sqlite
from tests.kit import START_MS

CATALOG = Catalog([Sessions, Chat])
HEAD = {"sessionId": "s1", "exportedAt": "2026-01-01T00:00:00.000Z"}
NAMES = ["messages.csv", "session.json"]
MANY = 2_500
"""More than are read at once."""


async def say(store: SqliteStore, count: int, session: str = "s1", at_ms: int = START_MS) -> None:
    """Save messages as the room of a session would."""
    author = {"id": "anna", "firstName": "Anna", "lastName": "Tester"}
    lines = []
    for number in range(count):
        message = {"id": f"m{number}", "text": f"text {number}", "timestamp": HEAD["exportedAt"], "author": author}
        lines.append(Line("chat.message.new", orjson.dumps({"message": message})))
    await save(store, lines, session, at_ms)


async def save(store: SqliteStore, lines: list[Line], session: str = "s1", at_ms: int = START_MS) -> None:
    """Save facts, and wait until they are in the log."""
    errors: list[Exception | None] = []
    saved = trio.Event()

    def done(error: Exception | None) -> None:
        errors.append(error)
        saved.set()

    store.submit(Entry(Tenure(), f"session:{session}", at_ms, done, lines))
    await saved.wait()
    assert errors == [None]


@asynccontextmanager
async def server(directory: Path) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(directory, clock_ms=lambda: START_MS) as store:
        yield store


def fold(log: Log, session: str = "s1") -> State:
    return log.fold(CATALOG, session, bool)


def write(state: State, out: Path, *, force: bool = False) -> list[Path]:
    return write_files(state, out, START_MS, HEAD, force=force, progress=bool)


def files(directory: Path) -> list[str]:
    """What an export left there."""
    return sorted(file.name for file in directory.iterdir() if file.is_file())


@pytest.fixture
async def state(tmp_path: Path) -> State:
    """A session with three messages."""
    async with server(tmp_path / "data") as store:
        await say(store, 3)
    with open_directory(tmp_path / "data") as log:
        return fold(log)


async def test_a_log_is_read_after_the_server_has_gone(tmp_path: Path) -> None:
    read: list[int] = []
    async with server(tmp_path) as store:
        await say(store, MANY)
        await say(store, 1, session="other", at_ms=START_MS + 5)
    with open_directory(tmp_path) as log:
        assert log.count("s1") == MANY
        assert log.count("nowhere") == 0
        assert log.latest_ms() == START_MS + 5
        state = log.fold(CATALOG, "s1", read.append)
    assert read == [1_000, 1_000, 500]
    table = collect(feature.export(START_MS) for feature in state.features)["messages"]
    assert [row[0] for row in table.rows] == [f"m{number}" for number in range(MANY)]


async def test_a_log_is_read_beside_a_server_that_goes_on_writing(tmp_path: Path) -> None:
    async with server(tmp_path) as store:
        await say(store, 1)
        with open_directory(tmp_path) as log:
            assert log.count("s1") == 1
            await say(store, 2)
            assert log.count("s1") == 3
            fold(log)
        await say(store, 1)
    with open_directory(tmp_path) as log:
        assert log.count("s1") == 4


async def test_reading_changes_nothing_in_the_log(tmp_path: Path) -> None:
    async with server(tmp_path) as store:
        await say(store, 1)
    before = (tmp_path / LOG_NAME).read_bytes()
    with open_directory(tmp_path) as log:
        fold(log)
        with pytest.raises(apsw.ReadOnlyError):
            log.connection.execute("delete from fact")
    assert (tmp_path / LOG_NAME).read_bytes() == before


async def test_a_session_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with server(tmp_path) as store:
        await say(store, 1)
    with open_directory(tmp_path) as log, pytest.raises(LivehubError) as refused:
        fold(log, "keynote")
    assert str(refused.value) == f"there is no session 'keynote' in {tmp_path}"


def test_a_directory_without_a_log_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no log in .*: name the configuration"), open_directory(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_that_name_is_no_log(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match=r"cannot read .*Run this as the user that livehub"), open_directory(tmp_path):
        pass


@pytest.mark.parametrize(
    ("version", "answer"),
    [(1, "is of an earlier version: start livehub once"), (99, "is not a log of this version of livehub")],
)
async def test_a_log_of_another_version_is_not_read(tmp_path: Path, version: int, answer: str) -> None:
    async with server(tmp_path):
        pass
    connection = apsw.Connection(str(tmp_path / LOG_NAME))
    connection.pragma("user_version", version)
    connection.close()
    with pytest.raises(StoreError, match=answer), open_directory(tmp_path):
        pass


async def test_a_fact_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    async with server(tmp_path) as store:
        await save(store, [Line("chat.message.new", b"{}")])
    with open_directory(tmp_path) as log, pytest.raises(StoreError, match=r"chat.message.new.* does not fit"):
        fold(log)


async def test_a_file_per_table_and_one_of_all(state: State, tmp_path: Path) -> None:
    out, steps = tmp_path / "deep" / "out", list[int]()
    written = write_files(state, out, START_MS, HEAD, force=False, progress=steps.append)
    assert written == [out / name for name in NAMES]
    assert file_names(state) == files(out) == NAMES
    assert steps == [1, 1]
    with (out / "messages.csv").open(encoding="utf-8-sig", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["text 0", "text 1", "text 2"]
    told = json.loads((out / "session.json").read_text())
    assert [row["text"] for row in told.pop("messages")] == ["text 0", "text 1", "text 2"]
    assert told == HEAD


async def test_what_people_said_is_for_the_owner_of_the_files(state: State, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert {file.stat().st_mode & 0o777 for file in write(state, out)} == {0o600}
    assert out.stat().st_mode & 0o777 == 0o700


async def test_files_that_are_there_are_replaced_only_when_told(state: State, tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text("mine")
    with pytest.raises(LivehubError) as refused:
        write(state, tmp_path)
    assert str(refused.value) == f"{tmp_path} holds session.json already; --force replaces what is there"
    assert not (tmp_path / "messages.csv").exists()
    assert (tmp_path / "session.json").read_text() == "mine"
    write(state, tmp_path, force=True)
    assert json.loads((tmp_path / "session.json").read_text())["sessionId"] == "s1"


async def test_a_place_that_takes_no_files_is_a_sentence(state: State, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LivehubError, match=r"cannot write to .*file"):
            write(state, out)


async def test_a_disk_that_fills_up_leaves_no_half_file(state: State, tmp_path: Path) -> None:
    """What was there stays whole; /dev/full takes nothing."""
    (tmp_path / "messages.csv").write_text("before")
    (tmp_path / "messages.csv.part").symlink_to("/dev/full")
    with pytest.raises(LivehubError, match="No space left on device"):
        write(state, tmp_path, force=True)
    assert files(tmp_path) == ["messages.csv"]
    assert (tmp_path / "messages.csv").read_text() == "before"


@pytest.mark.parametrize(("session", "directory"), [("keynote", "export-keynote"), ("session:1", "export-session_1")])
def test_the_default_directory_is_named_after_the_session(session: str, directory: str) -> None:
    assert default_directory(session) == Path(directory)
