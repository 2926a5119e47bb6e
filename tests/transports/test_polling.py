"""Long polling, asked byte by byte: what each request is answered, and when a session is over."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from livehub.transports.connection import Rejected
from livehub.transports.handshake import EngineSettings
from livehub.wire.frames import BinaryFrame, Frame
from tests.raw import Application, Heard, Response, Server, serving

OPEN = "/engine.io/?EIO=4&transport=polling"
SETTINGS = EngineSettings(path="/engine.io/", origins=("https://example.org",))


def code(answer: Response) -> int:
    assert answer.status == 400, answer
    assert answer.headers["content-type"] == "application/json"
    return int(json.loads(answer.body)["code"])


async def gone(server: Server, target: str) -> bool:
    client = await server.connect()
    return code(await client.request("GET", target)) == 1


async def test_the_open_packet_tells_exactly_what_clients_need() -> None:
    async with serving(SETTINGS) as server:
        answer = await (await server.connect()).request("GET", OPEN)
    told = json.loads(answer.body[1:])
    assert answer.body[:1] == b"0"
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=UTF-8")
    assert answer.headers["cache-control"] == "no-store"
    assert list(told) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert len(told.pop("sid")) == 20
    assert told == {"upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 65536}


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=abc", 0),
        ("GET", "EIO=4&transport=polling&sid=unknown", 1),
        ("POST", "EIO=4&transport=polling&sid=unknown", 1),
        ("POST", "EIO=4&transport=polling", 2),
        ("PUT", "EIO=4&transport=polling", 2),
        ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "transport=polling", 5),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "EIO=abc&transport=polling", 5),
        ("GET", "EIO=4&transport=polling&x=" + "x" * 5_000, 3),
    ],
)
async def test_what_is_no_handshake_is_refused_with_a_code(method: str, query: str, expected: int) -> None:
    async with serving(SETTINGS) as server:
        answer = await (await server.connect()).request(method, f"/engine.io/?{query}")
        assert not server.application.clients
    assert code(answer) == expected


async def test_messages_come_back_in_order_text_and_binary() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        answer = await client.request("POST", target, "4hé\x1ebAQIDBA==\x1e4".encode())
        assert (answer.status, answer.body) == (200, b"ok")
        await wait_all_tasks_blocked()
        assert (await client.request("GET", target)).body == "4hé\x1ebAQIDBA==\x1e4".encode()
        assert server.application.clients[0].messages == ["hé", b"\x01\x02\x03\x04", ""]


async def test_a_parked_get_is_answered_by_the_next_message() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        server.application.clients[0].write("one")
        server.application.clients[0].write("two")
        assert (await client.response()).body == b"4one\x1e4two"
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        server.application.clients[0].write("three")
        assert (await client.response()).body == b"4three"


async def test_an_overlapping_get_ends_the_session() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        assert code(await (await server.connect()).request("GET", target)) == 3
        assert (await client.response()).body == b"1"
        assert await gone(server, target)
        assert server.application.clients[0].reasons == ["overlapping_poll"]


async def test_an_overlapping_post_ends_the_session() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("POST", target, b"4he", {"Content-Length": "6"})
        await wait_all_tasks_blocked()
        assert code(await (await server.connect()).request("POST", target, b"4hi")) == 3
        await client.send(b"llo")
        assert code(await client.response()) == 1
        assert server.application.clients[0].messages == []
        assert server.application.clients[0].reasons == ["overlapping_post"]


async def test_goodbye_lets_a_parked_get_go_with_a_noop() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        assert (await (await server.connect()).request("POST", target, b"1")).body == b"ok"
        assert (await client.response()).body == b"6"
        assert await gone(server, target)
        assert server.application.clients[0].reasons == ["client_close"]


async def test_messages_before_a_goodbye_are_heard() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        assert (await client.request("POST", target, b"4last words\x1e1\x1e4too late")).body == b"ok"
        await server.application.clients[0].over.wait()
        assert server.application.clients[0].messages == ["last words"]
        assert await gone(server, target)


@pytest.mark.parametrize("body", [b"", b"abc", b"4a\x1e", b"\x1e4a", b"b!!", b"\xff", b"7", b"4a\x1ex"])
async def test_what_is_no_payload_ends_the_session(body: bytes) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        assert code(await client.request("POST", target, body)) == 3
        assert await gone(server, target)
        assert server.application.clients[0].reasons == ["parse_error"]


@pytest.mark.parametrize("body", [b"0", b"2", b"2probe", b"5", b"6"])
async def test_packets_that_no_client_sends_end_the_session(body: bytes) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.request("POST", target, body)
        await server.application.clients[0].over.wait()
        assert await gone(server, target)
        assert server.application.clients[0].reasons == ["parse_error"]


async def test_a_violation_is_told_to_the_parked_get() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        assert code(await (await server.connect()).request("POST", target, b"abc")) == 3
        assert (await client.response()).body == b"1"


async def test_binary_posts_are_of_an_older_protocol() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        kind = {"Content-Type": "Application/Octet-Stream; x=y"}
        assert code(await client.request("POST", target, b"4a", kind)) == 3
        assert await gone(server, target)


async def test_other_methods_are_refused_and_harm_nothing() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        assert code(await client.request("PUT", target)) == 3
        assert (await client.request("POST", target, b"4a")).body == b"ok"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413_and_the_session_lives(chunked: bool) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        body = b"4" + b"x" * SETTINGS.max_payload_bytes
        if chunked:
            await client.send(f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            await client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            await client.ask("POST", target, body)
        assert (await client.response()).status == 413
        again = await server.connect()
        assert (await again.request("POST", target, body[:-1])).body == b"ok"


async def test_a_body_that_stalls_is_answered_in_time(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("POST", target, b"4he", {"Content-Length": "6"})
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.request_timeout_s)
        assert (await client.response()).status == 408
        assert await client.rest() == b""
        assert (await (await server.connect()).request("POST", target, b"4hi")).body == b"ok"


async def test_a_client_that_leaves_while_its_get_is_parked_is_gone() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        await client.aclose()
        await server.application.clients[0].over.wait()
        assert server.application.clients[0].reasons == ["transport_close"]
        assert await gone(server, target)
        assert server.meter.open["polling"] == 0


async def test_leaving_in_the_middle_of_a_post_ends_nothing() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("POST", target, b"4he", {"Content-Length": "6"})
        await wait_all_tasks_blocked()
        await client.aclose()
        await wait_all_tasks_blocked()
        assert (await (await server.connect()).request("POST", target, b"4hi")).body == b"ok"


async def test_a_close_waits_for_the_next_get(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        heard = server.application.clients[0]
        heard.write("x" * 50_000)
        heard.write("y" * 50_000)
        heard.connection.close("superseded")
        heard.write("too late")
        assert heard.reasons == ["superseded"]
        mock_clock.jump(SETTINGS.goodbye_s - 1)
        assert (await client.request("GET", target)).body == b"4" + b"x" * 50_000
        assert (await client.request("GET", target)).body == b"4" + b"y" * 50_000 + b"\x1e1"
        assert code(await client.request("GET", target)) == 1


async def test_a_close_does_not_wait_for_ever(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        server.application.clients[0].connection.close("superseded")
        mock_clock.jump(SETTINGS.goodbye_s)
        await wait_all_tasks_blocked()
        assert code(await client.request("GET", target)) == 1


async def test_what_is_written_between_wakeup_and_close_is_not_lost() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        heard = server.application.clients[0]
        heard.write("x" * 50_000)
        heard.write("y" * 50_000)
        heard.connection.close("superseded")
        assert (await client.response()).body == b"4" + b"x" * 50_000
        assert (await client.request("GET", target)).body == b"4" + b"y" * 50_000 + b"\x1e1"


async def test_an_abort_lets_the_parked_get_go_without_a_goodbye() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        await client.ask("GET", target)
        await wait_all_tasks_blocked()
        server.application.clients[0].connection.abort("shutdown")
        assert (await client.response()).status == 503
        assert await gone(server, target)


async def test_a_response_takes_only_as_many_packets_as_fit() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        write = server.application.clients[0].connection.write
        write(Frame(b"x" * (SETTINGS.max_payload_bytes - 4)))
        write(Frame(b"y"))
        write(BinaryFrame(bytes(SETTINGS.max_payload_bytes)))  # does not fit at all, but must go
        write(Frame(b"z"))
        first = (await client.request("GET", target)).body
        assert len(first) == SETTINGS.max_payload_bytes
        assert first.endswith(b"\x1e4y")
        assert (await client.request("GET", target)).body.startswith(b"bAAAA")
        assert (await client.request("GET", target)).body == b"4z"


async def test_a_post_is_answered_while_the_application_is_busy_but_only_one() -> None:
    go_on = trio.Event()

    async def slow(heard: Heard, data: str | bytes) -> None:
        await go_on.wait()

    async with serving(SETTINGS, Application(slow)) as server:
        client, target = await server.polling()
        assert (await client.request("POST", target, b"4first")).body == b"ok"
        await client.ask("POST", target, b"4second")
        await wait_all_tasks_blocked()
        assert server.application.clients[0].messages == ["first"]
        go_on.set()
        assert (await client.response()).body == b"ok"
        await wait_all_tasks_blocked()
        assert server.application.clients[0].messages == ["first", "second"]


async def test_overload_is_503_with_a_time_to_come_back() -> None:
    async with serving(SETTINGS, admit=lambda _: Rejected("connections_full", 7)) as server:
        answer = await (await server.connect()).request("GET", OPEN)
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        assert server.meter.refusals == ["connections_full"]


async def test_a_closing_server_opens_no_session_but_serves_the_old_ones() -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        server.engine.closing = True
        assert (await client.request("GET", OPEN)).status == 503
        assert (await client.request("POST", target, b"4a")).body == b"ok"


async def test_foreign_origins_are_refused_before_a_session_exists() -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        answer = await client.request("GET", OPEN, headers={"Origin": "https://evil.example"})
        assert (answer.status, answer.body) == (403, b'{"code":4,"message":"Forbidden"}')
        assert "access-control-allow-origin" not in answer.headers
        preflight = await client.request("OPTIONS", OPEN, headers={"Origin": "https://evil.example"})
        assert preflight.status == 403
        assert not server.application.clients
        assert server.meter.refusals == ["origin"]


async def test_allowed_origins_are_reflected() -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        origin = {"Origin": "https://example.org"}
        for target, status in ((OPEN, 200), (OPEN + "&sid=unknown", 400)):
            answer = await client.request("GET", target, headers=origin)
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "https://example.org"
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["vary"] == "Origin"
        asked = origin | {"Access-Control-Request-Headers": "x-token", "Access-Control-Request-Method": "POST"}
        preflight = await client.request("OPTIONS", OPEN, headers=asked)
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight.headers["access-control-allow-headers"] == "x-token"
        assert preflight.headers["access-control-allow-origin"] == "https://example.org"


async def test_pages_of_the_server_itself_need_no_permission() -> None:
    async with serving(SETTINGS) as server:
        answer = await (await server.connect()).request("GET", OPEN, headers={"Origin": "http://test"})
        assert answer.status == 200


async def test_the_heartbeat_goes_through_gets_and_posts(mock_clock: MockClock) -> None:
    async with serving(SETTINGS) as server:
        client, target = await server.polling()
        for _ in range(3):
            await client.ask("GET", target)
            await wait_all_tasks_blocked()
            mock_clock.jump(SETTINGS.ping_interval_s)
            assert (await client.response()).body == b"2"
            await client.request("POST", target, b"3")
            await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.ping_interval_s)
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTINGS.ping_timeout_s)
        await wait_all_tasks_blocked()
        assert server.application.clients[0].reasons == ["ping_timeout"]
        assert await gone(server, target)


async def test_a_client_that_lets_too_much_wait_is_shown_out() -> None:
    async with serving(EngineSettings(path="/engine.io/", outbox_bytes_max=1_000)) as server:
        _, target = await server.polling()
        server.application.clients[0].write("x" * 800)
        server.application.clients[0].write("x" * 800)
        assert server.application.clients[0].reasons == ["slow"]
        assert server.meter.slow == 1
        assert await gone(server, target)


async def test_one_post_of_many_packets_gives_way_to_others() -> None:
    turns: list[int] = []

    async def count(heard: Heard, data: str | bytes) -> None:
        turns.append(instrument.turns)

    class Turns(trio.abc.Instrument):
        turns = 0

        def before_io_wait(self, timeout: float) -> None:
            self.turns += 1

    instrument = Turns()
    trio.lowlevel.add_instrument(instrument)
    async with serving(EngineSettings(path="/engine.io/", packets_per_turn=10), Application(count)) as server:
        client, target = await server.polling()
        assert (await client.request("POST", target, b"\x1e".join([b"4x"] * 100))).body == b"ok"
        await wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(instrument)
    assert len(turns) == 100
    assert max(turns.count(turn) for turn in turns) == 10


async def test_requests_for_another_path_are_not_found() -> None:
    async with serving(SETTINGS) as server:
        client = await server.connect()
        assert (await client.request("GET", "/other/?EIO=4&transport=polling")).status == 404
        assert (await client.request("GET", "/engine.io?EIO=4&transport=polling")).status == 200
