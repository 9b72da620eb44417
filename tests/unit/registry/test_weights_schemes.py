"""The URLs of weights that the registry's format accepts."""

from __future__ import annotations

import re

import pytest

from cetacean_registry.weights_schemes import (
    NAMES,
    SCHEMES,
    URL_EXPECTED,
    URL_PATTERN,
    Mount,
    mount_of,
    scheme_of,
)

GOOD = (
    "http://host/a.ckpt",
    "https://host:8443/a.ckpt?signature=x",
    "hf://o/r/a.ckpt",
    "hf://o/r/deep/a.ckpt@v1",
    "s3://bucket.name/deep/a.ckpt",
    "gs://bucket/a.ckpt",
    "az://container/a.ckpt",
    f"oci://registry.test:5000/whales/effb4@sha256:{'a' * 64}",
    f"oci://registry.test/whales/effb4:1.0.0@sha256:{'a' * 64}/deep/a.ckpt",
    "pvc://claim/deep/a.ckpt",
)
BAD = (
    "",
    "a.ckpt",
    "ftp://host/a.ckpt",
    "file:///a.ckpt",
    "https://",
    "https://user:secret@host/a.ckpt",
    "hf://o/a.ckpt",
    "hf://o/r/a b.ckpt",
    "s3://bucket",
    "s3://bucket/",
    "s3://key:secret@bucket/a.ckpt",
    "gs://bucket/a.ckpt?signature=secret",
    "oci://registry.test/whales/effb4:1.0.0",
    f"oci://registry.test/whales/effb4@sha256:{'a' * 63}",
    f"oci://registry.test/whales/effb4@sha512:{'a' * 64}",
    f"oci://effb4@sha256:{'a' * 64}",
    "pvc://claim",
    "pvc://Claim/a.ckpt",
)


@pytest.mark.parametrize("url", GOOD)
def test_a_url_that_pods_can_read_is_accepted(url: str) -> None:
    assert re.fullmatch(URL_PATTERN, url)


@pytest.mark.parametrize("url", BAD)
def test_any_other_url_is_refused(url: str) -> None:
    assert not re.fullmatch(URL_PATTERN, url)


def test_each_scheme_has_an_accepted_url_and_is_in_the_message() -> None:
    assert {scheme_of(url) for url in GOOD} == set(NAMES)
    assert all(scheme.example in URL_EXPECTED for scheme in SCHEMES)


def test_the_scheme_of_a_url_is_the_text_before_its_slashes() -> None:
    assert scheme_of("s3://bucket/a://b") == "s3"
    assert scheme_of("a.ckpt") == ""


def test_a_url_of_an_image_or_a_claim_names_a_volume() -> None:
    image = f"registry.test/whales/effb4:1.0.0@sha256:{'a' * 64}"
    assert mount_of(f"oci://{image}/deep/a.ckpt") == Mount("image", image, f"oci/{'a' * 64}", "deep/a.ckpt")
    assert mount_of(f"oci://{image}") == Mount("image", image, f"oci/{'a' * 64}", "")
    assert mount_of("pvc://claim/deep/a.ckpt") == Mount("claim", "claim", "pvc/claim", "deep/a.ckpt")
    assert mount_of(f"oci://{image}/{image}") == Mount("image", image, f"oci/{'a' * 64}", image)
    assert mount_of("pvc://claim/pvc://a.ckpt") == Mount("claim", "claim", "pvc/claim", "pvc://a.ckpt")
    assert mount_of("s3://bucket/a.ckpt") is None
    assert mount_of("a.ckpt") is None
