"""Guests: people without an account, whom a token of livehub's own lets into one session.

The key is derived from the log's own secret, never from `[auth]`: guests work beside any issuer, no issuer can make
one, and a new data directory forgets them all. A token's `kid` says that it is a guest's and decides nothing else.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from functools import lru_cache
from hashlib import sha256

import jwt
import orjson

from livehub.auth import TOKEN_BYTES_MAX, Identity
from livehub.errors import AuthFailed
from livehub.feature import JSON, UUID_V4, Person
from livehub.payload import OUTSIDE_ID

KID = "livehub-guest"
ISSUER = "livehub"
AUDIENCE = "livehub-guest"
ALGORITHM = "HS256"
ROLE = "GUEST"
NAME_CHARS_MAX = 100
TOKEN_LIFE_S = 24 * 3_600.0

_BEARER = "bearer "
_jws = jwt.PyJWS()


class Guests:
    """Makes guests' tokens and reads them again. `secret` is the store's."""

    def __init__(self, secret: bytes, life_s: float = TOKEN_LIFE_S) -> None:
        self._key = hmac.digest(secret, KID.encode(), sha256)
        self._life_s = life_s

    def token(self, guest: Person, now_s: float) -> str:
        """A token for a guest of the session that they are for."""
        claims: dict[str, JSON] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": guest.id,
            "sid": guest.session,
            "name": guest.first_name,
            "iat": int(now_s),
            "exp": int(now_s + self._life_s),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": KID})

    def verify(self, token: str, now_s: float) -> Identity:
        """Which guest brings this token, with or without `Bearer `. Raises `AuthFailed`."""
        try:
            signed = _jws.decode_complete(_bare(token), self._key, algorithms=[ALGORITHM])
            claims = orjson.loads(signed["payload"])
        except (jwt.PyJWTError, ValueError, TypeError):
            raise AuthFailed("token_invalid") from None
        if signed["header"].get("kid") != KID or "crit" in signed["header"] or not isinstance(claims, dict):
            raise AuthFailed("token_invalid")
        if claims.get("aud") != AUDIENCE:
            raise AuthFailed("token_audience")
        if claims.get("iss") != ISSUER:
            raise AuthFailed("token_issuer")
        return _identity(claims, now_s)


def is_guests(token: object) -> bool:
    """Whether a token says of itself that it is a guest's. It may lie: then nobody believes it."""
    if not isinstance(token, str) or len(token) > TOKEN_BYTES_MAX or not token.isascii():
        return False
    return _names_kid(_bare(token).partition(".")[0])


def display_name(text: str) -> str:
    """A name on one line: everybody is shown it."""
    return " ".join(text.split())[:NAME_CHARS_MAX]


@lru_cache(maxsize=128)
def _names_kid(head: str) -> bool:
    """Whether a token's header has the `kid`. All tokens of an issuer have one header: 0.3 µs instead of 14."""
    try:
        header = orjson.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return False
    return isinstance(header, dict) and header.get("kid") == KID


def _bare(token: str) -> str:
    return token[len(_BEARER) :].strip() if token[: len(_BEARER)].lower() == _BEARER else token.strip()


def _identity(claims: dict[str, JSON], now_s: float) -> Identity:
    guest_id, session, name, expires_s = (claims.get(claim) for claim in ("sub", "sid", "name", "exp"))
    if not isinstance(guest_id, str) or not UUID_V4.match(guest_id):
        raise AuthFailed("token_claims")
    if not isinstance(session, str) or not OUTSIDE_ID.match(session):
        raise AuthFailed("token_claims")
    if not isinstance(name, str) or len(name) > NAME_CHARS_MAX or type(expires_s) is not int:
        raise AuthFailed("token_claims")
    if now_s >= expires_s:
        raise AuthFailed("token_expired")
    return Identity(Person(guest_id, first_name=name, role=ROLE, session=session), float(expires_s))
