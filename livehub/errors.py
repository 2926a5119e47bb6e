"""Everything livehub raises on purpose.

LivehubError
├── Refused            an ask that the rules do not allow: text and status go back to whoever asked
│   └── Unavailable    it cannot be saved now (disk full, store failing, room restarting): ask again
├── AuthFailed         a token or a person that is not let in; `reason` is for the log and `systemError`
├── ConfigError        a setting that cannot be used: the text names file, key and what is allowed
└── StoreError         a data directory that cannot be used: the text says what to do

What a peer does wrong on the wire (malformed packets, JSON) is a `ValueError` of `livehub.wire` and never leaves
the transports.
"""

from __future__ import annotations

from typing import Any

UNAVAILABLE_RETRY_MS = 1_000


class LivehubError(Exception):
    """The root: catch it where any of them is reported to an operator."""


class Refused(LivehubError):
    """An ask was refused and changed nothing. `status` speaks HTTP, `code` is for counters, `message` is for people."""

    def __init__(
        self, message: str, status: int = 400, *, code: str = "refused", retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms

    def body(self) -> dict[str, Any]:
        """The refusal as acks and HTTP answers carry it (contracts, points 6 and 14)."""
        error: dict[str, Any] = {"message": self.message, "statusCode": self.status}
        if self.retry_after_ms is not None:
            error["retryAfterMs"] = self.retry_after_ms
        return {"success": False, "error": error}


class Unavailable(Refused):
    """The log cannot take it now; nothing of it was kept and nobody was shown it."""

    def __init__(self, message: str = "The server is unavailable for changes right now, please try again") -> None:
        super().__init__(message, 503, code="unavailable", retry_after_ms=UNAVAILABLE_RETRY_MS)


class AuthFailed(LivehubError):
    """Not let in. The world is told `Authentication failed`; `reason` (snake_case) says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigError(LivehubError):
    """A configuration that cannot be used, with every fault found in it."""


class StoreError(LivehubError):
    """A data directory that cannot be opened, and what to do about it."""
