"""A log of an earlier version is brought up to date with all that is in it, or left as it was."""

from __future__ import annotations

import logging
from pathlib import Path

import apsw
import pytest

from livehub.errors import StoreError
from livehub.ports import KeyRecord, SeatRecord, TellRecord, TimerRecord
from livehub.stores import reads, upgrades
from livehub.stores.schema import APPLICATION_ID, SCHEMA_VERSION, open_log

MINUTE_MS = 60_000

# What that version made, word for word: it does not follow `schema.py`, and nothing here may.
VERSION_1 = """
create table meta(name text primary key, value) without rowid;
create table fact(
    seq integer primary key, room text not null, kind text not null, at_ms integer not null, data blob not null
);
create index fact_room on fact(room);
create table delivery(audience text not null, seq integer not null, primary key (audience, seq)) without rowid;
create table key(
    user text not null, key text not null, digest blob not null, ack blob not null, at_ms integer not null,
    primary key (user, key)
) without rowid;
create index key_at_ms on key(at_ms);
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
insert into meta values ('epoch', 'oldepoch'), ('secret', x'73'), ('created', 1);
insert into fact values
    (1, 'session:a', 'said', 5, x'31'), (2, 'session:b', 'said', 6, x'32'), (4, 'session:a', 'said', 7, x'33'),
    (5, 'user:ada', 'noted', 8, x'34');
insert into delivery values ('session:a', 1), ('session:b', 2), ('session:a', 4), ('hall', 1), ('hall', 4);
insert into seat values (1, 'sid', 'session:a', 'ada', '["hall"]', 1, 2);
insert into timer values ('session:a', 'k', 10, 'ring', x'7b7d');
insert into tell values (1, 'id', 'session:b', 'go', x'7b7d');
"""

KEYS = [KeyRecord(f"user {number % 3}", f"key {number}", b"d", b"{}", number * MINUTE_MS) for number in range(100)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A log of schema 1, with something in each table."""
    file = tmp_path / "livehub.db"
    connection = apsw.Connection(str(file))
    connection.pragma("journal_mode", "wal")
    connection.execute(VERSION_1)
    connection.executemany(
        "insert into key values (?, ?, ?, ?, ?)", [(key.user, key.key, key.digest, key.ack, key.at_ms) for key in KEYS]
    )
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.close()
    return file


def tables(connection: apsw.Connection) -> dict[str, str]:
    """Everything that a file is made of, with its definition."""
    found = connection.execute("select name, coalesce(sql, '') from sqlite_schema").fetchall()
    return {str(name): " ".join(str(sql).replace('"', "").split()) for name, sql in found}


def test_an_old_log_comes_out_as_a_new_one_is_made(old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    upgraded, identity = open_log(old, "os", 9)
    new, _ = open_log(tmp_path / "new.db", "os", 9)
    assert tables(upgraded) == tables(new)
    assert upgraded.pragma("user_version") == SCHEMA_VERSION
    assert upgraded.pragma("quick_check") == "ok"
    assert (identity.epoch, identity.secret, identity.last_seq) == ("oldepoch", b"s", 5)
    assert [record.message for record in caplog.records] == [
        f"bringing {old} up to date (schema 1 to {SCHEMA_VERSION}): earlier versions cannot open it then"
    ]
    for connection in (upgraded, new):
        connection.close()


def test_all_that_was_there_is_still_there(old: Path) -> None:
    log, _ = open_log(old, "os", 9)
    assert [(record.seq, record.data) for record in reads.read(log, "session:a", 0, 9)] == [(1, b"1"), (4, b"3")]
    assert reads.count(log, "session:a") == 2
    assert sorted(reads.rooms(log, "session")) == ["session:a", "session:b"]
    replayed = reads.replay(log, {"hall": 0, "session:b": 0}, 9, 9)
    assert [(record.seq, record.audience) for record in replayed] == [(1, "hall"), (2, "session:b"), (4, "hall")]
    assert [reads.find_key(log, key.user, key.key) for key in KEYS] == KEYS
    assert sorted(reads.keys_since(log, 42 * MINUTE_MS)) == sorted((key.user, key.key) for key in KEYS[42:])
    assert reads.seats(log, "sid") == [SeatRecord("sid", "session:a", "ada", ("hall",), 1, 2)]
    assert reads.timers(log) == [TimerRecord("session:a", "k", 10, "ring", b"{}")]
    assert reads.tells(log) == [TellRecord("id", "session:b", "go", b"{}")]
    log.close()


def test_it_happens_once(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        open_log(old, "os", 9)[0].close()
    assert len(caplog.records) == 1


def test_a_step_that_fails_leaves_the_log_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    before = apsw.Connection(str(old))
    made_of = tables(before)
    before.close()
    with monkeypatch.context() as patched:
        patched.setitem(upgrades.STEPS, 1, upgrades.STEPS[1] + "insert into nowhere values (1);")
        with pytest.raises(StoreError, match=r"cannot use .*: no such table: nowhere"):
            open_log(old, "os", 9)
    after = apsw.Connection(str(old))
    assert (tables(after), after.pragma("user_version")) == (made_of, 1)
    after.close()
    test_all_that_was_there_is_still_there(old)


def test_there_is_a_step_from_every_schema() -> None:
    assert list(upgrades.STEPS) == list(range(1, SCHEMA_VERSION))
