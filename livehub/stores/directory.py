"""A data directory belongs to one process. The lock is the kernel's, so it goes with the process however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from livehub.errors import StoreError

LOCK_NAME = "livehub.lock"
LOG_NAME = "livehub.db"
DIRECTORY_MODE = 0o700  # the log holds what people said, and the secret that signs what clients carry
FILE_MODE = 0o600


def lock(directory: Path) -> int:
    """Make the directory if it is missing and lock it. Returns the descriptor that holds the lock while it is open."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as error:
        raise StoreError(
            f"cannot use the data directory {directory}: {error.strerror}. "
            "Give livehub a directory that its user may write to"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        process = f" (process {holder})" if holder else ""
        raise StoreError(
            f"another livehub{process} is using the data directory {directory}. "
            "Stop it, or give this one a directory of its own"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
