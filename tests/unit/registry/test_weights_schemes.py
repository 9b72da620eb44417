"""The URLs of weights that the registry's format accepts."""

from __future__ import annotations

import re

import pytest

from cetacean_registry.weights_schemes import NAMES, SCHEMES, URL_EXPECTED, URL_PATTERN, scheme_of

GOOD = (
    "http://host/a.ckpt",
    "https://host:8443/a.ckpt?signature=x",
    "hf://o/r/a.ckpt",
    "hf://o/r/deep/a.ckpt@v1",
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
