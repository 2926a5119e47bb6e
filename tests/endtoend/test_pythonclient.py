"""python-socketio's client, another stock client, chats over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest
import socketio
import trio

from tests.endtoend.stage import key
from tests.harness import Server

ANSWER_DEADLINE_S = 10.0
EVENTS = ("connectionAcknowledged", "chat.message.new", "chat.message.updated", "chat.message.deleted", "systemError")


class Person:
    """One client in a thread of its own, and what it was told."""

    def __init__(self, server: Server, user: str, transport: str) -> None:
        self.client = socketio.Client()
        self.told: Queue[tuple[str, Any]] = Queue()
        for event in EVENTS:
            self.client.on(event, self._hears(event), namespace="/events")
        auth = {
            "token": server.token(user, name=f"{user.split('-', maxsplit=1)[0].capitalize()} Python", role="MEMBER")
        }
        self.client.connect(server.url, auth=auth, namespaces=["/events"], transports=[transport])
        assert self.next("connectionAcknowledged") == {"userId": user}

    def ask(self, event: str, **payload: Any) -> Any:
        """Emit with a callback."""
        return self.client.call(event, payload, namespace="/events", timeout=ANSWER_DEADLINE_S)

    def next(self, event: str) -> Any:
        """The next thing it is told, which must be this event: its payload."""
        name, payload = self.told.get(timeout=ANSWER_DEADLINE_S)
        assert name == event, payload
        return payload

    def _hears(self, event: str) -> Any:
        return lambda payload, *_: self.told.put((event, payload))


@contextmanager
def person(server: Server, user: str, transport: str) -> Iterator[Person]:
    """A connected client for the length of the block."""
    somebody = Person(server, user, transport)
    try:
        yield somebody
    finally:
        somebody.client.disconnect()


def _chat(server: Server, transport: str) -> None:
    session = f"python-{transport}"
    with person(server, f"ada-{transport}", transport) as ada, person(server, f"grace-{transport}", transport) as grace:
        assert ada.client.transport() == transport
        for client in (ada, grace):
            assert client.ask("session.join", sessionId=session) == {"success": True, "sessionId": session}
        message_id = ada.ask("chat.message.send", text="Hello", idempotencyKey=key())["messageId"]
        assert [client.next("chat.message.new")["id"] for client in (ada, grace)] == [message_id] * 2
        reply = grace.ask("chat.message.send", text="Hello Ada", idempotencyKey=key(), replyingToMessageId=message_id)
        assert reply["success"] is True
        assert ada.next("chat.message.new")["parentMessage"]["text"] == "Hello"
        assert grace.next("chat.message.new")["author"]["firstName"] == "Grace"
        ada.ask("chat.message.edit", messageId=message_id, newText="Hello all", idempotencyKey=key())
        assert grace.next("chat.message.updated")["text"] == "Hello all"
        grace.ask("chat.message.react", messageId=message_id, emoji="👍", idempotencyKey=key())
        assert grace.next("chat.message.updated")["reactionsSummary"] == {"👍": 1}
        ada.ask("chat.message.delete", messageId=message_id, idempotencyKey=key())
        assert grace.next("chat.message.deleted") == {"messageId": message_id}
        assert grace.told.empty()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_two_python_clients_chat(shared_server: Server, transport: str) -> None:
    await trio.to_thread.run_sync(_chat, shared_server, transport)
