"""`/events`: who is let in, what is acked, what is told to whom."""

from __future__ import annotations

import orjson
import pytest
from trio.testing import MockClock

from livehub.contracts.events import EventsVocabulary
from livehub.feature import JSON
from livehub.features import discover
from livehub.rooms.catalog import Catalog
from livehub.rooms.fanout import Told
from tests.contracts.stage import stage
from tests.kit import uuid


async def test_a_client_is_let_in_and_told_where_it_stands(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna")
        assert anna.told[0] == ("CONNECT", anna.sid)
        name, payload, offset = anna.told[1]  # type: ignore[misc]  # an event with its offset
        assert (name, payload) == ("connectionAcknowledged", {"userId": "anna"})
        assert offset.startswith(f"{set_up.hub.store.epoch}-")
        assert anna.pid is not None


@pytest.mark.parametrize(
    ("auth", "reason"),
    [({}, "token_missing"), ({"token": 3}, "token_missing"), ({"token": "x"}, "token_malformed")],
)
async def test_a_stranger_is_told_only_that_it_failed(
    auth: dict[str, object], reason: str, autojump_clock: MockClock
) -> None:
    async with stage() as set_up:
        stranger = await set_up.connect("", **auth)
    assert stranger.told == [
        ("CONNECT", None),
        ("systemError", {"message": "Authentication failed", "reason": reason}),
        ("DISCONNECT", None),
    ]
    assert stranger.pid is None


async def test_the_token_may_come_in_a_header_and_with_bearer(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        token = set_up.token("anna")
        for socket in (
            await set_up.connect("", token=f"Bearer {token}"),
            await set_up.connect("", headers={"authorization": f"Bearer {token}"}),
        ):
            assert socket.events("connectionAcknowledged") == [{"userId": "anna"}]


async def test_what_was_asked_is_acked_and_heard(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna, ben = await set_up.connect("anna"), await set_up.connect("ben")
        for socket in (anna, ben):
            assert await set_up.ask(socket, "session.join", {"sessionId": "s1"}) == {"success": True, "sessionId": "s1"}
        ack = await set_up.ask(anna, "chat.message.send", {"text": "hello"})
        assert ack["success"] is True
        for socket in (anna, ben):
            (message,) = socket.events("chat.message.new")
            assert (message["id"], message["text"]) == (ack["messageId"], "hello")


async def test_a_refusal_goes_to_the_ack(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna")
        ack = await set_up.ask(anna, "chat.message.send", {"text": "hello", "sessionId": "s1"})
    assert ack == {"success": False, "error": {"message": "Session not found", "statusCode": 404}}


async def test_a_refusal_without_an_ack_goes_to_its_sender_alone(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna, ben = await set_up.connect("anna"), await set_up.connect("ben")
        for socket in (anna, ben):
            await set_up.ask(socket, "session.join", {"sessionId": "s1"})
        assert await set_up.ask(anna, "chat.message.send", {"text": " "}, ack_id=None) is None
        assert anna.events("systemError") == [{"message": "text must not be empty", "reason": "invalid_payload"}]
        assert ben.events("systemError") == []


@pytest.mark.parametrize("name", ["no.such", "chat.history", "user.met", "session.create", 7, ""])
async def test_what_is_no_event_here_is_told(name: object, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna", claims={"role": "OWNER"})
        ack = await set_up.ask(anna, name, {})
    assert ack["error"]["statusCode"] == 404
    assert ack["error"]["message"] == f"Unknown event {str(name)!r}"


async def test_an_event_takes_one_payload_and_nulls_behind_it(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna")
        await set_up.events.event(anna, "session.join", [{"sessionId": "s1"}, None], 1)
        await set_up.events.event(anna, "session.join", [{"sessionId": "s1"}, {}], 2)
        await set_up.events.event(anna, "session.join", [], 3)
        await set_up.ask(anna, "session.join", {"sessionId": "s1"}, ack_id=4)
    acks = {told[1][0]: told[1][1] for told in anna.told if told[0] == "ACK"}
    assert acks[1]["success"] is True
    assert acks[2]["error"]["message"] == "An event takes one payload"
    assert acks[4]["success"] is True


async def test_a_repeated_ask_gets_its_first_ack_again(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna")
        await set_up.ask(anna, "session.join", {"sessionId": "s1"})
        data = {"text": "once", "idempotencyKey": uuid(77)}
        first, again = [await set_up.ask(anna, "chat.message.send", data) for _ in range(2)]
        assert again == {**first, "replayed": True}
        assert len(anna.events("chat.message.new")) == 1


def told(name: str, data: JSON, offset: str) -> Told:
    return Told(name, data, offset, 0, "session:s1", "session:s1")


def test_a_fact_is_shown_as_its_event_with_its_offset() -> None:
    speak = EventsVocabulary(Catalog(discover()))
    text = speak.fact(told("chat.message.deleted", {"gone": {"messageId": "m"}, "by": "anna"}, "e-7"))
    assert text is not None
    assert text.startswith(b"2/events,")
    assert orjson.loads(text[9:]) == ["chat.message.deleted", {"messageId": "m"}, "e-7"]
    assert speak.fact(told("session.joined", {"userId": "anna"}, "e-8")) is None
    assert speak.event(told("slide.update", {"x": 1}, "e-9")) == b'2/events,["slide.update",{"x":1}]'
    assert speak.event(told("a.view", {"x": 1}, "e-9")) is None  # of another contract
