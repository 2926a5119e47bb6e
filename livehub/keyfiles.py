"""Key files of asymmetric signatures: read once, and refused when they are weak or not what the algorithm needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from livehub.errors import ConfigError
from livehub.settings import AuthSection

RSA_BITS_MIN = 2_048

_JWK_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


def load_public(settings: AuthSection) -> dict[str, Any]:
    """The keys that tokens are checked with, by `kid`. A key under "" needs no `kid`."""
    if settings.public_key_file is not None:
        return {"": _public_pem(settings.public_key_file, settings.algorithm)}
    if settings.jwks_file is None:
        raise ConfigError(f"{settings.algorithm} needs auth.public_key_file or auth.jwks_file")
    return _jwks(settings.jwks_file, settings.algorithm)


def load_private(settings: AuthSection) -> Any:
    """The key that tokens are made with."""
    path = settings.private_key_file
    if path is None:
        raise ConfigError(
            f"a token can only be made where the private key is: auth.algorithm is {settings.algorithm}, "
            "and auth.private_key_file is not set"
        )
    try:
        key = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: is no private key without a password in PEM format: {error}") from None
    _check(key.public_key(), settings.algorithm, path)
    return key


def _public_pem(path: Path, algorithm: str) -> Any:
    try:
        key = load_pem_public_key(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path}: is no public key in PEM format: {error}") from None
    _check(key, algorithm, path)
    return key


def _jwks(path: Path, algorithm: str) -> dict[str, Any]:
    """The keys of a JWK set that are for checking signatures of this algorithm; others may stand beside them."""
    try:
        listed = orjson.loads(_read(path))["keys"]
        fitting = [key for key in listed if _is_for(key, algorithm)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f'{path}: is no JWK set: it must be JSON like {{"keys": [...]}}') from None
    if not fitting:
        raise ConfigError(f"{path}: holds no key for {algorithm}")
    found: dict[str, Any] = {}
    for data in fitting:
        kid = data.get("kid", "")
        if not isinstance(kid, str) or kid in found or (not kid and len(fitting) > 1):
            raise ConfigError(f"{path}: several keys for {algorithm} each need a kid of their own")
        if "d" in data:
            raise ConfigError(f"{path}: holds a private key ({kid or 'without kid'}); only public keys belong there")
        try:
            key = jwt.PyJWK(data, algorithm).key
        except (jwt.PyJWTError, ValueError) as error:
            raise ConfigError(f"{path}: the key {kid or 'without kid'} cannot be read: {error}") from None
        _check(key, algorithm, path)
        found[kid] = key
    return found


def _is_for(key: dict[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == _JWK_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and not (algorithm == "ES256" and key.get("crv") != "P-256")
        and not (algorithm == "EdDSA" and key.get("crv") != "Ed25519")
    )


def _check(key: Any, algorithm: str, path: Path) -> None:
    if algorithm == "RS256":
        fits = isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN
        needed = f"an RSA key of at least {RSA_BITS_MIN} bits"
    elif algorithm == "ES256":
        fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        needed = "a key on the curve P-256"
    else:
        fits = isinstance(key, ed25519.Ed25519PublicKey)
        needed = "an Ed25519 key"
    if not fits:
        raise ConfigError(f"{path}: {algorithm} needs {needed}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
