"""What an operator can set: one frozen class per section of the configuration file, each field declared once.

A field's declaration is its default, its check, the text of its refusal and its lines in `config/livehub.toml`.
Features declare their own sections beside their code; `livehub.config` reads the file into all of this.
Sections can be made without a file (`EngineSection()`), so that parts are tested without one.
"""

# ruff: noqa: RUF009 - `setting` is an attrs.field

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

import attrs

from livehub.payload import setting

DEVELOPMENT_SECRET = "livehub-development-secret-that-everybody-knows"  # noqa: S105 - known on purpose
"""Signs the tokens of `config/dev.toml`. Refused wherever others could connect."""

SECRET_BYTES_MIN = 32
"""RFC 7518, section 3.2: an HS256 key is at least as long as the hash."""

Algorithm: TypeAlias = Literal["HS256", "RS256", "ES256", "EdDSA"]

HOUR_MS = 3_600_000
DAY_S = 86_400

MEMBER = ("chat:delete:own",)
ROLES: dict[str, tuple[str, ...]] = {
    "OWNER": ("*",),
    "ADMIN": (
        "poll:create",
        "poll:manage",
        "qna:moderate",
        "chat:delete:own",
        "chat:delete:any",
        "content:manage",
        "dashboard:read:live",
        "sessions:manage",
        "users:manage",
    ),
    "MEMBER": MEMBER,
    "MODERATOR": (*MEMBER, "qna:moderate", "chat:delete:any", "poll:manage"),
    "SPEAKER": (*MEMBER, "content:manage", "poll:create"),
}
"""Contract 1, section 14, with points 18 and 26 of what was settled. `"*"` stands for every permission."""


def _secret_setting(*, help: str) -> Any:  # noqa: A002 - as in `setting`
    """A setting that no `repr` shows."""
    metadata = {"help": help, "unit": "", "least": None, "most": None, "choices": None}
    return attrs.field(default="", repr=False, metadata=metadata)


@attrs.frozen
class ServerSection:
    """Where livehub listens, and how it stops."""

    host: str = setting("127.0.0.1", help="address to listen on; 0.0.0.0 or :: for every network")
    port: int = setting(
        3002, least=0, most=65_535, help="TCP port for everything: sockets, REST, console, metrics; 0: any free one"
    )
    path: str = setting("/socket.io/", help="path of the Socket.IO endpoint, as clients have it in their `path` option")
    origins: tuple[str, ...] = setting(
        (),
        help='web origins whose pages may connect besides livehub\'s own, such as "https://example.org"; "*" for all',
    )
    certfile: Path | None = setting(None, help="TLS certificate with its chain, PEM; empty for plain HTTP")
    keyfile: Path | None = setting(None, help="private key of the certificate, PEM")
    trust_proxy: bool = setting(
        False,
        help="believe the last entries of X-Forwarded-For, -Proto and -Host; only behind a proxy that sets them, or "
        "clients can pretend",
    )
    public_url: str = setting(
        "", help="address that people open, such as https://live.example.org; empty: the one that a request came to"
    )
    shutdown_deadline_s: float = setting(
        10.0, unit="seconds", least=0, most=600, help="how long stopping may take before what is left is cut off"
    )
    shutdown_jitter_s: float = setting(
        2.0,
        unit="seconds",
        least=0,
        most=60,
        help="span over which clients are sent away, so that they do not return at once",
    )


@attrs.frozen
class EngineSection:
    """Engine.IO: heartbeats, time and size of what clients may send and are sent."""

    ping_interval_ms: int = setting(
        25_000, unit="ms", least=100, most=HOUR_MS, help="from one heartbeat of a client to the next ping"
    )
    ping_timeout_ms: int = setting(
        20_000, unit="ms", least=100, most=HOUR_MS, help="how long a client may take to answer a ping"
    )
    upgrade_timeout_ms: int = setting(
        10_000, unit="ms", least=100, most=120_000, help="how long moving from polling to a WebSocket may take"
    )
    connect_timeout_ms: int = setting(
        45_000,
        unit="ms",
        least=100,
        most=600_000,
        help="how long a client may be connected without joining a namespace",
    )
    handshake_timeout_s: float = setting(
        10.0, unit="seconds", least=0.1, most=120, help="how long a client may take to send a request's head or body"
    )
    max_payload_bytes: int = setting(
        65_536, unit="bytes", least=1_024, most=100_000_000, help="largest message or polling request of a client"
    )
    packets_per_turn: int = setting(
        32, unit="packets", least=1, most=10_000, help="packets of one client served before the others get their turn"
    )
    outbox_bytes_max: int = setting(
        1_048_576,
        unit="bytes",
        least=524_288,
        most=1 << 30,
        help="most that may wait for a slow client before it is cut off",
    )
    flush_ms: int = setting(
        10,
        unit="ms",
        least=0,
        most=1_000,
        help="longest that a broadcast waits for company under load; 0 joins nothing",
    )


@attrs.frozen
class AuthSection:
    """Whose tokens are believed, and what each role may do. One source of keys: a secret, a key file or a JWKS file."""

    secret: str = _secret_setting(
        help="HS256: shared with the issuer of tokens; at least 32, e.g. from: openssl rand -base64 48"
    )
    algorithm: Algorithm = setting("HS256", help="how tokens are signed; a token's own header never decides this")
    public_key_file: Path | None = setting(None, help="RS256, ES256, EdDSA: the issuer's public key, PEM")
    private_key_file: Path | None = setting(None, help="RS256, ES256, EdDSA: only for `livehub token`, PEM")
    jwks_file: Path | None = setting(None, help="RS256, ES256, EdDSA: the issuer's public keys, a JWK set")
    audience: str = setting("", help="what tokens must name as `aud`; empty: not looked at")
    issuer: str = setting("", help="what tokens must name as `iss`; empty: not looked at")
    leeway_s: float = setting(30.0, unit="seconds", least=0, most=600, help="how far the issuer's clock may be off")
    expiry_grace_s: float = setting(
        30.0, unit="seconds", least=0, most=DAY_S, help="how long a connection may outlive its token"
    )
    roles: Mapping[str, tuple[str, ...]] = setting(
        ROLES,
        help='permissions of each role, besides those in the token; "*" is all; roles not named keep their default',
    )


@attrs.frozen
class StoreSection:
    """Where the log is kept."""

    data: Path = setting(Path("/var/lib/livehub"), help="directory of the data; a new directory is a new log")
    kind: Literal["sqlite", "memory"] = setting("sqlite", help="memory forgets everything at the end: for trials")
    durability: Literal["disk", "os"] = setting(
        "disk", help="disk: what was acknowledged survives a power cut; os: it survives a crash of livehub only"
    )


@attrs.frozen
class ReplaySection:
    """What clients that come back are told of what they missed."""

    window_h: float = setting(24.0, unit="hours", least=0, most=720, help="how far back a client may catch up")
    max_facts: int = setting(
        10_000,
        unit="facts",
        least=0,
        most=1_000_000,
        help="most that are replayed; beyond it, a snapshot is sent instead",
    )


@attrs.frozen
class RoomsSection:
    """Rooms in memory."""

    idle_close_s: float = setting(
        60.0, unit="seconds", least=0.1, most=DAY_S, help="how long an empty room stays in memory"
    )
    inbox_asks_max: int = setting(
        10_000, unit="asks", least=1, most=1_000_000, help="asks that may wait in one room before more are refused"
    )
    open_max: int = setting(10_000, unit="rooms", least=1, most=1_000_000, help="rooms that may be open at once")


@attrs.frozen
class LimitsSection:
    """What one client, one person and one address may take."""

    enabled: bool = setting(True, help="false switches every rate off, for load tests; sizes still hold")
    connections_max: int = setting(
        15_000,
        unit="connections",
        least=1,
        most=1_000_000,
        help="connections at once; beyond it, newcomers get HTTP 503",
    )
    connections_per_user_max: int = setting(
        20, unit="connections", least=1, most=1_000_000, help="connections of one person at once"
    )
    handshakes_per_address_per_s: int = setting(
        200, unit="per second", least=1, most=1_000_000, help="new connections from one address; a venue is one address"
    )


@attrs.frozen
class PrivacySection:
    """What people learn of each other."""

    share_emails: bool = setting(False, help="show e-mail addresses to everybody, not only to moderators")


@attrs.frozen
class LogSection:
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", help="least important lines that are written")
    format: Literal["text", "json"] = setting("text", help="text for people, json for collectors")


@attrs.frozen
class RuntimeSection:
    """Python: collecting costs half as much with these, and a busy loop does not starve the thread that commits."""

    gc_freeze: bool = setting(True, help="exempt what is there after the start from collection")
    switch_interval_ms: float = setting(
        0.2, unit="ms", least=0.01, most=100, help="how long one thread may keep the interpreter from the others"
    )
    gc_threshold: tuple[int, int, int] = setting(
        (100_000, 50, 1_000), least=0, most=100_000_000, help="thresholds of the three generations"
    )


@attrs.frozen
class Settings:
    """All of it. `features` holds each feature's own section by name; `source` is the file, if there was one."""

    server: ServerSection = attrs.field(factory=ServerSection)
    engine: EngineSection = attrs.field(factory=EngineSection)
    auth: AuthSection = attrs.field(factory=AuthSection)
    store: StoreSection = attrs.field(factory=StoreSection)
    replay: ReplaySection = attrs.field(factory=ReplaySection)
    rooms: RoomsSection = attrs.field(factory=RoomsSection)
    limits: LimitsSection = attrs.field(factory=LimitsSection)
    privacy: PrivacySection = attrs.field(factory=PrivacySection)
    log: LogSection = attrs.field(factory=LogSection)
    runtime: RuntimeSection = attrs.field(factory=RuntimeSection)
    features: Mapping[str, Any] = attrs.field(factory=dict)
    source: Path | None = None


SECTIONS: dict[str, type[Any]] = {name: kind for name, kind in get_type_hints(Settings).items() if attrs.has(kind)}
"""The sections that are not a feature's, in the order of the file."""
