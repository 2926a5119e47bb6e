"""Who just left, and what the log holds of their seats: most of a crowd that was cut off is back within seconds.

Then nobody has to wait for the log and read it again. Only what is certain is kept: all of a peer's seats are known,
and nothing that it asked is under way. Of everybody else, of those who left long ago and of those who left before a
restart, the log knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from livehub.ports import SeatRecord
from livehub.rooms.commit import UNSEEN
from livehub.rooms.peer import Peer, Seat

LEAVERS_MAX = 10_000
"""About 500 bytes each."""
KEPT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Leaver:
    user: str
    seats: tuple[Seat, ...]
    unseen: int
    left_s: float


class Leavers:
    """Seats of those who just left, by sid."""

    def __init__(self) -> None:
        self._left: dict[str, _Leaver] = {}  # in the order in which they left

    def note(self, peer: Peer) -> None:
        """A peer goes."""
        seats, now_s = tuple(peer.seats.values()), trio.current_time()
        if peer.recoverable and peer.known and not peer.asking and all(seat.taken for seat in seats):
            self._left[peer.sid] = _Leaver(peer.person.id, seats, peer.unseen, now_s)
        while self._left:
            first = next(iter(self._left))
            if len(self._left) <= LEAVERS_MAX and self._left[first].left_s >= now_s - KEPT_S:
                break
            del self._left[first]

    def take(self, sid: str) -> list[SeatRecord] | None:
        """What the log holds of a sid, for its one return; None if only the log can tell."""
        leaver = self._left.pop(sid, None)
        if leaver is None or leaver.left_s < trio.current_time() - KEPT_S:
            return None
        records = [SeatRecord(sid, seat.room, leaver.user, seat.granted, seat.since, at_ms=0) for seat in leaver.seats]
        return (
            [*records, SeatRecord(sid, UNSEEN, leaver.user, (), leaver.unseen, at_ms=0)] if leaver.unseen else records
        )

    def forget(self, sid: str) -> None:
        """It will not come back to its seats."""
        self._left.pop(sid, None)
