"""Identity: whose token is believed, and what it says about a person.

PyJWT checks signatures; the claims are checked here, because PyJWT takes `"exp": "123"` and `true` for numbers and
reads its own clock. The algorithm and the keys come from the configuration alone: a token's header picks among the
configured keys by `kid` and decides nothing else. Why a token was refused is for the log and for `systemError.reason`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import attrs
import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

from livehub.errors import AuthFailed, ConfigError
from livehub.feature import JSON, Person
from livehub.keyfiles import load_private, load_public
from livehub.payload import OUTSIDE_ID
from livehub.settings import AuthSection

TOKEN_BYTES_MAX = 8 * 1024
CACHED_TOKENS_MAX = 10_000
"""About 1 kB each. A hit costs 1 µs; reading a token again 23 µs (HS256) to 80 µs (EdDSA)."""

PERMISSIONS_MAX = 256
PERMISSION_CHARS_MAX = 128
ROLE_CHARS_MAX = 64
ORG_CHARS_MAX = 128
EMAIL_CHARS_MAX = 254
NAME_CHARS_MAX = 100
TIERS = ("default", "vip")
LATEST_EXPIRY_S = 253_402_300_799.0
"""The end of the year 9999: later times overflow dates."""


class _Prepared(HMACAlgorithm):
    """HS256 with a secret that was looked at once, in `_secret`: PyJWT does it for every token, 15 of its 40 µs."""

    def prepare_key(self, key: str | bytes) -> bytes:
        assert isinstance(key, bytes)
        return key


_jws = jwt.PyJWS()
_jws.unregister_algorithm("HS256")
_jws.register_algorithm("HS256", _Prepared(HMACAlgorithm.SHA256))


@attrs.frozen
class Identity:
    """Somebody with a valid token, and until when it holds (seconds since 1970)."""

    person: Person
    expires_at_s: float


class _Grant(NamedTuple):
    """What a signed token says, whatever the time is."""

    identity: Identity
    not_before_s: float


class Verifier:
    """Turns tokens into identities. Raises `ConfigError` when its keys cannot be read."""

    def __init__(self, settings: AuthSection) -> None:
        self._settings = settings
        self._algorithms = [settings.algorithm]
        self._keys: dict[str, Any] = {"": _secret(settings)} if settings.algorithm == "HS256" else load_public(settings)
        self._roles = {role: frozenset(permissions) for role, permissions in settings.roles.items()}
        self._grants: OrderedDict[bytes, _Grant] = OrderedDict()

    def verify(self, token: object, now_s: float | None = None) -> Identity:
        """Who brings this token, with or without `Bearer `. Raises `AuthFailed`."""
        text = _bare(token)
        digest = sha256(text.encode()).digest()
        grant = self._grants.get(digest)
        if grant is None:
            grant = self._read(text)
        self._check_times(grant, time.time() if now_s is None else now_s)
        self._grants[digest] = grant
        self._grants.move_to_end(digest)
        if len(self._grants) > CACHED_TOKENS_MAX:
            self._grants.popitem(last=False)
        return grant.identity

    @property
    def kids(self) -> list[str]:
        """Ids of the keys, the only one's id may be empty."""
        return list(self._keys)

    def _check_times(self, grant: _Grant, now_s: float) -> None:
        if now_s >= grant.identity.expires_at_s + self._settings.leeway_s:
            raise AuthFailed("token_expired")
        if now_s < grant.not_before_s - self._settings.leeway_s:
            raise AuthFailed("token_not_yet_valid")

    def _read(self, text: str) -> _Grant:
        """Check the signature, then the claims."""
        try:
            signed = _jws.decode_complete(text, self._key(text), algorithms=self._algorithms)
            claims = orjson.loads(signed["payload"])
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
            raise AuthFailed("token_invalid") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise AuthFailed("token_malformed") from None
        if "crit" in signed["header"]:
            raise AuthFailed("token_invalid")  # it names extensions that must be understood; none is
        if not isinstance(claims, dict):
            raise AuthFailed("token_malformed")
        self._check_origin(claims)
        return self._grant(claims)

    def _key(self, text: str) -> Any:
        """The configured key to check with. Keys in the token (`jwk`, `jku`, `x5c`) are never looked at."""
        if "" in self._keys:
            return self._keys[""]
        kid = _jws.get_unverified_header(text).get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid is None or kid not in self._keys:
            raise AuthFailed("token_invalid")
        return self._keys[kid]

    def _check_origin(self, claims: Mapping[str, JSON]) -> None:
        audience, issuer = self._settings.audience, self._settings.issuer
        named = claims.get("aud")
        if audience and audience not in (named if isinstance(named, list) else [named]):
            raise AuthFailed("token_audience")
        if issuer and claims.get("iss") != issuer:
            raise AuthFailed("token_issuer")

    def _grant(self, claims: Mapping[str, JSON]) -> _Grant:
        expires_s = _number(claims, "exp")
        if expires_s is None or not OUTSIDE_ID.match(_text(claims, "sub")):
            raise AuthFailed("token_claims")
        tier = _text(claims, "tier") or TIERS[0]
        if tier not in TIERS:
            raise AuthFailed("token_claims")
        role = _text(claims, "role", ROLE_CHARS_MAX)
        email = _text(claims, "email", EMAIL_CHARS_MAX)
        first_name, last_name = _names(claims, email)
        person = Person(
            id=claims["sub"],
            first_name=first_name,
            last_name=last_name,
            email=email,
            org=_text(claims, "orgId", ORG_CHARS_MAX),
            role=role,
            permissions=self._permissions(role, claims),
            tier=tier,
        )
        starts = (_number(claims, "nbf"), _number(claims, "iat"))
        not_before_s = max((start for start in starts if start is not None), default=0.0)
        return _Grant(Identity(person, min(expires_s, LATEST_EXPIRY_S)), not_before_s)

    def _permissions(self, role: str, claims: Mapping[str, JSON]) -> frozenset[str]:
        own = claims.get("permissions") or []
        if not isinstance(own, list) or len(own) > PERMISSIONS_MAX:
            raise AuthFailed("token_claims")
        if any(not isinstance(permission, str) or len(permission) > PERMISSION_CHARS_MAX for permission in own):
            raise AuthFailed("token_claims")
        of_role = self._roles.get(role, frozenset())
        return of_role.union(own) if own else of_role  # the role's own set is shared by all who have nothing more


def mint(
    settings: AuthSection,
    *,
    user: str,
    email: str | None = None,
    name: str | None = None,
    org: str | None = None,
    role: str | None = None,
    permissions: Iterable[str] = (),
    ttl_s: float = 3_600,
    now_s: float | None = None,
) -> str:
    """A token that this configuration believes, for `livehub token`; without an e-mail, `USER@example.org`.

    Raises `ConfigError` when it cannot be made, or would be refused.
    """
    now_s = time.time() if now_s is None else now_s
    email = email or f"{user}@example.org"
    told: dict[str, JSON] = {"sub": user, "email": email, "name": name, "orgId": org, "role": role}
    told |= {"permissions": list(permissions), "aud": settings.audience, "iss": settings.issuer}
    claims = {claim: value for claim, value in told.items() if value}
    claims |= {"iat": int(now_s), "exp": int(now_s + ttl_s)}
    key = settings.secret if settings.algorithm == "HS256" else load_private(settings)
    verifier = Verifier(settings)
    reason = ""
    for kid in verifier.kids:
        token = jwt.encode(claims, key, settings.algorithm, headers={"kid": kid} if kid else None)
        try:
            verifier.verify(token, now_s)
        except AuthFailed as failed:  # of several keys, only one belongs to the private key
            reason = failed.reason
        else:
            return token
    raise ConfigError(f"a token made like this would be refused: {reason}")


def _secret(settings: AuthSection) -> bytes:
    """The shared secret. Raises `ConfigError` for one that is the public key of another algorithm by mistake."""
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(settings.secret)
    except jwt.InvalidKeyError as error:
        raise ConfigError(f"auth.secret: {error}") from None


def _bare(token: object) -> str:
    """The token without `Bearer `, small enough to look at."""
    if token is None or token == "":
        raise AuthFailed("token_missing")
    if not isinstance(token, str) or len(token) > TOKEN_BYTES_MAX or not token.isascii():
        raise AuthFailed("token_malformed")
    bare = token[7:].strip() if token[:7].lower() == "bearer " else token.strip()
    if not bare or bare.lower() == "bearer":
        raise AuthFailed("token_missing")
    return bare


def _text(claims: Mapping[str, JSON], name: str, chars_max: int = 1_000) -> str:
    """A claim that is a string; one that is absent or null is empty."""
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > chars_max:
        raise AuthFailed("token_claims")
    return value


def _number(claims: Mapping[str, JSON], name: str) -> float | None:
    """A time claim: a JSON number (orjson lets no infinite one through), not a string or a boolean."""
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in (int, float):
        raise AuthFailed("token_claims")
    return float(value)


def _names(claims: Mapping[str, JSON], email: str) -> tuple[str, str]:
    """First and last name: as given, else the full name in two, else the e-mail address made readable."""
    first, last = _name(_text(claims, "given_name")), _name(_text(claims, "family_name"))
    if first or last:
        return first, last
    full = " ".join(_text(claims, "name").split())
    if not full:
        local = email.partition("@")[0].partition("+")[0]
        full = " ".join(word[0].upper() + word[1:] for word in _words(local))
    first, _, last = full.partition(" ")
    return _name(first), _name(last)


def _name(text: str) -> str:
    """On one line and of bounded length: everybody is shown it."""
    return " ".join(text.split())[:NAME_CHARS_MAX]


def _words(local: str) -> list[str]:
    for separator in "._-":
        local = local.replace(separator, " ")
    return local.split()
