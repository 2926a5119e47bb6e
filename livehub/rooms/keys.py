"""Idempotency keys: an ask that comes again does not happen again (contracts, points 4, 16 and 22).

A key belongs to a person and lives 24 h, in the log's store, across restarts. Nearly every key is new, and that must
cost no look-up on disk: a set of hashes knows which keys *may* have been used; only those are looked up. The set is
two generations of 24 h; when one is full, every key is looked up until it is 24 h old: slower, never wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

import orjson
import trio

from livehub.errors import Refused
from livehub.feature import JSON
from livehub.ports import KeyRecord, Store
from livehub.rooms.peer import Answer

KEY_LIFE_MS = 24 * 3_600_000
KEYS_IN_MEMORY_MAX = 4_000_000
"""Per generation; about 70 bytes each."""

Reply: TypeAlias = Callable[[Answer | Refused], None]


@dataclass(slots=True)
class Claim:
    """A key in use by an ask that has not been answered yet, and those who asked the same meanwhile."""

    user: str
    key: str
    digest: bytes
    again: list[Reply] = field(default_factory=list)

    def record(self, reply: dict[str, JSON], at_ms: int) -> KeyRecord:
        """What the log keeps of the key once it is used."""
        return KeyRecord(self.user, self.key, self.digest, orjson.dumps(reply), at_ms)


def digest(event: str, room: str, payload: dict[str, JSON]) -> bytes:
    """What two asks must share to be the same ask: event, room (so an implied session is like a named one), payload."""
    body = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return blake2b(b"\0".join((event.encode(), room.encode(), body)), digest_size=16).digest()


class Keys:
    """Which keys were used. `claim` one before the ask, `settle` it after."""

    def __init__(self, store: Store, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._claims: dict[tuple[str, str], Claim] = {}
        self._looking: dict[tuple[str, str], trio.Event] = {}  # keys that are being looked up
        self._used: set[int] = set()
        self._used_before: set[int] = set()
        self._turned_ms = clock_ms()
        self._incomplete_until_ms = 0

    async def load(self) -> None:
        """Learn which keys were used before the start."""
        recent = await self._store.keys_since(self._clock_ms() - KEY_LIFE_MS)
        self._used_before = {hash(pair) for pair in recent}

    def claim_new(self, user: str, key: str, wanted: bytes) -> Claim | None:
        """The claim on a key that was surely never used, as nearly all are; None when `claim` has to find out."""
        pair = (user, key)
        if pair in self._claims or pair in self._looking or self._maybe_used(pair):
            return None
        return self._new_claim(user, key, wanted)

    async def claim(self, user: str, key: str, wanted: bytes, reply: Reply) -> Claim | None:
        """The claim to carry out the ask under, or None when it needs no more: `reply` was or will be called.

        Raises `Refused` (`Duplicate request`, 409) when the key was used for something else.
        """
        pair = (user, key)
        while (claim := self._claims.get(pair)) is None:
            if (looking := self._looking.get(pair)) is not None:
                await looking.wait()
            elif not self._maybe_used(pair):
                return self._new_claim(user, key, wanted)
            else:
                used = await self._find(pair)
                if used is None or used.at_ms < self._clock_ms() - KEY_LIFE_MS:
                    return self._new_claim(user, key, wanted)
                _must_match(used.digest, wanted)
                reply(Answer(orjson.loads(used.ack), replayed=True))
                return None
        _must_match(claim.digest, wanted)
        claim.again.append(reply)
        return None

    def settle(self, claim: Claim, result: Answer | Refused, *, declined: bool = False) -> None:
        """The ask was answered: after an answer the key is used, after a refusal or a declining it is free again."""
        self._claims.pop((claim.user, claim.key), None)
        if isinstance(result, Answer) and not declined:
            self._remember((claim.user, claim.key))
            if claim.again:
                result = Answer(result.reply, replayed=True)
        for reply in claim.again:
            reply(result)

    def turn(self) -> None:
        """Start a new generation every 24 h (housekeeping)."""
        if self._clock_ms() - self._turned_ms >= KEY_LIFE_MS:
            self._used_before, self._used = self._used, set()
            self._turned_ms = self._clock_ms()

    def _new_claim(self, user: str, key: str, wanted: bytes) -> Claim:
        self._claims[user, key] = claim = Claim(user, key, wanted)
        return claim

    async def _find(self, pair: tuple[str, str]) -> KeyRecord | None:
        """Look a key up. Others wait: one that is claimed and used meanwhile would not be in what this look-up sees."""
        self._looking[pair] = looking = trio.Event()
        try:
            return await self._store.find_key(*pair)
        finally:
            del self._looking[pair]
            looking.set()

    def _maybe_used(self, pair: tuple[str, str]) -> bool:
        hashed = hash(pair)
        return hashed in self._used or hashed in self._used_before or self._clock_ms() < self._incomplete_until_ms

    def _remember(self, pair: tuple[str, str]) -> None:
        if len(self._used) < KEYS_IN_MEMORY_MAX:
            self._used.add(hash(pair))
        else:
            self._incomplete_until_ms = self._clock_ms() + KEY_LIFE_MS


def _must_match(used: bytes, wanted: bytes) -> None:
    if used != wanted:
        raise Refused("Duplicate request", 409, code="duplicate")
