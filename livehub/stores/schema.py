"""The file: its tables, how a new one is made, and which ones are refused.

`seat`, `tell` and the tails are ordered by when a row was added, and keep a rowid for that; everything else is its own
primary key. A room's facts are found among the deliveries, under a name of its own (`stores/rows.py`). Rows come to
`delivery` and `key` through their tails (`stores/inserts.py`), to `key` in sorted runs, each known by when it began.
"""

from __future__ import annotations

import os
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from livehub.errors import StoreError
from livehub.stores.directory import FILE_MODE
from livehub.stores.upgrades import upgrade

Durability: TypeAlias = Literal["disk", "os"]

APPLICATION_ID = 0x6C766862  # "lvhb"
SCHEMA_VERSION = 2
EPOCH_CHARS = 12  # 62 bits: two directories never share one
SECRET_BYTES = 32
CHECKED_FILE_MAX_BYTES = 64 * 1024 * 1024  # a larger one would hold up the start for seconds
WAL_KEPT_MAX_BYTES = 64 * 1024 * 1024
WRITER_CACHE_KIB = 2 * 1024
"""The system keeps the file's pages, too. 4 MiB took half an hour of a small event to fill, and looked like a leak; at
1 MiB an ask takes 6 µs more."""
READER_CACHE_KIB = 256
BUSY_TIMEOUT_MS = 5_000  # somebody's sqlite3 shell
STATEMENTS_CACHED = 256

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

SCHEMA = """
create table meta(name text primary key, value) without rowid;
create table fact(
    seq integer primary key, room text not null, kind text not null, at_ms integer not null, data blob not null
);
create table delivery(audience text not null, seq integer not null, primary key (audience, seq)) without rowid;
create table delivery_tail(place integer primary key, audience text not null, seq integer not null);
create table key(
    since_ms integer not null, user text not null, key text not null, digest blob not null, ack blob not null,
    at_ms integer not null, primary key (since_ms, user, key)
) without rowid;
create table key_tail(
    place integer primary key, user text not null, key text not null, digest blob not null, ack blob not null,
    at_ms integer not null
);
create table seat(
    taken integer primary key, sid text not null, room text not null, user text not null, audiences text not null,
    since integer not null, at_ms integer not null, unique (sid, room)
);
create table timer(
    room text not null, key text not null, due_ms integer not null, command text not null, data blob not null,
    primary key (room, key)
) without rowid;
create table tell(
    told integer primary key, id text not null unique, room text not null, command text not null, data blob not null
);
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a log is known by, and the seq it has come to."""

    epoch: str
    secret: bytes
    last_seq: int


def new_epoch() -> str:
    """A name for a new log."""
    return "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(EPOCH_CHARS))


def new_secret() -> bytes:
    """A secret for a new log."""
    return secrets.token_bytes(SECRET_BYTES)


def open_log(file: Path, durability: Durability, now_ms: int) -> tuple[apsw.Connection, Identity]:
    """Open the log for writing; make it if there is none. Nothing is written to a file that is refused."""
    wal = file.with_name(file.name + "-wal")
    unclean = wal.exists() and wal.stat().st_size > 0  # closing a log empties its WAL
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, FILE_MODE))
        connection = apsw.Connection(os.fspath(file), statementcachesize=STATEMENTS_CACHED)
    except (OSError, apsw.Error) as error:
        raise StoreError(f"cannot open {file}: {error}. Livehub's user must be able to read and write it") from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        new = _is_new(connection, file)
        if unclean and not new and file.stat().st_size < CHECKED_FILE_MAX_BYTES:
            _check(connection, file)
        _tune(connection)
        if new:
            _create(connection, now_ms)
        else:
            upgrade(connection, file, SCHEMA_VERSION)
        connection.pragma("temp_store", "memory")  # sorting a tail needs 1 MB; an upgrade may need a file
        _begin_run(connection, durability)
        return connection, _identity(connection)
    except apsw.NotADBError as error:
        connection.close()
        raise StoreError(f"{file} is not a livehub log: {error}. Give livehub a directory of its own") from error
    except apsw.Error as error:
        connection.close()
        raise StoreError(f"cannot use {file}: {error}. Restore a backup, or move it away to begin a new log") from error
    except StoreError:
        connection.close()
        raise


def open_reader(file: Path) -> apsw.Connection:
    """Open the log for reading beside the writer: sees what is committed, blocks nobody."""
    connection = apsw.Connection(os.fspath(file), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -READER_CACHE_KIB)
    return connection


def _is_new(connection: apsw.Connection, file: Path) -> bool:
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application == 0 and version == 0 and connection.execute("select 1 from sqlite_schema").fetchone() is None:
        return True
    if application != APPLICATION_ID:
        raise StoreError(f"{file} belongs to another application. Give livehub a directory of its own")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{file} was written by a newer livehub (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Install that version or a later one, or restore a backup from before the upgrade"
        )
    return False


def _check(connection: apsw.Connection, file: Path) -> None:
    found = connection.pragma("quick_check")
    if found != "ok":
        where = " ".join(str(found).split())
        raise StoreError(f"{file} is damaged ({where}). Restore a backup, or move it away to begin a new log")


def end_run(connection: apsw.Connection) -> None:
    """Note that the log was closed with everything in it; to be called before the last checkpoint."""
    connection.execute("delete from meta where name = 'loose'")


def _begin_run(connection: apsw.Connection, durability: Durability) -> None:
    """With durability "os" a crash of the system may take facts that clients have seen, and their seqs come again.

    Such a log must not pass for the one that clients know: it gets a new epoch. A crash of livehub alone loses nothing.
    """
    boot = BOOT_ID.read_text().strip()
    loose = connection.execute("select value from meta where name = 'loose'").get
    if loose not in (None, boot):
        connection.execute("update meta set value = ? where name = 'epoch'", (new_epoch(),))
    if durability == "os" and loose != boot:
        connection.execute("insert or replace into meta(name, value) values ('loose', ?)", (boot,))
    elif durability == "disk" and loose is not None:
        end_run(connection)
    if durability == "os":
        connection.pragma("synchronous", "normal")


def _tune(connection: apsw.Connection) -> None:
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", WAL_KEPT_MAX_BYTES)
    connection.pragma("cache_size", -WRITER_CACHE_KIB)


def _create(connection: apsw.Connection, now_ms: int) -> None:
    with connection:
        connection.execute(SCHEMA)
        connection.executemany(
            "insert into meta(name, value) values (?, ?)",
            [("epoch", new_epoch()), ("secret", new_secret()), ("created", now_ms)],
        )
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)


def _identity(connection: apsw.Connection) -> Identity:
    def get(query: str) -> apsw.SQLiteValue:
        return connection.execute(query).get

    epoch = get("select value from meta where name = 'epoch'")
    secret = get("select value from meta where name = 'secret'")
    last_seq = get("select coalesce(max(seq), 0) from fact")
    assert isinstance(epoch, str)
    assert isinstance(secret, bytes)
    assert isinstance(last_seq, int)
    return Identity(epoch, secret, last_seq)
