"""Signatures that this project writes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.signing import CURVES, Authority, digests, new_key, pem_of, private_pem, public_pem, write

from cetacean_signing import KeyUnreadableError, Signer, load_signer, load_trust, sign, verify

FILES: Final = digests({"b/whales.safetensors": b"weights", "a.npy": b"classes"})


@pytest.mark.parametrize("curve", CURVES)
def test_what_is_signed_with_a_key_is_verified_with_its_public_half(curve: str, tmp_path: Path) -> None:
    key = new_key(curve)
    signer = load_signer(write(tmp_path, "key.pem", private_pem(key)))
    trust = load_trust(keys=[write(tmp_path, "key.pub", public_pem(key))])
    assert verify(sign(FILES, signer, subject="whales"), trust, FILES).names == set(FILES)


def test_what_is_signed_with_a_certificate_is_verified_with_its_authority(tmp_path: Path) -> None:
    root = Authority.root()
    leaf = root.issue("signer")
    chain = write(tmp_path, "chain.pem", pem_of(leaf.certificate, root.certificate))
    signer = load_signer(write(tmp_path, "key.pem", private_pem(leaf.key)), chain=chain)
    trust = load_trust(certificates=[write(tmp_path, "root.pem", pem_of(root.certificate))])
    assert verify(sign(FILES, signer, subject="whales"), trust, FILES).signer.startswith("certificate CN=signer")


def test_a_key_may_have_a_passphrase(tmp_path: Path) -> None:
    path = write(tmp_path, "key.pem", private_pem(new_key(), b"secret"))
    load_signer(path, passphrase=b"secret")
    with pytest.raises(KeyUnreadableError, match=r"key\.pem: expected a private key in PEM .* and its passphrase"):
        load_signer(path, passphrase=b"other")
    with pytest.raises(TypeError):
        load_signer(path)


def test_the_certificate_must_be_the_keys(tmp_path: Path) -> None:
    chain = write(tmp_path, "chain.pem", pem_of(Authority.root().certificate))
    with pytest.raises(KeyUnreadableError, match=r"chain\.pem: expected the certificate of .*key\.pem first"):
        load_signer(write(tmp_path, "key.pem", private_pem(new_key())), chain=chain)


def test_a_chain_that_no_verifier_takes_cannot_sign(tmp_path: Path) -> None:
    leaf = Authority.root()
    key = write(tmp_path, "key.pem", private_pem(leaf.key))
    longest = write(tmp_path, "chain.pem", pem_of(*[leaf.certificate] * 8))
    assert len(load_signer(key, chain=longest).chain) == 8
    chain = write(tmp_path, "chain.pem", pem_of(*[leaf.certificate] * 9))
    with pytest.raises(KeyUnreadableError, match=r"chain\.pem: expected at most 8 certificates, got 9"):
        load_signer(key, chain=chain)


def test_a_public_key_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadableError, match="expected a private key in PEM"):
        load_signer(write(tmp_path, "key.pub", public_pem(new_key())))


def test_a_private_key_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadableError, match=r"key\.pem: expected a private key in PEM, got: No such file"):
        load_signer(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP256K1()), "one on secp256k1"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519PrivateKey"),
    ],
    ids=["curve", "kind"],
)
def test_a_private_key_of_another_kind_cannot_sign(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, kind: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnreadableError) as caught:
        load_signer(path)
    assert str(caught.value) == f"{path}: expected a key on P-256, P-384 or P-521, got {kind}"


def test_a_signature_has_the_fingerprint_of_its_key_and_no_field_without_a_value() -> None:
    key = new_key()
    bundle = json.loads(sign(FILES, Signer(key), subject="whales"))
    fingerprint = hashlib.sha256(public_pem(key)).hexdigest()
    assert bundle["verificationMaterial"] == {"publicKey": {"hint": fingerprint}}


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    key = new_key()
    path = write(tmp_path, "key.pem", private_pem(key).ljust(2**20, b"\n"))
    assert load_signer(path).key.private_numbers() == key.private_numbers()
    with pytest.raises(KeyUnreadableError, match="expected at most 1048576 bytes, got more"):
        load_signer(write(tmp_path, "key.pem", path.read_bytes() + b"\n"))
