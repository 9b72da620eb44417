"""The keys and certificates that a signature must come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from cetacean_signing.certificates import load_certificates
from cetacean_signing.keys import fingerprint, load_public_key


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and the file that it was read from."""

    path: Path
    key: ec.EllipticCurvePublicKey
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Trust:
    """One of the keys must have signed, or a certificate with a chain to one of the certificates."""

    keys: tuple[TrustedKey, ...] = ()
    certificates: tuple[x509.Certificate, ...] = ()


def load_trust(*, keys: Iterable[Path] = (), certificates: Iterable[Path] = ()) -> Trust:
    """Read files of public keys, one in each, and of certificates.

    Raises:
        KeyUnreadableError: one cannot be read.
    """
    loaded = ((path, load_public_key(path)) for path in keys)
    return Trust(
        tuple(TrustedKey(path, key, fingerprint(key)) for path, key in loaded),
        tuple(certificate for path in certificates for certificate in load_certificates(path)),
    )
