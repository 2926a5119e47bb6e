"""Getting in with a code: guests, users, wrong codes and their price; and the picture of the way there."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import trio
from trio.testing import MockClock
from werkzeug.datastructures import Headers

from livehub.errors import Refused
from livehub.guests import Guests, is_guests
from livehub.http.delays import MOST_S, WAITING_MAX, Delays
from livehub.http.join import SCALE_MAX, Site, picture
from livehub.payload import UUID_V4
from tests.http.stage import Stage, stage
from tests.kit import ANNA, ears, settle

WRONG = "AAAAAA"
"""No code has a vowel."""


async def create(set_up: Stage, session: str = "s1") -> str:
    """The code of a new session."""
    status, made = await set_up.request("POST", "/api/sessions", "olga", {"id": session, "title": "Keynote"})
    assert status == 201, made
    await settle()
    return str(made["slug"])


async def join(set_up: Stage, slug: str, who: str = "", body: Any = None, **more: Any) -> tuple[int, Any]:
    return await set_up.request("POST", f"/api/sessions/{slug}/join", who, body, **more)


async def guest(set_up: Stage, slug: str, who: str = "", **body: Any) -> dict[str, Any]:
    """What a guest is answered."""
    status, told = await join(set_up, slug, who, body or None)
    assert status == 200, told
    assert told.keys() == {"success", "token", "participantId", "sessionId"}
    return dict(told)


def message(told: tuple[int, Any]) -> tuple[int, str]:
    status, body = told
    assert body["success"] is False
    assert body["error"]["statusCode"] == status
    return status, body["error"]["message"]


async def test_a_guest_gets_a_token_for_one_session(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        told = await guest(set_up, slug.lower(), displayName=" Gus \n Guest ")
        assert (told["success"], told["sessionId"]) == (True, "s1")
        assert UUID_V4.match(told["participantId"])
        who, until_s = set_up.identify(told["token"])
        assert (who.id, who.session, who.first_name) == (told["participantId"], "s1", "Gus Guest")
        assert until_s == set_up.hub.clock() // 1000 + 24 * 3_600
        status, read = await set_up.request("GET", "/api/sessions/s1", told["token"])
        assert (status, read["participantCount"]) == (200, 1)


@pytest.mark.parametrize("body", [None, {}, {"displayName": None}])
async def test_a_guest_needs_no_name(body: Any, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        status, told = await join(set_up, await create(set_up), body=body)
        assert status == 200
        assert set_up.identify(told["token"])[0].first_name == ""


async def test_everybody_without_a_token_is_another_guest(autojump_clock: MockClock) -> None:
    """An idempotency key changes nothing: it would be one for everybody."""
    async with stage() as set_up:
        slug, headers = await create(set_up), {"Idempotency-Key": "6a3f0d5e-8a53-4d6e-9b0a-1f2d3c4b5a69"}
        ids = {(await join(set_up, slug, headers=headers))[1]["participantId"] for _ in range(3)}
        assert len(ids) == 3


async def test_a_guest_who_comes_again_is_the_same_with_a_new_token(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        first = await guest(set_up, slug, displayName="Gus")
        await trio.sleep(60)
        again = await guest(set_up, slug, first["token"])
        renamed = await guest(set_up, slug, again["token"], displayName="Gustav")
        assert first["participantId"] == again["participantId"] == renamed["participantId"]
        names = [set_up.identify(one["token"])[0].first_name for one in (first, again, renamed)]
        assert names == ["Gus", "Gus", "Gustav"]
        assert set_up.identify(again["token"])[1] == set_up.identify(first["token"])[1] + 60
        assert (await set_up.request("GET", "/api/sessions/s1", first["token"]))[1]["participantCount"] == 1


async def test_a_guest_of_another_session_is_a_new_one_here(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        one, other = await create(set_up), await create(set_up, "s2")
        first = await guest(set_up, one, displayName="Gus")
        second = await guest(set_up, other, first["token"])
        assert second["participantId"] != first["participantId"]
        who = set_up.identify(second["token"])[0]
        assert (who.session, who.first_name) == ("s2", "")


async def test_a_user_gets_their_own_token_back_and_takes_part(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        told = await guest(set_up, slug, "anna", displayName="Somebody else")
        assert told["token"] == "anna"
        assert UUID_V4.match(told["participantId"])
        assert await guest(set_up, slug, "anna") == told
        assert (await set_up.request("GET", "/api/sessions/s1", "anna"))[0] == 200
        assert (await set_up.request("GET", "/api/sessions/s1", "ben"))[0] == 403


async def test_a_bad_token_is_a_401_as_everywhere(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        first = await guest(set_up, slug)
        strange = Guests(b"the secret of another log").token(set_up.identify(first["token"])[0], 4e9)
        assert is_guests(strange)
        for authorization in ("", "Bearer", "Bearer nonsense", f"Basic {first['token']}", f"Bearer {strange}"):
            told = await join(set_up, slug, headers={"Authorization": authorization})
            assert message(told) == (401, "Authentication failed"), authorization
        set_up.hub.clock.set_ms += 24 * 3_600_000
        assert message(await join(set_up, slug, first["token"])) == (401, "Authentication failed")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"displayName": ""}, "displayName must not be empty"),
        ({"displayName": " "}, "displayName must not be empty"),
        ({"displayName": "x" * 101}, "displayName must be at most 100 characters, not 101"),
        ({"displayName": 5}, "displayName must be a string"),
        ({"name": "Gus"}, "'name' is not a field here; allowed: displayName"),
        ([], "The body must be a JSON object"),
    ],
)
async def test_a_wrong_body_is_told(body: Any, text: str, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        assert message(await join(set_up, await create(set_up), body=body)) == (400, text)
        assert message(await join(set_up, WRONG, body=body)) == (400, text), "and says nothing of the code"


async def test_guests_do_nothing_outside_their_session(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        await create(set_up, "s2")
        token = (await guest(set_up, slug))["token"]
        for path in ("/api/sessions", "/api/sessions/s2", "/api/sessions/s2/messages", "/api/sessions/s2/qr.svg"):
            told = await set_up.request("GET", path, token)
            assert message(told) == (403, "You do not have permission"), path
        for path in ("/api/sessions/s1", "/api/sessions/s1/messages"):
            assert (await set_up.request("GET", path, token))[0] == 200, path


async def test_nobody_is_answered_before_they_are_on_disk(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        set_up.hub.store.fail_commits = True
        status, body = await join(set_up, slug)
        assert (status, body["error"]["retryAfterMs"]) == (503, 1_000)


async def test_a_session_that_does_not_answer_is_a_504(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        set_up.hub.store.hold_commits = trio.Event()
        assert message(await join(set_up, slug)) == (504, "The server did not answer in time")
        set_up.hub.store.hold_commits.set()


async def test_an_ended_session_can_still_be_joined_to_read(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        status, told = await set_up.request("POST", "/api/sessions/s1/end", "olga")
        assert status == 200, told
        token = (await guest(set_up, slug))["token"]
        assert (await set_up.request("GET", "/api/sessions/s1", token))[1]["status"] == "ended"


@pytest.mark.parametrize("slug", [WRONG, "x", "s1", "%20", "x" * 500, "%C3%A4"])
async def test_a_wrong_code_is_a_404(slug: str, autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await create(set_up)
        assert message(await join(set_up, slug)) == (404, "Session not found")
        assert set_up.hub.meter.counts["refused wrong_code"] == 1


async def timed(set_up: Stage, slug: str, address: str = "192.0.2.1") -> tuple[int, float]:
    began_s = trio.current_time()
    status, _ = await join(set_up, slug, headers={"X-Test-Address": address})
    return status, round(trio.current_time() - began_s, 3)


async def test_wrong_codes_take_longer_and_longer_and_right_ones_get_in(autojump_clock: MockClock) -> None:
    async with stage(Delays()) as set_up:
        slug = await create(set_up)
        assert await timed(set_up, slug) == (200, 0)
        for seconds in (0.25, 0.5, 1):
            assert await timed(set_up, WRONG) == (404, seconds)
        assert await timed(set_up, slug) == (200, 1)
        assert await timed(set_up, slug, "192.0.2.2") == (200, 0)
        await trio.sleep(30)
        assert await timed(set_up, slug) == (200, 0)


async def test_without_limits_a_wrong_code_costs_nothing(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        assert [await timed(set_up, WRONG) for _ in range(5)] == [(404, 0)] * 5


async def test_a_crowd_gets_in_where_somebody_guesses(autojump_clock: MockClock) -> None:
    async with stage(Delays()) as set_up:
        slug, statuses = await create(set_up), []

        async def one(code: str) -> None:
            statuses.append(await timed(set_up, code))

        async with trio.open_nursery() as nursery:
            for _ in range(WAITING_MAX + 3):
                nursery.start_soon(one, WRONG)
            await trio.sleep(0.1)
            for _ in range(2 * WAITING_MAX):
                nursery.start_soon(one, slug)
        found = [status for status, _ in statuses]
        assert {status: found.count(status) for status in set(found)} == {200: 2 * WAITING_MAX, 404: 32, 429: 3}
        assert {took_s for status, took_s in statuses if status == 200} == {MOST_S}


async def test_too_many_wrong_codes_at_once_say_when_to_come_again(autojump_clock: MockClock) -> None:
    async with stage(Delays()) as set_up, trio.open_nursery() as nursery:
        for _ in range(WAITING_MAX):
            nursery.start_soon(join, set_up, WRONG)
        await trio.sleep(0.1)
        client = set_up.app.test_client()
        answer = await client.post(f"/api/sessions/{WRONG}/join", headers={"X-Test-Address": "192.0.2.1"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "8")


async def draw(set_up: Stage, who: str = "olga", query: str = "", **headers: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    path = f"/api/sessions/s1/qr.svg{query}"
    answer = await set_up.app.test_client().get(path, headers={"Authorization": f"Bearer {who}", **headers})
    body = await answer.get_data(as_text=False)
    return answer.status_code, answer.content_type, body


def title(svg: bytes) -> str:
    """The address that a picture is of, as it says itself."""
    found = ElementTree.fromstring(svg).findtext("{http://www.w3.org/2000/svg}title")
    assert found is not None
    return found


async def test_the_way_in_is_drawn_for_those_who_may_see_the_session(autojump_clock: MockClock) -> None:
    async with stage(site=Site("https://live.example.org/")) as set_up:
        slug = await create(set_up)
        await set_up.hub.do("session.join", {"sessionId": "s1"}, ears(ANNA))
        for who in ("olga", "anna", (await guest(set_up, slug))["token"]):
            status, kind, svg = await draw(set_up, who)
            assert (status, kind) == (200, "image/svg+xml")
            assert title(svg) == f"https://live.example.org/join/{slug}"
            assert svg == picture(title(svg), 8)
        assert (await draw(set_up, "ben"))[0] == 403
        assert (await draw(set_up, "nobody"))[0] == 401
        status, body = await set_up.request("GET", "/api/sessions/nowhere/qr.svg", "olga")
        assert message((status, body)) == (404, "Session not found")


async def test_a_picture_runs_nothing_and_is_kept_nowhere(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await create(set_up)
        path, headers = "/api/sessions/s1/qr.svg", {"Authorization": "Bearer olga"}
        answer = await set_up.app.test_client().get(path, headers=headers)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_picture_has_a_scale(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        await create(set_up)
        widths = []
        for query in ("?scale=1", "", f"?scale={SCALE_MAX}", "?scale="):
            status, _, svg = await draw(set_up, query=query)
            assert status == 200
            widths.append(int(ElementTree.fromstring(svg).attrib["width"]))
        assert widths == [widths[0], 8 * widths[0], 40 * widths[0], 8 * widths[0]]
        for query, text in (
            ("?scale=0", "scale must be from 1 to 40"),
            ("?scale=41", "scale must be from 1 to 40"),
            ("?scale=big", "scale must be a whole number"),
            ("?color=red", "'color' is not a field here; allowed: scale"),
        ):
            status, told = await set_up.request("GET", f"/api/sessions/s1/qr.svg{query}", "olga")
            assert message((status, told)) == (400, text)


async def test_a_request_tells_the_address_where_none_is_set(autojump_clock: MockClock) -> None:
    async with stage() as set_up:
        slug = await create(set_up)
        _, _, svg = await draw(set_up, Host="event.local:3002")
        assert title(svg) == f"http://event.local:3002/join/{slug}"
        status, _, _ = await draw(set_up, Host='event.local"><script>')
        assert status == 400


@pytest.mark.parametrize(
    ("site", "headers", "expected"),
    [
        (Site(), {"Host": "a.test"}, "http://a.test"),
        (Site(), {"Host": "[2001:db8::1]:3002"}, "http://[2001:db8::1]:3002"),
        (Site(secure=True), {"Host": "a.test:8443"}, "https://a.test:8443"),
        (Site(), {"Host": "a.test", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "b.test"}, "http://a.test"),
        (
            Site(trust_proxy=True),
            {"Host": "a.test", "X-Forwarded-Proto": "http, HTTPS", "X-Forwarded-Host": "c.test, b.test"},
            "https://b.test",
        ),
        (Site(trust_proxy=True), {"Host": "a.test"}, "http://a.test"),
        (Site("https://live.test", trust_proxy=True), {"X-Forwarded-Host": "b.test"}, "https://live.test"),
    ],
)
def test_an_address_is_the_one_set_or_the_one_asked(site: Site, headers: dict[str, str], expected: str) -> None:
    assert site.url(Headers(headers)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "a b"},
        {"Host": "user@a.test"},
        {"Host": "a.test/path"},
        {"Host": "a.test\n"},
        {"Host": "a.test:port"},
        {"Host": "a.test", "X-Forwarded-Proto": "javascript"},
    ],
)
def test_an_address_that_is_none_is_not_drawn(headers: dict[str, str]) -> None:
    odd = Headers()
    for name, value in headers.items():
        odd._list.append((name, value))
    with pytest.raises(Refused, match=r"set \[server\] public_url"):
        Site(trust_proxy=True).url(odd)


def test_a_picture_is_an_svg_of_a_qr_code() -> None:
    svg = picture("https://live.example.org/join/BCDFGH", 1)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["width"] == root.attrib["height"] == str(29 + 2 * 4), "version 3, with its quiet zone"
    assert picture("https://live.example.org/join/BCDFGJ", 1) != svg
    assert b"<script" not in picture('https://x/"><script>alert(1)</script>', 1)
