"""What a token must be to be believed, and what it then says."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from livehub import auth
from livehub.auth import TOKEN_BYTES_MAX, Verifier, mint
from livehub.errors import AuthFailed, ConfigError
from livehub.feature import Person
from livehub.settings import Algorithm, AuthSection

SECRET = "0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "sub": "u1",
    "email": "ada.lovelace@example.org",
    "orgId": "org1",
    "role": "MEMBER",
    "exp": NOW_S + 60,
}
SETTINGS = AuthSection(secret=SECRET)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes, header: dict[str, Any] | None = None, key: str = SECRET) -> str:
    """A token put together by hand, as nobody's library would."""
    text = f"{b64(orjson.dumps({'alg': 'HS256', 'typ': 'JWT', **(header or {})}))}.{b64(payload)}"
    return f"{text}.{b64(hmac.digest(key.encode(), text.encode(), sha256))}"


def token(**claims: Any) -> str:
    return signed(orjson.dumps({key: value for key, value in {**CLAIMS, **claims}.items() if value is not ...}))


def person(settings: AuthSection = SETTINGS, **claims: Any) -> Person:
    return Verifier(settings).verify(token(**claims), NOW_S).person


def reason(bad: object, settings: AuthSection = SETTINGS, now_s: float = NOW_S) -> str:
    with pytest.raises(AuthFailed) as caught:
        Verifier(settings).verify(bad, now_s)
    return caught.value.reason


def test_a_good_token_says_who_and_until_when() -> None:
    identity = Verifier(SETTINGS).verify(token(tier="vip", permissions=["poll:create"]), NOW_S)
    assert identity.expires_at_s == NOW_S + 60
    assert identity.person == Person(
        id="u1",
        first_name="Ada",
        last_name="Lovelace",
        email="ada.lovelace@example.org",
        org="org1",
        role="MEMBER",
        permissions=frozenset({"chat:delete:own", "poll:create"}),
        tier="vip",
    )


@pytest.mark.parametrize("dress", ["{}", "Bearer {}", "bearer {}", "Bearer   {} ", " {}"])
def test_bearer_may_stand_before_it(dress: str) -> None:
    assert Verifier(SETTINGS).verify(dress.format(token()), NOW_S).person.id == "u1"


@pytest.mark.parametrize("nothing", [None, "", "Bearer ", "Bearer", " "])
def test_no_token_is_missing(nothing: object) -> None:
    assert reason(nothing) == "token_missing"


@pytest.mark.parametrize(
    "garbage",
    [
        5,
        ["a"],
        {},
        "x",
        "a.b",
        "a.b.c",
        "..",
        "ü.ü.ü",
        "\ud800.a.b",
        "x" * (TOKEN_BYTES_MAX + 1),
        signed(b"[]"),
        signed(b"nonsense"),
        signed(b'{"sub": "u1", "exp": NaN}'),
        signed(b'{"sub": "u1", "exp": 1e999}'),
        signed(b'{"sub": "\\ud800", "exp": 1e10}'),
        token() + ".more",
    ],
)
def test_what_is_no_token_is_malformed(garbage: object) -> None:
    assert reason(garbage) == "token_malformed"


@given(st.text(alphabet=".eyJhbGciOiJIUzI1NiJ9-_=", max_size=80) | st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    assert reason(text) in ("token_missing", "token_malformed", "token_invalid")


def test_a_signature_by_another_key_is_refused() -> None:
    assert reason(signed(orjson.dumps(CLAIMS), key="another key of at least 32 bytes")) == "token_invalid"


def test_a_changed_claim_is_refused() -> None:
    head, _, signature = token().split(".")
    assert reason(f"{head}.{b64(orjson.dumps({**CLAIMS, 'sub': 'u2'}))}.{signature}") == "token_invalid"


@pytest.mark.parametrize("alg", ["none", "None", "HS384", "HS512", "RS256", "", None, 5, ["HS256"], {}])
def test_the_header_cannot_choose_the_algorithm(alg: object) -> None:
    assert reason(signed(orjson.dumps(CLAIMS), {"alg": alg})) == "token_invalid"
    head = b64(orjson.dumps({"alg": alg}))
    assert reason(f"{head}.{b64(orjson.dumps(CLAIMS))}.") == "token_invalid"


def test_a_public_key_is_not_a_secret(tmp_path: Path) -> None:
    """The classic confusion: HS256, with the public key's text as the secret."""
    settings, public = keys(tmp_path, "RS256")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert reason(signed(orjson.dumps(CLAIMS), key=pem), settings) == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": True},
        {"crit": "b64"},
    ],
)
def test_critical_extensions_are_refused(header: dict[str, Any]) -> None:
    assert reason(signed(orjson.dumps(CLAIMS), header)) in ("token_invalid", "token_malformed")


def test_an_unencoded_payload_is_refused() -> None:
    assert reason(signed(orjson.dumps(CLAIMS), {"crit": ["b64"], "b64": False})) == "token_malformed"


def test_keys_in_the_token_are_never_used() -> None:
    evil = {"jwk": {"kty": "oct", "k": b64(b"evil" * 8)}, "jku": "http://evil.example", "kid": "../../dev/null"}
    assert reason(signed(orjson.dumps(CLAIMS), evil, "evil" * 8)) == "token_invalid"
    assert Verifier(SETTINGS).verify(signed(orjson.dumps(CLAIMS), evil), NOW_S).person.id == "u1"


@pytest.mark.parametrize("exp", [..., None, True, "1900000000", [1900000000], {}])
def test_a_token_has_an_expiry_that_is_a_number(exp: object) -> None:
    assert reason(token(exp=exp)) == "token_claims"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("value", [True, "1700000000", []])
def test_other_times_are_numbers_too(claim: str, value: object) -> None:
    assert reason(token(**{claim: value})) == "token_claims"


def test_a_token_expires_after_the_leeway() -> None:
    last = NOW_S + 60 + SETTINGS.leeway_s
    assert Verifier(SETTINGS).verify(token(), last - 0.001).person.id == "u1"
    assert reason(token(), now_s=last) == "token_expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future_waits(claim: str) -> None:
    early = token(**{claim: NOW_S + 31})
    assert reason(early) == "token_not_yet_valid"
    assert Verifier(SETTINGS).verify(early, NOW_S + 1).person.id == "u1"


def test_an_expiry_beyond_all_dates_is_cut() -> None:
    assert Verifier(SETTINGS).verify(token(exp=1e300), NOW_S).expires_at_s == auth.LATEST_EXPIRY_S


@pytest.mark.parametrize("sub", [..., None, "", 7, "a b", "x" * 129, "ü", "a\n"])
def test_a_subject_is_an_id(sub: object) -> None:
    assert reason(token(sub=sub)) == "token_claims"


@pytest.mark.parametrize(
    "claims",
    [
        {"email": 5},
        {"email": "x" * 255},
        {"orgId": ["org"]},
        {"role": 1},
        {"role": "x" * 65},
        {"tier": "gold"},
        {"tier": 2},
        {"permissions": "poll:create"},
        {"permissions": {"poll:create": True}},
        {"permissions": ["poll:create", 1]},
        {"permissions": ["x" * 129]},
        {"permissions": ["x"] * 257},
        {"given_name": 5},
        {"name": []},
    ],
)
def test_claims_of_a_wrong_type_or_size_are_refused(claims: dict[str, Any]) -> None:
    assert reason(token(**claims)) == "token_claims"


def test_optional_claims_may_be_absent_or_null() -> None:
    optional = ("email", "orgId", "role", "permissions", "tier", "name", "nbf")
    for nothing in (None, ...):
        claims: dict[str, Any] = dict.fromkeys(optional, nothing)
        assert person(SETTINGS, **claims) == Person(id="u1")


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({"given_name": "Grace", "family_name": "Hopper"}, ("Grace", "Hopper")),
        ({"given_name": "Grace", "name": "No One"}, ("Grace", "")),
        ({"family_name": "Hopper"}, ("", "Hopper")),
        ({"name": "Grace Brewster Hopper"}, ("Grace", "Brewster Hopper")),
        ({"name": "  Plato "}, ("Plato", "")),
        ({"name": "Eve\nSystem:  hello"}, ("Eve", "System: hello")),
        ({"name": "x" * 300}, ("x" * 100, "")),
        ({"email": "grace@example.org"}, ("Grace", "")),
        ({"email": "grace_b-hopper+live@example.org"}, ("Grace", "B Hopper")),
        ({"email": "@"}, ("", "")),
        ({"email": ""}, ("", "")),
    ],
)
def test_names_come_from_the_best_claim(claims: dict[str, Any], names: tuple[str, str]) -> None:
    found = person(**claims)
    assert (found.first_name, found.last_name) == names


def test_roles_and_tokens_both_give_permissions() -> None:
    assert person(role="SPEAKER").can("poll:create")
    assert not person(role="SPEAKER").can("poll:manage")
    assert person(role="SPEAKER", permissions=["poll:manage"]).can("poll:manage")
    assert person(role="OWNER").can("anything:at:all")
    assert not person(role="NOBODY KNOWS").permissions


def test_audience_and_issuer_are_checked_when_configured() -> None:
    settings = AuthSection(secret=SECRET, audience="live", issuer="https://id.example.org")
    good = {"aud": "live", "iss": "https://id.example.org"}
    assert person(settings, **good).id == "u1"
    assert person(settings, **good | {"aud": ["other", "live"]}).id == "u1"
    assert person(SETTINGS, aud="whatever", iss=5).id == "u1"
    for aud in (..., "other", ["other"], {"live": 1}, 5, None):
        assert reason(token(**good | {"aud": aud}), settings) == "token_audience"
    for iss in (..., "https://evil.example.org", ["https://id.example.org"]):
        assert reason(token(**good | {"iss": iss}), settings) == "token_issuer"


def test_a_known_token_still_expires() -> None:
    verifier = Verifier(SETTINGS)
    text = token()
    first = verifier.verify(text, NOW_S)
    assert verifier.verify(f"Bearer {text}", NOW_S) is first
    with pytest.raises(AuthFailed, match="token_expired"):
        verifier.verify(text, NOW_S + 3_600)


def test_known_tokens_are_bounded_and_the_longest_unused_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHED_TOKENS_MAX", 2)
    verifier = Verifier(SETTINGS)
    first, second, third = (token(sub=name) for name in "abc")
    kept, forgotten = verifier.verify(first, NOW_S), verifier.verify(second, NOW_S)
    verifier.verify(first, NOW_S)
    verifier.verify(third, NOW_S)
    assert verifier.verify(first, NOW_S) is kept
    assert verifier.verify(second, NOW_S) is not forgotten


MAKERS: dict[Algorithm, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65_537, 2_048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def keys(folder: Path, algorithm: Algorithm) -> tuple[AuthSection, Any]:
    """Key files for an algorithm, the settings that name them, and the public key."""
    private = MAKERS[algorithm]()
    private_file, public_file = folder / "private.pem", folder / "public.pem"
    private_file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public_file.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = AuthSection(algorithm=algorithm, public_key_file=public_file, private_key_file=private_file)
    return settings, private.public_key()


@pytest.mark.parametrize("algorithm", list(MAKERS))
def test_asymmetric_tokens_are_believed_if_signed_by_the_key(tmp_path: Path, algorithm: Algorithm) -> None:
    settings, _ = keys(tmp_path, algorithm)
    good = mint(settings, user="u1", now_s=NOW_S)
    assert Verifier(settings).verify(good, NOW_S).person.id == "u1"
    foreign = jwt.encode(CLAIMS, MAKERS[algorithm](), algorithm)
    assert reason(foreign, settings) == "token_invalid"
    assert reason(token(), settings) == "token_invalid"


def test_kid_picks_among_the_configured_keys_only(tmp_path: Path) -> None:
    private = [MAKERS["ES256"]() for _ in "ab"]
    jwks = {"keys": [jwk(key, kid) for key, kid in zip(private, "ab", strict=True)]}
    settings = jwks_settings(tmp_path, "ES256", jwks)

    def reason_with(key: Any, headers: dict[str, Any]) -> str:
        try:
            Verifier(settings).verify(jwt.encode(CLAIMS, key, "ES256", headers=headers), NOW_S)
        except AuthFailed as failed:
            return failed.reason
        return ""

    assert reason_with(private[0], {"kid": "a"}) == ""
    assert reason_with(private[1], {"kid": "b"}) == ""
    assert reason_with(private[0], {"kid": "b"}) == "token_invalid"
    assert reason_with(private[0], {"kid": "c"}) == "token_invalid"
    assert reason_with(private[0], {}) == "token_invalid"
    assert reason_with(private[0], {"kid": "a", "crit": ["exp"]}) != ""


def test_a_single_key_needs_no_kid(tmp_path: Path) -> None:
    private = MAKERS["EdDSA"]()
    settings = jwks_settings(tmp_path, "EdDSA", {"keys": [jwk(private, "only")]})
    assert Verifier(settings).verify(jwt.encode(CLAIMS, private, "EdDSA"), NOW_S).person.id == "u1"
    assert reason(jwt.encode(CLAIMS, private, "EdDSA", headers={"kid": "x"}), settings) == "token_invalid"


def jwk(private: Any, kid: str) -> dict[str, Any]:
    public = private.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        made = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def jwks_settings(folder: Path, algorithm: Algorithm, jwks: dict[str, Any]) -> AuthSection:
    path = folder / "jwks.json"
    path.write_bytes(orjson.dumps(jwks))
    return AuthSection(algorithm=algorithm, jwks_file=path)


def test_a_minted_token_carries_what_was_asked() -> None:
    settings = AuthSection(secret=SECRET, audience="live", issuer="here")
    made = mint(
        settings,
        user="u7",
        email="a@example.org",
        name="Ada King Lovelace",
        org="o",
        role="MEMBER",
        permissions=["poll:create"],
        ttl_s=90,
        now_s=NOW_S,
    )
    identity = Verifier(settings).verify(made, NOW_S)
    assert identity.expires_at_s == NOW_S + 90
    expected = ("u7", "Ada", "King Lovelace", "a@example.org", "o", "MEMBER")
    found = identity.person
    assert (found.id, found.first_name, found.last_name, found.email, found.org, found.role) == expected
    assert found.permissions == {"chat:delete:own", "poll:create"}


def test_a_minted_token_has_an_address_and_so_a_name() -> None:
    person = Verifier(SETTINGS).verify(mint(SETTINGS, user="ada")).person
    assert (person.email, person.first_name) == ("ada@example.org", "Ada")


def test_a_token_that_would_be_refused_is_not_minted() -> None:
    with pytest.raises(ConfigError, match="token_claims"):
        mint(SETTINGS, user="two words")


def test_a_token_can_only_be_made_where_the_private_key_is(tmp_path: Path) -> None:
    settings, _ = keys(tmp_path, "ES256")
    public_only = AuthSection(algorithm="ES256", public_key_file=settings.public_key_file)
    with pytest.raises(ConfigError, match="only be made where the private key is"):
        mint(public_only, user="u1")


def test_a_minted_token_names_the_key_that_checks_it(tmp_path: Path) -> None:
    settings, _ = keys(tmp_path, "ES256")
    assert settings.private_key_file
    mine = load_pem_private_key(settings.private_key_file.read_bytes(), None)
    both = jwks_settings(tmp_path, "ES256", {"keys": [jwk(MAKERS["ES256"](), "other"), jwk(mine, "mine")]})
    signing = AuthSection(algorithm="ES256", jwks_file=both.jwks_file, private_key_file=settings.private_key_file)
    assert jwt.get_unverified_header(mint(signing, user="u1"))["kid"] == "mine"
    foreign = jwks_settings(tmp_path, "ES256", {"keys": [jwk(MAKERS["ES256"](), "other")]})
    stranger = AuthSection(algorithm="ES256", jwks_file=foreign.jwks_file, private_key_file=settings.private_key_file)
    with pytest.raises(ConfigError, match="token_invalid"):
        mint(stranger, user="u1")
