"""The entrance: coming in, coming back, being shown out."""

from __future__ import annotations

import jwt
import pytest
import trio
from trio.testing import MockClock

from livehub.contracts.entrance import EXPELLED_CLOSE_S, EntranceLimits
from livehub.guests import KID
from livehub.stores.memory import open_memory
from tests.contracts.stage import AUTH, FakeSocket, Stage, stage
from tests.kit import settle, uuid

HOUR_S = 3_600.0

pytestmark = pytest.mark.usefixtures("leavers_known")


def texts(socket: FakeSocket) -> list[str]:
    return [message["text"] for message in socket.events("chat.message.new")]


def offset(socket: FakeSocket) -> str:
    """What the client library would bring back: the last argument of the last event that ends with a string."""
    return next(told[-1] for told in reversed(socket.told) if len(told) > 2 and isinstance(told[-1], str))


async def joined(set_up: Stage, user: str, **auth: object) -> FakeSocket:
    socket = await set_up.connect(user, **auth)
    await set_up.ask(socket, "session.join", {"sessionId": "s1"})
    return socket


async def test_whoever_was_cut_off_is_back_where_it_was_again_and_again(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        for number in range(3):
            set_up.drop(ben)
            await set_up.ask(anna, "chat.message.send", {"text": f"missed {number}"})
            back = await set_up.connect("ben", pid=ben.pid, offset=offset(ben))
            assert (back.sid, back.pid) == (ben.sid, ben.pid)
            assert texts(back) == [f"missed {number}"]
            assert [told[0] for told in back.told][:3] == ["chat.message.new", "CONNECT", "connectionAcknowledged"]
            await set_up.ask(anna, "chat.message.send", {"text": f"live {number}"})
            assert texts(back) == [f"missed {number}", f"live {number}"]
            ben = back


async def test_the_same_holds_after_a_crash_of_the_process(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        async with stage(store) as set_up:
            anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
            await set_up.ask(anna, "chat.message.send", {"text": "before"})
            stands = offset(ben)
            set_up.drop(ben)
            await set_up.ask(anna, "chat.message.send", {"text": "missed"})
        async with stage(store) as set_up:
            back = await set_up.connect("ben", pid=ben.pid, offset=stands)
            assert (back.sid, texts(back)) == (ben.sid, ["missed"])


async def test_a_client_that_heard_nothing_comes_back_too(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await set_up.connect("anna")
        set_up.drop(anna)
        back = await set_up.connect("anna", pid=anna.pid, offset=offset(anna))
        assert back.sid == anna.sid


async def test_an_older_connection_is_ended_when_its_ticket_comes_again(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        back = await set_up.connect("ben", pid=ben.pid, offset=offset(ben))
        assert ben.connection.ended == ["aborted superseded"]
        set_up.drop(ben)  # its end comes late, and must not tear down the new one
        await set_up.ask(anna, "chat.message.send", {"text": "for the new one"})
        assert (texts(ben), texts(back)) == ([], ["for the new one"])


@pytest.mark.parametrize("brought", ["nonsense", "", None, 7, "epoch-99"])
async def test_an_offset_of_nowhere_is_refused_and_a_snapshot_is_due(
    brought: object, autojump_clock: MockClock
) -> None:
    async with stage() as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        await set_up.ask(anna, "chat.message.send", {"text": "said"})
        set_up.drop(ben)
        back = await set_up.connect("ben", pid=ben.pid, offset=brought)
        assert back.sid != ben.sid
        assert texts(back) == []
        await set_up.ask(back, "session.join", {"sessionId": "s1"})
        (snapshot,) = back.events("session.snapshot")
        assert snapshot["sessionId"] == "s1"
        assert [message["text"] for message in snapshot["messages"]] == ["said"]
        names = [told[0] for told in back.told]
        assert names[names.index("ACK") :][:2] == ["ACK", "session.snapshot"]


@pytest.mark.parametrize("joins", [False, True])
async def test_who_is_to_begin_anew_has_nothing_to_come_back_to_before_it_did(
    autojump_clock: MockClock, joins: bool
) -> None:
    async with stage() as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        set_up.drop(ben)
        await set_up.ask(anna, "chat.message.send", {"text": "said"})
        anew = await set_up.connect("ben", pid=ben.pid, offset="nonsense")
        stands = offset(anew)
        if joins:
            await set_up.ask(anew, "session.join", {"sessionId": "s1"})
        set_up.drop(anew)
        if joins:  # what it was shown is newer than what it stood at before
            heard = await set_up.connect("ben", pid=anew.pid, offset=offset(anew))
            assert heard.sid == anew.sid
            set_up.drop(heard)
        again = await set_up.connect("ben", pid=anew.pid, offset=stands)
        assert again.sid != anew.sid


async def test_a_ticket_is_worth_nothing_to_anybody_else(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await joined(set_up, "anna")
        ben = await joined(set_up, "ben")
        set_up.drop(ben)
        thief = await set_up.connect("cara", pid=ben.pid, offset=offset(ben))
        assert thief.sid != ben.sid


async def test_whoever_said_goodbye_does_not_come_back_to_their_seats(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        set_up.drop(ben, "client_disconnect")
        await set_up.ask(anna, "chat.message.send", {"text": "without ben"})
        back = await set_up.connect("ben", pid=ben.pid, offset=offset(ben))
        assert (back.sid != ben.sid, texts(back)) == (True, [])


async def test_what_is_older_than_the_window_is_not_told(autojump_clock: MockClock) -> None:
    async with stage(window_ms=int(HOUR_S / 4 * 1000)) as set_up:
        anna, ben = await joined(set_up, "anna"), await joined(set_up, "ben")
        set_up.drop(ben)
        await set_up.ask(anna, "chat.message.send", {"text": "long ago"})
        await trio.sleep(HOUR_S / 2)
        back = await set_up.connect("ben", pid=ben.pid, offset=offset(ben))
        assert (back.sid != ben.sid, texts(back)) == (True, [])


async def test_a_quiet_client_is_not_too_old(autojump_clock: MockClock) -> None:
    async with stage(window_ms=int(HOUR_S / 4 * 1000)) as set_up:
        anna = await joined(set_up, "anna")
        await trio.sleep(HOUR_S / 2)
        set_up.drop(anna)
        back = await set_up.connect("anna", pid=anna.pid, offset=offset(anna))
        assert back.sid == anna.sid


async def test_a_connection_ends_with_its_token_and_the_grace(autojump_clock: MockClock) -> None:
    async with stage(limits=EntranceLimits(expiry_grace_s=30.0)) as set_up:
        anna = await set_up.connect("anna", claims={"ttl_s": 60})
        await trio.sleep(89)
        assert anna.connected
        await trio.sleep(2)
        assert not anna.connected
        assert anna.events("systemError") == [{"message": "Authentication failed", "reason": "token_expired"}]
        await trio.sleep(EXPELLED_CLOSE_S)
        assert anna.connection.ended == ["closed token_expired"]


async def test_an_expired_token_does_not_get_back_in(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        token = set_up.token("anna", ttl_s=60)
        anna = await set_up.connect("", token=token)
        set_up.drop(anna)
        await trio.sleep(120)
        back = await set_up.connect("", token=token, pid=anna.pid, offset=offset(anna))
        assert back.events("systemError") == [{"message": "Authentication failed", "reason": "token_expired"}]


async def test_a_deactivated_person_is_cut_off_everywhere_and_stays_out(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        first, second, ben = [await set_up.connect(user) for user in ("anna", "anna", "ben")]
        await set_up.hub.command("directory:users", "user.deactivate", payload_of("anna"))
        await settle()
        for socket in (first, second):
            assert not socket.connected
            assert socket.events("systemError") == [{"message": "Authentication failed", "reason": "user_deactivated"}]
        assert ben.connected
        back = await set_up.connect("anna", pid=first.pid, offset=offset(first))
        assert not back.connected
        assert back.sid != first.sid


async def test_a_person_has_so_many_connections(autojump_clock: MockClock) -> None:
    async with stage(limits=EntranceLimits(connections_per_user_max=2)) as set_up:
        first, _ = await set_up.connect("anna"), await set_up.connect("anna")
        third = await set_up.connect("anna")
        assert third.events("systemError") == [
            {"message": "Too many connections: a person may have 2", "reason": "too_many_connections"}
        ]
        assert (await set_up.connect("ben")).connected
        set_up.drop(first)
        assert (await set_up.connect("anna")).connected


async def test_a_guest_comes_in_to_their_session_and_nowhere_else(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        for session in ("s1", "s2"):
            await set_up.ask(await set_up.connect("anna"), "session.join", {"sessionId": session})
        gus = await set_up.connect("", token=f"Bearer {set_up.guest_token('s1')}")
        assert gus.events("connectionAcknowledged") == [{"userId": uuid(900)}]
        assert (await set_up.ask(gus, "session.join", {"sessionId": "s1"}))["success"]
        assert (await set_up.ask(gus, "chat.message.send", {"text": "Hello"}))["success"]
        (message,) = gus.events("chat.message.new")
        assert message["author"] == {"id": uuid(900), "firstName": "Gus", "lastName": ""}
        for name, data in (
            ("session.join", {"sessionId": "s2"}),
            ("event.join", {"eventId": "e1"}),
            ("dm.send", {"recipientId": "anna", "text": "Hi"}),
        ):
            refused = await set_up.ask(gus, name, data)
            assert refused["error"] == {"message": "You do not have permission", "statusCode": 403}, name
        assert await set_up.hub.store.rooms("event") == []


async def test_a_guest_who_was_cut_off_is_back_where_they_were(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        anna = await joined(set_up, "anna")
        gus = await joined(set_up, "", token=set_up.guest_token("s1"))
        set_up.drop(gus)
        await set_up.ask(anna, "chat.message.send", {"text": "missed"})
        back = await set_up.connect("", token=set_up.guest_token("s1"), pid=gus.pid, offset=offset(gus))
        assert (back.sid, texts(back)) == (gus.sid, ["missed"])


async def test_a_guests_connection_ends_with_its_token_too(autojump_clock: MockClock) -> None:
    async with stage(limits=EntranceLimits(expiry_grace_s=30.0)) as set_up:
        token = set_up.guest_token("s1")
        gus = await set_up.connect("", token=token)
        await trio.sleep(24 * HOUR_S + 29)
        assert gus.connected
        await trio.sleep(2)
        assert not gus.connected
        back = await set_up.connect("", token=token)
        assert back.events("systemError") == [{"message": "Authentication failed", "reason": "token_expired"}]


async def test_a_token_that_only_says_it_is_a_guests_is_refused(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        claims = {"sub": uuid(900), "sid": "s1", "name": "", "exp": 4_000_000_000}
        forged = jwt.encode(claims, AUTH.secret, "HS256", headers={"kid": KID})
        back = await set_up.connect("", token=forged)
        assert back.events("systemError") == [{"message": "Authentication failed", "reason": "token_invalid"}]
        assert set_up.hub.meter.counts["refused token_invalid"] == 1


def payload_of(user_id: str) -> object:
    """What names a person."""
    from livehub.features.users import OneUser

    return OneUser(user_id=user_id)
