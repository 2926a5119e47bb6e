"""Opening requests: what stock clients send is read quickly, and as the library reads it; the rest is the library's."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.transports.opening import BadHandshake, Opening, _unusual, _usual, handshake_of, read_opening

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
USUAL = {
    "Host": "example.org",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def head(
    changed: Mapping[str, str | None] | None = None, *more: str, target: str = "/socket.io/?EIO=4", first: str = ""
) -> bytes:
    """A request with other headers (None: without), and lines behind them."""
    told = {name: value for name, value in {**USUAL, **(changed or {})}.items() if value is not None}
    lines = [first or f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), *more, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def by_library(opening: Opening) -> bool:
    return opening.asked is not None


@pytest.mark.parametrize(
    "request_head",
    [
        head(),
        head({"Connection": "keep-alive, Upgrade"}),
        head({"Upgrade": "WebSocket"}),
        head({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}),
        head({"User-Agent": "Mozilla/5.0 (ü)", "Cookie": "a=b", "X-Empty": ""}),
    ],
)
def test_what_stock_clients_send_is_answered_as_the_rfc_says(request_head: bytes) -> None:
    opening = read_opening(request_head)
    assert not by_library(opening)
    assert opening.target == "/socket.io/?EIO=4"
    answer = opening.answer()
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n" in answer


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head({"Sec-WebSocket-Version": "8"}), b"400"),
        (head({"Sec-WebSocket-Version": None}), b"400"),
        (head({"Sec-WebSocket-Key": "short"}), b"400"),
        (head({"Sec-WebSocket-Key": None}), b"400"),
        (head({}, f"Sec-WebSocket-Key: {KEY}"), b"400"),
        (head({"Connection": "close"}), b"426"),
    ],
)
def test_what_is_wrong_is_answered_by_the_library(request_head: bytes, status: bytes) -> None:
    opening = read_opening(request_head)
    assert by_library(opening)
    with pytest.raises(BadHandshake) as bad:
        opening.answer()
    assert bad.value.response.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    "request_head",
    [
        head(first="GET /socket.io/"),
        head({}, "no header at all"),
        head({}, "Bad Name: x"),
        head({}, *(f"X-{number}: x" for number in range(200))),
        head({"Content-Length": "5"}),
    ],
)
def test_what_is_no_request_is_refused(request_head: bytes) -> None:
    with pytest.raises(BadHandshake) as bad:
        read_opening(request_head)
    assert bad.value.response.startswith(b"HTTP/1.1 400 ")


def test_a_subprotocol_is_left_to_the_library() -> None:
    opening = read_opening(head({"Sec-WebSocket-Protocol": "chat"}))
    assert by_library(opening)
    assert opening.answer().startswith(b"HTTP/1.1 101 ")


def test_the_handshake_says_the_same_either_way() -> None:
    told = {"Origin": "https://example.org", "X-Forwarded-For": "192.0.2.1, 192.0.2.7"}
    usual = read_opening(head(told, target="/socket.io/?EIO=4&transport=websocket"))
    other = read_opening(head(told | {"Sec-WebSocket-Protocol": "x"}, target="/socket.io/?EIO=4&transport=websocket"))
    first, second = (handshake_of(opening, "127.0.0.1", secure=True, trust_proxy=True) for opening in (usual, other))
    assert first.query == second.query == {"EIO": "4", "transport": "websocket"}
    assert first.headers == {name: value for name, value in second.headers.items() if name != "sec-websocket-protocol"}
    assert first.address == second.address == "192.0.2.7"


@pytest.mark.parametrize(
    "request_head",
    [
        head({"Upgrade": "foo"}, "Upgrade: websocket"),
        head({"Connection": "close"}, "Connection: upgrade"),
        head({"Connection": ", ,Upgrade,"}),
        head({"Connection": "Upgrade, a b"}),
        head({"X-Long": "x" * 9_000}),
        head(target="/" + "x" * 9_000),
    ],
)
def test_what_the_library_may_see_otherwise_is_left_to_it(request_head: bytes) -> None:
    assert _usual(request_head) is None


@pytest.mark.parametrize(
    "request_head",
    [
        head(),
        head({"Host": None}),
        head({}, "Host: other.example"),
        head({"Sec-WebSocket-Key": KEY + " "}),
        head({"Sec-WebSocket-Extensions": ";;"}),
        head({"Expect": "100-continue"}),
        head({}, *(f"X-{number}: x" for number in range(123))),  # 128 fields: as many as there may be
    ],
)
def test_what_is_read_quickly_is_what_the_library_reads(request_head: bytes) -> None:
    quick, slow = read_opening(request_head), _unusual(request_head)
    assert not by_library(quick)
    assert (quick.target, list(quick.headers)) == (slow.target, list(slow.headers))
    for answer in (quick.answer(), slow.answer()):
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n" in answer


VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)


@given(st.lists(st.tuples(st.text("abcXYZ019-_.!~", min_size=1, max_size=12), VALUES), max_size=8), st.randoms())
def test_any_fields_beside_the_usual_are_read_as_the_library_reads_them(
    more: list[tuple[str, str]], dice: random.Random
) -> None:
    lines = [f"{name}: {value}" for name, value in [*USUAL.items(), *((f"X-{name}", value) for name, value in more)]]
    dice.shuffle(lines)
    request_head = "\r\n".join(["GET /socket.io/?EIO=4 HTTP/1.1", *lines, "", ""]).encode("latin-1")
    slow = _unusual(request_head)
    quick = read_opening(request_head)
    assert (quick.target, list(quick.headers)) == (slow.target, list(slow.headers))
    assert by_library(quick) or quick.key == KEY
