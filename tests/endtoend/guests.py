"""Guests of a live poll, thousands in one loop: they join by code, come with their own token, and vote when asked.

Some of them lose connection just as they vote, without waiting for an answer, and vote again once they are back. They
cannot know whether the first vote came through; that each counts once is what is to be shown.

How long an event took is told by the clock of this process, from the time that the event says it is of. On one machine
that is the time from the send, to the millisecond.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from http.client import HTTPConnection
from typing import Any

from loadtest.bench.wire import frame_end
from tests.endtoend.wire import UPGRADE, WEBSOCKET, masked
from tests.harness import Server

RECEIVE_BYTES = 1 << 18
CONNECT_DEADLINE_S = 15.0
DOORS = 8
"""Connections that bring codes at the same time."""
VOTE_WITHIN_S = 2.0
AWAY_S = (0.1, 1.0)
DROPPING = 0.05
ENTERING_AT_ONCE = 50
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection, and what was sent may be lost
EVENT = b'42/polling,["'
OFFSET = b'"eventId":"'
AT = b'"timestamp":"'


@dataclass
class Crowd:
    """What all guests share."""

    dice: random.Random
    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    took_ms: defaultdict[bytes, list[float]] = field(default_factory=lambda: defaultdict(list))  # by event
    measuring: bool = False
    faults: list[bytes] = field(default_factory=list)

    def plan(self, after_s: float, act: Callable[[], None]) -> None:
        """Have something done later."""
        heapq.heappush(self.due, (time.monotonic() + after_s, self.dice.getrandbits(64), act))

    def every_ms(self) -> list[float]:
        """How long every event took."""
        return [took_ms for times in self.took_ms.values() for took_ms in times]


class Guest:
    """One guest, with one connection at a time."""

    def __init__(self, server: Server, crowd: Crowd, joined: dict[str, Any], selector: selectors.BaseSelector) -> None:
        self.participant_id: str = joined["participantId"]
        self.drops = crowd.dice.random() < DROPPING
        self.polls: list[tuple[bytes, bytes]] = []  # facts about polls: name and eventId
        self.told: Counter[bytes] = Counter()
        self.outcome: dict[str, Any] | None = None  # the ack that was waited for
        self.chosen: dict[str, list[str]] = {}
        self.closed: dict[str, Any] | None = None
        self._server = server
        self._crowd = crowd
        self._token: str = joined["token"]
        self._selector = selector
        self._last = ""
        self._poll: dict[str, Any] = {}
        self._pending = b""
        self._upgraded = False
        self._back = False
        self.connect()

    @property
    def there(self) -> bool:
        """Whether the first state has come."""
        return self.told[b"session:state"] > 0

    def connect(self) -> None:
        """Come, or come back."""
        self._pending, self._upgraded = b"", False
        self.socket = socket.create_connection(("127.0.0.1", self._server.port), CONNECT_DEADLINE_S)
        auth = {"token": self._token, **({"lastEventId": self._last} if self._last else {})}
        upgrade = UPGRADE.format(target=WEBSOCKET, host="x").encode()
        self.socket.sendall(upgrade + masked(f"40/polling,{json.dumps(auth)}".encode()))
        self.socket.setblocking(False)
        self._selector.register(self.socket, selectors.EVENT_READ, self)

    def leave(self) -> None:
        """End the connection."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(self.socket)
        self.socket.close()

    def take(self) -> None:
        """Read what is there."""
        try:
            piece = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        now_ms = time.time() * 1000
        assert piece, f"a guest was cut off after {dict(self.told)}"
        data, at, mine = self._pending + piece, 0, self.socket
        if not self._upgraded:
            if (end := data.find(b"\r\n\r\n")) < 0:
                self._pending = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self._upgraded, at = True, end + 4
        while mine is self.socket and (frame := frame_end(data, at)) is not None:
            self._hear(data[frame[0] : frame[1]], now_ms)
            at = frame[1]
        if mine is self.socket:
            self._pending = data[at:]

    def _hear(self, text: bytes, now_ms: float) -> None:
        if text == b"2":
            self._say("3")
        elif text.startswith(EVENT):
            self._told(text, now_ms)
        elif text.startswith(b"43/polling,"):
            self.outcome = json.loads(text[text.index(b"[") :])[0]
        elif not text.startswith((b"0{", b"40/polling,{")):
            self._crowd.faults.append(text)

    def _told(self, text: bytes, now_ms: float) -> None:
        name = text[len(EVENT) : text.index(b'"', len(EVENT))]
        self.told[name] += 1
        start = text.index(OFFSET) + len(OFFSET)
        self._last = text[start : text.index(b'"', start)].decode()
        if self._crowd.measuring:
            start = text.index(AT) + len(AT)
            self._crowd.took_ms[name].append(now_ms - milliseconds(text[start : text.index(b'"', start)]))
        if name.startswith(b"poll:"):
            self.polls.append((name, self._last.encode()))
        if name == b"poll:activated":
            self._poll = payload_of(text)
            self._crowd.plan(self._crowd.dice.uniform(0, VOTE_WITHIN_S), self._vote_once)
        elif name == b"poll:closed":
            self.closed = payload_of(text)
        elif name == b"connection:reconnected":
            self._back = True
            self._vote()
        elif name in (b"error:general", b"participant:disconnected") or (name == b"session:state" and self._back):
            self._crowd.faults.append(text)

    def _vote_once(self) -> None:
        self._choose()
        if not self.drops:
            self._vote()
            return
        ballot = masked(self._ballot().encode())
        how = self._crowd.dice.choice(("closed", "reset", "torn"))
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.socket.sendall(ballot[: len(ballot) // 2] if how == "torn" else ballot)
        self.leave()
        self._crowd.plan(self._crowd.dice.uniform(*AWAY_S), self.connect)

    def _choose(self) -> None:
        options = [option["optionId"] for option in self._poll["options"]]
        self.chosen = {"selectedOptionIds": [self._crowd.dice.choice(options)]}

    def _ballot(self) -> str:
        told = {"pollId": self._poll["pollId"], "participantId": self.participant_id, "voteData": self.chosen}
        return f"42/polling,1{json.dumps(['vote:submitted', told])}"

    def _vote(self) -> None:
        self._say(self._ballot())

    def _say(self, text: str) -> None:
        self.socket.sendall(masked(text.encode()))


@lru_cache(maxsize=4_096)
def milliseconds(at: bytes) -> float:
    """A time as events tell it, since 1970."""
    return datetime.fromisoformat(at.decode()).timestamp() * 1000


@lru_cache(maxsize=64)
def payload_of(text: bytes) -> dict[str, Any]:
    """The payload of an event. Thousands are told the same, and reading it for each would be this process's delay."""
    payload: dict[str, Any] = json.loads(text[len(EVENT) - 2 :])[1]
    return payload


def p95(times_ms: Sequence[float]) -> float:
    """95 of 100 took no longer."""
    return sorted(times_ms)[int(len(times_ms) * 0.95)]


def join_all(server: Server, slug: str, guests: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Bring the code so many times, all from one address: the answers, and how long each took (seconds)."""

    def bring(share: int) -> list[tuple[dict[str, Any], float]]:
        door = HTTPConnection("127.0.0.1", server.port, timeout=CONNECT_DEADLINE_S)
        found = []
        for _ in range(share):
            since_s = time.monotonic()
            body = json.dumps({"displayName": "Guest"})
            door.request("POST", f"/api/sessions/{slug}/join", body, {"Content-Type": "application/json"})
            answer = door.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            found.append((json.loads(text), time.monotonic() - since_s))
        door.close()
        return found

    shares = [guests // DOORS + (door < guests % DOORS) for door in range(DOORS)]
    with ThreadPoolExecutor(DOORS) as pool:
        found = [one for share in pool.map(bring, shares) for one in share]
    return [joined for joined, _ in found], [took_s for _, took_s in found]


def live(crowd: Crowd, selector: selectors.BaseSelector, until: Callable[[], bool], deadline_s: float) -> None:
    """Let everybody hear and do what is due, until this holds."""
    ends_s = time.monotonic() + deadline_s
    while not until():
        now_s = time.monotonic()
        assert now_s < ends_s, f"not done within {deadline_s:g} s"
        while crowd.due and crowd.due[0][0] <= now_s:
            heapq.heappop(crowd.due)[2]()
        for key, _ in selector.select(timeout=0.01):
            key.data.take()


def enter_all(
    server: Server,
    crowd: Crowd,
    admitted: Sequence[dict[str, Any]],
    selector: selectors.BaseSelector,
    deadline_s: float,
) -> list[Guest]:
    """Have all connect, some at a time, and know the state."""
    guests: list[Guest] = []
    for start in range(0, len(admitted), ENTERING_AT_ONCE):
        batch = [Guest(server, crowd, joined, selector) for joined in admitted[start : start + ENTERING_AT_ONCE]]
        guests += batch
        live(crowd, selector, partial(_all_there, batch), deadline_s)
    return guests


def _all_there(guests: Sequence[Guest]) -> bool:
    return all(guest.there for guest in guests)
