"""The certificate method: a chain up to a trusted certificate, valid today, for code signing.

model_signing 1.1 checks a chain as of the day on which the signing certificate became valid, so it accepts expired
ones. The format's section 8.2 asks for a certificate that is valid, and so does this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from cetacean_signing.bundle import LONGEST_CHAIN
from cetacean_signing.errors import KeyUnreadableError, SignatureError
from cetacean_signing.keys import CURVES, describe_key, is_supported, read_small_file

MOST_TRUSTED: Final = 256
"""Certificates in one file of trusted ones."""
UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for a certificate that it cannot read: some parts are only read when they are used."""
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a file, PEM.

    Raises:
        KeyUnreadableError: with the file and what it holds instead.
    """
    content = read_small_file(path, "certificates in PEM")
    try:
        found = tuple(x509.load_pem_x509_certificates(content))
    except UNREADABLE as error:
        raise KeyUnreadableError(f"{path}: expected certificates in PEM, got: {error}") from error
    if len(found) > MOST_TRUSTED:
        raise KeyUnreadableError(f"{path}: expected at most {MOST_TRUSTED} certificates, got {len(found)}")
    return found


def signing_key(
    chain: Sequence[bytes], trusted: Sequence[x509.Certificate], *, now: datetime
) -> tuple[ec.EllipticCurvePublicKey, str]:
    """Return the key that the first certificate of a chain certifies, and that certificate for people.

    Args:
        chain: DER; the certificate that signed, then those that issued it.
        trusted: where a chain may end.
        now: the time, aware of its zone.

    Raises:
        SignatureError: the chain cannot be read, leads to no trusted certificate, is expired, or is not for signing.
    """
    try:
        leaf, *others = (x509.load_der_x509_certificate(raw) for raw in chain)
        return _verified_key(leaf, others, trusted, now), describe(leaf)
    except SignatureError:
        raise
    except UNREADABLE as error:
        raise SignatureError(f"expected X.509 certificates, got: {error}") from error


def _verified_key(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], now: datetime
) -> ec.EllipticCurvePublicKey:
    key = leaf.public_key()
    _check_usage(leaf)
    if not is_supported(key):
        raise SignatureError(f"{describe(leaf)}: expected a key on {CURVES}, got {describe_key(key)}")
    _check_dates(leaf, now)
    policy = (
        PolicyBuilder()
        .store(Store(list(trusted)))
        .time(now)
        .max_chain_depth(LONGEST_CHAIN)
        .extension_policies(ca_policy=_issuer_policy(), ee_policy=ExtensionPolicy.permit_all())
    )
    try:
        policy.build_client_verifier().verify(leaf, list(others))
    except VerificationError as error:
        reason = str(error).rpartition("ValueError: ")[2]  # of the function below, if it is that one
        raise SignatureError(
            f"{describe(leaf)}: expected a chain to a trusted certificate, got none that holds: {reason}"
        ) from error
    return key


def describe(certificate: x509.Certificate) -> str:
    """Return subject and fingerprint of a certificate."""
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return f"certificate {certificate.subject.rfc4514_string() or 'without a subject'} (sha256:{digest})"


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not begin <= now <= end:
        raise SignatureError(
            f"{describe(leaf)}: expected one that is valid today, got one from {begin:%Y-%m-%d} to {end:%Y-%m-%d}: "
            "sign the weights again"
        )


def _check_usage(leaf: x509.Certificate) -> None:
    """Refuse a certificate for something else, such as one of a server that the same authority has issued."""
    usage, purposes = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    may_sign = usage is not None and usage.digital_signature
    for_code = purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING in purposes
    if not (may_sign or for_code) or (usage and not may_sign) or (purposes and not for_code):
        raise SignatureError(
            f"{describe(leaf)}: expected the key usage digitalSignature, and codeSigning if it names purposes"
        )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _issuer_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        # That it says cA is checked without a function of ours.
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_issue)
    )


def _may_issue(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the issuer may not sign certificates")
