"""Which signatures hold, and the message for those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.signing import (
    changed_bundle,
    changed_statement,
    digests,
    new_key,
    public_pem,
    sign_files,
    signed_payload,
    write,
)

from cetacean_signing import LARGEST_BUNDLE, KeyUnreadableError, SignatureError, Trust, load_trust, verify
from cetacean_signing.keys import fingerprint
from cetacean_signing.trust import TrustedKey

FILES: Final = {"whales.safetensors": b"weights", "encoder_classes.npy": b"classes"}
DIGESTS: Final = digests(FILES)
KEY: Final = new_key()
GOOD: Final = sign_files(FILES, KEY)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("keys")
    return load_trust(keys=[write(folder, "release.pub", public_pem(KEY))])


def test_a_signature_by_a_trusted_key_holds(trust: Trust) -> None:
    verified = verify(GOOD, trust, DIGESTS)
    assert verified.signer == f"key sha256:{fingerprint(KEY.public_key())} (release.pub)"


def test_one_of_several_keys_is_enough(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}.pub", public_pem(key)) for number, key in enumerate((new_key(), KEY))]
    assert verify(GOOD, load_trust(keys=paths), DIGESTS).signer.endswith("(1.pub)")


def test_a_signature_may_cover_more_files_than_are_asked_for(trust: Trust) -> None:
    one = {"whales.safetensors": DIGESTS["whales.safetensors"]}
    assert verify(GOOD, trust, one).names == set(FILES)


def test_the_key_is_found_without_a_hint_too(trust: Trust) -> None:
    older = changed_bundle(GOOD, lambda bundle: bundle["verificationMaterial"].update(publicKey={"rawBytes": "AA=="}))
    verify(older, trust, DIGESTS)


def test_a_key_that_is_not_trusted_is_named_with_all_that_are() -> None:
    others = [new_key(), new_key()]
    expected, found = map(_names, (others, [KEY]))
    with pytest.raises(
        SignatureError, match=f"expected a signature by the key {expected}, got one by the key {found}$"
    ):
        verify(GOOD, _trust_in(*others), DIGESTS)


def test_a_signature_without_a_hint_that_no_key_made_names_all_keys() -> None:
    others = [new_key(), new_key()]
    older = changed_bundle(GOOD, lambda bundle: bundle["verificationMaterial"].update(publicKey={}))
    with pytest.raises(SignatureError, match=f"that holds under the key {_names(others)}, got one that does not"):
        verify(older, _trust_in(*others), DIGESTS)


def test_a_false_hint_does_not_help(trust: Trust) -> None:
    forged = sign_files(FILES, new_key())
    hint = {"hint": trust.keys[0].fingerprint}
    forged = changed_bundle(forged, lambda bundle: bundle["verificationMaterial"].update(publicKey=hint))
    with pytest.raises(SignatureError, match="got one that does not: it was changed"):
        verify(forged, trust, DIGESTS)


def test_changed_bytes_are_named_with_both_digests(trust: Trust) -> None:
    found = digests({"whales.safetensors": b"others"})
    with pytest.raises(
        SignatureError, match=r"whales.safetensors: expected sha256:\w+ as signed, got sha256:\w+"
    ) as raised:
        verify(GOOD, trust, DIGESTS | found)
    assert DIGESTS["whales.safetensors"] in str(raised.value)
    assert found["whales.safetensors"] in str(raised.value)


def test_a_file_that_is_not_signed_is_named(trust: Trust) -> None:
    with pytest.raises(SignatureError, match=r"expected species_map.csv among .* got encoder_classes.npy, whales"):
        verify(GOOD, trust, DIGESTS | digests({"species_map.csv": b"species"}))


def _trust_in(*keys: ec.EllipticCurvePrivateKey) -> Trust:
    public = [key.public_key() for key in keys]
    return Trust(keys=tuple(TrustedKey(Path("other.pub"), key, fingerprint(key)) for key in public))


def _names(keys: Sequence[ec.EllipticCurvePrivateKey]) -> str:
    return ", ".join(f"sha256:{fingerprint(key.public_key())}" for key in keys)


def _set(*path: str | int, value: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        part: Any = content
        for step in path[:-1]:
            part = part[step]
        if value is None:
            del part[path[-1]]
        else:
            part[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("mediaType", value="application/json"), "mediaType"),
        (_set("mediaType", value=None), "mediaType: Field required"),
        (_set("dsseEnvelope", value=None), "dsseEnvelope: Field required"),
        (_set("verificationMaterial", value=None), "verificationMaterial: Field required"),
        (_set("verificationMaterial", value={}), "expected a key or a chain of certificates, got neither"),
        (
            _set("verificationMaterial", "certificate", value={"rawBytes": "AA=="}),
            "^expected the method key or certificate, got Sigstore's, which needs a network$",
        ),
        (
            _set("verificationMaterial", "x509CertificateChain", value={"certificates": [{"rawBytes": "AA=="}]}),
            "got both",
        ),
        (_set("dsseEnvelope", "payload", value="%%%"), "payload: expected text in Base64"),
        (_set("dsseEnvelope", "payload", value="AAAA"), "it was changed"),
        (_set("dsseEnvelope", "payloadType", value="text/plain"), "payloadType"),
        (_set("dsseEnvelope", "signatures", value=[]), "signatures"),
        (_set("dsseEnvelope", "signatures", value=[{"sig": "AAAA"}, {"sig": "AAAA"}]), "signatures"),
        (_set("dsseEnvelope", "signatures", 0, "sig", value="AAAA"), "it was changed"),
        (_set("dsseEnvelope", "signatures", 0, "sig", value=""), "it was changed"),
    ],
)
def test_a_changed_bundle_is_refused(change: Change, message: str, trust: Trust) -> None:
    with pytest.raises(SignatureError, match=message):
        verify(changed_bundle(GOOD, change), trust, DIGESTS)


RESOURCES = ("predicate", "resources")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("_type", value="https://in-toto.io/Statement/v0"), "_type"),
        (_set("predicateType", value="https://model_signing/Digests/v0.1"), "predicateType"),
        (_set("predicate", value=None), "predicate: Field required"),
        (_set("subject", value=[]), "subject"),
        (_set("subject", 0, "digest", value={"sha256": "0" * 64}), "expected sha256:0+ over the digests of all files"),
        (_set(*RESOURCES, value=[]), "resources"),
        (_set(*RESOURCES, 0, "digest", value="xy"), "digest"),
        (_set(*RESOURCES, 0, "algorithm", value="blake2b"), "got files with blake2b, sha256: sign them again"),
        (_set("predicate", "serialization", "method", value="shards"), "got shards with sha256"),
        (_set("predicate", "serialization", "hash_type", value="blake3"), "got files with blake3, sha256"),
        (_set(*RESOURCES, 1, "name", value="encoder_classes.npy"), "got encoder_classes.npy more than once"),
    ],
)
def test_a_statement_that_is_signed_but_says_something_else_is_refused(
    change: Change, message: str, trust: Trust
) -> None:
    with pytest.raises(SignatureError, match=message):
        verify(changed_statement(GOOD, change, KEY), trust, DIGESTS)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[" * 100_000, b'{"_type":' * 100_000, b"\xff", b"null"])
def test_a_signed_payload_that_is_no_statement_is_refused(payload: bytes, trust: Trust) -> None:
    with pytest.raises(SignatureError, match=r"expected a statement of OpenSSF Model Signing 1\.0"):
        verify(signed_payload(GOOD, payload, KEY), trust, DIGESTS)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>sign in</html>", b"{}", b"null", b"\xff\xfe", b"[" * 1_000_000, b'{"a":' * 300_000, GOOD[:-40]],
)
def test_what_is_no_bundle_is_refused_in_one_short_line(content: bytes, trust: Trust) -> None:
    with pytest.raises(SignatureError) as raised:
        verify(content, trust, DIGESTS)
    assert str(raised.value).startswith("expected a bundle of OpenSSF Model Signing: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= 1600


def test_a_bundle_that_is_too_large_is_refused_before_it_is_parsed(trust: Trust) -> None:
    with pytest.raises(SignatureError, match="expected at most 2097152 bytes, got more"):
        verify(GOOD + b" " * LARGEST_BUNDLE, trust, DIGESTS)


def test_a_bundle_of_the_largest_size_is_read(trust: Trust) -> None:
    verify(GOOD.ljust(LARGEST_BUNDLE), trust, DIGESTS)


@pytest.mark.parametrize(("others", "shown"), [(5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 and 1 more")])
def test_of_many_signed_files_some_are_named(others: int, shown: str, trust: Trust) -> None:
    bundle = sign_files({str(number): b"" for number in range(others)}, KEY)
    with pytest.raises(SignatureError, match=f"among the signed files, got {shown}: sign the folder that holds it$"):
        verify(bundle, trust, DIGESTS)


def test_the_largest_signature_of_a_folder_can_be_read(trust: Trust) -> None:
    files = {f"{'f' * 200}-{number}": b"" for number in range(4096)}
    large = sign_files(files, KEY)
    assert len(large) <= LARGEST_BUNDLE
    assert len(verify(large, trust, digests(files)).names) == 4096


def test_a_signature_of_more_files_is_refused(trust: Trust) -> None:
    files = {str(number): "00" for number in range(4097)}
    resources = [{"name": name, "digest": digest, "algorithm": "sha256"} for name, digest in files.items()]
    with pytest.raises(SignatureError, match="resources"):
        verify(changed_statement(GOOD, _set(*RESOURCES, value=resources), KEY), trust, DIGESTS)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(max_size=9), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_content_holds_or_raises_another_error(content: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(content, Trust(), {})


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_change_of_one_byte_makes_other_files_hold(position: int, byte: int) -> None:
    changed = GOOD[:position] + bytes([byte]) + GOOD[position + 1 :]
    other = digests({"whales.safetensors": b"others"})
    with pytest.raises(SignatureError):
        verify(changed, _trust_in(KEY), other)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadableError, match=r"none\.pub: expected a public key in PEM, got: No such file"):
        load_trust(keys=[tmp_path / "none.pub"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a public key in PEM"),
        (b"garbage", "expected a public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "expected a public key in PEM"),
        (b"x" * (2**20 + 1), "expected at most 1048576 bytes, got more"),
    ],
)
def test_an_unreadable_key_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "release.pub", content)
    with pytest.raises(KeyUnreadableError, match=rf"release\.pub: {message}"):
        load_trust(keys=[path])


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    for key, found in (
        (ed25519.Ed25519PrivateKey.generate().public_key(), "Ed25519PublicKey"),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), "one on secp256k1"),
    ):
        path = write(tmp_path, "k.pub", key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(KeyUnreadableError, match=f"expected a key on P-256, P-384 or P-521, got {found}"):
            load_trust(keys=[path])
