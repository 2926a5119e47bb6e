"""Whom a run trusts under TLS: the system's certificates, a file of one's own (`--ca`), or anybody (`--insecure`).

A server under test often has a certificate that no authority has signed. Checking costs a connection the same as ever,
so `--ca` is the way to measure; `--insecure` is for a quick look.
"""

from __future__ import annotations

import ssl


class NotTrusted(ValueError):
    """A file that holds no certificates; the text says which."""


def context(ca: str = "", *, insecure: bool = False) -> ssl.SSLContext:
    """For `https://` hosts. Raises NotTrusted."""
    try:
        made = ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NotTrusted(f"{ca} holds no certificates: {error}") from error
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
