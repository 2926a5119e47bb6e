"""The peer: npm `socket.io` with the server in `loadtest/peers/socketio`, which speaks a part of livehub's contract.

Its acks and its chat event are livehub's, byte for byte but for the ids; it has no polls, questions or direct messages,
keeps nothing on disk, and recovers connections only when it was started with `--recovery`.
"""

from __future__ import annotations

from typing import ClassVar

from loadtest.targets import livehub


class Adapter(livehub.Adapter):
    """The minimal server."""

    name: ClassVar[str] = "socketio"
    supports: ClassVar[frozenset[str]] = frozenset({"chat", "reactions", "recovery"})
