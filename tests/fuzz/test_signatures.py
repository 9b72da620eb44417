"""A signature's file: it holds for the files that were signed, or is one line of an error."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Final

from support.fuzzing import assert_message, bounded, fuzzed
from support.mutations import mutated
from support.signing import Authority, digests, new_key, sign_files, signed_payload

from cetacean_signing import SignatureError, Trust, verify
from cetacean_signing.keys import fingerprint
from cetacean_signing.trust import TrustedKey

FILES: Final = {"whales.safetensors": b"weights", "encoder_classes.npy": b"classes"}
OTHERS: Final = digests({**FILES, "whales.safetensors": b"others"})
KEY: Final = new_key()
ROOT: Final = Authority.root()
TRUST: Final = Trust(
    (TrustedKey(Path("release.pub"), KEY.public_key(), fingerprint(KEY.public_key())),), (ROOT.certificate,)
)
BY_KEY: Final = sign_files(FILES, KEY)
BY_CERTIFICATE: Final = sign_files(FILES, *ROOT.issue("signer").pair, ROOT.certificate)
STATEMENT: Final = base64.b64decode(json.loads(BY_KEY)["dsseEnvelope"]["payload"])


def refused(content: bytes, files: dict[str, str]) -> bool:
    with bounded():
        try:
            verify(content, TRUST, files)
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
    assert refused(signed_payload(BY_KEY, payload, KEY), {name: "0" * 64}) or b"0" * 64 in payload
