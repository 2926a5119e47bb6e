"""Guests' tokens: made and believed by one log only, for one session, for a time."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from typing import Any

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livehub.auth import TOKEN_BYTES_MAX, Verifier
from livehub.errors import AuthFailed
from livehub.feature import Person
from livehub.guests import ALGORITHM, AUDIENCE, ISSUER, KID, NAME_CHARS_MAX, ROLE, Guests, display_name, is_guests
from livehub.settings import AuthSection
from tests.kit import uuid

SECRET = b"the secret of a log, 32 bytes it"
KEY = hmac.digest(SECRET, KID.encode(), sha256)
NOW_S = 1_800_000_000.0
GUEST = Person(uuid(1), first_name="Ada", role=ROLE, session="s1")
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": uuid(1),
    "sid": "s1",
    "name": "Ada",
    "iat": int(NOW_S),
    "exp": int(NOW_S) + 60,
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes, header: dict[str, Any] | None = None, key: bytes = KEY) -> str:
    """A token put together by hand, as livehub would never make it."""
    text = f"{b64(orjson.dumps({'alg': 'HS256', 'typ': 'JWT', 'kid': KID, **(header or {})}))}.{b64(payload)}"
    return f"{text}.{b64(hmac.digest(key, text.encode(), sha256))}"


def token(**claims: Any) -> str:
    return signed(orjson.dumps({key: value for key, value in {**CLAIMS, **claims}.items() if value is not ...}))


def reason(bad: str, now_s: float = NOW_S) -> str:
    with pytest.raises(AuthFailed) as caught:
        Guests(SECRET).verify(bad, now_s)
    return caught.value.reason


def test_a_guest_is_believed_until_the_token_ends() -> None:
    guests = Guests(SECRET, life_s=60)
    made = guests.token(GUEST, NOW_S)
    identity = guests.verify(made, NOW_S)
    assert identity.person == GUEST
    assert identity.expires_at_s == NOW_S + 60
    assert guests.verify(f"Bearer {made}", NOW_S + 59).person == GUEST
    with pytest.raises(AuthFailed, match="token_expired"):
        guests.verify(made, NOW_S + 60)


def test_a_token_is_a_jwt_that_says_whose_it_is() -> None:
    made = Guests(SECRET).token(GUEST, NOW_S)
    assert jwt.get_unverified_header(made) == {"alg": ALGORITHM, "kid": KID, "typ": "JWT"}
    assert jwt.decode(made, options={"verify_signature": False}) == {**CLAIMS, "exp": int(NOW_S) + 24 * 3_600}


def test_a_guest_holds_no_permission() -> None:
    who = Guests(SECRET).verify(token(permissions=["*"], role="OWNER"), NOW_S).person
    assert (who.permissions, who.role, who.org, who.email) == (frozenset(), "GUEST", "", "")
    assert who.public() == {"id": uuid(1), "firstName": "Ada", "lastName": ""}


def test_another_log_does_not_believe_it() -> None:
    with pytest.raises(AuthFailed, match="token_invalid"):
        Guests(b"the secret of another log here..").verify(Guests(SECRET).token(GUEST, NOW_S), NOW_S)


def test_neither_the_secret_itself_nor_that_of_the_issuer_signs_guests() -> None:
    for key in (SECRET, b"0123456789abcdef0123456789abcdef"):
        assert reason(signed(orjson.dumps(CLAIMS), key=key)) == "token_invalid"


def test_the_issuers_verifier_does_not_believe_a_guest() -> None:
    """Not even where the issuer's secret is the log's: the key is another."""
    verifier = Verifier(AuthSection(secret=SECRET.decode()))
    with pytest.raises(AuthFailed, match="token_invalid"):
        verifier.verify(Guests(SECRET).token(GUEST, NOW_S), NOW_S)


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}, {"kid": "other"}, {"kid": 5}, {"crit": ["exp"]}]
)
def test_a_header_decides_nothing(header: dict[str, Any]) -> None:
    assert reason(signed(orjson.dumps(CLAIMS), header)) == "token_invalid"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"aud": "other"}, "token_audience"),
        ({"aud": [AUDIENCE]}, "token_audience"),
        ({"aud": ...}, "token_audience"),
        ({"iss": "other"}, "token_issuer"),
        ({"iss": ...}, "token_issuer"),
        ({"sub": "anna"}, "token_claims"),
        ({"sub": ...}, "token_claims"),
        ({"sub": 5}, "token_claims"),
        ({"sid": ...}, "token_claims"),
        ({"sid": ""}, "token_claims"),
        ({"sid": "a b"}, "token_claims"),
        ({"sid": "x" * 129}, "token_claims"),
        ({"sid": "s1\n"}, "token_claims"),
        ({"sid": ["s1"]}, "token_claims"),
        ({"name": None}, "token_claims"),
        ({"name": "x" * (NAME_CHARS_MAX + 1)}, "token_claims"),
        ({"exp": ...}, "token_claims"),
        ({"exp": None}, "token_claims"),
        ({"exp": str(int(NOW_S) + 60)}, "token_claims"),
        ({"exp": True}, "token_claims"),
        ({"exp": NOW_S + 60.5}, "token_claims"),
        ({"exp": int(NOW_S)}, "token_expired"),
    ],
)
def test_every_claim_must_be_what_livehub_writes(claims: dict[str, Any], expected: str) -> None:
    assert reason(token(**claims)) == expected


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b'"x"', b""])
def test_claims_are_an_object(payload: bytes) -> None:
    assert reason(signed(payload)) == "token_invalid"


def test_what_says_it_is_a_guests_is_told_from_what_does_not() -> None:
    made = Guests(SECRET).token(GUEST, NOW_S)
    assert all(map(is_guests, (made, f"Bearer {made}", f"bearer  {made} ", f"{made.split('.')[0]}.x.y")))
    others: tuple[object, ...] = (
        jwt.encode({"sub": "anna"}, "x" * 32, "HS256"),
        jwt.encode({"sub": "anna"}, "x" * 32, "HS256", headers={"kid": "other"}),
        made + "x" * TOKEN_BYTES_MAX,
        f"{b64(b'[]')}.x.y",
        f"{b64(b'{')}.x.y",
        "a.b.c",
        "ä.b.c",
        "",
        None,
        5,
    )
    assert not any(map(is_guests, others))


@given(st.text(max_size=400) | st.text(alphabet="ey.JhbGciOi_-=", max_size=400))
def test_nothing_else_comes_of_anything(text: str) -> None:
    is_guests(text)
    with pytest.raises(AuthFailed):
        Guests(SECRET).verify(text, NOW_S)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_token_is_not_believed(place: int, byte: int) -> None:
    made = Guests(SECRET).token(GUEST, NOW_S)
    place %= len(made)
    changed = made[:place] + chr(byte) + made[place + 1 :]
    try:
        assert Guests(SECRET).verify(changed, NOW_S).person == GUEST
    except AuthFailed:
        return
    # Only the bits that base64 leaves over at the end of a part may differ, and white space around the whole.
    assert changed.strip() in made or place in (len(made) - 1, *_ends(made))


def _ends(made: str) -> list[int]:
    return [place - 1 for place, letter in enumerate(made) if letter == "."]


def test_a_name_is_one_line_of_bounded_length() -> None:
    assert display_name("  Ada \n\t Lovelace ") == "Ada Lovelace"
    assert display_name("x" * 101) == "x" * NAME_CHARS_MAX
