"""Reactions: what contract 1 (§8) and the contracts' points 21, 22 and 27 promise, asked as plain functions."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from livehub.feature import JSON, SYSTEM, Ask, Person
from livehub.features.reactions import (
    ALLOWED,
    BURST_S,
    MOOD_S,
    MOOD_WINDOW_S_MAX,
    PER_PERSON_AND_BURST_MAX,
    SLICES_MAX,
    TREND_STEP,
    WEIGHTS,
    Reactions,
    ReactionSettings,
)
from livehub.features.sessions import Sessions, SessionSettings
from livehub.rooms.state import Performed, State
from tests.kit import ANNA, BEN, CARA, Bench, ears, open_hub, person

WINDOW_S = 60


@pytest.fixture
def bench() -> Bench:
    return Bench(Reactions)


def send(bench: Bench, emoji: str = "🔥", who: Person = ANNA, times: int = 1) -> None:
    for _ in range(times):
        bench.ask("reaction.send", {"emoji": emoji}, who)


def beat(bench: Bench, method: str, *, after_ms: int = 0) -> Performed:
    """Let a beat of the feature come."""
    bench.now_ms += after_ms
    return bench._kept(bench.state.beat(0, method, Ask(None, SYSTEM, bench.now_ms, 1)))


def burst(bench: Bench, *, after_ms: int = BURST_S * 1_000) -> JSON:
    """The counts of the burst that comes next; None when none does."""
    performed = beat(bench, "burst", after_ms=after_ms)
    assert [one.event for one in performed.bursts] in ([], ["reaction.burst"])
    assert [one.to for one in performed.bursts] in ([], [""])
    return performed.bursts[0].data if performed.bursts else None


def mood(bench: Bench, *, after_ms: int = 0) -> JSON:
    """The mood as it is told next; None when it is not."""
    performed = beat(bench, "mood", after_ms=after_ms)
    assert [one.event for one in performed.bursts] in ([], ["mood.analytics.updated"])
    return performed.bursts[0].data if performed.bursts else None


def react(bench: Bench, *emojis: str) -> None:
    """One burst of these, each from somebody else."""
    for place, emoji in enumerate(emojis):
        send(bench, emoji, person(f"guest{place}"))
    assert burst(bench)


def test_the_allowed_emojis_are_those_of_the_contract(bench: Bench) -> None:
    assert len(ALLOWED) == len(set(ALLOWED)) == 18
    assert "❤\ufe0f" in ALLOWED
    for emoji in ALLOWED:
        performed = bench.ask("reaction.send", {"emoji": emoji}, person(f"guest{emoji.encode().hex()}"))
        assert performed.reply == {}
    assert burst(bench) == dict.fromkeys(ALLOWED, 1)


@pytest.mark.parametrize("emoji", ["❤", "👎", "👍🏽", "👍👍", "é"])
def test_another_emoji_is_refused_with_those_that_are_allowed(bench: Bench, emoji: str) -> None:
    refusal = bench.refusal("reaction.send", {"emoji": emoji}, ANNA)
    assert refusal.message == "emoji must be one of 👍 ❤️ 🎉 💡 😂 👏 🔥 🙏 🤝 🚀 🙌 ✅ 🎶 🕺 📢 📸 🌍 🧠"
    assert (refusal.status, refusal.code) == (400, "invalid_payload")
    assert burst(bench) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "emoji is required"),
        ({"emoji": "x"}, "emoji must be an emoji, not plain text"),
        ({"emoji": ""}, "emoji must be an emoji of 1 to 8 characters"),
        ({"emoji": "🔥" * 9}, "emoji must be an emoji of 1 to 8 characters"),
        ({"emoji": 5}, "emoji must be a string"),
        ({"emoji": "🔥", "count": 5}, "'count' is not a field here; allowed: emoji"),
    ],
)
def test_what_is_no_emoji_is_refused(bench: Bench, data: JSON, told: str) -> None:
    refusal = bench.refusal("reaction.send", data, ANNA)
    assert (refusal.message, refusal.status) == (told, 400)


def test_the_allowed_emojis_are_a_setting() -> None:
    bench = Bench(Reactions, settings={"reactions": ReactionSettings(emojis=("👎", "🐢"))})
    send(bench, "👎")
    assert bench.refusal("reaction.send", {"emoji": "🔥"}, ANNA).message == "emoji must be one of 👎 🐢"


def test_reactions_of_all_are_counted_into_one_burst(bench: Bench) -> None:
    send(bench, "🔥", ANNA, 3)
    send(bench, "👏", ANNA)
    send(bench, "🔥", BEN, 2)
    assert burst(bench) == {"🔥": 5, "👏": 1}


def test_there_is_no_burst_without_reactions(bench: Bench) -> None:
    assert beat(bench, "burst") == Performed()
    send(bench)
    assert burst(bench) == {"🔥": 1}
    assert beat(bench, "burst") == Performed()


def test_one_reaction_costs_one_fact_that_is_not_kept(bench: Bench) -> None:
    performed = bench.ask("reaction.send", {"emoji": "🔥"}, ANNA)
    ((fact),) = performed.facts
    assert (fact.kept, fact.to, performed.effects, performed.bursts) == (False, (), [], [])
    assert bench.log == []


def test_what_is_counted_is_one_kept_fact_for_nobody(bench: Bench) -> None:
    send(bench, "🔥", ANNA, 2)
    ((fact),) = beat(bench, "burst").facts
    assert (fact.kind, fact.data, fact.to, fact.kept) == ("reaction.counted", {"counts": {"🔥": 2}}, (), True)


def test_beyond_ten_a_burst_a_person_s_reactions_are_dropped_silently(bench: Bench) -> None:
    send(bench, "🔥", ANNA, PER_PERSON_AND_BURST_MAX - 1)
    send(bench, "👏", ANNA)
    dropped = bench.ask("reaction.send", {"emoji": "👏"}, ANNA)
    assert (dropped.facts, dropped.reply) == ([], {})
    send(bench, "👏", BEN)
    assert burst(bench) == {"🔥": 9, "👏": 2}
    send(bench, "🔥", ANNA, PER_PERSON_AND_BURST_MAX + 5)
    assert burst(bench) == {"🔥": 10}


def test_a_burst_is_not_changed_by_what_comes_after_it(bench: Bench) -> None:
    send(bench)
    shown = burst(bench)
    send(bench)
    assert shown == {"🔥": 1}


def test_totals_go_on_through_all_bursts(bench: Bench) -> None:
    react(bench, "🔥", "🔥", "👏")
    react(bench, "🔥")
    assert bench.feature(Reactions).totals == {"🔥": 3, "👏": 1}


def test_the_mood_tells_what_the_contract_says(bench: Bench) -> None:
    react(bench, "👏", "🔥", "🔥")
    assert mood(bench) == {
        "sessionId": "s1",
        "windowS": 60,
        "counts": {"👏": 1, "🔥": 2},
        "dominant": "🔥",
        "score": 0.967,  # (0.9 + 2 * 1.0) / 3
        "trend": "rising",
    }


def test_the_mood_is_told_while_there_are_reactions_and_once_when_there_are_none(bench: Bench) -> None:
    assert mood(bench) is None
    react(bench, "🔥")
    for _ in range(WINDOW_S // MOOD_S - 1):
        assert mood(bench, after_ms=MOOD_S * 1_000)["counts"] == {"🔥": 1}
    assert mood(bench, after_ms=MOOD_S * 1_000 - 1)["counts"] == {"🔥": 1}
    over = mood(bench, after_ms=1)
    assert over == {
        "sessionId": "s1",
        "windowS": 60,
        "counts": {},
        "dominant": None,
        "score": 0.0,
        "trend": "falling",
    }
    assert mood(bench, after_ms=MOOD_S * 1_000) is None
    react(bench, "👏")
    assert mood(bench)["dominant"] == "👏"


def test_only_turns_of_the_mood_are_facts(bench: Bench) -> None:
    react(bench, "🔥")
    kinds = [[fact.kind for fact in beat(bench, "mood", after_ms=30_000).facts] for _ in range(4)]
    assert kinds == [["mood.began"], ["mood.ended"], [], []]


def test_of_equal_counts_the_emoji_that_came_first_is_dominant(bench: Bench) -> None:
    react(bench, "👏", "🔥")
    react(bench, "🔥", "👏")
    assert mood(bench)["dominant"] == "👏"


def test_the_score_is_the_weighted_mean_between_minus_one_and_one() -> None:
    weights = {"👎": -1.0, "🔥": 1.0, "👍": 50.0, "💡": 0.0}
    settings = ReactionSettings(emojis=("👎", "🔥", "👍", "🐢", "💡"), mood_weights=weights)
    for emojis, score in (
        (("👎",), -1.0),
        (("👎", "🔥"), 0.0),
        (("👎", "🔥", "🔥"), 0.333),
        (("👍",), 1.0),  # a weight beyond 1 does not carry the score beyond it
        (("🐢",), 0.0),  # a weight that is not known counts as neither
        (("🐢", "🔥"), 0.5),
        (("💡", "👎"), -0.5),
    ):
        bench = Bench(Reactions, settings={"reactions": settings})
        react(bench, *emojis)
        assert mood(bench)["score"] == score, emojis


def test_every_allowed_emoji_has_a_weight_and_no_weight_is_beyond_one() -> None:
    assert set(ALLOWED) <= WEIGHTS.keys()
    assert all(-1 <= weight <= 1 for weight in WEIGHTS.values())


@pytest.mark.parametrize(
    ("before", "now", "trend"),
    [
        ("📢", "🔥", "rising"),
        ("🔥", "📢", "falling"),
        ("🔥", "🔥", "steady"),
        ("🔥", "👏", "falling"),  # 1.0 to 0.9: a step of exactly TREND_STEP counts
        ("😂", "👏", "rising"),
        ("🙏", "👍", "steady"),
    ],
)
def test_the_trend_compares_with_the_window_before(bench: Bench, before: str, now: str, trend: str) -> None:
    assert TREND_STEP == 0.1
    react(bench, before)
    bench.now_ms += WINDOW_S * 1_000
    react(bench, now)
    assert mood(bench)["trend"] == trend


def test_the_window_is_a_setting() -> None:
    bench = Bench(Reactions, settings={"reactions": ReactionSettings(mood_window_s=10)})
    react(bench, "🔥")
    assert mood(bench)["windowS"] == 10
    assert mood(bench, after_ms=10_000)["counts"] == {}


def test_what_no_window_needs_any_more_is_forgotten(bench: Bench) -> None:
    for _ in range(3 * WINDOW_S // BURST_S):
        react(bench, "🔥")
    assert len(bench.feature(Reactions).slices) == 2 * WINDOW_S // BURST_S


def test_the_slices_have_a_bound_also_when_time_stands_still() -> None:
    bench = Bench(Reactions, settings={"reactions": ReactionSettings(mood_window_s=MOOD_WINDOW_S_MAX)})
    for _ in range(SLICES_MAX + 1):
        send(bench)
        burst(bench, after_ms=0)
    assert len(bench.feature(Reactions).slices) == SLICES_MAX


def reactions_of(state: State) -> Reactions:
    (feature,) = state.features
    assert isinstance(feature, Reactions)
    return feature


def test_the_log_rebuilds_all_but_the_burst_to_come(bench: Bench) -> None:
    react(bench, "🔥", "👏")
    mood(bench)
    react(bench, "🔥")
    send(bench, "🎉")
    live, folded = bench.feature(Reactions), reactions_of(bench.reopened())
    assert (folded.totals, folded.slices, folded.mood_told) == (live.totals, live.slices, True)
    assert (folded.pending, folded.pending_by) == ({}, {})


async def test_everybody_in_the_session_is_shown_bursts_and_mood(autojump_clock: MockClock) -> None:
    async with open_hub(Sessions, Reactions, settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        anna, ben, cara = ears(ANNA), ears(BEN), ears(CARA)
        await hub.do("session.join", {"sessionId": "s1"}, anna)
        await hub.do("session.join", {"sessionId": "s1"}, ben)
        await hub.do("session.join", {"sessionId": "s2"}, cara)
        assert await hub.do("reaction.send", {"emoji": "🔥"}, anna) == {}
        await hub.do("reaction.send", {"emoji": "🔥"}, ben)
        assert anna.events("reaction.burst") == []
        await trio.sleep(BURST_S + 0.5)
        assert anna.events("reaction.burst") == ben.events("reaction.burst") == [{"🔥": 2}]
        await trio.sleep(MOOD_S)
        (told,) = ben.events("mood.analytics.updated")
        assert (told["sessionId"], told["counts"]) == ("s1", {"🔥": 2})
        assert cara.events("reaction.burst") == cara.events("mood.analytics.updated") == []
        assert [item.offset for item in anna.heard if item.event == "reaction.burst"] == [None]
