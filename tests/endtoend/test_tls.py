"""TLS on the same port: wss and https polling with a certificate of one's own, and whoever forgets the s."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.endtoend.node import Node
from tests.endtoend.stage import Stage, texts
from tests.endtoend.wire import Gone, connected
from tests.harness import Server

VALID = datetime.timedelta(days=1)


def _make_certificate(directory: Path) -> dict[str, str]:
    """A self-signed certificate for 127.0.0.1: settings for [server]."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "livehub test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certfile, keyfile = directory / "cert.pem", directory / "key.pem"
    certfile.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    keyfile.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    keyfile.chmod(0o600)
    return {"certfile": str(certfile), "keyfile": str(keyfile)}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks nothing but TLS."""
    directory = tmp_path_factory.mktemp("tls")
    with Server(directory, {"server": _make_certificate(directory)}) as server:
        assert server.url.startswith("https://")
        yield server


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")], ids="+".join)
async def test_clients_chat_over_tls(secure: Server, node: Node, transports: tuple[str, ...]) -> None:
    stage = Stage(secure, node)
    ada, grace = [await stage.enter(person, transports=transports) for person in ("ada", "grace")]
    if len(transports) > 1:
        await ada.reported("upgrade")
    text = "👍" * 1_000
    await stage.send(ada, text)
    assert texts(await grace.heard("chat.message.new")) == [text]
    grace.drop()
    await stage.send(ada, "missed")
    assert (await grace.acknowledged(2))["recovered"] is True
    assert texts(await grace.heard("chat.message.new", 2)) == [text, "missed"]


async def test_a_client_without_tls_is_ended_and_disturbs_nobody(secure: Server, node: Node) -> None:
    async with connected(secure) as plain:
        await plain.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(Gone):
            await plain.fill(1 << 20)
    await Stage(secure, node).enter("ada")
    assert "Traceback" not in secure.log
