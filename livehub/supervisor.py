"""systemd, without its library: readiness, watchdog and handed-over sockets (sd_notify(3), sd_listen_fds(3)).

`systemd-python` does not build everywhere, and this is all that is needed of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import trio

FIRST_HANDED_FD = 3


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell the supervisor a state (`READY=1`, `STOPPING=1`, `WATCHDOG=1`). False when nobody asked to be told."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.connect(address)
        told.sendall(state.encode())
    return True


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to say `WATCHDOG=1`: half of what the unit allows; None when it does not watch this process."""
    allowed_us = environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or environ.get("WATCHDOG_PID") not in (None, str(os.getpid())):
        return None
    return int(allowed_us) / 2_000_000


async def feed_watchdog(environ: Mapping[str, str] = os.environ) -> None:
    """Say that the loop still turns; returns at once when nobody watches."""
    interval_s = watchdog_interval_s(environ)
    while interval_s is not None:
        notify("WATCHDOG=1", environ)
        await trio.sleep(interval_s)


def handed_sockets(environ: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """Listening sockets that the supervisor opened for this process."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    handed = []
    for number in range(FIRST_HANDED_FD, FIRST_HANDED_FD + int(environ.get("LISTEN_FDS", "0"))):
        os.set_inheritable(number, False)
        listener = socket.socket(fileno=number)
        listener.setblocking(False)
        handed.append(listener)
    return handed
