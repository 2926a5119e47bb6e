"""Whom a run trusts: somebody in particular, the system's authorities, or anybody."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from loadtest.trust import NotTrusted, context


def test_names_and_certificates_are_checked_unless_anybody_is_trusted() -> None:
    assert (context().verify_mode, context().check_hostname) == (ssl.CERT_REQUIRED, True)
    anybody = context(insecure=True)
    assert (anybody.verify_mode, anybody.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_without_certificates_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(text)
    with pytest.raises(NotTrusted, match=r"ca\.pem holds no certificates"):
        context(str(path))
