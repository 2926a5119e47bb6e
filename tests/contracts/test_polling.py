"""`/polling`: who is let in, what they are told and in which order, what becomes of a vote, and coming back.

Beside what each test looks at, `Hall` checks every client's story: a client that comes back with any `eventId` it was
ever told must miss nothing. So no fact may come after an event that said it was there already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import livehub
from livehub.contracts.entrance import EntranceLimits
from livehub.contracts.polling import CLIENT_LEFT, VOTE
from livehub.contracts.pollwords import HEARTBEAT, NAMESPACE
from livehub.feature import JSON, Person, Via, iso
from livehub.stores.memory import MemoryStore, open_memory
from tests.contracts.stage import HEARTBEAT_S, FakeSocket, Stage, stage
from tests.kit import person, settle, uuid

CHAIR = person("mia", "sessions:manage", "poll:manage")
TEA: dict[str, JSON] = {"question": "Tea or coffee?", "options": [{"text": "Tea"}, {"text": "Coffee"}]}
ALWAYS = ("eventId", "sessionId", "timestamp")
WINDOW_MS = 60_000


@dataclass
class Hall:
    """A session of live polling, and everybody who came."""

    stage: Stage
    session: str = "s1"
    came: list[FakeSocket] = field(default_factory=list)

    async def present(self, name: str, data: JSON = None) -> dict[str, Any]:
        """The presenter does something over REST."""
        return await self.stage.hub.do(name, data, who=CHAIR, door=Via.REST, room_id=self.session)

    async def poll(self, *, active: bool = True, **data: JSON) -> dict[str, Any]:
        """Write a poll, and open it."""
        written = {"question": "How was it?", **data} if data.get("pollType") == "rating_scale" else {**TEA, **data}
        poll: dict[str, Any] = (await self.present("poll.add", written))["poll"]
        if active:
            await self.present("poll.activate", {"pollId": poll["id"]})
        return poll

    async def connect(
        self,
        user: str = "anna",
        *,
        query: dict[str, str] | None = None,
        socket: Callable[[FakeSocket], None] | None = None,
        **auth: JSON,
    ) -> FakeSocket:
        """A client connects; to the session unless it says otherwise."""
        client = FakeSocket({}, query or {}, NAMESPACE)
        if socket is not None:
            socket(client)
        if user:
            auth.setdefault("token", self.stage.token(user))
        await self.stage.polling.connect(client, {"sessionId": self.session, **auth})
        await settle()
        self.came.append(client)
        return client

    async def guest(self, number: int = 900, session: str = "", **auth: JSON) -> FakeSocket:
        """A guest connects, who names no session: their token does."""
        token = self.stage.guest_token(self.session, uuid(number))
        return await self.connect("", token=token, sessionId=session, **auth)

    async def ask(self, client: FakeSocket, name: JSON, data: JSON = None, ack_id: int | None = 1) -> Any:
        """An event; its ack, or None if there was none."""
        before = len(client.told)
        await self.stage.polling.event(client, name, [] if data is None else [data], ack_id)
        await settle()
        acks = [told[1][1] for told in client.told[before:] if told[0] == "ACK"]
        assert len(acks) == (ack_id is not None)
        return acks[0] if acks else None

    async def vote(self, client: FakeSocket, poll: dict[str, Any], place: int = 0, **more: JSON) -> Any:
        """Vote for an option."""
        return await self.ask(client, VOTE, {**ballot(poll, place), **more})

    def drop(self, client: FakeSocket, reason: str = "transport_close") -> None:
        """The client goes away."""
        client.connected = False
        self.stage.polling.gone(client, reason)

    def check(self) -> None:
        """Nobody was told that they stand where they did not."""
        for client in self.came:
            stood = facts = -1
            for name, *rest in client.told:
                payload = rest[0] if rest else None
                if not isinstance(payload, dict) or "eventId" not in payload:
                    continue
                seq = seq_of(payload)
                if len(rest) > 1 and isinstance(rest[1], str) and name != "connection:established":
                    assert rest[1] == payload["eventId"]
                    assert seq > max(stood, facts), f"{name} was said to be known at {stood}"
                    facts = seq
                stood = max(stood, seq)


def ballot(poll: dict[str, Any], place: int = 0) -> dict[str, JSON]:
    return {"pollId": poll["id"], "voteData": {"selectedOptionIds": [poll["options"][place]["id"]]}}


def seq_of(payload: dict[str, Any]) -> int:
    return int(payload["eventId"].rpartition("-")[2])


def names(client: FakeSocket) -> list[str]:
    """What a client was told, in order."""
    return [told[0] for told in client.told]


def last(client: FakeSocket, name: str) -> dict[str, Any]:
    """The latest payload of an event, without what every event carries."""
    payload = dict(client.events(name)[-1])
    for name in ALWAYS:
        payload.pop(name)
    return payload


def stands(client: FakeSocket) -> str:
    """The `eventId` that a client would come back with: that of the last event it was told."""
    return next(str(told[1]["eventId"]) for told in reversed(client.told) if "eventId" in (told[1] or ()))


@asynccontextmanager
async def hall(
    store: MemoryStore | None = None, limits: EntranceLimits | None = None, *, made: bool = True, flush_s: float = 0.0
) -> AsyncIterator[Hall]:
    """A hall whose session has begun."""
    async with stage(store, limits, WINDOW_MS, auto_create=False, flush_s=flush_s) as set_up:
        place = Hall(set_up)
        if made:
            await place.present("session.create", {"title": "Keynote"})
            await place.present("session.start")
        yield place
        await settle()
        place.check()


# Coming in


async def test_a_client_is_told_that_it_is_connected_and_then_the_state(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.connect("anna")
        assert names(anna)[:3] == ["CONNECT", "connection:established", "session:state"]
        established = anna.events("connection:established")[0]
        about = {"connectionId": anna.sid, "serverVersion": livehub.__version__, "sessionId": "s1"}
        assert {name: established[name] for name in about} == about
        assert established["timestamp"] == iso(place.stage.hub.clock())
        state = last(anna, "session:state")
        assert "reason" not in state
        assert (state["activePollId"], state["session"]["status"]) == (poll["id"], "active")
        assert [shown["pollId"] for shown in state["polls"]] == [poll["id"]]


@pytest.mark.parametrize("way", ["auth", "query"])
async def test_the_session_is_named_in_auth_or_in_the_query(way: str, autojump_clock: MockClock) -> None:
    async with hall() as place:
        named = {"sessionId": "s1"}
        anna = await place.connect("anna", **{"sessionId": "", "query": named} if way == "query" else named)
        assert anna.events("session:state")[0]["sessionId"] == "s1"


async def test_who_names_no_session_is_connected_and_that_is_all(autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.connect("anna", sessionId="")
        await place.poll()
        assert names(anna) == ["CONNECT", "connection:established"]
        assert anna.events("connection:established")[0]["sessionId"] == ""


async def test_a_guest_is_in_the_session_of_their_token(autojump_clock: MockClock) -> None:
    async with hall() as place:
        guest = await place.guest()
        assert last(guest, "session:state")["participantId"] == uuid(900)
        poll = await place.poll()
        accepted = await place.vote(guest, poll, participantId=uuid(900))
        assert (accepted["success"], accepted["participantId"]) == (True, uuid(900))


async def test_a_guest_gets_into_no_other_session(autojump_clock: MockClock) -> None:
    async with hall() as place:
        place.session = "s2"
        await place.present("session.create", {})
        place.session = "s1"
        guest = await place.guest(session="s2")
        assert names(guest) == ["CONNECT", "connection:established", "error:general"]
        assert last(guest, "error:general") == {
            "errorCode": "forbidden",
            "message": "You do not have permission",
            "requestContext": {"eventName": "session.join", "entityId": "s2"},
        }


async def test_an_unknown_session_is_an_error_and_the_connection_stays(autojump_clock: MockClock) -> None:
    async with hall(made=False) as place:
        anna = await place.connect("anna")
        assert names(anna) == ["CONNECT", "connection:established", "error:general"]
        fault = last(anna, "error:general")
        assert fault["message"] == "Session not found"
        assert fault["requestContext"] == {"eventName": "session.join", "entityId": "s1"}
        assert anna.connected
        assert anna.connection.ended == []


@pytest.mark.parametrize("session", ["two words", "x" * 129, "../s1"])
async def test_what_cannot_be_a_session_is_an_error(session: str, autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.connect("anna", sessionId=session)
        assert last(anna, "error:general")["errorCode"] == "invalid_payload"


@pytest.mark.parametrize("odd", [7, True, ["s1"], {"id": "s1"}])
async def test_fields_that_are_no_text_name_nothing(odd: JSON, autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.connect("anna", sessionId=odd, lastEventId=odd)
        assert names(anna) == ["CONNECT", "connection:established"]


@pytest.mark.parametrize("odd", [7, True, ["s1"], {"id": "s1"}])
async def test_a_last_event_that_is_no_text_is_one_that_nobody_knows(odd: JSON, autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.connect("anna", sessionId="s1", lastEventId=odd)
        assert anna.events("session:state")[0]["reason"] == "offset_unknown"


@pytest.mark.parametrize(
    ("auth", "reason"),
    [({}, "token_missing"), ({"token": 3}, "token_missing"), ({"token": "x"}, "token_malformed")],
)
async def test_a_stranger_is_refused_with_connect_error(
    auth: dict[str, JSON], reason: str, autojump_clock: MockClock
) -> None:
    async with hall() as place:
        stranger = await place.connect("", **auth)
        refused = ("CONNECT_ERROR", {"message": "Authentication failed", "data": {"reason": reason}})
        assert stranger.told == [refused]


async def test_too_many_connections_are_refused_with_connect_error(autojump_clock: MockClock) -> None:
    async with hall(limits=EntranceLimits(connections_per_user_max=1)) as place:
        await place.connect("anna")
        second = await place.connect("anna")
        ((name, told),) = second.told
        assert (name, told["data"]) == ("CONNECT_ERROR", {"reason": "too_many_connections"})


async def test_a_ticket_of_another_contract_is_not_looked_at(autojump_clock: MockClock) -> None:
    """Coming back is by `lastEventId` here; a client library's own `pid` and `offset` mean nothing."""
    async with hall() as place:
        elsewhere = await place.stage.connect("anna")
        anna = await place.connect("anna", pid=elsewhere.pid, offset="x-1")
        assert names(anna)[:3] == ["CONNECT", "connection:established", "session:state"]
        assert anna.pid is None
        assert elsewhere.connection.ended == []


async def test_who_leaves_while_being_let_in_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    def leave(client: FakeSocket) -> None:
        def accept(sid: str | None = None, pid: str | None = None) -> None:
            client.told.append(("CONNECT", sid))

        client.accept = accept  # type: ignore[method-assign]  # the answer finds nobody

    async with hall() as place:
        gone = await place.connect("anna", socket=leave)
        assert names(gone) == ["CONNECT"]
        assert list(place.stage.entrance.sids()) == []


# Votes


async def test_a_vote_is_acked_confirmed_and_counted_for_everybody(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna, ben = await place.guest(1), await place.guest(2)
        ack = await place.vote(anna, poll, 1, participantId=uuid(1), submittedAt="2026-01-01T00:00:00Z")
        counts = {
            "currentVoteCount": 1,
            "voteBreakdown": [
                {"optionId": poll["options"][0]["id"], "voteCount": 0, "percentage": 0.0},
                {"optionId": poll["options"][1]["id"], "voteCount": 1, "percentage": 100.0},
            ],
        }
        accepted = {name: ack[name] for name in ("voteId", "receipt", "pollId", "participantId", "submittedAt")}
        assert ack == {"success": True, **accepted}
        assert (ack["receipt"], ack["participantId"]) == (ack["voteId"], uuid(1))
        confirmation = next(told for told in anna.events("vote:accepted") if "voteId" in told)
        assert {name: confirmation[name] for name in confirmation if name not in ALWAYS} == {**accepted, **counts}
        order = [told[0] for told in anna.told]
        assert order.index("vote:accepted") < order.index("ACK")
        await trio.sleep(0.3)
        await settle()
        for client in (anna, ben):
            assert last(client, "vote:accepted") == {"pollId": poll["id"], **counts}
        assert not [told for told in ben.events("vote:accepted") if "voteId" in told or "participantId" in told]


async def test_without_an_ack_the_voter_is_told_all_the_same(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.guest()
        await place.ask(anna, VOTE, ballot(poll), ack_id=None)
        assert "voteId" in anna.events("vote:accepted")[0]
        await place.ask(anna, VOTE, ballot(poll), ack_id=None)
        assert last(anna, "vote:rejected")["reason"] == "duplicate_vote"
        assert "ACK" not in names(anna)


REJECTED: dict[str, tuple[str, str]] = {
    "duplicate": ("duplicate_vote", "You have already voted in this poll"),
    "closed": ("poll_closed", "Poll is no longer active"),
    "draft": ("poll_not_active", "Poll is not active"),
    "option": ("invalid_option", "An option is not one of this poll"),
    "rating": ("invalid_rating", "ratingValue must be from 1 to 5"),
    "ended": ("session_not_active", "Session is not active"),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_a_vote_that_breaks_a_rule_is_rejected_and_its_voter_alone_told_why(
    case: str, autojump_clock: MockClock
) -> None:
    async with hall() as place:
        poll = await place.poll(active=case != "draft", **({"pollType": "rating_scale"} if case == "rating" else {}))
        anna, ben = await place.guest(1), await place.guest(2)
        data: dict[str, JSON] = {"pollId": poll["id"], "voteData": {"ratingValue": 6}}
        if case != "rating":
            data = ballot(poll)
        if case == "option":
            data["voteData"] = {"selectedOptionIds": [uuid(99)]}
        if case == "duplicate":
            await place.vote(anna, poll)
        if case == "closed":
            await place.present("poll.close", {"pollId": poll["id"]})
        if case == "ended":
            await place.present("session.end")
        reason, message = REJECTED[case]
        ack = await place.ask(anna, VOTE, data)
        assert ack == {"success": False, "error": {"message": message, "statusCode": 409}, "reason": reason}
        told = dict(anna.events("vote:rejected")[0])
        assert [told.pop(name) for name in ALWAYS[1:]] == ["s1", iso(place.stage.hub.clock())]
        del told["eventId"]
        assert told == {"pollId": poll["id"], "participantId": uuid(1), "reason": reason, "message": message}
        assert ben.events("vote:rejected") == []
        assert place.stage.hub.meter.counts[f"refused {reason}"] == 1


async def test_a_rejected_vote_changes_no_counts(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.guest()
        await place.vote(anna, poll)
        await trio.sleep(1)
        before = len(anna.events("vote:accepted"))
        await place.vote(anna, poll, 1)
        await trio.sleep(1)
        assert len(anna.events("vote:accepted")) == before


@pytest.mark.parametrize(
    ("data", "message", "entity"),
    [
        (None, "pollId is required", None),
        ("yes", "The payload must be an object", None),
        ([1], "The payload must be an object", None),
        ({"pollId": "p1", "voteData": {"ratingValue": 1}}, "pollId must be a UUID v4", "p1"),
        ({"pollId": uuid(9)}, "voteData is required", uuid(9)),
        ({"pollId": uuid(9), "voteData": {"ratingValue": "4"}}, "voteData.ratingValue must be a whole number", uuid(9)),
        ({"pollId": uuid(9), "voteData": {"ratingValue": 4}}, "Poll not found", uuid(9)),
        ({"pollId": 7, "voteData": {}}, "pollId must be a string", "7"),
    ],
)
async def test_a_malformed_vote_is_an_error_with_its_context(
    data: JSON, message: str, entity: str | None, autojump_clock: MockClock
) -> None:
    async with hall() as place:
        anna = await place.guest()
        ack = await place.ask(anna, VOTE, data)
        missing = message == "Poll not found"
        assert ack == {"success": False, "error": {"message": message, "statusCode": 404 if missing else 400}}
        context = {"eventName": VOTE, **({"entityId": entity} if entity else {})}
        code = "not_found" if missing else "invalid_payload"
        assert last(anna, "error:general") == {"errorCode": code, "message": message, "requestContext": context}
        assert anna.events("vote:rejected") == []


async def test_a_vote_of_another_type_is_malformed(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll(pollType="ranking")
        anna = await place.guest()
        ack = await place.vote(anna, poll)
        told = "voteData in a poll of type ranking has rankedOptionIds and nothing else"
        assert ack["error"] == {"message": told, "statusCode": 400}


async def test_nobody_votes_as_somebody_else(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.guest(1)
        await place.guest(2)
        ack = await place.vote(anna, poll, participantId=uuid(2))
        assert ack == {"success": False, "error": {"message": "participantId is not yours", "statusCode": 403}}
        assert last(anna, "error:general")["errorCode"] == "forbidden"
        assert (await place.vote(anna, poll))["success"] is True


async def test_who_takes_part_nowhere_cannot_vote(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.connect("anna", sessionId="")
        assert (await place.vote(anna, poll))["error"] == {"message": "Session ID is required", "statusCode": 400}
        ack = await place.vote(anna, poll, sessionId="s1")
        assert ack["error"] == {"message": "You must join the session first", "statusCode": 403}
        assert [told["requestContext"]["entityId"] for told in anna.events("error:general")] == [poll["id"]] * 2


@pytest.mark.parametrize("name", ["poll:closed", "chat.message.send", "poll.vote.cast", 7, "x" * 200])
async def test_other_events_are_unknown_here(name: JSON, autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.guest()
        ack = await place.ask(anna, name, {"pollId": "x" * 200})
        assert ack["error"] == {"message": f"Unknown event {str(name)[:64]!r}", "statusCode": 404}
        context = last(anna, "error:general")["requestContext"]
        assert context == {"eventName": str(name)[:64], "entityId": "x" * 128}


async def test_the_same_key_is_the_same_vote(autojump_clock: MockClock) -> None:
    """Whose ack was lost sends the vote again, here or on a new connection: it counts once, and has one receipt."""
    async with hall() as place:
        poll = await place.poll()
        anna = await place.guest(1)
        first = await place.vote(anna, poll, idempotencyKey=uuid(50))
        assert await place.vote(anna, poll, idempotencyKey=uuid(50)) == {**first, "replayed": True}
        place.drop(anna)
        back = await place.guest(1)
        assert await place.vote(back, poll, idempotencyKey=uuid(50)) == {**first, "replayed": True}
        other = await place.vote(back, poll, 1, idempotencyKey=uuid(50))
        assert other["error"]["message"] == "Duplicate request"
        closed = await place.present("poll.close", {"pollId": poll["id"]})
        assert closed["status"] == "closed"
        assert last(back, "poll:closed")["finalVoteCount"] == 1
        assert last(back, "poll:closed")["rejectedVotes"] == {}


# Several devices


async def test_two_devices_of_one_person_are_one_participant_with_one_vote(autojump_clock: MockClock) -> None:
    async with hall() as place:
        watcher = await place.guest(2)
        phone, laptop = await place.guest(1), await place.guest(1)
        joined = watcher.events("participant:joined")
        assert [(told["participantId"], told["participantCount"]) for told in joined] == [(uuid(1), 2)]
        poll = await place.poll()
        assert (await place.vote(phone, poll))["success"] is True
        assert (await place.vote(laptop, poll, 1))["reason"] == "duplicate_vote"
        assert [name for name in names(laptop) if name == "vote:rejected"] == ["vote:rejected"]
        assert phone.events("vote:rejected") == []
        await trio.sleep(1)
        assert last(laptop, "vote:accepted")["currentVoteCount"] == 1
        assert not [told for told in laptop.events("vote:accepted") if "voteId" in told]
        place.drop(phone)
        await trio.sleep(10)
        assert watcher.events("participant:disconnected") == []
        place.drop(laptop)
        await trio.sleep(10)
        assert last(watcher, "participant:disconnected")["participantId"] == uuid(1)
        assert last(watcher, "participant:disconnected")["participantCount"] == 1


async def test_a_short_drop_is_no_leave(autojump_clock: MockClock) -> None:
    async with hall() as place:
        watcher = await place.guest(2)
        anna = await place.guest(1)
        place.drop(anna)
        await trio.sleep(4)
        await place.guest(1)
        await trio.sleep(20)
        assert watcher.events("participant:disconnected") == []
        assert len(watcher.events("participant:joined")) == 1


async def test_who_says_goodbye_is_gone_after_the_same_grace(autojump_clock: MockClock) -> None:
    async with hall() as place:
        watcher, anna = await place.guest(2), await place.guest(1)
        place.drop(anna, CLIENT_LEFT)
        await trio.sleep(10)
        assert last(watcher, "participant:disconnected")["participantCount"] == 1
        assert list(place.stage.entrance.sids()) == [watcher.sid]


# Coming back


@pytest.mark.parametrize("way", ["auth", "query"])
async def test_who_comes_back_is_told_exactly_what_they_missed(way: str, autojump_clock: MockClock) -> None:
    async with hall() as place:
        watcher, anna = await place.guest(3), await place.guest(1)
        poll = await place.poll()
        stood = stands(anna)
        place.drop(anna)
        ben = await place.guest(2)
        await place.vote(ben, poll)
        await place.present("poll.close", {"pollId": poll["id"]})
        await place.present("session.end")
        named: dict[str, Any] = {"lastEventId": stood} if way == "auth" else {"query": {"lastEventId": stood}}
        back = await place.guest(1, **named)
        missed = ["participant:joined", "poll:closed", "session:ended"]
        greeting = ["CONNECT", "connection:established", "connection:reconnected"]
        assert names(back) == [*greeting, *missed]
        assert back.events("connection:established")[0]["eventId"] == stood, "it stands where it says"
        reconnected = last(back, "connection:reconnected")
        assert reconnected == {"connectionId": back.sid, "replayFrom": stood, "replayCount": len(missed)}
        assert [told[1:] for told in back.told[3:]] == [told[1:] for told in watcher.told if told[0] in missed][-3:]


async def test_the_replay_may_be_nothing(autojump_clock: MockClock) -> None:
    async with hall() as place:
        await place.poll()
        anna = await place.guest(1)
        stood = stands(anna)
        place.drop(anna)
        back = await place.guest(1, lastEventId=stood)
        assert last(back, "connection:reconnected")["replayCount"] == 0
        assert back.events("session:state") == []


async def test_the_latest_counts_follow_a_replay(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna, ben = await place.guest(1), await place.guest(2)
        stood = stands(anna)
        place.drop(anna)
        await place.vote(ben, poll)
        await trio.sleep(1)
        back = await place.guest(1, lastEventId=stood)
        await trio.sleep(1)
        assert names(back)[:3] == ["CONNECT", "connection:established", "connection:reconnected"]
        assert last(back, "vote:accepted")["currentVoteCount"] == 1


async def test_any_event_id_replays_what_came_after_it(autojump_clock: MockClock) -> None:
    """Every state transition has its event, and every event's id is a place to come back to."""
    async with hall() as place:
        watcher = await place.guest(1)
        first = await place.poll(resultsVisibility="never")
        second = await place.poll()
        await place.vote(watcher, second)
        await place.present("poll.order", {"pollIds": [second["id"], first["id"]]})
        await place.present("poll.close", {"pollId": second["id"]})
        await place.present("poll.reopen", {"pollId": second["id"]})
        await place.present("poll.reset", {"pollId": second["id"], "confirm": True})
        await place.present("session.end")
        facts: list[tuple[Any, ...]] = [told for told in watcher.told if len(told) > 2]
        assert [name for name, *_ in facts] == [
            *("poll:created", "poll:activated", "poll:created", "poll:deactivated", "poll:activated"),
            *("poll:reordered", "poll:closed", "poll:activated", "poll:reset", "session:ended"),
        ]
        for number, (_, payload, *_offset) in enumerate(facts):
            back = await place.guest(1, lastEventId=payload["eventId"])
            assert [told for told in back.told[3:] if len(told) > 2] == facts[number + 1 :]
            place.drop(back)


@pytest.mark.parametrize("brought", ["nonsense", "elsewhere-1", "-1", "{epoch}-99999", "{epoch}-1x", "{epoch}--1"])
async def test_an_unknown_place_gets_the_whole_state_and_why(brought: str, autojump_clock: MockClock) -> None:
    async with hall() as place:
        await place.poll()
        brought = brought.replace("{epoch}", place.stage.hub.store.epoch)
        anna = await place.guest(1, lastEventId=brought)
        assert names(anna)[:3] == ["CONNECT", "connection:established", "session:state"]
        state = last(anna, "session:state")
        assert (state["reason"], len(state["polls"])) == ("offset_unknown", 1)
        assert seq_of(anna.events("connection:established")[0]) == 0, "where it stands is known once it has the state"
        assert place.stage.hub.meter.counts["refused offset_unknown"] == 1


async def test_what_is_older_than_the_window_gets_the_whole_state_and_why(autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.guest(1)
        stood = stands(anna)
        place.drop(anna)
        await place.poll()
        await trio.sleep(WINDOW_MS / 1000 + 1)
        back = await place.guest(1, lastEventId=stood)
        assert last(back, "session:state")["reason"] == "offset_expired"
        assert back.events("connection:reconnected") == []
        assert back.events("poll:activated") == []
        again = await place.guest(1, lastEventId=stands(back))
        assert last(again, "connection:reconnected")["replayCount"] == 0, "the state is a place to come back to"


async def test_a_replay_goes_on_after_a_crash_of_the_process(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with hall(store) as place:
            anna = await place.guest(1)
            stood = stands(anna)
            place.drop(anna)
            poll = await place.poll()
        async with hall(store, made=False) as place:
            back = await place.guest(1, lastEventId=stood)
            assert names(back)[:5] == [
                *("CONNECT", "connection:established", "connection:reconnected"),
                *("poll:created", "poll:activated"),
            ]
            assert (await place.vote(back, poll))["success"] is True


async def test_another_data_directory_knows_no_place_of_this_one(autojump_clock: MockClock) -> None:
    async with hall() as place:
        stood = stands(await place.guest(1))
    async with hall() as place:
        place.stage.hub.store.epoch = "another"
        back = await place.guest(1, lastEventId=stood)
        assert last(back, "session:state")["reason"] == "offset_unknown"


async def test_what_happens_during_a_replay_comes_after_it(autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.guest(1)
        stood = stands(anna)
        place.drop(anna)
        polls = [await place.poll() for _ in range(5)]
        client = FakeSocket({}, {}, NAMESPACE)
        place.came.append(client)
        token = place.stage.guest_token("s1", uuid(1))

        async def close() -> None:
            for poll in polls:
                await place.present("poll.close", {"pollId": poll["id"]})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            nursery.start_soon(place.stage.polling.connect, client, {"token": token, "lastEventId": stood})
        await settle()
        heard = [told[1] for told in client.told if len(told) > 2]
        closed = [told["pollId"] for told in client.events("poll:closed")]
        assert closed == [poll["id"] for poll in polls], "each once, wherever the replay ended"
        assert [seq_of(told) for told in heard] == sorted({seq_of(told) for told in heard})
        assert names(client)[2] == "connection:reconnected"


async def test_hidden_counts_stay_hidden_in_a_replay(autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna, ben = await place.guest(1), await place.guest(2)
        stood = {client: stands(client) for client in (anna, ben)}
        polls = {sees: await place.poll(resultsVisibility=sees) for sees in ("after_vote", "after_close", "never")}
        place.drop(anna)
        for poll in polls.values():
            await place.present("poll.activate", {"pollId": poll["id"]})
            await place.vote(ben, poll)
            await place.present("poll.close", {"pollId": poll["id"]})
        place.drop(ben)
        for number, client in ((1, anna), (2, ben)):
            back = await place.guest(number, lastEventId=stood[client])
            shown = {told["pollId"]: "finalVoteCount" in told for told in back.events("poll:closed")}
            assert shown == {poll["id"]: sees != "never" for sees, poll in polls.items()}


# Joining over REST while connected


async def test_who_joins_over_rest_takes_part_with_all_connections(autojump_clock: MockClock) -> None:
    async with hall() as place:
        clients = [await place.connect("anna", sessionId="") for _ in range(2)]
        ben = await place.connect("ben", sessionId="")
        poll = await place.poll()
        participant_id = await place.stage.codes.admit("s1", Person("anna"))
        await place.stage.polling.admitted("anna", "s1")
        await settle()
        for client in clients:
            state = last(client, "session:state")
            assert (state["participantId"], state["activePollId"]) == (participant_id, poll["id"])
        await place.present("poll.close", {"pollId": poll["id"]})
        assert [len(client.events("poll:closed")) for client in (*clients, ben)] == [1, 1, 0]
        assert names(ben) == ["CONNECT", "connection:established"]
        before = [len(client.told) for client in clients]
        await place.stage.polling.admitted("anna", "s1")
        await settle()
        assert [len(client.told) for client in clients] == before, "those who sit already hear nothing of it"


# Heartbeats


async def test_everybody_hears_a_heartbeat(autojump_clock: MockClock) -> None:
    async with hall() as place, trio.open_nursery() as nursery:
        nursery.start_soon(place.stage.polling.beat)
        clients = [await place.guest(1), await place.connect("anna", sessionId="")]
        elsewhere = await place.stage.connect("anna")
        for beats in range(1, 4):
            await trio.sleep(HEARTBEAT_S + 0.001 * beats)
            await settle()
            for client in clients:
                heard = client.events(HEARTBEAT)
                assert len(heard) == beats
                assert {*heard[-1]} == {*ALWAYS}
        assert HEARTBEAT not in names(elsewhere)
        place.drop(clients[0])
        await trio.sleep(2 * HEARTBEAT_S)
        assert len(clients[0].events(HEARTBEAT)) == 3
        nursery.cancel_scope.cancel()


async def test_a_clients_heartbeat_is_acked_if_it_asks(autojump_clock: MockClock) -> None:
    async with hall() as place:
        anna = await place.guest()
        before = len(anna.told)
        assert await place.ask(anna, HEARTBEAT, {"timestamp": "2026-01-01T00:00:00Z"}) == {"success": True}
        await place.ask(anna, HEARTBEAT, None, ack_id=None)
        await place.ask(anna, HEARTBEAT, "anything", ack_id=None)
        assert names(anna)[before:] == ["ACK"]


async def test_a_heartbeat_tells_a_client_where_it_stands(autojump_clock: MockClock) -> None:
    """Somebody whom no fact reaches for a day could not come back otherwise."""
    async with hall() as place, trio.open_nursery() as nursery:
        nursery.start_soon(place.stage.polling.beat)
        anna = await place.guest(1)
        before = seq_of(anna.events("session:state")[0])
        other = Hall(place.stage, "s2")
        await other.present("session.create", {})
        await trio.sleep(HEARTBEAT_S + 1)
        assert seq_of(anna.events(HEARTBEAT)[-1]) > before
        back = await place.guest(1, lastEventId=stands(anna))
        assert last(back, "connection:reconnected")["replayCount"] == 0
        nursery.cancel_scope.cancel()


# Where a client stands


async def test_nobody_is_told_to_stand_ahead_of_what_they_were_given(autojump_clock: MockClock) -> None:
    """Facts wait up to a tick for company. What is told meanwhile to one client must not say that they were given."""
    async with hall(flush_s=0.05) as place, trio.open_nursery() as nursery:
        nursery.start_soon(place.stage.polling.beat)
        clients = [await place.guest(n) for n in range(1, 6)]
        polls = [await place.poll() for _ in range(3)]
        for poll in polls:
            await place.stage.hub.ask(
                "poll.activate", {"pollId": poll["id"]}, who=CHAIR, door=Via.REST, room_id=place.session
            )
            for client in clients:  # in the very tick in which the activation waits
                await place.stage.polling.event(client, VOTE, [ballot(poll)], 1)
                await place.stage.polling.event(client, VOTE, ["malformed"], None)
            await trio.sleep(0.013)
        await trio.sleep(HEARTBEAT_S)
        for client in clients:
            assert len(client.events("poll:activated")) == 6
            assert len(client.events("error:general")) == 3
        nursery.cancel_scope.cancel()


async def test_a_deactivated_voter_is_not_heard_any_more(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        anna = await place.connect("anna")
        await place.stage.hub.do("user.deactivate", {"userId": "anna"}, who=CHAIR_OF_USERS, door=Via.REST)
        before = len(anna.told)
        await place.stage.polling.event(anna, VOTE, [ballot(poll)], 1)
        await settle()
        assert "ACK" not in names(anna)[before:]
        assert "vote:accepted" not in names(anna)
        (fault,) = anna.events("error:general")
        assert (fault["errorCode"], fault["message"]) == ("user_deactivated", "Authentication failed")
        assert {"eventId", "sessionId", "timestamp"} <= fault.keys()
        assert anna.events("systemError") == []
        refused = await place.connect("anna")
        assert refused.told == [
            ("CONNECT_ERROR", {"message": "Authentication failed", "data": {"reason": "user_deactivated"}})
        ]


CHAIR_OF_USERS = person("ada", "users:manage")


# Two vocabularies, one truth


async def test_votes_from_both_vocabularies_are_counted_together(autojump_clock: MockClock) -> None:
    async with hall() as place:
        poll = await place.poll()
        guest, user = await place.guest(), await place.stage.connect("ben")
        await place.stage.ask(user, "session.join", {"sessionId": "s1"})
        option = poll["options"][0]["id"]
        assert (await place.stage.ask(user, "poll.vote.submit", {"pollId": poll["id"], "optionId": option}))["success"]
        assert (await place.vote(guest, poll, 1))["success"] is True
        await trio.sleep(1)
        await settle()
        counts = last(guest, "vote:accepted")
        results = user.events("poll.results.updated")[-1]
        assert counts["currentVoteCount"] == results["poll"]["totalVotes"] == 2
        assert [one["voteCount"] for one in counts["voteBreakdown"]] == [1, 1]
        assert [option["voteCount"] for option in results["poll"]["options"]] == [1, 1]
        assert results["userVotedForOptionId"] == option
        await place.present("session.end")
        assert names(guest)[-2:] == ["poll:closed", "session:ended"]
        assert "poll.closed" in names(user)


async def test_a_rejected_vote_does_not_use_up_its_key(autojump_clock: MockClock) -> None:
    """The same key counts once the poll takes votes, and is replayed only after that (contracts, point 22)."""
    async with hall() as place:
        poll = await place.poll(active=False)
        anna = await place.connect("anna")
        sent, acks = {**ballot(poll), "idempotencyKey": uuid(77)}, []
        for step in range(3):
            await place.stage.polling.event(anna, VOTE, [sent], step)
            await settle()
            acks.append(anna.events("ACK")[-1][1])
            if step == 0:
                await place.present("poll.activate", {"pollId": poll["id"]})
        assert [ack["success"] for ack in acks] == [False, True, True]
        assert [ack.get("replayed", False) for ack in acks] == [False, False, True]
        assert acks[0]["reason"] == "poll_not_active"
