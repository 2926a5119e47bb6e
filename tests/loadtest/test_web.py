"""The live page, asked as a browser asks it."""

import re
from html.parser import HTMLParser

import attrs
import httpx
import orjson
import pytest
import trio

from loadtest.measure.book import Snapshot
from loadtest.measure.result import Result
from loadtest.report.web import STOP_HEADER, LivePage
from tests.loadtest import sample


class Page:
    """A live page that shows `result`, and how often it was asked for numbers and to stop."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.asked = self.stopped = 0
        self.live = LivePage(self.now, result.run, stop=self.stop, port=0)
        self.client = self.live.app().test_client()

    def now(self) -> Snapshot:
        self.asked += 1
        return sample.snapshot(self.result)

    def stop(self) -> None:
        self.stopped += 1

    async def get(self, path: str, host: str = "localhost") -> tuple[int, bytes]:
        answer = await self.client.get(path, headers={"Host": host})
        return answer.status_code, await answer.get_data(as_text=False)

    async def end(self, token: str) -> int:
        answer = await self.client.post("/stop", headers={"Host": "localhost", STOP_HEADER: token})
        return int(answer.status_code)

    async def token(self) -> str:
        found = re.search(rb'data-token="([^"]+)"', (await self.get("/"))[1])
        assert found is not None
        return found[1].decode()


@pytest.fixture
def page() -> Page:
    return Page(sample.sample())


def told(body: bytes) -> dict[str, object]:
    read = orjson.loads(body)
    assert isinstance(read, dict)
    return read


async def test_the_page_shows_the_run_at_once_and_fetches_only_from_itself(page: Page) -> None:
    status, body = await page.get("/")
    assert status == 200
    assert b"5:00 of 5:00" in body
    assert body.count(b"<figure") == 9
    assert b"connect-src 'self'" in body
    assert b"default-src 'none'" in body


async def test_the_numbers_are_json_without_histograms(page: Page) -> None:
    status, body = await page.get("/live.json")
    read = orjson.loads(body)
    assert status == 200
    assert read["now"]["users"] == sample.USERS
    assert read["delivery"]["percent"] == 100
    assert read["asks"]["poll.vote"]["refused"] == {"DUPLICATE_VOTE": 22}
    assert read["latencies"]["fanout"]["chat.message.new"]["p99"] > 0
    assert b'"hdr"' not in body


async def test_many_readers_cost_one_drawing(page: Page) -> None:
    for _ in range(5):
        await page.get("/live.json")
    assert page.asked == 1


async def test_only_the_page_can_stop_the_run_and_only_once(page: Page) -> None:
    assert await page.end("") == 403
    assert await page.end("wrong é".encode().decode("latin-1")) == 403
    assert page.stopped == 0
    token = await page.token()
    assert [await page.end(token), await page.end(token)] == [204, 204]
    assert page.stopped == 1
    assert told((await page.get("/live.json"))[1])["stopping"] is True


async def test_a_get_stops_nothing(page: Page) -> None:
    assert (await page.get("/stop"))[0] == 405
    assert page.stopped == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8089", 200),
        ("[::1]:8089", 200),
        ("localhost", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
    ],
)
async def test_a_foreign_name_for_this_address_is_refused(page: Page, host: str, status: int) -> None:
    assert (await page.get("/live.json", host))[0] == status


async def test_a_page_that_is_meant_for_others_goes_by_any_name() -> None:
    shown = sample.snapshot(sample.sample(5))
    page = LivePage(lambda: shown, sample.sample(5).run, stop=lambda: None, host="0.0.0.0")
    answer = await page.app().test_client().get("/live.json", headers={"Host": "box.example:8089"})
    assert answer.status_code == 200


async def test_the_report_is_there_once_the_run_is_over(page: Page) -> None:
    assert (await page.get("/report"))[0] == 404
    page.live.finished(sample.lossy())
    status, body = await page.get("/report")
    assert (status, b"Failed: 1 of 2 conditions did not pass" in body) == (200, True)
    read = told((await page.get("/live.json"))[1])
    assert (read["over"], read["state"]) == (True, "over")
    assert 'href="/report"' in str(read["html"])


async def test_a_generator_that_is_too_late_is_told_while_it_happens() -> None:
    page = Page(sample.invalid())
    assert "Invalid so far" in str(told((await page.get("/live.json"))[1])["html"])


async def test_below_100_percent_the_share_stands_beside_delivery_latencies() -> None:
    page = Page(sample.lossy())
    html = str(told((await page.get("/live.json"))[1])["html"])
    assert html.count("of the 99.9982 % delivered") == 5  # two figures, a chart, two kinds in the table


async def test_no_text_from_outside_becomes_markup() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    whole = sample.sample(5)
    asks = {evil: whole.asks["poll.vote"]}
    page = Page(attrs.evolve(whole, asks=asks, run=attrs.evolve(whole.run, scenario=evil, host=evil)))
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    Reader().feed((await page.get("/"))[1].decode())
    assert "img" not in tags
    assert tags.count("script") == 2


async def test_it_is_served_until_cancelled() -> None:
    page = Page(sample.sample(5))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(page.live.serve)
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{url}live.json")
            assert answer.json()["now"]["t"] == 5
            nursery.cancel_scope.cancel()


async def test_an_address_in_use_is_a_plain_error() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        page = LivePage(Page(sample.sample(5)).now, sample.sample(5).run, stop=lambda: None, port=port)
        with pytest.raises(OSError, match="in use"):
            await page.serve()
