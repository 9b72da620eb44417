"""Signatures: from the settings to the line in the termination message."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from support.file_server import FileServer
from support.inference_world import make_settings
from support.signing import YEAR, Authority, new_key, pem_of, public_pem, sign_files, write

from cetacean_inference.errors import (
    ConfigInvalid,
    SignatureMismatch,
    SignatureMissing,
    SigningKeyUnreadable,
    WeightsUnreachable,
)
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import WeightFiles, fetch, open_cache
from cetacean_inference.weights.signature import check_signature
from cetacean_inference.weights.sources import sibling

FILES: Final = {"a.safetensors": b"weights", "encoder_classes.npy": b"classes", "species_map.csv": b"species"}
KEY: Final = new_key()
ROOT: Final = Authority.root()
GOOD: Final = sign_files(FILES, KEY)
Check = Callable[..., str | None]


@pytest.fixture
def model(server: FileServer) -> FileServer:
    """A server with a model and without a signature."""
    for name, content in FILES.items():
        write(server.directory, name, content)
    return server


@pytest.fixture
def settings_of(model: FileServer, tmp_path: Path) -> Callable[..., Settings]:
    def make(*, signature_url: str | None = None, name: str = "a.safetensors", **signature: Any) -> Settings:
        trusted = {"keys": [str(write(tmp_path, "keys/release.pub", public_pem(KEY)))]}
        return make_settings(
            tmp_path,
            model={"weights_url": f"{model.url}/{name}", "signature_url": signature_url},
            fetch={"attempts": 1, "backoff_initial_seconds": 0},
            signature={**trusted, **signature},
        )

    return make


@pytest.fixture
def check(settings_of: Callable[..., Settings]) -> Check:
    """Fetch the model and check its signature."""

    def run(**given: Any) -> str | None:
        settings = settings_of(**given)
        cache = open_cache(settings)
        cache.prepare()

        def fetched(url: str) -> Any:
            return fetch(url, sha256=None, cache=cache, settings=settings.fetch)

        url = settings.model.weights_url
        checkpoint, *companions = map(fetched, (url, *(sibling(url, name) for name in list(FILES)[1:])))
        classes, species = companions
        return check_signature(settings, WeightFiles(checkpoint, classes, species, checkpoint, None))

    return run


def test_nothing_is_checked_if_nobody_is_trusted(check: Check, model: FileServer) -> None:
    assert check(keys=[]) is None
    assert not [name for name in model.requests if name.endswith(".sig")]


def test_a_signature_beside_the_weights_is_reported_with_its_signer(check: Check, model: FileServer) -> None:
    write(model.directory, "a.safetensors.sig", GOOD)
    report = check()
    assert report is not None
    assert report.startswith(f"SignatureVerified: {model.url}/a.safetensors.sig: signed by key sha256:")
    assert report.endswith("(release.pub): a.safetensors, encoder_classes.npy, species_map.csv")


def test_a_signature_of_the_folder_is_found_too(check: Check, model: FileServer) -> None:
    write(model.directory, "model.sig", sign_files({**FILES, "README.md": b"more"}, KEY))
    assert f"{model.url}/model.sig" in str(check())


def test_the_registry_may_name_another_url(check: Check, model: FileServer) -> None:
    write(model.directory, "signatures/1.sig", GOOD)
    assert f"{model.url}/signatures/1.sig" in str(check(signature_url=f"{model.url}/signatures/1.sig"))
    with pytest.raises(SignatureMissing, match=r"/none\.sig: expected 200, got 404"):
        check(signature_url=f"{model.url}/none.sig")


def test_a_name_with_escapes_is_signed_as_the_file_is_called(check: Check, model: FileServer) -> None:
    write(model.directory, "a b.safetensors", b"weights")
    write(model.directory, "a b.safetensors.sig", sign_files({**FILES, "a b.safetensors": b"weights"}, KEY))
    assert "a b.safetensors" in str(check(name="a%20b.safetensors"))


def test_a_missing_signature_names_both_places_and_the_way_out(check: Check, model: FileServer) -> None:
    with pytest.raises(SignatureMissing) as raised:
        check()
    assert raised.value.line == (
        f"SignatureMissing: {model.url}/a.safetensors.sig: expected 200, got 404 Not Found, and "
        f"{model.url}/model.sig: expected 200, got 404 Not Found - sign the weights (cetacean registry sign) and upload "
        "the signature there, or name its URL in the registry (signature_url)"
    )


NAMES_OF_ANOTHER_KIND: Final = bytes.fromhex("3009a5078105") + b"hello"


def test_a_certificate_that_cannot_be_read_ends_no_pod_that_needs_no_signature(
    check: Check, model: FileServer, tmp_path: Path
) -> None:
    roots = str(write(tmp_path, "keys/roots.pem", pem_of(ROOT.certificate)))
    leaf = ROOT.issue("signer", other_names=NAMES_OF_ANOTHER_KIND)
    write(model.directory, "a.safetensors.sig", sign_files(FILES, *leaf.pair))
    with pytest.raises(SignatureMismatch, match=r"expected X\.509 certificates, got: x400Address"):
        check(keys=[], certificates=[roots])
    assert "SignatureMismatch: " in str(check(keys=[], certificates=[roots], require=False))


EXPIRED: Final = dt.datetime.now(dt.UTC) - YEAR / 12


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (sign_files(FILES, new_key()), "expected a signature by the key sha256:"),
        (sign_files({**FILES, "a.safetensors": b"others"}, KEY), "a.safetensors: expected sha256:"),
        (sign_files({"a.safetensors": b"weights"}, KEY), "expected encoder_classes.npy among the signed files"),
        (GOOD.replace(b'"sig":"M', b'"sig":"N'), "it was changed"),
        (sign_files(FILES, *ROOT.issue("signer", end=EXPIRED).pair), "expected one that is valid today"),
        (sign_files(FILES, *Authority.root("o").issue("s").pair), "expected a chain to a trusted certificate"),
        (b"<html>", "expected a bundle of OpenSSF Model Signing"),
        (b"", "expected a bundle of OpenSSF Model Signing"),
        (b"[" * 1_000_000, "expected a bundle of OpenSSF Model Signing"),
        (GOOD + b" " * 2**21, "expected at most 2097152 bytes, got"),
    ],
    ids=["key", "weights", "files", "bundle", "expired", "authority", "garbage", "empty", "deep", "large"],
)
def test_a_wrong_signature_ends_the_pod_or_is_only_reported(
    signature: bytes, message: str, check: Check, model: FileServer, tmp_path: Path
) -> None:
    write(model.directory, "a.safetensors.sig", signature)
    roots = {"certificates": [str(write(tmp_path, "keys/root.pem", pem_of(ROOT.certificate)))]}
    with pytest.raises(SignatureMismatch, match=message) as raised:
        check(**roots)
    assert raised.value.line.startswith(f"SignatureMismatch: {model.url}/a.safetensors.sig: ")
    assert check(**roots, require=False) == raised.value.line


def test_a_signature_by_a_certificate_holds(check: Check, model: FileServer, tmp_path: Path) -> None:
    write(model.directory, "a.safetensors.sig", sign_files(FILES, *ROOT.issue("signer").pair))
    root = write(tmp_path, "keys/root.pem", pem_of(ROOT.certificate))
    assert "signed by certificate CN=signer (sha256:" in str(check(keys=[], certificates=[str(root)]))


def test_a_report_is_one_short_line_whatever_the_certificate_says(
    check: Check, model: FileServer, tmp_path: Path
) -> None:
    write(model.directory, "a.safetensors.sig", sign_files(FILES, *ROOT.issue("a\nb\x1b[31m").pair))
    root = write(tmp_path, "keys/root.pem", pem_of(ROOT.certificate))
    assert str(check(keys=[], certificates=[str(root)])).isprintable()


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_an_unreadable_key_is_named(content: bytes | None, check: Check, model: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "keys/other.pub" if content is None else write(tmp_path, "keys/other.pub", content)
    with pytest.raises(SigningKeyUnreadable, match=r"other\.pub: expected a public key in PEM") as raised:
        check(keys=[str(path)])
    assert check(keys=[str(path)], require=False) == raised.value.line


def test_what_is_missing_is_only_reported_if_no_signature_is_required(check: Check, model: FileServer) -> None:
    assert str(check(require=False)).startswith("SignatureMissing: ")


def test_an_unreachable_signature_may_be_tried_again(check: Check, model: FileServer) -> None:
    check(keys=[])
    write(model.directory, "a.safetensors.sig", GOOD)
    model.statuses = [200, 200, 200, 503]
    with pytest.raises(WeightsUnreachable):
        check()
    model.statuses = [200, 200, 200, 503]
    assert str(check(require=False)).startswith("SignatureMissing: ")


def test_a_signature_that_was_downloaded_before_is_used_while_the_server_is_unreachable(
    check: Check, model: FileServer
) -> None:
    write(model.directory, "a.safetensors.sig", GOOD)
    report = check()
    model.statuses = [503] * 4
    assert check() == report


def test_the_signatures_query_is_in_no_message(check: Check, model: FileServer) -> None:
    with pytest.raises(SignatureMissing) as raised:
        check(signature_url=f"{model.url}/none.sig?token=secret")
    assert "secret" not in raised.value.line


def test_without_the_extra_the_package_is_named(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cetacean_signing", None)
    with pytest.raises(ConfigInvalid, match=r"expected the packages of cetacean\[signing\]"):
        check()
