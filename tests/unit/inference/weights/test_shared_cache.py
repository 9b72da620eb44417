"""A cache that pods of strangers can write to: they decide neither what is loaded nor what is computed with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.file_server import serving
from support.inference_world import make_settings
from support.tiny_weights import sections, sha256, write_weights
from support.weights_cache import add_blob

from cetacean_inference.errors import DigestMismatch
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_cache, open_own_cache, open_verified

COMPANIONS = ("encoder_classes.npy", "species_map.csv")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    write_weights(directory)
    return directory


def pod(weights: Path, root: Path, name: str, url: str = "", *, digests: bool = True, shared: bool = True) -> Settings:
    """Return the settings of one of several pods with the same claim; with a digest for each file or for none."""
    given: dict[str, Any] = sections(url or weights.as_uri())
    if digests:
        given["model"] |= {
            "sha256": sha256(weights / "tiny.safetensors"),
            "files": {one: sha256(weights / one) for one in COMPANIONS},
        }
        given["gate"] |= {
            "sha256": sha256(weights / "gate.safetensors"),
            "config_sha256": sha256(weights / "gate.json"),
        }
    given["fetch"] |= {"shared_cache": shared}
    return make_settings(root, **given, weights_cache=root / "claim", own_cache=root / name)


def test_a_file_with_a_digest_is_fetched_once_for_all_pods(weights: Path, tmp_path: Path) -> None:
    with serving(weights) as server:
        for name in ("one", "two"):
            fetch_all(pod(weights, tmp_path, name, server.url))
        assert set(server.requests.values()) == {1}


def test_the_bytes_that_are_loaded_are_those_that_were_hashed(weights: Path, tmp_path: Path) -> None:
    settings = pod(weights, tmp_path, "own")
    files = fetch_all(settings)
    with open_verified(settings) as verified:
        stream = verified.open(files.checkpoint)
        before = files.checkpoint.path.read_bytes()
        files.checkpoint.path.chmod(0o644)
        with files.checkpoint.path.open("r+b") as attacked:  # in place: whoever has it open would read the new bytes
            attacked.write(b"\xff" * len(before))
        stream.seek(0)
        assert stream.read() == before
        assert Path(f"/dev/fd/{stream.fileno()}").read_bytes() == before, "also if it is mapped by its descriptor"
    with open_verified(settings) as verified, pytest.raises(DigestMismatch):
        verified.open(files.checkpoint)
    assert list(settings.own_cache.glob("tmp*")) == [], "copies have no name"


@pytest.mark.parametrize("shared", [True, False])
def test_another_pod_does_not_decide_what_a_url_without_a_digest_is(
    weights: Path, tmp_path: Path, *, shared: bool
) -> None:
    with serving(weights) as server:
        forger = open_cache(pod(weights, tmp_path, "forger", server.url, digests=False, shared=False))
        fetch_all(pod(weights, tmp_path, "forger", server.url, digests=False, shared=False))
        forged = add_blob(forger, b"of a stranger")
        for path in (tmp_path / "claim" / "refs").iterdir():  # with the server's own ETag
            path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": forged}))
        files = fetch_all(pod(weights, tmp_path, "victim", server.url, digests=False, shared=shared))
    found = {blob.sha256 for blob in (files.classes, files.species, files.checkpoint, files.gate_weights)}
    names = ("tiny.safetensors", *COMPANIONS, "gate.safetensors")
    assert found == ({sha256(weights / one) for one in names} if shared else {forged}), "a trusted claim is believed"


def test_what_was_computed_by_another_pod_is_not_used(weights: Path, tmp_path: Path) -> None:
    settings = pod(weights, tmp_path, "own")
    fetch_all(settings)
    assert open_own_cache(settings).derived == tmp_path / "own" / "derived"
    with open_verified(settings) as verified:
        assert verified.derived == tmp_path / "own" / "derived"


def test_files_without_a_digest_and_verified_ones_are_located_where_they_were_fetched(
    weights: Path, tmp_path: Path
) -> None:
    for digests in (True, False):
        settings = pod(weights, tmp_path, "own", digests=digests)
        assert fetch_all(settings) == locate_all(settings)


def test_a_trusted_cache_is_one_cache(weights: Path, tmp_path: Path) -> None:
    settings = pod(weights, tmp_path, "own", digests=False, shared=False)
    fetch_all(settings)
    assert open_own_cache(settings).root == open_cache(settings).root == tmp_path / "claim"
    assert not (tmp_path / "own").exists()
