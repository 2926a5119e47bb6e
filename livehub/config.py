"""The configuration: one TOML file and the environment, read strictly into `Settings`.

Whatever is wrong is told at once and in full: the file, the key, the value and what is allowed, so that an operator
mends it in one go. A key that does nothing is an error too, because a misspelt limit is no limit.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints
from urllib.parse import urlsplit

import attrs

from livehub.errors import ConfigError
from livehub.feature import Feature
from livehub.features import discover
from livehub.settings import DEVELOPMENT_SECRET, SECRET_BYTES_MIN, SECTIONS, AuthSection, Settings
from livehub.values import Values, from_environment, show

SYSTEM_FILE = Path("/etc/livehub/livehub.toml")
PREFIX = "LIVEHUB_"
PERMISSION_CHARS_MAX = 128
SECRET_WORDS = ("secret", "password", "token", "api_key")

Fault: TypeAlias = tuple[str, str]
"""A key and what is wrong with it, where several settings must fit together."""


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    features: Iterable[type[Feature]] | None = None,
    options: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    """Read the configuration; raises `ConfigError` with one line per fault.

    `options` are the command line's, by section and key; None is one that was not given. They win over all else and
    are checked like all else: `--host 0.0.0.0` must not slip past what is refused in a file.
    """
    environ = os.environ if environ is None else environ
    path = find(path, environ)
    reader = _Reader(path, sections(discover() if features is None else features))
    reader.take_file(_parse(path))
    reader.take_environment(environ)
    reader.take_options(options or {})
    return reader.settings()


def find(path: Path | None, environ: Mapping[str, str]) -> Path:
    """The file to read: the one named, `$LIVEHUB_CONFIG`, that of a checkout, or the system's."""
    if path is not None:
        return path
    if named := environ.get(f"{PREFIX}CONFIG"):
        return Path(named)
    for root in (Path.cwd(), Path(__file__).parents[1]):
        if _is_checkout(root):
            return root / "config" / "dev.toml"
    return SYSTEM_FILE


def sections(features: Iterable[type[Feature]]) -> dict[str, type[Any]]:
    """Every section of the file: those of `livehub.settings`, then one per feature that declares settings."""
    found = dict(SECTIONS)
    for feature in features:
        if feature.Settings is None:
            continue
        if feature.name in found:
            raise TypeError(f"the feature {feature.name} cannot have settings: there is a section of that name")
        found[feature.name] = feature.Settings
    return found


def fields(section: type[Any]) -> Iterator[tuple[attrs.Attribute[Any], Any]]:
    """The settings of a section with their types."""
    hints = get_type_hints(section)
    return ((field, hints[field.name]) for field in attrs.fields(section))


def is_secret(key: str) -> bool:
    """Whether the value of a setting is never shown."""
    return any(word in key for word in SECRET_WORDS) and not key.endswith("_file")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Reader:
    """Collects values and faults from the file and the environment, then builds `Settings` of them."""

    def __init__(self, path: Path, known: Mapping[str, type[Any]]) -> None:
        self._path = path
        self._known = known
        self._types = {name: {field.name: (field, kind) for field, kind in fields(known[name])} for name in known}
        self._values: dict[str, dict[str, Any]] = {name: {} for name in known}
        self._from: dict[tuple[str, str], str] = {}
        self._faults: list[str] = []
        self._faulty: set[str] = set()
        self._make = Values(_base(path)).make

    def take_file(self, raw: Mapping[str, Any]) -> None:
        for name, table in raw.items():
            if name not in self._known:
                what = "section" if isinstance(table, dict) else "section, and every setting stands in one"
                self._faults.append(f"{self._path}: [{name}] is no {what}{_nearest(name, self._known)}")
            elif not isinstance(table, dict):
                self._faults.append(f"{self._path}: {name} must be a section: [{name}]")
            else:
                for key, value in table.items():
                    self._take_key(name, key, value)

    def _take_key(self, section: str, key: str, value: Any) -> None:
        if key in self._types[section]:
            self._values[section][key] = value
        else:
            nearest = _nearest(key, self._types[section])
            self._faults.append(f"{self._path}: {section}.{key} is no setting{nearest}")

    def take_environment(self, environ: Mapping[str, str]) -> None:
        names = {
            f"{PREFIX}{section}__{key}".upper(): (section, key) for section, keys in self._types.items() for key in keys
        }
        for name in sorted(environ):
            if name in names:
                section, key = names[name]
                self._values[section][key] = from_environment(environ[name], self._types[section][key][1])
                self._from[section, key] = f"environment: {name}"
            elif name.startswith(PREFIX) and "__" in name:
                self._faults.append(f"environment: {name} is no setting{_nearest(name, names)}")

    def take_options(self, options: Mapping[tuple[str, str], Any]) -> None:
        for (section, key), value in options.items():
            if value is not None:
                self._values[section][key] = str(value.absolute()) if isinstance(value, Path) else value
                self._from[section, key] = "command line"

    def settings(self) -> Settings:
        """Build and check all; raise `ConfigError` with every fault found."""
        built = {name: self._section(name) for name in self._known}
        own = {name: built.pop(name) for name in SECTIONS}
        settings = Settings(**own, features=built, source=self._path)
        for section, check in _CHECKS.items():
            if section not in self._faulty:
                self._faults += [f"{self._where(section, key)}: {text}" for key, text in check(settings)]
        if self._faults:
            raise ConfigError("\n".join(self._faults))
        return settings

    def _section(self, name: str) -> Any:
        defaults = self._known[name]()
        structured: dict[str, Any] = {}
        for key, value in self._values[name].items():
            field, kind = self._types[name][key]
            try:
                made = self._make(value, kind, field.metadata)
            except ValueError as must_be:
                shown = "(not shown)" if is_secret(key) else show(value)
                self._faults.append(f"{self._where(name, key)}: {name}.{key} = {shown}, but it must be {must_be}")
                self._faulty.add(name)
            else:
                structured[key] = {**getattr(defaults, key), **made} if isinstance(made, dict) else made
        return self._known[name](**structured)

    def _where(self, section: str, key: str) -> str:
        return self._from.get((section, key), str(self._path))


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name one with --config or {PREFIX}CONFIG") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def _is_checkout(root: Path) -> bool:
    return (root / "pyproject.toml").is_file() and (root / "config" / "dev.toml").is_file()


def _base(path: Path) -> Path:
    """Relative paths start at the checkout whose `config/` holds the file, else where livehub was started:

    a checkout keeps its data to itself wherever one starts it from, and a service has absolute paths.
    """
    root = path.resolve().parent.parent
    return root if _is_checkout(root) else Path.cwd()


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; is {close[0]} meant?" if close else ""


def _check_server(settings: Settings) -> Iterator[Fault]:
    server = settings.server
    if not server.host or any(map(str.isspace, server.host)):
        yield "host", f"server.host = {show(server.host)}, but it must be an address or a name"
    if not (server.path.startswith("/") and server.path.endswith("/")) or set(server.path) & set("?# "):
        yield "path", f"server.path = {show(server.path)}, but it must start and end with /, without query or spaces"
    for origin in server.origins:
        if origin != "*" and not _host(origin):
            yield (
                "origins",
                f'server.origins has {show(origin)}, but an origin is "*" or like "https://example.org:8080"',
            )
    if server.public_url and not _host(server.public_url.rstrip("/")):
        yield (
            "public_url",
            f"server.public_url = {show(server.public_url)}, but it must be like https://live.example.org",
        )
    if (server.certfile is None) != (server.keyfile is None):
        given, missing = ("certfile", "keyfile") if server.certfile else ("keyfile", "certfile")
        yield given, f"server.{given} is set without server.{missing}, but TLS needs both"


def _host(url: str) -> str:
    """The host of `https://host:port`, or nothing for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    plain = parts.scheme in ("http", "https") and url == f"{parts.scheme}://{parts.netloc}" and "@" not in url
    return (parts.hostname or "") if plain and port != 0 else ""


def _check_auth(settings: Settings) -> Iterator[Fault]:
    yield from _check_keys(settings.auth)
    if settings.auth.secret == DEVELOPMENT_SECRET:
        for host in (settings.server.host, _host(settings.server.public_url.rstrip("/"))):
            if host and not is_loopback(host):
                yield "secret", f"auth.secret is the development secret, which everybody knows: refused on {host}"
    for role, permissions in settings.auth.roles.items():
        for permission in permissions:
            if not permission or len(permission) > PERMISSION_CHARS_MAX or any(map(str.isspace, permission)):
                yield "roles", f"auth.roles gives {role} {show(permission)}, which is no permission"


def _check_keys(auth: AuthSection) -> Iterator[Fault]:
    """Exactly one source of keys, and the right one for the algorithm."""
    files = [name for name in ("public_key_file", "jwks_file") if getattr(auth, name)]
    if auth.algorithm == "HS256":
        if not auth.secret:
            yield "secret", "auth.secret is missing: HS256 needs one; make it with: openssl rand -base64 48"
        elif len(auth.secret.encode()) < SECRET_BYTES_MIN:
            yield "secret", f"auth.secret is too short: HS256 needs at least {SECRET_BYTES_MIN} bytes"
        files += ["private_key_file"] if auth.private_key_file else []
        for name in files:
            yield name, f"auth.{name} has no place beside auth.algorithm = HS256, which uses auth.secret"
    else:
        if auth.secret:
            yield "secret", f"auth.secret has no place beside auth.algorithm = {auth.algorithm}, which uses a key file"
        if len(files) != 1:
            yield "algorithm", f"{auth.algorithm} needs exactly one of auth.public_key_file and auth.jwks_file"


_CHECKS: dict[str, Callable[[Settings], Iterator[Fault]]] = {"server": _check_server, "auth": _check_auth}
