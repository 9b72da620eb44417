"""The certificates by which servers are recognised: those that the system trusts, and those of a bundle besides.

The bundle is a file in PEM format, which the setting `fetch.ca_bundle` names. It never replaces the system's.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

import httpx

from cetacean_inference.errors import CABundleInvalid, ConfigInvalid
from cetacean_inference.messages import one_line, reason_of

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_CERTIFICATE: Final = re.compile(rf"{_BEGIN}[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----")


def trusted(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context for connections to servers.

    Args:
        ca_bundle: more certificates of authorities, None if there are none.

    Raises:
        ConfigInvalid: `SSL_CERT_FILE` or `SSL_CERT_DIR` of the environment cannot be used.
        CABundleInvalid: the bundle cannot be used.
    """
    context = _system_trust()
    if ca_bundle is not None:
        _add(context, _read(ca_bundle), ca_bundle)
    return context


def read_bundle(ca_bundle: Path) -> bytes:
    """Return the bundle's certificates in PEM format, and nothing else that the file holds.

    Raises:
        CABundleInvalid: the bundle cannot be used.
    """
    certificates = _read(ca_bundle)
    _add(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificates, ca_bundle)
    return "\n".join(certificates).encode()


def untrusted(name: str, reason: str) -> str:
    """Return the message about a server whose certificate is refused."""
    return (
        f"{name}: expected a certificate of a trusted authority, got one that is refused ({reason})"
        " - give the authority's certificate in spec.serving.caBundle"
    )


def _system_trust() -> ssl.SSLContext:
    variable = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigInvalid(
            f"{variable}: expected certificates in PEM format, got {os.environ.get(variable)}: {one_line(error)}"
        ) from error


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CABundleInvalid(
            f"{path}: expected certificates in PEM format, got an error: {reason_of(error)}"
            " - check the name and the key in spec.serving.caBundle"
        ) from error
    certificates = _CERTIFICATE.findall(text)
    if not certificates or len(certificates) != text.count(_BEGIN):
        raise CABundleInvalid(
            f"{path}: expected certificates in PEM format, "
            f"got {len(certificates)} that are complete out of {text.count(_BEGIN)} that begin"
        )
    return certificates


def _add(context: ssl.SSLContext, certificates: list[str], path: Path) -> None:
    for number, certificate in enumerate(certificates, start=1):
        try:
            context.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(certificate))
        except (ssl.SSLError, ValueError) as error:
            raise CABundleInvalid(
                f"{path}: expected certificates in PEM format, got a fault in number {number} "
                f"of {len(certificates)}: {one_line(error)}"
            ) from error
