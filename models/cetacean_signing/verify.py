"""Verify a signature: who has signed, and that the files are those that were signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cetacean_signing.bundle import Bundle, CertificateChain, KeyIdentifier
from cetacean_signing.certificates import signing_key
from cetacean_signing.errors import SignatureError
from cetacean_signing.keys import is_signed_by
from cetacean_signing.statement import Statement
from cetacean_signing.trust import Trust

LARGEST_BUNDLE: Final = 2**21
"""Bytes of a signature's file; one of 4096 files has less."""
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds."""

    signer: str
    """The key or the certificate, for people."""
    names: frozenset[str]
    """All files that it covers, also those that were not asked for."""


def verify(content: bytes, trust: Trust, files: Mapping[str, str], *, now: datetime | None = None) -> Verified:
    """Verify that a trusted key has signed the files.

    Args:
        content: the signature's file.
        trust: whose signature counts.
        files: SHA-256 of each file that must be signed, by its path relative to the signed folder. The signature may
            cover more files.
        now: the time for certificates, aware of its zone; today by default.

    Raises:
        SignatureError: it does not hold; the message says what was expected and what was found.
    """
    if len(content) > LARGEST_BUNDLE:
        raise SignatureError(f"expected at most {LARGEST_BUNDLE} bytes, got more")
    bundle = Bundle.parse(content)
    signer = _verify_signer(bundle, trust, now or datetime.now(UTC))
    signed = Statement.parse(bundle.dsse_envelope.payload).digests()
    for name, digest in files.items():
        if name not in signed:
            raise SignatureError(
                f"expected {name} among the signed files, got {_shown(signed)}: sign the folder that holds it"
            )
        if digest != signed[name]:
            raise SignatureError(f"{name}: expected sha256:{signed[name]} as signed, got sha256:{digest}")
    return Verified(signer, frozenset(signed))


def _verify_signer(bundle: Bundle, trust: Trust, now: datetime) -> str:
    material = bundle.verification_material
    key, chain = material.public_key, material.x509_certificate_chain
    if material.certificate is not None:
        raise SignatureError("expected the method key or certificate, got Sigstore's, which needs a network")
    if (key is None) == (chain is None):
        raise SignatureError(f"expected a key or a chain of certificates, got {'neither' if key is None else 'both'}")
    return _verify_key(bundle, key, trust) if key else _verify_certificate(bundle, chain, trust, now)


def _verify_key(bundle: Bundle, identifier: KeyIdentifier, trust: Trust) -> str:
    if not trust.keys:
        raise SignatureError("expected a signature by a certificate, as no key is trusted, got one by a key")
    hint = identifier.hint
    candidates = [key for key in trust.keys if not hint or key.fingerprint == hint]
    if not candidates:
        trusted = ", ".join(f"sha256:{key.fingerprint}" for key in trust.keys)
        raise SignatureError(f"expected a signature by the key {trusted}, got one by the key sha256:{hint}")
    envelope = bundle.dsse_envelope
    for key in candidates:
        if is_signed_by(key.key, envelope.signatures[0].sig, envelope.signed_bytes):
            return f"key sha256:{key.fingerprint} ({key.path.name})"
    names = ", ".join(f"sha256:{key.fingerprint}" for key in candidates)
    raise SignatureError(
        f"expected a signature that holds under the key {names}, got one that does not: it was changed"
    )


def _verify_certificate(bundle: Bundle, chain: CertificateChain | None, trust: Trust, now: datetime) -> str:
    if chain is None or not trust.certificates:
        raise SignatureError("expected a signature by a key, as no certificate is trusted, got one by a certificate")
    raw = [certificate.raw_bytes for certificate in chain.certificates]
    key, signer = signing_key(raw, trust.certificates, now=now)
    envelope = bundle.dsse_envelope
    if not is_signed_by(key, envelope.signatures[0].sig, envelope.signed_bytes):
        raise SignatureError(
            f"expected a signature that holds under the {signer}, got one that does not: it was changed"
        )
    return signer


def _shown(signed: Mapping[str, str]) -> str:
    names = sorted(signed)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
