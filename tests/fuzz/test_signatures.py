"""A signature's file: it holds for the files that were signed, or is one line of an error."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from support.fuzzing import assert_message, bounded, fuzzed
from support.mutations import mutated
from support.signing import changed_bundle, digests, signed_payload

from cetacean_signing import SignatureError, Trust, load_trust, verify
from cetacean_signing.keys import fingerprint
from cetacean_signing.trust import TrustedKey

VECTORS: Final = Path(__file__).resolve().parents[1] / "unit/signing/vectors"
OTHERS: Final = digests({"whales.safetensors": b"others"})
TRUST: Final = load_trust(keys=[VECTORS / "p-256.pub.pem"], certificates=[VECTORS / "root.pem"])
BY_KEY, BY_CERTIFICATE = ((VECTORS / name).read_bytes() for name in ("p-256.sig", "certificate.sig"))
STATEMENT: Final = base64.b64decode(json.loads(BY_KEY)["dsseEnvelope"]["payload"])
KEY: Final = ec.derive_private_key(7**80, ec.SECP256R1())
TRUST_IN_KEY: Final = Trust((TrustedKey(Path("release.pub"), KEY.public_key(), fingerprint(KEY.public_key())),))
UNSIGNED: Final = signed_payload(
    changed_bundle(BY_KEY, lambda bundle: bundle["verificationMaterial"].update(publicKey={})), b"", KEY
)


def refused(content: bytes, files: dict[str, str], trust: Trust = TRUST) -> bool:
    with bounded():
        try:
            verify(content, trust, files)
        except SignatureError as error:
            assert_message(str(error), longest=1600)
            return True
    return False


@fuzzed(mutated((BY_KEY, BY_CERTIFICATE)), examples=200)
def test_no_changed_signature_holds_for_files_that_were_not_signed(content: bytes) -> None:
    assert refused(content, OTHERS)


@fuzzed(mutated((STATEMENT,)), examples=200)
def test_a_signed_statement_names_the_files_or_is_refused(payload: bytes) -> None:
    name = "encoder_classes.npy"
    signed = signed_payload(UNSIGNED, payload, KEY)
    assert refused(signed, {name: "0" * 64}, TRUST_IN_KEY) or b"0" * 64 in payload
