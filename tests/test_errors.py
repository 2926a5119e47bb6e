"""A refusal speaks to people, to programs and to counters."""

from __future__ import annotations

import pytest

from livehub.errors import (
    UNAVAILABLE_RETRY_MS,
    AuthFailed,
    ConfigError,
    LivehubError,
    Refused,
    StoreError,
    Unavailable,
)


def test_a_refusal_is_an_ack_error() -> None:
    refusal = Refused("Message not found", 404, code="not_found")
    assert refusal.body() == {"success": False, "error": {"message": "Message not found", "statusCode": 404}}
    assert str(refusal) == "Message not found"
    assert refusal.code == "not_found"


def test_a_refusal_is_a_bad_request_unless_it_says_otherwise() -> None:
    assert Refused("No").body()["error"]["statusCode"] == 400
    assert Refused("No").code == "refused"


def test_a_refusal_says_when_to_come_back() -> None:
    assert Refused("Slow down", 429, retry_after_ms=1_500).body()["error"]["retryAfterMs"] == 1_500
    assert "retryAfterMs" not in Refused("No").body()["error"]


def test_unavailable_invites_another_try() -> None:
    error = Unavailable().body()["error"]
    assert error["statusCode"] == 503
    assert error["retryAfterMs"] == UNAVAILABLE_RETRY_MS
    assert "unavailable" in error["message"]
    assert Unavailable().code == "unavailable"


def test_why_somebody_is_not_let_in_is_a_code() -> None:
    assert AuthFailed("token_expired").reason == "token_expired"


@pytest.mark.parametrize("kind", [Refused, Unavailable, AuthFailed, ConfigError, StoreError])
def test_the_tree_has_one_root(kind: type[LivehubError]) -> None:
    with pytest.raises(LivehubError):
        raise kind("why")
