"""oci:// and pvc://: files of volumes that the operator mounts into the pod of `fetch`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cetacean_inference.errors import (
    ConfigInvalid,
    DigestMismatch,
    FatalError,
    WeightsDenied,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsTruncated,
)
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.fetch import fetch
from cetacean_inference.weights.sources import sibling, source_of
from cetacean_inference.weights.sources.source import Wanted
from cetacean_registry.weights_schemes import mount_of

IMAGE = f"oci://registry.test:5000/whales/demo@sha256:{'a' * 64}"
URLS = [f"{IMAGE}/m/a.ckpt", "pvc://models/m/a.ckpt"]
EACH = pytest.mark.parametrize("url", URLS, ids=["oci", "pvc"])


@EACH
def test_an_unchanged_file_needs_no_room_twice(
    url: str, tmp_path: Path, settings: FetchSettings, content: bytes, digest: str
) -> None:
    tight = WeightsCache(tmp_path / "tight", limit_bytes=len(content) * 3 // 2, keep_unused_seconds=600)
    tight.prepare()
    for _ in range(2):
        assert fetch(url, sha256=None, cache=tight, settings=settings).sha256 == digest


@EACH
def test_a_changed_file_of_the_same_size_is_copied(
    url: str, cache: WeightsCache, settings: FetchSettings, content: bytes
) -> None:
    fetch(url, sha256=None, cache=cache, settings=settings)
    mount = mount_of(url)
    assert mount is not None
    file, changed = settings.volumes / mount.folder / mount.path, bytes(len(content))
    file.write_bytes(changed)
    assert fetch(url, sha256=None, cache=cache, settings=settings).path.read_bytes() == changed


@contextmanager
def as_a_user() -> Iterator[None]:
    """Give up the rights of root, if the test has them."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65532)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def settings(options: FetchSettings, tmp_path: Path, content: bytes) -> FetchSettings:
    """Settings with both volumes, which have the file."""
    for url in URLS:
        mount = mount_of(url)
        assert mount is not None
        file = tmp_path / mount.folder / mount.path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    return options.model_copy(update={"volumes": tmp_path})


def failure(url: str, cache: WeightsCache, settings: FetchSettings, kind: type[FatalError]) -> str:
    with pytest.raises(kind) as caught:
        fetch(url, sha256=None, cache=cache, settings=settings)
    assert caught.value.line.startswith(f"{kind.__name__}: {url}: ")
    return caught.value.line


@EACH
def test_the_file_is_copied_and_verified(
    url: str, cache: WeightsCache, settings: FetchSettings, content: bytes, digest: str
) -> None:
    assert fetch(url, sha256=digest, cache=cache, settings=settings).path.read_bytes() == content


@EACH
def test_a_file_with_another_digest_is_an_error(
    url: str, cache: WeightsCache, settings: FetchSettings, digest: str
) -> None:
    with pytest.raises(DigestMismatch, match=f"{url}: expected sha256:{'ab' * 32}, got sha256:{digest}"):
        fetch(url, sha256="ab" * 32, cache=cache, settings=settings)


@EACH
def test_a_file_that_the_pod_may_not_read_is_an_error(url: str, settings: FetchSettings, tmp_path: Path) -> None:
    mount = mount_of(url)
    assert mount is not None
    (tmp_path / mount.folder / mount.path).chmod(0)
    source = source_of(url, settings)
    with as_a_user(), pytest.raises(WeightsDenied) as caught, source, source.open(Wanted()):
        pass
    assert caught.value.line == (
        f"WeightsDenied: {url}: Permission denied - make the file and its folders readable for the user of the pod"
    )


@EACH
def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error(
    url: str, settings: FetchSettings, tmp_path: Path
) -> None:
    mount = mount_of(url)
    assert mount is not None
    file = tmp_path / mount.folder / mount.path

    def shorten(_: int) -> None:
        os.truncate(file, 1000)

    once = settings.model_copy(update={"attempts": 1})
    with pytest.raises(WeightsTruncated) as caught:
        Download(source_of(url, once), partial=tmp_path / "partial", reserve=shorten).run()
    assert caught.value.line == (
        f"WeightsTruncated: {url}: got 1000 bytes, then: the file ended, expected 300000 bytes; gave up after 1 tries"
    )


@EACH
def test_a_missing_file_is_an_error(url: str, cache: WeightsCache, settings: FetchSettings) -> None:
    assert "No such file" in failure(f"{url}x", cache, settings, WeightsNotFound)


@EACH
def test_a_volume_that_is_not_mounted_is_an_error(
    url: str, cache: WeightsCache, options: FetchSettings, tmp_path: Path
) -> None:
    settings = options.model_copy(update={"volumes": tmp_path / "none"})
    assert "expected a volume at " in failure(url, cache, settings, WeightsNotFound)


@EACH
def test_a_file_larger_than_the_bound_is_an_error(url: str, cache: WeightsCache, settings: FetchSettings) -> None:
    failure(url, cache, settings.model_copy(update={"max_bytes": 1000}), WeightsTooLarge)


@EACH
@pytest.mark.parametrize("way", ["link", "dots"])
def test_a_path_that_leads_out_of_the_volume_is_an_error(
    url: str, cache: WeightsCache, settings: FetchSettings, tmp_path: Path, way: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    mount = mount_of(url)
    assert mount is not None
    (tmp_path / mount.folder / "m/link").symlink_to(tmp_path / "secret")
    path = "link" if way == "link" else "../../../secret"
    assert "leads out of it" in failure(sibling(url, "x")[:-1] + path, cache, settings, WeightsNotFound)


@EACH
def test_a_folder_is_an_error(url: str, cache: WeightsCache, settings: FetchSettings) -> None:
    failure(sibling(url, "x")[:-2], cache, settings, WeightsNotFound)


def test_an_image_without_a_path_has_one_file_of_weights(
    cache: WeightsCache, settings: FetchSettings, tmp_path: Path, digest: str, content: bytes
) -> None:
    root = tmp_path / "oci" / ("a" * 64)
    (root / "encoder_classes.npy").write_bytes(b"x")
    assert "got none - name it" in failure(IMAGE, cache, settings, WeightsNotFound)
    (root / "model.safetensors").write_bytes(content)
    assert fetch(IMAGE, sha256=None, cache=cache, settings=settings).sha256 == digest
    (root / "other.ckpt").write_bytes(content)
    assert "got model.safetensors, other.ckpt" in failure(IMAGE, cache, settings, WeightsNotFound)


def test_files_beside_the_weights_are_of_the_same_volume() -> None:
    assert sibling(IMAGE, "s.csv") == f"{IMAGE}/s.csv"
    assert sibling(f"{IMAGE}/a.ckpt", "s.csv") == f"{IMAGE}/s.csv"
    assert sibling(f"{IMAGE}/m/a.ckpt", "s.csv") == f"{IMAGE}/m/s.csv"
    assert sibling("pvc://models/m/a.ckpt", "s.csv") == "pvc://models/m/s.csv"
    assert sibling("s3://bucket/m/a.ckpt", "s.csv") == "s3://bucket/m/s.csv"


def test_a_url_without_a_volume_is_an_error(cache: WeightsCache, settings: FetchSettings) -> None:
    failure("pvc:///a.ckpt", cache, settings, ConfigInvalid)
