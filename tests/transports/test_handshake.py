"""Who may come: query, headers, origin and address of a first request."""

from __future__ import annotations

import pytest

from livehub.transports.handshake import (
    QUERY_CHARS_MAX,
    QUERY_FIELDS_MAX,
    Handshake,
    client_address,
    origin_allowed,
    read_headers,
    read_query,
    refuse_handshake,
)
from livehub.wire.packets import FORBIDDEN, UNKNOWN_TRANSPORT, UNSUPPORTED_VERSION, EngineError


def test_the_first_of_a_repeated_field_counts_and_empty_ones_are_kept() -> None:
    assert read_query("a=1&b=&a=2&c=%20x+y") == {"a": "1", "b": "", "c": " x y"}


@pytest.mark.parametrize("text", ["x" * (QUERY_CHARS_MAX + 1), "&".join(["a=1"] * (QUERY_FIELDS_MAX + 1))])
def test_an_absurd_query_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"query too long|fields"):
        read_query(text)


def test_headers_are_in_lower_case_and_joined() -> None:
    raw: list[tuple[bytes | str, bytes | str]] = [
        (b"X-Forwarded-For", b"1.1.1.1"),
        ("Host", "a"),
        (b"x-forwarded-for", b"\xe9"),
    ]
    assert read_headers(raw) == {"x-forwarded-for": "1.1.1.1, é", "host": "a"}


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        ("9.9.9.9", False, "1.2.3.4"),
        ("9.9.9.9", True, "9.9.9.9"),
        ("pretended, 9.9.9.9", True, "9.9.9.9"),
        ("", True, "1.2.3.4"),
        (None, True, "1.2.3.4"),
    ],
)
def test_only_a_trusted_proxy_says_where_a_client_is(forwarded: str | None, trusted: bool, address: str) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert client_address("1.2.3.4", headers, trusted) == address


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),  # no browser
        ("https://example.org", True),
        ("https://hub.example:3002", True),  # the server's own
        ("https://example.org.evil.example", False),
        ("https://example.org:444", False),
        ("http://example.org", False),
        ("https://hub.example", False),
        ("null", False),
        ("", False),
        ("https://[", False),
    ],
)
def test_origins_are_those_of_the_list_and_our_own(origin: str | None, allowed: bool) -> None:
    headers = {"host": "hub.example:3002"} | ({} if origin is None else {"origin": origin})
    assert origin_allowed(headers, ("https://example.org",)) is allowed
    assert origin_allowed(headers, ("*",))


def test_no_host_is_nobodys_own() -> None:
    assert not origin_allowed({"origin": ""}, ())
    assert not origin_allowed({"origin": "https://x"}, ())


@pytest.mark.parametrize(
    ("query", "origin", "error"),
    [
        ({"EIO": "4", "transport": "polling"}, None, None),
        ({"EIO": "4", "transport": "websocket"}, None, None),
        ({"EIO": "4"}, None, UNKNOWN_TRANSPORT),
        ({}, None, UNKNOWN_TRANSPORT),
        ({"transport": "polling"}, None, UNSUPPORTED_VERSION),
        ({"EIO": "3", "transport": "polling"}, None, UNSUPPORTED_VERSION),
        ({}, "https://evil.example", FORBIDDEN),
    ],
)
def test_the_first_fault_is_told(query: dict[str, str], origin: str | None, error: EngineError | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    assert refuse_handshake(Handshake(query, headers, "1.2.3.4"), ()) is error
