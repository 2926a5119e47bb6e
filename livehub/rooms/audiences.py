"""Names of audiences. A part of a room is set off by a character that no id may hold.

Ids come from outside: with `:` between, whoever joined a session called `s1:moderation` would sit with the moderators
of `s1`.
"""

from __future__ import annotations

from livehub.feature import EVERYONE

PART = "#"


def full_name(room: str, to: str) -> str:
    """The audience that a feature of a room calls `to`: `""`, `":moderation"`, or a full name already."""
    if to == EVERYONE:
        return room
    return f"{room}{PART}{to[1:]}" if to.startswith(":") else to


def as_part(audience: str) -> str:
    """What a feature calls an audience: a person by their full name, everybody `""`, a part with its colon."""
    if audience.startswith("user:"):
        return audience
    _, mark, part = audience.partition(PART)
    return f":{part}" if mark else EVERYONE
