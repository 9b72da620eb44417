"""Certificates of other programs: cryptography has an error of its own for many of them, which ends no pod."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from support.signing import Authority, changed_bundle, digests, pem_of, private_pem, sign_files, write

from cetacean_signing import KeyUnreadableError, SignatureError, Trust, load_signer, load_trust, verify

FILES: Final = {"whales.safetensors": b"weights"}
ROOT: Final = Authority.root()
LEAF: Final = ROOT.issue("signer")
DER: Final = LEAF.certificate.public_bytes(Encoding.DER)
BUNDLE: Final = sign_files(FILES, LEAF.key, LEAF.certificate)
KEY_ALGORITHM, CURVE, VERSION = (
    bytes.fromhex(text) for text in ("06072a8648ce3d0201", "06082a8648ce3d030107", "a003020102")
)
UNKNOWN: Final = {
    "key algorithm": DER.replace(KEY_ALGORITHM, KEY_ALGORITHM[:-1] + b"\x09"),
    "curve": DER.replace(CURVE, CURVE[:-1] + b"\x77"),
    "version": DER.replace(VERSION, VERSION[:-1] + b"\x09"),
    "name": ROOT.issue("signer", other_names=bytes.fromhex("3009a5078105") + b"hello").certificate.public_bytes(
        Encoding.DER
    ),
    "extension": ROOT.issue("signer", other_names=b"\x30\x03\x02\x01").certificate.public_bytes(Encoding.DER),
    "subject": DER.replace(b"signer", b"sign\xff\xfe"),
}
unknown = pytest.mark.parametrize("der", UNKNOWN.values(), ids=UNKNOWN.keys())


def bundle_of(*chain: bytes) -> bytes:
    """Return the signature with another chain, DER."""
    certificates = [{"rawBytes": base64.b64encode(der).decode()} for der in chain]
    return changed_bundle(
        BUNDLE,
        lambda content: content["verificationMaterial"].update(x509CertificateChain={"certificates": certificates}),
    )


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@unknown
def test_a_certificate_with_an_unknown_part_is_refused_in_one_line(der: bytes) -> None:
    with pytest.raises(SignatureError, match=r"^(expected|certificate)") as refused:
        verify(bundle_of(der), Trust(certificates=(ROOT.certificate,)), digests(FILES))
    assert str(refused.value).isprintable()


@unknown
def test_an_unknown_part_of_a_certificate_that_did_not_sign_is_no_other_error(der: bytes) -> None:
    with contextlib.suppress(SignatureError):
        verify(bundle_of(DER, der), Trust(certificates=(ROOT.certificate,)), digests(FILES))


@unknown
def test_a_trusted_certificate_with_an_unknown_part_is_refused_or_vouches_for_nothing(
    der: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path, "roots.pem", pem(der) + pem_of(ROOT.certificate))
    with contextlib.suppress(KeyUnreadableError):
        trust = load_trust(certificates=[path])
        assert verify(BUNDLE, trust, digests(FILES)).signer.startswith("certificate CN=signer")
        with pytest.raises(SignatureError):
            verify(bundle_of(der), trust, digests(FILES))


@pytest.mark.parametrize("part", ["key algorithm", "curve", "version"])
def test_a_chain_whose_key_cannot_be_read_cannot_sign(part: str, tmp_path: Path) -> None:
    key, chain = write(tmp_path, "key.pem", private_pem(LEAF.key)), write(tmp_path, "chain.pem", pem(UNKNOWN[part]))
    with pytest.raises(KeyUnreadableError, match=r"chain\.pem: expected certificates in PEM, got: "):
        load_signer(key, chain=chain)


# A serial number that is negative or zero is a warning of cryptography; roots of old programs have one.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(changes=st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_changed_certificate_holds_or_is_refused(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(DER)
    for position, byte in changes:
        changed[position] = byte
    trusted = [ROOT.certificate]
    with contextlib.suppress(ValueError, x509.InvalidVersion):
        trusted.append(x509.load_der_x509_certificate(bytes(changed)))
    with contextlib.suppress(SignatureError):
        verify(bundle_of(bytes(changed)), Trust(certificates=tuple(trusted)), digests(FILES))
