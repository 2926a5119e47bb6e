"""One member of a room: what it heard, in a few numbers.

The state is a position (`next`), the gaps behind it, and, only after something came late, a journal of what was heard
since, as runs. See `ledger.py` for the rules that these serve.
"""

import copy
from itertools import chain
from typing import TYPE_CHECKING

import attrs

from loadtest.measure.order import Gaps, Span, clipped

if TYPE_CHECKING:
    from loadtest.measure.room import Room

NEVER_NS = 1 << 62
DONE = -2  # the position of a member whose account is closed: no message is next
UNKNOWN = -1  # the ordinal of a message so old that its id is forgotten


@attrs.define
class Page:
    """What is new since the last page; the sums of all pages are the run's."""

    delivered: int = 0
    lost: int = 0  # may be negative: what came after all
    duplicate: int = 0
    out_of_order: int = 0
    replayed: int = 0  # of the delivered, those intended before their member was back
    sights: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)  # room: (id, intended) seen first
    acked: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)  # room: (id, intended)
    settled: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)  # room: (id, when the slowest heard it)
    members: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)  # room: (from when, +1 or -1)
    away: dict[str, int] = attrs.field(factory=dict)  # room: members who may still recover

    def plain(self) -> dict[str, object]:
        """For JSON: what is empty is left out."""
        return {name: value for name in self.__slots__ if name[0] != "_" and (value := getattr(self, name))}

    def clear_counts(self) -> None:
        self.delivered = self.lost = self.duplicate = self.out_of_order = self.replayed = 0


class Member:
    """One seat in a room; a user who joins again gets another."""

    __slots__ = (
        "_page", "_room", "_tally", "back_ns", "cut_ns", "done", "early", "floor", "forced", "gaps", "high",
        "joined_ns", "judged", "left_ns", "next", "origin", "overtaken", "runs", "start", "user",
    )  # fmt: skip

    def __init__(self, room: "Room", user: int, at_ns: int) -> None:
        self._room = room
        self._page = room.page
        self._tally = room.fanout
        self.user = user
        self.done = False
        self._begin(at_ns)

    def _begin(self, at_ns: int) -> None:
        self.joined_ns = at_ns
        self.left_ns = NEVER_NS  # with the grace taken off
        self.cut_ns: int | None = None
        self.back_ns = 0  # what was intended before is no fan-out; NEVER_NS while away
        self.next = self.floor = self.judged = self._room.top
        self.high = self.forced = -1
        self.gaps = Gaps()
        self.early: set[int] = set()  # heard, though others here had it before this one joined
        self.runs: list[Span] = []  # what was heard since the first late one, in the order heard
        self.origin = self.start = 0  # the way forward: `next` when the journal began, and since its last entry
        self.overtaken = -1  # highest ordinal heard before the journal

    def heard(self, message_id: int, intended_ns: int, now_ns: int) -> None:
        """A delivery. The hot path of the whole harness."""
        message = self._room.messages.get(message_id)
        if message is None:
            message = self._room.sight(message_id, intended_ns, now_ns)
        if message.ordinal == self.next:
            self.next += 1
        elif not self._off_path(message.ordinal, intended_ns):
            return
        page = self._page
        page.delivered += 1
        message.heard += 1
        if intended_ns < self.back_ns:
            page.replayed += 1
            return
        message.last_ns = now_ns
        self._tally.record((now_ns - intended_ns) // 1000)

    def left(self, at_ns: int, *, grace: bool = True) -> None:
        """No more is expected: `at_ns` is when the user began to leave. One who is away left when cut off."""
        if self.left_ns != NEVER_NS:
            return
        if self.back_ns == NEVER_NS and self.cut_ns is not None:
            at_ns, grace = self.cut_ns, True
        self.left_ns = max(self.joined_ns, at_ns - grace * self._room.rules.grace_ns)
        self.back_ns = 0 if self.back_ns == NEVER_NS else self.back_ns
        self._room.leave(self, at_ns)

    def cut(self, at_ns: int) -> None:
        """The connection is gone, the seat is not: nothing is lost yet."""
        if self.back_ns != NEVER_NS:
            self.cut_ns, self.back_ns = at_ns, NEVER_NS

    def resumed(self, recovered: bool, at_ns: int) -> None:
        """Back again. Recovered or not, what was missed is expected; the unrecovered should join again."""
        del recovered  # the same rule holds for both: a server that says "recovered" and gives nothing has lost it too
        self.back_ns = at_ns

    def restart(self, at_ns: int) -> None:
        """Back as if newly joined: what was missed since the cut is not expected."""
        gone = copy.copy(self)
        gone.back_ns = NEVER_NS if self.cut_ns is not None else 0
        self._room.swap(self, gone)
        gone.left(at_ns)
        self._begin(at_ns)
        self._room.come(self, at_ns)

    def _off_path(self, ordinal: int, intended_ns: int) -> bool:
        """Anything but the next one. False if it is not to be counted as delivered."""
        if self.done:
            return False
        if ordinal > self.next:
            if self.runs and self.start < self.next:
                self.runs.append((self.start, self.next - 1))
            self.gaps.add(self.next, ordinal)
            self.start, self.next = ordinal, ordinal + 1
            return True
        ahead = ordinal < self.floor  # of its join: only one that is here for the first time is no duplicate
        missing = ordinal != UNKNOWN and ordinal not in self.early if ahead else self.gaps.fill(ordinal)
        if not missing:
            self._page.duplicate += 1
            return False
        if ahead:
            self.early.add(ordinal)
            if ordinal >= self._room.base:
                self._journal(ordinal)
        elif ordinal < self.judged:
            self._take_back(ordinal, intended_ns)
        else:
            self._journal(ordinal)
        return True

    def _take_back(self, ordinal: int, intended_ns: int) -> None:
        """Counted as lost, and here it is."""
        self._page.lost -= self.must_hear(intended_ns)
        high = self.highest()
        self._page.out_of_order += ordinal < high
        self.high = max(high, ordinal)

    def _journal(self, ordinal: int) -> None:
        """From a late one on, the order of what is heard is kept, as runs, until it is judged."""
        if not self.runs:
            self.origin = self.start = self.next
            self.overtaken = self.highest()
            self._room.tangled[self] = None
        if self.start < self.next:
            self.runs.append((self.start, self.next - 1))
            self.start = self.next
            self.runs.append((ordinal, ordinal))
        elif self.runs and self.runs[-1][1] + 1 == ordinal:
            self.runs[-1] = (self.runs[-1][0], ordinal)
        else:
            self.runs.append((ordinal, ordinal))

    def waits(self) -> bool:
        """Whether something that it must hear, and that is not lost yet, has not come."""
        room = self._room
        if self.next == room.top and not self.gaps:
            return False
        missing = chain(self.gaps.between(max(self.judged, room.base), self.next), range(self.next, room.top))
        return any(self.must_hear(room.intended_ns(ordinal)) for ordinal in missing)

    def highest(self) -> int:
        """The highest ordinal heard on the way forward."""
        if self.next == self.forced:
            return self.high
        return self.next - 1 if self.next > self.floor else -1

    def must_hear(self, intended_ns: int) -> bool:
        return self.joined_ns <= intended_ns < self.left_ns

    def give_up(self, end: int) -> None:
        """Behind for too long: up to `end` (excluded) it counts as a gap."""
        self.high = self.highest()
        if self.runs and self.start < self.next:
            self.runs.append((self.start, self.next - 1))
        self.gaps.add(self.next, end)
        self.next = self.forced = self.start = end

    def judge(self, end: int) -> None:
        """Gaps below `end` are lost. What is not yet reached is no gap."""
        end = min(end, self.next)
        intended = self._room.intended_ns
        self._page.lost += sum(self.must_hear(intended(missed)) for missed in self.gaps.between(self.judged, end))
        self.judged = max(self.judged, end)

    def finish(self, end: int) -> None:
        """It left, and all before `end` is settled: what it has not heard by now is lost."""
        self.judge(end)
        intended = self._room.intended_ns
        self._page.lost += sum(self.must_hear(intended(missed)) for missed in range(self.next, end))
        self.next, self.done = DONE, True

    def forget_runs(self, end: int) -> bool:
        """Drop what the journal holds below `end`, which is judged. True if nothing is left of it."""
        count = 0
        while count < len(self.runs) and self.runs[count][1] < end:
            self.overtaken = max(self.overtaken, self.runs[count][1])
            count += 1
        del self.runs[:count]
        return not self.runs

    def all_runs(self) -> list[Span]:
        """The journal with what has been heard in order since its last entry."""
        return [*self.runs, (self.start, self.next - 1)] if self.start < self.next else self.runs

    def sequence(self, span: Span) -> list[int]:
        """What was heard of a stretch, in the order heard."""
        after = clipped(self.all_runs(), span) if self.runs else []
        end = self.origin if self.runs else (self.forced if self.next == self.forced else self.next)
        journalled = set(after)
        before = (o for o in range(max(span[0], self.floor), min(span[1] + 1, end)) if o not in self.gaps)
        return [o for o in before if o not in journalled] + after
