"""How an ask ended, as a scenario sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(slots=True)
class Answer:
    """How an ask ended. `code` says why it did not work: the server's own, or NOT_CONNECTED, CLOSED or TIMEOUT."""

    ok: bool
    data: Mapping[str, Any] = attrs.field(factory=dict)
    code: str = ""
