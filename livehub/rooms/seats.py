"""Who sits in a room: connections, and the people behind them. Several devices of one person are one person."""

from __future__ import annotations

from livehub.rooms.peer import Peer, Seat


class Seats(dict[Peer, Seat]):
    """Peer → seat. Changed only by `take` and `leave`, which tell when that is news of a person."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: dict[str, int] = {}

    @property
    def people(self) -> frozenset[str]:
        """Ids of everybody here."""
        return frozenset(self._connections)

    def take(self, peer: Peer, seat: Seat) -> bool:
        """Give a peer a seat, or another one. True if it is its person's first here."""
        if peer in self:
            self[peer] = seat
            return False
        self[peer] = seat
        count = self._connections.get(peer.person.id, 0) + 1
        self._connections[peer.person.id] = count
        return count == 1

    def leave(self, peer: Peer) -> bool:
        """Take a peer's seat away, if it has one. True if it was its person's last here."""
        if self.pop(peer, None) is None:
            return False
        count = self._connections.pop(peer.person.id) - 1
        if count:
            self._connections[peer.person.id] = count
        return not count
