"""Write signatures, which model_signing verifies too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cetacean_signing.bundle import (
    LONGEST_CHAIN,
    Bundle,
    CertificateChain,
    Envelope,
    EnvelopeSignature,
    KeyIdentifier,
    RawCertificate,
    VerificationMaterial,
    pre_authentication_encoding,
)
from cetacean_signing.certificates import UNREADABLE, load_certificates
from cetacean_signing.errors import KeyUnreadableError
from cetacean_signing.keys import HASHES, fingerprint, load_private_key
from cetacean_signing.statement import Statement


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key; with a chain its certificate signs, else the key itself."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()


def load_signer(key: Path, *, passphrase: bytes | None = None, chain: Path | None = None) -> Signer:
    """Read a private key and its certificates: first its own, then those that issued it.

    Raises:
        KeyUnreadableError: a file cannot be read, or the first certificate is of another key.
        TypeError: the key is encrypted and `passphrase` is None, or the reverse.
    """
    private = load_private_key(key, passphrase=passphrase)
    certificates = load_certificates(chain) if chain else ()
    try:
        is_certified = not certificates or certificates[0].public_key() == private.public_key()
    except UNREADABLE as error:
        raise KeyUnreadableError(f"{chain}: expected certificates in PEM, got: {error}") from error
    if not is_certified:
        raise KeyUnreadableError(f"{chain}: expected the certificate of {key} first, got one of another key")
    if len(certificates) > LONGEST_CHAIN:
        raise KeyUnreadableError(f"{chain}: expected at most {LONGEST_CHAIN} certificates, got {len(certificates)}")
    return Signer(private, certificates)


def sign(files: Mapping[str, str], signer: Signer, *, subject: str) -> bytes:
    """Return the content of a signature's file.

    Args:
        files: SHA-256 of each file, 64 hex digits, by its path relative to the folder that is signed.
        signer: who signs.
        subject: the folder's name, for people.
    """
    payload = Statement.of(files, subject=subject).to_json()
    raw = signer.key.sign(pre_authentication_encoding(payload), ec.ECDSA(HASHES[signer.key.curve.name]))
    if signer.chain:
        ders = (certificate.public_bytes(Encoding.DER) for certificate in signer.chain)
        chain = CertificateChain(certificates=tuple(RawCertificate(raw_bytes=der) for der in ders))
        material = VerificationMaterial(x509_certificate_chain=chain)
    else:
        material = VerificationMaterial(public_key=KeyIdentifier(hint=fingerprint(signer.key.public_key())))
    envelope = Envelope(
        payload=payload, payload_type="application/vnd.in-toto+json", signatures=(EnvelopeSignature(sig=raw),)
    )
    return Bundle(
        media_type="application/vnd.dev.sigstore.bundle.v0.3+json",
        verification_material=material,
        dsse_envelope=envelope,
    ).to_json()
