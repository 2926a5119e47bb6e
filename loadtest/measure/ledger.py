"""What every member must hear of a room, and what each heard: lost, duplicate and out-of-order messages.

**The rule.** A member must hear every message that was sent to its room (acked to its sender, or heard by anyone) and
intended from when the member had joined until a grace before it left. What a member heard beyond that counts as
delivered too, so expected = delivered + lost.

**The cost.** A soak hears a hundred million deliveries, so there is no set for each member. A room gives every message
an ordinal at first sight; a member who heard ordinal k expects k + 1, and that delivery is two comparisons (0.5 us).
Higher is a gap, kept as an interval: what fills it came late, what does not is lost. Lower and not missing is a
duplicate. Once a second a sweep settles what is older than SETTLE_S and forgets what nobody waits for.

**Who waits.** A gap is lost once it is settled. A member who is merely behind (a slow reader, or one cut off who may
recover) waits, until LOST_AFTER_S. What comes later still is taken back from the lost: ids are remembered for
REMEMBERED_S, and after that an unknown old id counts as a duplicate.

**Being cut off** is no delivery latency: what was intended before a member was back counts as delivered, not in the
fan-out (the `recovery` latency says how long it was away). A message that no member of this process saw is found by the
parent (`tracker.py`), which knows from other processes that it was sent.
"""

import copy

from loadtest.measure.histograms import Tally
from loadtest.measure.member import NEVER_NS, Member, Page
from loadtest.measure.room import Room, Rules

__all__ = ["TRACED_EVENT", "Ledger", "Member"]

TRACED_EVENT = "chat.message.new"
SETTLE_S = 10.0  # after first sight a gap is lost, and the slowest receiver known
GRACE_S = 5.0  # a message intended this shortly before a member left may have been under way
LOST_AFTER_S = 120.0  # after first sight even one who is behind or cut off has lost it (livehub recovers for 2 minutes)


class Ledger:
    """All rooms of one process."""

    def __init__(
        self, fanout: Tally, *, settle_s: float = SETTLE_S, grace_s: float = GRACE_S, lost_after_s: float = LOST_AFTER_S
    ) -> None:
        """`fanout` is where the latency of each delivery is recorded."""
        self.fanout = fanout
        self.rules = Rules.of(settle_s, grace_s, lost_after_s)
        self.page = Page()
        self._rooms: dict[str, Room] = {}

    def joined(self, room: str, user: int, at_ns: int) -> Member:
        """A member from `at_ns`, which is when its join was acked: what is intended from then on it must hear."""
        return self._room(room).join(user, at_ns)

    def acked(self, room: str, message_id: int, intended_ns: int) -> None:
        """A sender was told that its message is in: it must arrive at every member, here and in other processes."""
        self.page.acked.setdefault(room, []).append((message_id, intended_ns))

    def take(self, now_ns: int) -> Page:
        """Settle what is old enough, and hand over what is new."""
        for room in self._rooms.values():
            room.sweep(now_ns)
        return self._turn()

    def close(self, now_ns: int) -> Page:
        """The end of the run: nothing more will come, so everything is settled. Who is still away left when cut off;

        whoever sits there must have heard all that was said, without a grace: nobody has sent for as long as the drain.
        """
        for room in self._rooms.values():
            for member in list(room.members):
                member.left(now_ns, grace=False)
            room.sweep(NEVER_NS)
        return self._turn()

    def waiting(self) -> int:
        """How many members have not yet heard something that others here have heard and they must."""
        return sum(room.waiting() for room in self._rooms.values())

    def _turn(self) -> Page:
        # The page is filled in place by members on their hot path: they keep this object, the copy goes out.
        page = copy.copy(self.page)
        page.away = {name: away for name, room in self._rooms.items() if (away := room.away)}
        self.page.clear_counts()
        for name in ("sights", "acked", "settled", "members"):
            setattr(self.page, name, {})
        return page

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name, self.page, self.fanout, self.rules)
        return room
