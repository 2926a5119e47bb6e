"""The server's own `/metrics` (Prometheus text), before and after a run: its numbers beside the clients'."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import h11
import trio
from prometheus_client.parser import text_string_to_metric_families

from loadtest.measure.result import ServerMetric

TIMEOUT_S = 10.0
BODY_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 65_536


class NoMetrics(Exception):
    """They cannot be had; says why."""


def parse(text: str) -> dict[str, float]:
    """Every sample as `name` or `name{label="value",...}`, labels sorted. NoMetrics when it is no Prometheus text."""
    try:
        return {
            _full_name(sample.name, sample.labels): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except (ValueError, KeyError, IndexError) as wrong:
        raise NoMetrics(f"not Prometheus text: {wrong}") from wrong


def changes(before: Mapping[str, float], after: Mapping[str, float]) -> list[ServerMetric]:
    """All samples of both looks by name; one that is missing in a look counts as 0 there."""
    names = sorted({*before, *after})
    return [
        ServerMetric(
            name=name,
            before=before.get(name, 0.0),
            after=after.get(name, 0.0),
            delta=after.get(name, 0.0) - before.get(name, 0.0),
        )
        for name in names
    ]


async def fetch(
    url: str, *, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> dict[str, float]:
    """Ask once, over a connection of its own; without `tls` the system's certificates count. NoMetrics on failure."""
    try:
        with trio.fail_after(TIMEOUT_S):
            return parse(await _get(url, dict(headers or {}), tls))
    except (OSError, trio.TooSlowError, trio.BrokenResourceError, h11.ProtocolError, UnicodeDecodeError) as error:
        raise NoMetrics(f"{url}: {str(error.__cause__ or error) or type(error).__name__}") from error


async def _get(url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "localhost", parts.port or (443 if secure else 80)
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    if secure:
        context = tls or ssl.create_default_context()
        stream = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = [("Host", parts.netloc), ("Connection", "close"), ("Accept", "text/plain"), *headers.items()]
    async with stream:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=path, headers=sent)
        head = connection.send(request) or b""
        await stream.send_all(head + (connection.send(h11.EndOfMessage()) or b""))
        return await _body(stream, connection, url)


async def _body(stream: trio.abc.Stream, connection: h11.Connection, url: str) -> str:
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise NoMetrics(f"{url} answered {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise NoMetrics(f"{url} answered more than {BODY_BYTES_MAX} bytes")
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return body.decode()


def _full_name(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"
