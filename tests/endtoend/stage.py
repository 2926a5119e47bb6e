"""A session on a server, and people who enter it with clients from npm."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.endtoend.node import Client, Node
from tests.harness import Server

RECONNECTION_DELAY_MS = 50
CONNECT_TIMEOUT_MS = 20_000  # the client's default


def key() -> str:
    """A new idempotency key."""
    return str(uuid4())


class Stage:
    """Names are made unique, so that many tests share one server."""

    def __init__(self, server: Server, node: Node) -> None:
        self.server = server
        self.node = node
        self.suffix = uuid4().hex[:8]
        self.session = f"session-{self.suffix}"

    def id_of(self, person: str) -> str:
        """The user id behind a name."""
        return f"{person}-{self.suffix}"

    def token(self, person: str, **claims: Any) -> str:
        """A token for a person, whose last name is Stage."""
        return self.server.token(self.id_of(person), name=f"{person.capitalize()} Stage", **claims)

    def connect(
        self,
        person: str,
        *,
        token: str | None = None,
        device: str = "",
        query: dict[str, str] | None = None,
        transports: tuple[str, ...] = ("websocket",),
        namespace: str = "/events",
        returns: bool = True,
        url: str = "",
        patience_ms: int = CONNECT_TIMEOUT_MS,
        **claims: Any,
    ) -> Client:
        """Open a client for a person; it may not be let in. Unless it `returns`, it stays away until told to."""
        bearer = self.token(person, **claims) if token is None else token
        return self.node.open(
            f"{person}{device}",
            (url or self.server.url) + namespace,
            auth={"token": f"Bearer {bearer}"},
            query={} if query is None else query,
            transports=list(transports),
            reconnection=returns,
            timeout=patience_ms,
            reconnectionDelay=RECONNECTION_DELAY_MS,
            reconnectionDelayMax=2 * RECONNECTION_DELAY_MS,
            rejectUnauthorized=False,
        )

    async def enter(self, person: str, *, joined: bool = True, **options: Any) -> Client:
        """Open a client, wait until it is let in, join the session and wait for its snapshot."""
        client = self.connect(person, **options)
        await client.acknowledged()
        if joined:
            assert await client.ask("session.join", {"sessionId": self.session}) == {
                "success": True,
                "sessionId": self.session,
            }
            await client.heard("session.snapshot")
        return client

    async def send(self, client: Client, text: str, **more: Any) -> str:
        """Have a message sent: its id."""
        answer = await client.ask("chat.message.send", {"text": text, "idempotencyKey": key(), **more})
        assert answer.get("success") is True, answer
        return str(answer["messageId"])


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """Texts of messages."""
    return [message["text"] for message in messages]
