"""A lively session: attendees who chat, vote, react, ask and upvote, in one loop, each noting every fact it hears.

All of them sit before the first one acts, so that everybody must hear the same facts: a checksum over names and
offsets is enough to tell. Rates are on: a lively room must never meet them.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import socket
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from loadtest.bench.wire import frame_end
from tests.endtoend.wire import UPGRADE, WEBSOCKET, masked
from tests.harness import Server

RECEIVE_BYTES = 1 << 18
SETUP_DEADLINE_S = 15.0
SETTLE_DEADLINE_S = 30.0
THINK_S = (1.0, 11.0)
VOTE_WITHIN_S = 3.0
POLL_EVERY_S = 5.0
PERSONAL = (b"gamification.points.awarded", b"achievement.unlocked")
ACTS = {"react": 10, "chat": 3, "upvote": 2, "ask": 1, "state": 1}
EMOJI = ("👍", "❤️", "🔥", "👏")


@dataclass
class Hall:
    """What all attendees share: the dice, the clock of acts to come, and what was counted."""

    dice: random.Random
    due: list[tuple[float, int, str]] = field(default_factory=list)
    acked: Counter[str] = field(default_factory=Counter)
    faults: list[bytes] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    voted: Counter[str] = field(default_factory=Counter)  # poll → votes that were acked

    @property
    def facts(self) -> int:
        """How many facts everybody must have heard: each poll is opened, and each but the first sets one aside."""
        acked = self.acked
        return acked["chat"] + acked["upvote"] + acked["ask"] + max(0, 2 * acked["poll"] - 1)

    def plan(self, number: int, act: str, after_s: float) -> None:
        """Have an attendee do something later."""
        heapq.heappush(self.due, (time.monotonic() + after_s, number, act))


class Attendee:
    """One person with one connection, joined to the session."""

    def __init__(self, server: Server, session: str, number: int, hall: Hall) -> None:
        self.number = number
        self.hall = hall
        self.heard = 0
        self.checksum = 0
        self.waiting: dict[int, tuple[str, str]] = {}  # ack id → act, poll
        self.poll: tuple[str, list[str]] | None = None
        self._acks = 0
        self._pending = b""
        self.socket = socket.create_connection(("127.0.0.1", server.port), SETUP_DEADLINE_S)
        self.socket.sendall(UPGRADE.format(target=WEBSOCKET, host="x").encode())
        token = server.token(f"attendee-{number}", role="OWNER" if number == 0 else "MEMBER")
        self._say(f"40/events,{json.dumps({'token': token})}")
        self._say(f"42/events,0{json.dumps(['session.join', {'sessionId': session}])}")
        self._pending = self._until_seated()
        self.socket.setblocking(False)

    def act(self, what: str) -> None:
        """Do something that people do."""
        dice, hall = self.hall.dice, self.hall
        if what == "poll":
            options = [{"text": f"Option {n}"} for n in range(4)]
            self._emit("poll.create", {"question": "What next?", "options": options}, what)
        elif what == "vote" and self.poll is not None:
            poll_id, options_ids = self.poll
            self._emit("poll.vote.submit", {"pollId": poll_id, "optionId": dice.choice(options_ids)}, what, poll_id)
        elif what == "react":
            self._emit("reaction.send", {"emoji": dice.choice(EMOJI)}, what)
        elif what == "chat":
            self._emit("chat.message.send", {"text": f"{self.number}: {'so it goes ' * dice.randint(1, 8)}"}, what)
        elif what == "ask":
            self._emit("qa.question.ask", {"text": "Why so?", "isAnonymous": dice.random() < 0.2}, what)
        elif what == "upvote" and hall.questions:
            self._emit("qna.question.upvote", {"questionId": dice.choice(hall.questions)}, what)
        elif what == "state":
            self._emit("leaderboard.request", None, what)

    def _until_seated(self) -> bytes:
        """Read the answers of the handshake up to the snapshot: what came after it."""
        said = b""
        while True:
            at = said.find(b"\r\n\r\n") + 4
            while at > 3 and (frame := frame_end(said, at)) is not None:
                at = frame[1]
                if said[frame[0] : at].startswith(b'42/events,["session.snapshot"'):
                    return said[at:]
            piece = self.socket.recv(RECEIVE_BYTES)
            assert piece, said
            said += piece

    def take(self) -> None:
        """Read what is there."""
        try:
            piece = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        assert piece, f"attendee {self.number} was cut off"
        data, at = self._pending + piece, 0
        while (frame := frame_end(data, at)) is not None:
            self._hear(data[frame[0] : frame[1]])
            at = frame[1]
        self._pending = data[at:]

    def _hear(self, text: bytes) -> None:
        if text == b"2":
            self._say("3")
        elif text.startswith(b"43/events,"):
            self._acked(text)
        elif text.startswith(b'42/events,["systemError"'):
            self.hall.faults.append(text)
        elif text.endswith(b'"]') and not text.startswith(b'42/events,["session.snapshot"'):
            name, offset = text[12 : text.index(b'"', 12)], text[text.rindex(b',"') :]
            if name not in PERSONAL:
                self.heard += 1
                self.checksum = zlib.crc32(name + offset, self.checksum)
            if name == b"poll.opened":
                poll = json.loads(text[10:])[1]
                self.poll = poll["id"], [option["id"] for option in poll["options"]]
                self.hall.plan(self.number, "vote", self.hall.dice.uniform(0, VOTE_WITHIN_S))

    def _acked(self, text: bytes) -> None:
        at = text.index(b"[")
        act, about = self.waiting.pop(int(text[10:at]))
        reply = json.loads(text[at:])[0]
        if not reply["success"]:
            self.hall.faults.append(text)
            return
        self.hall.acked[act] += 1
        if act == "vote":
            self.hall.voted[about] += 1
        elif act == "ask":
            self.hall.questions.append(reply["questionId"])

    def _emit(self, name: str, payload: dict[str, object] | None, act: str, about: str = "") -> None:
        self._acks += 1
        self.waiting[self._acks] = (act, about)
        if payload is not None:
            payload["idempotencyKey"] = str(UUID(int=self.hall.dice.getrandbits(128), version=4))
        self._say(f"42/events,{self._acks}{json.dumps([name, payload], ensure_ascii=False)}")

    def _say(self, text: str) -> None:
        self.socket.sendall(masked(text.encode()))


def attend(people: list[Attendee], hall: Hall, seconds: float) -> None:
    """Live through a session; then wait until everybody was answered and has heard everything."""
    ends_s = time.monotonic() + seconds
    for person in people:
        hall.plan(person.number, "think", hall.dice.uniform(0, THINK_S[1]))
    for n in range(int(seconds / POLL_EVERY_S)):
        hall.plan(0, "poll", n * POLL_EVERY_S)
    with selectors.DefaultSelector() as selector:
        for person in people:
            selector.register(person.socket, selectors.EVENT_READ, person)
        while time.monotonic() < ends_s + SETTLE_DEADLINE_S:
            now_s = time.monotonic()
            while hall.due and hall.due[0][0] <= now_s:
                _, number, act = heapq.heappop(hall.due)
                _do(people[number], act, hall, over=now_s > ends_s)
            if now_s > ends_s and not _acting(hall) and _settled(people, hall):
                return
            for key, _ in selector.select(timeout=0.01):
                key.data.take()
    waiting = sum(len(person.waiting) for person in people)
    heard = Counter(person.heard for person in people).most_common(5)
    raise AssertionError(f"{waiting} unanswered, heard {heard} of {hall.facts}")


def _do(person: Attendee, act: str, hall: Hall, *, over: bool) -> None:
    if act != "think":
        person.act(act)
    elif not over:
        person.act(hall.dice.choices(list(ACTS), list(ACTS.values()))[0])
        hall.plan(person.number, "think", hall.dice.uniform(*THINK_S))


def _acting(hall: Hall) -> bool:
    return any(act != "think" for _, _, act in hall.due)


def _settled(people: list[Attendee], hall: Hall) -> bool:
    """An ack may come some milliseconds before its fact: that all have heard the same is not yet all of it."""
    return not any(person.waiting for person in people) and {person.heard for person in people} == {hall.facts}
