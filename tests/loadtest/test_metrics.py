"""The server's own numbers, over a real socket."""

import pytest
import trio

from loadtest.measure.metrics import NoMetrics, changes, fetch, parse

TEXT = '# TYPE sent counter\nsent_total{b="2",a="1"} 5\n# TYPE rss gauge\nrss 1.5e6\n'


def test_samples_have_their_full_name() -> None:
    assert parse(TEXT) == {'sent_total{a="1",b="2"}': 5, "rss": 1_500_000}


def test_what_is_no_prometheus_text_is_told() -> None:
    with pytest.raises(NoMetrics):
        parse("<html>no</html>")


def test_changes_hold_both_looks() -> None:
    found = {each.name: (each.before, each.after, each.delta) for each in changes({"a": 1, "b": 2}, {"a": 4, "c": 1})}
    assert found == {"a": (1, 4, 3), "b": (2, 0, -2), "c": (0, 1, 1)}


async def serve(answer: bytes, nursery: trio.Nursery) -> str:
    async def handler(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(4096)
            await stream.send_all(answer)

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, handler, [listener])
    return f"http://127.0.0.1:{listener.socket.getsockname()[1]}/metrics"


async def test_fetch_asks_and_parses(nursery: trio.Nursery) -> None:
    body = TEXT.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert (await fetch(await serve(answer, nursery)))["rss"] == 1_500_000


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
)
async def test_a_bad_answer_is_told(answer: bytes, nursery: trio.Nursery) -> None:
    with pytest.raises(NoMetrics):
        await fetch(await serve(answer, nursery))


async def test_nobody_there_is_told() -> None:
    with pytest.raises(NoMetrics):
        await fetch("http://127.0.0.1:1/metrics")
