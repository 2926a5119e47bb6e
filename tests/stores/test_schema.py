"""Which files are opened, which are refused, and that a refused one is left as it was."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import apsw
import pytest

from livehub.errors import StoreError
from livehub.stores import schema
from livehub.stores.schema import APPLICATION_ID, SCHEMA_VERSION, open_log, open_reader


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "livehub.db"


def make(file: Path, *statements: str) -> None:
    """A file that some program left, after these statements."""
    connection = apsw.Connection(str(file))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_a_new_log_is_ours_and_its_owners_only(file: Path) -> None:
    connection, identity = open_log(file, "disk", 1_234)
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == SCHEMA_VERSION
    assert connection.execute("select value from meta where name = 'created'").get == 1_234
    assert identity.last_seq == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("disk", 2), ("os", 1)])
def test_durability_is_how_far_a_commit_goes(file: Path, durability: schema.Durability, synchronous: int) -> None:
    connection, _ = open_log(file, durability, 0)
    assert connection.pragma("synchronous") == synchronous
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


def test_a_log_opened_again_keeps_its_name_and_goes_on(file: Path) -> None:
    connection, made = open_log(file, "os", 0)
    connection.execute("insert into fact values (41, 'room', 'said', 0, x'')")
    connection.close()
    connection, found = open_log(file, "os", 9)
    assert (found.epoch, found.secret, found.last_seq) == (made.epoch, made.secret, 41)
    connection.close()


def test_an_empty_file_becomes_a_log(file: Path) -> None:
    file.touch()
    connection, identity = open_log(file, "os", 0)
    assert identity.last_seq == 0
    connection.close()


@pytest.mark.parametrize(
    "statements",
    [
        ["create table theirs(x)"],
        ["create table theirs(x)", f"pragma user_version = {SCHEMA_VERSION}"],
        ["pragma application_id = 7"],
    ],
    ids=["tables", "tables and a version", "a mark"],
)
def test_another_applications_file_is_refused_and_left_alone(file: Path, statements: list[str]) -> None:
    make(file, *statements)
    before = file.read_bytes()
    with pytest.raises(StoreError) as refused:
        open_log(file, "os", 0)
    assert f"{file} belongs to another application" in str(refused.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_newer_file_is_refused_and_left_alone(file: Path) -> None:
    open_log(file, "os", 0)[0].close()
    make(file, f"pragma user_version = {SCHEMA_VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(StoreError) as refused:
        open_log(file, "os", 0)
    assert str(file) in str(refused.value)
    assert f"newer livehub (schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION})" in str(refused.value)
    assert "Install" in str(refused.value)
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_text("dear diary, " * 1_000)
    with pytest.raises(StoreError, match=r"livehub\.db is not a livehub log"):
        open_log(file, "os", 0)
    assert file.read_text() == "dear diary, " * 1_000


def test_a_file_that_cannot_be_opened_is_named(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StoreError, match=r"cannot open .*livehub\.db"):
        open_log(file, "os", 0)


def damaged(file: Path, *, unclean: bool) -> None:
    """A log whose index of seats is garbage, closed or as a crash leaves it."""
    connection, _ = open_log(file, "os", 0)
    root = connection.execute("select rootpage from sqlite_schema where name = 'sqlite_autoindex_seat_1'").get
    assert isinstance(root, int)
    connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    connection.execute("insert into meta values ('more', 1)")
    wal = file.with_name(file.name + "-wal")
    if unclean:
        shutil.copy(wal, wal.with_suffix(".kept"))
    connection.close()
    with file.open("r+b") as raw:
        raw.seek((root - 1) * 4096)
        raw.write(b"\xff" * 4096)
    if unclean:
        wal.with_suffix(".kept").rename(wal)


def test_a_damaged_log_is_found_after_a_crash(file: Path) -> None:
    damaged(file, unclean=True)
    with pytest.raises(StoreError, match=r"livehub\.db is damaged .*Restore a backup"):
        open_log(file, "os", 0)


def test_a_log_that_was_closed_or_is_large_is_not_checked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged(file, unclean=False)
    open_log(file, "os", 0)[0].close()
    file.unlink()
    damaged(file, unclean=True)
    monkeypatch.setattr(schema, "CHECKED_FILE_MAX_BYTES", 1_000)
    open_log(file, "os", 0)[0].close()


def test_a_log_without_its_name_is_refused(file: Path) -> None:
    open_log(file, "os", 0)[0].close()
    make(file, "drop table meta")
    with pytest.raises(StoreError, match="cannot use"):
        open_log(file, "os", 0)


def test_a_reader_reads(file: Path) -> None:
    connection, identity = open_log(file, "os", 0)
    reader = open_reader(file)
    assert reader.execute("select value from meta where name = 'epoch'").get == identity.epoch
    reader.close()
    connection.close()


def epoch_after(file: Path, durability: schema.Durability, *, closed: bool = False) -> str:
    """Open the log, and leave it as a crash would, unless it is `closed`. Its epoch."""
    connection, identity = schema.open_log(file, durability, 1)
    if closed:
        schema.end_run(connection)
    connection.close()
    return identity.epoch


def test_a_log_that_the_system_may_have_shortened_is_another_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    booted = file.with_name("boot_id")
    monkeypatch.setattr(schema, "BOOT_ID", booted)
    booted.write_text("one\n")
    first = epoch_after(file, "os")
    assert epoch_after(file, "os") == first  # livehub crashed, the system did not
    booted.write_text("two\n")
    second = epoch_after(file, "os", closed=True)
    assert second != first  # the system crashed
    booted.write_text("three\n")
    assert epoch_after(file, "disk") == second  # it was closed before the system went down
    booted.write_text("four\n")
    assert epoch_after(file, "os") == second  # a crash that durability "disk" survives
