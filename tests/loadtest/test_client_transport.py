"""Where a server is, from what people write."""

from __future__ import annotations

import pytest

from loadtest.client.transport import Address


def address(url: str, **query: str) -> Address:
    return Address.of(url, None, None, query)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "path"),
    [
        ("http://127.0.0.1:3002", "127.0.0.1", 3002, False, "/socket.io/"),
        ("https://live.example.org", "live.example.org", 443, True, "/socket.io/"),
        ("wss://live.example.org/hub/", "live.example.org", 443, True, "/hub/socket.io/"),
        ("localhost:8080", "localhost", 8080, False, "/socket.io/"),
        ("http://[::1]:9", "::1", 9, False, "/socket.io/"),
    ],
)
def test_a_url_says_where(url: str, host: str, port: int, tls: bool, path: str) -> None:
    found = address(url)
    assert (found.host, found.port, found.tls, found.path) == (host, port, tls, path)


@pytest.mark.parametrize("url", ["ftp://example.org", "http://"])
def test_what_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL of a server"):
        address(url)


def test_the_host_header_leaves_out_the_port_that_everybody_knows() -> None:
    assert address("https://example.org").host_header == "example.org"
    assert address("http://example.org:443").host_header == "example.org:443"
    assert address("http://[::1]:80").host_header == "[::1]"


def test_requests_carry_the_protocol_the_session_and_the_query() -> None:
    assert address("http://x", room="a b").target("polling", "s1") == (
        "/socket.io/?EIO=4&transport=polling&sid=s1&room=a+b"
    )
