"""One place refuses: payload, then permission, then rate, then idempotency; and it knows which session is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock

from livehub.errors import Refused
from livehub.feature import JSON, Ask, Empty, Feature, Key, Outcome, Person, Seating, Via, command
from livehub.features import discover
from livehub.features.sessions import SessionSettings, slug_of
from livehub.rooms.gate import EVENT_NAME_SHOWN_CHARS_MAX, Gate, Knock
from livehub.rooms.house import HouseLimits
from livehub.rooms.peer import Answer
from livehub.rooms.rates import Rates
from livehub.stores.memory import open_memory
from tests.kit import ANNA, BEN, OWNER, Ears, HubUnderTest, Reply, ears, open_hub, person, settle, uuid
from tests.rooms.toys import Counter, Messenger

VIP = person("vip", tier="vip")
STAFF_MEMBER = person("staff", "toy:staff")


async def sit(hub: HubUnderTest, client: Ears, session: str = "s1") -> Ears:
    await hub.do("toy.join", {"sessionId": session}, client)
    return client


async def refused(hub: HubUnderTest, name: JSON, data: JSON = None, by: Ears | None = None, **knock: Any) -> Refused:
    return await (await hub.ask(name, data, by, **knock)).refusal()


async def test_payload_comes_before_permission_before_rate_before_idempotency(autojump_clock: MockClock) -> None:
    """Each check is passed in turn by an ask that fails all those after it."""
    async with open_hub(Counter, rates=Rates()) as hub:
        anna, staff = await sit(hub, ears(ANNA)), await sit(hub, ears(STAFF_MEMBER))
        used = uuid(77)
        for _ in range(3):
            await hub.do("toy.add", {"idempotencyKey": used}, anna)
        bad = {"amount": 0, "idempotencyKey": used}
        assert (await refused(hub, "toy.add", bad, anna)).message == "amount must be from 1 to 100"
        fits = {"amount": 2, "idempotencyKey": used}
        assert (await refused(hub, "toy.add", fits, anna)).code == "rate_limited"
        await trio.sleep(10)
        assert (await refused(hub, "toy.add", fits, anna)).code == "duplicate"
        assert (await refused(hub, "toy.whisper", {"text": ""}, anna)).message == "text must not be empty"
        assert (await refused(hub, "toy.whisper", {"text": "x", "idempotencyKey": used}, anna)).code == "forbidden"
        await hub.do("toy.whisper", {"text": "x"}, staff)


async def test_nobody_without_permission_gets_through(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        refusal = await refused(hub, "toy.whisper", {"text": "x"}, await sit(hub, ears(ANNA)))
        assert (refusal.message, refusal.status) == ("You do not have permission", 403)
        await hub.do("toy.whisper", {"text": "x"}, await sit(hub, ears(person("owner", "*"))))


async def test_a_rate_says_what_it_is_and_when_to_come_back(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, rates=Rates()) as hub:
        anna = await sit(hub, ears(ANNA))
        for _ in range(3):
            await hub.do("toy.add", {}, anna)
        refusal = await refused(hub, "toy.add", {}, anna)
        assert refusal.message == "Too many requests: toy.add is limited to 3 in 10 s"
        assert (refusal.status, refusal.retry_after_ms) == (429, 3_334)
        await trio.sleep(3.334)
        await hub.do("toy.add", {}, anna)


async def test_a_rate_is_per_person_and_higher_for_vips(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, rates=Rates()) as hub:
        one, other = await sit(hub, ears(ANNA, sid="1")), await sit(hub, ears(ANNA, sid="2"))
        vip = await sit(hub, ears(VIP))
        for client in (one, other, one):
            await hub.do("toy.add", {}, client)
        assert (await refused(hub, "toy.add", {}, other)).code == "rate_limited"
        for _ in range(6):
            await hub.do("toy.add", {}, vip)
        assert (await refused(hub, "toy.add", {}, vip)).code == "rate_limited"


async def test_bad_payloads_and_missing_permissions_do_not_count_against_the_rate(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, rates=Rates()) as hub:
        anna = await sit(hub, ears(ANNA))
        for _ in range(10):
            await refused(hub, "toy.add", {"amount": "x"}, anna)
        for _ in range(3):
            await hub.do("toy.add", {}, anna)


async def test_without_limits_nothing_is_limited(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, rates=None) as hub:
        anna = await sit(hub, ears(ANNA))
        for _ in range(20):
            await hub.do("toy.add", {}, anna)


@pytest.mark.parametrize("name", ["nope", "", "toy.told", "toy.ring", 5, None, True, ["toy.add"], {"a": 1}])
async def test_an_event_that_nobody_declared_is_unknown(autojump_clock: MockClock, name: JSON) -> None:
    """Internal commands are not declared for clients."""
    async with open_hub(Counter, Messenger) as hub:
        refusal = await refused(hub, name, {}, await sit(hub, ears(ANNA)))
        assert (refusal.message, refusal.status, refusal.code) == (f"Unknown event {str(name)!r}", 404, "unknown_event")


async def test_a_long_unknown_name_is_cut_and_a_broken_one_is_told_safely(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        assert len((await refused(hub, "x" * 10_000, {}, anna)).message) == len("Unknown event ''") + (
            EVENT_NAME_SHOWN_CHARS_MAX
        )
        (await refused(hub, "\ud83d", {}, anna)).message.encode()


async def test_each_door_leads_to_its_commands_only(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        await sit(hub, ears(ANNA))
        rest: dict[str, Any] = {"who": ANNA, "door": Via.REST, "room_id": "s1"}
        assert (await refused(hub, "toy.add", {}, **rest)).code == "unknown_event"
        assert await hub.do("toy.read", {}, **rest) == {"total": 0}
        assert (await refused(hub, "toy.told", {}, **rest)).code == "unknown_event"


@pytest.mark.parametrize("data", [[], "x", 5, True, [{"amount": 1}]])
async def test_only_an_object_is_a_payload(autojump_clock: MockClock, data: JSON) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        reply = Reply()
        await hub.gate.ask("toy.read", data, Knock(ANNA, reply, peer=anna.peer))
        assert (await reply.refusal()).message == "The payload must be an object"


async def test_no_payload_is_an_empty_one(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        reply = Reply()
        await hub.gate.ask("toy.read", None, Knock(ANNA, reply, peer=anna.peer))
        assert (await reply.answer()).reply == {"total": 0}


async def test_an_unknown_field_is_refused_but_the_common_ones_are_not(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        refusal = await refused(hub, "toy.add", {"amuont": 1}, anna)
        assert refusal.message == "'amuont' is not a field here; allowed: amount"
        await hub.do("toy.add", {"sessionId": "s1", "eventId": "e1"}, anna)
        await hub.do("toy.add", {"sessionId": None, "eventId": None}, anna)
        assert (await refused(hub, "toy.add", {"eventId": "a b"}, anna)).message.startswith("eventId must be 1 to 128")


async def test_a_mutation_needs_a_key_on_a_socket(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        refusal = await refused(hub, "toy.add", {"idempotencyKey": None}, anna)
        assert (refusal.message, refusal.status) == ("idempotencyKey is required", 400)
        assert (await refused(hub, "toy.add", {"idempotencyKey": "1"}, anna)).message == (
            "idempotencyKey must be a UUID v4"
        )
        assert (await refused(hub, "toy.add", {"idempotencyKey": 1}, anna)).message == (
            "idempotencyKey must be a string"
        )


async def test_the_same_ask_again_is_answered_again_and_happens_once(autojump_clock: MockClock) -> None:
    """Also when it names the session that was meant before, and writes the key in capitals."""
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        first = await (await hub.ask("toy.add", {"amount": 2, "idempotencyKey": uuid(0xABC)}, anna)).answer()
        again = {"amount": 2, "sessionId": "s1", "idempotencyKey": uuid(0xABC).upper()}
        second = await (await hub.ask("toy.add", again, anna)).answer()
        assert first == Answer({"total": 2})
        assert second == Answer({"total": 2}, replayed=True)
        await settle()
        assert anna.events("toy.added") == [{"total": 2}]


async def test_the_same_ask_while_the_first_is_in_flight_happens_once(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna, device = await sit(hub, ears(ANNA)), await sit(hub, ears(ANNA, sid="2"))
        hub.store.hold_commits = trio.Event()
        data = {"amount": 2, "idempotencyKey": uuid(5)}
        asked = [await hub.ask("toy.add", data, client) for client in (anna, device, anna)]
        await settle()
        assert (await refused(hub, "toy.add", {**data, "amount": 3}, anna)).message == "Duplicate request"
        hub.store.hold_commits.set()
        assert [(await one.answer()).replayed for one in asked] == [False, True, True]
        assert hub.room().state.snapshot(ANNA) == {"total": 2}


async def test_a_key_on_another_event_or_in_another_room_is_a_duplicate(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        await sit(hub, anna, "s2")
        key = {"idempotencyKey": uuid(5)}
        await hub.do("toy.add", {"sessionId": "s1", **key}, anna)
        assert (await refused(hub, "toy.add", {"sessionId": "s2", **key}, anna)).message == "Duplicate request"
        assert (await refused(hub, "toy.refuse", {"sessionId": "s1", **key}, anna)).message == "Duplicate request"


async def test_a_refused_ask_may_come_again_with_its_key(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = ears(ANNA)
        data = {"sessionId": "s1", "idempotencyKey": uuid(5)}
        assert (await refused(hub, "toy.add", data, anna)).code == "not_found"
        await sit(hub, anna)
        assert await hub.do("toy.add", data, anna) == {"total": 1}


async def test_a_used_key_is_known_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        data = {"sessionId": "s1", "idempotencyKey": uuid(5)}
        async with open_hub(Counter, store=store) as hub:
            await hub.do("toy.add", data, await sit(hub, ears(ANNA)))
        async with open_hub(Counter, store=store) as hub:
            anna = await sit(hub, ears(ANNA))
            assert await (await hub.ask("toy.add", data, anna)).answer() == Answer({"total": 1}, replayed=True)
            assert (await refused(hub, "toy.add", {**data, "amount": 2}, anna)).code == "duplicate"
            assert anna.events("toy.added") == []


async def test_a_repeated_join_seats_the_connection_that_repeats_it(autojump_clock: MockClock) -> None:
    """A client that was cut off sends its join again, with its key, on a new connection."""
    async with open_hub(Counter) as hub:
        data = {"sessionId": "s1", "idempotencyKey": uuid(5)}
        one, other = ears(ANNA, sid="1"), ears(ANNA, sid="2")
        for client in (one, other):
            answer = await (await hub.ask("toy.join", data, client)).answer()
            assert (answer.reply, answer.snapshot) == ({"sessionId": "s1"}, {"total": 0})
        await hub.do("toy.add", {}, other)
        assert one.events("toy.added") == other.events("toy.added") == [{"total": 1}]


async def test_a_session_named_in_the_payload_comes_first(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = ears(ANNA, sessionId="s1")
        for session in ("s1", "s2"):
            await sit(hub, anna, session)
        await hub.do("toy.add", {"sessionId": "s2"}, anna)
        assert hub.room("session:s2").state.snapshot(ANNA) == {"total": 1}


async def test_then_the_one_in_the_query_of_the_handshake(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = ears(ANNA, sessionId="s1")
        await hub.do("toy.join", {}, anna)
        await sit(hub, anna, "s2")
        await hub.do("toy.add", {}, anna)
        assert hub.room("session:s1").state.snapshot(ANNA) == {"total": 1}


async def test_then_the_only_one_that_was_joined(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = await sit(hub, ears(ANNA))
        assert await hub.do("toy.add", {}, anna) == {"total": 1}
        await sit(hub, anna, "s2")
        refusal = await refused(hub, "toy.add", {}, anna)
        assert (refusal.message, refusal.status, refusal.code) == ("Session ID is required", 400, "room_missing")
        await hub.do("toy.leave", {"sessionId": "s1"}, anna)
        assert await hub.do("toy.add", {}, anna) == {"total": 1}


async def test_else_the_session_is_required(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        assert (await refused(hub, "toy.add", {}, ears(BEN))).message == "Session ID is required"
        assert (await refused(hub, "toy.join", {}, ears(BEN))).message == "Session ID is required"


@pytest.mark.parametrize("session", ["a b", "x" * 129, "", "é", 5, ["s1"]])
async def test_a_session_id_has_one_alphabet(autojump_clock: MockClock, session: JSON) -> None:
    async with open_hub(Counter) as hub:
        refusal = await refused(hub, "toy.join", {"sessionId": session}, ears(ANNA))
        assert refusal.message.startswith("sessionId must be ")
        assert refusal.code == "invalid_payload"


async def test_a_bad_id_in_the_query_is_told_as_such(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        refusal = await refused(hub, "toy.join", {}, ears(ANNA, sessionId="a b"))
        assert refusal.message.startswith("sessionId must be 1 to 128")


async def test_asks_sent_right_behind_a_join_mean_its_session(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        anna = ears(ANNA)
        join = await hub.ask("toy.join", {"sessionId": "s1"}, anna)
        add = await hub.ask("toy.add", {}, anna)
        assert (await join.answer()).reply == {"sessionId": "s1"}
        assert (await add.answer()).reply == {"total": 1}


async def test_a_join_that_finds_no_room_leaves_no_trace(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, limits=HouseLimits(open_max=1)) as hub:
        await sit(hub, ears(BEN))
        anna = ears(ANNA)
        data = {"sessionId": "s2", "idempotencyKey": uuid(5)}
        assert (await refused(hub, "toy.join", data, anna)).code == "rooms_full"
        assert anna.peer.seats == {}
        assert (await refused(hub, "toy.join", {**data, "eventId": "e1"}, anna)).code == "rooms_full", "the key is free"
        await sit(hub, anna, "s1")
        await refused(hub, "toy.join", data, anna)
        assert await hub.do("toy.add", {}, anna) == {"total": 1}


async def test_somebody_who_goes_while_waiting_at_a_full_inbox_leaves_the_key_free(autojump_clock: MockClock) -> None:
    async with (
        open_memory(queue_max_entries=1) as store,
        open_hub(Counter, store=store, limits=HouseLimits(inbox_asks_max=1)) as hub,
    ):
        anna, device = await sit(hub, ears(ANNA)), await sit(hub, ears(ANNA, sid="2"))
        store.hold_commits = trio.Event()
        asked = 0
        data = {"idempotencyKey": uuid(5)}
        with trio.move_on_after(10):
            for number in range(10):
                data = {"idempotencyKey": uuid(100 + number)}
                asked = number
                await hub.ask("toy.add", data, anna)
        assert 0 < asked < 9
        store.hold_commits.set()
        with trio.fail_after(10):
            answer = await (await hub.ask("toy.add", data, device)).answer()
        assert not answer.replayed


async def test_a_guest_is_let_into_one_room_only(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Messenger) as hub:
        guest = ears(Person("guest", permissions=frozenset({"toy:staff"}), session="s1"), eventId="e1")
        await sit(hub, guest)
        assert await hub.do("toy.add", {}, guest) == {"total": 1}
        refusal = await refused(hub, "toy.join", {"sessionId": "s2"}, guest)
        assert (refusal.message, refusal.status, refusal.code) == ("You do not have permission", 403, "forbidden")
        rest: dict[str, Any] = {"who": guest.peer.person, "door": Via.REST}
        assert await hub.do("toy.read", {}, room_id="s1", **rest) == {"total": 1}
        assert (await refused(hub, "toy.read", {}, room_id="s2", **rest)).code == "forbidden"
        assert list(hub.house.rooms) == ["session:s1"]


async def test_a_guest_names_no_event(autojump_clock: MockClock) -> None:
    """Neither in the payload nor in the handshake: the session would come to belong to it."""
    async with open_hub(*discover(), settings={"sessions": SessionSettings(auto_create=True)}) as hub:
        await hub.do("session.join", {"sessionId": "s1"}, ears(ANNA))
        guest = ears(Person("guest", session="s1"), eventId="e1")
        await hub.do("session.join", {"sessionId": "s1", "eventId": "e2"}, guest)
        assert await hub.store.rooms("event") == []
        await hub.do("session.join", {"sessionId": "s1"}, ears(BEN, eventId="e1"))
        assert await hub.store.rooms("event") == ["event:e1"]


async def test_the_registry_is_one_room(autojump_clock: MockClock) -> None:
    async with open_hub(*discover()) as hub:
        page = await hub.do("session.list", {}, who=ANNA, door=Via.REST)
        assert page == {"sessions": [], "hasMore": False}
        assert list(hub.house.rooms) == ["registry:sessions"]


async def test_some_commands_get_seeds_that_were_chosen(autojump_clock: MockClock) -> None:
    async with open_hub(*discover()) as hub:
        seeds = iter([5])
        gate = Gate(hub.house, rates=None, seeds={"session.create": lambda: next(seeds)})
        reply = Reply()
        await gate.ask("session.create", {}, Knock(OWNER, reply, door=Via.REST, room_id="s1"))
        assert (await reply.answer()).reply["slug"] == slug_of(5)
        await gate.ask("session.read", {}, Knock(OWNER, again := Reply(), door=Via.REST, room_id="s1"))
        assert (await again.answer()).reply["slug"] == slug_of(5)


async def test_refusals_at_the_gate_are_counted(autojump_clock: MockClock) -> None:
    async with open_hub(Counter) as hub:
        await refused(hub, "nope", {}, ears(ANNA))
        assert hub.meter.counts["refused unknown_event"] == 1


@dataclass
class Wing(Feature):
    """A room that belongs to another."""

    name: ClassVar[str] = "wing"

    def part_of(self) -> str:
        """Its house."""
        return "event:e1"


@dataclass
class Porch(Feature):
    """A room of another kind, which anybody may ask."""

    name: ClassVar[str] = "porch"
    room: ClassVar[str] = "event"

    @command("porch.knock", key=Key.OPTIONAL, seat=Seating.FREE, creates=True, returns=None)
    def knock(self, ask: Ask[Empty]) -> Outcome:
        """Say which house it is."""
        return Outcome(reply={"house": self.room_id})


async def test_the_room_that_ones_rooms_belong_to_is_meant_where_none_is_named(autojump_clock: MockClock) -> None:
    async with open_hub(Counter, Wing, Porch) as hub:
        anna = ears(ANNA)
        refusal = await (await hub.ask("porch.knock", {}, anna)).refusal()
        assert refusal.message == "Event ID is required"
        for session in ("s1", "s2"):
            await hub.do("toy.join", {"sessionId": session}, anna)
        assert await hub.do("porch.knock", {}, anna) == {"house": "e1"}
        assert await hub.do("porch.knock", {"eventId": "e2"}, anna) == {"house": "e2"}
