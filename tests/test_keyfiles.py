"""Key files that cannot do what the algorithm needs are refused when they are read, not at the first token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from livehub.errors import ConfigError
from livehub.keyfiles import load_private, load_public
from livehub.settings import Algorithm, AuthSection

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65_537, 2_048)
SHORT_RSA = rsa.generate_private_key(65_537, 1_024)


def public_file(folder: Path, key: Any) -> Path:
    path = folder / "public.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def private_file(folder: Path, key: Any, lock: KeySerializationEncryption | None = None) -> Path:
    path = folder / "private.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()))
    return path


def jwks_file(folder: Path, keys: Any) -> Path:
    path = folder / "jwks.json"
    path.write_bytes(orjson.dumps(keys))
    return path


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    kinds: dict[type, Any] = {
        rsa.RSAPublicKey: RSAAlgorithm,
        ec.EllipticCurvePublicKey: ECAlgorithm,
        ed25519.Ed25519PublicKey: OKPAlgorithm,
    }
    algorithm = next(maker for kind, maker in kinds.items() if isinstance(key, kind))
    return {**algorithm.to_jwk(key, as_dict=True), **more}


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("ES256", P256), ("EdDSA", ED)])
def test_a_fitting_key_is_loaded(tmp_path: Path, algorithm: Algorithm, key: Any) -> None:
    settings = AuthSection(
        algorithm=algorithm, public_key_file=public_file(tmp_path, key), private_key_file=private_file(tmp_path, key)
    )
    assert load_public(settings) == {"": key.public_key()}
    assert load_private(settings).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("algorithm", "key", "told"),
    [
        ("RS256", SHORT_RSA, "RS256 needs an RSA key of at least 2048 bits"),
        ("RS256", P256, "RS256 needs an RSA key"),
        ("ES256", P384, "ES256 needs a key on the curve P-256"),
        ("ES256", RSA, "ES256 needs a key on the curve P-256"),
        ("EdDSA", ed448.Ed448PrivateKey.generate(), "EdDSA needs an Ed25519 key"),
    ],
)
def test_a_weak_or_foreign_key_is_refused(tmp_path: Path, algorithm: Algorithm, key: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_public(AuthSection(algorithm=algorithm, public_key_file=public_file(tmp_path, key)))
    with pytest.raises(ConfigError, match=told):
        load_private(AuthSection(algorithm=algorithm, private_key_file=private_file(tmp_path, key)))


def test_a_jwk_set_gives_the_keys_for_the_algorithm_by_kid(tmp_path: Path) -> None:
    listed = [
        jwk(P256.public_key(), kid="a"),
        jwk(P256.public_key(), kid="b", use="sig", alg="ES256"),
        jwk(P256.public_key(), kid="encrypts", use="enc"),
        jwk(P384.public_key(), kid="curve"),
        jwk(RSA.public_key(), kid="rsa"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
    ]
    settings = AuthSection(algorithm="ES256", jwks_file=jwks_file(tmp_path, {"keys": listed}))
    assert load_public(settings) == {"a": P256.public_key(), "b": P256.public_key()}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([], "is no JWK set"),
        ({}, "is no JWK set"),
        ({"keys": 5}, "is no JWK set"),
        ({"keys": ["x"]}, "is no JWK set"),
        ({"keys": []}, "holds no key for EdDSA"),
        ({"keys": [jwk(RSA.public_key())]}, "holds no key for EdDSA"),
        ({"keys": [jwk(ED.public_key()), jwk(ED.public_key(), kid="a")]}, "each need a kid of their own"),
        ({"keys": [jwk(ED.public_key(), kid="a"), jwk(ED.public_key(), kid="a")]}, "each need a kid of their own"),
        ({"keys": [jwk(ED.public_key(), d="AAAA")]}, "holds a private key"),
        ({"keys": [jwk(ED.public_key(), kid="a", x="AAAA")]}, "the key a cannot be read"),
        ({"keys": [jwk(ED.public_key(), kid="a", x=5)]}, "the key a cannot be read"),
    ],
)
def test_a_jwk_set_that_cannot_be_used_is_refused(tmp_path: Path, keys: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_public(AuthSection(algorithm="EdDSA", jwks_file=jwks_file(tmp_path, keys)))


def test_files_that_are_not_keys_are_named(tmp_path: Path) -> None:
    locked = private_file(tmp_path, ED, BestAvailableEncryption(b"password"))
    with pytest.raises(ConfigError, match=r"private\.pem: is no private key without a password"):
        load_private(AuthSection(algorithm="EdDSA", private_key_file=locked))
    with pytest.raises(ConfigError, match=r"private\.pem: is no public key in PEM format"):
        load_public(AuthSection(algorithm="EdDSA", public_key_file=locked))
    with pytest.raises(ConfigError, match=r"none\.pem: cannot be read: No such file"):
        load_public(AuthSection(algorithm="EdDSA", public_key_file=tmp_path / "none.pem"))


def test_a_source_of_keys_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"needs auth\.public_key_file or auth\.jwks_file"):
        load_public(AuthSection(algorithm="EdDSA"))
    with pytest.raises(ConfigError, match="only be made where the private key is"):
        load_private(AuthSection(algorithm="EdDSA"))
