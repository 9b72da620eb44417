"""The certificate method: which chains hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.signing import YEAR, Authority, changed_bundle, digests, new_key, pem_of, sign_files, write

from cetacean_signing import KeyUnreadableError, SignatureError, Trust, load_trust, verify

FILES: Final = {"whales.safetensors": b"weights"}
NOW: Final = dt.datetime.now(dt.UTC)
SECOND: Final = dt.timedelta(seconds=1)
ROOT: Final = Authority.root()
MIDDLE: Final = ROOT.issue("releases", ca=True)
NO_AUTHORITY: Final = r"validation failed: .*basicConstraints\.cA must be asserted in a CA certificate"
TRUST: Final = Trust(certificates=(ROOT.certificate,))


def check(leaf: Authority, *chain: Authority, trust: Trust = TRUST) -> str:
    bundle = sign_files(FILES, leaf.key, leaf.certificate, *(one.certificate for one in chain))
    return verify(bundle, trust, digests(FILES)).signer


def test_a_chain_to_a_trusted_certificate_holds() -> None:
    assert check(MIDDLE.issue("signer"), MIDDLE).startswith("certificate CN=signer (sha256:")


def test_a_chain_may_contain_the_trusted_certificate_too() -> None:
    check(MIDDLE.issue("signer"), MIDDLE, ROOT)


def test_the_certificate_that_signs_may_be_trusted_itself() -> None:
    leaf = MIDDLE.issue("signer")
    check(leaf, trust=Trust(certificates=(leaf.certificate,)))


def test_an_intermediate_certificate_may_be_trusted() -> None:
    check(MIDDLE.issue("signer"), trust=Trust(certificates=(MIDDLE.certificate,)))


def test_a_certificate_without_purposes_holds() -> None:
    check(MIDDLE.issue("signer", purposes=()), MIDDLE)


@pytest.mark.parametrize(
    ("leaf", "chain", "message"),
    [
        (Authority.root("other").issue("signer"), (), "expected a chain to a trusted certificate, got none"),
        (MIDDLE.issue("signer"), (), "expected a chain to a trusted certificate, got none"),
        (MIDDLE.issue("signer", end=NOW - YEAR / 12), (MIDDLE,), "expected one that is valid today, got one from"),
        (MIDDLE.issue("signer", begin=NOW + YEAR / 12), (MIDDLE,), "expected one that is valid today, got one from"),
        (
            MIDDLE.issue("server", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
            (MIDDLE,),
            "expected the key usage digitalSignature, and codeSigning",
        ),
        (MIDDLE.issue("signer", usage="key_encipherment"), (MIDDLE,), "expected the key usage digitalSignature"),
        (MIDDLE.issue("signer", usage=None, purposes=()), (MIDDLE,), "expected the key usage digitalSignature"),
    ],
)
def test_a_certificate_is_refused(leaf: Authority, chain: tuple[Authority, ...], message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        check(leaf, *chain)


@pytest.mark.parametrize(
    ("issuer", "message"),
    [
        (MIDDLE.issue("no authority"), ""),
        (MIDDLE.issue("no authority", usage="key_cert_sign"), NO_AUTHORITY),
        (MIDDLE.issue("no authority", usage=None), NO_AUTHORITY),
        (MIDDLE.issue("expired", ca=True, end=NOW - YEAR / 12), ""),
        (MIDDLE.issue("may not issue", ca=True, usage="digital_signature"), "the issuer may not sign certificates"),
        (ROOT.issue("too deep", ca=True, path_length=0).issue("below", ca=True), ""),
    ],
    ids=["no authority", "with its usage", "without a usage", "expired", "of another usage", "too deep"],
)
def test_a_certificate_by_an_issuer_that_may_not_issue_it_is_refused(issuer: Authority, message: str) -> None:
    expected = "expected a chain to a trusted certificate, got none that holds: "
    with pytest.raises(SignatureError, match=f"{expected}{message}$" if message else expected):
        check(issuer.issue("signer"), issuer, MIDDLE)


def test_an_issuer_needs_no_key_usage() -> None:
    issuer = MIDDLE.issue("any usage", ca=True, usage=None)
    check(issuer.issue("signer"), issuer, MIDDLE)


def test_a_certificate_is_valid_from_its_first_second_to_its_last() -> None:
    begin, end = ((NOW + YEAR * part).replace(microsecond=0) for part in (-0.25, 0.25))
    leaf = MIDDLE.issue("signer", begin=begin, end=end)
    bundle = sign_files(FILES, leaf.key, leaf.certificate, MIDDLE.certificate)
    for now in (begin, end):
        verify(bundle, TRUST, digests(FILES), now=now)
    for now in (begin - SECOND, end + SECOND):
        with pytest.raises(SignatureError, match=f"from {begin:%Y-%m-%d} to {end:%Y-%m-%d}: sign the weights again$"):
            verify(bundle, TRUST, digests(FILES), now=now)


def test_a_certificate_is_named_by_its_subject_and_its_fingerprint() -> None:
    leaf = MIDDLE.issue("signer")
    digest = leaf.certificate.fingerprint(hashes.SHA256()).hex()
    assert check(leaf, MIDDLE) == f"certificate CN=signer (sha256:{digest})"
    nameless = MIDDLE.issue(None)
    assert check(nameless, MIDDLE).startswith("certificate without a subject (sha256:")


def test_an_expired_root_is_refused() -> None:
    old = Authority.root("old", end=NOW - YEAR / 12)
    with pytest.raises(SignatureError, match="got none that holds"):
        check(old.issue("signer"), trust=Trust(certificates=(old.certificate,)))


def test_a_signature_by_another_key_than_the_certificates_is_refused() -> None:
    leaf = MIDDLE.issue("signer")
    bundle = sign_files(FILES, new_key(), leaf.certificate, MIDDLE.certificate)
    with pytest.raises(SignatureError, match=r"holds under the certificate CN=signer .* got one that does not"):
        verify(bundle, TRUST, digests(FILES))


def test_what_is_no_certificate_is_refused() -> None:
    leaf = MIDDLE.issue("signer")
    bundle = sign_files(FILES, leaf.key, leaf.certificate)
    chain = {"certificates": [{"rawBytes": "AAAA"}]}
    broken = changed_bundle(bundle, lambda content: content["verificationMaterial"].update(x509CertificateChain=chain))
    with pytest.raises(SignatureError, match=r"expected X.509 certificates, got"):
        verify(broken, TRUST, digests(FILES))


def test_a_chain_that_is_too_long_is_refused() -> None:
    leaf = MIDDLE.issue("signer")
    bundle = sign_files(FILES, leaf.key, leaf.certificate)

    def lengthen(content: dict[str, Any]) -> None:
        content["verificationMaterial"]["x509CertificateChain"]["certificates"] *= 9

    with pytest.raises(SignatureError, match="certificates: Tuple should have at most 8 items"):
        verify(changed_bundle(bundle, lengthen), TRUST, digests(FILES))


def test_each_method_is_refused_if_only_the_other_is_trusted(tmp_path: Path) -> None:
    leaf = MIDDLE.issue("signer")
    by_key = "^expected a signature by a key, as no certificate is trusted, got one by a certificate$"
    with pytest.raises(SignatureError, match=by_key):
        check(leaf, MIDDLE, trust=Trust())
    by_certificate = "^expected a signature by a certificate, as no key is trusted, got one by a key$"
    with pytest.raises(SignatureError, match=by_certificate):
        verify(sign_files(FILES, new_key()), TRUST, digests(FILES))


def test_all_certificates_of_a_file_are_trusted(tmp_path: Path) -> None:
    other = Authority.root("other")
    path = write(tmp_path, "roots.pem", pem_of(other.certificate, ROOT.certificate))
    check(MIDDLE.issue("signer"), MIDDLE, trust=load_trust(certificates=[path]))


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_an_unreadable_file_of_certificates_is_named(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, "roots.pem", content)
    with pytest.raises(KeyUnreadableError, match=r"roots\.pem: expected certificates in PEM, got"):
        load_trust(certificates=[path])


def test_a_missing_file_of_certificates_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadableError, match=r"none\.pem: expected certificates in PEM, got: No such file"):
        load_trust(certificates=[tmp_path / "none.pem"])


def test_a_file_of_too_many_certificates_is_refused(tmp_path: Path) -> None:
    most = write(tmp_path, "most.pem", pem_of(*[ROOT.certificate] * 256))
    assert len(load_trust(certificates=[most]).certificates) == 256
    path = write(tmp_path, "roots.pem", pem_of(*[ROOT.certificate] * 257))
    with pytest.raises(KeyUnreadableError, match="expected at most 256 certificates, got 257"):
        load_trust(certificates=[path])


def test_a_subject_from_outside_is_one_short_line() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\nb\x1b[31m")])
    assert name.rfc4514_string() != "CN=ab"
    with pytest.raises(SignatureError) as raised:
        check(MIDDLE.issue("a\nb\x1b[31m"), trust=TRUST)
    assert str(raised.value).isprintable()
