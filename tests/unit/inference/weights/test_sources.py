"""Each scheme of the registry's format has one source, and an unknown one is an error of one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.sources import CREDENTIAL_KEYS, SOURCES, sibling, source_of
from cetacean_inference.weights.sources.source import Source
from cetacean_registry.weights_schemes import NAMES

PAGE = (Path(__file__).resolve().parents[4] / "docs/weights.md").read_text(encoding="utf-8")


def test_each_scheme_of_the_registry_names_a_class_that_reads_it() -> None:
    assert set(SOURCES) == {*NAMES, "file"}
    assert all(issubclass(kind, Source) for kind in SOURCES.values())


@pytest.mark.parametrize("url", ["ftp://host/a.ckpt?signature=secret", "a.ckpt", ""])
def test_an_unknown_scheme_is_an_error_of_one_line(url: str) -> None:
    calls: list[Callable[[], object]] = [lambda: source_of(url, FetchSettings()), lambda: sibling(url, "b")]
    for call in calls:
        with pytest.raises(ConfigInvalid, match="expected one of the schemes http, https, ") as caught:
            call()
        assert "secret" not in caught.value.line


def test_the_page_lists_each_key_of_credentials() -> None:
    assert all(f"`{key}`" in PAGE for key in CREDENTIAL_KEYS)
