"""Signatures that this project writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from support.signing import CURVES, Authority, digests, new_key, pem_of, private_pem, public_pem, write

from cetacean_signing import KeyUnreadableError, load_signer, load_trust, sign, verify

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
    chain = write(tmp_path, "chain.pem", pem_of(*[leaf.certificate] * 9))
    with pytest.raises(KeyUnreadableError, match=r"chain\.pem: expected at most 8 certificates, got 9"):
        load_signer(write(tmp_path, "key.pem", private_pem(leaf.key)), chain=chain)


def test_a_public_key_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadableError, match="expected a private key in PEM"):
        load_signer(write(tmp_path, "key.pub", public_pem(new_key())))
