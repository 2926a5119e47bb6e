"""The web app over a real hub in virtual time; a token is the name of whoever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from quart_trio import QuartTrio

from livehub.errors import AuthFailed
from livehub.feature import Person
from livehub.features import discover
from livehub.features.sessions import SessionSettings
from livehub.http.app import Health, create_app
from livehub.http.rest import Rest
from tests.kit import ANNA, BEN, MODERATOR, OWNER, HubUnderTest, open_hub

PEOPLE = {who.id: who for who in (ANNA, BEN, MODERATOR, OWNER)}
BODY_BYTES_MAX = 1_000


def identify(token: object) -> tuple[Person, float]:
    """Whoever is named by the token."""
    if not isinstance(token, str) or token not in PEOPLE:
        raise AuthFailed("token_invalid")
    return PEOPLE[token], 0.0


@dataclass
class Stage:
    """A hub, its web app, and what the health routes are told."""

    hub: HubUnderTest
    why_not_ready: str | None = None
    app: QuartTrio = field(init=False)

    def __post_init__(self) -> None:
        health = Health(lambda: self.why_not_ready, lambda: (b"figures 1\n", "text/plain; version=0.0.4"))
        rest = Rest(self.hub.gate, identify)
        self.app = create_app(rest, self.hub.catalog, health, body_bytes_max=BODY_BYTES_MAX, body_timeout_s=1.0)

    async def request(self, method: str, path: str, who: str = "", body: Any = None, **more: Any) -> tuple[int, Any]:
        """Status and JSON body of one request."""
        headers = dict(more.pop("headers", {}))
        if who:
            headers["Authorization"] = f"Bearer {who}"
        if body is not None:
            more["json"] = body
        answer = await self.app.test_client().open(path, method=method, headers=headers, **more)
        return answer.status_code, await answer.get_json()


@asynccontextmanager
async def stage(**more: Any) -> AsyncIterator[Stage]:
    """A stage with every feature; sessions come into being when somebody joins."""
    async with open_hub(*discover(), settings={"sessions": SessionSettings(auto_create=True)}, **more) as hub:
        yield Stage(hub)
