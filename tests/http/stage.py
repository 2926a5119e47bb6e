"""The web app over a real hub in virtual time; a token is the name of whoever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from quart_trio import QuartTrio

from livehub.contracts.codes import Codes
from livehub.errors import AuthFailed
from livehub.feature import Person
from livehub.features import discover
from livehub.features.sessions import SessionSettings
from livehub.guests import Guests, is_guests
from livehub.http.app import Health, create_app
from livehub.http.delays import Delays
from livehub.http.export import Exports
from livehub.http.join import Reception, Site
from livehub.http.rest import Rest
from tests.kit import ANNA, BEN, MODERATOR, OWNER, HubUnderTest, open_hub

PEOPLE = {who.id: who for who in (ANNA, BEN, MODERATOR, OWNER)}
BODY_BYTES_MAX = 1_000


def address(scope: Mapping[str, Any]) -> str:
    """What a request says of where it comes from."""
    told: bytes = dict(scope["headers"]).get(b"x-test-address", b"192.0.2.1")
    return told.decode()


@dataclass
class Stage:
    """A hub, its web app, and what the health routes are told."""

    hub: HubUnderTest
    codes: Codes
    delays: Delays | None = None
    site: Site = field(default_factory=Site)
    origins: tuple[str, ...] = ()
    why_not_ready: str | None = None
    guests: Guests = field(init=False)
    exports: Exports = field(init=False)
    app: QuartTrio = field(init=False)

    def __post_init__(self) -> None:
        self.guests = Guests(self.hub.store.secret)
        health = Health(lambda: self.why_not_ready, lambda: (b"figures 1\n", "text/plain; version=0.0.4"))
        hub = self.hub
        self.exports = Exports(hub.store, hub.catalog, hub.clock)
        reception = Reception(
            self.codes, self.guests, hub.clock, hub.meter.refused, address, delays=self.delays, site=self.site
        )
        limits: dict[str, Any] = {"body_bytes_max": BODY_BYTES_MAX, "body_timeout_s": 1.0, "origins": self.origins}
        rest = Rest(hub.gate, self.identify)
        self.app = create_app(rest, hub.catalog, reception, health, self.exports, **limits)

    def identify(self, token: object) -> tuple[Person, float]:
        """Whoever is named by the token; guests bring theirs."""
        if is_guests(token):
            identity = self.guests.verify(str(token), self.hub.clock() / 1000)
            return identity.person, identity.expires_at_s
        if not isinstance(token, str) or token not in PEOPLE:
            raise AuthFailed("token_invalid")
        return PEOPLE[token], 0.0

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
async def stage(
    delays: Delays | None = None, site: Site | None = None, origins: tuple[str, ...] = (), **more: Any
) -> AsyncIterator[Stage]:
    """A stage with every feature; sessions come into being when somebody joins."""
    async with open_hub(*discover(), settings={"sessions": SessionSettings(auto_create=True)}, **more) as hub:
        codes = Codes(hub.house)
        await codes.ready()
        yield Stage(hub, codes, delays, site or Site(), origins)
