"""Messages over all processes: who never saw one that was sent, and when the slowest receiver of all heard it.

Each process tells what it saw first (`sights`), what was acked to its senders, when its slowest member heard a message
(`settled`) and who joined and left its rooms. A message that one process saw or had acked, and another with members
did not see until VERDICT_S later, is lost for each of those. If it is seen there after all, that is taken back.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping

from loadtest.measure.ledger import LOST_AFTER_S, SETTLE_S

VERDICT_S = 2 * SETTLE_S  # after a message was first told of; processes report once a second
REMEMBERED_S = 600.0
SECOND_NS = 1_000_000_000

Key = tuple[str, int]  # room, id


class Roll:
    """How many members one process had in a room at any time."""

    __slots__ = ("_at", "_moves")

    def __init__(self) -> None:
        self._at = 0  # members before the first move kept
        self._moves: list[tuple[int, int]] = []

    def move(self, at_ns: int, change: int) -> None:
        insort(self._moves, (at_ns, change))

    def members(self, at_ns: int) -> int:
        return self._at + sum(change for _, change in self._moves[: bisect_right(self._moves, (at_ns, 2))])

    def forget_before(self, at_ns: int) -> None:
        count = bisect_right(self._moves, (at_ns, 2))
        self._at += sum(change for _, change in self._moves[:count])
        del self._moves[:count]


class _Sent:
    """A message of the run, until its verdict."""

    __slots__ = ("intended_ns", "last_ns", "settled", "since_ns", "workers")

    def __init__(self, intended_ns: int, since_ns: int) -> None:
        self.intended_ns = intended_ns
        self.since_ns = since_ns  # on the parent's clock
        self.last_ns = 0
        self.workers: set[int] = set()  # who saw it
        self.settled: set[int] = set()  # whose slowest member is known


class Tracker:
    """In the parent. `last(us)` is called once for each message, with what its slowest receiver took."""

    def __init__(self, last: Callable[[int], None]) -> None:
        self.lost = 0
        self._last = last
        self._open: dict[Key, _Sent] = {}
        self._rolls: dict[str, dict[int, Roll]] = {}  # by room and process
        self._away: dict[int, Mapping[str, int]] = {}
        self._missed: dict[Key, dict[int, int]] = {}  # lost members of processes that never saw it
        self._closed: dict[Key, None] = {}
        self._closed_before: dict[Key, None] = {}
        self._turned_ns: int | None = None
        self._anew_ns = 0

    def reset(self, at_ns: int) -> None:
        """Begin anew: only messages intended from then on have a slowest receiver. Open verdicts stay open."""
        self.lost = 0
        self._anew_ns = at_ns

    def waiting(self) -> int:
        """How many messages some process has not seen yet though it had members who must hear them."""
        return sum(bool(self._unseen(key[0], sent)) for key, sent in self._open.items())

    def add(self, worker: int, page: Mapping[str, Mapping[str, Iterable[tuple[int, int]]]], at_ns: int) -> None:
        """What one process told: the lists of a ledger's page."""
        for room, moves in page.get("members", {}).items():
            roll = self._rolls.setdefault(room, {}).setdefault(worker, Roll())
            for when_ns, change in moves:
                roll.move(when_ns, change)
        for room, messages in page.get("acked", {}).items():
            for ident, intended_ns in messages:
                self._sent((room, ident), intended_ns, at_ns)
        for room, messages in page.get("sights", {}).items():
            for ident, intended_ns in messages:
                self._saw(worker, (room, ident), intended_ns, at_ns)
        for room, messages in page.get("settled", {}).items():
            for ident, last_ns in messages:
                sent = self._open.get((room, ident))
                if sent is not None:
                    sent.settled.add(worker)
                    sent.last_ns = max(sent.last_ns, last_ns)

    def away(self, worker: int, rooms: Mapping[str, int]) -> None:
        """How many of a process's members may still recover, by room."""
        self._away[worker] = rooms

    def sweep(self, now_ns: int, *, final: bool = False) -> None:
        """Give the verdict on what is old enough; all of it when `final`."""
        for key, sent in list(self._open.items()):
            age_s = (now_ns - sent.since_ns) / SECOND_NS
            if age_s < VERDICT_S and not final:
                break  # those behind it are younger
            # The verdict waits for a slow reader's own process, which says when it has settled.
            ready = sent.workers <= sent.settled or age_s >= LOST_AFTER_S
            if final or (ready and not self._may_recover(key[0], sent, age_s)):
                self._close(key, sent)
        if self._turned_ns is None:
            self._turned_ns = now_ns
        if now_ns - self._turned_ns >= REMEMBERED_S * SECOND_NS:
            self._turn(now_ns)

    def _sent(self, key: Key, intended_ns: int, at_ns: int) -> _Sent | None:
        sent = self._open.get(key)
        if sent is None and key not in self._closed and key not in self._closed_before:
            sent = self._open[key] = _Sent(intended_ns, at_ns)
        return sent

    def _saw(self, worker: int, key: Key, intended_ns: int, at_ns: int) -> None:
        sent = self._sent(key, intended_ns, at_ns)
        if sent is not None:
            sent.workers.add(worker)
        elif key in self._missed:
            self.lost -= self._missed[key].pop(worker, 0)

    def _may_recover(self, room: str, sent: _Sent, age_s: float) -> bool:
        """Whether members of a process that did not see it are cut off, and may hear it when they are back."""
        waiting = (rooms.get(room, 0) for worker, rooms in self._away.items() if worker not in sent.workers)
        return age_s < LOST_AFTER_S + VERDICT_S and any(waiting)

    def _close(self, key: Key, sent: _Sent) -> None:
        del self._open[key]
        self._closed[key] = None
        if missed := self._unseen(key[0], sent):
            self._missed[key] = missed
            self.lost += sum(missed.values())
        if sent.last_ns and sent.intended_ns >= self._anew_ns:
            self._last(max(0, sent.last_ns - sent.intended_ns) // 1000)

    def _unseen(self, room: str, sent: _Sent) -> dict[int, int]:
        """Processes that had members and have not seen it: how many members."""
        return {
            worker: members
            for worker, roll in self._rolls.get(room, {}).items()
            if worker not in sent.workers and (members := roll.members(sent.intended_ns)) > 0
        }

    def _turn(self, now_ns: int) -> None:
        """Forget verdicts that nothing can change any more, so that a soak keeps flat."""
        self._turned_ns = now_ns
        for key in self._closed_before:
            self._missed.pop(key, None)
        self._closed_before, self._closed = self._closed, {}
        for rolls in self._rolls.values():
            for roll in rolls.values():
                roll.forget_before(now_ns - int(REMEMBERED_S * SECOND_NS))
