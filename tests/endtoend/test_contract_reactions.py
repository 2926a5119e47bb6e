"""Contract 1, §8: floating reactions, counted in bursts, and the mood that they make."""

from __future__ import annotations

from tests.endtoend.cast import Cast, Line
from tests.endtoend.node import Client

SETTINGS = {"reactions": {"mood_window_s": 60}}

ALLOWED = ["👍", "❤️", "🎉", "💡", "😂", "👏", "🔥", "🙏", "🤝", "🚀", "🙌", "✅", "🎶", "🕺", "📢", "📸", "🌍", "🧠"]
PER_PERSON_AND_BURST_MAX = 10
BURST_WITHIN_S = 2.0 + 3.0
MOOD_WITHIN_S = 10.0 + 3.0
REFUSED = f"emoji must be one of {' '.join(ALLOWED)}"


async def _begins(cast: Cast) -> dict[str, int]:
    """Wait for a burst: what is sent from now on belongs to the next one, which is 2 s away."""
    await cast.asks(cast.owner, "reaction.send", {"emoji": "📢"})
    await cast.hears(Line(cast.seated, "reaction.burst", {"📢": 1}), within_s=BURST_WITHIN_S)
    return {"📢": 1}


async def _react(who: Client, *emojis: str) -> None:
    """Send reactions, as clients do: without a key, one on the heels of the other."""
    for answer in [who.start_ask("reaction.send", {"emoji": emoji}) for emoji in emojis]:
        assert (await answer())[0] == {"success": True}


async def test_the_mood_is_that_of_the_latest_reactions(cast: Cast) -> None:
    """The score is the mean of the weights: 1.0 for 🔥, 0.7 for 👍, 0.0 for 📢. First, as its beat is the longest."""
    counts = await _begins(cast)
    await _react(cast.ada, "🔥", "🔥", "👍")
    mood = {
        "sessionId": cast.session,
        "windowS": 60,
        "counts": {**counts, "🔥": 2, "👍": 1},
        "dominant": "🔥",
        "score": 0.675,
        "trend": "rising",
    }
    burst = Line(cast.seated, "reaction.burst", {"🔥": 2, "👍": 1})
    await cast.hears(burst, Line(cast.seated, "mood.analytics.updated", mood), within_s=MOOD_WITHIN_S)


async def test_a_burst_counts_every_emoji_that_is_allowed(cast: Cast) -> None:
    assert len(ALLOWED) == 18
    await _begins(cast)
    await _react(cast.ada, *ALLOWED[:PER_PERSON_AND_BURST_MAX])
    await _react(cast.ada, *["🎉"] * 5)  # more than one person may add, so dropped without a word
    await _react(cast.bob, *ALLOWED[PER_PERSON_AND_BURST_MAX:])
    await cast.does(cast.moderator, "reaction.send", {"emoji": "🔥"})
    cast.speaker.emit("reaction.send", {"emoji": "🔥"})
    await _react(cast.elsewhere, "🧠")
    counts = dict.fromkeys(ALLOWED, 1) | {"🔥": 3}
    await cast.hears(
        Line(cast.seated, "reaction.burst", counts),
        Line((cast.elsewhere,), "reaction.burst", {"🧠": 1}),
        within_s=BURST_WITHIN_S,
    )
    for emoji in ("👎", "❤", "🔥🔥"):  # a heart without its variation selector is another emoji
        await cast.refuses(cast.ada, "reaction.send", {"emoji": emoji}, 400, REFUSED)
    await cast.hears()
