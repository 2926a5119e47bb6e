"""Taking connections: all that wait at each turn of the loop.

`trio.serve_listeners` takes one a turn. A turn that writes to 5,000 sockets takes 35 ms, so that a crowd which comes
back was let in at 30 a second, whatever the processor had left to give.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable

import trio

ACCEPTS_PER_TURN = 64
"""Each is 0.5 ms of work in the turns that follow."""
PAUSE_S = 0.1
"""When the system has nothing left for a connection: it is asked again, and those who wait still do."""
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
OF_THE_NEW_ONE = frozenset(
    (
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.ETIMEDOUT,
    )
)
"""It went away while it waited, or a firewall forbids it: accept(2), on errors of the new socket."""

log = logging.getLogger(__name__)


async def accept(
    listener: trio.SocketListener, serve: Callable[[trio.SocketStream], Awaitable[None]], nursery: trio.Nursery
) -> None:
    """Start a task for each connection, until cancelled; the listener is closed at the end."""
    async with listener:
        with socket.socket(fileno=os.dup(listener.socket.fileno())) as waiting:
            while True:
                await trio.lowlevel.wait_readable(listener.socket)
                if not _take(waiting, serve, nursery):
                    await trio.sleep(PAUSE_S)


def _take(waiting: socket.socket, serve: Callable[[trio.SocketStream], Awaitable[None]], nursery: trio.Nursery) -> bool:
    """Take what waits. False when the system has nothing left for another one."""
    for _ in range(ACCEPTS_PER_TURN):
        try:
            taken, _ = waiting.accept()
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in EXHAUSTED:
                log.warning("no more connections for now: %s", error.strerror)
                return False
            if error.errno not in OF_THE_NEW_ONE:
                raise
            continue
        nursery.start_soon(serve, trio.SocketStream(trio.socket.from_stdlib_socket(taken)))
    return True
