"""Engine.IO sessions over WebSockets: open, served, closed; and upgrades of polling sessions."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.connection import CLOSE_WAIT_S
from livehub.transports.handshake import EngineSettings
from livehub.wire.frames import BinaryFrame, Frame
from tests.raw import BINARY, TEXT, Application, Heard, frame_bytes, serving

OPEN = "/engine.io/?EIO=4&transport=websocket"
SETTINGS = EngineSettings(path="/engine.io/", origins=("https://example.org",))
ECHO_BYTES_MAX = 1 << 20


async def test_the_open_packet_comes_first() -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        await client.open(OPEN)
        told = json.loads((await client.hear())[1:])
        assert len(told.pop("sid")) == 20
        assert told == {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 65536}


async def test_messages_come_back_in_order_text_and_binary() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        await client.say("4hello")
        await client.send_frame(BINARY, b"\x01\x02")
        await client.say("4")
        assert await client.hear() == "4hello"
        assert await client.frame() == (BINARY, b"\x01\x02")
        assert await client.hear() == "4"
        assert server.application.clients[0].messages == ["hello", b"\x01\x02", ""]


async def test_with_b64_binary_is_text_both_ways() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket("&b64=1")
        await client.say("bAQI=")
        assert await client.hear() == "bAQI="
        connection = server.application.clients[0].connection
        frame = Frame(b'51-["x",{"_placeholder":true,"num":0}]', [b"\x03"])
        connection.write(frame)
        assert (await client.hear()).startswith("451-")
        assert await client.hear() == "bAw=="
        connection.write(BinaryFrame(b"\x04"))
        assert await client.hear() == "bBA=="


async def test_joined_frames_are_sent_as_they_are() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        frames = [Frame(b"one"), Frame(b"1-two", [b"\x00"])]
        server.application.clients[0].connection.outbox.write_joined(frames, frames[0].framed + frames[1].framed)
        assert [await client.frame() for _ in range(3)] == [(TEXT, b"4one"), (TEXT, b"41-two"), (BINARY, b"\x00")]


@pytest.mark.parametrize("packet", ["abc", "", "2", "2probe", "5", "6", "0{}", "9", "b!"])
async def test_what_no_client_sends_closes_at_once(packet: str) -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        await client.say(packet)
        assert await client.close_code() == 1000
        assert server.application.clients[0].reasons == ["parse_error"]
        assert server.application.clients[0].messages == []


async def test_goodbye_closes() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        await client.say("4last words")
        await client.say("1")
        await client.say("4too late")
        assert await client.hear() == "4last words"
        assert await client.close_code() == 1000
        assert server.application.clients[0].reasons == ["client_close"]
        assert server.application.clients[0].messages == ["last words"]


async def test_a_client_that_just_leaves_is_gone() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        await client.aclose()
        await server.application.clients[0].over.wait()
        assert server.application.clients[0].reasons == ["transport_close"]
        assert server.engine.sessions == {}


async def test_close_says_goodbye_after_what_was_written() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        heard = server.application.clients[0]
        heard.write("before")
        heard.connection.close("superseded")
        heard.write("after")
        heard.connection.close("twice")
        assert await client.hear() == "4before"
        assert await client.close_code() == 1000
        assert heard.reasons == ["superseded"]


async def test_a_client_that_ignores_the_goodbye_is_cut_off(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        server.application.clients[0].connection.close("superseded")
        await client.say("4I am still here")
        assert await client.close_code() == 1000
        await wait_all_tasks_blocked()
        mock_clock.jump(CLOSE_WAIT_S)
        await wait_all_tasks_blocked()
        await client.say("4still")  # answered by a reset
        with pytest.raises(trio.BrokenResourceError):
            await client.say("4still")
        assert server.application.clients[0].messages == []


async def test_abort_ends_without_a_word() -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        server.application.clients[0].connection.abort("shutdown")
        assert await client.rest() == b""
        assert server.application.clients[0].reasons == ["shutdown"]


async def test_a_failing_handler_ends_its_connection_only() -> None:
    async def fail(heard: Heard, data: str | bytes) -> None:
        if data == "fail":
            raise RuntimeError("on purpose")
        heard.write("fine")

    async with serving(SETTINGS, Application(fail)) as server:
        one, other = await server.websocket(), await server.websocket()
        await one.say("4fail")
        assert await one.close_code() == 1000
        await other.say("4go on")
        assert await other.hear() == "4fine"
        assert server.application.clients[0].reasons == ["internal_error"]


async def test_a_session_that_never_answers_is_gone_exactly_in_time(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client = await server.websocket()
        mock_clock.jump(SETTINGS.ping_interval_s)
        assert await client.hear() == "2"
        await client.say("3")
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.ping_interval_s)
        assert await client.hear() == "2"
        mock_clock.jump(SETTINGS.ping_timeout_s - 0.001)
        await wait_all_tasks_blocked()
        assert server.application.clients[0].reasons == []
        mock_clock.jump(0.001)
        assert await client.rest() == b""
        assert server.application.clients[0].reasons == ["ping_timeout"]


async def test_a_flood_gives_way_to_others() -> None:
    turns: list[int] = []

    class Turns(trio.abc.Instrument):
        turns = 0

        def before_io_wait(self, timeout: float) -> None:
            self.turns += 1

    instrument = Turns()

    async def count(heard: Heard, data: str | bytes) -> None:
        turns.append(instrument.turns)

    trio.lowlevel.add_instrument(instrument)
    async with serving(EngineSettings(path="/engine.io/", packets_per_turn=10), Application(count)) as server:
        client = await server.websocket()
        await client.send(frame_bytes(TEXT, b"4x") * 500)
        await wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(instrument)
    assert len(turns) == 500
    assert max(turns.count(turn) for turn in turns) == 10


# The upgrade


async def test_an_upgrade_flushes_in_order_and_leaks_no_noop() -> None:
    async with serving(SETTINGS) as server:
        polling, target = await server.polling()
        heard = server.application.clients[0]
        await polling.ask("GET", target)
        await wait_all_tasks_blocked()
        client = await server.connect()
        assert (await client.open(target.replace("polling", "websocket"))).status == 101
        await client.say("2probe")
        assert await client.hear() == "3probe"
        assert (await polling.response()).body == b"6"
        assert (await polling.request("GET", target)).body == b"6"
        heard.write("one")
        assert (await polling.request("GET", target)).body == b"6"
        heard.write("two")
        await polling.request("POST", target, b"4by post")
        await client.say("5")
        await client.say("4by websocket")
        assert [await client.hear() for _ in range(4)] == ["4one", "4two", "4by post", "4by websocket"]
        assert heard.connection.transport == "websocket"
        assert server.meter.open == {"websocket": 1, "polling": 0}
        assert (await polling.request("GET", target)).status == 400
        assert (await polling.request("POST", target, b"4a")).status == 400
        await client.say("4still fine")
        assert await client.hear() == "4still fine"
        await client.aclose()
        await heard.over.wait()
        assert heard.reasons == ["transport_close"]


async def test_probe_and_upgrade_may_come_in_one_breath() -> None:
    async with serving(SETTINGS) as server:
        _, target = await server.polling()
        client = await server.connect()
        await client.open(target.replace("polling", "websocket"))
        await client.send(frame_bytes(TEXT, b"2probe") + frame_bytes(TEXT, b"5") + frame_bytes(TEXT, b"4a"))
        assert await client.hear() == "3probe"
        assert await client.hear() == "4a"


async def test_posts_still_being_handled_come_before_what_the_websocket_brings() -> None:
    go_on = trio.Event()

    async def slow(heard: Heard, data: str | bytes) -> None:
        if data == "slow":
            await go_on.wait()
        heard.write(str(data))

    async with serving(SETTINGS, Application(slow)) as server:
        polling, target = await server.polling()
        await polling.request("POST", target, b"4slow\x1e4post")
        client = await server.connect()
        await client.open(target.replace("polling", "websocket"))
        await client.send(frame_bytes(TEXT, b"2probe") + frame_bytes(TEXT, b"5") + frame_bytes(TEXT, b"4a"))
        await wait_all_tasks_blocked()
        go_on.set()
        assert [await client.hear() for _ in range(4)] == ["3probe", "4slow", "4post", "4a"]


@pytest.mark.parametrize(
    "words", [["5"], ["2"], ["4hello"], ["2probe", "4hello"], ["2probe", "1"], ["2probe", "2probe"]]
)
async def test_a_failed_probe_leaves_the_polling_session_alive(words: list[str]) -> None:
    async with serving(SETTINGS) as server:
        polling, target = await server.polling()
        client = await server.connect()
        await client.open(target.replace("polling", "websocket"))
        for word in words:
            await client.say(word)
        if words[0] == "2probe":
            assert await client.hear() == "3probe"
        assert await client.close_code() == 1000
        await polling.request("POST", target, b"4fine")
        await wait_all_tasks_blocked()
        assert (await polling.request("GET", target)).body == b"4fine"
        assert server.application.clients[0].messages == ["fine"]


@pytest.mark.parametrize("words", [[], ["2probe"]])
async def test_a_slow_probe_is_given_up(words: list[str], mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        polling, target = await server.polling()
        client = await server.connect()
        await client.open(target.replace("polling", "websocket"))
        for word in words:
            await client.say(word)
            assert await client.hear() == "3probe"
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.upgrade_timeout_s)
        assert await client.close_code() == 1000
        await polling.ask("GET", target)
        await wait_all_tasks_blocked()
        server.application.clients[0].write("fine")
        assert (await polling.response()).body == b"4fine"


async def test_a_second_websocket_gets_its_101_and_is_closed() -> None:
    async with serving(SETTINGS) as server:
        _, target = await server.polling()
        target = target.replace("polling", "websocket")
        first, second, third = [await server.connect() for _ in range(3)]
        await first.open(target)
        await first.say("2probe")
        assert await first.hear() == "3probe"
        assert (await second.open(target)).status == 101  # while the upgrade is under way
        assert await second.close_code() == 1000
        await first.say("5")
        await wait_all_tasks_blocked()
        assert (await third.open(target)).status == 101  # when it is done
        await third.say("2probe")
        assert await third.close_code() == 1000
        await first.say("4fine")
        assert await first.hear() == "4fine"


async def test_pings_reach_a_session_wherever_it_is(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        _, target = await server.polling()
        mock_clock.jump(SETTINGS.ping_interval_s)  # no GET takes this ping
        await wait_all_tasks_blocked()
        client = await server.connect()
        await client.open(target.replace("polling", "websocket"))
        await client.send(frame_bytes(TEXT, b"2probe") + frame_bytes(TEXT, b"5"))
        assert [await client.hear(), await client.hear()] == ["3probe", "2"]
        await client.say("3")
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.ping_interval_s)
        assert await client.hear() == "2"
        assert server.application.clients[0].reasons == []
