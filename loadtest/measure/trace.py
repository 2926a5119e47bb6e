"""The mark at the start of a chat text by which a delivery is recognised without decoding its JSON.

`[lt <4 hex run> <16 hex id> <16 hex intended ns>] ` has a fixed width, and no character in it is escaped in JSON: so it
is found in a raw Socket.IO packet with one `bytes.find`, and costs 0.4 us where decoding the packet would cost 3 us.
The run is in it so that two harnesses can share one server and its rooms: each sees its own messages only.
"""

from __future__ import annotations

WIDTH = 44  # "[lt " + 4 + " " + 16 + " " + 16 + "] "
RUNS = 1 << 16
USER_SHIFT = 24  # a message's id: user number << 24 | running number


def message_id(user: int, running: int) -> int:
    """An id that no other message of the run has: 16 million messages for each user."""
    return user << USER_SHIFT | running


def mark(run: int = 0) -> bytes:
    """What every trace of a run begins with."""
    return b"[lt %04x " % (run % RUNS)


def trace(ident: int, intended_ns: int, run: int = 0) -> str:
    """The mark with a message's id and time; put the text behind it."""
    return f"{mark(run).decode()}{ident:016x} {intended_ns:016x}] "


def find_trace(frame: bytes, marked: bytes = mark()) -> tuple[int, int] | None:
    """(id, intended ns) in a raw packet that has a trace of the run with this mark, else None."""
    at = frame.find(marked)
    if at < 0:
        return None
    at += len(marked)
    try:
        return int(frame[at : at + 16], 16), int(frame[at + 17 : at + 33], 16)
    except ValueError:  # somebody wrote the mark by hand
        return None
