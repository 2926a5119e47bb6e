"""`livehub check`: everything outside livehub that a start depends on, each fault with how to mend it.

The checks look and touch nothing but an empty file in the data directory, which they take away again.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import ssl
import stat
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
from cryptography import x509

from livehub.auth import Verifier
from livehub.errors import ConfigError
from livehub.settings import DEVELOPMENT_SECRET, ServerSection, Settings, StoreSection

FREE_BYTES_MIN = 100 * 1024 * 1024
SPARE_DESCRIPTORS = 200
"""Besides one per connection: the log, HTTP clients being served, worker threads."""

CERTIFICATE_DAYS_MIN = 14
CLOCK_EARLIEST_S = 1_767_225_600
"""2026-01-01: a clock before that was never set."""

CLOCK_BACK_S = 60
NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"}
)


@attrs.frozen
class Finding:
    """One thing that was looked at. What is not `ok` stands in the way of a start, and `fix` says how to mend it;

    what is `ok` and has a `fix` all the same is worth mending soon.
    """

    name: str
    ok: bool
    text: str
    fix: str = ""


def run_checks(settings: Settings) -> list[Finding]:
    """Look at everything; the settings themselves were checked when they were read."""
    return [
        *check_keys(settings),
        *check_config_file(settings),
        *check_data(settings.store),
        check_descriptors(settings.limits.connections_max, resource.getrlimit(resource.RLIMIT_NOFILE)),
        check_port(settings.server),
        *check_certificate(settings.server, time.time()),
        check_clock(settings.store, time.time()),
    ]


def check_keys(settings: Settings) -> Iterator[Finding]:
    """The keys can be read, and are not the one that everybody knows."""
    try:
        Verifier(settings.auth)
    except ConfigError as error:
        yield Finding("keys", False, str(error), "name a key of the token's issuer in [auth]")
        return
    if settings.auth.secret == DEVELOPMENT_SECRET:
        fix = "set auth.secret before others can connect: openssl rand -base64 48"
        yield Finding("keys", True, "tokens are signed with the development secret", fix)
    else:
        yield Finding("keys", True, f"tokens are checked with {settings.auth.algorithm}")


def check_config_file(settings: Settings) -> Iterator[Finding]:
    """A file with a secret in it is for livehub alone."""
    path, secret = settings.source, settings.auth.secret
    if path is None or not secret or secret == DEVELOPMENT_SECRET or not path.is_file():
        return
    if secret in path.read_text("utf-8") and path.stat().st_mode & stat.S_IROTH:
        fix = f"chown livehub {path} && chmod 600 {path}"
        told = f"everybody on this machine can read the secret in {path}"
        yield Finding("configuration", True, told, fix)
    else:
        yield Finding("configuration", True, f"{path} is in order")


def check_data(store: StoreSection) -> Iterator[Finding]:
    """The data directory is there or can be made, can be written, has room, and is on a disk of this machine."""
    if store.kind == "memory":
        yield Finding("data", True, "nothing is kept: store.kind is memory")
        return
    path = store.data
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        fix = f"mkdir -p {path} && chown livehub {path}, or set store.data to a directory that livehub may write"
        yield Finding("data", False, f"{there} cannot be written: {error.strerror}", fix)
        return
    yield Finding("data", True, f"{path} can be written" if there == path else f"{path} can be made")
    yield check_space(there, shutil.disk_usage(there).free)
    kind = filesystem(there, Path("/proc/mounts"))
    if kind in NETWORK_FILESYSTEMS:
        fix = "set store.data to a directory on a disk of this machine"
        yield Finding("filesystem", False, f"{there} is on a network ({kind}), where SQLite's log can be damaged", fix)


def check_space(path: Path, free_bytes: int) -> Finding:
    """There is room for an event's worth of facts."""
    free = f"{free_bytes / 1e6:,.0f} MB free at {path}"
    if free_bytes < FREE_BYTES_MIN:
        return Finding("space", False, f"only {free}", f"free some; {FREE_BYTES_MIN / 1e6:,.0f} MB is the least")
    return Finding("space", True, free)


def filesystem(path: Path, mounts: Path) -> str:
    """The kind of filesystem that a path is on, or nothing where that is not known."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    found = [(Path(line.split()[1].replace("\\040", " ")), line.split()[2]) for line in lines]
    around = [(len(point.parts), kind) for point, kind in found if path.resolve().is_relative_to(point)]
    return max(around, key=lambda entry: entry[0], default=(0, ""))[1]


def check_descriptors(connections_max: int, limit: tuple[int, int]) -> Finding:
    """Every connection is an open file."""
    soft, _ = limit
    needed = connections_max + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        fix = (
            f"under systemd: LimitNOFILE={needed} in the unit; in a shell: ulimit -n {needed}; "
            f"or lower limits.connections_max to {max(1, soft - SPARE_DESCRIPTORS)}"
        )
        told = f"{soft} files may be open, but {connections_max} connections need {needed}"
        return Finding("descriptors", False, told, fix)
    return Finding("descriptors", True, f"enough open files for {connections_max} connections")


def check_port(server: ServerSection) -> Finding:
    """Nobody else listens there, and livehub may."""
    where = f"{server.host}:{server.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except (OSError, ValueError) as error:  # a name that cannot be one is a ValueError
        return Finding("port", False, f"cannot listen on {where}: {_reason(error)}", _port_fix(server, error))
    return Finding("port", True, f"{where} is free")


def _port_fix(server: ServerSection, error: OSError | ValueError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"see who has it (livehub itself?) with: ss -ltnp 'sport = :{server.port}'; or change server.port"
    if number in (errno.EACCES, errno.EPERM):
        return "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit; or change server.port"
    return "set server.host to an address of this machine; see them with: ip address"


def check_certificate(server: ServerSection, now_s: float) -> Iterator[Finding]:
    """The certificate can be read, fits its key, and is valid for a while."""
    if server.certfile is None or server.keyfile is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            server.certfile,
            server.keyfile,
            password=lambda: b"",  # else OpenSSL asks on the terminal
        )
        certificate = x509.load_pem_x509_certificate(server.certfile.read_bytes())
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        fix = "server.certfile and server.keyfile must be PEM files that belong together and that livehub may read"
        yield Finding("certificate", False, f"{server.certfile}, {server.keyfile}: {_reason(error)}", fix)
        return
    now = datetime.fromtimestamp(now_s, UTC)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    until = f"the certificate is valid until {end:%Y-%m-%d}"
    if now >= end:
        yield Finding("certificate", False, f"the certificate expired on {end:%Y-%m-%d}", "renew it")
    elif now < start:
        fix = "set this machine's clock, or wait"
        yield Finding("certificate", False, f"the certificate is not valid before {start:%Y-%m-%d}", fix)
    elif (end - now).days < CERTIFICATE_DAYS_MIN:
        yield Finding("certificate", True, until, "renew it soon")
    else:
        yield Finding("certificate", True, until)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def check_clock(store: StoreSection, now_s: float) -> Finding:
    """Tokens expire and facts are dated by this machine's clock."""
    shown = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M} UTC"
    fix = "set it, best with: timedatectl set-ntp true"
    if now_s < CLOCK_EARLIEST_S:
        return Finding("clock", False, f"the clock was never set: it says {shown}", fix)
    latest_s = max(map(_written_s, store.data.glob("*") if store.kind == "sqlite" else ()), default=0.0)
    if now_s < latest_s - CLOCK_BACK_S:
        return Finding("clock", False, f"the clock says {shown}, but {store.data} was written later than that", fix)
    return Finding("clock", True, f"the clock says {shown}")


def _written_s(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
