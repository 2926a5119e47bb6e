"""`livehub export session`: a session as files, from the data directory alone, with the server running or not.

The log is read on a connection that only reads, beside a server that may be writing. Whoever was still there when the
log ends counts as there until then: nobody knows more of a server that is not running.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import apsw

from livehub.errors import LivehubError, StoreError
from livehub.exporting import Table, chunks, collect, csv_text, file_stem, json_text
from livehub.rooms.catalog import Catalog
from livehub.rooms.state import BrokenState, State
from livehub.stores import reads
from livehub.stores.directory import DIRECTORY_MODE, FILE_MODE, LOG_NAME
from livehub.stores.schema import APPLICATION_ID, SCHEMA_VERSION, open_reader

READ_CHUNK_FACTS = 1_000
JSON_NAME = "session.json"

LATEST = "select coalesce(max(at_ms), 0) from (select at_ms from fact order by seq desc limit 1)"


@dataclass(frozen=True, slots=True)
class Log:
    """A data directory, open for reading. Made by `open_directory`."""

    directory: Path
    connection: apsw.Connection

    def count(self, session_id: str) -> int:
        """How many facts there are of a session."""
        return reads.count(self.connection, f"session:{session_id}")

    def fold(self, catalog: Catalog, session_id: str, progress: Callable[[int], object]) -> State:
        """The session as the log has it; `progress` is told how many more facts were read. Raises `LivehubError`."""
        state, after = State(catalog, "session", session_id), 0
        try:
            while records := reads.read(self.connection, state.name, after, READ_CHUNK_FACTS):
                state.fold(records)
                after = records[-1].seq
                progress(len(records))
        except BrokenState as error:
            raise StoreError(f"{error} does not fit: is this the version of livehub that serves it?") from error
        if not state.exists:
            raise LivehubError(f"there is no session {session_id!r} in {self.directory}")
        return state

    def latest_ms(self) -> int:
        """When the last fact of all came into the log."""
        latest: Any = self.connection.execute(LATEST).get
        return int(latest)


@contextmanager
def open_directory(directory: Path) -> Iterator[Log]:
    """The log in a data directory. Raises `StoreError` with what to do."""
    file = directory / LOG_NAME
    if not file.is_file():
        raise StoreError(f"there is no log in {directory}: name the configuration of the server with --config")
    try:
        connection = open_reader(file)
    except apsw.Error as error:
        raise StoreError(f"cannot read {file}: {error}. Run this as the user that livehub runs as") from error
    try:
        application, version = connection.pragma("application_id"), cast("int", connection.pragma("user_version"))
        if application != APPLICATION_ID or version > SCHEMA_VERSION:
            raise StoreError(f"{file} is not a log of this version of livehub")
        if version < SCHEMA_VERSION:
            raise StoreError(f"{file} is of an earlier version: start livehub once, which brings it up to date")
        yield Log(directory, connection)
    except apsw.Error as error:
        raise StoreError(f"cannot read {file}: {error}. Run this as the user that livehub runs as") from error
    finally:
        connection.close()


def write_files(
    state: State,
    directory: Path,
    ends_ms: int,
    head: Mapping[str, Any],
    *,
    force: bool,
    progress: Callable[[int], object],
) -> list[Path]:
    """Write a CSV file per table and one JSON file, which begins with `head`; `ends_ms` is when the log ends.

    Raises `LivehubError`; with nothing written where a file is there already, unless `force`.
    """

    def tables() -> dict[str, Table]:
        return collect(feature.export(ends_ms) for feature in state.features)

    names = file_names(state)
    there = [name for name in names if (directory / name).exists()]
    if there and not force:
        raise LivehubError(f"{directory} holds {', '.join(there)} already; --force replaces what is there")
    written = []
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        for name in names:
            text = json_text(head, tables()) if name == JSON_NAME else csv_text(tables()[name.removesuffix(".csv")])
            _write(directory / name, chunks(text))
            written.append(directory / name)
            progress(1)
    except OSError as error:
        raise LivehubError(f"cannot write to {error.filename or directory}: {error.strerror}") from error
    return written


def file_names(state: State) -> list[str]:
    """The files that an export comes to."""
    return [*(f"{name}.csv" for feature in state.features for name in feature.export(0)), JSON_NAME]


def default_directory(session_id: str) -> Path:
    """Where an export goes unless it is told."""
    return Path(file_stem(session_id).replace("session", "export", 1))


def _write(file: Path, text: Iterator[bytes]) -> None:
    """Write it beside its place first, so that what stands there is whole."""
    part = file.with_name(f"{file.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.writelines(text)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
