"""Each finding says what is wrong on this machine and how to mend it."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from livehub import check
from livehub.check import Finding, run_checks
from livehub.settings import DEVELOPMENT_SECRET, AuthSection, ServerSection, Settings, StoreSection

SECRET = "0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000.0


def test_a_machine_in_order_has_nothing_but_good_findings(tmp_path: Path, free_port: int) -> None:
    settings = Settings(
        server=ServerSection(port=free_port), auth=AuthSection(secret=SECRET), store=StoreSection(data=tmp_path)
    )
    findings = [finding for finding in run_checks(settings) if finding.name != "descriptors"]
    assert [finding.name for finding in findings] == ["keys", "data", "space", "port", "clock"]
    assert all(finding.ok and not finding.fix for finding in findings)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_every_fault_says_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(
        server=ServerSection(host="192.0.2.1", certfile=tmp_path / "c", keyfile=tmp_path / "k"),
        auth=AuthSection(algorithm="RS256", public_key_file=tmp_path / "none"),
        store=StoreSection(data=tmp_path / "file"),
    )
    faults = [finding for finding in run_checks(settings) if not finding.ok]
    assert {finding.name for finding in faults} >= {"keys", "data", "port", "certificate"}
    assert all(finding.fix for finding in faults)


def test_keys_that_cannot_be_read_are_a_fault(tmp_path: Path) -> None:
    settings = Settings(auth=AuthSection(algorithm="EdDSA", public_key_file=tmp_path / "none.pem"))
    [finding] = check.check_keys(settings)
    assert not finding.ok
    assert "none.pem: cannot be read" in finding.text


def test_the_development_secret_starts_but_is_worth_changing() -> None:
    [finding] = check.check_keys(Settings(auth=AuthSection(secret=DEVELOPMENT_SECRET)))
    assert finding.ok
    assert "openssl rand" in finding.fix


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o640, True), (0o644, False)])
def test_a_file_with_a_secret_is_not_for_everybody(tmp_path: Path, mode: int, fine: bool) -> None:
    path = tmp_path / "livehub.toml"
    path.write_text(f'[auth]\nsecret = "{SECRET}"')
    path.chmod(mode)
    [finding] = check.check_config_file(Settings(auth=AuthSection(secret=SECRET), source=path))
    assert finding.ok
    assert (not finding.fix) is fine
    assert SECRET not in finding.text


def test_a_file_without_a_secret_may_be_read(tmp_path: Path) -> None:
    path = tmp_path / "livehub.toml"
    path.touch(0o644)
    [finding] = check.check_config_file(Settings(auth=AuthSection(secret=SECRET), source=path))
    assert finding.ok
    assert not list(check.check_config_file(Settings(auth=AuthSection(secret=SECRET))))


def test_a_data_directory_that_can_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    data, *_ = check.check_data(StoreSection(data=path))
    assert data == Finding("data", True, f"{path} can be made")
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_cannot_be_written_is_a_fault() -> None:
    [finding] = check.check_data(StoreSection(data=Path("/proc/livehub")))
    assert not finding.ok
    assert "mkdir -p /proc/livehub" in finding.fix


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [finding] = check.check_data(StoreSection(data=tmp_path / "file"))
    assert "not a directory" in finding.text


def test_memory_needs_no_directory() -> None:
    [finding] = check.check_data(StoreSection(kind="memory", data=Path("/proc/livehub")))
    assert finding.ok


def test_a_full_disk_is_a_fault(tmp_path: Path) -> None:
    assert not check.check_space(tmp_path, 99_000_000).ok
    assert check.check_space(tmp_path, 200_000_000).ok


def test_the_filesystem_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nhost:/x {tmp_path} nfs4 rw 0 0\ntmpfs {tmp_path}/a\\040b tmpfs rw 0 0\n"
    )
    (tmp_path / "a b").mkdir()
    assert check.filesystem(tmp_path / "data", mounts) == "nfs4"
    assert check.filesystem(tmp_path / "a b" / "c", mounts) == "tmpfs"
    assert check.filesystem(Path("/"), mounts) == "ext4"
    assert check.filesystem(Path("/"), tmp_path / "none") == ""


def test_a_network_filesystem_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "filesystem", lambda path, mounts: "nfs4")
    finding = list(check.check_data(StoreSection(data=tmp_path)))[-1]
    assert (finding.name, finding.ok) == ("filesystem", False)


def test_too_few_descriptors_are_a_fault_with_the_number_needed() -> None:
    finding = check.check_descriptors(15_000, (1_024, 4_096))
    assert not finding.ok
    assert "LimitNOFILE=15200" in finding.fix
    assert "limits.connections_max to 824" in finding.fix
    assert check.check_descriptors(15_000, (15_200, 15_200)).ok
    assert check.check_descriptors(15_000, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)).ok


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_says_how_to_find_by_whom(taken_port: int) -> None:
    finding = check.check_port(ServerSection(port=taken_port))
    assert not finding.ok
    assert f"ss -ltnp 'sport = :{taken_port}'" in finding.fix


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a..b"])
def test_an_address_of_another_machine_is_a_fault(host: str) -> None:
    finding = check.check_port(ServerSection(host=host))
    assert not finding.ok
    assert "an address of this machine" in finding.fix


def test_a_privileged_port_names_the_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert "CAP_NET_BIND_SERVICE" in check.check_port(ServerSection(port=443)).fix


def certificate(folder: Path, days: float, lock: bytes = b"") -> ServerSection:
    """A self-signed certificate that ends `days` after `NOW_S`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "live.example.org")])
    end = datetime.fromtimestamp(NOW_S, UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=90))
        .not_valid_after(end)
        .sign(key, SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    locking = BestAvailableEncryption(lock) if lock else NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locking))
    return ServerSection(certfile=folder / "cert.pem", keyfile=folder / "key.pem")


@pytest.mark.parametrize(
    ("days", "ok", "told", "fix"),
    [
        (60, True, "valid until", ""),
        (10, True, "valid until", "renew it soon"),
        (-1, False, "expired", "renew it"),
        (120, False, "not valid before", "set this machine's clock, or wait"),
    ],
)
def test_a_certificate_is_valid_now_and_for_a_while(tmp_path: Path, days: float, ok: bool, told: str, fix: str) -> None:
    [finding] = check.check_certificate(certificate(tmp_path, days), NOW_S)
    assert (finding.ok, finding.fix) == (ok, fix)
    assert told in finding.text


def test_a_certificate_that_cannot_be_used_is_a_fault(tmp_path: Path) -> None:
    good = certificate(tmp_path, 60)
    assert good.certfile
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", 60)
    (tmp_path / "locked").mkdir()
    locked = certificate(tmp_path / "locked", 60, b"password")
    for server in (
        ServerSection(certfile=tmp_path / "none.pem", keyfile=good.keyfile),
        ServerSection(certfile=good.certfile, keyfile=other.keyfile),
        ServerSection(certfile=good.keyfile, keyfile=good.keyfile),
        locked,
    ):
        [finding] = check.check_certificate(server, NOW_S)
        assert not finding.ok
        assert "PEM files that belong together" in finding.fix


def test_plain_http_needs_no_certificate() -> None:
    assert list(check.check_certificate(ServerSection(), NOW_S)) == []


def test_a_clock_that_was_never_set_is_a_fault(tmp_path: Path) -> None:
    assert "never set" in check.check_clock(StoreSection(data=tmp_path), 0.0).text


def test_a_clock_behind_the_data_is_a_fault(tmp_path: Path) -> None:
    store = StoreSection(data=tmp_path)
    path = tmp_path / "log"
    path.touch()
    os.utime(path, (NOW_S, NOW_S))
    assert check.check_clock(store, NOW_S + 1).ok
    assert "later than that" in check.check_clock(store, NOW_S - 3_600).text
