"""Reactions: floating emoji, counted and shown as one burst every two seconds, and the mood they make (contract 1, §8).

A reaction is worth nothing by itself, so none is in the log: they are counted in memory, and each burst writes its
counts as one fact. A crash loses at most the burst that was not shown yet.

The mood is told every 10 s while the window (`mood_window_s`, 60 s) holds reactions, and once more when it no longer
does. Over the counts `n` of the window and the weight `w` of each emoji, from -1 (bad) to 1 (good), 0 if none is known:

    score    = sum(w * n) / sum(n), kept within -1 and 1, to 3 decimals; 0 for an empty window
    trend    = score - (score of the window before): "rising" from TREND_STEP up, "falling" from -TREND_STEP down,
               else "steady"
    dominant = the emoji with the largest n; of several the one that came first within the window; null for none

The window is folded from the facts, so a restart does not change the mood and the log can tell it for any time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias, TypedDict

from livehub.feature import (
    EVERYONE,
    JSON,
    Ask,
    Burst,
    Emits,
    Emoji,
    Fact,
    Feature,
    Key,
    Outcome,
    Refused,
    applies,
    command,
    every,
    payload,
    setting,
)

BURST_S = 2
MOOD_S = 10
PER_PERSON_AND_BURST_MAX = 10
MOOD_WINDOW_S_MAX = 600
SLICES_MAX = 2 * MOOD_WINDOW_S_MAX // BURST_S
"""Bursts within the longest window and the one before it."""
TREND_STEP = 0.1
"""A score that changed by less than this from window to window is the same mood."""

ALLOWED = (
    "👍", "❤️", "🎉", "💡", "😂", "👏", "🔥", "🙏", "🤝", "🚀", "🙌", "✅", "🎶", "🕺", "📢", "📸", "🌍", "🧠",
)  # fmt: skip
"""Contract 1, §8.3, to the code point: the heart has its variation selector."""

WEIGHTS = {
    "❤️": 1.0, "🎉": 1.0, "🔥": 1.0,
    "👏": 0.9, "🙌": 0.9, "🚀": 0.9,
    "😂": 0.8, "🕺": 0.8,
    "👍": 0.7, "🙏": 0.7,
    "🤝": 0.6, "🎶": 0.6,
    "💡": 0.5, "✅": 0.5, "🧠": 0.5,
    "📸": 0.3, "🌍": 0.3,
    "📢": 0.0,
    "😕": -0.4, "😴": -0.5, "😢": -0.6, "👎": -0.8, "😡": -1.0,
}  # fmt: skip
"""How good the mood is that an emoji tells of. Those below zero are for operators who allow them."""

Trend: TypeAlias = Literal["rising", "falling", "steady"]


@payload
class ReactionSettings:
    """`[reactions]`"""

    emojis: tuple[str, ...] = setting(ALLOWED, help="emoji that may be sent, exactly as clients send them")
    mood_window_s: int = setting(
        60, unit="seconds", least=MOOD_S, most=MOOD_WINDOW_S_MAX, help="time whose reactions make the mood"
    )
    mood_weights: dict[str, float] = setting(
        {}, help="mood that an emoji tells of, from -1 (bad) to 1 (good), where it is not to be as built in"
    )


@payload
class SendReaction:
    """Contract 1, §8.1."""

    emoji: Emoji


class Taken(TypedDict):
    """Nothing beside the success."""


class Mood(TypedDict):
    """Contracts, point 21."""

    sessionId: str
    windowS: int
    counts: dict[str, int]
    dominant: str | None
    score: float
    trend: Trend


@dataclass(frozen=True, slots=True)
class Slice:
    """The reactions of one burst."""

    at_ms: int
    counts: dict[str, int]


@dataclass
class Reactions(Feature):
    """The reactions of one session: those of the burst to come, all so far, and the latest by time."""

    name: ClassVar[str] = "reactions"
    Settings = ReactionSettings
    forgets = frozenset({"pending", "pending_by"})
    emits = (
        Emits("reaction.burst", dict[str, int], "How often each emoji was sent since the last burst."),
        Emits(
            "mood.analytics.updated", Mood, "The mood that the latest reactions make, every 10 s while there are any."
        ),
    )

    settings: ReactionSettings = field(default_factory=ReactionSettings)
    pending: dict[str, int] = field(default_factory=dict)  # emoji → count
    pending_by: dict[str, int] = field(default_factory=dict)  # person → count
    totals: dict[str, int] = field(default_factory=dict)  # emoji → count since the session began
    slices: deque[Slice] = field(default_factory=lambda: deque(maxlen=SLICES_MAX))
    mood_told: bool = False  # and not yet that it is over

    @command("reaction.send", key=Key.OPTIONAL, rate="20/2s", returns=Taken)
    def send(self, ask: Ask[SendReaction]) -> Outcome:
        """React. What one person sends beyond 10 per burst is dropped without a word."""
        emoji, user_id = ask.payload.emoji, ask.who.id
        if emoji not in self.settings.emojis:
            raise Refused(f"emoji must be one of {' '.join(self.settings.emojis)}", code="invalid_payload")
        if self.pending_by.get(user_id, 0) >= PER_PERSON_AND_BURST_MAX:
            return Outcome()
        return Outcome((Fact("reaction.sent", {"emoji": emoji, "userId": user_id}, kept=False),))

    @every(BURST_S)
    def burst(self, ask: Ask[None]) -> Outcome:
        """Show what came since the last burst."""
        if not self.pending:
            return Outcome()
        counts = dict(self.pending)
        return Outcome([Fact("reaction.counted", {"counts": counts})], bursts=[Burst("reaction.burst", counts)])

    @every(MOOD_S, heard_by=EVERYONE)
    def mood(self, ask: Ask[None]) -> Outcome:
        """Tell the mood, or that there is none any more."""
        window_ms = self.settings.mood_window_s * 1000
        counts = self._counts(ask.at_ms - window_ms, ask.at_ms)
        if not counts and not self.mood_told:
            return Outcome()
        score = self._score(counts)
        told = Mood(
            sessionId=self.room_id,
            windowS=self.settings.mood_window_s,
            counts=counts,
            dominant=max(counts, key=counts.__getitem__, default=None),
            score=score,
            trend=_trend(score - self._score(self._counts(ask.at_ms - 2 * window_ms, ask.at_ms - window_ms))),
        )
        turns = [] if bool(counts) == self.mood_told else [Fact("mood.began" if counts else "mood.ended", {})]
        return Outcome(turns, bursts=[Burst("mood.analytics.updated", told)])

    @applies("reaction.sent")
    def _on_sent(self, data: dict[str, JSON], at_ms: int) -> None:
        emoji, user_id = data["emoji"], data["userId"]
        self.pending[emoji] = self.pending.get(emoji, 0) + 1
        self.pending_by[user_id] = self.pending_by.get(user_id, 0) + 1

    @applies("reaction.counted")
    def _on_counted(self, data: dict[str, JSON], at_ms: int) -> None:
        counts = data["counts"]
        self.pending, self.pending_by = {}, {}
        for emoji, count in counts.items():
            self.totals[emoji] = self.totals.get(emoji, 0) + count
        self.slices.append(Slice(at_ms, counts))
        while self.slices[0].at_ms <= at_ms - 2 * self.settings.mood_window_s * 1000:
            self.slices.popleft()

    @applies("mood.began", "mood.ended")
    def _on_turn(self, data: dict[str, JSON], at_ms: int) -> None:
        self.mood_told = not self.mood_told

    def _counts(self, after_ms: int, upto_ms: int) -> dict[str, int]:
        counts: dict[str, int] = {}
        for part in self.slices:
            if after_ms < part.at_ms <= upto_ms:
                for emoji, count in part.counts.items():
                    counts[emoji] = counts.get(emoji, 0) + count
        return counts

    def _score(self, counts: dict[str, int]) -> float:
        if not counts:
            return 0.0
        weights = WEIGHTS | self.settings.mood_weights
        mean = sum(weights.get(emoji, 0.0) * count for emoji, count in counts.items()) / sum(counts.values())
        return round(min(1.0, max(-1.0, mean)), 3) + 0.0  # not -0.0, which reads as a defect


def _trend(change: float) -> Trend:
    step = round(change, 3)
    if abs(step) < TREND_STEP:
        return "steady"
    return "rising" if step > 0 else "falling"
