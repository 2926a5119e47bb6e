"""Small features that show one habit of rooms each: rooms know features only as declared, so these will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    After,
    Ask,
    Burst,
    Cancel,
    Do,
    Emits,
    Empty,
    Fact,
    Feature,
    Key,
    Outcome,
    Own,
    Person,
    Refused,
    Seating,
    Tell,
    Text,
    Via,
    Whole,
    applies,
    command,
    every,
    internal,
    on,
    payload,
    user,
    view,
)

STAFF = ":staff"


@payload
class Amount:
    """How much to count."""

    amount: Annotated[int, Whole(1, 100)] = 1


@payload
class Word:
    """A word to say."""

    text: Annotated[str, Text(1_000)]


@payload
class Where:
    """Another room, and what to tell it."""

    room: Annotated[str, Text(100)]
    text: Annotated[str, Text(100)]


class Total(TypedDict):
    """What the counter stands at."""

    total: int


class Said(TypedDict):
    """What somebody said."""

    text: str


def _told(data: dict[str, JSON], audience: str) -> JSON:
    return None if data["text"] == "hush" else {"text": data["text"], "as": audience}


@dataclass
class Counter(Feature):
    """Counts, for everybody who joined; staff hears a little more."""

    name: ClassVar[str] = "counter"
    audiences: ClassVar[Mapping[str, str]] = {STAFF: "toy:staff", EVERYONE: ""}
    emits = (
        Emits("toy.added", Total, "The count went up.", render=lambda data, _: {"total": data["total"]}),
        Emits("toy.said", Said, "Somebody spoke, or whispered.", of=("toy.said", "toy.whispered"), render=_told),
        Emits("toy.total", Total, "The count."),
        Emits("toy.waved", Said, "Somebody waved."),
    )

    total: int = 0
    members: set[str] = field(default_factory=set)

    @command("toy.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Sit down."""
        facts = [] if ask.who.id in self.members else [Fact("toy.joined", {"userId": ask.who.id})]
        return Outcome(facts, {"sessionId": self.room_id})

    @command("toy.leave", key=Key.OPTIONAL, seat=Seating.LEAVES)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Get up."""
        return Outcome()

    @command("toy.add", rate="3/10s")
    def add(self, ask: Ask[Amount]) -> Outcome:
        """Count up."""
        total = self.total + ask.payload.amount
        return Outcome([Fact("toy.added", {"total": total}, (EVERYONE,))], {"total": total})

    @command("toy.say")
    def say(self, ask: Ask[Word]) -> Outcome:
        """Speak to oneself, to staff and to everybody: whoever is several of these hears it once, as the first."""
        return Outcome([Fact("toy.said", {"text": ask.payload.text}, (user(ask.who.id), STAFF, EVERYONE))])

    @command("toy.whisper", needs="toy:staff")
    def whisper(self, ask: Ask[Word]) -> Outcome:
        """Speak to staff alone."""
        return Outcome([Fact("toy.whispered", {"text": ask.payload.text}, (STAFF,))])

    @command("toy.wave", key=Key.OPTIONAL)
    def wave(self, ask: Ask[Word]) -> Outcome:
        """Something that is worth nothing tomorrow."""
        fleeting = Fact("toy.said", {"text": f"fleeting {ask.payload.text}"}, (EVERYONE,), kept=False)
        return Outcome([fleeting], bursts=[Burst("toy.waved", {"text": ask.payload.text})])

    @command("toy.read", key=Key.OPTIONAL, seat=Seating.MEMBER, instead="toy:staff", via=Via.BOTH, reads=True)
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show the count."""
        return Outcome(reply={"total": self.total})

    @command("toy.refuse")
    def refuse(self, ask: Ask[Empty]) -> Outcome:
        """Never allowed."""
        raise Refused(f"Not at {self.total}")

    @applies("toy.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        self.members.add(data["userId"])

    @applies("toy.added")
    def _on_added(self, data: dict[str, JSON], at_ms: int) -> None:
        self.total = data["total"]

    @view("toy.total", after=("toy.added",))
    def shown(self, key: str) -> JSON:
        """The count, which staff and everybody else may know."""
        return {"total": self.total}

    def admits(self, user_id: str) -> bool:
        """Members belong."""
        return user_id in self.members

    def snapshot(self, who: Person) -> dict[str, JSON]:
        """The count."""
        return {"total": self.total}


@dataclass
class Faulty(Feature):
    """Has every defect that a feature can have."""

    name: ClassVar[str] = "faulty"

    broken: bool = False

    @command("bad.command")
    def crash(self, ask: Ask[Empty]) -> Outcome:
        """Fail before anything changed."""
        raise ZeroDivisionError

    @command("bad.apply")
    def apply(self, ask: Ask[Empty]) -> Outcome:
        """Fail half way, with a fact that the room can live without."""
        return Outcome([Fact("toy.added", {"total": 1_000}, (EVERYONE,)), Fact("bad.applied", {}, (EVERYONE,))])

    @command("bad.json")
    def odd(self, ask: Ask[Empty]) -> Outcome:
        """Make a fact that no log can hold."""
        return Outcome([Fact("toy.added", {"total": 1_000, "odd": {1, 2}}, (EVERYONE,))])

    @command("bad.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True)
    def odd_join(self, ask: Ask[Empty]) -> Outcome:
        """Sit down with a fact that no log can hold."""
        return Outcome([Fact("toy.odd", {"odd": {1, 2}})])

    @command("bad.endless")
    def endless(self, ask: Ask[Empty]) -> Outcome:
        """Answer oneself for ever."""
        return Outcome([Fact("bad.again", {})])

    @on("bad.again")
    def again(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Answer once more."""
        return Outcome([Fact("bad.again", {})])

    @applies("bad.applied")
    def _on_applied(self, data: dict[str, JSON], at_ms: int) -> None:
        raise KeyError("bad.applied")


@dataclass
class Messenger(Feature):
    """Sends word to other rooms, sets timers, has work done."""

    name: ClassVar[str] = "messenger"
    emits = (
        Emits("toy.news", Said, "Word from elsewhere.", of=("toy.news",)),
        Emits("toy.rang", Said, "A timer rang.", of=("toy.rang",)),
    )

    news: list[str] = field(default_factory=list)
    rang: list[str] = field(default_factory=list)

    @command("toy.tell", key=Key.OPTIONAL)
    def tell(self, ask: Ask[Where]) -> Outcome:
        """Tell another room."""
        return Outcome(effects=[Tell(ask.payload.room, "toy.told", {"text": ask.payload.text})])

    @internal("toy.told")
    def told(self, ask: Ask[JSON]) -> Outcome:
        """Hear from another room."""
        if ask.payload["text"] == "no":
            raise Refused("Not interested")
        return Outcome([Fact("toy.news", {"text": ask.payload["text"]}, (EVERYONE,))])

    @command("toy.later", key=Key.OPTIONAL)
    def later(self, ask: Ask[Word]) -> Outcome:
        """Ring in ten seconds; the text is the timer's key."""
        text = ask.payload.text
        return Outcome(effects=[After(text, ask.at_ms + 10_000, "toy.ring", {"text": text})])

    @command("toy.never", key=Key.OPTIONAL)
    def never(self, ask: Ask[Word]) -> Outcome:
        """Do not ring."""
        return Outcome(effects=[Cancel(ask.payload.text)])

    @internal("toy.ring")
    def ring(self, ask: Ask[JSON]) -> Outcome:
        """Ring; a timer called "twice" sets itself again, once."""
        text = ask.payload["text"]
        again = [After(text, ask.at_ms + 10_000, "toy.ring", {"text": text})] if text == "twice" else []
        return Outcome([Fact("toy.rang", {"text": text}, (EVERYONE,))], effects=again if text not in self.rang else [])

    @command("toy.work", key=Key.OPTIONAL)
    def work(self, ask: Ask[Word]) -> Outcome:
        """Have work done; its answer is news."""
        return Outcome(effects=[Do(ask.payload.text, {"n": 1}, then="toy.worked")])

    @internal("toy.worked")
    def worked(self, ask: Ask[JSON]) -> Outcome:
        """Hear what came of it."""
        came = ask.payload.get("result") or ask.payload["error"]
        return Outcome([Fact("toy.news", {"text": f"{came} for {ask.payload['data']['n']}"}, (EVERYONE,))])

    @applies("toy.news")
    def _on_news(self, data: dict[str, JSON], at_ms: int) -> None:
        self.news.append(data["text"])

    @applies("toy.rang")
    def _on_rang(self, data: dict[str, JSON], at_ms: int) -> None:
        self.rang.append(data["text"])


@dataclass
class Metronome(Feature):
    """Ticks: always, and only while somebody listens."""

    name: ClassVar[str] = "metronome"

    ticks: list[int] = field(default_factory=list)
    heard_ticks: list[int] = field(default_factory=list)

    @every(2.0)
    def tick(self, ask: Ask[None]) -> Outcome:
        """Note the time."""
        return Outcome([Fact("toy.ticked", {"at": ask.at_ms})])

    @every(2.0, heard_by=EVERYONE)
    def tick_if_heard(self, ask: Ask[None]) -> Outcome:
        """Note the time, for listeners."""
        return Outcome([Fact("toy.ticked.heard", {"at": ask.at_ms})])

    @applies("toy.ticked")
    def _on_ticked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.ticks.append(data["at"])

    @applies("toy.ticked.heard")
    def _on_ticked_heard(self, data: dict[str, JSON], at_ms: int) -> None:
        self.heard_ticks.append(data["at"])


@dataclass
class Echo(Feature):
    """Answers every count with a cheer, in the same commit."""

    name: ClassVar[str] = "echo"
    emits = (Emits("toy.cheered", Total, "Somebody cheered."),)

    cheers: int = 0

    @on("toy.added")
    def cheer(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Cheer."""
        return Outcome([Fact("toy.cheered", {"total": data["total"]}, (EVERYONE,))])

    @applies("toy.cheered")
    def _on_cheered(self, data: dict[str, JSON], at_ms: int) -> None:
        self.cheers += 1


class Toast(TypedDict):
    """A toast, and how often its reader clinked glasses."""

    toasts: int
    clinks: str | None


CLINKS = Own("clinks", "clinks_of", key="kind")


@dataclass
class Table(Feature):
    """Shows everybody something of their own, in a fact and in a view; and keeps a letter for everybody."""

    name: ClassVar[str] = "table"
    emits = (
        Emits("table.toasted", Toast, "A toast.", render=lambda data, _: {"toasts": data["toasts"]}, own=CLINKS),
        Emits("table.count", Toast, "How many there were.", own=CLINKS),
        Emits("table.letter", Said, "A letter."),
    )

    toasts: int = 0
    clinks: dict[str, int] = field(default_factory=dict)

    @command("table.join", key=Key.OPTIONAL, seat=Seating.TAKES, creates=True)
    def join(self, ask: Ask[Empty]) -> Outcome:
        """Sit down."""
        return Outcome([Fact("table.joined", {})])

    @command("table.clink")
    def clink(self, ask: Ask[Empty]) -> Outcome:
        """Clink glasses."""
        return Outcome([Fact("table.clinked", {"userId": ask.who.id, "kind": "wine"})])

    @command("table.toast")
    def toast(self, ask: Ask[Empty]) -> Outcome:
        """Say a toast."""
        return Outcome([Fact("table.toasted", {"toasts": self.toasts + 1, "kind": "wine"}, (EVERYONE,))])

    @view("table.count", after=("table.clinked",), key="kind", own=CLINKS)
    def count(self, kind: str) -> JSON:
        """How many toasts there were."""
        return {"toasts": self.toasts}

    def clinks_of(self, kind: str, who: Person) -> str | None:
        """How often somebody clinked."""
        return f"{self.clinks[who.id]} of {kind}" if who.id in self.clinks else None

    @applies("table.clinked")
    def _on_clinked(self, data: dict[str, JSON], at_ms: int) -> None:
        self.clinks[data["userId"]] = self.clinks.get(data["userId"], 0) + 1

    @applies("table.toasted")
    def _on_toasted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.toasts += 1

    def welcome(self, who: Person) -> list[tuple[str, JSON]]:
        """A letter for whoever comes."""
        return [("table.letter", {"text": f"Dear {who.first_name}"})]


@dataclass
class Letters(Feature):
    """A person's own room, with a letter in it."""

    name: ClassVar[str] = "letters"
    room: ClassVar[str] = "user"
    emits = (Emits("letter.new", Said, "A letter."),)

    texts: list[str] = field(default_factory=list)

    @internal("letter.post")
    def post(self, ask: Ask[JSON]) -> Outcome:
        """Put a letter in."""
        return Outcome([Fact("letter.new", {"text": ask.payload["text"]}, (user(self.room_id),))])

    @applies("letter.new")
    def _on_new(self, data: dict[str, JSON], at_ms: int) -> None:
        self.texts.append(data["text"])

    def welcome(self, who: Person) -> list[tuple[str, JSON]]:
        """All letters."""
        return [("letter.new", {"text": text}) for text in self.texts]


class Noted(TypedDict):
    """Who came or went."""

    text: str


@dataclass
class Porch(Feature):
    """Notes who comes and goes, as the room tells it."""

    name: ClassVar[str] = "porch"
    emits = (Emits("porch.noted", Noted, "Somebody came or went."),)

    notes: list[str] = field(default_factory=list)

    def came(self, ask: Ask[None]) -> Outcome:
        """Note it."""
        return _note(f"{ask.who.id} came", ask)

    def went(self, ask: Ask[None]) -> Outcome:
        """Note it."""
        return _note(f"{ask.who.id} went", ask)

    def reopened(self, ask: Ask[frozenset[str]]) -> Outcome:
        """Note who is here."""
        return _note(f"here: {' '.join(sorted(ask.payload))}".rstrip(), ask)

    @command("porch.look", key=Key.OPTIONAL, seat=Seating.FREE, reads=True, overview=True)
    def look(self, ask: Ask[Empty]) -> Outcome:
        """Show all there is in the house."""
        return Outcome(reply={"for": ask.who.id})

    def overview(self, who: Person) -> dict[str, JSON]:
        """The notes; not for everybody."""
        return {"notes": self.notes if who.can("toy:staff") else []}

    @applies("porch.noted")
    def _on_noted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.notes = [*self.notes, data["text"]]


def _note(text: str, ask: Ask[Any]) -> Outcome:
    return Outcome([Fact("porch.noted", {"text": text, "id": ask.new_id()}, (EVERYONE,))])


@dataclass
class Doorman(Feature):
    """Answers what the porch notes, and has something to say itself; speaks to another room of who came."""

    name: ClassVar[str] = "doorman"

    greeted: list[str] = field(default_factory=list)
    heard: int = 0

    def came(self, ask: Ask[None]) -> Outcome:
        """Greet, and tell the messenger of another room."""
        told = Tell("session:lodge", "toy.told", {"text": f"{ask.who.id} is here"})
        return Outcome([Fact("doorman.greeted", {"userId": ask.who.id, "after": self.heard})], effects=[told])

    def overview(self, who: Person) -> dict[str, JSON]:
        """Who was greeted."""
        return {"greeted": list(self.greeted)}

    @on("porch.noted")
    def listen(self, data: dict[str, JSON], ask: Ask[Any]) -> Outcome:
        """Hear what the porch notes."""
        return Outcome([Fact("doorman.heard", {})])

    @applies("doorman.heard")
    def _on_heard(self, data: dict[str, JSON], at_ms: int) -> None:
        self.heard += 1

    @applies("doorman.greeted")
    def _on_greeted(self, data: dict[str, JSON], at_ms: int) -> None:
        self.greeted.append(f"{data['userId']} after {data['after']}")
