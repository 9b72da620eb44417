"""Signatures that the command line of model_signing has written: vectors/README.md."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Final

import pytest
from support.signing import digests, new_key, sign_files

from cetacean_signing import SignatureError, Trust, load_trust, verify

FOLDER: Final = Path(__file__).resolve().parent / "vectors"
MODEL: Final = {path.name: path.read_bytes() for path in sorted((FOLDER / "model").iterdir())}
FILES: Final = digests(MODEL)
NOW: Final = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
KEYS: Final = ("p-256", "p-384", "p-521")


def trust_in(key: str) -> Trust:
    return load_trust(keys=[FOLDER / f"{key}.pub.pem"])


@pytest.mark.parametrize("key", KEYS)
def test_a_signature_by_a_key_on_each_curve_holds(key: str) -> None:
    verified = verify((FOLDER / f"{key}.sig").read_bytes(), trust_in(key), FILES)
    assert verified.names == set(FILES)
    assert verified.signer.endswith(f"({key}.pub.pem)")


@pytest.mark.parametrize("key", KEYS)
def test_it_does_not_hold_for_other_bytes(key: str) -> None:
    changed = FILES | digests({"species_map.csv": b"others"})
    with pytest.raises(SignatureError, match=r"species_map\.csv: expected sha256:.* as signed, got sha256:"):
        verify((FOLDER / f"{key}.sig").read_bytes(), trust_in(key), changed)


def test_a_signature_by_a_certificate_holds() -> None:
    trust = load_trust(certificates=[FOLDER / "root.pem"])
    verified = verify((FOLDER / "certificate.sig").read_bytes(), trust, FILES, now=NOW)
    assert verified.signer.startswith("certificate CN=Vectors signer (sha256:")


def test_an_expired_certificate_is_refused_although_model_signing_accepts_it() -> None:
    trust = load_trust(certificates=[FOLDER / "root.pem"])
    with pytest.raises(SignatureError, match="expected one that is valid today, got one from 2025-"):
        verify((FOLDER / "expired.sig").read_bytes(), trust, FILES, now=NOW)


def test_the_signature_of_one_file_covers_no_file_beside_it() -> None:
    with pytest.raises(SignatureError, match=r"expected encoder_classes\.npy among the signed files"):
        verify((FOLDER / "single-file.sig").read_bytes(), trust_in("p-521"), FILES)


def test_ours_say_the_same_of_the_same_files() -> None:
    theirs, ours = (
        json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
        for bundle in ((FOLDER / "p-256.sig").read_bytes(), sign_files(MODEL, new_key()))
    )
    theirs["predicate"]["serialization"]["ignore_paths"].sort()
    ours["subject"][0]["name"] = theirs["subject"][0]["name"]
    assert ours == theirs
