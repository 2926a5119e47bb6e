"""One room in one process: its messages by ordinal, its members, and the sweep that settles both."""

from collections import deque
from collections.abc import Iterable

import attrs

from loadtest.measure.histograms import Tally
from loadtest.measure.member import NEVER_NS, UNKNOWN, Member, Page
from loadtest.measure.order import Span, inversions, late_in, majority_order, merged

REMEMBERED_NS = 300 * 1_000_000_000  # ids of forgotten messages are known for this long at least
STRETCH_LIMIT = 5_000  # ordinals that may stay unjudged because the disorder never ends


@attrs.frozen
class Rules:
    """How long to wait for what."""

    settle_ns: int
    grace_ns: int
    lost_after_ns: int

    @classmethod
    def of(cls, settle_s: float, grace_s: float, lost_after_s: float) -> "Rules":
        return cls(int(settle_s * 1e9), int(grace_s * 1e9), int(max(settle_s, lost_after_s) * 1e9))


class Message:
    """A message that somebody may still wait for."""

    __slots__ = ("first_ns", "heard", "ident", "intended_ns", "last_ns", "ordinal")

    def __init__(self, ident: int, ordinal: int, intended_ns: int, first_ns: int) -> None:
        self.ident = ident
        self.ordinal = ordinal
        self.intended_ns = intended_ns
        self.first_ns = first_ns
        self.last_ns = 0  # when the slowest member so far heard it
        self.heard = 0


class Memory:
    """Ids of forgotten messages and their ordinals, in two generations: bounded, and never short of REMEMBERED_NS."""

    def __init__(self) -> None:
        self.horizon_ns = -1  # what is unknown and intended up to here was forgotten twice
        self.oldest = 0  # the lowest ordinal that is remembered
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._young_ns = self._old_ns = -1
        self._turned_ns = 0

    def keep(self, message: Message) -> None:
        self._young[message.ident] = message.ordinal
        self._young_ns = max(self._young_ns, message.intended_ns)

    def ordinal(self, ident: int, intended_ns: int) -> int | None:
        """Its ordinal, UNKNOWN for one that is too old to tell, None for one never seen."""
        found = self._young.get(ident)
        if found is None:
            found = self._old.get(ident)
        return UNKNOWN if found is None and intended_ns <= self.horizon_ns else found

    def turn(self, now_ns: int) -> bool:
        """Let the older generation go, when it is time."""
        if now_ns - self._turned_ns < REMEMBERED_NS:
            return False
        self._turned_ns = now_ns
        self.horizon_ns = max(self.horizon_ns, self._old_ns)
        self._old, self._old_ns = self._young, self._young_ns
        self._young, self._young_ns = {}, -1
        self.oldest = min(self._old.values(), default=self.oldest)
        return True


class Room:
    """Ordinals are given at first sight; `base` is the lowest that anybody waits for, `top` the next to be given."""

    def __init__(self, name: str, page: Page, fanout: Tally, rules: Rules) -> None:
        self.name = name
        self.page = page
        self.fanout = fanout
        self.rules = rules
        self.messages: dict[int, Message] = {}
        self.members: dict[Member, None] = {}
        self.tangled: dict[Member, None] = {}  # heard something late, not yet judged
        self.base = self.top = 0
        self._window: deque[Message] = deque()  # base to top
        self._gone: dict[Member, int] = {}  # left, with messages to settle: when
        self._finished: deque[tuple[int, int]] = (
            deque()
        )  # from and until when those whose account is closed had to hear
        self._finished_ns = -1
        self._memory = Memory()
        self._settled = self._reported = self._ordered = 0

    def join(self, user: int, at_ns: int) -> Member:
        member = Member(self, user, at_ns)
        self.come(member, at_ns)
        return member

    def come(self, member: Member, at_ns: int) -> None:
        self.members[member] = None
        self.page.members.setdefault(self.name, []).append((at_ns, 1))

    def leave(self, member: Member, at_ns: int) -> None:
        self.members.pop(member, None)
        self._gone[member] = at_ns
        self.page.members.setdefault(self.name, []).append((member.left_ns, -1))

    def swap(self, member: Member, other: Member) -> None:
        """`other` takes the place of `member`."""
        self.members.pop(member, None)
        if member in self.tangled:
            del self.tangled[member]
            self.tangled[other] = None

    def sight(self, ident: int, intended_ns: int, now_ns: int) -> Message:
        """A message that is not in the window: a new one, or one that was forgotten."""
        ordinal = self._memory.ordinal(ident, intended_ns)
        if ordinal is not None:
            return Message(ident, ordinal, intended_ns, now_ns)
        if intended_ns < self._finished_ns:  # it comes so late that some who had to hear it are gone
            self.page.lost += sum(joined_ns <= intended_ns < left_ns for joined_ns, left_ns in self._finished)
        message = Message(ident, self.top, intended_ns, now_ns)
        self.messages[ident] = message
        self._window.append(message)
        self.top += 1
        self.page.sights.setdefault(self.name, []).append((ident, intended_ns))
        return message

    def intended_ns(self, ordinal: int) -> int:
        return self._window[ordinal - self.base].intended_ns

    @property
    def away(self) -> int:
        return sum(member.back_ns == NEVER_NS for member in self.members)

    def waiting(self) -> int:
        """How many of the members are behind, or have a gap that is not lost yet."""
        return sum(member.waits() for member in self.members)

    def sweep(self, now_ns: int) -> None:
        """Settle what is old enough, then forget what nobody waits for."""
        if self._memory.turn(now_ns):
            for member in self.members:
                member.gaps.forget_below(self._memory.oldest)
            while self._finished and self._finished[0][1] < now_ns - REMEMBERED_NS:
                self._finished.popleft()
        if self.base == self.top and not self._gone:
            return
        self._settled = end = self._older_than(now_ns - self.rules.settle_ns, self._settled)
        given_up = self._older_than(now_ns - self.rules.lost_after_ns, self.base)
        waiting, slowest = end, end
        for member in self.members:
            if member.next < given_up:
                member.give_up(given_up)
            if member.gaps:
                member.judge(end)
            waiting = min(waiting, member.next)
            if member.next < slowest and member.back_ns != NEVER_NS:
                slowest = member.next
        for member in self._gone:
            member.judge(end)
        self._report(slowest)
        waiting = min(waiting, self._judge_order(end))
        for member in self._finish(now_ns - self.rules.settle_ns):
            waiting = min(waiting, member.next)
        self._forget(waiting)

    def _older_than(self, at_ns: int, first: int) -> int:
        """The first ordinal from `first` on that was seen after `at_ns`."""
        end = max(first, self.base)
        while end < self.top and self._window[end - self.base].first_ns <= at_ns:
            end += 1
        return end

    def _report(self, end: int) -> None:
        """Nobody who is here will hear those below `end` any more: their slowest receiver is known."""
        done = self.page.settled.setdefault(self.name, []) if end > self._reported else []
        for ordinal in range(self._reported, end):
            message = self._window[ordinal - self.base]
            done.append((message.ident, message.last_ns))
        self._reported = max(self._reported, end)

    def _finish(self, at_ns: int) -> Iterable[Member]:
        """Close the account of those who left before `at_ns`; the others still wait."""
        for member, left_ns in list(self._gone.items()):
            if left_ns <= at_ns:
                member.finish(self.top)
                del self._gone[member]
                self._finished.append((member.joined_ns, member.left_ns))
                self._finished_ns = max(self._finished_ns, member.left_ns)
                self.tangled.pop(member, None)
        return self._gone

    def _forget(self, end: int) -> None:
        while self.base < end:
            message = self._window.popleft()
            del self.messages[message.ident]
            self._memory.keep(message)
            self.base += 1

    def _judge_order(self, end: int) -> int:
        """Count those who heard out of order, in stretches that are settled. Where unsettled ones begin, or `end`."""
        if not self.tangled:
            return end
        spans = merged([span for member in self.tangled for span in inversions(member.all_runs(), member.overtaken)])
        open_from = end
        for first, last in spans:
            if last < end:
                self._judge((max(first, self._ordered), last))
            elif last - first > STRETCH_LIMIT and first < end:
                self._judge_part(max(first, self._ordered), end)
            else:
                open_from = min(open_from, first)
        for member in list(self.tangled):
            if member.forget_runs(open_from):
                del self.tangled[member]
        return open_from

    def _judge(self, span: Span) -> None:
        """One stretch: put it in the order most heard, then count who heard it otherwise."""
        numbered = list(range(span[0], span[1] + 1))
        if not numbered:
            return
        sequences = [member.sequence(span) for member in self.tangled]
        heard = {ordinal: self._window[ordinal - self.base].heard for ordinal in numbered}
        order = majority_order(span, sequences, heard)
        late = sum(late_in(sequence, order, span[1]) for sequence in sequences)
        if order != numbered:
            whole = late_in(numbered, order, span[1])  # the same for all who heard it as numbered
            for member in [*self.members, *self._gone]:
                if member not in self.tangled:
                    sequence = member.sequence(span)
                    late += whole if len(sequence) == len(numbered) else late_in(sequence, order, span[1])
        self.page.out_of_order += late

    def _judge_part(self, first: int, end: int) -> None:
        """A disorder that does not end is counted against the numbering, as far as it is settled."""
        span = (first, self.top - 1)
        numbered = range(first, self.top)
        self.page.out_of_order += sum(late_in(member.sequence(span), numbered, end - 1) for member in self.tangled)
        self._ordered = end
