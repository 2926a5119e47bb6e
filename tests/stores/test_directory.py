"""One directory, one process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from livehub.errors import StoreError
from livehub.stores.directory import LOCK_NAME, lock

HOLD = """
import sys
from pathlib import Path
from livehub.stores.directory import lock
lock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "lib"
    os.close(lock(directory))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / LOCK_NAME).stat().st_mode) == 0o600


def test_a_second_opener_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = lock(tmp_path)
    with pytest.raises(StoreError) as refused:
        lock(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert f"another livehub (process {os.getpid()})" in str(refused.value)
    os.close(first)
    os.close(lock(tmp_path))


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match=f"process {holder.pid}"):
            lock(tmp_path)
        holder.kill()
    os.close(lock(tmp_path))


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreError, match=r"file/data: Not a directory\. Give livehub a directory"):
        lock(tmp_path / "file" / "data")
