"""Views of one room: what is derived from its state, the latest wins, at most so often per key."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import trio

from livehub.declared import View
from livehub.feature import JSON, Fact
from livehub.rooms.commit import Hub
from livehub.rooms.fanout import NOBODYS, Told, Variant
from livehub.rooms.peer import Peer
from livehub.rooms.state import State

SHOWING_S = 10e-6
"""What showing a view takes for each listener."""
SHARE_MAX = 0.1
"""Of the loop's time for one view. Up to 2,500 listeners see it as often as it may change; 10,000 once a second."""


InOrder: TypeAlias = Callable[[Callable[[Exception | None], None]], None]
"""Calls what it is given once all that was decided before is committed, or with the error that undid it."""


class Views:
    """Which views are out of date, and when each may be shown again.

    It is told its room's `in_order` with each call: keeping it would make a cycle of every room that closes.
    """

    def __init__(self, state: State, hub: Hub) -> None:
        self._state = state
        self._hub = hub
        self._stale: dict[tuple[View, str], None] = {}
        self._next_s: dict[tuple[View, str], float] = {}
        self._latest: dict[tuple[View, str], tuple[float, JSON]] = {}  # until when it does for newcomers, and what

    @property
    def due_s(self) -> float:
        """When the next view is to be shown; infinite when all are up to date."""
        if not self._stale:
            return math.inf
        return min(self._next_s.get(which, -math.inf) for which in self._stale)

    def touch(self, facts: Sequence[Fact]) -> None:
        """These facts happened."""
        for which in self._state.touched(facts):
            self._stale[which] = None
            self._latest.pop(which, None)

    def show_due(self, in_order: InOrder) -> None:
        """Show what is out of date and may be shown again. The state may be ahead of the log: it waits its turn."""
        if not self._stale:
            return
        now_s = trio.current_time()
        for which in [which for which in self._stale if self._next_s.get(which, -math.inf) <= now_s]:
            del self._stale[which]
            view, key = which
            audience = self._state.audience_of(view, key)
            self._next_s[which] = now_s + max(view.every_s, self._hub.fanout.size((audience,)) * SHOWING_S / SHARE_MAX)
            if self._hub.fanout.heard(audience) and (payload := self._state.show(view, key)) is not None:
                own = self._state.own_of_view(view, key)
                variants = None if own is None else self._hub.fanout.variants((audience,), own)
                in_order(partial(self._show, audience, variants, view, key, payload))

    def show_to(self, peer: Peer, audiences: Sequence[str], in_order: InOrder) -> None:
        """Show a newcomer the latest of everything that its audiences were shown."""
        now_s = trio.current_time()
        for view, key in self._state.views:
            audience = self._state.audience_of(view, key)
            if audience in audiences and (payload := self._latest_of(view, key, now_s)) is not None:
                own = self._state.own_of_view(view, key)
                mine = NOBODYS if own is None else own(peer.person)
                in_order(partial(self._show_one, peer, audience, mine, view, key, payload))

    def _latest_of(self, view: View, key: str, now_s: float) -> JSON:
        """As it is now, or was within the last period: a crowd that comes is shown what was worked out once."""
        until_s, payload = self._latest.get((view, key), (-math.inf, None))
        if until_s <= now_s:
            payload = self._state.show(view, key)
            self._latest[view, key] = (now_s + view.every_s, payload)
        return payload

    def _show(
        self,
        audience: str,
        variants: Sequence[Variant] | None,
        view: View,
        key: str,
        payload: JSON,
        error: Exception | None,
    ) -> None:
        if error is not None:
            return
        told, name = self._told(view, payload, audience), self._name(view, key)
        if variants is None:
            self._hub.fanout.show(told, key=name)
        else:
            self._hub.fanout.show_variants(variants, told, key=name)

    def _show_one(
        self, peer: Peer, audience: str, mine: JSON, view: View, key: str, payload: JSON, error: Exception | None
    ) -> None:
        if error is None and not peer.gone:
            told = self._told(view, payload, audience, mine)
            self._hub.fanout.show_to(peer, told, key=self._name(view, key))

    def _told(self, view: View, payload: JSON, audience: str, mine: JSON = NOBODYS) -> Told:
        return self._hub.told(self._state.name, view.name, payload, audience, self._hub.clock_ms(), mine)

    def _name(self, view: View, key: str) -> str:
        return f"{self._state.name} {view.name} {key}"
