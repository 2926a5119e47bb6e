"""Who was there, and what was answered: what a run proves is worth no more than that, so it is judged by default.

Nobody ever connected: the run says nothing about the server. Some never did, some were gone at the end, or asks got no
answer: it fails, with no condition needed. A scenario in which that is meant to be says so in `EXPECTS`.
"""

from __future__ import annotations

from collections.abc import Mapping

ABSENT, UNANSWERED, NEVER_CONNECTED = "absent", "unanswered", "never_connected"
EXPECTABLE = frozenset({ABSENT, UNANSWERED, NEVER_CONNECTED})
"""What `EXPECTS` may hold."""

HINTS = {"https": " (if its certificate is not trusted: --ca FILE or --insecure)"}
WHY = ("refused.connect.", "unconnected.")


def nobody(totals: Mapping[str, int], host: str) -> list[str]:
    """Why the run says nothing, if nobody ever connected."""
    came = totals.get("users.came", 0)
    if not came or totals.get("users.connected"):
        return []
    hint = HINTS.get(host.partition(":")[0], "")
    return [f"nobody could connect to {host}{hint}: {why(totals)}"]


def failures(totals: Mapping[str, int], expects: frozenset[str], drain_s: float) -> list[str]:
    """What speaks against the server, in sentences."""
    came = totals.get("users.came", 0)
    never, absent = totals.get("users.never_connected", 0), totals.get("absent", 0)
    told = {
        NEVER_CONNECTED: (never, f"{never:,} of {came:,} users never connected: {why(totals)}"),
        ABSENT: (absent, f"{absent:,} of {came:,} users were cut off and not back at the end (--drain {drain_s:g}s)"),
        UNANSWERED: (
            totals.get("unanswered", 0),
            f"{totals.get('unanswered', 0):,} asks were not answered, neither within 30 s nor by the end of the drain",
        ),
    }
    return [sentence for what, (number, sentence) in told.items() if number and what not in expects]


def why(totals: Mapping[str, int]) -> str:
    """What most of those who could not connect were told."""
    reasons = {
        name.removeprefix(prefix): number
        for prefix in WHY
        for name, number in totals.items()
        if name.startswith(prefix)
    }
    return max(reasons, key=lambda reason: reasons[reason]) if reasons else "no answer"
