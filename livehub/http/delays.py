"""What guessing access codes costs: time, per address, more with every wrong code and less with every quiet spell.

A venue is one address. So whoever brings a right code from an address where codes are guessed waits as long as the
guessers, but is never refused; only wrong codes are, when too many answers to them are waiting there already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import trio

from livehub.errors import Refused

FIRST_S = 0.25
MOST_S = 8.0
HALVED_EVERY_S = 10.0
WAITING_MAX = 32
"""Answers to wrong codes that wait for one address."""
ADDRESSES_MAX = 10_000
ADDRESS_CHARS_MAX = 64


@dataclass(slots=True)
class _Guesser:
    delay_s: float = 0.0
    since_s: float = 0.0
    waiting: int = 0

    def delay(self, now_s: float) -> float:
        """How long an answer takes now."""
        delay_s = math.ldexp(self.delay_s, -int((now_s - self.since_s) / HALVED_EVERY_S))
        return delay_s if delay_s >= FIRST_S else 0.0


class Delays:
    """The delay of every address from which wrong codes came lately."""

    def __init__(self) -> None:
        self._guessers: dict[str, _Guesser] = {}  # the latest to guess is last

    def __len__(self) -> int:
        return len(self._guessers)

    async def right(self, address: str) -> None:
        """Wait before a right code is answered; not at all where nobody guesses."""
        guesser = self._guessers.get(network(address))
        if guesser is not None:
            await trio.sleep(guesser.delay(trio.current_time()))

    async def wrong(self, address: str) -> None:
        """Wait before a wrong code is answered. Raises `Refused` (429) at once when too many answers wait already."""
        place, now_s = network(address), trio.current_time()
        guesser = self._guessers.pop(place, None) or _Guesser()
        guesser.delay_s = min(max(FIRST_S, 2 * guesser.delay(now_s)), MOST_S)
        guesser.since_s = now_s
        if len(self._guessers) >= ADDRESSES_MAX:  # who has not guessed for the longest need hardly wait any more
            del self._guessers[next(iter(self._guessers))]
        self._guessers[place] = guesser
        if guesser.waiting >= WAITING_MAX:
            text = "Too many wrong codes came from your network, please try again later"
            raise Refused(text, 429, code="rate_limited", retry_after_ms=math.ceil(guesser.delay_s * 1000))
        guesser.waiting += 1
        try:
            await trio.sleep(guesser.delay_s)
        finally:
            guesser.waiting -= 1


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:ADDRESS_CHARS_MAX]
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped) if found.ipv4_mapped is not None else f"{int(found) >> 64:x}::/64"
