"""livehub itself: all of contract 1, on `/events`.

Acks are `{"success": true, …}` or `{"success": false, "error": {"message", "statusCode"}}`. Load runs switch the rate
limits off (`LIVEHUB_LIMITS__ENABLED=false`): one person per connection is a crowd, one person per address is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import orjson

from loadtest.targets import STATUS_CODES, Outcome, Target

OFFSET_CHARS = len("0123456789ab-123456")
"""Of `<epoch>-<seq>`: the seq of a run has 1 to 7 digits, so a frame is at most 5 bytes shorter and 1 longer."""


class Adapter(Target):
    """livehub with its default features."""

    name: ClassVar[str] = "livehub"
    supports: ClassVar[frozenset[str]] = frozenset(
        {"chat", "polls", "reactions", "recovery", "restart", "qa", "dms", "dashboard"}
    )

    refusal_event: ClassVar[str] = "systemError"

    def refusal(self, args: Sequence[object]) -> str:
        told = args[0] if args and isinstance(args[0], dict) else {}
        return f"{told.get('message', self.refusal_event)} ({told.get('reason', 'no reason given')})"

    def join(self, session: str) -> tuple[str, dict[str, object]]:
        return "session.join", {"sessionId": session}

    def chat(self, session: str, text: str, key: str) -> tuple[str, dict[str, object]]:
        return "chat.message.send", {"sessionId": session, "text": text, "idempotencyKey": key}

    def outcome(self, args: Sequence[object]) -> Outcome:
        answer = args[0] if args else None
        if not isinstance(answer, dict):
            return Outcome(False, "no_answer", {})
        if answer.get("success") is True:
            return Outcome(True, "", answer)
        error = answer.get("error")
        status = error.get("statusCode") if isinstance(error, dict) else None
        code = STATUS_CODES.get(status, str(status)) if isinstance(status, int) else "unclear"
        return Outcome(False, code, answer)

    def chat_frame_bytes(self, session: str, text: str) -> int:
        author = {"id": self.user_id(0), "firstName": "User", "lastName": "000000"}
        message = {
            "id": "53e692eb-5abc-45b0-aea4-abd278b71528",
            "text": text,
            "timestamp": "2026-01-01T00:00:00.000Z",
            "isEdited": False,
            "editedAt": None,
            "authorId": self.user_id(0),
            "sessionId": session,
            "author": author,
            "reactionsSummary": {},
        }
        event = orjson.dumps([self.traced_event, message, "0" * OFFSET_CHARS])
        return len(f"42{self.namespace},") + len(event)
